import SIPSyntax
import Testing

@Suite struct MessageReadingTests {
  static let invite = """
    INVITE sip:+4921155501234@gw.office.example;user=phone SIP/2.0
    Via: SIP/2.0/UDP 198.51.100.21:5060;branch=z9hG4bK0f2a;rport
    Via: SIP/2.0/TCP core3.provider.example;branch=z9hG4bKpq81,
     SIP/2.0/TLS [2001:db8::5]:5061;branch=z9hG4bK77
    Max-Forwards: 68
    From: "Beispiel GmbH" <sip:+493055509876@provider.example>;tag=k73h
    To: sip:+4921155501234@provider.example
    Call-ID: 7f3d@198.51.100.21
    CSeq: 271828 INVITE
    Contact: <sip:+493055509876@198.51.100.21:5060>;expires=99999999999
    Route: <sip:a.example;lr>, <sip:b.example;lr>;x="1,2"
    Allow: INVITE, ACK ,BYE
    Supported: timer
    k: 100REL;x=1, histinfo
    Expires: 120
    X-Empty:
    Content-Type: application/sdp
    Content-Length: @

    v=0
    """

  @Test func startLineAndFields() throws {
    let message = try parsed(Self.invite)
    #expect(message.isRequest)
    #expect(message.method == .invite)
    #expect(message.status == 0)
    #expect(message.requestURIText == "sip:+4921155501234@gw.office.example;user=phone")
    #expect(try message.requestURI().user == "+4921155501234")
    #expect(message.callID == "7f3d@198.51.100.21")
    #expect(message.fromTag == "k73h")
    #expect(message.toTag == nil)
    #expect(message.maxForwards == 68)
    #expect(message.expires == 120)
    #expect(message.contentTypeText == "application/sdp")
    #expect(message.body == Array("v=0".utf8))
    #expect(message.value(HeaderName("x-empty")) == "")
    #expect(message.value(.subject) == nil)
    #expect(!message.contains(.subject))
    #expect(message.problem() == nil)
  }

  @Test func listsAreSplitAcrossFields() throws {
    let message = try parsed(Self.invite)
    #expect(try message.vias().map(\.host) == ["198.51.100.21", "core3.provider.example", "2001:db8::5"])
    #expect(try message.topVia().branch == "z9hG4bK0f2a")
    #expect(try message.topVia().hasRport)
    #expect(message.values(.allow) == ["INVITE", "ACK", "BYE"])
    #expect(message.values(.route).count == 2)
    #expect(try message.routes()[1].uri.host == "b.example")
    #expect(message.values(.supported) == ["timer", "100REL;x=1", "histinfo"])
    #expect(message.hasToken("100rel", in: .supported))
    #expect(!message.hasToken("100", in: .supported))
    #expect(!message.hasToken("100rel", in: .require))
  }

  @Test func deltaSecondsSaturate() throws {
    #expect(try parsed(Self.invite).contacts().first?.expires == 0xFFFF_FFFF)
    #expect(SIPMessage.deltaSeconds("00060") == 60)
    #expect(SIPMessage.deltaSeconds("-1") == nil)
    #expect(SIPMessage.deltaSeconds("") == nil)
    #expect(SIPMessage.deltaSeconds("6 0") == nil)
  }

  @Test func viewsPointAtTheSameText() throws {
    let message = try parsed(Self.invite)
    #expect(message.text(try #require(try message.fromView().tag)) == "k73h")
    #expect(message.text(try #require(try message.topViaView().branch)) == "z9hG4bK0f2a")
    #expect(message.text(try message.uriView(message.contactView().uri).host) == "198.51.100.21")
    #expect(try message.cSeqView().number == 271828)
    #expect(message.contentLength == 3)
    #expect(message.text(try #require(message.callIDRange)) == message.callID)
    #expect(message.text(0..<1_000_000) == "", "a range of another message gives nothing")
  }

