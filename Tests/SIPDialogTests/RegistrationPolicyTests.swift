import NetworkTypes
import SIPDialog
import SIPSyntax
import Testing

@Suite struct RegistrationPolicyTests {
  /// A registrar that does not like the password, in each of the ways that are met.
  private static let refusers: [(name: String, reply: @Sendable (SIPMessage) -> RegistrationBench.Reply)] = [
    ("challenges again", { RegistrationBench.challenge("n\($0.value(.cSeq) ?? "")") }),
    (
      "challenges, then forbids",
      { $0.contains(.authorization) ? .status(403) : RegistrationBench.challenge() }
    ),
    ("forbids at once", { _ in .status(403) }),
    ("knows no such user", { _ in .status(404) }),
    ("always stale", { RegistrationBench.challenge("n\($0.value(.cSeq) ?? "")", stale: true) }),
  ]

  @Test(arguments: refusers.indices) func refusedHardlyTriesAgain(index: Int) {
    var bench = RegistrationBench()
    bench.start()
    bench.run(for: .seconds(3600), Self.refusers[index].reply)
    #expect(bench.count(to: 60) <= 4)
    #expect(bench.registration.state == .rejected)
    // An attempt begins with a REGISTER that comes more than a second after the one before.
    var attempts: [Double] = []
    var last = -1000.0
    for register in bench.sent {
      if register.at > last + 1 { attempts.append(register.at) }
      last = register.at
    }
    let later = attempts.filter { $0 > 60 }
    #expect(later.count >= 9, "it never gives up")
    #expect(zip(later, later.dropFirst()).allSatisfy { $1 - $0 >= 300 })
    #expect((later.first ?? 0) >= 300)
  }

