import SIPTransaction
import Testing

private let unreliable = TransactionTiming(timers: SIPTimers(), isReliable: false)
private let reliable = TransactionTiming(timers: SIPTimers(), isReliable: true)
private let t1 = Duration.milliseconds(500)
private let t1x64 = Duration.seconds(32)

/// Each test walks one machine through its figure; what a machine answers is compared whole.
@Suite struct InviteClientStateMachineTests {
  private func machine(_ timing: TransactionTiming = unreliable, responses: Int...)
    -> InviteClientTransaction.StateMachine
  {
    var machine = InviteClientTransaction.StateMachine(timing: timing)
    for status in responses { _ = machine.responseReceived(status: status) }
    return machine
  }

  @Test func startsTimersByTransport() {
    #expect(machine().firstActions == [.sendRequest, .start(.a, t1), .start(.b, t1x64)])
    #expect(machine(reliable).firstActions == [.sendRequest, .start(.b, t1x64)])
  }

  @Test func timerADoublesWithoutBound() {
    var machine = machine()
    for power in 1...6 {
      let interval = t1 * (1 << power)
      #expect(machine.timerFired(.a) == [.sendRequest, .start(.a, interval)])
    }
    #expect(machine.timerFired(.b) == [.reportTimeout, .stop(.a), .start(.m, t1x64)])
    #expect(machine.state == .givenUp)
    #expect(machine.timerFired(.m) == [.terminate])
    #expect(machine.state == .terminated)
  }

  @Test func whoAnswersWhatWasGivenUpIsCancelled() {
    var machine = machine()
    _ = machine.timerFired(.b)
    #expect(machine.responseReceived(status: 180) == [.sendCancel, .stop(.m), .start(.cancellation, t1x64)])
    #expect(machine.responseReceived(status: 487).first == .sendACK)
    #expect(machine.state == .completed)
  }

  @Test(arguments: [(200, TransactionAction.deliverResponse), (486, .sendACK)])
  func whatWasGivenUpIsStillAcknowledged(_ status: Int, _ first: TransactionAction) {
    var machine = machine()
    _ = machine.timerFired(.b)
    #expect(machine.responseReceived(status: status).first == first)
  }

  @Test func provisionalStopsRepetition() {
    var machine = machine()
    #expect(
      machine.responseReceived(status: 180)
        == [.deliverResponse, .stop(.a), .stop(.b), .start(.c, .seconds(300))])
    #expect(machine.state == .proceeding(isCancelled: false))
    #expect(machine.timerFired(.a) == [])
    #expect(machine.timerFired(.b) == [])
    #expect(machine.responseReceived(status: 100) == [.deliverResponse])
    #expect(machine.responseReceived(status: 183) == [.deliverResponse, .start(.c, .seconds(300))])
  }

  @Test(arguments: [[], [100], [100, 180]]) func acceptance(before: [Int]) {
    var machine = machine()
    for status in before { _ = machine.responseReceived(status: status) }
    let actions = machine.responseReceived(status: 200)
    #expect(actions.first == .deliverResponse)
    #expect(actions.last == .start(.m, t1x64))
    #expect(!actions.contains(.sendACK))
    #expect(machine.state == .accepted)
    #expect(machine.responseReceived(status: 200) == [.deliverResponse])
    #expect(machine.responseReceived(status: 180) == [])
    #expect(machine.responseReceived(status: 486) == [])
    #expect(machine.cancelled() == [])
    #expect(machine.timerFired(.m) == [.terminate])
  }

  @Test(arguments: [300, 401, 486, 503, 603]) func refusal(status: Int) {
    var machine = machine(responses: 100)
    let actions = machine.responseReceived(status: status)
    #expect(actions.prefix(2) == [.sendACK, .deliverResponse])
    #expect(actions.last == .start(.d, t1x64))
    #expect(machine.state == .completed)
    #expect(machine.responseReceived(status: status) == [.sendACK])
    #expect(machine.responseReceived(status: 180) == [])
    #expect(machine.responseReceived(status: 200) == [])
    #expect(machine.timerFired(.d) == [.terminate])
  }

  @Test func refusalOnReliableTransportEndsAtOnce() {
    var machine = machine(reliable)
    #expect(machine.responseReceived(status: 404) == [.sendACK, .deliverResponse, .terminate])
    #expect(machine.state == .terminated)
    #expect(machine.responseReceived(status: 404) == [])
  }

  @Test func cancelWaitsForProvisional() {
    var machine = machine()
    #expect(machine.cancelled() == [])
    #expect(machine.timerFired(.a) == [.sendRequest, .start(.a, t1 * 2)])
    let actions = machine.responseReceived(status: 100)
    #expect(actions == [.deliverResponse, .stop(.a), .stop(.b), .sendCancel, .start(.cancellation, t1x64)])
    #expect(machine.cancelled() == [])
    #expect(machine.responseReceived(status: 180) == [.deliverResponse])
    #expect(machine.timerFired(.cancellation) == [.reportTimeout, .terminate])
  }

  @Test func cancelAfterProvisionalLeavesAtOnce() {
    var machine = machine(responses: 180)
    #expect(machine.cancelled() == [.sendCancel, .stop(.c), .start(.cancellation, t1x64)])
    #expect(machine.responseReceived(status: 487).contains(.stop(.cancellation)))
    #expect(machine.state == .completed)
  }

  @Test func ringingForTooLongIsCancelled() {
    var machine = machine(responses: 180)
    #expect(machine.timerFired(.c) == [.sendCancel, .start(.cancellation, t1x64)])
  }
}