  @Test func responseStatusAndMethod() throws {
    let message = try parsed("SIP/2.0 486 Busy, really\nCSeq: 4711 INVITE\n")
    #expect(!message.isRequest)
    #expect(message.status == 486)
    #expect(message.reason == "Busy, really")
    #expect(message.method == .invite)
    #expect(try parsed("SIP/2.0 200\nCSeq: x\n").method == SIPMethod(""))
  }

  @Test(
    "Unreadable bytes give the code of what is wrong",
    arguments: [
      ("\r\n\r\n", SIPParseError.Code.empty), ("", .empty),
      ("INVITE sip:a SIP/2.0\r\nTo: x\r\n", .truncated), ("INVITE sip:a SIP/2.0", .truncated),
      ("INVITE sip:a SIP/2.0\nTo: x\n\n", .headerField),
      ("INVITE sip:a SIP/2.0\r\nTo: x\rFrom: y\r\n\r\n", .headerField),
      ("INVITE sip:a SIP/2.0\r\nTo x\r\n\r\n", .headerField), ("INVITE sip:a SIP/2.0\r\n: x\r\n\r\n", .headerField),
      ("INVITE sip:a SIP/2.0\r\n To: x\r\n\r\n", .headerField), ("GET / HTTP/1.1\r\n\r\n", .startLine),
      ("INVITE SIP/2.0\r\n\r\n", .startLine), (" INVITE sip:a SIP/2.0\r\n\r\n", .startLine),
      ("SIP/2.0 99 x\r\n\r\n", .startLine), ("SIP/2.0 700 x\r\n\r\n", .startLine),
      ("SIP/2.0 2000 x\r\n\r\n", .startLine),
      ("INVITE sip:a SIP/2.0\r\nContent-Length: 1\r\n\r\n", .truncated),
    ])
  func unreadable(text: String, code: SIPParseError.Code) {
    #expect(Outcome(Array(text.utf8)) == .unreadable(code))
  }

  @Test func boundsHold() {
    let line = Array("X: y\r\n".utf8)
    let start = Array("OPTIONS sip:a SIP/2.0\r\n".utf8)
    let most = start + [[UInt8]](repeating: line, count: 256).flatMap { $0 } + [0x0D, 0x0A]
    #expect((try? read(most))?.fieldCount == 256)
    let tooMany = start + [[UInt8]](repeating: line, count: 257).flatMap { $0 } + [0x0D, 0x0A]
    #expect(Outcome(tooMany) == .unreadable(.tooLarge))
    let body = start + [0x0D, 0x0A] + [UInt8](repeating: 0, count: 65_536 - start.count - 2)
    #expect((try? read(body))?.body.count == 65_536 - start.count - 2)
    #expect(Outcome(body + [0]) == .unreadable(.tooLarge))
  }

  @Test func lineEndsAheadAndBytesBehindAreDropped() throws {
    let bytes = Array("OPTIONS sip:a SIP/2.0\r\nContent-Length: 2\r\n\r\nab".utf8)
    let message = try read((Array("\r\n\r\n".utf8) + bytes + Array("cd".utf8)))
    #expect(message.body == Array("ab".utf8))
    #expect(message.serialized() == bytes)
  }

  @Test func anUntouchedMessageIsSerialisedByteForByte() throws {
    for text in [Self.invite, FuzzedInputTests.sample] {
      #expect(try parsed(text).serialized() == wire(text))
      #expect(try SIPMessage(taking: wire(text)).serialized() == wire(text))
    }
  }
}

@Suite struct ProblemTests {
  static let good = """
    OPTIONS sip:a@example.org SIP/2.0
    Via: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK1
    Max-Forwards: 70
    From: <sip:b@example.org>;tag=1
    To: <sip:a@example.org>
    Call-ID: 1
    CSeq: 1 OPTIONS
    Content-Length: 0

    """

