import RTP
import Testing

@Suite struct RTCPTests {
  @Test func encodesAndDecodesReports() throws {
    let block = RTCPReportBlock(
      ssrc: 7, fractionLost: 128, cumulativeLost: -2, extendedHighestSequence: 0x1_0005, jitter: 9,
      lastSenderReport: 10,
      delaySinceLastSenderReport: 11)
    let receiver = RTCPReport(ssrc: 1, blocks: [block])
    #expect(receiver.encoded().prefix(8) == [0x81, 201, 0, 7, 0, 0, 0, 1])
    #expect(receiver.encoded()[12..<16] == [128, 0xff, 0xff, 0xfe])
    #expect(readReport(receiver.encoded()) == receiver)
    let sender = RTCPReport(
      ssrc: 2, sender: RTCPSenderInfo(ntpTime: 1 << 63, rtpTimestamp: 3, packetCount: 4, octetCount: 5),
      blocks: [block, block])
    #expect(readReport(sender.encoded()) == sender)
  }

  @Test func checksCompounds() {
    let empty = RTCPReport(ssrc: 1).encoded()
    let sdes: [UInt8] = [0x81, 202, 0, 2, 0, 0, 0, 1, 0, 0, 0, 0]
    #expect(isCompound((empty + sdes)))
    #expect(!isCompound((empty + sdes.dropLast())))
    #expect(!isCompound((empty + [0x41, 202, 0, 0])))
    #expect(!isCompound(sdes))
    #expect(!isCompound([UInt8]([0xa0, 201, 0, 1, 0, 0, 0, 4])))
    #expect(readReport([UInt8]([0x82, 201, 0, 1, 0, 0, 0, 4])) == nil)
  }
}
