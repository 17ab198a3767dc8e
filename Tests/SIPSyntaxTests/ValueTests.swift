import NetworkTypes
import SIPSyntax
import Testing

@Suite struct URITests {
  @Test(
    "Read and written again, a URI is the same text",
    arguments: [
      "sip:example.org", "sips:alice@example.org", "sip:alice:secret@example.org:5061",
      "sip:+49211@[2001:db8::1]:5060;lr",
      "sip:a%20b@example.org;transport=tcp;maddr=192.0.2.1?Subject=x&Priority=urgent", "tel:+49-211-5550123",
      "tel:7042;phone-context=example.org", "sip:*21#@gw.example", "isbn:2983792873", "http://www.example.com/a?b",
      "sip:user;par=1@example.org", "sip:host_with_underscore", "sip:null-%00-null@example.com",
    ])
  func roundTrip(text: String) throws { #expect(try SIPURI(parsing: text).description == text) }

  @Test(
    "What is no URI is refused",
    arguments: [
      "", "sip:", "sip", "alice@example.org", "sip:@example.org", "sip:a@", "sip:a@b@c", "sip:a b@c", "sip:a@b:",
      "sip:a@b:x",
      "sip:a@b:65536", "sip:2001:db8::10", "sip:[2001:db8::1", "sip:[192.0.2.1]", "sip:[]", "sip:a%2@b", "sip:a%zz@b",
      "sip:b;;lr", "sip:b;=x", "sip:b;x=%g0", "sip:b x", "<sip:b>", "sip:b\r\n", "1sip:b", "tel:", "tel:abcxyz", "x:",
      "x:a b",
      "sip:b;x=%ff", "sip:a\u{e9}@b",
    ])
  func refused(text: String) { #expect(throws: SIPParseError.self) { try SIPURI(parsing: text) } }

  @Test func parts() throws {
    var uri = try SIPURI(parsing: "SIP:al%69ce:pw@Example.ORG:5060;Transport=TCP;lr?X=y")
    #expect(uri.scheme == "sip")
    #expect(uri.user == "alice")
    #expect(uri.password == "pw")
    #expect(uri.host == "Example.ORG")
    #expect(uri.port == 5060)
    #expect(uri.parameters["transport"] == "TCP")
    #expect(uri.parameters["LR"] == "")
    #expect(uri.parameters["maddr"] == nil)
    #expect(uri.headers == "X=y")
    #expect(uri.address == nil)
    uri.user = "50%@#"
    #expect(uri.description.hasPrefix("sip:50%25%40%23:pw@"))
    #expect(try SIPURI(parsing: uri.description).user == "50%@#")
    #expect(try SIPURI(parsing: "tel:+49(211)1").user == "+49(211)1")
    #expect(try SIPURI(parsing: "sip:[2001:db8::1]").address == IPAddress("2001:db8::1"))
    #expect(SIPURI(user: "", host: "h").description == "sip:h")
  }

  @Test func equality() throws {
    #expect(try SIPURI(parsing: "sip:%61@H") == SIPURI(parsing: "SIP:a@h"))
    #expect(try SIPURI(parsing: "sip:%61@H").hashValue == SIPURI(parsing: "SIP:a@h").hashValue)
    #expect(try SIPURI(parsing: "sip:a@h") != SIPURI(parsing: "sip:A@h"))
    #expect(try SIPURI(parsing: "sip:a@h") != SIPURI(parsing: "sip:a@h:5060"))
    // RFC 3261 §19.1.4.
    #expect(try SIPURI(parsing: "sip:a@h;x=1;lr").isEquivalent(to: SIPURI(parsing: "sip:a@H;LR;y=2")))
    #expect(try !SIPURI(parsing: "sip:a@h;transport=udp").isEquivalent(to: SIPURI(parsing: "sip:a@h")))
    #expect(try !SIPURI(parsing: "sip:a@h;x=1").isEquivalent(to: SIPURI(parsing: "sip:a@h;x=2")))
  }
}

@Suite struct NameAddressTests {
  @Test(
    "The three forms",
    arguments: [
      ("<sip:a@b>", nil, "sip:a@b", ""), ("\"A \\\"B\\\" \\\\\" <sip:a@b>;tag=1", "A \"B\" \\", "sip:a@b", ";tag=1"),
      ("Mr. Watson <sip:a@b;lr>;x", "Mr. Watson", "sip:a@b;lr", ";x"), ("caller<sip:a@b>", "caller", "sip:a@b", ""),
      ("sip:a@b;tag=1 ; x = \"y z\"", nil, "sip:a@b", ";tag=1;x=\"y z\""), ("  sip:a@b  ", nil, "sip:a@b", ""),
      ("M\u{fc}ller <sip:a@b>", "M\u{fc}ller", "sip:a@b", ""), ("\"\" <sip:a@b>", "", "sip:a@b", ""),
      ("\"a;,<>\"<sip:a@b>", "a;,<>", "sip:a@b", ""), ("<sip:a@b>;tag=a/b=c@d", nil, "sip:a@b", ";tag=a/b=c@d"),
      ("\"fold\r\n ed\" <sip:a@b>", "fold ed", "sip:a@b", ""),
    ] as [(String, String?, String, String)])
  func forms(text: String, name: String?, uri: String, parameters: String) throws {
    let address = try NameAddress(parsing: text)
    #expect(address.displayName == name)
    #expect(address.uri.description == uri)
    #expect(address.parameters.description == parameters)
    #expect(try NameAddress(parsing: address.description) == address)
  }

  @Test(
    "What is none is refused",
    arguments: [
      "", "  ", "<sip:a@b", "\"x <sip:a@b>", "\"x\" sip:a@b", "A, B <sip:a@b>", "sip:a@b?x=y", "sip:a@b,sip:c@d",
      "< sip:a@b >",
      "<sip:a@b>;", "<sip:a@b>;;", "<sip:a@b>;=1", "<sip:a@b>;a=", "<sip:a@b> x", "<sip:a@b>;a=\"x", "a <b> <sip:a@b>",
      "\"\\",
    ])
  func refused(text: String) { #expect(throws: SIPParseError.self) { try NameAddress(parsing: text) } }

  @Test func tagIsSetAndRemoved() throws {
    var address = NameAddress(displayName: "A \"B\"", uri: SIPURI(user: "a", host: "b"))
    address.tag = "1"
    #expect(address.description == "\"A \\\"B\\\"\" <sip:a@b>;tag=1")
    address.tag = nil
    #expect(address.description == "\"A \\\"B\\\"\" <sip:a@b>")
    address.parameters.set("x", "a;b")
    address.parameters.set("X", "c d")
    #expect(address.parameters.description == ";x=\"c d\"")
    #expect(address.expires == nil)
  }
}

@Suite struct ViaTests {
  @Test func parts() throws {
    let via = try Via(
      parsing: "SIP / 2.0 / UDP [2001:db8::1] : 5062 ; branch=z9hG4bK1;rport=4711;received=[2001:db8::2]")
    #expect(via.transport == "UDP")
    #expect(via.address == IPAddress("2001:db8::1"))
    #expect(via.port == 5062)
    #expect(via.branch == "z9hG4bK1")
    #expect(via.rport == 4711)
    #expect(via.received == "2001:db8::2")
    #expect(
      via.description == "SIP/2.0/UDP [2001:db8::1]:5062;branch=z9hG4bK1;rport=4711;received=[2001:db8::2]")
  }

  @Test func ours() throws {
    var via = Via(transport: "UDP", host: "192.0.2.1", port: 65002, branch: "z9hG4bKx", rport: true)
    #expect(via.description == "SIP/2.0/UDP 192.0.2.1:65002;branch=z9hG4bKx;rport")
    #expect(via.hasRport)
    #expect(via.rport == nil)
    via.rport = 1024
    via.received = "198.51.100.1"
    #expect(via.description == "SIP/2.0/UDP 192.0.2.1:65002;branch=z9hG4bKx;rport=1024;received=198.51.100.1")
    #expect(try Via(parsing: via.description) == via)
    #expect(!Via(transport: "TCP", host: "h", port: nil, branch: "b", rport: false).hasRport)
  }

  @Test(
    "What is none is refused",
    arguments: [
      "", "SIP/2.0/UDP", "SIP/2.0/UDP ", "SIP/3.0/UDP h", "SIP/2.0 h", "SIP/2.0/UDPh;", "SIP/2.0/UDP h:",
      "SIP/2.0/UDP h:70000",
      "SIP/2.0/UDP 2001:db8::1", "SIP/2.0/UDP h;;", "SIP/2.0/UDP h x", "HTTP/2.0/UDP h", "SIP/2.0/UDP h,SIP/2.0/UDP i",
    ])
  func refused(text: String) { #expect(throws: SIPParseError.self) { try Via(parsing: text) } }
}

@Suite struct SmallValueTests {
  @Test func headerNames() {
    #expect(HeaderName("v") == .via)
    #expect(HeaderName("VIA") == .via)
    #expect(HeaderName("i").description == "Call-ID")
    #expect(HeaderName("p-preferred-identity") == .pPreferredIdentity)
    #expect(HeaderName("PROXY-AUTHORIZATION") == .proxyAuthorization)
    #expect(HeaderName("X-Foo") == HeaderName("x-fOO"))
    #expect(HeaderName("X-Foo").hashValue == HeaderName("x-foo").hashValue)
    #expect(HeaderName("X-Foo").description == "X-Foo")
    #expect(HeaderName("X-Foo") != HeaderName("X-Bar"))
    #expect(HeaderName("Content-Lengths") != .contentLength)
    #expect(HeaderName("").description == "")
    for (short, long) in zip(
      "abcdefijklmnorstuvx",
      [
        nil, .referredBy, .contentType, nil, .contentEncoding, .from, .callID, nil, .supported, .contentLength,
        .contact, nil,
        .event, .referTo, .subject, .to, .allowEvents, .via, .sessionExpires,
      ] as [HeaderName?])
    {
      #expect(HeaderName(String(short)) == long ?? HeaderName(String(short)))
      #expect(long.map { HeaderName($0.description) } == long)
    }
  }

  @Test func cSeq() throws {
    #expect(try CSeq(parsing: " 0009 \r\n INVITE ") == CSeq(number: 9, method: .invite))
    #expect(CSeq(number: 1, method: .bye).description == "1 BYE")
    for text in ["", "1", "INVITE", "1INVITE", "1 INVITE x", "-1 BYE", "2147483648 BYE", "99999999999999999999999 BYE"]
    {
      #expect(throws: SIPParseError.self) { try CSeq(parsing: text) }
    }
  }

  @Test func authParameters() throws {
    let text = "Digest realm=\"a \\\"b\\\"\", nonce=\"x,y=\", algorithm=MD5, qop=\"auth,auth-int\", stale=FALSE"
    let challenge = try AuthParameters(parsing: text)
    #expect(challenge.scheme == "Digest")
    #expect(challenge["REALM"] == "a \"b\"")
    #expect(challenge["nonce"] == "x,y=")
    #expect(challenge["qop"] == "auth,auth-int")
    #expect(challenge["opaque"] == nil)
    #expect(challenge.names == ["realm", "nonce", "algorithm", "qop", "stale"])
    #expect(challenge.description == text)
    #expect(try AuthParameters(parsing: "NoOneKnowsThisScheme opaque-data=here")["opaque-data"] == "here")
    #expect(AuthParameters(scheme: "Digest", [("nc", "00000001", false)]).description == "Digest nc=00000001")
    #expect(try AuthParameters(parsing: "Digest").names.isEmpty)
    for bad in ["", "Digest realm", "Digest realm=\"x", "Digest =x", "Digest a=\"b\"c", "Digest a=b c"] {
      #expect(throws: SIPParseError.self) { try AuthParameters(parsing: bad) }
    }
  }

  @Test func errorsAreEqualByCode() {
    #expect(SIPParseError(.uri, at: 1, "a") == SIPParseError(.uri, at: 2, "b"))
    #expect(SIPParseError(.uri, at: 1, "a") != SIPParseError(.via, at: 1, "a"))
    #expect(SIPParseError(.uri, at: 7, "Why.").description == "uri at byte 7: Why.")
  }
}
