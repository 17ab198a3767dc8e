/// What a datagram on a media port is, told by its first two bytes (RFC 7983 §7, RFC 5761 §4).
///
/// | first byte | second byte | length | kind |
/// | --- | --- | --- | --- |
/// | 0–3 | | ≥ 20 | STUN |
/// | 20–63 | | ≥ 13 | DTLS |
/// | 128–191 | 192–223 | ≥ 8 | RTCP |
/// | 128–191 | any other | ≥ 12 | RTP |
/// | any other (ZRTP, TURN channels, T.38 over UDPTL, rubbish) | | | other |
public enum PacketKind: Hashable, Sendable, CaseIterable {
  case stun, rtp, rtcp, dtls, other

  public static func classify(_ bytes: Span<UInt8>) -> PacketKind {
    guard bytes.count >= 8 else { return .other }
    return classify(first: bytes[0], second: bytes[1], count: bytes.count)
  }

  /// The same for a datagram of `count` bytes, of which the caller holds the first two.
  public static func classify(first: UInt8, second: UInt8, count: Int) -> PacketKind {
    switch first {
    case 0...3: count >= 20 ? .stun : .other
    case 20...63: count >= 13 ? .dtls : .other
    case 128...191:
      if (192...223).contains(second) { count >= 8 ? .rtcp : .other } else { count >= 12 ? .rtp : .other }
    default: .other
    }
  }
}
