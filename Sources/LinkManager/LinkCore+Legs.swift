import CallControl
import NetworkTypes
import OrderedCollections
import SDP
import SIPDialog
import SIPSyntax
import SIPTransaction

/// Legs: what the call machine asks becomes requests and responses, and the other way round.
extension LinkCore {
  func leg(_ id: LegID) -> Leg? {
    guard let call = calls[id.call], call.legs.indices.contains(id.index) else { return nil }
    return call.legs[id.index]
  }

  /// The leg of the dialog that a request of the far side belongs to.
  func leg(of request: SIPMessage) -> LegID? {
    guard let callID = request.callID, let tag = request.toTag,
      let id = dialogs[DialogKey(callID: callID, localTag: tag)], let dialog = leg(id)?.dialog, dialog.matches(request)
    else { return nil }
    return id
  }

  mutating func withLeg(_ id: LegID, _ change: (inout Leg) -> Void) {
    guard calls[id.call]?.legs.indices.contains(id.index) == true else { return }
    change(&calls[id.call]!.legs[id.index])
  }

  /// Tells the call machine what happened on a leg and does what it asks.
  mutating func legEvent(
    _ event: LegEvent, on id: LegID, now: MonotonicInstant, into actions: inout [LinkAction]
  ) {
    var commands: [LegCommand] = []
    calls[id.call]?.machine.received(event, on: id, into: &commands)
    perform(commands, call: id.call, now: now, into: &actions)
  }

  mutating func perform(
    _ commands: [LegCommand], call number: UInt64, now: MonotonicInstant, into actions: inout [LinkAction]
  ) {
    var failed: [LegID] = []
    for command in commands { perform(command, call: number, failed: &failed, now: now, into: &actions) }
    // Told afterwards: what the machine says to it comes after all that it said before.
    for leg in failed {
      noteFailure(leg, .noWay, status: 503, reason: "no way")
      legEvent(.refused(Refusal(status: 503, reason: "No way to the callee")), on: leg, now: now, into: &actions)
    }
    settle(call: number, now: now, into: &actions)
  }

  private mutating func perform(
    _ command: LegCommand, call number: UInt64, failed: inout [LegID], now: MonotonicInstant,
    into actions: inout [LinkAction]
  ) {
    switch command {
    case .dial(let id, let target, let offer):
      guard addLeg(id, target) else { return failed.append(id) }
      guard hasMediaPorts(for: offer) else {
        discard("noMediaPort")
        legGone(id, into: &actions)
        return failed.append(id)
      }
      carry(command, offer, on: id, now: now, into: &actions)
    case .progress(let id, _, _, let description), .answer(let id, let description), .offer(let id, let description),
      .answerOffer(let id, let description), .acknowledge(let id, let description):
      carry(command, description, on: id, now: now, into: &actions)
    case .refuse(let id, let refusal):
      sendRefusal(refusal, on: id, now: now, into: &actions)
      legGone(id, into: &actions)
    case .refuseOffer(let id, let refusal): sendRefusal(refusal, on: id, now: now, into: &actions)
    case .cancel(let id): cancel(id, now: now, into: &actions)
    case .hangUp(let id): hangUp(id, now: now, into: &actions)
    case .couple(let first, let second):
      if calls[number]?.coupled != [first, second] {
        calls[number]?.coupled = [first, second]
        // Ports may be coupled again that were before another leg's took their place.
        calls[number]?.coupledPorts = []
      }
      couple(call: number, into: &actions)
    case .setStageTimer(let duration):
      if let duration {
        timers.set(.stage(call: number), at: now + duration)
      } else {
        timers.cancel(.stage(call: number))
      }
    case .finished: break
    }
  }

  /// Sends what `command` says, as soon as the leg's media ports are ready for the description in it.
  private mutating func carry(
    _ command: LegCommand, _ description: SessionDescription?, on id: LegID, now: MonotonicInstant,
    into actions: inout [LinkAction]
  ) {
    if let description { prepareMedia(id, for: description, now: now, into: &actions) }
    guard let leg = leg(id) else { return }
    if !leg.deferred.isEmpty || (description != nil && !isMediaReady(leg)) {
      withLeg(id) { $0.deferred.append(command) }
    } else {
      execute(command, now: now, into: &actions)
    }
  }

