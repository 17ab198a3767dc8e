import NetworkTypes
import SDP
import Testing

@Suite struct OfferAnswerTests {
  let address = IPAddress.v4(0xc000_0201)

  @Test func offers() throws {
    let offer = SessionDescription.audioOffer(address: address, port: 4000, sessionID: 5, version: 1)
    #expect(
      text(offer) == [
        "v=0", "o=- 5 1 IN IP4 192.0.2.1", "s=-", "c=IN IP4 192.0.2.1", "t=0 0", "m=audio 4000 RTP/AVP 8 0 101",
        "a=rtpmap:8 PCMA/8000", "a=rtpmap:0 PCMU/8000", "a=rtpmap:101 telephone-event/8000", "a=fmtp:101 0-16",
        "a=ptime:20", "a=sendrecv",
      ])
    #expect(try SessionDescription(parsing: offer.serialized().span) == offer)
  }

  @Test func answersWithTheFirstG711OfferedAndRefusesTheRest() throws {
    let offer = try parse(
      "v=0", "o=- 1 1 IN IP4 192.0.2.7", "s=-", "c=IN IP4 192.0.2.7", "t=5 6", "m=video 6000 RTP/AVP 31",
      "m=audio 4000 RTP/AVP 9 97 0 8 98", "a=rtpmap:97 PCMA/16000", "a=rtpmap:98 TELEPHONE-EVENT/8000", "a=sendonly",
      "m=audio 4002 RTP/AVP 8")
    let answer = try #require(
      SessionDescription.answer(to: offer, address: address, port: 5000, sessionID: 9, version: 2))
    #expect(
      text(answer) == [
        "v=0", "o=- 9 2 IN IP4 192.0.2.1", "s=-", "c=IN IP4 192.0.2.1", "t=5 6", "m=video 0 RTP/AVP 31",
        "m=audio 5000 RTP/AVP 0 98", "a=rtpmap:0 PCMU/8000", "a=rtpmap:98 telephone-event/8000", "a=fmtp:98 0-16",
        "a=ptime:20", "a=recvonly", "m=audio 0 RTP/AVP 8",
      ])
    #expect(answer.firstAudioIndex == 1)
  }

  @Test(arguments: [
    "m=audio 4000 RTP/AVP 9", "m=audio 0 RTP/AVP 8", "m=audio 4000 RTP/SAVP 8", "m=video 4000 RTP/AVP 8",
    "m=audio 4000 RTP/AVP 96",
  ])
  func answersNothingItCannotPlay(_ line: String) throws {
    let offer = try parse("v=0", "o=- 1 1 IN IP4 192.0.2.7", "s=-", "c=IN IP4 192.0.2.7", "t=0 0", line)
    #expect(SessionDescription.answer(to: offer, address: address, port: 5000, sessionID: 9, version: 2) == nil)
  }

  @Test func aValueCannotSmuggleInALine() {
    var audio = MediaDescription(kind: "audio", port: 4000, formats: ["8"])
    audio.addAttribute("x", "1\r\nm=audio 1 RTP/AVP 0")
    #expect(audio.lines.count == 2 && !audio.lines[1].bytes.contains(10) && !audio.lines[1].bytes.contains(13))
  }
}
