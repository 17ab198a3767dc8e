import SIPDialog
import SIPSyntax
import Testing

@Suite struct DialogTests {
  private func message(_ lines: [String]) throws -> SIPMessage {
    let bytes = Array((lines.joined(separator: "\r\n") + "\r\nContent-Length: 0\r\n\r\n").utf8)
    return try SIPMessage(parsing: bytes.span)
  }

  private func invite(_ extra: String..., contact: String? = "<sip:alice@192.0.2.1:5060>") throws -> SIPMessage {
    try message(
      [
        "INVITE sip:bob@example.org SIP/2.0", "Via: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK1", "Max-Forwards: 70",
        "From: \"Alice\" <sip:alice@example.com>;tag=a", "To: <sip:bob@example.org>", "Call-ID: c1",
        "CSeq: 10 INVITE",
      ] + (contact.map { ["Contact: \($0)"] } ?? []) + extra)
  }

  private func response(
    _ status: Int, tag: String = "b", contact: String? = "<sip:bob@198.51.100.1>", routes: [String] = [],
    sequence: String = "10 INVITE"
  ) throws -> SIPMessage {
    try message(
      [
        "SIP/2.0 \(status) X", "Via: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK1",
        "From: \"Alice\" <sip:alice@example.com>;tag=a", "To: <sip:bob@example.org>;tag=\(tag)", "Call-ID: c1",
        "CSeq: \(sequence)",
      ] + (contact.map { ["Contact: \($0)"] } ?? []) + routes.map { "Record-Route: \($0)" })
  }

  @Test func calleesSide() throws {
    let request = try invite("Record-Route: <sip:p2.example.org;lr>, <sip:p1.example.com;lr>")
    var dialog = try Dialog(answering: request, localTag: "local")
    #expect(dialog.callID == "c1" && dialog.localTag == "local" && dialog.remoteTag == "a")
    #expect(dialog.remoteSequence == 10)
    #expect(dialog.nextHop.host == "p2.example.org")
    let bye = dialog.makeRequest(.bye)
    #expect(bye.requestURIText == "sip:alice@192.0.2.1:5060")
    #expect(bye.values(.route) == ["<sip:p2.example.org;lr>", "<sip:p1.example.com;lr>"])
    #expect(bye.value(.from) == "<sip:bob@example.org>;tag=local")
    #expect(bye.value(.to) == "\"Alice\" <sip:alice@example.com>;tag=a")
    #expect(bye.value(.cSeq) == "1 BYE")
    #expect(bye.value(.maxForwards) == "70")
    #expect(!bye.contains(.via) && !bye.contains(.contact))
    #expect(dialog.makeRequest(.info).value(.cSeq) == "2 INFO")
  }

  @Test func callersSide() throws {
    let answer = try response(200, routes: ["<sip:p1.example.com;lr>", "<sip:p2.example.org;lr>"])
    var dialog = try Dialog(request: try invite(), response: answer)
    #expect(!dialog.isEarly)
    #expect(dialog.remoteTag == "b" && dialog.localTag == "a")
    let bye = dialog.makeRequest(.bye)
    #expect(bye.values(.route) == ["<sip:p2.example.org;lr>", "<sip:p1.example.com;lr>"])
    #expect(bye.value(.cSeq) == "11 BYE")
    let ack = dialog.makeACK(for: 10)
    #expect(ack.value(.cSeq) == "10 ACK")
    #expect(ack.requestURIText == "sip:bob@198.51.100.1")
    #expect(ack.values(.route) == bye.values(.route))
    #expect(dialog.localSequence == 11)
  }

  @Test func earlyDialogTakesItsRoutesFromThe2xx() throws {
    let ringing = try response(180, contact: nil, routes: ["<sip:old.example.com;lr>"])
    var dialog = try Dialog(request: try invite(), response: ringing)
    #expect(dialog.isEarly)
    #expect(dialog.remoteTarget.user == "bob" && dialog.remoteTarget.host == "example.org", "the request URI")
    #expect(dialog.routeSet.count == 1)
    dialog.responseReceived(try response(200, routes: []))
    #expect(!dialog.isEarly)
    #expect(dialog.routeSet.isEmpty)
    #expect(dialog.nextHop.host == "198.51.100.1")
    dialog.responseReceived(try response(200, routes: ["<sip:late.example.com;lr>"], sequence: "11 INVITE"))
    #expect(dialog.routeSet.isEmpty, "a re-INVITE changes no route")
  }

  @Test func strictRouterOfRFC2543() throws {
    let dialog = try Dialog(
      answering: try invite("Record-Route: <sip:strict.example.org>, <sip:loose.example.org;lr>"), localTag: "l")
    let ack = dialog.makeACK(for: 1)
    #expect(ack.requestURIText == "sip:strict.example.org")
    #expect(ack.values(.route) == ["<sip:loose.example.org;lr>", "<sip:alice@192.0.2.1:5060>"])
  }

  @Test func sequenceNumbers() throws {
    var dialog = try Dialog(answering: try invite(), localTag: "l")
    func request(_ method: String, _ number: Int) throws -> SIPMessage {
      try message([
        "\(method) sip:bob@198.51.100.1 SIP/2.0", "Via: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK2", "Max-Forwards: 70",
        "From: <sip:alice@example.com>;tag=a", "To: <sip:bob@example.org>;tag=l", "Call-ID: c1",
        "CSeq: \(number) \(method)", "Contact: <sip:alice@203.0.113.\(number)>",
      ])
    }
    #expect(dialog.requestReceived(try request("ACK", 10)) == .inOrder)
    #expect(dialog.requestReceived(try request("INFO", 12)) == .inOrder)
    #expect(dialog.remoteTarget.host == "192.0.2.1", "INFO refreshes no target")
    #expect(dialog.requestReceived(try request("INVITE", 11)) == .outOfOrder)
    #expect(dialog.requestReceived(try request("INVITE", 12)) == .outOfOrder)
    #expect(dialog.remoteTarget.host == "192.0.2.1")
    #expect(dialog.requestReceived(try request("INVITE", 13)) == .inOrder)
    #expect(dialog.remoteTarget.host == "203.0.113.13")
    #expect(dialog.requestReceived(try request("UPDATE", 14)) == .inOrder)
    #expect(dialog.remoteTarget.host == "203.0.113.14")
    #expect(dialog.matches(try request("BYE", 15)))
    var foreign = try request("BYE", 16)
    foreign.set(.callID, "c2")
    #expect(!dialog.matches(foreign))
    foreign = try request("BYE", 16)
    foreign.set(.from, "<sip:alice@example.com>;tag=other")
    #expect(!dialog.matches(foreign))
  }

  @Test func missingFieldsAreErrors() throws {
    #expect(throws: SIPParseError(.missingHeader, at: 0, "")) {
      try Dialog(answering: try invite(contact: nil), localTag: "l")
    }
    var without = try invite()
    without.remove(.callID)
    #expect(throws: SIPParseError(.missingHeader, at: 0, "")) { try Dialog(answering: without, localTag: "l") }
  }
}
