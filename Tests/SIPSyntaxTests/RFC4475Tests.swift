import SIPSyntax
import Testing

/// The torture messages of RFC 4475. A request's refusal is the parser's; what an application refuses (unknown method,
/// extension, body type, scheme of authentication, hops used up) is accepted here and judged above.
@Suite(.enabled(if: VectorFiles.exists("rfc4475"), "shared/vectors/rfc4475 is not beside the project"))
struct RFC4475Tests {
  static let verdicts: [Verdict] = [
    // §3.1.1 Valid messages
    .init("wsinv.dat", "valid: a short tortuous INVITE, every element legal", .accepted),
    .init("intmeth.dat", "valid: wide range of characters; method unknown, answer 405 or forward", .accepted),
    .init("esc01.dat", "valid: %-escapes that are meaningful within a URI", .accepted),
    .init("escnull.dat", "valid: escaped nulls in URIs are legal", .accepted),
    .init("esc02.dat", "valid: percent signs that are no escapes, in a method and a header name", .accepted),
    .init("lwsdisp.dat", "valid: no white space between display name and <", .accepted),
    .init("longreq.dat", "valid: long values in header fields", .accepted),
    .init("dblreq.dat", "valid: a REGISTER; what follows Content-Length in the datagram is ignored", .accepted),
    .init("semiuri.dat", "valid: a semicolon in the user part is not a parameter", .accepted),
    .init("transports.dat", "valid: varied and unknown transports in Via", .accepted),
    .init("mpart01.dat", "valid: a multipart body with binary in it", .accepted),
    .init("unreason.dat", "valid: an unusual reason phrase", .accepted),
    .init("noreason.dat", "valid: an empty reason phrase", .accepted),
    // §3.1.2 Invalid messages
    .init("badinv01.dat", "invalid: extraneous header field separators; 400", .refused(400)),
    .init(
      "clerr.dat", "invalid: Content-Length larger than the datagram; 400 and close, or discard",
      .unreadable(.truncated)),
    .init("ncl.dat", "invalid: negative Content-Length; 400", .refused(400)),
    .init("scalar02.dat", "invalid: request scalars beyond range, CSeq at least; 400", .refused(400)),
    .init("scalarlg.dat", "invalid: response scalars beyond range; discard silently", .dropped),
    .init("quotbal.dat", "invalid: unterminated quoted string in a display name; 400", .refused(400)),
    .init("ltgtruri.dat", "invalid: <> around the Request-URI; 400", .refused(400)),
    .init("lwsruri.dat", "invalid: white space in the Request-URI; 400", .refused(400)),
    .init("lwsstart.dat", "invalid: several spaces between elements of the request line; 400", .refused(400)),
    .init("trws.dat", "invalid: spaces at the end of the request line; 400, or accept", .refused(400)),
    .init("escruri.dat", "invalid: escaped headers in the Request-URI; 400, or ignore them", .refused(400)),
    .init("baddate.dat", "invalid: Date not in GMT; 400, or ignore the field where it is not needed", .accepted),
    .init("regbadct.dat", "invalid: Contact with a question mark, not in <>; 400", .refused(400)),
    .init("badaspec.dat", "invalid: spaces within an addr-spec; 400, or accept", .refused(400)),
    .init(
      "baddn.dat", "invalid: a comma in an unquoted display name; 400, or accept. Stored without its empty line",
      .unreadable(.truncated)),
    .init("badvers.dat", "invalid: unknown protocol version; 505", .refused(505)),
    .init("mismatch01.dat", "invalid: methods of start line and CSeq differ; 400", .refused(400)),
    .init("mismatch02.dat", "invalid: the same with an unknown method; 400 or 501", .refused(400)),
    .init("bigcode.dat", "invalid: overlarge response code; discard", .unreadable(.startLine)),
    // §3.2 Transaction layer
    .init("badbranch.dat", "well-formed: a branch of the magic cookie alone; to be treated as an old one", .accepted),
    // §3.3 Application layer
    .init("insuf.dat", "invalid: Call-ID, From and To are missing; 400", .refused(400)),
    .init("unkscm.dat", "well-formed: Request-URI of an unknown scheme; 416", .refused(416)),
    .init("novelsc.dat", "well-formed: Request-URI of a known, unusual scheme; 416", .refused(416)),
    .init("unksm2.dat", "well-formed: unknown schemes in To, From, Contact; a registrar answers 400", .refused(400)),
    .init("bext01.dat", "valid: Require of unknown extensions; 420 from above", .accepted),
    .init("invut.dat", "valid: a body of an unknown type; 415 from above", .accepted),
    .init("regaut01.dat", "valid: unknown authorization scheme; as if without, 401 from above", .accepted),
    .init("multi01.dat", "invalid: several values of single-value fields; 400", .refused(400)),
    .init("mcl01.dat", "invalid: several Content-Length values; 400", .refused(400)),
    .init("bcast.dat", "well-formed: a response with a broadcast address in the second Via", .accepted),
    .init("zeromf.dat", "valid: Max-Forwards 0; 483 from a proxy, an answer from an endpoint", .accepted),
    .init("cparam01.dat", "valid: a Contact's unknown header parameter", .accepted),
    .init("cparam02.dat", "valid: an unknown URI parameter of a Contact", .accepted),
    .init("regescrt.dat", "valid: a Contact URI with escaped headers", .accepted),
    .init("sdp01.dat", "valid: Accept without application/sdp; 406 from above", .accepted),
    .init("inv2543.dat", "valid: an INVITE of RFC 2543, without branch, tag, Contact, Max-Forwards", .accepted),
    // Not of the RFC's list: its archive also holds a message without a version and with a line without a colon.
    .init("test.dat", "invalid: no version in the start line", .unreadable(.startLine)),
  ]

