import CallControl
import EmbeddedProvider
import MediaRelay
import NetworkTypes
import SIPSyntax
import Testing

@Suite struct ProviderTests {
  @Test func optionsAreAnsweredUnlessTold() {
    #expect(ProviderBench().request(.options).map(\.status) == [200])
    #expect(ProviderBench { $0.quirks.ignoresOptions = true }.request(.options).isEmpty)
  }

  @Test func unknownMethodIsRefused() {
    #expect(ProviderBench().request(.subscribe).map(\.status) == [405])
  }

  @Test func rubbishIsDropped() {
    let bench = ProviderBench()
    for bytes in [
      [], [13, 10, 13, 10], [0, 0, 0, 0, 0], Array("INVITE\r\n\r\n".utf8), Array(repeating: 255, count: 900),
    ]
      as [[UInt8]]
    {
      bench.receive(bytes)
    }
    #expect(bench.sent.isEmpty)
    #expect(bench.request(.options).map(\.status) == [200])
  }

  @Test func registersWithTheRightPasswordOnly() {
    let bench = ProviderBench()
    #expect(bench.register(password: "guess")?.status == 401)
    #expect(bench.core.contacts(of: "1000", now: bench.now).isEmpty)
    let answer = bench.register(sequence: 5)
    #expect(answer?.status == 200)
    #expect(answer?.values(.contact) == ["<sip:1000@198.51.100.1:5060>;expires=300"])
    #expect(bench.core.contacts(of: "1000", now: bench.now) == ["sip:1000@198.51.100.1:5060"])
    bench.advance(.seconds(301))
    #expect(bench.core.contacts(of: "1000", now: bench.now).isEmpty)
  }

  @Test func contactsAreRemovedOneByOneAndAllAtOnce() {
    let bench = ProviderBench()
    _ = bench.register()
    _ = bench.register(sequence: 11, contact: "<sip:1000@198.51.100.1:5062>")
    #expect(bench.core.contacts(of: "1000", now: bench.now).count == 2)
    _ = bench.register(sequence: 21, contact: "<sip:1000@198.51.100.1:5060>;expires=0")
    #expect(bench.core.contacts(of: "1000", now: bench.now) == ["sip:1000@198.51.100.1:5062"])
    #expect(bench.register(sequence: 31, contact: "*", expires: "5")?.status == 400)
    #expect(bench.register(sequence: 41, contact: "*", expires: "0")?.status == 200)
    #expect(bench.core.contacts(of: "1000", now: bench.now).isEmpty)
  }

  @Test func bindingsAreBounded() {
    let bench = ProviderBench()
    for number in 0..<30 {
      _ = bench.register(
        sequence: 1 + 10 * number, contact: "<sip:1000@198.51.100.1:\(6000 + number)>", callID: "r\(number)")
    }
    #expect(bench.core.contacts(of: "1000", now: bench.now).count == 20)
  }

  @Test func strayRequestWithinACallIsRefused() {
    #expect(ProviderBench().request(.bye, toTag: "none").map(\.status) == [481])
  }

  @Test func echoCouplesThePortWithItself() throws {
    let bench = ProviderBench()
    let tag = try #require(bench.echoCall())
    let port = try #require(bench.core.mediaPortsInUse == 1 ? MediaPortID(1_000_000) : nil)
    #expect(bench.media.contains(.couple(port, port)))
    let rtp = try #require(Endpoint("198.51.100.1:30000"))
    #expect(bench.media.contains(.setPeer(port, MediaPeer(rtp: rtp), openingPayloadType: 8)))
    #expect(bench.request(.bye, "*43", toTag: tag, sequence: 11).map(\.status) == [200])
    #expect(bench.core.mediaPortsInUse == 0)
    #expect(bench.media.last == .close(port))
    bench.advance(.seconds(40))
    #expect(bench.core.transactionCount == 0)
    #expect(bench.core.nextDeadline == nil)
  }

  @Test func offerInTheAnswerIsTakenFromTheACK() throws {
    let bench = ProviderBench()
    _ = bench.register()
    bench.request(.invite, "*43", sequence: 10)
    bench.advance(.milliseconds(300))
    let answer = try #require(bench.sent.last)
    #expect(answer.status == 200)
    #expect(!answer.body.isEmpty)
    #expect(!bench.events.contains { if case .answered = $0 { true } else { false } })
    bench.request(.ack, "*43", toTag: answer.toTag, sequence: 10, body: ProviderBench.sdp())
    #expect(bench.events.contains { if case .answered = $0 { true } else { false } })
  }

  @Test func callWithoutACommonCodecIsRefused() {
    let bench = ProviderBench()
    _ = bench.register()
    bench.request(.invite, "*43", sequence: 10, body: ProviderBench.sdp(formats: "18"))
    bench.advance(.milliseconds(300))
    #expect(bench.sent.last?.status == 488)
    #expect(bench.core.mediaPortsInUse == 0)
  }

