import LinkManager
import NetworkTypes
import Testing

@Suite struct CallRepairTests {
  static let start = MonotonicInstant(nanoseconds: 5_000_000_000)
  var random = RandomSource(seed: 4)

  private func answered(_ repair: inout CallRepair, _ status: Int, at now: MonotonicInstant) -> CallRepair.Outcome {
    var random = random
    return repair.answered(status, retryAfter: nil, isCaller: true, packets: 7, now: now, random: &random)
  }

  @Test(arguments: [
    (200, CallRepair.Outcome.moved), (481, .gone), (404, .gone), (604, .gone), (408, .again), (491, .again),
    (500, .again), (503, .again), (403, .again), (488, .refused), (606, .refused), (415, .refused),
  ]) func whatAResponseMeans(status: Int, outcome: CallRepair.Outcome) {
    var repair = CallRepair(now: Self.start)
    repair.offered(now: Self.start)
    #expect(answered(&repair, status, at: Self.start) == outcome)
  }

  /// Our 2xx may not have got there: that the far side knows no such call counts at the third time.
  @Test func anEndThatMayNotHaveGotOurAnswerIsAskedAgain() {
    var repair = CallRepair(now: Self.start)
    var now = Self.start
    for outcome in [CallRepair.Outcome.again, .again, .gone] {
      repair.offered(now: now, beforeACK: true)
      #expect(answered(&repair, 481, at: now) == outcome)
      now = repair.nextDeadline ?? now
    }
    repair = CallRepair(now: Self.start)
    repair.offered(now: Self.start, beforeACK: true)
    #expect(answered(&repair, 481, at: Self.start) == .again)
    repair.offered(now: Self.start + .seconds(1))
    #expect(answered(&repair, 481, at: Self.start + .seconds(1)) == .gone)
  }

  @Test(arguments: [408, 491, 500]) func laterIsMetForNinetySecondsAndNotBeyond(status: Int) {
    var repair = CallRepair(now: Self.start)
    var now = Self.start
    var attempts = 0
    while true {
      #expect(repair.mayOffer(now: now))
      repair.offered(now: now)
      #expect(!repair.mayOffer(now: now))
      attempts += 1
      let outcome = answered(&repair, status, at: now)
      if outcome == .exhausted { break }
      #expect(outcome == .again)
      #expect(!repair.mayOffer(now: now))
      guard let next = repair.nextDeadline else { return #expect(Bool(false), "no wake-up") }
      now = next
    }
    let took = (now - Self.start).inSeconds
    #expect(took > 80 && took <= 90)
    #expect((12...45).contains(attempts))
  }

  @Test func aGlareIsWaitedForAsLongAsTheRFCSays() {
    for isCaller in [true, false] {
      var random = RandomSource(seed: 9)
      for _ in 0..<50 {
        var repair = CallRepair(now: Self.start)
        repair.offered(now: Self.start)
        let outcome = repair.answered(
          491, retryAfter: nil, isCaller: isCaller, packets: 0, now: Self.start, random: &random)
        let wait = repair.nextDeadline.map { ($0 - Self.start).inSeconds } ?? -1
        #expect(outcome == .again)
        #expect(isCaller ? (2.1...4).contains(wait) : (0...2).contains(wait))
      }
    }
  }

  @Test func retryAfterIsObeyed() {
    var random = random
    var repair = CallRepair(now: Self.start)
    repair.offered(now: Self.start)
    let outcome = repair.answered(
      503, retryAfter: .seconds(20), isCaller: true, packets: 0, now: Self.start, random: &random)
    #expect(outcome == .again)
    #expect(repair.nextDeadline == Self.start + .seconds(20))
    repair.offered(now: Self.start + .seconds(20))
    let last = repair.answered(
      503, retryAfter: .seconds(300), isCaller: true, packets: 0, now: Self.start + .seconds(20), random: &random)
    #expect(last == .exhausted)
  }

  @Test func whatWaitsIsOverdueOnce() {
    let repair = CallRepair(now: Self.start)
    #expect(repair.nextDeadline == Self.start + CallRepair.waitingLimit)
    #expect(!repair.isOverdue(now: Self.start + .seconds(179)))
    #expect(repair.isOverdue(now: Self.start + .seconds(180)))
    #expect(CallRepair(now: Self.start, delay: .seconds(1)).mayOffer(now: Self.start) == false)
  }
}
