import NetworkTypes
import SIPSyntax
import Testing

/// The IPv6 torture messages of RFC 5118, which are stored with bare line feeds.
@Suite(.enabled(if: VectorFiles.exists("rfc5118"), "shared/vectors/rfc5118 is not beside the project"))
struct RFC5118Tests {
  static let verdicts: [Verdict] = [
    .init("ipv6-good", "§4.1 valid: an IPv6 reference in the Request-URI", .accepted),
    .init("ipv6-bad", "§4.2 invalid: an IPv6 address without brackets; 400", .refused(400)),
    .init(
      "port-ambiguous", "§4.3 valid, though the writer may have meant a port: it is part of the address", .accepted),
    .init("port-unambiguous", "§4.4 valid: the port is behind the bracket", .accepted),
    .init("via-received-param-with-delim", "§4.5 to be accepted: received in brackets, as some write it", .accepted),
    .init("via-received-param-no-delim", "§4.5 valid: received without brackets", .accepted),
    .init(
      "ipv6-in-sdp", "§4.6 valid: IPv6 addresses in SDP. The file's body is shorter than the length it announces",
      .unreadable(.truncated)),
    .init("mult-ip-in-header", "§4.7 valid: IPv4 and IPv6 in the Via fields of one message", .accepted),
    .init("mult-ip-in-sdp", "§4.8 valid: IPv4 and IPv6 in one SDP", .accepted),
    .init("ipv4-mapped-ipv6", "§4.9 valid: IPv4-mapped IPv6 addresses", .accepted),
    .init("ipv6-correct-abnf-2-colons", "§4.10 valid: two colons before the IPv4 part", .accepted),
    .init("ipv6-bug-abnf-3-colons", "§4.10 to be understood: three colons, by a mistake of the grammar", .accepted),
  ]

  /// The file as it goes over the wire. The two of §4.10 are stored without the empty line that ends a header.
  static func message(_ name: String) throws -> [UInt8] {
    var bytes: [UInt8] = []
    for byte in try VectorFiles.bytes("rfc5118", name) { bytes += byte == 0x0A ? [0x0D, 0x0A] : [byte] }
    return name.hasSuffix("-colons") ? bytes + [0x0D, 0x0A] : bytes
  }

  @Test("The parser's verdict is the table's", arguments: verdicts)
  func verdict(_ verdict: Verdict) throws {
    #expect(Outcome(try Self.message(verdict.file)) == verdict.outcome, "\(verdict.word)")
  }

  @Test("As stored, with bare line feeds, none is a message", arguments: verdicts)
  func bareLineFeeds(_ verdict: Verdict) throws {
    #expect(Outcome(try VectorFiles.bytes("rfc5118", verdict.file)) == .unreadable(.headerField))
  }

  @Test("Every file of the set has a verdict")
  func isComplete() throws {
    #expect(try VectorFiles.names("rfc5118") == Self.verdicts.map(\.file).sorted())
  }

  @Test("What is read is serialised byte for byte", arguments: verdicts)
  func roundTrip(_ verdict: Verdict) throws {
    let bytes = try Self.message(verdict.file)
    if case .unreadable = verdict.outcome { return }
    let written = try read(bytes).serialized()
    #expect(bytes.starts(with: written))
    // Two announce less than their body is, as published: the rest is cut off (RFC 3261 §18.3).
    let cut = ["mult-ip-in-sdp": 8, "ipv4-mapped-ipv6": 9]
    #expect(bytes.count - written.count == cut[verdict.file] ?? 0)
    for count in 0..<bytes.count { exercise(Array(bytes.prefix(count))) }
  }

  @Test("ipv6-in-sdp with the length that its body has is accepted")
  func addressesInSDP() throws {
    let text = String(decoding: try Self.message("ipv6-in-sdp"), as: UTF8.self)
    #expect(Outcome(Array(text.replacing("Content-Length: 268", with: "Content-Length: 251").utf8)) == .accepted)
  }

  @Test("Addresses and ports are what the RFC says they are")
  func addresses() throws {
    let ambiguous = try read(Self.message("port-ambiguous")).requestURI()
    #expect(ambiguous.address == IPAddress("2001:db8::10:5070"))
    #expect(ambiguous.port == nil)
    let unambiguous = try read(Self.message("port-unambiguous")).requestURI()
    #expect(unambiguous.address == IPAddress("2001:db8::10"))
    #expect(unambiguous.port == 5070)
    for file in ["via-received-param-with-delim", "via-received-param-no-delim"] {
      #expect(try read(Self.message(file)).topVia().received == "2001:db8::9:255")
    }
    for file in ["ipv6-correct-abnf-2-colons", "ipv6-bug-abnf-3-colons"] {
      let message = try read(Self.message(file))
      #expect(try message.requestURI().address == IPAddress("2001:db8::192.0.2.1"))
    }
  }
}
