import NetworkTypes
import SIPSyntax
import Testing

@Suite struct DateTests {
  @Test(arguments: [
    ("Sat, 13 Nov 2010 23:29:00 GMT", 1_289_690_940), ("Thu, 01 Jan 1970 00:00:00 GMT", 0),
    ("Thu, 29 Feb 2024 12:00:01 GMT", 1_709_208_001), ("Wed, 18 Nov 2026 09:46:40 GMT", 1_794_995_200),
  ])
  func read(_ text: String, _ seconds: Int64) throws {
    let time = try #require(WallTime(sipDate: text))
    #expect(time.nanoseconds == seconds * 1_000_000_000)
    #expect(time.sipDate == text)
  }

  @Test(arguments: [
    "", "yesterday", "Sat, 13 Nov 2010 23:29:00 CET", "Sat, 13 Nov 2010 24:00:00 GMT", "Sat, 32 Nov 2010 10:00:00 GMT",
    "Sat, 13 Nov 99999999999999999999 10:00:00 GMT", "Sat, 13 Now 2010 10:00:00 GMT", "Sat, 13 Nov 2010 10:00 GMT",
    "Sat, 13 Nov 2010 -1:00:00 GMT",
  ])
  func refused(_ text: String) { #expect(WallTime(sipDate: text) == nil) }

  @Test func everyDayOfAHundredYears() {
    for day in 0..<36_525 {
      let time = WallTime(nanoseconds: Int64(day) * 86_400_000_000_000)
      #expect(WallTime(sipDate: time.sipDate) == time)
    }
  }
}
