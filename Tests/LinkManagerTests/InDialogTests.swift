import CallControl
import LinkManager
import MediaRelay
import NetworkTypes
import SDP
import SIPSyntax
import SIPTransaction
import Testing

/// Calls that are up, message by message: changes, glare, credentials, the end.
@Suite struct InDialogTests {
  static let provider = LinkBench.provider
  static let phone = LinkBench.phones[0]
  static let challenge = #"Digest realm="provider.example", nonce="NONCE", qop="auth""#

  static func challenge(_ bench: LinkBench, _ request: SIPMessage, _ nonce: String) {
    bench.answer(request, 401, from: provider) {
      $0.set(.wwwAuthenticate, challenge.replacing("NONCE", with: nonce))
    }
  }

  /// A call over a provider that challenged the INVITE.
  static func challengedTalk(_ bench: LinkBench) throws -> LinkBench.Talk {
    let invite = try bench.invite("+4930", from: phone, callID: "talk")
    challenge(bench, try #require(bench.next(provider, "INVITE")), "n1")
    let dialled = try #require(bench.next(provider, "INVITE"))
    #expect(dialled.contains(.authorization))
    bench.answer(dialled, 200, from: provider, description: LinkBench.description(provider, port: 5000))
    let answered = try #require(bench.next(phone, "200"))
    _ = try bench.within(.ack, invite, answered, from: phone, sequence: 1)
    _ = bench.next(provider, "ACK")
    return LinkBench.Talk(invite: invite, answer: answered, dialled: dialled, caller: phone, callee: provider)
  }

  @Test("A provider that challenges everything gets its BYE with credentials")
  func challengedBYE() throws {
    let bench = LinkBench()
    let talk = try Self.challengedTalk(bench)
    _ = try bench.within(.bye, talk.invite, talk.answer, from: Self.phone, sequence: 2)
    Self.challenge(bench, try #require(bench.next(Self.provider, "BYE")), "n2")
    let again = try #require(bench.next(Self.provider, "BYE"))
    #expect(again.value(.authorization)?.contains("n2") == true)
    bench.answer(again, 200, from: Self.provider)
    #expect(bench.leftovers() == [])
  }

  @Test("Every re-INVITE of a long call may be challenged anew, and takes a sequence number above all others")
  func challengedReinvites() throws {
    let bench = LinkBench()
    let talk = try Self.challengedTalk(bench)
    var highest: UInt32 = 0
    for round in 2...8 {
      let change = try bench.within(
        .invite, talk.invite, talk.answer, from: Self.phone, sequence: round * 10,
        description: LinkBench.description(Self.phone, port: 4000, version: UInt64(round)))
      let first = try #require(bench.next(Self.provider, "INVITE"))
      _ = try bench.within(.info, talk.invite, talk.answer, from: Self.phone, sequence: round * 10 + 1)
      let info = try #require(bench.next(Self.provider, "INFO"))
      bench.answer(info, 200, from: Self.provider)
      highest = max(highest, try info.cSeq().number)
      Self.challenge(bench, first, "r\(round)")
      let again = try #require(bench.next(Self.provider, "INVITE"))
      #expect(try again.cSeq().number > highest)
      highest = try again.cSeq().number
      bench.answer(again, 200, from: Self.provider, description: LinkBench.description(Self.provider, port: 5000))
      #expect(bench.next(Self.provider, "ACK") != nil)
      var answered = try #require(bench.next(Self.phone, "200"))
      while try answered.cSeq().method != .invite { answered = try #require(bench.next(Self.phone, "200")) }
      var ack = try bench.request(.ack, "sip:192.168.1.2", from: Self.phone, callID: "talk", sequence: round * 10)
      ack.set(.from, change.value(.from) ?? "")
      ack.set(.to, change.value(.to) ?? "")
      bench.receive(ack, from: Self.phone)
    }
    try bench.hangUp(talk)
    #expect(bench.leftovers() == [])
  }

  @Test("A refused change leaves media where it was", arguments: [488, 491, 500])
  func refusedReinvite(status: Int) throws {
    let bench = LinkBench()
    let talk = try bench.talk("+4930", from: Self.phone, to: Self.provider)
    let before = bench.peers
    let elsewhere = endpoint("192.168.1.99:9000")
    let change = try bench.within(
      .invite, talk.invite, talk.answer, from: Self.phone, sequence: 2,
      description: LinkBench.description(elsewhere, port: 9000, version: 2))
    bench.answer(try #require(bench.next(Self.provider, "INVITE")), status, from: Self.provider)
    let refused = try #require(bench.next(Self.phone, "\(status)"))
    #expect(bench.peers == before)
    var ack = try bench.request(.ack, "sip:192.168.1.2", from: Self.phone, callID: "talk", sequence: 2)
    ack.set(.via, change.value(.via) ?? "")
    ack.set(.to, refused.value(.to) ?? "")
    bench.receive(ack, from: Self.phone)
    try bench.hangUp(talk)
    #expect(bench.leftovers() == [])
  }

  @Test("A refused new stream gives its port back")
  func refusedStream() throws {
    let bench = LinkBench()
    let talk = try bench.talk("+4930", from: Self.phone, to: Self.provider)
    let before = bench.mediaPorts
    var wanted = LinkBench.description(Self.phone, version: 2)
    wanted.media.append(MediaDescription(kind: "video", port: 6000, formats: ["96"]))
    _ = try bench.within(.invite, talk.invite, talk.answer, from: Self.phone, sequence: 2, description: wanted)
    #expect(bench.mediaPorts.count == before.count + 2)
    bench.answer(try #require(bench.next(Self.provider, "INVITE")), 488, from: Self.provider)
    #expect(bench.next(Self.phone, "488") != nil)
    #expect(bench.mediaPorts == before)
  }

  @Test("Two changes that cross are both refused with 491")
  func glare() throws {
    let bench = LinkBench()
    let talk = try bench.talk("+4930", from: Self.phone, to: Self.provider)
    _ = try bench.within(
      .invite, talk.invite, talk.answer, from: Self.phone, sequence: 2,
      description: LinkBench.description(Self.phone, version: 2))
    let ours = try #require(bench.next(Self.provider, "INVITE"))
    try bench.back(
      .invite, talk.dialled, from: Self.provider, sequence: 1,
      description: LinkBench.description(Self.provider, port: 5000, version: 2))
    #expect(bench.next(Self.provider, "491") != nil)
    bench.answer(ours, 491, from: Self.provider)
    #expect(bench.next(Self.phone, "491") != nil)
  }

  @Test("A re-INVITE that nobody answers ends the call on both sides")
  func unansweredReinvite() throws {
    let bench = LinkBench()
    let talk = try bench.talk("+4930", from: Self.phone, to: Self.provider)
    _ = try bench.within(
      .invite, talk.invite, talk.answer, from: Self.phone, sequence: 2,
      description: LinkBench.description(Self.phone, version: 2))
    bench.wait(.seconds(33))
    #expect(bench.next(Self.phone, "408") != nil)
    #expect(bench.next(Self.phone, "BYE").map { bench.answer($0, 200, from: Self.phone) } != nil)
    #expect(bench.next(Self.provider, "BYE").map { bench.answer($0, 200, from: Self.provider) } != nil)
    #expect(bench.leftovers() == [])
  }

  @Test("A change whose body is no SDP, or that requires what we cannot do, changes nothing")
  func strangeReinvite() throws {
    let bench = LinkBench()
    let talk = try bench.talk("+4930", from: Self.phone, to: Self.provider)
    for (sequence, status) in [(2, "415"), (3, "420")] {
      var change = try bench.request(.invite, "sip:192.168.1.2", from: Self.phone, callID: "talk", sequence: sequence)
      change.set(.to, talk.answer.value(.to) ?? "")
      if status == "415" { change.setBody([65], contentType: "multipart/mixed;boundary=x") }
      if status == "420" { change.set(.require, "timer") }
      bench.receive(change, from: Self.phone)
      #expect(bench.left(Self.phone).last == status)
    }
    #expect(bench.left(Self.provider) == [])
  }

  @Test("Delayed offer: the callee's offer and the caller's answer pass, and an early BYE still acknowledges first")
  func delayedOffer() throws {
    let bench = LinkBench()
    let invite = try bench.invite("+4930", from: Self.phone, callID: "out", description: false)
    let dialled = try #require(bench.next(Self.provider, "INVITE"))
    #expect(dialled.body.isEmpty)
    bench.opensMedia = false
    bench.answer(dialled, 200, from: Self.provider, description: LinkBench.description(Self.provider, port: 5000))
    #expect(bench.next(Self.phone, "200") == nil)
    let ports = bench.mediaPorts.keys.sorted()
    for port in ports { bench.openMedia(port) }
    let offered = try #require(bench.next(Self.phone, "200"))
    #expect(!offered.body.isEmpty)
    #expect(bench.left(Self.provider) == [])
    _ = try bench.within(
      .ack, invite, offered, from: Self.phone, sequence: 1, description: LinkBench.description(Self.phone))
    let ack = try #require(bench.next(Self.provider, "ACK"))
    #expect(!ack.body.isEmpty)
    _ = try bench.within(.bye, invite, offered, from: Self.phone, sequence: 2)
    bench.answer(try #require(bench.next(Self.provider, "BYE")), 200, from: Self.provider)
    #expect(bench.leftovers() == [])
  }

  @Test("BYE before the ACK, BYE across BYE, and BYE that is never answered leave nothing")
  func crossingEnds() throws {
    let bench = LinkBench()
    let invite = try bench.invite("+4930", from: Self.phone, callID: "out")
    let dialled = try #require(bench.next(Self.provider, "INVITE"))
    bench.answer(dialled, 200, from: Self.provider, description: LinkBench.description(Self.provider, port: 5000))
    let answered = try #require(bench.next(Self.phone, "200"))
    try bench.back(.bye, dialled, from: Self.provider, sequence: 1)
    #expect(bench.next(Self.provider, "200") != nil)
    #expect(bench.left(Self.phone) == [])
    _ = try bench.within(.ack, invite, answered, from: Self.phone, sequence: 1)
    #expect(bench.left(Self.phone) == ["BYE"])
    _ = try bench.within(.bye, invite, answered, from: Self.phone, sequence: 2)
    #expect(bench.left(Self.phone).count == 2)
    #expect(bench.leftovers() == [])
  }

  @Test("A change that is under way when the call ends is still acknowledged")
  func answerToAChangeAfterTheEnd() throws {
    let bench = LinkBench()
    let talk = try bench.talk("+4930", from: Self.phone, to: Self.provider)
    _ = try bench.within(
      .invite, talk.invite, talk.answer, from: Self.phone, sequence: 2,
      description: LinkBench.description(Self.phone, version: 2))
    let change = try #require(bench.next(Self.provider, "INVITE"))
    try bench.back(.bye, talk.dialled, from: Self.provider, sequence: 1)
    #expect(bench.left(Self.provider) == ["200"])
    bench.answer(change, 200, from: Self.provider, description: LinkBench.description(Self.provider, port: 5000))
    #expect(bench.left(Self.provider) == ["200", "ACK"])
    #expect(bench.next(Self.phone, "BYE").map { bench.answer($0, 200, from: Self.phone) } != nil)
    #expect(bench.leftovers() == [])
  }

  @Test("Requests of a foreign address count within a dialog only, with both tags")
  func foreignRequests() throws {
    let bench = LinkBench()
    let talk = try bench.talk("+4930", from: Self.phone, to: Self.provider)
    let stranger = endpoint("203.0.113.99:5060")
    _ = try bench.invite("+492111000", from: stranger, callID: "x")
    bench.receive(try bench.request(.options, "sip:x", from: stranger, callID: "y"), from: stranger)
    var bye = try bench.request(.bye, "sip:x", from: stranger, callID: talk.dialled.callID ?? "", sequence: 5)
    bye.set(.to, talk.dialled.value(.from) ?? "")
    bench.receive(bye, from: stranger)
    #expect(bench.left(stranger) == [])
    #expect(bench.core.metrics(now: bench.now).discarded.rows.first { $0.labels == ["foreign"] }?.value == 3)
    bye.set(.from, (talk.dialled.value(.to) ?? "") + ";tag=callee")
    bench.receive(bye, from: stranger)
    #expect(bench.left(stranger) == ["200"])
    #expect(bench.next(Self.phone, "BYE") != nil)
  }

  @Test("INFO passes with its body, and what we do not do is refused with what we do")
  func otherMethods() throws {
    let bench = LinkBench()
    let talk = try bench.talk("+4930", from: Self.phone, to: Self.provider)
    var info = try bench.request(.info, "sip:192.168.1.2", from: Self.phone, callID: "talk", sequence: 2)
    info.set(.to, talk.answer.value(.to) ?? "")
    info.setBody(Array("Signal=5\r\n".utf8), contentType: "application/dtmf-relay")
    bench.receive(info, from: Self.phone)
    let relayed = try #require(bench.next(Self.provider, "INFO"))
    #expect(relayed.body == info.body && relayed.contentTypeText == "application/dtmf-relay")
    bench.answer(relayed, 200, from: Self.provider)
    #expect(bench.next(Self.phone, "200") != nil)
    for method in [SIPMethod.notify, .subscribe, .message, .update, .refer] {
      bench.receive(try bench.request(method, "sip:x", from: Self.provider, callID: "\(method)"), from: Self.provider)
      #expect(bench.next(Self.provider)?.value(.allow)?.contains("INVITE") == true)
    }
    bench.receive(try bench.request(.options, "sip:x", from: Self.provider, callID: "o"), from: Self.provider)
    #expect(bench.next(Self.provider)?.status == 200)
  }
}
