import CallControl
import LinkManager
import MediaRelay
import NetworkTypes
import SDP
import SIPSyntax
import SIPTransaction
import Testing

/// Setting calls up, message by message: races, forks, refusals, credentials.
@Suite struct CallSetupTests {
  static let provider = LinkBench.provider
  static let phones = LinkBench.phones

  @Test("Early media of two telephones in turn, and the first one answers: it is the one that is heard")
  func earlyMediaThenAnswer() throws {
    let bench = LinkBench()
    let invite = try bench.invite("+492111000", from: Self.provider, callID: "in")
    let first = try #require(bench.next(Self.phones[0], "INVITE"))
    let second = try #require(bench.next(Self.phones[1], "INVITE"))
    bench.answer(first, 183, from: Self.phones[0], description: LinkBench.description(Self.phones[0]))
    bench.answer(second, 183, from: Self.phones[1], description: LinkBench.description(Self.phones[1]))
    bench.answer(first, 200, from: Self.phones[0], description: LinkBench.description(Self.phones[0]))
    let answered = try #require(bench.next(Self.provider, "200"))
    _ = try bench.within(.ack, invite, answered, from: Self.provider, sequence: 1)
    let port = { (remote: Endpoint) in bench.peers.first { $0.value.rtp?.address == remote.address }?.key }
    let caller = try #require(port(Self.provider))
    #expect(bench.partners[caller] != nil && bench.partners[caller] == port(Self.phones[0]))
    for phone in Self.phones[1...] {
      let dialled = phone == Self.phones[1] ? second : try #require(bench.next(phone, "INVITE"))
      bench.answer(dialled, 180, from: phone)
      #expect(bench.next(phone, "CANCEL").map { bench.answer($0, 200, from: phone) } != nil)
      bench.answer(dialled, 487, from: phone)
    }
    _ = try bench.within(.bye, invite, answered, from: Self.provider, sequence: 2)
    bench.answer(try #require(bench.next(Self.phones[0], "BYE")), 200, from: Self.phones[0])
    #expect(bench.leftovers() == [])
    #expect(bench.records.map(\.result) == ["answered"])
  }

  @Test("A 2xx that crosses the CANCEL is acknowledged and taken back")
  func cancelCrossesAnswer() throws {
    let bench = LinkBench()
    let invite = try bench.invite("+4930", from: Self.phones[0], callID: "out")
    let dialled = try #require(bench.next(Self.provider, "INVITE"))
    bench.answer(dialled, 180, from: Self.provider)
    var cancel = invite
    cancel = try bench.request(.cancel, invite.requestURIText, from: Self.phones[0], callID: "out")
    cancel.set(.via, invite.value(.via) ?? "")
    bench.receive(cancel, from: Self.phones[0])
    #expect(bench.left(Self.phones[0]).contains("487"))
    #expect(bench.left(Self.provider) == ["CANCEL"])
    bench.answer(dialled, 200, from: Self.provider, description: LinkBench.description(Self.provider))
    #expect(bench.left(Self.provider) == ["CANCEL", "ACK", "BYE"])
    let refused = try #require(bench.next(Self.phones[0], "487"))
    _ = try ackRefusal(bench, invite, refused, from: Self.phones[0])
    bench.answer(try #require(bench.next(Self.provider, "CANCEL")), 200, from: Self.provider)
    bench.answer(try #require(bench.next(Self.provider, "BYE")), 200, from: Self.provider)
    #expect(bench.leftovers() == [])
    #expect(bench.records.map(\.result) == ["cancelled"])
  }

  /// The ACK of a refusal goes with the INVITE's branch.
  func ackRefusal(_ bench: LinkBench, _ invite: SIPMessage, _ refusal: SIPMessage, from remote: Endpoint) throws {
    var ack = try bench.request(.ack, invite.requestURIText, from: remote, callID: invite.callID ?? "")
    ack.set(.via, invite.value(.via) ?? "")
    ack.set(.to, refusal.value(.to) ?? "")
    bench.receive(ack, from: remote)
  }

  @Test("A second callee behind the provider's fork is released, while the call is up and after it has ended")
  func forkingProvider() throws {
    let bench = LinkBench()
    let talk = try bench.talk("+4930", from: Self.phones[0], to: Self.provider)
    bench.answer(
      talk.dialled, 200, from: Self.provider, tag: "second", description: LinkBench.description(Self.provider))
    #expect(bench.left(Self.provider) == ["ACK", "BYE"])
    bench.answer(try #require(bench.next(Self.provider, "BYE")), 200, from: Self.provider)
    try bench.hangUp(talk)
    bench.answer(
      talk.dialled, 200, from: Self.provider, tag: "third", description: LinkBench.description(Self.provider))
    #expect(bench.left(Self.provider) == ["ACK", "BYE"])
    let bye = try #require(bench.next(Self.provider, "BYE"))
    #expect(bye.toTag == "third")
    bench.answer(bye, 200, from: Self.provider)
    #expect(bench.leftovers() == [])
  }

  @Test("A call that the caller takes back before the media ports are open never leaves")
  func cancelledBeforeMediaIsReady() throws {
    let bench = LinkBench()
    bench.opensMedia = false
    let invite = try bench.invite("+4930", from: Self.phones[0], callID: "out")
    #expect(bench.left(Self.provider) == [])
    var cancel = try bench.request(.cancel, invite.requestURIText, from: Self.phones[0], callID: "out")
    cancel.set(.via, invite.value(.via) ?? "")
    bench.receive(cancel, from: Self.phones[0])
    for port in Array(bench.mediaPorts.keys) { bench.openMedia(port) }
    #expect(bench.left(Self.phones[0]).suffix(2) == ["200", "487"])
    #expect(bench.left(Self.provider) == [])
    #expect(bench.leftovers() == [])
  }

  @Test("A challenge that crosses our CANCEL does not make the telephone at the other end ring again")
  func challengeAfterCancel() throws {
    let bench = LinkBench { configuration in
      var rule = InboundRule(to: [.number("+4917")])
      rule.timeout = .seconds(5)
      rule.otherwise = .phone("10")
      configuration.routing.inbound = [rule]
    }
    _ = try bench.invite("+492111000", from: Self.provider, callID: "in")
    let dialled = try #require(bench.next(Self.provider, "INVITE"))
    bench.answer(dialled, 100, from: Self.provider)
    bench.wait(.seconds(6))
    #expect(bench.next(Self.phones[0], "INVITE") != nil)
    bench.answer(dialled, 401, from: Self.provider) {
      $0.set(.wwwAuthenticate, #"Digest realm="provider.example", nonce="n1", qop="auth""#)
    }
    #expect(!bench.left(Self.provider).contains("INVITE"))
  }

  @Test("The answer of early media holds where the 200 has none")
  func answerOnlyInProgress() throws {
    let bench = LinkBench()
    _ = try bench.invite("+4930", from: Self.phones[0], callID: "out")
    let dialled = try #require(bench.next(Self.provider, "INVITE"))
    bench.answer(dialled, 183, from: Self.provider, description: LinkBench.description(Self.provider))
    bench.answer(dialled, 200, from: Self.provider)
    let answered = try #require(bench.next(Self.phones[0], "200"))
    #expect(!answered.body.isEmpty)
  }

  @Test("An answer that cannot be read is acknowledged, taken back, and told as a bad gateway")
  func unreadableAnswer() throws {
    let bench = LinkBench()
    let invite = try bench.invite("+4930", from: Self.phones[0], callID: "out")
    let dialled = try #require(bench.next(Self.provider, "INVITE"))
    bench.answer(dialled, 200, from: Self.provider) {
      $0.setBody(Array("v=0\r\nnonsense".utf8), contentType: "application/sdp")
    }
    #expect(bench.left(Self.provider) == ["ACK", "BYE"])
    let refused = try #require(bench.next(Self.phones[0], "502"))
    try ackRefusal(bench, invite, refused, from: Self.phones[0])
    bench.answer(try #require(bench.next(Self.provider, "BYE")), 200, from: Self.provider)
    #expect(bench.leftovers() == [])
  }

  @Test("Nobody registered is 480, an unknown number 404, no way on 483, a body that is no SDP 415 with what is taken")
  func refusals() throws {
    let bench = LinkBench { configuration in
      configuration.phones.append(PhoneConfiguration(extensionNumber: "40", name: "Away", password: Redacted("x")))
      configuration.routing.inbound = [
        InboundRule(number: NumberPattern("+4940"), to: [.phone("40")]),
        InboundRule(number: NumberPattern("+4910"), to: [.phone("10")]),
      ]
    }
    var number = 0
    func status(_ called: String, _ change: (inout SIPMessage) -> Void = { _ in }) throws -> SIPMessage? {
      number += 1
      let invite = try bench.invite(called, from: Self.provider, callID: "in\(number)", change)
      var last = bench.next(Self.provider)
      if last?.status == 100 { last = bench.next(Self.provider) }
      if let last { try ackRefusal(bench, invite, last, from: Self.provider) }
      return last
    }
    #expect(try status("+4940")?.status == 480)
    #expect(try status("+4999")?.status == 404)
    #expect(try status("+4910") { $0.set(.maxForwards, "0") }?.status == 483)
    let multipart = try status("+4910") { $0.setBody([65], contentType: "multipart/mixed;boundary=x") }
    #expect(multipart?.status == 415 && multipart?.value(.accept) == "application/sdp")
    let similar = try status("+4910") { $0.setBody($0.body, contentType: "application/sdp-next") }
    #expect(similar?.status == 415)
    #expect(try status("+4910") { $0.set(.require, "100rel") }?.value(.unsupported) == "100rel")
    #expect(bench.left(Self.phones[0]) == [])
    #expect(bench.leftovers() == [])
    _ = try bench.invite("+4910", from: Self.provider, callID: "last") {
      $0.set(.contentType, "Application/SDP; charset=utf-8")
    }
    #expect(bench.next(Self.phones[0], "INVITE") != nil)
  }

  @Test("One INVITE that comes by two ways rings once")
  func mergedRequest() throws {
    let bench = LinkBench()
    let invite = try bench.invite("+492111000", from: Self.provider, callID: "in")
    #expect(bench.left(Self.phones[0]) == ["INVITE"])
    var other = invite
    other.set(.via, "SIP/2.0/UDP 203.0.113.10;branch=z9hG4bKother;rport")
    bench.receive(other, from: Self.provider)
    #expect(bench.next(Self.provider, "482") != nil)
    #expect(bench.left(Self.phones[0]) == ["INVITE"])
  }

  @Test("A target that fails at once does not leave its timer to the next stage")
  func timerOfAFailedStage() throws {
    let bench = LinkBench { configuration in
      configuration.trunks[0].maxCalls = 0
      var rule = InboundRule(to: [.number("+4917")])
      rule.timeout = .seconds(5)
      rule.otherwise = .phone("10")
      configuration.routing.inbound = [rule]
    }
    _ = try bench.invite("+492111000", from: Self.provider, callID: "in")
    let dialled = try #require(bench.next(Self.phones[0], "INVITE"))
    bench.answer(dialled, 180, from: Self.phones[0])
    bench.wait(.seconds(20))
    #expect(!bench.left(Self.phones[0]).contains("CANCEL"))
  }

  @Test("The second trunk is tried when the first fails, and its refusal is the caller's")
  func secondTrunk() throws {
    let other = endpoint("203.0.113.20:5060")
    let bench = LinkBench { configuration in
      configuration.trunks.append(LinkBench.trunk("backup", username: "2000", at: "203.0.113.20"))
      configuration.routing.outbound[0].trunks = ["main", "backup"]
    }
    let invite = try bench.invite("+4930", from: Self.phones[0], callID: "out")
    bench.answer(try #require(bench.next(Self.provider, "INVITE")), 503, from: Self.provider)
    bench.answer(try #require(bench.next(other, "INVITE")), 486, from: other)
    let refused = try #require(bench.next(Self.phones[0], "486"))
    try ackRefusal(bench, invite, refused, from: Self.phones[0])
    #expect(bench.leftovers() == [])
    #expect(bench.records.map(\.trunk) == ["backup"])
  }

  @Test("Two trunks at one provider are told apart by contact, then by number")
  func trunksOfOneProvider() throws {
    let bench = LinkBench { configuration in
      var second = LinkBench.trunk("second", username: "2000")
      second.numbers = ["+492112xx"]
      configuration.trunks.append(second)
      configuration.routing.inbound = [
        InboundRule(trunk: "second", to: [.phone("20")]), InboundRule(trunk: "main", to: [.phone("10")]),
      ]
    }
    for (index, called) in ["2000", "+49211277"].enumerated() {
      _ = try bench.invite(called, from: Self.provider, callID: "second\(index)")
      #expect(bench.next(Self.phones[1], "INVITE") != nil, "\(called)")
    }
    _ = try bench.invite("1000", from: Self.provider, callID: "first")
    #expect(bench.next(Self.phones[0], "INVITE") != nil)
    #expect(bench.left(Self.phones[1]) == [])
  }

  @Test("A PBX that registers may call for any number of its own, with its own credentials")
  func registeredPBX() throws {
    let bench = LinkBench {
      $0.pbxs = [PBXConfiguration(name: "elastix", username: "pbx1", password: Redacted("secret"))]
    }
    let remote = endpoint("192.168.1.77:5060")
    var digest = DigestSession(username: "pbx1", password: Redacted("secret"))
    let invite = try bench.invite("+4930", from: remote, callID: "out") {
      $0.set(.from, "\"Alice\" <sip:+4921177@office>;tag=out")
    }
    let challenge = try #require(bench.next(remote, "401"))
    try ackRefusal(bench, invite, challenge, from: remote)
    #expect(digest.challenged(by: challenge) == .answerable)
    var again = invite
    again.set(.cSeq, "2 INVITE")
    again.set(.via, "SIP/2.0/UDP 192.168.1.77:5060;branch=z9hG4bKagain;rport")
    digest.authorize(&again, random: &bench.random)
    bench.receive(again, from: remote)
    #expect(bench.left(remote) == ["100"])
    #expect(bench.next(Self.provider, "INVITE") != nil)
  }
}
