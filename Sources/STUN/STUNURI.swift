public import NetworkTypes

/// A `stun:` or `stuns:` URI (RFC 7064): `stun:example.org`, `stuns:192.0.2.1:5349`, `stun:[2001:db8::1]:3478`.
///
/// The scheme is read whatever its case. There is no user, path or query in it: RFC 7064 has none, and what a TURN URI says
/// with `?transport=` is said by other means here.
public struct STUNURI: Sendable, Hashable {
  /// The longest name that DNS has (RFC 1035 §2.3.4).
  private static let longestName = 253

  /// `stuns:`, TLS over TCP.
  public var isSecure: Bool
  /// A name, or an address without brackets.
  public var host: String
  /// `nil` where the URI names none: then SRV records say where to go, or the default port is taken (RFC 8489 §8).
  public var port: UInt16?

  public init(isSecure: Bool = false, host: String, port: UInt16? = nil) {
    self.isSecure = isSecure
    self.host = host
    self.port = port
  }

  /// The host as an address, where it is one.
  public var address: IPAddress? { IPAddress(host) }

  /// Reads what stands after the scheme, and brackets around an address of IPv6, as in a URI.
  ///
  /// - Parameter hostPort: `host`, `host:port`, `[address]` or `[address]:port`.
  public init?(isSecure: Bool, hostPort: some StringProtocol) {
    var host = Substring(hostPort)
    var port: UInt16?
    if host.first == "[" {
      guard let end = host.firstIndex(of: "]") else { return nil }
      let rest = host[host.index(after: end)...]
      if !rest.isEmpty {
        guard rest.first == ":", let number = Self.port(rest.dropFirst()) else { return nil }
        port = number
      }
      host = host[host.index(after: host.startIndex)..<end]
      guard IPAddress(String(host))?.isV6 == true else { return nil }
    } else {
      if let colon = host.firstIndex(of: ":") {
        guard let number = Self.port(host[host.index(after: colon)...]) else { return nil }
        port = number
        host = host[..<colon]
      }
      guard Self.isName(host) else { return nil }
    }
    self.init(isSecure: isSecure, host: String(host), port: port)
  }

  /// Whether it can be a host name or an IPv4 address: labels of letters, digits, hyphens and underscores.
  static func isName(_ text: some StringProtocol) -> Bool {
    guard !text.isEmpty, text.utf8.count <= longestName else { return false }
    var labels = text.split(separator: ".", omittingEmptySubsequences: false)
    // A last dot makes a name absolute.
    if labels.count > 1, labels.last?.isEmpty == true { labels.removeLast() }
    let isDotted = labels.allSatisfy { label in
      !label.isEmpty && label.utf8.count <= 63
        && label.utf8.allSatisfy { byte in
          byte >= UInt8(ascii: "0") && byte <= UInt8(ascii: "9")
            || byte | 0x20 >= UInt8(ascii: "a") && byte | 0x20 <= UInt8(ascii: "z")
            || byte == UInt8(ascii: "-") || byte == UInt8(ascii: "_")
        }
    }
    guard isDotted, let last = labels.last else { return false }
    // Nothing but numbers is an address, or nothing: no top-level domain is a number (RFC 3696 §2).
    return !last.utf8.allSatisfy { $0 >= UInt8(ascii: "0") && $0 <= UInt8(ascii: "9") }
      || IPAddress(String(text)) != nil
  }

  private static func port(_ text: Substring) -> UInt16? {
    guard text.utf8.allSatisfy({ $0 >= UInt8(ascii: "0") && $0 <= UInt8(ascii: "9") }), let number = UInt16(text),
      number > 0
    else { return nil }
    return number
  }
}

extension STUNURI: LosslessStringConvertible {
  public init?(_ text: String) {
    guard let colon = text.firstIndex(of: ":") else { return nil }
    let scheme = text[..<colon].lowercased()
    guard scheme == "stun" || scheme == "stuns" else { return nil }
    self.init(isSecure: scheme == "stuns", hostPort: text[text.index(after: colon)...])
  }

  public var description: String {
    let written = address?.isV6 == true ? "[\(host)]" : host
    return (isSecure ? "stuns:" : "stun:") + written + (port.map { ":\($0)" } ?? "")
  }
}
