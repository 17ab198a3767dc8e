import NetworkTypes
import SDP
import Testing

@Suite struct RelocationTests {
  let ours = SDPOrigin(sessionID: "77", version: 3, address: .v4(0xcb00_7109))
  func place(_ text: String, rtcp: String? = nil) throws -> MediaLocation {
    MediaLocation(rtp: try #require(Endpoint(text)), rtcp: rtcp.flatMap { Endpoint($0) })
  }

  @Test func movesAStreamAndKeepsTheRest() throws {
    var description = try parse(
      "v=0", "o=phone 1 1 IN IP4 192.168.1.20", "s=call", "c=IN IP4 192.168.1.20", "t=0 0", "a=x-keep:1",
      "m=audio 4000 RTP/AVP 8 101", "a=rtpmap:101 telephone-event/8000", "a=fmtp:101 0-15", "a=sendonly", "a=odd")
    description.relocate(origin: ours, media: [try place("203.0.113.9:55000")])
    #expect(
      text(description) == [
        "v=0", "o=- 77 3 IN IP4 203.0.113.9", "s=call", "c=IN IP4 203.0.113.9", "t=0 0", "a=x-keep:1",
        "m=audio 55000 RTP/AVP 8 101", "a=rtpmap:101 telephone-event/8000", "a=fmtp:101 0-15", "a=sendonly", "a=odd",
      ])
  }

  @Test func removesWaysPastUs() throws {
    var description = try parse(
      "v=0", "o=- 1 1 IN IP4 192.0.2.1", "s=-", "c=IN IP4 192.0.2.1", "t=0 0", "a=group:BUNDLE a b", "a=group:LS a b",
      "a=ice-lite", "m=audio 4000/2 RTP/AVP 8", "a=ice-ufrag:x", "a=ice-pwd:y",
      "a=candidate:1 1 UDP 1 192.0.2.1 4000 typ host",
      "a=rtcp:4003", "a=rtcp-mux", "a=mid:a", "a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:x", "a=rtcp-fb:* nack")
    description.relocate(origin: ours, media: [try place("203.0.113.9:55000")])
    #expect(
      text(description).dropFirst(5) == [
        "a=group:LS a b", "m=audio 55000 RTP/AVP 8", "a=mid:a", "a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:x",
        "a=rtcp-fb:* nack",
      ])
  }

  @Test func namesRTCPWhereItIsNotNextToRTP() throws {
    var description = try parse(
      "v=0", "o=- 1 1 IN IP4 192.0.2.1", "s=-", "t=0 0", "m=audio 4000 RTP/AVP 8", "c=IN IP4 192.0.2.1")
    description.relocate(origin: ours, media: [try place("203.0.113.9:40001", rtcp: "203.0.113.9:51111")])
    #expect(text(description).suffix(3) == ["m=audio 40001 RTP/AVP 8", "c=IN IP4 203.0.113.9", "a=rtcp:51111"])
    #expect(description.rtcpEndpoint(0) == Endpoint("203.0.113.9:51111"))
    description.relocate(origin: ours, media: [try place("203.0.113.9:40001", rtcp: "203.0.113.10:51111")])
    #expect(description.rtcpEndpoint(0) == Endpoint("203.0.113.10:51111"))
  }

  @Test func keepsRefusedStreamsRefusedAndRefusesThoseWithoutAPlace() throws {
    var description = try parse(
      "v=0", "o=- 1 1 IN IP4 192.0.2.1", "s=-", "c=IN IP4 192.0.2.1", "t=0 0", "m=audio 0 RTP/AVP 8",
      "c=IN IP4 192.0.2.1", "m=audio 4002 RTP/AVP 0", "m=image 4004 udptl t38")
    description.relocate(origin: ours, media: [try place("203.0.113.9:55000"), try place("203.0.113.9:55002")])
    #expect(description.media.map(\.port) == [0, 55002, 0])
    #expect(description.media.map(\.formats) == [["8"], ["0"], ["t38"]])
    #expect(!text(description).joined().contains("192.0.2.1"))
  }

  @Test func movesAStreamToIPv6() throws {
    var description = try parse(
      "v=0", "o=- 1 1 IN IP4 192.0.2.1", "s=-", "c=IN IP4 192.0.2.1", "t=0 0", "m=audio 4000 RTP/AVP 8",
      "m=audio 4002 RTP/AVP 8", "c=IN IP4 192.0.2.2")
    description.relocate(
      origin: SDPOrigin(sessionID: "1", version: 2, address: .loopbackV6),
      media: [try place("[2001:db8::1]:55000"), try place("203.0.113.9:55002")])
    #expect(description.connection == SDPConnection(.v6(0x2001_0db8 << 96 | 1)))
    #expect(description.rtpEndpoint(0) == Endpoint("[2001:db8::1]:55000"))
    #expect(description.rtpEndpoint(1) == Endpoint("203.0.113.9:55002"))
    #expect(text(description)[1] == "o=- 1 2 IN IP6 ::1")
  }

  /// RFC 3264 §8.4: hold by address must arrive as hold by address.
  @Test func keepsHoldByAddress() throws {
    var whole = try parse(
      "v=0", "o=- 1 1 IN IP4 192.0.2.1", "s=-", "c=IN IP4 0.0.0.0", "t=0 0", "m=audio 4000 RTP/AVP 8",
      "m=audio 4002 RTP/AVP 8", "c=IN IP4 192.0.2.1")
    whole.relocate(origin: ours, media: [try place("203.0.113.9:55000"), try place("203.0.113.9:55002")])
    #expect(whole.isOnHold(0) && whole.rtpEndpoint(0) == nil && whole.media[0].port == 55000)
    #expect(whole.rtpEndpoint(1) == Endpoint("203.0.113.9:55002"))
    var stream = try parse(
      "v=0", "o=- 1 1 IN IP4 192.0.2.1", "s=-", "c=IN IP4 192.0.2.1", "t=0 0", "m=audio 4000 RTP/AVP 8",
      "c=IN IP4 0.0.0.0", "m=audio 4002 RTP/AVP 8")
    stream.relocate(origin: ours, media: [try place("203.0.113.9:55000"), try place("203.0.113.9:55002")])
    #expect(stream.isOnHold(0) && stream.rtpEndpoint(1) == Endpoint("203.0.113.9:55002"))
  }

  @Test func replacesAHostName() throws {
    var description = try parse(
      "v=0", "o=- 1 1 IN IP4 pc.example", "s=-", "c=IN IP4 pc.example", "t=0 0", "m=audio 4000 RTP/AVP 8")
    description.relocate(origin: ours, media: [try place("203.0.113.9:55000")])
    #expect(!text(description).joined().contains("pc.example"))
  }
}
