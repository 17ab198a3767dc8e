import CallControl
import NetworkTypes
import OrderedCollections
import SDP
import SIPDialog
import SIPSyntax
import SIPTransaction

/// Whether the far side of a leg is still there, as far as that is known.
struct LegPulse: Sendable {
  /// OPTIONS that has no final answer yet.
  struct Question: Sendable {
    var request: SIPMessage
    var transaction: ClientTransactionID
    let askedAt: MonotonicInstant
    let socket: Int
  }

  /// When something came from it last: sound, a request within the dialog, the answer to a re-INVITE.
  var heardAt: MonotonicInstant?
  /// When it said last that it is there although nothing comes from it.
  var livedAt: MonotonicInstant?
  var question: Question?
  var hasAnsweredOptions = false
  /// OPTIONS stays unanswered at a provider that may not know it: a re-INVITE asks instead, by way of ``CallRepair``.
  var asksByInvite = false
}

/// Calls one end of which is gone: it lost its power or its network, and no BYE will ever come. When nothing has come from a
/// leg for a while it is asked by OPTIONS within its dialog (RFC 3261 §11, §12.2); whoever answers lives, however silent.
extension LinkCore {
  /// How long a leg that ought to send may be silent until it is asked.
  private static let silence = Duration.seconds(30)
  /// How long it is left in peace once it has answered.
  private static let pause = Duration.seconds(60)
  /// Both of them for a leg that is held, that has never sent anything, or that is slow to ask.
  private static let longPause = Duration.seconds(300)

  /// A call was answered: from now on its legs are listened to.
  mutating func watchPulse(of call: UInt64, now: MonotonicInstant) {
    for leg in calls[call]?.legs ?? [] { withLeg(leg.id) { $0.pulse.heardAt = now } }
    timers.set(.pulse(call: call), at: now + Self.silence)
  }

  mutating func pulseDue(_ number: UInt64, now: MonotonicInstant, into actions: inout [LinkAction]) {
    guard let call = calls[number], case .answered = call.machine.phase else { return }
    // At least that often, since what a leg is to send may have changed meanwhile.
    var next = now + Self.silence
    for id in call.coupled {
      guard let leg = leg(id), leg.pulse.question == nil else { continue }
      let due = questionDue(leg, now: now)
      if due > now {
        next = min(next, due)
      } else if isAtRest(number) {
        ask(id, now: now, into: &actions)
      }
    }
    timers.set(.pulse(call: number), at: next)
  }

  private func questionDue(_ leg: Leg, now: MonotonicInstant) -> MonotonicInstant {
    // Whoever has sent no sound since the answer may have none: some that test, and fax machines that wait.
    let isSlow = !sends(leg) || leg.packetsIn == leg.packetsBeforeAnswer
    let silent = (leg.pulse.heardAt ?? now) + (isSlow ? Self.longPause : Self.silence)
    guard let livedAt = leg.pulse.livedAt else { return silent }
    let isCostly = !leg.pulse.hasAnsweredOptions
    return max(silent, livedAt + (isSlow || isCostly ? Self.longPause : Self.pause))
  }

  /// Whether sound is to come from a leg: it says so, and it was not told that nobody listens.
  private func sends(_ leg: Leg) -> Bool {
    guard let description = leg.remoteDescription, let index = description.firstAudioIndex else { return false }
    return description.rtpEndpoint(index) != nil && description.direction(index).sends
      && leg.sentDescription?.isOnHold(index) != true
  }

  /// Whether nothing is under way in a call that would make a leg silent, or that finds out by itself.
  private func isAtRest(_ number: UInt64) -> Bool {
    guard let call = calls[number], case .answered = call.machine.phase, call.coupled.count == 2 else { return false }
    return call.coupled.allSatisfy { id in
      guard let leg = leg(id), !leg.isEnded, leg.isConfirmed, leg.repair == nil, leg.clientTransaction == nil,
        leg.serverTransaction == nil
      else { return false }
      guard case .trunk(let trunk) = leg.side else { return true }
      return sockets[leg.path.socket].stun?.lostSince == nil && !isLineSilent(ofTrunk: trunk)
    }
  }

  /// Whether a leg's silence since the question says something of it, and not of the line: a router that starts anew often
  /// is the phones' switch as well.
  private func isTelling(_ leg: Leg, since askedAt: MonotonicInstant) -> Bool {
    guard leg.pulse.heardAt.map({ $0 <= askedAt }) ?? true, isAtRest(leg.id.call), let call = calls[leg.id.call] else {
      return false
    }
    return call.coupled.compactMap { self.leg($0) }.allSatisfy { leg in
      guard case .trunk = leg.side, case .uplink(let uplink) = sockets[leg.path.socket].side else { return true }
      return uplinks[uplink].troubleAt.map { $0 < askedAt } ?? true
    }
  }

  // MARK: The question

