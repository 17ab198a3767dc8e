import CallControl
import NetworkTypes
import OrderedCollections
import SDP
import SIPDialog
import SIPSyntax
import SIPTransaction

/// A change of address while a call is being set up, or while an answer of ours has no ACK yet.
extension LinkCore {
  /// How long the ACK to an answer that was sent anew is waited for, before the far side is told by a re-INVITE.
  private static let ackPatience = Duration.seconds(1)

  /// The number is dialled once more: another Call-ID, so that nobody takes it for the INVITE that was taken back.
  mutating func redial(_ leg: Leg, now: MonotonicInstant, into actions: inout [LinkAction]) {
    guard var request = leg.invite, case .trunk(let trunk) = leg.side, let path = route(ofTrunk: trunk) else { return }
    let id = leg.id
    timers.cancel(.repair(id))
    withLeg(id) {
      $0.isRedialing = false
      $0.repair = nil
      $0.path = path
    }
    for name in [HeaderName.authorization, .proxyAuthorization] { request.remove(name) }
    request.set(.callID, random.hexDigits(32))
    request.set(.cSeq, "1 INVITE")
    if let leg = self.leg(id) { request.set(.contact, contact(of: leg)) }
    attach(leg.sentDescription, to: &request, on: id)
    var digest = leg.digest
    digest?.authorize(&request, random: &random)
    withLeg(id) { $0.digest = digest }
    actions.append(.log(.info, "call \(name(id)): dialled once more from the new address"))
    sendInvite(request, on: id, owner: .invite(id), now: now, into: &actions)
    releaseOldContacts(now: now, into: &actions)
  }

  /// A response to an INVITE shows where the far side saw it come from.
  mutating func noteSeen(_ transaction: ClientTransactionID, _ response: SIPMessage) {
    guard case .invite(let id)? = clientOwners[transaction], let via = try? response.topVia(),
      let received = via.received.flatMap({ IPAddress($0) }), let port = via.rport
    else { return }
    withLeg(id) { $0.seenFrom = Endpoint(received, port: port) }
  }

  /// An INVITE of the far side is not over yet.
  mutating func advanceAnswer(_ leg: Leg, now: MonotonicInstant, into actions: inout [LinkAction]) {
    let id = leg.id
    guard leg.isAnswerSent else {
      // A re-INVITE of theirs is in the telephone's hands. An INVITE that rings is told where we are; the answer will say
      // so too, and nothing more is to be done.
      guard leg.pendingInvite == nil else { return }
      return advanceRinging(leg, now: now, into: &actions)
    }
    guard let renewedAt = leg.answerRenewedAt else { return renewAnswer(leg, now: now, into: &actions) }
    guard now >= renewedAt + Self.ackPatience, case .trunk(let trunk) = leg.side, isKnown(trunk, now: now),
      leg.clientTransaction == nil, !leg.hangsUpWhenAcknowledged, leg.repair?.mayOffer(now: now) == true
    else { return }
    // The answer may have arrived before the change: then its ACK goes to an address that is gone, however often the
    // answer is repeated. A re-INVITE finds out (RFC 3261 §14.1 would wait for the ACK).
    withLeg(id) { $0.isConfirmed = true }
    if let leg = self.leg(id) { sendMove(leg, now: now, into: &actions) }
  }

  /// A call of the far side rings: its provisional response is repeated with the new addresses, and where the far side
  /// takes UPDATE, it is told our new Contact within the early dialog (RFC 3311). An offer may not go with it, since none
  /// was answered reliably before (§5.1).
  private mutating func advanceRinging(_ leg: Leg, now: MonotonicInstant, into actions: inout [LinkAction]) {
    let id = leg.id
    guard let progress = leg.lastProgress else { return finishRepair(id, now: now, into: &actions) }
    if leg.answerRenewedAt == nil {
      withLeg(id) { $0.answerRenewedAt = now }
      sendResponse(progress.status, progress.reason, progress.description, on: id, now: now, into: &actions)
    }
    guard case .trunk(let trunk) = leg.side, isKnown(trunk, now: now) else { return }
    let takesUpdate = leg.invite?.values(.allow).contains { $0.split(separator: ",").contains { Self.isUpdate($0) } }
    if takesUpdate == true, var dialog = leg.dialog {
      var request = dialog.makeRequest(.update)
      request.set(.contact, contact(of: leg))
      request.set(.userAgent, Self.product)
      withLeg(id) { $0.dialog = dialog }
      sendRequest(request, path(of: leg), owner: .update(id), now: now, into: &actions)
    }
    finishRepair(id, now: now, into: &actions)
  }

