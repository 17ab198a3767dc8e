import NetworkTypes
import SDP
import Testing

func parse(_ lines: String...) throws -> SessionDescription {
  try SessionDescription(parsing: Array(lines.joined(separator: "\r\n").utf8 + [13, 10]).span)
}

func text(_ description: SessionDescription) -> [String] {
  String(decoding: description.serialized(), as: UTF8.self).split(separator: "\r\n").map(String.init)
}

@Suite struct SDPCodecTests {
  static let phone = [
    "v=0", "o=- 20518 0 IN IP4 203.0.113.1", "s= ", "t=0 0", "c=IN IP4 203.0.113.1", "a=x-odd:\u{1}\t é",
    "m=audio 54400 RTP/SAVP 0 96", "a=rtpmap:0 PCMU/8000", "a=rtpmap:96 opus/48000/2", "b=AS:64", "z=",
    "m=video 0 RTP/AVP 31", "i=unused",
  ]

  @Test func keepsEveryByte() throws {
    var bytes = Array(Self.phone.joined(separator: "\r\n").utf8)
    bytes += [13, 10] + Array("a=latin1:".utf8) + [0xe9, 0xff] + [13, 10]
    let description = try SessionDescription(parsing: bytes.span)
    #expect(description.serialized() == bytes)
  }

  @Test func readsLineFeedsAndAMissingLastLineEnd() throws {
    let description = try SessionDescription(
      parsing: Array("v=0\no=a 1 2 IN IP6 2001:db8::1\ns=-\nt=0 0\nm=audio 4000 RTP/AVP 8".utf8).span)
    #expect(description.origin.address == "2001:db8::1")
    #expect(description.media.count == 1)
    #expect(description.serialized().suffix(2) == [13, 10])
  }

  @Test func readsWhatItUnderstands() throws {
    let description = try SessionDescription(parsing: Array(Self.phone.joined(separator: "\r\n").utf8).span)
    #expect(description.origin.sessionID == "20518" && description.origin.version == 0)
    #expect(description.connection?.address == IPAddress("203.0.113.1"))
    let audio = description.media[0]
    #expect(audio.kind == "audio" && audio.port == 54400 && audio.transport == "RTP/SAVP")
    #expect(audio.formats == ["0", "96"])
    #expect(audio.rtpmap(for: "96") == RTPMap(encoding: "opus", clockRate: 48000, channels: 2))
    #expect(audio.payloadType(of: "OPUS") == 96)
    #expect(audio.codecName == "PCMU")
    #expect(description.media[1].isRefused && !audio.isRefused)
    #expect(description.rtpEndpoint(0) == Endpoint("203.0.113.1:54400"))
    #expect(description.rtcpEndpoint(0) == Endpoint("203.0.113.1:54401"))
    #expect(description.rtpEndpoint(1) == nil && description.rtpEndpoint(2) == nil)
  }

  @Test(arguments: [
    ("", SDPParseError.Code.version, 1),
    ("s=-", .version, 1), ("v=1", .version, 1),
    ("v=0|s=-", .origin, 2),
    ("v=0|o=- 1 IN IP4 1.2.3.4", .origin, 2),
    ("v=0|o=- 1 x IN IP4 1.2.3.4", .origin, 2),
    ("v=0|o=- 1 1 IN IP4 1.2.3.4|o=- 1 1 IN IP4 1.2.3.4", .origin, 3),
    ("v=0|o=- 1 1 IN IP4 1.2.3.4|c=IN IP4", .connection, 3),
    ("v=0|o=- 1 1 IN IP4 1.2.3.4|c=IN IP4 1.2.3.4|c=IN IP4 1.2.3.4", .connection, 4),
    ("v=0|o=- 1 1 IN IP4 1.2.3.4|m=audio", .media, 3),
    ("v=0|o=- 1 1 IN IP4 1.2.3.4|m=audio 65536 RTP/AVP 0", .media, 3),
    ("v=0|o=- 1 1 IN IP4 1.2.3.4|m=audio -1 RTP/AVP 0", .media, 3),
    ("v=0|o=- 1 1 IN IP4 1.2.3.4|m=audio 5000/0 RTP/AVP 0", .media, 3),
    ("v=0|o=- 1 1 IN IP4 1.2.3.4|hello", .line, 3),
    ("v=0|o=- 1 1 IN IP4 1.2.3.4|a=\0", .line, 3),
    ("v=0|o=- 1 1 IN IP4 1.2.3.4||s=-", .line, 4),
  ])
  func refuses(_ source: String, _ code: SDPParseError.Code, _ line: Int) throws {
    let bytes = source.utf8.map { $0 == UInt8(ascii: "|") ? 10 : $0 }
    let error = #expect(throws: SDPParseError.self) { try SessionDescription(parsing: bytes.span) }
    #expect(error?.code == code && error?.line == line)
  }