  private mutating func ask(_ id: LegID, now: MonotonicInstant, into actions: inout [LinkAction]) {
    guard let leg = leg(id), var dialog = leg.dialog else { return }
    var request = dialog.makeRequest(.options)
    request.set(.contact, contact(of: leg))
    request.set(.accept, "application/sdp")
    request.set(.userAgent, Self.product)
    var digest = leg.digest
    digest?.authorize(&request, random: &random)
    withLeg(id) {
      $0.dialog = dialog
      $0.digest = digest
    }
    ask(id, request, askedAt: now, now: now, into: &actions)
  }

  private mutating func ask(
    _ id: LegID, _ request: SIPMessage, askedAt: MonotonicInstant, now: MonotonicInstant,
    into actions: inout [LinkAction]
  ) {
    guard let leg = leg(id) else { return }
    let transaction = sendRequest(request, path(of: leg), owner: .pulse(id), now: now, into: &actions)
    withLeg(id) {
      $0.pulse.question = LegPulse.Question(
        request: request, transaction: transaction, askedAt: askedAt, socket: leg.path.socket)
    }
  }

  /// The leg is over, and with it what was asked of it.
  mutating func dropQuestion(_ id: LegID) {
    guard let transaction = leg(id)?.pulse.question?.transaction else { return }
    withLeg(id) { $0.pulse.question = nil }
    clientOwners.removeValue(forKey: transaction)
    transactions.forget(transaction)
  }

  // MARK: What comes of it

  mutating func pulseAnswered(
    _ response: SIPMessage, _ transaction: ClientTransactionID, _ id: LegID, now: MonotonicInstant,
    into actions: inout [LinkAction]
  ) {
    guard let question = leg(id)?.pulse.question, question.transaction == transaction else { return }
    if let again = repeated(question.request, response, on: id) {
      return ask(id, again, askedAt: question.askedAt, now: now, into: &actions)
    }
    withLeg(id) {
      $0.digest?.accepted()
      $0.pulse.question = nil
    }
    guard response.status == 408 || response.status == 481 else {
      // Be it that it refuses: somebody is there who knows the call.
      return withLeg(id) {
        $0.pulse.livedAt = now
        $0.pulse.hasAnsweredOptions = true
      }
    }
    guard let leg = leg(id), isTelling(leg, since: question.askedAt) else { return }
    endGone(id, question.askedAt, response.status, now: now, into: &actions)
  }

  mutating func pulseUnanswered(
    _ transaction: ClientTransactionID, _ id: LegID, now: MonotonicInstant, into actions: inout [LinkAction]
  ) {
    guard let question = leg(id)?.pulse.question, question.transaction == transaction else { return }
    withLeg(id) { $0.pulse.question = nil }
    guard let leg = leg(id), isTelling(leg, since: question.askedAt) else { return }
    if case .trunk(let trunk) = leg.side, case .uplink(let uplink) = sockets[leg.path.socket].side {
      // Somebody has to have shown meanwhile that the line is up.
      let isProven = uplinks[uplink].nat.heardAt.map { $0 >= question.askedAt } ?? false
      guard isProven, leg.path.socket == question.socket else { return }
      if !leg.pulse.hasAnsweredOptions, !trunks[trunk].watch.answersOptions {
        // There are providers that answer no OPTIONS at all; a re-INVITE they do answer.
        withLeg(id) { $0.pulse.asksByInvite = true }
        startRepair(id, now: now)
        return advanceRepair(id, now: now, into: &actions)
      }
    }
    endGone(id, question.askedAt, nil, now: now, into: &actions)
  }

  /// Whether a re-INVITE that asks for a sign of life has got one: any answer that is not the end of the dialog.
  mutating func pulseShown(_ id: LegID, _ status: Int, now: MonotonicInstant, into actions: inout [LinkAction]) -> Bool
  {
    guard leg(id)?.pulse.asksByInvite == true, status != 408, status != 481 else { return false }
    withLeg(id) { $0.pulse.livedAt = now }
    finishRepair(id, now: now, into: &actions)
    return true
  }

  private mutating func endGone(
    _ id: LegID, _ askedAt: MonotonicInstant, _ status: Int?, now: MonotonicInstant, into actions: inout [LinkAction]
  ) {
    guard let leg = leg(id) else { return }
    let silent = (now - (leg.pulse.heardAt ?? askedAt)).nanoseconds / 1_000_000_000
    let answer = status.map { "was answered with \($0)" } ?? "was not answered"
    tell(
      .endGone, of: .call(id.call),
      evidence: "nothing came from \(place(of: leg.side)) for \(silent) s, and OPTIONS \(answer)", now: now,
      into: &actions)
    if status == 481 { legGone(id, into: &actions) } else { hangUp(id, now: now, into: &actions) }
    legEvent(.lost, on: id, now: now, into: &actions)
  }
}