  @Test func wrongPasswordIsSaidInOneSentence() {
    var bench = RegistrationBench()
    bench.start()
    bench.run(for: .seconds(20), Self.refusers[0].reply)
    #expect(bench.failures.map(\.code) == ["wrongPassword"])
    #expect(
      bench.failures.first?.sentence == "The provider refuses the user name or password (401 Unauthorized).")
    #expect(bench.sent.count == 2)
    bench.run(for: .seconds(20), Self.refusers[0].reply)
    #expect(bench.sent.count == 3, "the second chance needs one REGISTER, with the nonce at hand")
  }

  /// `stale` says that the password is right (RFC 7616 §3.3).
  @Test func whoIsAlwaysStaleDoesNotRefuseThePassword() {
    var bench = RegistrationBench()
    bench.start()
    bench.run(for: .seconds(20), Self.refusers[4].reply)
    #expect(bench.failures.map(\.code) == ["endlessChallenges"])
  }

  @Test func correctedPasswordIsFoundByItself() {
    var bench = RegistrationBench()
    bench.start()
    bench.run(for: .seconds(400), Self.refusers[0].reply)
    // Nonces of this registrar live for a moment, and it does not say `stale`.
    bench.run(for: .seconds(400)) { request in
      let fresh = request.value(.authorization)?.contains("nonce=\"fresh\"") ?? false
      return fresh ? RegistrationBench.accept(request) : RegistrationBench.challenge("fresh")
    }
    #expect(bench.registeredCount == 1)
  }

  @Test func refusedStaysRefusedWhateverTheLineDoes() {
    var bench = RegistrationBench()
    bench.start()
    bench.run(for: .seconds(60)) { _ in .status(403) }
    let count = bench.sent.count
    for number in 0..<20 {
      bench.run(for: .seconds(5)) { _ in .status(403) }
      let contact = SIPURI(user: "10", host: "203.0.113.\(number + 100)", port: 65002)
      bench.call { $0.contactChanged(contact, now: $1, random: &$2, into: &$3) }
      bench.call { $0.refresh(now: $1, random: &$2, into: &$3) }
    }
    #expect(bench.sent.count == count)
    bench.run(for: .seconds(200)) { _ in .status(403) }
    #expect(bench.sent.count == count + 1)
    #expect(bench.sent.last?.message.value(.contact)?.contains("203.0.113.119") == true)
  }

  @Test func silenceAfterARefusalIsNoLeave() {
    var bench = RegistrationBench()
    bench.start()
    bench.run(for: .seconds(60)) { _ in .status(403) }
    let count = bench.sent.count
    bench.run(for: .seconds(1500)) { _ in .silence }
    let later = bench.sent.dropFirst(count).map(\.at)
    #expect(later.count >= 3, "it never gives up")
    #expect(zip(later, later.dropFirst()).allSatisfy { $1 - $0 >= 300 })
  }

  @Test func aPersonMayAskOnceAMinute() {
    var bench = RegistrationBench()
    bench.start()
    bench.run(for: .seconds(100)) { _ in .status(403) }
    let count = bench.sent.count
    for _ in 0..<5 {
      bench.call { $0.refresh(isAskedByPerson: true, now: $1, random: &$2, into: &$3) }
      bench.run(for: .seconds(1)) { _ in .status(403) }
    }
    #expect(bench.sent.count == count + 1)
  }

  @Test func transientFailuresBackOff() {
    var bench = RegistrationBench()
    bench.start()
    bench.run(for: .seconds(600)) { _ in .status(503) }
    #expect(bench.registration.state == .unreachable)
    let gaps = zip(bench.sent, bench.sent.dropFirst()).map { $1.at - $0.at }
    for (index, gap) in gaps.enumerated() {
      let full = min(Double(1 << min(index, 6)), 60)
      #expect((0.8 * full...full).contains(gap))
    }
    #expect(gaps.count >= 13)
    bench.run(for: .seconds(61), RegistrationBench.friendly)
    #expect(bench.registeredCount == 1)
    let before = bench.sent.count
    bench.call { $0.refresh(now: $1, random: &$2, into: &$3) }
    bench.reply(500)
    #expect((bench.registration.nextDeadline! - bench.now).inSeconds <= 1, "the doubling begins anew")
    #expect(bench.sent.count == before + 1)
    guard case .registered = bench.registration.state else {
      Issue.record("the registrar still has the binding")
      return
    }
  }

  @Test func silenceBacksOffAndIsUnreachable() {
    var bench = RegistrationBench()
    bench.start()
    bench.run(for: .seconds(10), RegistrationBench.friendly)
    bench.run(for: .seconds(600)) { _ in .silence }
    #expect(bench.registration.state == .unreachable)
    #expect(Set(bench.failures.map(\.code)) == ["noAnswer"])
    #expect(bench.failures.count >= 4)
  }

  @Test func nobodySaysThatTheRequestIsLost() {
    var bench = RegistrationBench()
    bench.start()
    bench.now = bench.now + .seconds(40)
    bench.call { $0.timerFired(now: $1, random: &$2, into: &$3) }
    #expect(bench.failures.map(\.code) == ["noAnswer"])
  }

  @Test(arguments: [
    ("30", 30.0), ("120 (maintenance);duration=10", 120), ("999999999", 3600), ("soon", 0.8), ("-5", 0.8),
  ])
  func retryAfterIsObeyed(text: String, seconds: Double) {
    var bench = RegistrationBench()
    bench.start()
    bench.reply(503, [(.retryAfter, text)])
    let delay = (bench.registration.nextDeadline! - bench.now).inSeconds
    #expect(delay >= seconds && delay <= max(seconds, 1))
  }

  @Test func foreignRealmGetsNoCredentials() {
    var bench = RegistrationBench(realm: "example.org")
    bench.start()
    bench.run(for: .seconds(120)) { _ in RegistrationBench.challenge(realm: "evil\u{7}") }
    #expect(bench.failures.first?.code == "wrongRealm")
    #expect(bench.failures.first?.sentence.contains("\u{7}") == false)
    #expect(bench.sent.allSatisfy { !$0.message.contains(.authorization) })
    #expect(bench.sent.count <= 4)
  }

  /// Status → code, state.
  @Test(arguments: [
    (302, "redirected", Registration.State.unreachable), (400, "refused", .rejected), (403, "forbidden", .rejected),
    (404, "unknownUser", .rejected), (405, "notARegistrar", .rejected), (408, "providerBusy", .unreachable),
    (480, "providerBusy", .unreachable), (500, "providerError", .unreachable), (501, "notARegistrar", .rejected),
    (503, "providerError", .unreachable), (603, "refused", .rejected),
  ]) func everyFailureHasACodeAndASentence(status: Int, code: String, state: Registration.State) {
    var bench = RegistrationBench()
    bench.start()
    bench.reply(status)
    #expect(bench.failures.map(\.code) == [code])
    #expect(bench.failures[0].sentence.hasSuffix(").") && bench.failures[0].sentence.contains("(\(status) "))
    #expect(bench.registration.state == state)
    #expect(bench.registration.nextDeadline != nil, "it never gives up")
  }

  @Test func noPasswordAndOtherSchemes() {
    var bench = RegistrationBench(password: nil)
    bench.start()
    bench.run(for: .seconds(1), RegistrationBench.friendly)
    #expect(bench.failures.map(\.code) == ["noPassword"])
    var basic = RegistrationBench()
    basic.start()
    basic.reply(401, [(.wwwAuthenticate, #"Basic realm="example.org""#)])
    #expect(basic.failures.map(\.code) == ["unsupportedAuthentication"])
  }
}
