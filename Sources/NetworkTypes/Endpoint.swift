/// An address and a UDP or TCP port.
public struct Endpoint: Hashable, Sendable {
  public var address: IPAddress
  public var port: UInt16

  public init(_ address: IPAddress, port: UInt16) {
    self.address = address
    self.port = port
  }
}

extension Endpoint: LosslessStringConvertible {
  /// Reads `192.0.2.1:5060` or `[2001:db8::1]:5060`; the port is required.
  public init?(_ text: String) {
    guard let colon = text.lastIndex(of: ":"), let port = UInt16(text[text.index(after: colon)...]) else { return nil }
    var host = text[..<colon]
    let bracketed = host.first == "[" && host.last == "]"
    if bracketed { host = host.dropFirst().dropLast() }
    guard let address = IPAddress(String(host)), address.isV6 == bracketed else { return nil }
    self.init(address, port: port)
  }

  public var description: String { address.isV6 ? "[\(address)]:\(port)" : "\(address):\(port)" }
}

extension Endpoint: Comparable {
  public static func < (left: Endpoint, right: Endpoint) -> Bool {
    (left.address, left.port) < (right.address, right.port)
  }
}
