import NetworkTypes
import SIPDialog
import SIPSyntax
import Testing

/// Inputs in any order: nothing traps, something always comes next, and the limits on REGISTERs hold.
@Suite struct RegistrationSequenceTests {
  @Test(arguments: 1...40) func anyOrderOfInputs(seed: UInt64) {
    var dice = RandomSource(seed: seed)
    var bench = RegistrationBench()
    let statuses = [100, 180, 200, 200, 200, 302, 401, 401, 407, 403, 408, 423, 480, 500, 503, 603]
    let contacts = (1...3).map { SIPURI(user: "10", host: "203.0.113.\($0)", port: 65002) }
    var isWanted = false
    for _ in 0..<400 {
      let contact = contacts[Int(dice.next() % 3)]
      switch dice.next() % 16 {
      case 0:
        bench.start(contact: contact)
        isWanted = true
      case 1: bench.call { $0.contactChanged(contact, now: $1, random: &$2, into: &$3) }
      case 2: bench.call { $0.refresh(now: $1, random: &$2, into: &$3) }
      case 3: bench.call { $0.requestTimedOut(now: $1, random: &$2, into: &$3) }
      case 4 where dice.next() % 4 == 0:
        bench.call { $0.stop(now: $1, random: &$2, into: &$3) }
        isWanted = false
      case 5...9:
        let status = statuses[Int(dice.next() % UInt64(statuses.count))]
        bench.reply(
          status,
          [
            (.contact, "<\(contact)>;expires=\(dice.next() % 400)"), (.minExpires, "\(dice.next() % 900)"),
            (.wwwAuthenticate, "Digest realm=\"r\", nonce=\"\(dice.next())\", stale=\(dice.next() % 2 == 0)"),
            (.proxyAuthenticate, "Digest realm=\"p\", nonce=\"\(dice.next())\""), (.retryAfter, "\(dice.next() % 90)"),
          ])
      default:
        bench.now = bench.now + .seconds(Double(dice.next() % 600) / 10)
        bench.call { $0.timerFired(now: $1, random: &$2, into: &$3) }
      }
      #expect(bench.registration.isStopped == (bench.registration.state == .unregistered))
      if isWanted { #expect(bench.registration.nextDeadline != nil) }
      if bench.registration.isStopped { #expect(bench.registration.nextDeadline == nil) }
    }
    bench.call { $0.stop(now: $1, random: &$2, into: &$3) }
    bench.run(for: .seconds(60)) { _ in .silence }
    #expect(bench.registration.isStopped && bench.registration.nextDeadline == nil)
    bench.start()
    bench.run(for: .seconds(4000), RegistrationBench.friendly)
    guard case .registered = bench.registration.state else {
      Issue.record("it does not recover")
      return
    }
  }
}
