import SIPSyntax
import Testing

@Suite struct MessageChangingTests {
  static let text = """
    INVITE sip:a@example.org SIP/2.0
    v: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK1 , SIP/2.0/UDP 192.0.2.2
    Via: SIP/2.0/UDP 192.0.2.3
    From:   <sip:b@example.org>
      ;tag=1
    tO : <sip:a@example.org>
    Call-ID: 1
    CSeq: 1 INVITE
    X-One: 1
    Record-Route: <sip:p1;lr>
    Record-Route: <sip:p2;lr>
    Timestamp: 54
    Content-Length: @

    body
    """

  func lines(_ message: SIPMessage) -> [String] {
    String(decoding: message.serialized(), as: UTF8.self).split(separator: "\r\n", omittingEmptySubsequences: false)
      .map { String($0) }
  }

  @Test func setReplacesAllInPlaceAndLeavesOthersAlone() throws {
    var message = try parsed(Self.text)
    message.set(.via, "SIP/2.0/UDP 203.0.113.9")
    message.set(HeaderName("x-one"), "2")
    message.set(.userAgent, "trunkline")
    #expect(
      lines(message) == [
        "INVITE sip:a@example.org SIP/2.0", "Via: SIP/2.0/UDP 203.0.113.9", "From:   <sip:b@example.org>", "  ;tag=1",
        "tO : <sip:a@example.org>", "Call-ID: 1", "CSeq: 1 INVITE", "x-one: 2", "Record-Route: <sip:p1;lr>",
        "Record-Route: <sip:p2;lr>", "Timestamp: 54", "Content-Length: 4", "User-Agent: trunkline", "", "body",
      ])
    #expect(try read(message.serialized()) == message)
  }

  @Test func addPrependRemove() throws {
    var message = try parsed(Self.text)
    message.prepend(.via, "SIP/2.0/UDP 192.0.2.0")
    message.add(.recordRoute, "<sip:p3;lr>")
    message.add(.expires, "60")
    message.remove(.timestamp)
    #expect(try message.vias().map(\.host) == ["192.0.2.0", "192.0.2.1", "192.0.2.2", "192.0.2.3"])
    #expect(try message.recordRoutes().map(\.uri.host) == ["p1", "p2", "p3"])
    #expect(!message.contains(.timestamp))
    #expect(message.expires == 60)
    #expect(message.fields.last?.name == .expires)
    #expect(message.fields.first?.value == "SIP/2.0/UDP 192.0.2.0")
  }

  @Test func firstValueOfAList() throws {
    var message = try parsed(Self.text)
    message.replaceFirstValue(.via, "SIP/2.0/UDP 192.0.2.1;received=192.0.2.9")
    #expect(message.values(.via).count == 3)
    #expect(try message.topVia().received == "192.0.2.9")
    message.removeFirstValue(.via)
    #expect(message.values(.via) == ["SIP/2.0/UDP 192.0.2.2", "SIP/2.0/UDP 192.0.2.3"])
    message.removeFirstValue(.via)
    message.removeFirstValue(.via)
    #expect(!message.contains(.via))
    message.removeFirstValue(.via)
    message.replaceFirstValue(.via, "SIP/2.0/UDP 192.0.2.7")
    #expect(message.values(.via) == ["SIP/2.0/UDP 192.0.2.7"])
  }

  @Test("No value, name, reason, method or tag brings a line of its own")
  func injectionIsRefused() throws {
    let bad = "x\r\nEvil: 1\n\rEvil: 2\0"
    var message = SIPMessage(
      method: SIPMethod("INVITE\r\nEvil: 0"), requestURI: SIPURI(user: bad, host: "h\r\nEvil: 1 y"))
    message.set(.subject, bad)
    message.add(HeaderName("X\r\nEvil: 3\r\nY"), bad)
    message.prepend(.via, bad)
    message.replaceFirstValue(.via, bad)
    message.setBody([1], contentType: bad)
    message.setRequestURI(SIPURI(user: nil, host: "h SIP/2.0\r\nEvil: 4"))
    message.set(.to, "<sip:a@b>")
    let response = SIPMessage(responding: message, status: 200, reason: bad, toTag: bad)
    for written in [message.serialized(), response.serialized()] {
      #expect(!String(decoding: written, as: UTF8.self).contains("\nEvil"))
      #expect(!written.contains(0))
      let again = try read(written)
      #expect(!again.contains(HeaderName("Evil")))
    }
    #expect(response.toTag != nil)
  }

  @Test func builtMessagesAlwaysHaveAContentLength() throws {
    var message = SIPMessage(method: .options, requestURI: SIPURI(user: "a", host: "2001:db8::1", port: 5062))
    #expect(lines(message) == ["OPTIONS sip:a@[2001:db8::1]:5062 SIP/2.0", "Content-Length: 0", "", ""])
    message.setBody(Array("v=0\r\n".utf8), contentType: "application/sdp")
    #expect(message.value(.contentLength) == "5")
    #expect(message.contentTypeText == "application/sdp")
    #expect(message.body == Array("v=0\r\n".utf8))
    message.setBody([], contentType: nil)
    #expect(message.value(.contentLength) == "0")
    #expect(message.contentTypeText == nil)
    var changed = try parsed("OPTIONS sip:a SIP/2.0\nTo: <sip:a>\n\nbody")
    #expect(!String(decoding: changed.serialized(), as: UTF8.self).contains("Content-Length"))
    changed.set(.subject, "s")
    #expect(try read(changed.serialized()).contentLength == 4)
  }

  @Test func requestURIIsReplaced() throws {
    var message = try parsed(Self.text)
    message.setRequestURI(try SIPURI(parsing: "sip:%41b@example.com;lr"))
    #expect(message.requestURIText == "sip:%41b@example.com;lr")
    #expect(message.method == .invite)
    #expect(lines(message).first == "INVITE sip:%41b@example.com;lr SIP/2.0")
    #expect(message.problem() == nil)
  }

  @Test func answersCarryWhatRFC3261Section8Asks() throws {
    let request = try parsed(Self.text)
    let trying = SIPMessage(responding: request, status: 100, toTag: "t")
    #expect(
      lines(trying) == [
        "SIP/2.0 100 Trying", "v: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK1 , SIP/2.0/UDP 192.0.2.2",
        "Via: SIP/2.0/UDP 192.0.2.3", "From:   <sip:b@example.org>", "  ;tag=1", "tO : <sip:a@example.org>",
        "Call-ID: 1", "CSeq: 1 INVITE", "Timestamp: 54", "Content-Length: 0", "", "",
      ])
    let ringing = SIPMessage(responding: request, status: 180, toTag: "t")
    #expect(ringing.toTag == "t")
    #expect(ringing.values(.recordRoute).count == 2)
    #expect(!ringing.contains(.timestamp))
    #expect(ringing.problem() == nil)
    let busy = SIPMessage(responding: request, status: 486, toTag: "t")
    #expect(busy.reason == "Busy Here")
    #expect(busy.toTag == "t")
    #expect(!busy.contains(.recordRoute))
    var inDialog = request
    inDialog.set(.to, "<sip:a@example.org>;tag=old")
    #expect(SIPMessage(responding: inDialog, status: 200, toTag: "new").toTag == "old")
    #expect(SIPMessage(status: 1000).status == 699)
  }
}