  /// The media ports are ready, or are waited for no longer.
  mutating func runDeferred(_ id: LegID, now: MonotonicInstant, into actions: inout [LinkAction]) {
    guard let leg = leg(id), !leg.deferred.isEmpty, isMediaReady(leg) else { return }
    withLeg(id) { $0.deferred = [] }
    for command in leg.deferred { execute(command, now: now, into: &actions) }
    settle(call: id.call, now: now, into: &actions)
  }

  mutating func execute(_ command: LegCommand, now: MonotonicInstant, into actions: inout [LinkAction]) {
    switch command {
    case .dial(let id, let target, let offer): sendInvite(id, target, offer, now: now, into: &actions)
    case .progress(let id, let status, let reason, let description):
      calls[id.call]?.isRinging = true
      sendResponse(status, reason, description, on: id, now: now, into: &actions)
    case .answer(let id, let description):
      let answeredAt = wallTime(now)
      calls[id.call]?.answeredAt = answeredAt
      if let call = calls[id.call] { actions.append(.answered(record(of: call, now: now))) }
      sendResponse(200, nil, description, on: id, now: now, into: &actions)
      callAnswered(id, now: now, into: &actions)
    case .answerOffer(let id, let description): sendResponse(200, nil, description, on: id, now: now, into: &actions)
    case .offer(let id, let description): sendReinvite(id, description, now: now, into: &actions)
    case .acknowledge(let id, let description): sendACK(id, description, now: now, into: &actions)
    case .refuse, .refuseOffer, .cancel, .hangUp, .couple, .setStageTimer, .finished: break
    }
    actions.append(.statusChanged)
  }

  // MARK: Ending

  mutating func cancel(_ id: LegID, now: MonotonicInstant, into actions: inout [LinkAction]) {
    guard let leg = leg(id) else { return }
    withLeg(id) { $0.isCancelled = true }
    guard let transaction = leg.clientTransaction else {
      // It was not even sent: its media ports were not ready.
      withLeg(id) { $0.deferred = [] }
      legGone(id, into: &actions)
      return legEvent(
        .refused(Refusal(status: 487, reason: "Request Terminated")), on: id, now: now, into: &actions)
    }
    var events: [TransactionEvent] = []
    transactions.cancel(transaction, now: now, into: &events)
    handle(events, now: now, into: &actions)
  }

  mutating func hangUp(_ id: LegID, now: MonotonicInstant, into actions: inout [LinkAction]) {
    guard let leg = leg(id), !leg.isEnded else { return }
    if leg.isAnswerSent {
      withLeg(id) { $0.hangsUpWhenAcknowledged = true }
      closeMedia(id, into: &actions)
      return
    }
    // An ACK that waits for media ports is owed all the same (RFC 3261 §13.2.2.4).
    for command in leg.deferred { if case .acknowledge = command { execute(command, now: now, into: &actions) } }
    let isEarly = !leg.isConfirmed && leg.serverTransaction != nil
    sendRefusal(Refusal(status: 487, reason: "Request Terminated"), on: id, now: now, into: &actions)
    if !isEarly, let leg = self.leg(id), var dialog = leg.dialog {
      sendBYE(dialog.makeRequest(.bye), leg, now: now, into: &actions)
    }
    legGone(id, into: &actions)
    settle(call: id.call, now: now, into: &actions)
  }

  mutating func sendBYE(
    _ request: SIPMessage, _ leg: Leg, now: MonotonicInstant, into actions: inout [LinkAction]
  ) {
    var request = request
    request.set(.userAgent, Self.product)
    var digest = leg.digest
    digest?.authorize(&request, random: &random)
    sendFarewell(Farewell(request: request, path: path(of: leg), digest: digest), now: now, into: &actions)
  }

  /// The dialog is over: what the leg held is given back.
  mutating func legGone(_ id: LegID, into actions: inout [LinkAction]) {
    guard let leg = leg(id), !leg.isEnded else { return }
    withLeg(id) {
      $0.isEnded = true
      $0.deferred = []
    }
    timers.cancel(.repair(id))
    dropQuestion(id)
    closeMedia(id, into: &actions)
    let callID = leg.dialog?.callID ?? leg.invite?.callID
    if let callID { dialogs.removeValue(forKey: DialogKey(callID: callID, localTag: leg.localTag)) }
    for transaction in [leg.clientTransaction, leg.ackedTransaction].compactMap({ $0 }) {
      clientOwners.removeValue(forKey: transaction)
    }
  }
}