  @Test(
    "One line changed gives the refusal",
    arguments: [
      ("Max-Forwards: 70", "Max-Forwards: 70", 0), ("Via: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK1", "X: y", 400),
      ("From: <sip:b@example.org>;tag=1", "X: y", 400), ("To: <sip:a@example.org>", "X: y", 400),
      ("Call-ID: 1", "X: y", 400), ("CSeq: 1 OPTIONS", "X: y", 400), ("Max-Forwards: 70", "X: y", 0),
      ("Max-Forwards: 70", "Max-Forwards: 256", 400), ("Max-Forwards: 70", "Max-Forwards: -1", 400),
      ("Max-Forwards: 70", "To: <sip:a@example.org>", 400), ("CSeq: 1 OPTIONS", "CSeq: 1 INVITE", 400),
      ("CSeq: 1 OPTIONS", "CSeq: 2147483648 OPTIONS", 400), ("CSeq: 1 OPTIONS", "CSeq: 2147483647 OPTIONS", 0),
      ("CSeq: 1 OPTIONS", "CSeq: 1 options", 400), ("CSeq: 1 OPTIONS", "CSeq: OPTIONS", 400),
      ("Content-Length: 0", "Content-Length: x", 400), ("Content-Length: 0", "X: y", 0),
      ("Call-ID: 1", "Call-ID: 1 2", 400), ("Call-ID: 1", "Call-ID:", 400),
      ("To: <sip:a@example.org>", "To: <sip:a@example.org", 400),
      ("To: <sip:a@example.org>", "To: <a@example.org>", 400),
      ("To: <sip:a@example.org>", "To: <isbn:123>", 0), ("Max-Forwards: 70", "Contact: *", 400),
      ("Max-Forwards: 70", "Contact: <sip:a@b>,", 400), ("Max-Forwards: 70", "Route: sip:a@b:x", 400),
      ("Max-Forwards: 70", "Record-Route: <sip:a;lr>, <sip:b;lr>", 0), ("SIP/2.0\n", "SIP/3.0\n", 505),
      ("OPTIONS sip:a@example.org", "OPTIONS http://example.org", 416), ("OPTIONS sip:a@example.org", "OPTIONS a", 400),
      ("OPTIONS sip:a@example.org", "OPTIONS tel:+1", 0), ("OPTIONS sip:a@example.org", "OPTIONS sip:a?b=c", 400),
      ("192.0.2.1;branch", "192.0.2.1 branch", 400), ("SIP/2.0/UDP 192", "SIP/1.0/UDP 192", 400),
    ])
  func refusal(line: String, other: String, status: Int) throws {
    let text = Self.good.replacing(line, with: other, maxReplacements: 1)
    #expect(Outcome(wire(text)) == (status == 0 ? .accepted : .refused(status)))
  }

  @Test func aRegistrarWantsASIPAddressOfRecord() throws {
    let register = Self.good.replacing("OPTIONS", with: "REGISTER")
    #expect(Outcome(wire(register)) == .accepted)
    #expect(Outcome(wire(register.replacing("To: <sip:a@example.org>", with: "To: <tel:+1>"))) == .refused(400))
    #expect(Outcome(wire(register.replacing("Max-Forwards: 70", with: "Contact: *"))) == .accepted)
    #expect(
      Outcome(wire(register.replacing("Max-Forwards: 70", with: "Contact: *\nContact: <sip:a@b>"))) == .refused(400))
  }

  @Test(
    "The first tag is the tag, by view and by value, also where it has no value",
    arguments: [(";tag", ""), (";tag;tag=x", ""), (";tag=a;tag=b", "a"), (";TAG = \"q\"", "q"), (";stag=1", nil)]
      as [(String, String?)])
  func tags(parameters: String, tag: String?) throws {
    let message = try parsed(MessageReadingTests.invite.replacing(";tag=k73h", with: parameters))
    #expect(message.fromTag == tag)
    #expect(try message.from().tag == tag)
  }
}
