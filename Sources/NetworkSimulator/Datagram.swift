public import NetworkTypes

/// A UDP packet on its way.
public struct Datagram: Sendable, Hashable {
  public var source: Endpoint
  public var destination: Endpoint
  public var bytes: [UInt8]
  /// How many routers it may still pass.
  var hopLimit = 16

  public init(source: Endpoint, destination: Endpoint, bytes: [UInt8]) {
    self.source = source
    self.destination = destination
    self.bytes = bytes
  }

  /// What its first byte makes of it (RFC 7983 §7): enough to tell a trace's reader what passed.
  public var content: Content {
    guard let first = bytes.first else { return .other }
    return switch first {
    case 0...3: .stun
    case 128...191: .rtp
    case UInt8(ascii: "A")...UInt8(ascii: "Z"): .sip
    default: .other
    }
  }

  public enum Content: String, Sendable, Hashable { case stun, rtp, sip, other }
}
