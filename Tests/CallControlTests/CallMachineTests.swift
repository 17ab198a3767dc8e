import CallControl
import NetworkTypes
import SDP
import SIPSyntax
import SIPTransaction
import Testing

/// What happened on one leg, and what is asked of the others.
@Suite struct CallMachineTests {
  static let caller = LegID(call: 1, index: 0)
  static let first = LegID(call: 1, index: 1)
  static let second = LegID(call: 1, index: 2)
  static let offer = description(1)
  static let answer = description(2)

  static func description(_ version: UInt64) -> SessionDescription {
    SessionDescription(
      origin: SDPOrigin(sessionID: "1", version: version, address: .loopbackV4), connection: SDPConnection(.loopbackV4))
  }

  static func station(_ name: String) -> DialTarget {
    .station(
      name: name, uri: SIPURI(user: name, host: "192.0.2.1"),
      path: SIPPath(socket: 1, remote: Endpoint(.v4(0xc000_0201), port: 5060)))
  }

  static func trunk(_ name: String) -> DialTarget { .trunk(name, number: "+4921112345", callerID: nil) }

  /// A machine that was started, and what it asked at the start.
  static func start(_ stages: [DialStage], offer: SessionDescription? = offer) -> (CallMachine, [LegCommand]) {
    var machine = CallMachine(caller: caller, offer: offer, stages: stages)
    var commands: [LegCommand] = []
    machine.start(into: &commands)
    return (machine, commands)
  }

  static func tell(_ machine: inout CallMachine, _ event: LegEvent, on leg: LegID) -> [LegCommand] {
    var commands: [LegCommand] = []
    machine.received(event, on: leg, into: &commands)
    return commands
  }

  static func expect(
    _ machine: inout CallMachine, _ event: LegEvent, on leg: LegID, gives expected: [LegCommand],
    at location: SourceLocation = #_sourceLocation
  ) {
    let commands = tell(&machine, event, on: leg)
    #expect(commands == expected, sourceLocation: location)
  }

  /// A call in which the caller talks with the first callee.
  static func answered(offer: SessionDescription? = offer) -> CallMachine {
    var machine = start([DialStage(targets: [station("10")])], offer: offer).0
    _ = tell(&machine, .answered(answer), on: first)
    if offer == nil { _ = tell(&machine, .acknowledged(answer), on: caller) }
    return machine
  }