  @Test("The parser's verdict is the table's", arguments: verdicts)
  func verdict(_ verdict: Verdict) throws {
    let bytes = try VectorFiles.bytes("rfc4475", verdict.file)
    #expect(Outcome(bytes) == verdict.outcome, "\(verdict.word)")
  }

  @Test("baddn with the empty line that its file lacks is refused with 400")
  func commaInDisplayName() throws {
    #expect(Outcome(try VectorFiles.bytes("rfc4475", "baddn.dat") + [0x0D, 0x0A]) == .refused(400))
  }

  @Test("Every file of the set has a verdict")
  func isComplete() throws {
    #expect(try VectorFiles.names("rfc4475") == Self.verdicts.map(\.file).sorted())
  }

  @Test("What can be read is serialised byte for byte", arguments: verdicts)
  func roundTrip(_ verdict: Verdict) throws {
    if case .unreadable = verdict.outcome { return }
    let bytes = try VectorFiles.bytes("rfc4475", verdict.file)
    let written = try read(bytes).serialized()
    // dblreq carries a second request beyond Content-Length, a few others a line end; that is cut off.
    #expect(bytes.starts(with: written))
    if verdict.file == "dblreq.dat" {
      #expect(String(decoding: bytes.dropFirst(written.count), as: UTF8.self).hasPrefix("\r\nINVITE "))
    } else {
      #expect(bytes.dropFirst(written.count).allSatisfy { $0 == 0x0D || $0 == 0x0A }, "only line ends are cut off")
    }
  }

  @Test("Cut at any byte, a torture message crashes nothing", arguments: verdicts)
  func truncation(_ verdict: Verdict) throws {
    let bytes = try VectorFiles.bytes("rfc4475", verdict.file)
    for count in 0..<bytes.count { exercise(Array(bytes.prefix(count))) }
  }

  @Test("wsinv: folds, compact forms, spaces around every separator")
  func tortuous() throws {
    let message = try read(VectorFiles.bytes("rfc4475", "wsinv.dat"))
    #expect(message.toTag == "1918181833n")
    #expect(message.fromTag == "98asjd8")
    #expect(try message.from().displayName == "J Rosenberg \\\"")
    #expect(message.maxForwards == 68)
    #expect(try message.cSeq() == CSeq(number: 9, method: .invite))
    let vias = try message.vias()
    #expect(vias.map(\.transport) == ["UDP", "TCP", "UDP"])
    #expect(vias.map(\.host) == ["192.0.2.2", "spindle.example.com", "192.168.255.111"])
    #expect(vias.map(\.branch) == ["390skdjuw", "z9hG4bK9ikj8", "z9hG4bK30239"])
    #expect(message.value(.subject) == "")
    #expect(message.value(HeaderName("newfangledheader")) == "newfangled value continued newfangled value")
    let contact = try #require(try message.contacts().first)
    #expect(contact.displayName == "Quoted string \"\"")
    #expect(contact.parameters.names == ["newparam", "secondparam", "q"])
    #expect(contact.parameters["newparam"] == "newvalue")
    #expect(try message.routes().first?.uri.parameters.contains("lr") == true)
  }

  @Test("esc01, escnull, semiuri: escapes stay what they were and are read as what they mean")
  func escapes() throws {
    let esc01 = try read(VectorFiles.bytes("rfc4475", "esc01.dat"))
    #expect(try esc01.requestURI().user == "sips:user@example.com")
    #expect(try esc01.requestURI().description == esc01.requestURIText)
    #expect(try esc01.contacts().first?.uri.parameters.contains("lr") == true)
    #expect(try esc01.contacts().first?.uri.parameters["name"] == "value%41")
    let escnull = try read(VectorFiles.bytes("rfc4475", "escnull.dat"))
    #expect(try escnull.contacts().map(\.uri.user) == ["\0", "\0\0"])
    let semiuri = try read(VectorFiles.bytes("rfc4475", "semiuri.dat"))
    #expect(try semiuri.requestURI().user == "user;par=u@example.net")
    #expect(try semiuri.requestURI().parameters.isEmpty)
  }
}
