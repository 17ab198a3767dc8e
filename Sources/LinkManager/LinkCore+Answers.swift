import CallControl
import NetworkTypes
import OrderedCollections
import SDP
import SIPDialog
import SIPSyntax
import SIPTransaction

/// The INVITE that sets a leg up: answers to ours, and our answers to theirs.
extension LinkCore {
  mutating func inviteAnswered(
    _ response: SIPMessage, _ transaction: ClientTransactionID, _ id: LegID, _ path: SIPPath, now: MonotonicInstant,
    into actions: inout [LinkAction]
  ) {
    guard let leg = leg(id), [leg.clientTransaction, leg.ackedTransaction].contains(transaction),
      let invite = leg.invite
    else { return }
    withLeg(id) { $0.isHeard = true }
    var description: SessionDescription?
    var isReadable = true
    do { description = try self.description(in: response) } catch { isReadable = false }
    if response.status >= 200, response.status != 401, response.status != 407 { withLeg(id) { $0.digest?.accepted() } }
    switch response.status {
    case ..<101: return
    case ..<200:
      guard !leg.isConfirmed else { return }
      if let description { descriptionReceived(description, on: id, now: now, into: &actions) }
      legEvent(
        .progressed(status: response.status, reason: response.reason, description), on: id, now: now, into: &actions)
    case ..<300:
      guard let dialog = try? Dialog(request: invite, response: response) else {
        return legEvent(.refused(Refusal(status: 502, reason: "Bad Gateway")), on: id, now: now, into: &actions)
      }
      if leg.isConfirmed {
        // A second callee behind a forking proxy answered too: it is thanked and released (RFC 3261 §13.2.2.4).
        if dialog.remoteTag != leg.dialog?.remoteTag { release(dialog, transaction, leg, now: now, into: &actions) }
        return
      }
      withLeg(id) {
        $0.dialog = dialog
        $0.isConfirmed = true
      }
      guard isReadable else {
        sendACK(id, nil, now: now, into: &actions)
        hangUp(id, now: now, into: &actions)
        return legEvent(.refused(Refusal(status: 502, reason: "Bad Gateway")), on: id, now: now, into: &actions)
      }
      if let description { descriptionReceived(description, on: id, now: now, into: &actions) }
      // Some answer with early media only, and say nothing new in the 2xx.
      legEvent(
        .answered(description ?? leg.sentDescription.flatMap { _ in leg.remoteDescription }), on: id, now: now,
        into: &actions)
    default:
      var digest = leg.digest
      if calls[id.call]?.machine.phase == .setUp, !leg.isCancelled,
        let again = authenticated(invite, response, session: &digest)
      {
        clientOwners.removeValue(forKey: transaction)
        withLeg(id) { $0.digest = digest }
        return sendInvite(again, on: id, owner: .invite(id), now: now, into: &actions)
      }
      clientOwners.removeValue(forKey: transaction)
      let refusal = Self.refusal(response)
      let isChallenge = response.status == 401 || response.status == 407
      noteFailure(id, .refused, status: isChallenge ? response.status : refusal.status, reason: response.reason)
      legGone(id, into: &actions)
      legEvent(.refused(refusal), on: id, now: now, into: &actions)
    }
  }

  static func refusal(_ response: SIPMessage) -> Refusal {
    // What a provider wants proved is no business of the caller (RFC 3261 §16.7 step 7 speaks of proxies).
    if response.status == 401 || response.status == 407 {
      return Refusal(status: 403, reason: "The provider refused our credentials")
    }
    let contacts = response.status < 400 ? response.values(.contact) : []
    return Refusal(status: response.status, reason: response.reason, contacts: contacts)
  }

  mutating func release(
    _ dialog: Dialog, _ transaction: ClientTransactionID, _ leg: Leg, now: MonotonicInstant,
    into actions: inout [LinkAction]
  ) {
    var dialog = dialog
    var events: [TransactionEvent] = []
    transactions.acknowledge(
      transaction, dialog.makeACK(for: leg.clientSequence), sentBy: sentBy(leg.path), path: leg.path, now: now,
      random: &random, into: &events)
    handle(events, now: now, into: &actions)
    sendBYE(dialog.makeRequest(.bye), leg, now: now, into: &actions)
  }

