import CallControl
import NetworkTypes
import OrderedCollections
import SDP
import SIPDialog
import SIPSyntax
import SIPTransaction

/// Requests within the dialog of a leg, both ways.
extension LinkCore {
  mutating func dialogRequestReceived(
    _ request: SIPMessage, _ server: ServerTransactionID, _ id: LegID, _ path: SIPPath, now: MonotonicInstant,
    into actions: inout [LinkAction]
  ) {
    guard var dialog = leg(id)?.dialog else { return }
    guard dialog.requestReceived(request) == .inOrder else {
      return respond(server, SIPMessage(responding: request, status: 500), now: now, into: &actions)
    }
    withLeg(id) { leg in
      leg.dialog = dialog
      leg.pulse.heardAt = now
      if case .station = leg.side { leg.path = path }
    }
    switch request.method {
    case .bye:
      respond(server, SIPMessage(responding: request, status: 200), now: now, into: &actions)
      sendRefusal(Refusal(status: 487, reason: "Request Terminated"), on: id, now: now, into: &actions)
      legGone(id, into: &actions)
      legEvent(.hungUp, on: id, now: now, into: &actions)
    case .invite: reinviteReceived(request, server, id, now: now, into: &actions)
    case .info: relay(request, server, from: id, now: now, into: &actions)
    case .options:
      var response = SIPMessage(responding: request, status: 200)
      response.set(.allow, Self.allow)
      respond(server, response, now: now, into: &actions)
    default: respond(server, methodNotAllowed(request), now: now, into: &actions)
    }
  }

  mutating func reinviteReceived(
    _ request: SIPMessage, _ server: ServerTransactionID, _ id: LegID, now: MonotonicInstant,
    into actions: inout [LinkAction]
  ) {
    guard let leg = leg(id), leg.isConfirmed, leg.serverTransaction == nil, leg.clientTransaction == nil else {
      // RFC 3261 §14.2: one of ours is pending, or one of theirs.
      return respond(server, SIPMessage(responding: request, status: 491), now: now, into: &actions)
    }
    if let response = extensionRefusal(request) { return respond(server, response, now: now, into: &actions) }
    if hasUnknownBody(request) { return refuse(request, server, 415, now: now, into: &actions) }
    let description: SessionDescription?
    do { description = try self.description(in: request) } catch {
      return respond(server, SIPMessage(responding: request, status: 400), now: now, into: &actions)
    }
    if let description, description.isBeyondUs {
      return respond(server, SIPMessage(responding: request, status: 488), now: now, into: &actions)
    }
    withLeg(id) {
      $0.serverTransaction = server
      $0.pendingInvite = request
      $0.descriptionBefore = leg.remoteDescription
      $0.isAnswerSent = false
    }
    serverOwners[server] = id
    if let description { descriptionReceived(description, on: id, now: now, into: &actions) }
    legEvent(.offered(description), on: id, now: now, into: &actions)
  }

  mutating func sendReinvite(
    _ id: LegID, _ offer: SessionDescription?, now: MonotonicInstant, into actions: inout [LinkAction]
  ) {
    guard let leg = leg(id), !leg.isEnded, var dialog = leg.dialog else { return }
    if let repair = leg.repair, repair.isUnderWay { return holdOffer(id, offer) }
    guard leg.clientTransaction == nil, leg.serverTransaction == nil else {
      return legEvent(
        .offerRefused(Refusal(status: 491, reason: "Request Pending")), on: id, now: now, into: &actions)
    }
    var request = dialog.makeRequest(.invite)
    request.set(.contact, contact(of: leg))
    request.set(.allow, Self.allow)
    request.set(.userAgent, Self.product)
    attach(offer, to: &request, on: id)
    // With the nonce that is in force already, the provider need not ask again.
    var digest = leg.digest
    digest?.authorize(&request, random: &random)
    withLeg(id) {
      $0.dialog = dialog
      $0.digest = digest
    }
    sendInvite(request, on: id, owner: .reinvite(id), now: now, into: &actions)
  }

