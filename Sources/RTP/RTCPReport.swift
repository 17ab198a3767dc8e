import NetworkTypes

/// What a receiver says about one source (RFC 3550 §6.4.1).
public struct RTCPReportBlock: Hashable, Sendable {
  public var ssrc: UInt32
  /// The lost share since the last report, in 256ths.
  public var fractionLost: UInt8
  /// Packets lost since the beginning: 24 bits, signed.
  public var cumulativeLost: Int32
  public var extendedHighestSequence: UInt32
  /// Interarrival jitter in timestamp units.
  public var jitter: UInt32
  /// The middle 32 bits of the NTP time of the last sender report; 0 for none.
  public var lastSenderReport: UInt32
  /// In 65536ths of a second.
  public var delaySinceLastSenderReport: UInt32

  public init(
    ssrc: UInt32, fractionLost: UInt8, cumulativeLost: Int32, extendedHighestSequence: UInt32, jitter: UInt32,
    lastSenderReport: UInt32 = 0, delaySinceLastSenderReport: UInt32 = 0
  ) {
    self.ssrc = ssrc
    self.fractionLost = fractionLost
    self.cumulativeLost = cumulativeLost
    self.extendedHighestSequence = extendedHighestSequence
    self.jitter = jitter
    self.lastSenderReport = lastSenderReport
    self.delaySinceLastSenderReport = delaySinceLastSenderReport
  }
}

/// What a sender says about itself (RFC 3550 §6.4.1).
public struct RTCPSenderInfo: Hashable, Sendable {
  /// NTP time, 32 bits of seconds and 32 of fraction.
  public var ntpTime: UInt64
  public var rtpTimestamp: UInt32
  public var packetCount: UInt32
  public var octetCount: UInt32

  public init(ntpTime: UInt64, rtpTimestamp: UInt32, packetCount: UInt32, octetCount: UInt32) {
    self.ntpTime = ntpTime
    self.rtpTimestamp = rtpTimestamp
    self.packetCount = packetCount
    self.octetCount = octetCount
  }
}

/// A sender report (with ``sender``) or a receiver report.
public struct RTCPReport: Hashable, Sendable {
  public var ssrc: UInt32
  public var sender: RTCPSenderInfo?
  /// At most 31.
  public var blocks: [RTCPReportBlock]

  public init(ssrc: UInt32, sender: RTCPSenderInfo? = nil, blocks: [RTCPReportBlock] = []) {
    self.ssrc = ssrc
    self.sender = sender
    self.blocks = blocks
  }

  /// The first packet of a compound, which is a report (RFC 3550 §6.1); `nil` for anything else.
  public static func decode(_ bytes: Span<UInt8>) -> RTCPReport? {
    guard RTCPCompound.isValid(bytes) else { return nil }
    let count = Int(bytes[0] & 31)
    var cursor = ByteCursor(offset: 4, end: 4 * (Int(bytes[2]) << 8 | Int(bytes[3])) + 4)
    guard let ssrc = cursor.readUInt32(bytes) else { return nil }
    var report = RTCPReport(ssrc: ssrc)
    if bytes[1] == RTCPCompound.senderReport {
      guard let ntp = cursor.readUInt64(bytes), let timestamp = cursor.readUInt32(bytes),
        let packets = cursor.readUInt32(bytes), let octets = cursor.readUInt32(bytes)
      else { return nil }
      report.sender = RTCPSenderInfo(ntpTime: ntp, rtpTimestamp: timestamp, packetCount: packets, octetCount: octets)
    }
    for _ in 0..<count {
      guard let source = cursor.readUInt32(bytes), let lost = cursor.readUInt32(bytes),
        let highest = cursor.readUInt32(bytes), let jitter = cursor.readUInt32(bytes),
        let last = cursor.readUInt32(bytes), let delay = cursor.readUInt32(bytes)
      else { return nil }
      report.blocks.append(
        RTCPReportBlock(
          ssrc: source, fractionLost: UInt8(lost >> 24), cumulativeLost: Int32(bitPattern: lost << 8) >> 8,
          extendedHighestSequence: highest, jitter: jitter, lastSenderReport: last, delaySinceLastSenderReport: delay))
    }
    return report
  }

  /// The report as one packet, without the SDES that a compound needs after it.
  public func encoded() -> [UInt8] {
    let blocks = blocks.prefix(31)
    var bytes: [UInt8] = [
      0x80 | UInt8(blocks.count), sender == nil ? RTCPCompound.receiverReport : RTCPCompound.senderReport,
    ]
    bytes.append(bigEndian: UInt16(1 + (sender == nil ? 0 : 5) + 6 * blocks.count))
    bytes.append(bigEndian: ssrc)
    if let sender {
      bytes.append(bigEndian: sender.ntpTime)
      bytes.append(bigEndian: sender.rtpTimestamp)
      bytes.append(bigEndian: sender.packetCount)
      bytes.append(bigEndian: sender.octetCount)
    }
    for block in blocks {
      bytes.append(bigEndian: block.ssrc)
      bytes.append(bigEndian: UInt32(block.fractionLost) << 24 | UInt32(bitPattern: block.cumulativeLost) & 0xff_ffff)
      bytes.append(bigEndian: block.extendedHighestSequence)
      bytes.append(bigEndian: block.jitter)
      bytes.append(bigEndian: block.lastSenderReport)
      bytes.append(bigEndian: block.delaySinceLastSenderReport)
    }
    return bytes
  }
}

/// The checks on a datagram of RTCP packets.
public enum RTCPCompound {
  public static let senderReport: UInt8 = 200
  public static let receiverReport: UInt8 = 201

  /// Whether the lengths of the packets add up to the datagram, and all are of version 2 (RFC 3550 §A.2), the first a
  /// report without padding.
  public static func isValid(_ bytes: Span<UInt8>) -> Bool {
    guard bytes.count >= 8, bytes[0] & 0xe0 == 0x80, bytes[1] == senderReport || bytes[1] == receiverReport else {
      return false
    }
    var offset = 0
    while offset < bytes.count {
      guard bytes.count - offset >= 4, bytes[offset] >> 6 == 2 else { return false }
      offset += 4 * (Int(bytes[offset + 2]) << 8 | Int(bytes[offset + 3])) + 4
    }
    return offset == bytes.count
  }
}