  @Test func boundsTheNumberOfLines() {
    let bytes = Array(("v=0\no=- 1 1 IN IP4 1.2.3.4\n" + String(repeating: "a=x\n", count: 2000)).utf8)
    #expect(throws: SDPParseError(.tooLong, line: 0)) { try SessionDescription(parsing: bytes.span) }
  }

  /// Any cut and any changed byte gives a description or an error, and what was read is written back.
  @Test func survivesDamage() throws {
    let whole = Array((Self.phone.joined(separator: "\r\n") + "\r\n").utf8)
    var random = RandomSource(seed: 7)
    for length in whole.indices {
      var bytes = Array(whole[..<length])
      if let victim = bytes.indices.randomElement(using: &random) {
        bytes[victim] = UInt8.random(in: 0...255, using: &random)
      }
      guard var description = try? SessionDescription(parsing: bytes.span) else { continue }
      #expect(try SessionDescription(parsing: description.serialized().span) == description)
      description.relocate(
        origin: SDPOrigin(sessionID: "1", version: 1, address: .loopbackV4),
        media: [MediaLocation(rtp: Endpoint(.loopbackV4, port: 4))])
      #expect(try SessionDescription(parsing: description.serialized().span) == description)
    }
  }

  @Test(arguments: [
    ("sendonly", MediaDirection.sendonly, true), ("inactive", .inactive, true), ("recvonly", .recvonly, false),
    ("sendrecv", .sendrecv, false), ("other", .sendrecv, false),
  ])
  func readsHold(_ attribute: String, _ direction: MediaDirection, _ held: Bool) throws {
    let inStream = try parse(
      "v=0", "o=- 1 1 IN IP4 192.0.2.1", "s=-", "c=IN IP4 192.0.2.1", "t=0 0", "m=audio 4000 RTP/AVP 8",
      "a=\(attribute)")
    #expect(inStream.direction(0) == direction && inStream.isOnHold(0) == held)
    let inSession = try parse(
      "v=0", "o=- 1 1 IN IP4 192.0.2.1", "s=-", "c=IN IP4 192.0.2.1", "t=0 0", "a=\(attribute)",
      "m=audio 4000 RTP/AVP 8")
    #expect(inSession.direction(0) == direction && inSession.isOnHold(0) == held)
  }

  @Test(arguments: ["0.0.0.0", "phone.invalid", "phone.example", "224.1.1.1/127", "255.255.255.255"])
  func sendsNothingToWhatIsNoHost(_ host: String) throws {
    let description = try parse(
      "v=0", "o=- 1 1 IN IP4 192.0.2.1", "s=-", "c=IN IP4 \(host)", "t=0 0", "m=audio 4000 RTP/AVP 8")
    #expect(description.rtpEndpoint(0) == nil && description.rtcpEndpoint(0) == nil)
    #expect(description.isOnHold(0) == (host == "0.0.0.0" || host == "phone.invalid"))
  }

  @Test(arguments: [
    ("a=rtcp:5005", "192.0.2.1:5005"), ("a=rtcp:5005 IN IP4 192.0.2.9", "192.0.2.9:5005"),
    ("a=rtcp:5005 IN IP6 2001:db8::9", "[2001:db8::9]:5005"), ("a=rtcp-mux", "192.0.2.1:4001"),
    ("a=rtcp:x", nil), ("a=rtcp:9 IN IP4 0.0.0.0", nil),
  ])
  func findsRTCP(_ line: String, _ expected: String?) throws {
    let description = try parse(
      "v=0", "o=- 1 1 IN IP4 192.0.2.1", "s=-", "c=IN IP4 192.0.2.1", "t=0 0", "m=audio 4000 RTP/AVP 8", line)
    #expect(description.rtcpEndpoint(0)?.description == expected)
  }
}
