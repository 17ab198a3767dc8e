import NetworkTypes
import SIPDialog
import SIPSyntax
import Testing

@Suite struct RegistrationTests {
  @Test func registersWithCredentials() throws {
    var bench = RegistrationBench()
    bench.start()
    #expect(bench.registration.state == .registering)
    bench.run(for: .seconds(1), RegistrationBench.friendly)
    #expect(bench.registration.state == .registered(until: MonotonicInstant(nanoseconds: 300_000_000_000)))
    #expect(bench.sent.count == 2 && bench.registeredCount == 1)
    let first = bench.sent[0].message
    let second = bench.sent[1].message
    #expect(first.requestURIText == "sip:example.org")
    #expect(first.value(.to) == "<sip:10@example.org>")
    #expect(first.value(.contact)?.hasPrefix("<sip:10@203.0.113.5:65002>;expires=300") == true)
    #expect(first.value(.cSeq) == "1 REGISTER" && second.value(.cSeq) == "2 REGISTER")
    #expect(first.callID == second.callID && first.fromTag == second.fromTag)
    #expect(!first.contains(.via) && !first.contains(.authorization))
    let credentials = try AuthParameters(parsing: try #require(second.value(.authorization)))
    #expect(credentials["uri"] == "sip:example.org" && credentials["username"] == "10")
  }

  @Test func refreshesWellBeforeTheEndWithTheNonceAtHand() throws {
    var bench = RegistrationBench()
    bench.start()
    bench.run(for: .seconds(3600), RegistrationBench.friendly)
    let gaps = zip(bench.sent.dropFirst(1), bench.sent.dropFirst(2)).map { $1.at - $0.at }
    #expect(gaps.count >= 14)
    #expect(gaps.allSatisfy { (225...240).contains($0) })
    #expect(Set(gaps).count > 5, "jittered")
    #expect(bench.sent.dropFirst().allSatisfy { $0.message.contains(.authorization) })
    let last = try AuthParameters(parsing: try #require(bench.sent.last?.message.value(.authorization)))
    #expect(last["nc"].flatMap { Int($0, radix: 16) } == bench.sent.count - 1)
  }

  @Test(arguments: [(60, 45.0, 48.0), (100, 45.0, 50.0), (20, 15.0, 16.0), (3600, 3360.0, 3540.0)])
  func refreshFollowsTheExpiryGranted(granted: Int, earliest: Double, latest: Double) {
    var bench = RegistrationBench(expires: 3600)
    bench.start()
    bench.reply(200, [(.contact, "<sip:10@203.0.113.5:65002>;expires=\(granted)")])
    let delay = (bench.registration.nextDeadline! - bench.now).inSeconds
    #expect((earliest...latest).contains(delay))
  }

  /// The 200's fields → the seconds that we count on.
  @Test(
    arguments: [
      ("<sip:10@203.0.113.5:65002>;expires=120", nil, 120),
      ("<sip:99@192.0.2.7>;expires=10, <sip:10@203.0.113.5:65002>;expires=120", "20", 120),
      ("<sip:10@203.0.113.5:65002>", "90", 90),
      ("<sip:10@10.0.0.1:5060>;expires=110", nil, 110),
      ("<sip:10@10.0.0.1:5060>;expires=110", "70", 70),
      ("<sip:10@10.0.0.1>;expires=20, <sip:10@10.0.0.2>;expires=280, <sip:10@10.0.0.3>;expires=900", nil, 280),
      ("<sip:10@203.0.113.5:65002>;expires=99999999999999999999", nil, 86_400),
      (nil, nil, 300),
      (nil, "30", 30),
    ] as [(String?, String?, Int)])
  func findsOurExpiry(contacts: String?, expires: String?, seconds: Int) {
    var bench = RegistrationBench()
    bench.start()
    bench.reply(200, (contacts.map { [(.contact, $0)] } ?? []) + (expires.map { [(.expires, $0)] } ?? []))
    #expect(bench.registration.state == .registered(until: bench.now + .seconds(seconds)))
  }

  @Test func bindingThatIsNotKeptIsAFailure() {
    var bench = RegistrationBench()
    bench.start()
    bench.reply(200, [(.contact, "<sip:10@203.0.113.5:65002>;expires=0")])
    #expect(bench.failures.first?.code == "expiresAtOnce")
    #expect(bench.registration.state == .unreachable)
  }

  @Test func longerIntervalIsTaken() {
    var bench = RegistrationBench(expires: 60)
    bench.start()
    bench.reply(423, [(.minExpires, "600")])
    #expect(bench.sent.last?.message.value(.expires) == "600")
    bench.reply(200, [(.contact, "<sip:10@203.0.113.5:65002>;expires=600")])
    #expect(bench.registration.state == .registered(until: bench.now + .seconds(600)))
    bench.call { $0.refresh(now: $1, random: &$2, into: &$3) }
    #expect(bench.sent.last?.message.value(.expires) == "600", "remembered")
    bench.reply(423, [(.minExpires, "700")])
    bench.reply(423, [(.minExpires, "800")])
    #expect(bench.failures.map(\.code) == ["intervalTooBrief"])
  }

  @Test(arguments: ["10", "garbage", "999999999999"]) func senselessMinExpires(text: String) {
    var bench = RegistrationBench(expires: 60)
    bench.start()
    bench.reply(423, [(.minExpires, text)])
    #expect(bench.failures.map(\.code) == ["intervalTooBrief"])
  }

  @Test func staleNonceAndTwoChallenges() {
    var bench = RegistrationBench()
    bench.start()
    bench.reply(407, [(.proxyAuthenticate, #"Digest realm="proxy", nonce="p""#)])
    bench.reply(401, [(.wwwAuthenticate, #"Digest realm="example.org", nonce="n""#)])
    let message = bench.sent.last?.message
    #expect(message?.contains(.authorization) == true && message?.contains(.proxyAuthorization) == true)
    bench.reply(401, [(.wwwAuthenticate, #"Digest realm="example.org", nonce="m", stale=true"#)])
    bench.reply(200)
    #expect(bench.registeredCount == 1 && bench.sent.count == 4)
    // Later the nonce is worn out, and the registrar does not say that it is.
    bench.call { $0.refresh(now: $1, random: &$2, into: &$3) }
    bench.reply(200)
    bench.call { $0.refresh(now: $1, random: &$2, into: &$3) }
    bench.reply(401, [(.wwwAuthenticate, #"Digest realm="example.org", nonce="o""#)])
    bench.reply(200)
    #expect(bench.registeredCount == 3 && bench.failures.isEmpty)
  }

  @Test func provisionalAndForeignResponsesAreIgnored() {
    var bench = RegistrationBench()
    bench.start()
    var old = SIPMessage(status: 403)
    old.set(.cSeq, "77 REGISTER")
    bench.call { $0.responseReceived(old, now: $1, random: &$2, into: &$3) }
    var trying = SIPMessage(status: 100)
    trying.set(.cSeq, "1 REGISTER")
    bench.call { $0.responseReceived(trying, now: $1, random: &$2, into: &$3) }
    #expect(bench.registration.state == .registering && bench.failures.isEmpty)
  }

  // MARK: Contacts

  @Test func newContactIsRegisteredAndTheOldOneRemoved() {
    var bench = RegistrationBench()
    bench.start()
    bench.run(for: .seconds(10), RegistrationBench.friendly)
    bench.call { $0.contactChanged(RegistrationBench.moved, now: $1, random: &$2, into: &$3) }
    #expect(bench.sent.last?.at == 10)
    #expect(bench.sent.last?.message.value(.contact)?.hasPrefix("<sip:10@203.0.113.99:65002>;expires=300") == true)
    bench.reply(
      200,
      [(.contact, "<sip:10@203.0.113.5:65002>;expires=290"), (.contact, "<sip:10@203.0.113.99:65002>;expires=300")])
    #expect(bench.sent.last?.message.value(.contact)?.hasPrefix("<sip:10@203.0.113.5:65002>;expires=0") == true)
    #expect(bench.registration.state == .registered(until: bench.now + .seconds(300)))
    bench.reply(200, [(.contact, "<sip:10@203.0.113.99:65002>;expires=300")])
    let count = bench.sent.count
    bench.run(for: .seconds(200), RegistrationBench.friendly)
    #expect(bench.sent.count == count)
    bench.run(for: .seconds(50), RegistrationBench.friendly)
    #expect(bench.sent.count == count + 1)
    #expect(bench.sent.last?.message.values(.contact).count == 1)
  }

  @Test func failedRemovalOfTheOldContactHarmsNothing() {
    var bench = RegistrationBench()
    bench.start()
    bench.reply(200)
    bench.call { $0.contactChanged(RegistrationBench.moved, now: $1, random: &$2, into: &$3) }
    let both: [(HeaderName, String)] = [
      (.contact, "<sip:10@203.0.113.5:65002>;expires=290"), (.contact, "<sip:10@203.0.113.99:65002>;expires=300"),
    ]
    bench.reply(200, both)
    bench.reply(400)
    #expect(bench.registration.state == .registered(until: bench.now + .seconds(300)))
    #expect(bench.failures.isEmpty)
    #expect(bench.registration.nextDeadline != nil)
  }

  @Test func contactThatChangesWhileARegisterIsOut() {
    var bench = RegistrationBench()
    bench.start()
    let first = bench.sent[0].message
    bench.now = bench.now + .seconds(20)
    bench.call { $0.contactChanged(RegistrationBench.moved, now: $1, random: &$2, into: &$3) }
    #expect(bench.sent.last?.message.value(.contact)?.hasPrefix("<sip:10@203.0.113.99:65002>;expires=300") == true)
    // The first one's timeout, and then its answer, must not be taken for those of the second.
    bench.now = bench.now + .seconds(12)
    bench.call { $0.requestTimedOut(now: $1, random: &$2, into: &$3) }
    let late = SIPMessage(responding: first, status: 403, toTag: "r")
    bench.call { $0.responseReceived(late, now: $1, random: &$2, into: &$3) }
    #expect(bench.failures.isEmpty)
    bench.reply(
      200,
      [(.contact, "<sip:10@203.0.113.5:65002>;expires=290"), (.contact, "<sip:10@203.0.113.99:65002>;expires=300")])
    #expect(bench.registeredCount == 1)
    #expect(bench.sent.last?.message.value(.contact)?.hasPrefix("<sip:10@203.0.113.5:65002>;expires=0") == true)
  }

  @Test func changesWithoutEndWhileNothingAnswersAreHeldBack() {
    var bench = RegistrationBench()
    bench.start()
    for number in 0..<50 {
      bench.now = bench.now + .milliseconds(100)
      let contact = SIPURI(user: "10", host: "203.0.113.\(number + 100)", port: 65002)
      bench.call { $0.contactChanged(contact, now: $1, random: &$2, into: &$3) }
    }
    #expect(bench.sent.count == 6, "no more in ten seconds")
    bench.reply(200)
    #expect(
      bench.sent.last?.message.value(.contact)?.hasPrefix("<sip:10@203.0.113.149:65002>;expires=300") == true,
      "the last one")
  }

  // MARK: The end

  @Test func stopRemovesTheBinding() {
    var bench = RegistrationBench()
    bench.start()
    bench.run(for: .seconds(10), RegistrationBench.friendly)
    bench.call { $0.stop(now: $1, random: &$2, into: &$3) }
    #expect(bench.registration.state == .removing)
    #expect(bench.sent.last?.message.value(.contact)?.hasPrefix("<sip:10@203.0.113.5:65002>;expires=0") == true)
    #expect(bench.sent.last?.message.value(.expires) == "0")
    #expect(!bench.registration.isStopped)
    bench.reply(401, [(.wwwAuthenticate, #"Digest realm="example.org", nonce="x", stale=true"#)])
    #expect(bench.sent.last?.message.value(.contact)?.hasPrefix("<sip:10@203.0.113.5:65002>;expires=0") == true)
    bench.reply(200)
    #expect(bench.removedCount == 1 && bench.registration.isStopped)
    #expect(bench.registration.nextDeadline == nil && bench.registration.state == .unregistered)
  }

  @Test func stopWhileARegisterIsOutOrNobodyAnswers() {
    var bench = RegistrationBench()
    bench.start()
    bench.call { $0.stop(now: $1, random: &$2, into: &$3) }
    #expect(bench.sent.last?.message.value(.contact)?.hasPrefix("<sip:10@203.0.113.5:65002>;expires=0") == true)
    bench.run(for: .seconds(100)) { _ in .silence }
    #expect(bench.removedCount == 1 && bench.registration.isStopped && bench.registration.nextDeadline == nil)
    #expect(bench.sent.count == 2)
    bench.call { $0.stop(now: $1, random: &$2, into: &$3) }
    #expect(bench.removedCount == 2 && bench.sent.count == 2)
    bench.start(contact: RegistrationBench.moved)
    bench.reply(200)
    #expect(bench.registeredCount == 1, "it can begin again")
  }

  @Test func stopAfterARefusalSendsNothing() {
    var bench = RegistrationBench()
    bench.start()
    bench.reply(403)
    bench.call { $0.stop(now: $1, random: &$2, into: &$3) }
    #expect(bench.sent.count == 1 && bench.removedCount == 1 && bench.registration.nextDeadline == nil)
  }
}
