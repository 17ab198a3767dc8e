import NetworkTypes
import RTP
import Testing

@Suite struct RTPHeaderTests {
  @Test func encodesAndDecodes() throws {
    let header = RTPHeader(marker: true, payloadType: 8, sequence: 0xfffe, timestamp: 0x0102_0304, ssrc: 0xdead_beef)
    let bytes = header.encoded()
    #expect(bytes == [0x80, 0x88, 0xff, 0xfe, 1, 2, 3, 4, 0xde, 0xad, 0xbe, 0xef])
    #expect(try #require(readHeader(bytes)) == header)
  }

  @Test func findsThePayload() throws {
    let bytes: [UInt8] =
      [0xb1, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3] + [9, 9, 9, 9] + [0xbe, 0xde, 0, 1] + [1, 1, 1, 1] + [5, 6, 7] + [
        0, 0, 3,
      ]
    let header = try #require(readHeader(bytes))
    #expect(header.contributorCount == 1 && header.extensionProfile == 0xbede)
    #expect(header.payloadOffset == 24 && header.payloadLength == 3)
  }

  @Test(arguments: [
    [UInt8](repeating: 0x80, count: 11), [0x40] + [UInt8](repeating: 0, count: 20),
    [0x8f] + [UInt8](repeating: 0, count: 20), [0x90] + [UInt8](repeating: 0, count: 11),
    [0x90] + [UInt8](repeating: 0, count: 13) + [0xff, 0xff], [0xa0] + [UInt8](repeating: 0, count: 11),
    [0xa0] + [UInt8](repeating: 0, count: 12) + [3], [0xa0] + [UInt8](repeating: 0, count: 12) + [0],
  ])
  func refusesWhatDoesNotFit(_ bytes: [UInt8]) { #expect(readHeader(bytes) == nil) }

  @Test(arguments: [
    (UInt8(0), UInt8(1), 20, PacketKind.stun), (3, 0, 28, .stun), (0, 1, 19, .other), (4, 0, 100, .other),
    (16, 0, 100, .other), (20, 0xfe, 60, .dtls), (63, 0, 60, .dtls), (22, 0xfe, 12, .other), (64, 0, 100, .other),
    (127, 0, 100, .other), (0x80, 8, 12, .rtp), (0x80, 8, 11, .other), (0x80, 0x88, 172, .rtp), (0xbf, 127, 172, .rtp),
    (0x80, 191, 172, .rtp), (0x80, 192, 172, .rtcp), (0x81, 200, 8, .rtcp), (0x80, 223, 172, .rtcp),
    (0x80, 224, 172, .rtp), (0xc0, 8, 172, .other), (0xff, 0xff, 172, .other),
  ])
  func classifies(_ first: UInt8, _ second: UInt8, _ count: Int, _ expected: PacketKind) {
    let bytes = [first, second] + [UInt8](repeating: 0, count: count - 2)
    #expect(readKind(bytes) == expected)
  }

  @Test func classifiesTheShortest() {
    for count in 0..<8 {
      #expect(readKind([UInt8](repeating: 0x80, count: count)) == .other)
    }
  }

  @Test func survivesAnything() {
    var random = RandomSource(seed: 3)
    for _ in 0..<20_000 {
      var bytes = (0..<Int.random(in: 0...60, using: &random)).map { _ in UInt8.random(in: 0...255, using: &random) }
      if bytes.count > 1 { bytes[0] = bytes[0] & 0x3f | 0x80 }
      if let header = readHeader(bytes) {
        #expect(header.payloadOffset >= 12 && header.payloadOffset + header.payloadLength <= bytes.count)
      }
      if bytes.count > 3 {
        (bytes[0], bytes[1], bytes[2], bytes[3]) = (0x80 | bytes[0] & 31, 200, 0, UInt8(bytes.count / 4 - 1))
      }
      _ = readReport(bytes)
    }
  }
}