  @Test func muLawIsAnsweredWhereItIsAllThereIs() throws {
    let bench = ProviderBench()
    _ = bench.register()
    bench.request(.invite, "*43", sequence: 10, body: ProviderBench.sdp(formats: "0"))
    bench.advance(.milliseconds(300))
    let body = String(decoding: try #require(bench.sent.last).body, as: UTF8.self)
    #expect(body.contains("RTP/AVP 0"))
    #expect(!body.contains("PCMA"))
  }

  @Test func holdIsAnsweredAndTheToneStops() throws {
    let bench = ProviderBench()
    _ = bench.register()
    bench.request(.invite, "*44", sequence: 10, body: ProviderBench.sdp())
    bench.advance(.milliseconds(300))
    let tag = try #require(bench.sent.last?.toTag)
    bench.request(.ack, "*44", toTag: tag, sequence: 10)
    let port = MediaPortID(1_000_000)
    #expect(bench.media.last == .play(port, .tone(hertz: 440), payloadType: 8))
    let answers = bench.request(
      .invite, "*44", toTag: tag, sequence: 11, body: ProviderBench.sdp(direction: "sendonly"))
    let answer = try #require(answers.last)
    #expect(answer.status == 200)
    #expect(String(decoding: answer.body, as: UTF8.self).contains("a=recvonly"))
    #expect(bench.media.last == .play(port, nil, payloadType: 8))
    bench.request(.ack, "*44", toTag: tag, sequence: 11)
    bench.request(.invite, "*44", toTag: tag, sequence: 12, body: ProviderBench.sdp(port: 30010))
    #expect(bench.media.last == .play(port, .tone(hertz: 440), payloadType: 8))
    #expect(bench.core.mediaPortsInUse == 1)
  }

  @Test func answerWithoutACKEndsTheCall() {
    let bench = ProviderBench()
    _ = bench.register()
    bench.request(.invite, "*43", sequence: 10, body: ProviderBench.sdp())
    bench.advance(.seconds(40))
    #expect(bench.sent.contains { $0.method == .bye && $0.isRequest })
    #expect(bench.core.mediaPortsInUse == 0)
    bench.advance(.seconds(40))
    #expect(bench.core.transactionCount == 0)
  }

  @Test func toneServiceHangsUpAfterAMinute() throws {
    let bench = ProviderBench()
    _ = bench.register()
    bench.request(.invite, "*44", sequence: 10, body: ProviderBench.sdp())
    bench.advance(.milliseconds(300))
    bench.request(.ack, "*44", toTag: bench.sent.last?.toTag, sequence: 10)
    bench.advance(.seconds(59))
    #expect(bench.core.callIDs.count == 1)
    bench.advance(.seconds(2))
    #expect(bench.core.callIDs.isEmpty)
    #expect(bench.sent.contains { $0.isRequest && $0.method == .bye })
  }

  @Test func noMediaPortLeftIsSaid() throws {
    let bench = ProviderBench { $0.mediaPorts = 40000...40001 }
    _ = bench.register()
    bench.request(.invite, "*43", callID: "one", sequence: 10, body: ProviderBench.sdp())
    #expect(bench.request(.invite, "*43", callID: "two", body: ProviderBench.sdp()).map(\.status) == [503])
  }

  @Test func callerIsChallengedAndJudged() throws {
    let bench = ProviderBench { $0.quirks.challengesInvites = true }
    let challenge = bench.request(.invite, "*43", body: ProviderBench.sdp())
    #expect(challenge.map(\.status) == [407])
    #expect(challenge.first?.contains(.proxyAuthenticate) == true)
    #expect(bench.core.callIDs.isEmpty)
  }

  @Test func callsToAccountsNeedARegistration() {
    let bench = ProviderBench()
    bench.perform { core, now, actions in
      let id = core.placeCall(to: "+4930", from: "+4940", script: CallScript(), now: now, into: &actions)
      #expect(id == nil)
    }
    _ = bench.register()
    bench.perform { core, now, actions in
      let id = core.placeCall(to: "+4930", from: "+4940", script: CallScript(), now: now, into: &actions)
      #expect(id != nil)
    }
    let invite = bench.sent.last
    #expect(invite?.method == .invite)
    #expect(invite?.requestURIText == "sip:1000@198.51.100.1:5060")
    #expect((try? invite?.to())?.uri.user == "+4930")
    #expect((try? invite?.from())?.uri.user == "+4940")
  }

  @Test func numberGoesIntoTheRequestURIWhereTheProviderDoesSo() {
    let bench = ProviderBench { $0.quirks.numberInRequestURI = true }
    _ = bench.register()
    bench.perform { core, now, actions in
      _ = core.placeCall(to: "+4930", from: "+4940", script: CallScript(), now: now, into: &actions)
    }
    #expect(bench.sent.last?.requestURIText == "sip:+4930@198.51.100.1:5060")
  }
}