  /// A 2xx to an INVITE whose leg is gone: it is acknowledged, and the dialog that it made is ended.
  mutating func answeredTooLate(
    _ response: SIPMessage, _ transaction: ClientTransactionID, _ path: SIPPath, now: MonotonicInstant,
    into actions: inout [LinkAction]
  ) {
    guard (200..<300).contains(response.status), let request = transactions.request(of: transaction),
      request.method == .invite, let sequence = try? request.cSeq().number,
      var dialog = try? Dialog(request: request, response: response)
    else { return }
    var ack = dialog.makeACK(for: sequence)
    // The answer to a re-INVITE does not record the route again.
    if request.toTag != nil { for route in request.values(.route) { ack.add(.route, route) } }
    var events: [TransactionEvent] = []
    transactions.acknowledge(
      transaction, ack, sentBy: sentBy(path), path: path, now: now, random: &random, into: &events)
    handle(events, now: now, into: &actions)
    guard request.toTag == nil else { return }
    var bye = dialog.makeRequest(.bye)
    bye.set(.userAgent, Self.product)
    let trunk = trunks.firstIndex { $0.targets.contains { $0.address == path.remote.address } }
    let digest = trunk.flatMap { digestSession(.trunk($0)) }
    sendFarewell(Farewell(request: bye, path: path, digest: digest), now: now, into: &actions)
  }

  // MARK: Responses to the far side's INVITE

  mutating func sendResponse(
    _ status: Int, _ reason: String?, _ description: SessionDescription?, on id: LegID, now: MonotonicInstant,
    into actions: inout [LinkAction]
  ) {
    guard let leg = leg(id), let transaction = leg.serverTransaction, let invite = leg.pendingInvite ?? leg.invite,
      !leg.isAnswerSent
    else { return }
    var response = SIPMessage(responding: invite, status: status, reason: reason, toTag: leg.localTag)
    response.set(.contact, contact(of: leg))
    if status >= 200 {
      response.set(.allow, Self.allow)
      withLeg(id) {
        $0.isAnswerSent = true
        $0.answerSentAt = now
      }
    }
    attach(description, to: &response, on: id)
    if status < 200 { withLeg(id) { $0.lastProgress = (status, reason ?? "", description) } }
    respond(transaction, response, now: now, into: &actions)
  }

  mutating func sendRefusal(
    _ refusal: Refusal, on id: LegID, now: MonotonicInstant, into actions: inout [LinkAction]
  ) {
    guard let leg = leg(id), let transaction = leg.serverTransaction, let invite = leg.pendingInvite ?? leg.invite,
      !leg.isAnswerSent
    else { return }
    var response = SIPMessage(
      responding: invite, status: refusal.status, reason: refusal.reason, toTag: leg.localTag)
    for contact in refusal.contacts {
      if case .trunk(let index) = leg.side {
        // A provider goes by the number, and is not told where the office's telephones are.
        if let contact = outward(contact, trunk: index) { response.add(.contact, contact) }
      } else {
        response.add(.contact, contact)
      }
    }
    if refusal.status == 503 { response.set(.retryAfter, "5") }
    withLeg(id) {
      $0.serverTransaction = nil
      $0.pendingInvite = nil
    }
    serverOwners.removeValue(forKey: transaction)
    if leg.pendingInvite != nil { restoreMedia(id, into: &actions) }
    respond(transaction, response, now: now, into: &actions)
    advanceRepair(id, now: now, into: &actions)
  }

  mutating func acknowledged(_ id: LegID, _ ack: SIPMessage, now: MonotonicInstant, into actions: inout [LinkAction]) {
    let description = (try? self.description(in: ack)) ?? nil
    withLeg(id) {
      $0.serverTransaction = nil
      $0.pendingInvite = nil
      $0.isAnswerSent = false
      $0.isConfirmed = true
    }
    if let description { descriptionReceived(description, on: id, now: now, into: &actions) }
    if leg(id)?.hangsUpWhenAcknowledged == true { return hangUp(id, now: now, into: &actions) }
    legEvent(.acknowledged(description), on: id, now: now, into: &actions)
    advanceRepair(id, now: now, into: &actions)
  }

  /// Our 2xx was repeated for 32 s and no ACK came: the far side gets a BYE (RFC 3261 §13.3.1.4).
  mutating func unacknowledged(_ id: LegID, now: MonotonicInstant, into actions: inout [LinkAction]) {
    withLeg(id) {
      $0.serverTransaction = nil
      $0.pendingInvite = nil
      $0.isAnswerSent = false
      $0.isConfirmed = true
    }
    tell(
      .callUnacknowledged, of: .call(id.call), evidence: "our answer was repeated for 32 s, and no ACK came", now: now,
      into: &actions)
    hangUp(id, now: now, into: &actions)
    legEvent(.lost, on: id, now: now, into: &actions)
  }
}
