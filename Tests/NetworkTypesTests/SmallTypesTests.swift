import NetworkTypes
import Testing

@Suite struct SmallTypesTests {
  @Test func aSeedGivesOneStreamAndAnotherSeedAnother() {
    var first = RandomSource(seed: 1)
    var again = RandomSource(seed: 1)
    var other = RandomSource(seed: 2)
    let numbers = (0..<100).map { _ in first.next() }
    #expect(numbers == (0..<100).map { _ in again.next() })
    #expect(Set(numbers).count == 100)
    #expect(other.next() != numbers[0])
    #expect(first.hexDigits(33).utf8.count == 33)
  }

  @Test func wallTimeIsWrittenAsRFC3339() {
    #expect(WallTime(nanoseconds: 0).description == "1970-01-01T00:00:00.000Z")
    #expect(WallTime(nanoseconds: 951_782_399_999_000_000).description == "2000-02-28T23:59:59.999Z")
    #expect(WallTime(nanoseconds: 951_868_799_000_000_000).description == "2000-02-29T23:59:59.000Z")
    #expect(WallTime(nanoseconds: 1_795_305_600_123_000_000).description == "2026-11-22T00:00:00.123Z")
    #expect(WallTime(nanoseconds: -1_000_000).description == "1969-12-31T23:59:59.999Z")
  }

  @Test func redactedValuesDoNotPrint() {
    let secret = Redacted("hunter2")
    #expect(!"\(secret)".contains("hunter2"))
    #expect(!String(reflecting: [secret]).contains("hunter2"))
    var dumped = ""
    dump(secret, to: &dumped)
    #expect(!dumped.contains("hunter2"))
    #expect(secret.value == "hunter2")
  }

  @Test func whatComesFromTheNetworkIsEscapedAndCut() {
    #expect("a\r\nb\u{1b}[31m\u{202e}".escapedForLog() == "a\\u{d}\\u{a}b\\u{1b}[31m\\u{202e}")
    #expect(String(repeating: "x", count: 500).escapedForLog(limit: 10) == "xxxxxxxxxx…")
  }

  @Test func cursorReadsInNetworkOrderAndStaysAtTheEnd() {
    var bytes: [UInt8] = []
    bytes.append(bigEndian: UInt16(0x0102))
    bytes.append(bigEndian: UInt32(0x0304_0506))
    #expect(bytes == [1, 2, 3, 4, 5, 6])
    var cursor = ByteCursor(end: bytes.count)
    #expect(cursor.readUInt16(bytes.span) == 0x0102)
    #expect(cursor.readUInt64(bytes.span) == nil)
    #expect(cursor.readUInt32(bytes.span) == 0x0304_0506)
    #expect(cursor.readUInt8(bytes.span) == nil)
    #expect(cursor.readRange(1) == nil && cursor.readRange(0) == 6..<6)
  }
}
