public import SDP

/// One call of a back-to-back user agent: the caller's leg, the legs that were dialled for it, and the table that couples
/// them (``CallMachine/received(_:on:into:)``). It knows no SIP message, no address and no port: what happened on a leg
/// goes in, what is asked of the others comes out.
///
/// Descriptions pass through as the far side wrote them; who sends them on puts the relay's addresses in.
public struct CallMachine: Sendable {
  public enum Phase: Sendable, Equatable {
    /// No one has answered yet.
    case setUp
    /// The caller talks with this callee.
    case answered(LegID)
    /// Over: no leg is asked anything new, and the last responses are awaited.
    case ended
  }

  /// Who ended the call.
  public enum EndedBy: String, Sendable { case caller, callee, trunkline }

  package enum CalleeState: Sendable, Equatable { case dialing, ringing, answered, cancelling, ended }

  package struct Callee: Sendable, Equatable {
    let leg: LegID
    let target: DialTarget
    var state: CalleeState
  }

  public let caller: LegID
  public private(set) var phase = Phase.setUp
  /// What the caller was refused with; `nil` when the call was answered or the caller gave up.
  public private(set) var refusal: Refusal?
  public private(set) var endedBy: EndedBy?
  package var callees: [Callee] = []
  private var stages: [DialStage]
  private var callerOffer: SessionDescription?
  private var callerIsUp = true
  /// The callee whose 2xx carried the offer, and whose ACK waits for the answer in the other leg's ACK.
  private var heldACK: (of: LegID, until: LegID)?
  /// A re-INVITE on its way through: from which leg to which.
  private var pendingOffer: (from: LegID, to: LegID, hadOffer: Bool)?

  public init(caller: LegID, offer: SessionDescription?, stages: [DialStage]) {
    self.caller = caller
    self.callerOffer = offer
    self.stages = stages
  }

  /// How many legs this call has had.
  public var legCount: Int { callees.count + 1 }

  public mutating func start(into commands: inout [LegCommand]) { dialNextStage(into: &commands) }

  /// The stage's targets have rung long enough.
  public mutating func stageTimedOut(into commands: inout [LegCommand]) {
    guard phase == .setUp else { return }
    cancelCallees(into: &commands)
    dialNextStage(into: &commands)
  }

  /// Someone above ends the call: a person, a limit, the end of the process.
  public mutating func end(_ refusal: Refusal, into commands: inout [LegCommand]) {
    end(by: .trunkline, refusal: refusal, into: &commands)
  }

  /// The other leg of the two that talk; `nil` for any other leg.
  public func partner(of leg: LegID) -> LegID? {
    guard case .answered(let callee) = phase else { return nil }
    return leg == caller ? callee : leg == callee ? caller : nil
  }

  // MARK: The coupling table

  public mutating func received(_ event: LegEvent, on leg: LegID, into commands: inout [LegCommand]) {
    if leg == caller { receivedFromCaller(event, into: &commands) } else { receivedFromCallee(event, leg, &commands) }
    finishIfOver(into: &commands)
  }

  private mutating func receivedFromCaller(_ event: LegEvent, into commands: inout [LegCommand]) {
    switch event {
    case .cancelled:
      guard phase == .setUp else { return }
      end(by: .caller, refusal: Refusal(status: 487, reason: "Request Terminated"), into: &commands)
    case .hungUp, .lost:
      callerIsUp = false
      end(by: event == .lost ? .trunkline : .caller, refusal: nil, into: &commands)
    case .acknowledged(let answer): releaseACK(on: caller, answer, into: &commands)
    case .offered(let offer): pass(offer, from: caller, into: &commands)
    case .offerAnswered(let answer): answerPending(answer, from: caller, into: &commands)
    case .offerRefused(let refusal): refusePending(refusal, from: caller, into: &commands)
    case .progressed, .answered, .refused: return
    }
  }

