import NetworkTypes
import RTP

func examine(_ bytes: [UInt8]) {
  _ = PacketKind.classify(bytes.span)
  if let header = RTPHeader.decode(bytes.span) {
    require(header.payloadOffset >= 12 && header.payloadLength >= 0, "The payload is behind the header.")
    require(header.payloadOffset + header.payloadLength <= bytes.count, "The payload is within the packet.")
    let written = header.encoded()
    let again = RTPHeader.decode(written.span)
    require(again?.sequence == header.sequence && again?.ssrc == header.ssrc, "The header survives.")
    require(again?.timestamp == header.timestamp && again?.marker == header.marker, "The header survives.")
    require(again?.payloadType == header.payloadType, "The payload type survives.")
  }
  let isValid = RTCPCompound.isValid(bytes.span)
  if let report = RTCPReport.decode(bytes.span) {
    require(isValid, "A report is a valid compound.")
    let written = report.encoded()
    require(RTCPReport.decode(written.span) == report, "A report survives.")
  }
  var samples: [Int16] = []
  for byte in bytes.prefix(64) { samples += [G711.decodeALaw(byte), G711.decodeMuLaw(byte)] }
  for sample in samples { _ = (G711.encodeALaw(sample), G711.encodeMuLaw(sample)) }
  examineSequence(bytes)
}

/// The bytes as the packets of a stream: sequence, timestamp step and arrival of each from six of them.
func examineSequence(_ bytes: [UInt8]) {
  var statistics = ReceptionStatistics()
  var window = ReplayWindow()
  var timestamp: UInt32 = 0
  var arrival = MonotonicInstant(nanoseconds: 0)
  var position = 0
  while position + 6 <= bytes.count {
    let sequence = UInt16(bytes[position]) << 8 | UInt16(bytes[position + 1])
    timestamp &+= UInt32(bytes[position + 2]) << 24 | UInt32(bytes[position + 3])
    arrival = arrival + .milliseconds(Int(bytes[position + 4]))
    statistics.packetReceived(
      payloadType: bytes[position + 5] & 0x7F, sequence: sequence, timestamp: timestamp,
      ssrc: UInt32(bytes[position + 5] & 1), arrival: arrival)
    let index = UInt64(sequence) << UInt64(bytes[position + 5] & 63)
    let wasFresh = window.isFresh(index)
    window.mark(index)
    require(!window.isFresh(index), "What was marked is not fresh.")
    require(wasFresh || window.highest != nil, "Something was seen.")
    position += 6
  }
  _ = (statistics.lost, statistics.jitterMilliseconds, statistics.extendedHighestSequence)
  require(statistics.received <= UInt64(bytes.count / 6), "No more packets count than came.")
}
