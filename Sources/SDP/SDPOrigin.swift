public import NetworkTypes

/// The `o=` line (RFC 8866 §5.2): who made the description, and which version of it this is.
public struct SDPOrigin: Hashable, Sendable, CustomStringConvertible {
  public var username: String
  public var sessionID: String
  /// Grows by one with every change (RFC 3264 §8).
  public var version: UInt64
  /// `IP4` or `IP6`.
  public var addressType: String
  public var address: String

  public init(username: String = "-", sessionID: String, version: UInt64, address: IPAddress) {
    self.username = username
    self.sessionID = sessionID
    self.version = version
    addressType = address.isV6 ? "IP6" : "IP4"
    self.address = address.description
  }

  /// Reads the value of an `o=` line. A version beyond 64 bits saturates.
  init?(parsing text: String) {
    let parts = text.split(separator: " ", omittingEmptySubsequences: true)
    guard parts.count == 6, parts[3] == "IN", let version = UInt64(saturating: parts[2]) else { return nil }
    username = String(parts[0])
    sessionID = String(parts[1])
    self.version = version
    addressType = String(parts[4])
    address = String(parts[5])
  }

  public var description: String { "\(username) \(sessionID) \(version) IN \(addressType) \(address)" }
}

/// A `c=` line (RFC 8866 §5.7): where a stream is to be sent.
public struct SDPConnection: Hashable, Sendable, CustomStringConvertible {
  /// `IP4` or `IP6`.
  public var addressType: String
  /// An address or a host name.
  public var host: String
  /// The time to live and number of addresses of a multicast group, as written after the first slash.
  public var suffix: String?

  public init(_ address: IPAddress) {
    addressType = address.isV6 ? "IP6" : "IP4"
    host = address.description
  }

  init?(parsing text: String) {
    let parts = text.split(separator: " ", omittingEmptySubsequences: true)
    guard parts.count == 3, parts[0] == "IN" else { return nil }
    addressType = String(parts[1])
    let address = parts[2].split(separator: "/", maxSplits: 1, omittingEmptySubsequences: false)
    host = String(address[0])
    suffix = address.count > 1 ? String(address[1]) : nil
  }

  /// The address, where the host is written as one.
  public var address: IPAddress? { IPAddress(host) }

  /// Hold as RFC 2543 wrote it (RFC 3264 §8.4), an unspecified address, or the `.invalid` name of RFC 6157 §5.
  public var isHold: Bool { address?.isUnspecified ?? (host == "invalid" || host.hasSuffix(".invalid")) }

  public var description: String { "IN \(addressType) \(host)" + (suffix.map { "/\($0)" } ?? "") }
}

/// Who sends, from the view of the one who wrote it (RFC 3264 §5.1).
public enum MediaDirection: String, Hashable, Sendable, CaseIterable {
  case sendrecv, sendonly, recvonly, inactive

  /// The same seen from the other side.
  public var reversed: MediaDirection {
    switch self {
    case .sendonly: .recvonly
    case .recvonly: .sendonly
    case .sendrecv, .inactive: self
    }
  }

  /// Whether the one who wrote it sends.
  public var sends: Bool { self == .sendrecv || self == .sendonly }
  /// Whether the one who wrote it receives.
  public var receives: Bool { self == .sendrecv || self == .recvonly }
}

extension UInt64 {
  /// Decimal digits only; beyond 64 bits the greatest number.
  init?(saturating text: Substring) {
    guard !text.isEmpty, text.utf8.allSatisfy({ (48...57).contains($0) }) else { return nil }
    self = UInt64(text) ?? .max
  }
}