  private mutating func receivedFromCallee(_ event: LegEvent, _ leg: LegID, _ commands: inout [LegCommand]) {
    guard let index = callees.firstIndex(where: { $0.leg == leg }) else { return }
    switch (event, callees[index].state) {
    case (.progressed(let status, let reason, let description), .dialing),
      (.progressed(let status, let reason, let description), .ringing):
      guard phase == .setUp else { return }
      callees[index].state = .ringing
      if description != nil { commands.append(.couple(caller, leg)) }
      commands.append(.progress(caller, status: status, reason: reason, description))
    case (.answered(let description), .dialing), (.answered(let description), .ringing):
      guard phase == .setUp else {
        drop(index, into: &commands)
        return
      }
      callees[index].state = .answered
      phase = .answered(leg)
      stages = []
      commands.append(.setStageTimer(nil))
      commands.append(.couple(caller, leg))
      commands.append(.answer(caller, description))
      if callerOffer == nil, description != nil {
        heldACK = (of: leg, until: caller)
      } else {
        commands.append(.acknowledge(leg, nil))
      }
      cancelCallees(into: &commands)
    case (.answered, .cancelling):
      // The 2xx crossed our CANCEL: it is acknowledged and taken back at once (RFC 3261 §15).
      drop(index, into: &commands)
    case (.refused(let refusal), .dialing), (.refused(let refusal), .ringing):
      callees[index].state = .ended
      calleeRefused(refusal, callees[index].target, into: &commands)
    case (.refused, .cancelling): callees[index].state = .ended
    case (.hungUp, .answered), (.lost, .answered):
      callees[index].state = .ended
      guard phase == .answered(leg) else { return }
      end(by: event == .lost ? .trunkline : .callee, refusal: nil, into: &commands)
    case (.acknowledged(let answer), .answered): releaseACK(on: leg, answer, into: &commands)
    case (.offered(let offer), .answered): pass(offer, from: leg, into: &commands)
    case (.offered, _): commands.append(.refuseOffer(leg, Self.pendingRefusal))
    case (.offerAnswered(let answer), .answered): answerPending(answer, from: leg, into: &commands)
    case (.offerRefused(let refusal), .answered): refusePending(refusal, from: leg, into: &commands)
    case (.hungUp, _), (.lost, _): callees[index].state = .ended
    default: return
    }
  }

  // MARK: Setting up

  private mutating func dialNextStage(into commands: inout [LegCommand]) {
    guard !stages.isEmpty else {
      end(by: .callee, refusal: refusal ?? Refusal(status: 480, reason: "Temporarily Unavailable"), into: &commands)
      return
    }
    let stage = stages.removeFirst()
    guard !stage.targets.isEmpty else { return dialNextStage(into: &commands) }
    for target in stage.targets {
      let leg = LegID(call: caller.call, index: callees.count + 1)
      callees.append(Callee(leg: leg, target: target, state: .dialing))
      commands.append(.dial(leg, target, callerOffer))
    }
    commands.append(.setStageTimer(stages.isEmpty ? nil : stage.timeout))
  }

  private mutating func calleeRefused(_ new: Refusal, _ target: DialTarget, into commands: inout [LegCommand]) {
    guard phase == .setUp else { return }
    refusal = Self.better(refusal, new)
    // A 6xx is the last word of whoever was called (RFC 3261 §16.7 step 5), a user's refusal that of the called number.
    if new.status >= 600 || (Self.isTrunk(target) && !Self.anotherTrunkMayDo(new.status)) {
      if new.status >= 600 { cancelCallees(into: &commands) }
      stages.removeAll { $0.targets.allSatisfy(Self.isTrunk) }
    }
    guard callees.allSatisfy({ $0.state == .ended || $0.state == .cancelling }) else { return }
    dialNextStage(into: &commands)
  }

  private static func isTrunk(_ target: DialTarget) -> Bool { if case .trunk = target { true } else { false } }

  /// Failures of the way rather than of the number: the next trunk may do better.
  private static func anotherTrunkMayDo(_ status: Int) -> Bool {
    switch status {
    case 401, 403, 407, 408, 430, 500...599: true
    default: false
    }
  }