  mutating func reinviteAnswered(
    _ response: SIPMessage, _ transaction: ClientTransactionID, _ id: LegID, now: MonotonicInstant,
    into actions: inout [LinkAction]
  ) {
    guard response.status >= 200, let leg = leg(id), leg.clientTransaction == transaction, !leg.isEnded else { return }
    clientOwners.removeValue(forKey: transaction)
    if response.status < 300 {
      withLeg(id) {
        $0.dialog?.responseReceived(response)
        $0.digest?.accepted()
        $0.pulse.heardAt = now
      }
      let description = (try? self.description(in: response)) ?? nil
      if let description { descriptionReceived(description, on: id, now: now, into: &actions) }
      legEvent(.offerAnswered(description), on: id, now: now, into: &actions)
      // It had our new addresses, as a move would have.
      return finishRepair(id, now: now, into: &actions)
    }
    withLeg(id) { $0.clientTransaction = nil }
    if let request = leg.lastInvite, let again = repeated(request, response, on: id) {
      return sendInvite(again, on: id, owner: .reinvite(id), now: now, into: &actions)
    }
    if leg.repair != nil {
      // A 408 or 481 would end the telephone's dialog; whether this call ends is not yet said.
      let isFatal = response.status == 408 || response.status == 481
      let refusal = isFatal ? Refusal(status: 504, reason: "Server Time-out") : Self.refusal(response)
      legEvent(.offerRefused(refusal), on: id, now: now, into: &actions)
      return moveEnded(id, response.status, now: now, into: &actions)
    }
    legEvent(.offerRefused(Self.refusal(response)), on: id, now: now, into: &actions)
    // RFC 3261 §12.2.1.2: the far side does not know the dialog any more, or is not there.
    if response.status == 481 { legGone(id, into: &actions) }
    if response.status == 408 { hangUp(id, now: now, into: &actions) }
    if response.status == 481 || response.status == 408 { legEvent(.lost, on: id, now: now, into: &actions) }
  }

  /// A request of the leg's dialog once more, with credentials for the challenge in `response` and the dialog's next
  /// sequence number; `nil` where the challenge is not to be answered.
  mutating func repeated(_ request: SIPMessage, _ response: SIPMessage, on id: LegID) -> SIPMessage? {
    guard let leg = leg(id), !leg.isEnded, var dialog = leg.dialog else { return nil }
    var digest = leg.digest
    guard var again = authenticated(request, response, session: &digest) else { return nil }
    if let sequence = dialog.makeRequest(request.method).value(.cSeq) { again.set(.cSeq, sequence) }
    withLeg(id) {
      $0.digest = digest
      $0.dialog = dialog
    }
    return again
  }

  mutating func sendACK(
    _ id: LegID, _ answer: SessionDescription?, now: MonotonicInstant, into actions: inout [LinkAction]
  ) {
    guard let leg = leg(id), let dialog = leg.dialog, let transaction = leg.clientTransaction else { return }
    var ack = dialog.makeACK(for: leg.clientSequence)
    attach(answer, to: &ack, on: id)
    // A challenged INVITE's credentials go with its ACK (RFC 3261 §22.1).
    for name in [HeaderName.authorization, .proxyAuthorization] {
      if let value = leg.lastInvite?.value(name) { ack.set(name, value) }
    }
    withLeg(id) {
      if $0.ackedTransaction == nil { $0.ackedTransaction = transaction }
      $0.clientTransaction = nil
    }
    let path = path(of: leg)
    var events: [TransactionEvent] = []
    transactions.acknowledge(
      transaction, ack, sentBy: sentBy(path), path: path, now: now, random: &random, into: &events)
    handle(events, now: now, into: &actions)
    advanceRepair(id, now: now, into: &actions)
  }

  /// INFO goes through to the other leg and its response comes back: digits and picture requests are not ours.
  mutating func relay(
    _ request: SIPMessage, _ server: ServerTransactionID, from id: LegID, now: MonotonicInstant,
    into actions: inout [LinkAction]
  ) {
    guard let other = calls[id.call]?.machine.partner(of: id), let leg = leg(other), var dialog = leg.dialog,
      leg.isConfirmed
    else { return respond(server, SIPMessage(responding: request, status: 480), now: now, into: &actions) }
    var relayed = dialog.makeRequest(request.method)
    var digest = leg.digest
    if let package = request.value(HeaderName("Info-Package")) { relayed.set(HeaderName("Info-Package"), package) }
    relayed.set(.contact, contact(of: leg))
    if !request.body.isEmpty { relayed.setBody(request.body, contentType: request.contentTypeText) }
    digest?.authorize(&relayed, random: &random)
    withLeg(other) {
      $0.dialog = dialog
      $0.digest = digest
    }
    sendRequest(relayed, path(of: leg), owner: .relayed(server, other, relayed), now: now, into: &actions)
  }

  mutating func relayResponse(
    _ response: SIPMessage, to server: ServerTransactionID, _ id: LegID, _ relayed: SIPMessage, now: MonotonicInstant,
    into actions: inout [LinkAction]
  ) {
    if let leg = leg(id), let again = repeated(relayed, response, on: id) {
      sendRequest(again, path(of: leg), owner: .relayed(server, id, again), now: now, into: &actions)
      return
    }
    withLeg(id) { $0.digest?.accepted() }
    guard let request = transactions.request(of: server) else { return }
    let refusal = Self.refusal(response)
    let status = response.status < 300 ? response.status : refusal.status
    var answer = SIPMessage(responding: request, status: status)
    if !response.body.isEmpty { answer.setBody(response.body, contentType: response.contentTypeText) }
    respond(server, answer, now: now, into: &actions)
  }
}
