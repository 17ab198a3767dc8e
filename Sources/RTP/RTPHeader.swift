import NetworkTypes

/// The header of an RTP packet (RFC 3550 §5.1), and where its payload lies.
public struct RTPHeader: Hashable, Sendable {
  public var marker: Bool
  /// 0–127.
  public var payloadType: UInt8
  public var sequence: UInt16
  public var timestamp: UInt32
  public var ssrc: UInt32
  /// How many contributing sources are listed, 0–15.
  public var contributorCount: Int = 0
  /// The 16 bits that name the profile of the header extension, where there is one.
  public var extensionProfile: UInt16?
  /// Where the payload begins in the packet, in bytes.
  public var payloadOffset: Int = 12
  /// The payload without padding, in bytes.
  public var payloadLength: Int = 0

  public init(marker: Bool = false, payloadType: UInt8, sequence: UInt16, timestamp: UInt32, ssrc: UInt32) {
    self.marker = marker
    self.payloadType = payloadType & 0x7f
    self.sequence = sequence
    self.timestamp = timestamp
    self.ssrc = ssrc
  }

  /// Reads a header; `nil` for another version, and where contributing sources, extension or padding do not fit the
  /// packet (RFC 3550 §A.1).
  public static func decode(_ bytes: Span<UInt8>) -> RTPHeader? {
    guard bytes.count >= 12, bytes[0] >> 6 == 2 else { return nil }
    var header = RTPHeader(
      marker: bytes[1] & 0x80 != 0, payloadType: bytes[1] & 0x7f,
      sequence: UInt16(bytes[2]) << 8 | UInt16(bytes[3]), timestamp: word(bytes, 4), ssrc: word(bytes, 8))
    header.contributorCount = Int(bytes[0] & 15)
    var offset = 12 + 4 * header.contributorCount
    if bytes[0] & 0x10 != 0 {
      guard bytes.count >= offset + 4 else { return nil }
      header.extensionProfile = UInt16(bytes[offset]) << 8 | UInt16(bytes[offset + 1])
      offset += 4 + 4 * (Int(bytes[offset + 2]) << 8 | Int(bytes[offset + 3]))
    }
    guard bytes.count >= offset else { return nil }
    var end = bytes.count
    if bytes[0] & 0x20 != 0 {
      let padding = Int(bytes[end - 1])
      guard padding > 0, padding <= end - offset else { return nil }
      end -= padding
    }
    header.payloadOffset = offset
    header.payloadLength = end - offset
    return header
  }

  /// The twelve bytes of the header without contributing sources, extension and padding.
  public func encoded() -> [UInt8] {
    var bytes: [UInt8] = [0x80, (marker ? 0x80 : 0) | payloadType & 0x7f]
    bytes.append(bigEndian: sequence)
    bytes.append(bigEndian: timestamp)
    bytes.append(bigEndian: ssrc)
    return bytes
  }

  private static func word(_ bytes: Span<UInt8>, _ offset: Int) -> UInt32 {
    UInt32(bytes[offset]) << 24 | UInt32(bytes[offset + 1]) << 16 | UInt32(bytes[offset + 2]) << 8
      | UInt32(bytes[offset + 3])
  }
}