@Suite struct NonInviteClientStateMachineTests {
  private func machine(_ timing: TransactionTiming = unreliable) -> NonInviteClientTransaction.StateMachine {
    NonInviteClientTransaction.StateMachine(timing: timing)
  }

  @Test func startsTimersByTransport() {
    #expect(machine().firstActions == [.sendRequest, .start(.e, t1), .start(.f, t1x64)])
    #expect(machine(reliable).firstActions == [.sendRequest, .start(.f, t1x64)])
  }

  @Test func timerEDoublesUpToT2() {
    var machine = machine()
    for seconds in [1, 2, 4, 4, 4] as [Int] {
      #expect(machine.timerFired(.e) == [.sendRequest, .start(.e, .seconds(seconds))])
    }
    #expect(machine.timerFired(.f) == [.reportTimeout, .terminate])
    #expect(machine.timerFired(.e) == [])
  }

  @Test func proceedingRepeatsEveryT2() {
    var machine = machine()
    #expect(machine.responseReceived(status: 100) == [.deliverResponse])
    #expect(machine.timerFired(.e) == [.sendRequest, .start(.e, .seconds(4))])
    #expect(machine.timerFired(.f) == [.reportTimeout, .terminate])
  }

  @Test(arguments: [200, 302, 401, 500, 600]) func completion(status: Int) {
    var machine = machine()
    #expect(
      machine.responseReceived(status: status)
        == [.deliverResponse, .stop(.e), .stop(.f), .start(.k, .seconds(5))])
    #expect(machine.state == .completed)
    #expect(machine.responseReceived(status: status) == [])
    #expect(machine.timerFired(.e) == [])
    #expect(machine.timerFired(.k) == [.terminate])
  }

  @Test func completionOnReliableTransportEndsAtOnce() {
    var machine = machine(reliable)
    #expect(machine.responseReceived(status: 200) == [.deliverResponse, .terminate])
  }
}

@Suite struct InviteServerStateMachineTests {
  private func machine(_ timing: TransactionTiming = unreliable, answers: Int...)
    -> InviteServerTransaction.StateMachine
  {
    var machine = InviteServerTransaction.StateMachine(timing: timing)
    for status in answers { _ = machine.responded(status: status) }
    return machine
  }

  @Test func saysTryingAfter200Milliseconds() {
    var machine = machine()
    #expect(machine.firstActions == [.start(.trying, .milliseconds(200))])
    #expect(machine.timerFired(.trying) == [.sendTrying])
    #expect(machine.requestReceived() == [.sendResponse])
  }

  @Test func repeatedInviteBeforeAnAnswerIsTried() {
    var machine = machine()
    #expect(machine.requestReceived() == [.sendTrying, .stop(.trying)])
    #expect(machine.timerFired(.trying) == [])
  }

  @Test func provisionalIsRepeatedOnDemand() {
    var machine = machine()
    #expect(machine.responded(status: 180) == [.sendResponse, .stop(.trying)])
    #expect(machine.requestReceived() == [.sendResponse])
    #expect(machine.ackReceived() == [])
  }