  /// RFC 3261 §16.7 step 6: a 6xx first, else the lowest class; what tells about the way comes after what tells about
  /// whoever was called.
  private static func better(_ left: Refusal?, _ right: Refusal) -> Refusal {
    guard let left else { return right }
    let rank = { (status: Int) in
      status >= 600 ? 0 : anotherTrunkMayDo(status) || status == 480 ? 100 + status / 100 : status / 100
    }
    return rank(right.status) < rank(left.status) ? right : left
  }

  // MARK: Offers on their way through

  private static let pendingRefusal = Refusal(status: 491, reason: "Request Pending")

  private mutating func pass(_ offer: SessionDescription?, from leg: LegID, into commands: inout [LegCommand]) {
    guard let other = partner(of: leg), pendingOffer == nil, heldACK == nil else {
      commands.append(.refuseOffer(leg, Self.pendingRefusal))
      return
    }
    pendingOffer = (from: leg, to: other, hadOffer: offer != nil)
    commands.append(.offer(other, offer))
  }

  private mutating func answerPending(
    _ answer: SessionDescription?, from leg: LegID, into commands: inout [LegCommand]
  ) {
    guard let pending = pendingOffer, pending.to == leg else {
      commands.append(.acknowledge(leg, nil))
      return
    }
    pendingOffer = nil
    commands.append(.answerOffer(pending.from, answer))
    if pending.hadOffer || answer == nil {
      commands.append(.acknowledge(leg, nil))
    } else {
      heldACK = (of: leg, until: pending.from)
    }
  }

  private mutating func refusePending(_ refusal: Refusal, from leg: LegID, into commands: inout [LegCommand]) {
    guard let pending = pendingOffer, pending.to == leg else { return }
    pendingOffer = nil
    commands.append(.refuseOffer(pending.from, refusal))
  }

  private mutating func releaseACK(on leg: LegID, _ answer: SessionDescription?, into commands: inout [LegCommand]) {
    guard let held = heldACK, held.until == leg else { return }
    heldACK = nil
    commands.append(.acknowledge(held.of, answer))
  }

  // MARK: Ending

  private mutating func end(by: EndedBy, refusal: Refusal?, into commands: inout [LegCommand]) {
    let before = phase
    guard before != .ended else { return }
    phase = .ended
    endedBy = by
    stages = []
    commands.append(.setStageTimer(nil))
    self.refusal = before == .setUp ? refusal : nil
    switch before {
    case .setUp:
      cancelCallees(into: &commands)
      if callerIsUp, let refusal { commands.append(.refuse(caller, refusal)) }
    case .answered(let callee):
      if let pendingOffer { commands.append(.refuseOffer(pendingOffer.from, Self.terminated)) }
      pendingOffer = nil
      if let index = callees.firstIndex(where: { $0.leg == callee }), callees[index].state == .answered {
        drop(index, into: &commands)
      }
      if callerIsUp { commands.append(.hangUp(caller)) }
    case .ended: break
    }
    callerIsUp = false
    finishIfOver(into: &commands)
  }

  private static let terminated = Refusal(status: 487, reason: "Request Terminated")

  /// Takes an answered callee down: its 2xx is acknowledged where that is still owed, then BYE.
  private mutating func drop(_ index: Int, into commands: inout [LegCommand]) {
    let callee = callees[index]
    if callee.state != .answered || heldACK?.of == callee.leg { commands.append(.acknowledge(callee.leg, nil)) }
    if heldACK?.of == callee.leg { heldACK = nil }
    callees[index].state = .ended
    commands.append(.hangUp(callee.leg))
  }

  private mutating func cancelCallees(into commands: inout [LegCommand]) {
    for index in callees.indices where callees[index].state == .dialing || callees[index].state == .ringing {
      callees[index].state = .cancelling
      commands.append(.cancel(callees[index].leg))
    }
  }

  private var isFinished = false

  private mutating func finishIfOver(into commands: inout [LegCommand]) {
    guard phase == .ended, !isFinished, callees.allSatisfy({ $0.state == .ended }) else { return }
    isFinished = true
    commands.append(.finished)
  }
}
