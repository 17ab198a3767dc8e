import CallControl
import NetworkTypes
import SIPSyntax
import SIPTransaction
import Testing

@Suite struct NumberPatternTests {
  @Test(arguments: [
    ("*", "", true), ("*", "110", true), ("+49*", "+49211", true), ("+49*", "+43", false), ("*43", "*43", true),
    ("*43", "143", false), ("+4921112345xx", "+492111234500", true), ("+4921112345xx", "+49211123450", false),
    ("+4921112345xx", "+4921112345ab", false), ("110", "110", true), ("110", "1100", false),
    ("*", "+49#1", true), ("*", "echo", false), ("*", "49\u{1b}[31m", false), ("0*", "0\u{0}", false),
    ("*", String(repeating: "1", count: 65), false),
  ])
  func matches(pattern: String, number: String, expected: Bool) {
    #expect(NumberPattern(pattern).matches(number) == expected)
  }

  @Test func targetsAreReadAndWritten() {
    for text in ["phone:10", "pbx:asterisk", "number:+49211", "sip:a@192.0.2.1", "reject"] {
      #expect(RouteTarget(text)?.description == text)
    }
    for text in ["", "phone", "phone:", "fax:1", "rejected"] { #expect(RouteTarget(text) == nil) }
  }
}

@Suite struct LocationServiceTests {
  let start = MonotonicInstant(nanoseconds: 0)
  func path(_ port: UInt16) -> SIPPath { SIPPath(socket: 0, remote: Endpoint(.v4(0xc000_0201), port: port)) }

  func register(
    _ contact: String, expires: Int? = nil, callID: String = "a", sequence: Int = 1
  ) throws -> SIPMessage {
    var lines = [
      "REGISTER sip:office.example SIP/2.0", "Via: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK1", "Max-Forwards: 70",
      "From: <sip:10@office.example>;tag=1", "To: <sip:10@office.example>", "Call-ID: \(callID)",
      "CSeq: \(sequence) REGISTER", "Contact: \(contact)", "Content-Length: 0",
    ]
    if let expires { lines.append("Expires: \(expires)") }
    let bytes = Array((lines.joined(separator: "\r\n") + "\r\n\r\n").utf8)
    return try SIPMessage(parsing: bytes.span)
  }

  @Test func bindingsAreMadeRefreshedAndEnd() throws {
    var location = LocationService()
    var response = location.register(
      try register("<sip:10@10.0.0.9:5060>", expires: 60), user: "10", path: path(1), now: start)
    #expect(response.status == 200)
    #expect(response.value(.contact) == "<sip:10@10.0.0.9:5060>;expires=60")
    #expect(location.isRegistered("10", path: path(1), now: start))
    #expect(!location.isRegistered("10", path: path(2), now: start))
    response = location.register(
      try register("<sip:10@10.0.0.9:5060>;expires=99999", sequence: 2), user: "10", path: path(2), now: start)
    #expect(response.value(.contact) == "<sip:10@10.0.0.9:5060>;expires=3600")
    #expect(location.bindings(of: "10", now: start).map(\.path) == [path(2)])
    #expect(location.bindings(of: "10", now: start + .seconds(3600)).isEmpty)
    let hadExpired = location.removeExpired(now: start + .seconds(3600))
    #expect(hadExpired)
  }

  @Test func anOvertakenRequestChangesNothing() throws {
    var location = LocationService()
    _ = location.register(try register("<sip:10@10.0.0.9>", sequence: 5), user: "10", path: path(1), now: start)
    _ = location.register(
      try register("<sip:10@10.0.0.9>;expires=0", sequence: 4), user: "10", path: path(1), now: start)
    #expect(location.bindings(of: "10", now: start).count == 1)
    _ = location.register(
      try register("<sip:10@10.0.0.9>;expires=0", sequence: 6), user: "10", path: path(1), now: start)
    #expect(location.bindings(of: "10", now: start).isEmpty)
  }

  @Test func tooShortIsToldAndAStarRemovesAll() throws {
    var location = LocationService()
    let short = location.register(try register("<sip:10@10.0.0.9>", expires: 5), user: "10", path: path(1), now: start)
    #expect(short.status == 423 && short.value(.minExpires) == "30")
    for number in 1...20 {
      _ = location.register(
        try register("<sip:10@10.0.0.\(number)>", sequence: number), user: "10", path: path(1), now: start)
    }
    #expect(location.bindings(of: "10", now: start).count == LocationService.mostContacts)
    let star = location.register(try register("*", sequence: 30), user: "10", path: path(1), now: start)
    #expect(star.status == 400)
    let removal = location.register(try register("*", expires: 0, sequence: 31), user: "10", path: path(1), now: start)
    #expect(removal.status == 200)
    #expect(location.bindings(of: "10", now: start).isEmpty)
  }
}