  @Test func aCallIsDialledRingsAndIsAnswered() {
    var (machine, commands) = Self.start([DialStage(targets: [Self.station("10")], timeout: .seconds(20))])
    // The last stage rings as long as the caller likes.
    #expect(commands == [.dial(Self.first, Self.station("10"), Self.offer), .setStageTimer(nil)])
    commands = Self.tell(&machine, .progressed(status: 180, reason: "Ringing", nil), on: Self.first)
    #expect(commands == [.progress(Self.caller, status: 180, reason: "Ringing", nil)])
    commands = Self.tell(&machine, .progressed(status: 183, reason: "Progress", Self.answer), on: Self.first)
    #expect(
      commands == [
        .couple(Self.caller, Self.first), .progress(Self.caller, status: 183, reason: "Progress", Self.answer),
      ])
    commands = Self.tell(&machine, .answered(Self.answer), on: Self.first)
    #expect(
      commands == [
        .setStageTimer(nil), .couple(Self.caller, Self.first), .answer(Self.caller, Self.answer),
        .acknowledge(Self.first, nil),
      ])
    #expect(machine.phase == .answered(Self.first))
    #expect(machine.partner(of: Self.caller) == Self.first && machine.partner(of: Self.first) == Self.caller)
  }

  @Test func theFirstToAnswerTakesTheCallAndTheOthersAreCancelled() {
    var (machine, commands) = Self.start([DialStage(targets: [Self.station("10"), Self.station("20")])])
    #expect(commands.count == 3)
    commands = Self.tell(&machine, .answered(Self.answer), on: Self.second)
    #expect(commands.last == .cancel(Self.first))
    // The other answered before our CANCEL reached it.
    commands = Self.tell(&machine, .answered(Self.answer), on: Self.first)
    #expect(commands == [.acknowledge(Self.first, nil), .hangUp(Self.first)])
    #expect(machine.phase == .answered(Self.second))
  }

  @Test func anOfferInThe2xxWaitsForTheAnswerInTheCallersACK() {
    var (machine, commands) = Self.start([DialStage(targets: [Self.station("10")])], offer: nil)
    commands = Self.tell(&machine, .answered(Self.offer), on: Self.first)
    #expect(commands.contains(.answer(Self.caller, Self.offer)))
    #expect(!commands.contains(.acknowledge(Self.first, nil)))
    commands = Self.tell(&machine, .acknowledged(Self.answer), on: Self.caller)
    #expect(commands == [.acknowledge(Self.first, Self.answer)])
  }

  @Test func theCallerGivesUp() {
    var (machine, _) = Self.start([DialStage(targets: [Self.station("10")])])
    var commands = Self.tell(&machine, .cancelled, on: Self.caller)
    #expect(
      commands == [
        .setStageTimer(nil), .cancel(Self.first),
        .refuse(Self.caller, Refusal(status: 487, reason: "Request Terminated")),
      ])
    #expect(machine.endedBy == .caller)
    commands = Self.tell(&machine, .refused(Refusal(status: 487, reason: "Request Terminated")), on: Self.first)
    #expect(commands == [.finished])
  }

  @Test(arguments: [503, 408, 403]) func theNextTrunkIsTriedWhenTheWayFails(status: Int) {
    var (machine, commands) = Self.start([
      DialStage(targets: [Self.trunk("a")]), DialStage(targets: [Self.trunk("b")]),
    ])
    commands = Self.tell(&machine, .refused(Refusal(status: status, reason: "no")), on: Self.first)
    #expect(commands == [.dial(Self.second, Self.trunk("b"), Self.offer), .setStageTimer(nil)])
    commands = Self.tell(&machine, .refused(Refusal(status: 486, reason: "Busy Here")), on: Self.second)
    #expect(commands.contains(.refuse(Self.caller, Refusal(status: 486, reason: "Busy Here"))))
    #expect(commands.last == .finished)
  }

  @Test(arguments: [486, 404, 600, 603]) func theNextTrunkIsNotTriedWhenTheNumberRefuses(status: Int) {
    var (machine, commands) = Self.start([
      DialStage(targets: [Self.trunk("a")]), DialStage(targets: [Self.trunk("b")]),
    ])
    commands = Self.tell(&machine, .refused(Refusal(status: status, reason: "no")), on: Self.first)
    #expect(
      commands == [.setStageTimer(nil), .refuse(Self.caller, Refusal(status: status, reason: "no")), .finished])
  }

  @Test func aStageThatRingsTooLongGivesWayToTheNext() {
    var (machine, commands) = Self.start([
      DialStage(targets: [Self.station("10")], timeout: .seconds(20)), DialStage(targets: [Self.trunk("mobile")]),
    ])
    #expect(commands.last == .setStageTimer(.seconds(20)))
    commands = []
    machine.stageTimedOut(into: &commands)
    #expect(
      commands == [
        .cancel(Self.first), .dial(Self.second, Self.trunk("mobile"), Self.offer), .setStageTimer(nil),
      ])
    commands = Self.tell(&machine, .refused(Refusal(status: 487, reason: "")), on: Self.first)
    #expect(commands.isEmpty)
  }

  @Test func nobodyToDialIsTemporarilyUnavailable() {
    let (machine, commands) = Self.start([DialStage(targets: [])])
    #expect(machine.phase == .ended)
    #expect(commands.contains(.refuse(Self.caller, Refusal(status: 480, reason: "Temporarily Unavailable"))))
    #expect(commands.last == .finished)
  }

  @Test func whoeverHangsUpTheOtherIsHungUp() {
    var machine = Self.answered()
    Self.expect(&machine, .hungUp, on: Self.caller, gives: [.setStageTimer(nil), .hangUp(Self.first), .finished])
    #expect(machine.endedBy == .caller)
    machine = Self.answered()
    Self.expect(&machine, .hungUp, on: Self.first, gives: [.setStageTimer(nil), .hangUp(Self.caller), .finished])
    #expect(machine.endedBy == .callee)
  }

  @Test(arguments: [(caller, first), (first, caller)]) func aReinviteGoesThroughAndItsAnswerBack(
    from: LegID, to: LegID
  ) {
    var machine = Self.answered()
    Self.expect(&machine, .offered(Self.offer), on: from, gives: [.offer(to, Self.offer)])
    // Another one meanwhile, from either side, waits its turn (RFC 3261 §14.2).
    let pending = Refusal(status: 491, reason: "Request Pending")
    Self.expect(&machine, .offered(Self.offer), on: to, gives: [.refuseOffer(to, pending)])
    Self.expect(
      &machine, .offerAnswered(Self.answer), on: to,
      gives: [
        .answerOffer(from, Self.answer), .acknowledge(to, nil),
      ])
    Self.expect(&machine, .offered(Self.offer), on: to, gives: [.offer(from, Self.offer)])
    let refusal = Refusal(status: 488, reason: "Not Acceptable Here")
    Self.expect(&machine, .offerRefused(refusal), on: from, gives: [.refuseOffer(to, refusal)])
    #expect(machine.phase == .answered(Self.first))
  }

  @Test func aReinviteWithoutAnOfferIsAnsweredByTheOtherSidesOffer() {
    var machine = Self.answered()
    Self.expect(&machine, .offered(nil), on: Self.caller, gives: [.offer(Self.first, nil)])
    Self.expect(&machine, .offerAnswered(Self.offer), on: Self.first, gives: [.answerOffer(Self.caller, Self.offer)])
    Self.expect(&machine, .acknowledged(Self.answer), on: Self.caller, gives: [.acknowledge(Self.first, Self.answer)])
  }

  @Test func hangingUpDuringAReinviteEndsIt() {
    var machine = Self.answered()
    _ = Self.tell(&machine, .offered(Self.offer), on: Self.first)
    let commands = Self.tell(&machine, .hungUp, on: Self.caller)
    #expect(commands.contains(.refuseOffer(Self.first, Refusal(status: 487, reason: "Request Terminated"))))
    #expect(commands.contains(.hangUp(Self.first)))
  }

  /// Whatever happens in whatever order: no leg is dialled twice, every dialled leg is ended, and the call finishes once.
  @Test(arguments: 1...300) func anyOrderOfEventsEndsEveryLegOnce(seed: Int) {
    var random = RandomSource(seed: UInt64(seed))
    let stages = (0..<Int.random(in: 1...3, using: &random)).map { _ in
      DialStage(
        targets: (0..<Int.random(in: 0...3, using: &random)).map { Self.station("\($0)") }, timeout: .seconds(5))
    }
    let offer = Bool.random(using: &random) ? Self.offer : nil
    var (machine, all) = Self.start(stages, offer: offer)
    let refusal = Refusal(status: 486, reason: "Busy Here")
    for _ in 0..<60 {
      let leg = LegID(call: 1, index: Int.random(in: 0..<max(1, machine.legCount), using: &random))
      let event: LegEvent = [
        .progressed(status: 180, reason: "Ringing", Self.answer), .answered(Self.answer), .refused(refusal),
        .acknowledged(Self.answer), .offered(Self.offer), .offered(nil), .offerAnswered(Self.answer),
        .offerRefused(refusal), .cancelled, .hungUp, .lost,
      ].randomElement(using: &random)!
      if Int.random(in: 0..<20, using: &random) == 0 { machine.stageTimedOut(into: &all) }
      all += Self.tell(&machine, event, on: leg)
    }
    machine.end(Refusal(status: 503, reason: "Over"), into: &all)
    for index in 1..<max(machine.legCount, 2) where machine.legCount > 1 {
      all += Self.tell(&machine, .refused(refusal), on: LegID(call: 1, index: index))
    }
    #expect(machine.phase == .ended)
    #expect(all.count { $0 == .finished } == 1)
    for index in 1..<max(machine.legCount, 2) where machine.legCount > 1 {
      let leg = LegID(call: 1, index: index)
      #expect(all.count { if case .dial(leg, _, _) = $0 { true } else { false } } == 1)
      #expect(all.count { $0 == .hangUp(leg) } <= 1)
      #expect(all.count { $0 == .cancel(leg) } <= 1)
    }
    #expect(all.count { if case .answer = $0 { true } else { false } } <= 1)
    #expect(all.count { if case .refuse = $0 { true } else { false } } <= 1)
    #expect(all.count { $0 == .hangUp(Self.caller) } <= 1)
  }
}
