import RTP
import Testing

@Suite struct G711Tests {
  @Test func everyCodeSurvives() {
    for code in UInt8.min...UInt8.max {
      #expect(G711.encodeALaw(G711.decodeALaw(code)) == code)
      // µ-law has two zeros.
      #expect(G711.encodeMuLaw(G711.decodeMuLaw(code)) == (code == 0x7f ? 0xff : code))
    }
  }

  /// Values of the tables of ITU-T G.711, scaled to 16 bits.
  @Test func knownValues() {
    #expect(G711.decodeALaw(0xd5) == 8 && G711.decodeALaw(0x55) == -8)
    #expect(G711.decodeALaw(0xaa) == 32_256 && G711.decodeALaw(0x2a) == -32_256)
    #expect(G711.decodeMuLaw(0xff) == 0 && G711.decodeMuLaw(0x80) == 32_124 && G711.decodeMuLaw(0) == -32_124)
    #expect(G711.encodeALaw(0) == G711.silenceALaw && G711.encodeMuLaw(0) == G711.silenceMuLaw)
  }

  @Test func theErrorIsSmall() {
    for sample in stride(from: Int(Int16.min), through: Int(Int16.max), by: 7) {
      let limit = max(16, abs(sample) / 24) + (abs(sample) > 32_000 ? 700 : 0)
      #expect(abs(Int(G711.decodeALaw(G711.encodeALaw(Int16(sample)))) - sample) <= limit)
      #expect(abs(Int(G711.decodeMuLaw(G711.encodeMuLaw(Int16(sample)))) - sample) <= limit)
    }
  }
}
