import LinkManager
import NetworkTypes
import SDP
import SIPSyntax
import Testing

/// Streams that the relay does not carry are refused at once, so that both sides go on without them.
@Suite struct UnrelayedStreamTests {
  static func description(_ text: String) throws -> SessionDescription {
    let bytes = Array("v=0\r\no=- 1 2 IN IP4 192.0.2.9\r\ns=-\r\nc=IN IP4 192.0.2.9\r\nt=0 0\r\n\(text)".utf8)
    return try SessionDescription(parsing: bytes.span)
  }

  @Test func faxByT38IsRefusedAndTheCallGoesOn() throws {
    let bench = LinkBench()
    let talk = try bench.talk("+4930", from: LinkBench.phones[0], to: LinkBench.provider)
    let fax = try Self.description("m=audio 0 RTP/AVP 8\r\nm=image 4000 udptl t38\r\n")
    try bench.back(.invite, talk.dialled, from: LinkBench.provider, sequence: 5, description: fax)
    #expect(bench.next(LinkBench.provider, "488") != nil)
    #expect(bench.left(LinkBench.phones[0]).isEmpty, "the telephone hears nothing of it")
    try bench.hangUp(talk)
    #expect(bench.leftovers() == [])
  }

  @Test func besideAudioSuchAStreamIsOfferedAsRefused() throws {
    let bench = LinkBench()
    let invite = try bench.invite("+4930", from: LinkBench.phones[0], callID: "mixed") { invite in
      let offer = try? Self.description("m=audio 4000 RTP/AVP 8\r\nm=message 2855 TCP/MSRP *\r\n")
      invite.setBody(offer?.serialized() ?? [], contentType: "application/sdp")
    }
    #expect(invite.method == .invite)
    let dialled = try #require(bench.next(LinkBench.provider, "INVITE"))
    let body = dialled.body
    let offered = try SessionDescription(parsing: body.span)
    #expect(offered.media.map(\.isRefused) == [false, true])
    #expect(bench.mediaPorts.count == 2)
  }

  @Test func aCallOfNothingButThatIsRefused() throws {
    let bench = LinkBench()
    _ = try bench.invite("+4930", from: LinkBench.phones[0], callID: "fax") { invite in
      let offer = try? Self.description("m=image 4000 udptl t38\r\n")
      invite.setBody(offer?.serialized() ?? [], contentType: "application/sdp")
    }
    #expect(bench.next(LinkBench.phones[0], "488") != nil)
    #expect(bench.left(LinkBench.provider).isEmpty)
  }
}
