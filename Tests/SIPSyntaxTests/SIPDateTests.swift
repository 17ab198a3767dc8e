import NetworkTypes
import SIPSyntax
import Testing

/// Date header fields (RFC 3261 §20.17).
@Suite struct SIPDateTests {
  @Test(arguments: [
    ("Sat, 13 Nov 2010 23:29:00 GMT", 1_289_690_940 as Int64), ("Thu, 01 Jan 1970 00:00:00 GMT", 0),
    ("Thu, 29 Feb 2024 12:00:01 GMT", 1_709_208_001), ("Fri, 31 Dec 2100 23:59:59 GMT", 4_133_980_799),
  ]) func datesAreReadAndWritten(_ text: String, _ seconds: Int64) {
    let time = WallTime(nanoseconds: seconds * 1_000_000_000)
    #expect(SIPDate.parse(text) == time)
    #expect(SIPDate.text(time) == text)
  }

  @Test(arguments: [
    "", "GMT", "Sat, 13 Nov 2010 23:29:00 CET", "Sat, 13 Nov 2010 23:29 GMT", "Sat, 32 Nov 2010 23:29:00 GMT",
    "Sat, 13 Nov 99999999999999999999 23:29:00 GMT", "Sat, 13 Foo 2010 23:29:00 GMT", "Sat, 13 Nov 2010 24:29:00 GMT",
    "Sat, 13 Nov 2010 23:29:00 GMT GMT", "\u{0}, , , , , , ,",
  ]) func whatIsNoDateIsNone(_ text: String) { #expect(SIPDate.parse(text) == nil) }
}