  private static func isUpdate(_ method: Substring) -> Bool { method.filter { $0 != " " } == "UPDATE" }

  /// The caller's answer to an UPDATE while its call rings; the call is over where it does not know it any more.
  mutating func updateAnswered(
    _ response: SIPMessage, _ id: LegID, now: MonotonicInstant, into actions: inout [LinkAction]
  ) {
    guard response.status == 481, let leg = leg(id), !leg.isEnded, !leg.isConfirmed, !leg.isAnswerSent else { return }
    legEvent(.cancelled, on: id, now: now, into: &actions)
  }

  /// Our 2xx once more, with the new addresses: for a far side that never got the first.
  mutating func renewAnswer(_ leg: Leg, now: MonotonicInstant, into actions: inout [LinkAction]) {
    let id = leg.id
    withLeg(id) { $0.answerRenewedAt = now }
    timers.set(.repair(id), at: now + Self.ackPatience)
    guard let transaction = leg.serverTransaction, let invite = leg.pendingInvite ?? leg.invite else { return }
    var response = SIPMessage(responding: invite, status: 200, toTag: leg.localTag)
    response.set(.contact, contact(of: leg))
    response.set(.allow, Self.allow)
    response.set(.server, Self.product)
    attach(leg.sentDescription, to: &response, on: id)
    var events: [TransactionEvent] = []
    transactions.replaceAcceptance(transaction, response, into: &events)
    handle(events, now: now, into: &actions)
  }

  /// How long an answer may be without its ACK because the line is gone.
  private static let longestAnswer = Duration.seconds(120)

  /// While the line is gone no ACK can come: an answer is not given up for that.
  mutating func holdAnswers(ofUplink uplink: Int, now: MonotonicInstant) {
    for id in legs(ofUplink: uplink) {
      guard let leg = leg(id), leg.isAnswerSent, let transaction = leg.serverTransaction,
        let sentAt = leg.answerSentAt, now - sentAt < Self.longestAnswer
      else { continue }
      transactions.extendAcceptance(transaction, now: now)
    }
  }

  /// A re-INVITE was accepted while our 2xx before it had no ACK: that one arrived too.
  mutating func assumeAcknowledged(
    _ id: LegID, _ response: SIPMessage, now: MonotonicInstant, into actions: inout [LinkAction]
  ) {
    guard let leg = leg(id), leg.isAnswerSent, let transaction = leg.serverTransaction else { return }
    transactions.assumeAcknowledged(transaction, now: now)
    serverOwners.removeValue(forKey: transaction)
    var ack = response
    ack.setBody([], contentType: nil)
    acknowledged(id, ack, now: now, into: &actions)
  }

  /// An offer of the other leg went unanswered. Where the line is why, the telephone is told so and the call stays: what
  /// the far side has heard of is settled when the line is back.
  mutating func offerLost(_ id: LegID, now: MonotonicInstant, into actions: inout [LinkAction]) -> Bool {
    guard let leg = leg(id), !leg.isEnded else { return false }
    guard leg.repair != nil || sockets[leg.path.socket].stun?.lostSince != nil else { return false }
    withLeg(id) { $0.clientTransaction = nil }
    legEvent(
      .offerRefused(Refusal(status: 504, reason: "Server Time-out")), on: id, now: now, into: &actions)
    if self.leg(id)?.repair == nil {
      startRepair(id, now: now)
    } else {
      moveEnded(id, 408, now: now, into: &actions)
    }
    return true
  }
}
