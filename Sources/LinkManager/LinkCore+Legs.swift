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
    for command in commands { perform(command, call: number, now: now, into: &actions) }
    settle(call: number, now: now, into: &actions)
  }

  private mutating func perform(
    _ command: LegCommand, call number: UInt64, now: MonotonicInstant, into actions: inout [LinkAction]
  ) {
    switch command {
    case .dial(let id, let target, let offer):
      guard addLeg(id, target) else {
        return legEvent(
          .refused(Refusal(status: 503, reason: "Trunk not available")), on: id, now: now, into: &actions)
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
      calls[number]?.coupled = [first, second]
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

  private mutating func execute(_ command: LegCommand, now: MonotonicInstant, into actions: inout [LinkAction]) {
    switch command {
    case .dial(let id, let target, let offer): sendInvite(id, target, offer, now: now, into: &actions)
    case .progress(let id, let status, let reason, let description):
      calls[id.call]?.isRinging = true
      sendResponse(status, reason, description, on: id, now: now, into: &actions)
    case .answer(let id, let description):
      let answeredAt = wallTime(now)
      calls[id.call]?.answeredAt = answeredAt
      sendResponse(200, nil, description, on: id, now: now, into: &actions)
    case .answerOffer(let id, let description): sendResponse(200, nil, description, on: id, now: now, into: &actions)
    case .offer(let id, let description): sendReinvite(id, description, now: now, into: &actions)
    case .acknowledge(let id, let description): sendACK(id, description, now: now, into: &actions)
    case .refuse, .refuseOffer, .cancel, .hangUp, .couple, .setStageTimer, .finished: break
    }
    actions.append(.statusChanged)
  }

  // MARK: Dialling

  /// Makes the leg that `dial` names; false where its trunk cannot take a call now. The leg is then ended already.
  private mutating func addLeg(_ id: LegID, _ target: DialTarget) -> Bool {
    let side: LegSide
    var path = SIPPath(socket: 0, remote: Endpoint(.anyV4, port: 0))
    var isUsable = true
    switch target {
    case .station(let name, _, let stationPath):
      side = .station(name)
      path = stationPath
    case .trunk(let name, _, _):
      let index = trunks.firstIndex { $0.name == name }
      side = .trunk(index ?? 0)
      if let index, trunks[index].isUsable, hasRoom(index), let route = route(ofTrunk: index) {
        path = route
        calls[id.call]?.trunk = name
      } else {
        isUsable = false
      }
    }
    var leg = Leg(id: id, side: side, path: path, random: &random)
    leg.isEnded = !isUsable
    leg.digest = digestSession(side)
    calls[id.call]?.legs.append(leg)
    return isUsable
  }

  private func hasRoom(_ trunk: Int) -> Bool {
    guard let most = trunks[trunk].configuration.maxCalls else { return true }
    return callCount(trunk: trunks[trunk].name) <= most
  }

  func callCount(trunk: String) -> Int {
    calls.values.count { $0.trunk == trunk && $0.machine.phase != .ended }
  }

  /// Headers that tell the callee about the call and that no relay may lose.
  private static let passedOn: [HeaderName] = [
    .privacy, .pAssertedIdentity, .diversion, .historyInfo, .subject, HeaderName("Alert-Info"),
    HeaderName("Call-Info"), HeaderName("User-to-User"), HeaderName("Accept-Language"), HeaderName("Priority"),
  ]

  private mutating func sendInvite(
    _ id: LegID, _ target: DialTarget, _ offer: SessionDescription?, now: MonotonicInstant,
    into actions: inout [LinkAction]
  ) {
    guard let call = calls[id.call], let leg = leg(id), !leg.isEnded else { return }
    let uri: SIPURI
    let from: SIPURI
    switch target {
    case .station(_, let stationURI, _):
      uri = stationURI
      from = SIPURI(user: call.callerNumber, host: configuration.lan.domain)
    case .trunk(let name, let number, let callerID):
      guard let trunk = trunks.first(where: { $0.name == name })?.configuration else { return }
      uri = SIPURI(user: number, host: trunk.domain)
      from = SIPURI(user: callerID ?? trunk.username, host: trunk.domain)
    }
    var request = SIPMessage(method: .invite, requestURI: uri)
    request.set(.maxForwards, String(max(0, min(70, call.legs[0].invite?.maxForwards ?? 70) - 1)))
    var caller = NameAddress(displayName: call.callerName, uri: from)
    caller.tag = leg.localTag
    request.set(.from, caller.description)
    request.set(.to, NameAddress(uri: uri).description)
    request.set(.callID, random.hexDigits(32))
    request.set(.cSeq, "1 INVITE")
    request.set(.contact, contact(of: leg))
    request.set(.allow, Self.allow)
    request.set(.userAgent, Self.product)
    if let original = call.legs[0].invite {
      for name in Self.passedOn { for value in original.values(name) { request.add(name, value) } }
    }
    if case .trunk(let index) = leg.side { addRoute(ofTrunk: index, to: &request) }
    attach(offer, to: &request, on: id)
    sendInvite(request, on: id, owner: .invite(id), now: now, into: &actions)
  }

  /// Sends an INVITE or re-INVITE and remembers it as the leg's.
  private mutating func sendInvite(
    _ request: SIPMessage, on id: LegID, owner: ClientOwner, now: MonotonicInstant, into actions: inout [LinkAction]
  ) {
    guard let leg = leg(id) else { return }
    let transaction = sendRequest(request, path(of: leg), owner: owner, now: now, into: &actions)
    withLeg(id) {
      $0.clientTransaction = transaction
      $0.clientSequence = (try? request.cSeq().number) ?? 1
      if !$0.isConfirmed { $0.invite = request }
      $0.lastInvite = request
    }
    if let callID = request.callID { dialogs[DialogKey(callID: callID, localTag: leg.localTag)] = id }
  }

  /// Who we are on this leg: at a trunk the contact that is registered, in the office our own address.
  func contact(of leg: Leg) -> String {
    switch leg.side {
    case .trunk(let index): return "<\(contact(ofTrunk: index, leg.path))>"
    case .station:
      let endpoint = advertised(LinkSocket(leg.path.socket), towards: leg.path.remote.address)
      return leg.path.isReliable ? "<sip:\(endpoint);transport=tcp>" : "<sip:\(endpoint)>"
    }
  }

  /// Where requests within a dialog go: to the next hop that the dialog names when that is an address, else the way the
  /// leg began. In the office it is always the latter, so that a phone behind a NAT is reached.
  private func path(of leg: Leg) -> SIPPath {
    guard case .trunk = leg.side, !leg.path.isReliable, let hop = leg.dialog?.nextHop, let address = hop.address,
      address.isV4 == leg.path.remote.address.isV4, address.isPublic || !leg.path.remote.address.isPublic
    else { return leg.path }
    return SIPPath(socket: leg.path.socket, remote: Endpoint(address, port: hop.port ?? 5060))
  }

  mutating func inviteAnswered(
    _ response: SIPMessage, _ transaction: ClientTransactionID, _ id: LegID, _ path: SIPPath, now: MonotonicInstant,
    into actions: inout [LinkAction]
  ) {
    guard let leg = leg(id), [leg.clientTransaction, leg.ackedTransaction].contains(transaction),
      let invite = leg.invite
    else { return }
    let description = (try? self.description(in: response)) ?? nil
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
      if let description { descriptionReceived(description, on: id, now: now, into: &actions) }
      legEvent(.answered(description), on: id, now: now, into: &actions)
    default:
      var digest = leg.digest
      if calls[id.call]?.machine.phase == .setUp, let again = authenticated(invite, response, session: &digest) {
        clientOwners.removeValue(forKey: transaction)
        withLeg(id) { $0.digest = digest }
        return sendInvite(again, on: id, owner: .invite(id), now: now, into: &actions)
      }
      clientOwners.removeValue(forKey: transaction)
      legGone(id, into: &actions)
      legEvent(.refused(Self.refusal(response)), on: id, now: now, into: &actions)
    }
  }

  private static func refusal(_ response: SIPMessage) -> Refusal {
    // What a provider wants proved is no business of the caller (RFC 3261 §16.7 step 7 speaks of proxies).
    if response.status == 401 || response.status == 407 {
      return Refusal(status: 403, reason: "The provider refused our credentials")
    }
    let contacts = response.status < 400 ? response.values(.contact) : []
    return Refusal(status: response.status, reason: response.reason, contacts: contacts)
  }

  private mutating func release(
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

  // MARK: Responses to the far side's INVITE

  private mutating func sendResponse(
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
      withLeg(id) { $0.isAnswerSent = true }
    }
    attach(description, to: &response, on: id)
    respond(transaction, response, now: now, into: &actions)
  }

  private mutating func sendRefusal(
    _ refusal: Refusal, on id: LegID, now: MonotonicInstant, into actions: inout [LinkAction]
  ) {
    guard let leg = leg(id), let transaction = leg.serverTransaction, let invite = leg.pendingInvite ?? leg.invite,
      !leg.isAnswerSent
    else { return }
    var response = SIPMessage(
      responding: invite, status: refusal.status, reason: refusal.reason, toTag: leg.localTag)
    for contact in refusal.contacts { response.add(.contact, contact) }
    if refusal.status == 503 { response.set(.retryAfter, "5") }
    withLeg(id) {
      $0.serverTransaction = nil
      $0.pendingInvite = nil
    }
    serverOwners.removeValue(forKey: transaction)
    respond(transaction, response, now: now, into: &actions)
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
  }

  /// Our 2xx was repeated for 32 s and no ACK came: the far side gets a BYE (RFC 3261 §13.3.1.4).
  mutating func unacknowledged(_ id: LegID, now: MonotonicInstant, into actions: inout [LinkAction]) {
    withLeg(id) {
      $0.serverTransaction = nil
      $0.pendingInvite = nil
      $0.isAnswerSent = false
      $0.isConfirmed = true
    }
    hangUp(id, now: now, into: &actions)
    legEvent(.lost, on: id, now: now, into: &actions)
  }

  // MARK: Within the dialog

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

  private mutating func reinviteReceived(
    _ request: SIPMessage, _ server: ServerTransactionID, _ id: LegID, now: MonotonicInstant,
    into actions: inout [LinkAction]
  ) {
    guard let leg = leg(id), leg.isConfirmed, leg.serverTransaction == nil, leg.clientTransaction == nil else {
      // RFC 3261 §14.2: one of ours is pending, or one of theirs.
      return respond(server, SIPMessage(responding: request, status: 491), now: now, into: &actions)
    }
    let description: SessionDescription?
    do { description = try self.description(in: request) } catch {
      return respond(server, SIPMessage(responding: request, status: 400), now: now, into: &actions)
    }
    withLeg(id) {
      $0.serverTransaction = server
      $0.pendingInvite = request
      $0.isAnswerSent = false
    }
    serverOwners[server] = id
    if let description { descriptionReceived(description, on: id, now: now, into: &actions) }
    legEvent(.offered(description), on: id, now: now, into: &actions)
  }

  private mutating func sendReinvite(
    _ id: LegID, _ offer: SessionDescription?, now: MonotonicInstant, into actions: inout [LinkAction]
  ) {
    guard let leg = leg(id), !leg.isEnded, var dialog = leg.dialog else { return }
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
    if response.status < 300 {
      withLeg(id) { $0.dialog?.responseReceived(response) }
      let description = (try? self.description(in: response)) ?? nil
      if let description { descriptionReceived(description, on: id, now: now, into: &actions) }
      return legEvent(.offerAnswered(description), on: id, now: now, into: &actions)
    }
    clientOwners.removeValue(forKey: transaction)
    withLeg(id) { $0.clientTransaction = nil }
    var digest = leg.digest
    if let request = leg.lastInvite, let again = authenticated(request, response, session: &digest) {
      withLeg(id) {
        $0.digest = digest
        _ = $0.dialog?.makeRequest(.invite)  // the CSeq number that the repetition took
      }
      return sendInvite(again, on: id, owner: .reinvite(id), now: now, into: &actions)
    }
    legEvent(.offerRefused(Self.refusal(response)), on: id, now: now, into: &actions)
    // RFC 3261 §12.2.1.2: the far side does not know the dialog any more.
    if response.status == 481 || response.status == 408 {
      legGone(id, into: &actions)
      legEvent(.lost, on: id, now: now, into: &actions)
    }
  }

  private mutating func sendACK(
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
  }

  /// INFO goes through to the other leg and its response comes back: digits and picture requests are not ours.
  private mutating func relay(
    _ request: SIPMessage, _ server: ServerTransactionID, from id: LegID, now: MonotonicInstant,
    into actions: inout [LinkAction]
  ) {
    guard let other = calls[id.call]?.machine.partner(of: id), let leg = leg(other), var dialog = leg.dialog,
      leg.isConfirmed
    else { return respond(server, SIPMessage(responding: request, status: 480), now: now, into: &actions) }
    var relayed = dialog.makeRequest(request.method)
    withLeg(other) { $0.dialog = dialog }
    if let package = request.value(HeaderName("Info-Package")) { relayed.set(HeaderName("Info-Package"), package) }
    relayed.set(.contact, contact(of: leg))
    if !request.body.isEmpty { relayed.setBody(request.body, contentType: request.contentTypeText) }
    sendRequest(relayed, path(of: leg), owner: .relayed(server), now: now, into: &actions)
  }

  mutating func relayResponse(
    _ response: SIPMessage, to server: ServerTransactionID, now: MonotonicInstant, into actions: inout [LinkAction]
  ) {
    guard let request = transactions.request(of: server) else { return }
    let refusal = Self.refusal(response)
    let status = response.status < 300 ? response.status : refusal.status
    var answer = SIPMessage(responding: request, status: status)
    if !response.body.isEmpty { answer.setBody(response.body, contentType: response.contentTypeText) }
    respond(server, answer, now: now, into: &actions)
  }

  // MARK: Ending

  private mutating func cancel(_ id: LegID, now: MonotonicInstant, into actions: inout [LinkAction]) {
    guard let leg = leg(id) else { return }
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

  private mutating func hangUp(_ id: LegID, now: MonotonicInstant, into actions: inout [LinkAction]) {
    guard let leg = leg(id), !leg.isEnded else { return }
    if leg.isAnswerSent {
      withLeg(id) { $0.hangsUpWhenAcknowledged = true }
      closeMedia(id, into: &actions)
      return
    }
    let isEarly = !leg.isConfirmed && leg.serverTransaction != nil
    sendRefusal(Refusal(status: 487, reason: "Request Terminated"), on: id, now: now, into: &actions)
    if !isEarly, var dialog = leg.dialog { sendBYE(dialog.makeRequest(.bye), leg, now: now, into: &actions) }
    legGone(id, into: &actions)
    settle(call: id.call, now: now, into: &actions)
  }

  private mutating func sendBYE(
    _ request: SIPMessage, _ leg: Leg, now: MonotonicInstant, into actions: inout [LinkAction]
  ) {
    var request = request
    request.set(.userAgent, Self.product)
    let path = path(of: leg)
    sendRequest(request, path, owner: .bye(request, path, leg.digest), now: now, into: &actions)
  }

  /// The dialog is over: what the leg held is given back.
  mutating func legGone(_ id: LegID, into actions: inout [LinkAction]) {
    guard let leg = leg(id), !leg.isEnded else { return }
    withLeg(id) {
      $0.isEnded = true
      $0.deferred = []
    }
    closeMedia(id, into: &actions)
    let callID = leg.dialog?.callID ?? leg.invite?.callID
    if let callID { dialogs.removeValue(forKey: DialogKey(callID: callID, localTag: leg.localTag)) }
    for transaction in [leg.clientTransaction, leg.ackedTransaction].compactMap({ $0 }) {
      clientOwners.removeValue(forKey: transaction)
    }
  }
}