  @Test func acceptedStateOfRFC6026() {
    var machine = machine(answers: 180)
    #expect(
      machine.responded(status: 200)
        == [.sendResponse, .stop(.trying), .start(.acceptance, t1), .start(.l, t1x64)])
    #expect(machine.requestReceived() == [], "a repeated INVITE is absorbed")
    for seconds in [1, 2, 4, 4] as [Int] {
      #expect(machine.timerFired(.acceptance) == [.sendResponse, .start(.acceptance, .seconds(seconds))])
    }
    #expect(machine.ackReceived() == [.reportACK, .stop(.acceptance)])
    #expect(machine.ackReceived() == [])
    #expect(machine.timerFired(.acceptance) == [])
    #expect(machine.responded(status: 486) == [])
    #expect(machine.timerFired(.l) == [.terminate])
  }

  @Test func acceptedOnReliableTransportIsRepeatedToo() {
    var machine = machine(reliable)
    #expect(machine.responded(status: 200).contains(.start(.acceptance, t1)))
  }

  @Test func missingACKIsReported() {
    var machine = machine(answers: 200)
    #expect(machine.timerFired(.l) == [.reportUnacknowledged, .terminate])
  }

  @Test func refusalIsRepeatedUntilACK() {
    var machine = machine()
    #expect(
      machine.responded(status: 486) == [.sendResponse, .stop(.trying), .start(.g, t1), .start(.h, t1x64)])
    for seconds in [1, 2, 4, 4] as [Int] {
      #expect(machine.timerFired(.g) == [.sendResponse, .start(.g, .seconds(seconds))])
    }
    #expect(machine.requestReceived() == [.sendResponse])
    #expect(machine.ackReceived() == [.stop(.g), .stop(.h), .start(.i, .seconds(5))])
    #expect(machine.state == .confirmed)
    #expect(machine.ackReceived() == [])
    #expect(machine.requestReceived() == [])
    #expect(machine.timerFired(.i) == [.terminate])
  }

  @Test func refusalOnReliableTransport() {
    var machine = machine(reliable)
    #expect(machine.responded(status: 486) == [.sendResponse, .stop(.trying), .start(.h, t1x64)])
    #expect(machine.ackReceived() == [.terminate])
  }

  @Test func refusalWithoutACKEnds() {
    var machine = machine(answers: 486)
    #expect(machine.timerFired(.h) == [.terminate])
  }

  @Test func cancelCountsOnceAndOnlyBeforeTheEnd() {
    var ringing = machine(answers: 180)
    #expect(ringing.cancelReceived() == [.reportCancel])
    #expect(ringing.cancelReceived() == [])
    #expect(ringing.responded(status: 487).first == .sendResponse)
    var answered = machine(answers: 200)
    #expect(answered.cancelReceived() == [])
  }
}

@Suite struct NonInviteServerStateMachineTests {
  @Test func repetitionsGetTheLastAnswer() {
    var machine = NonInviteServerTransaction.StateMachine(timing: unreliable)
    #expect(machine.requestReceived() == [])
    #expect(machine.responded(status: 100) == [.sendResponse])
    #expect(machine.requestReceived() == [.sendResponse])
    #expect(machine.responded(status: 200) == [.sendResponse, .stop(.answer), .start(.j, t1x64)])
    #expect(machine.requestReceived() == [.sendResponse])
    #expect(machine.responded(status: 500) == [], "one final answer")
    #expect(machine.timerFired(.j) == [.terminate])
    #expect(machine.requestReceived() == [])
  }

  @Test func reliableTransportKeepsNothing() {
    var machine = NonInviteServerTransaction.StateMachine(timing: reliable)
    #expect(machine.responded(status: 200) == [.sendResponse, .terminate])
  }

  @Test func unansweredRequestIsForgotten() {
    var machine = NonInviteServerTransaction.StateMachine(timing: unreliable)
    #expect(machine.firstActions == [.start(.answer, t1x64)])
    #expect(machine.timerFired(.answer) == [.terminate])
  }
}

@Suite struct TimerTableTests {
  /// RFC 3261 Table 4 and RFC 6026 §7, in milliseconds; `nil` where the timer is zero on a reliable transport.
  @Test(
    arguments: [
      (TransactionTimer.a, 500, nil), (.b, 32_000, 32_000), (.c, 300_000, 300_000), (.d, 32_000, nil), (.e, 500, nil),
      (.f, 32_000, 32_000), (.g, 500, nil), (.h, 32_000, 32_000), (.i, 5000, nil), (.j, 32_000, nil), (.k, 5000, nil),
      (.l, 32_000, 32_000), (.m, 32_000, 32_000),
    ] as [(TransactionTimer, Int, Int?)])
  func lengths(timer: TransactionTimer, unreliable: Int, reliable: Int?) {
    let timers = SIPTimers()
    #expect(timers.duration(timer, isReliable: false) == .milliseconds(unreliable))
    #expect(timers.duration(timer, isReliable: true) == reliable.map { .milliseconds($0) })
  }
}
