import CallControl
import MediaRelay
import NetworkTypes
import OrderedCollections
import SDP
import SIPDialog
import SIPSyntax
import SIPTransaction

/// Calls move: what becomes of each leg at a provider when the public address of its uplink is another one.
///
/// Audio waits for nothing: it leaves by the new mapping as soon as there is one. Signalling goes in order: the trunk's
/// REGISTER first, because a provider may listen within a dialog only to an address that it knows, then a re-INVITE with
/// the ports' new mappings. What waits for that is in ``CallRepair``; when its turn has come is decided here.
extension LinkCore {
  /// The public address of an uplink is another one, and its trunks have begun to register it.
  ///
  /// - Parameter isSameAddress: only the port is another one: the router lost what it knew.
  mutating func repairCalls(
    ofUplink uplink: Int, isSameAddress: Bool = false, now: MonotonicInstant, into actions: inout [LinkAction]
  ) {
    recoveryBegins(uplink, now: now)
    for id in legs(ofUplink: uplink) {
      // Of an address that stayed the same nobody can say whether the far side saw it before or after.
      beginRepair(id, isCertain: isSameAddress, now: now, into: &actions)
    }
    updateRecovery(uplink, now: now, into: &actions)
  }

  /// The legs at providers that use this uplink and are not over.
  func legs(ofUplink uplink: Int) -> [LegID] {
    calls.values.flatMap(\.legs).filter { leg in
      guard !leg.isEnded, case .trunk = leg.side else { return false }
      return sockets[leg.path.socket].side == .uplink(uplink)
    }.map(\.id)
  }

  /// - Parameter isCertain: answers to what was sent before are lost, wherever the far side saw it come from.
  mutating func beginRepair(
    _ id: LegID, isCertain: Bool = false, now: MonotonicInstant, into actions: inout [LinkAction]
  ) {
    probePorts(of: id, now: now, into: &actions)
    guard let leg = leg(id) else { return }
    withLeg(id) {
      $0.answerRenewedAt = nil
      $0.pulse.asksByInvite = false
    }
    if leg.isConfirmed || leg.isAnswerSent {
      withdrawOffer(id, now: now, into: &actions)
      startRepair(id, now: now)
      repeatACK(id, now: now, into: &actions)
    } else if leg.serverTransaction != nil {
      startRepair(id, now: now)
    } else if let transaction = leg.clientTransaction, transactions.isPending(transaction), !leg.isCancelled {
      // One that was seen from the new address is answered to it; its Contact is put right after the answer.
      let own = advertised(LinkSocket(leg.path.socket), towards: leg.path.remote.address)
      if !isCertain, leg.seenFrom.map({ isOurs($0, own, leg) }) ?? false { return startRepair(id, now: now) }
      withdrawInvite(id, transaction, now: now, into: &actions)
      startRepair(id, now: now)
    } else if leg.isRedialing {
      startRepair(id, now: now)
    }
    advanceRepair(id, now: now, into: &actions)
  }

  /// Whether the far side answers to where we are now. Where each destination has a port of its own only the address tells.
  private func isOurs(_ seen: Endpoint, _ own: Endpoint, _ leg: Leg) -> Bool {
    seen == own
      || seen.address == own.address && strategy(of: LinkSocket(leg.path.socket))?.contact == .flow
  }

  /// The line was gone for longer than anything is repeated (64·T1, RFC 3261 §17): what either side sent meanwhile is lost, be
  /// our address the same. Each call asks the provider whether it is still there.
  mutating func repairAfterLongOutage(_ uplink: Int, now: MonotonicInstant, into actions: inout [LinkAction]) {
    for id in legs(ofUplink: uplink) {
      guard let leg = leg(id) else { continue }
      let isCalling = !leg.isConfirmed && leg.clientTransaction != nil && !leg.isRedialing
      if leg.repair == nil || isCalling { beginRepair(id, isCertain: true, now: now, into: &actions) }
    }
  }

  mutating func startRepair(_ id: LegID, now: MonotonicInstant) {
    withLeg(id) { $0.repair = CallRepair(now: now) }
    setRepairTimer(id)
  }

  private mutating func setRepairTimer(_ id: LegID) {
    if let deadline = leg(id)?.repair?.nextDeadline {
      timers.set(.repair(id), at: deadline)
    } else {
      timers.cancel(.repair(id))
    }
  }

  // MARK: Media

  /// Every port of the leg is asked for its mapping again; what was known of it is void.
  private mutating func probePorts(of id: LegID, now: MonotonicInstant, into actions: inout [LinkAction]) {
    guard let leg = leg(id) else { return }
    let socket = sockets[leg.path.socket]
    guard case .uplink = socket.side else { return }
    let plan = mediaPlan(socket.id)
    var isProbed = false
    for index in leg.streams.indices {
      guard let stream = leg.streams[index] else { continue }
      withLeg(id) { leg in
        leg.streams[index]?.rtp = nil
        leg.streams[index]?.rtcp = nil
      }
      guard let plan else { continue }
      isProbed = true
      actions.append(.media(.setSTUN(stream.id, plan)))
    }
    withLeg(id) { $0.isMappingAwaited = isProbed }
    if isProbed { timers.set(.media(id), at: now + Self.mappingPatience) }
  }

  /// A port's mapping is known, or known to be another one, while the leg is at rest. Where the far side was told something
  /// else it is told anew; not too often, since there are NATs that never give the same mapping twice, but in the end.
  mutating func portMapped(
    _ id: LegID, _ index: Int, now: MonotonicInstant, into actions: inout [LinkAction]
  ) {
    withLeg(id) { $0.streams[index]?.isMoveDue = false }
    guard let leg = leg(id), case .trunk = leg.side, leg.isConfirmed, let stream = leg.streams[index],
      let rtp = mappedEndpoint(of: stream, on: leg.path.socket) ?? stream.rtp,
      let told = leg.sentDescription, told.media.indices.contains(index), !told.media[index].isRefused,
      let place = told.rtpEndpoint(index), place != rtp
    else { return }
    let socket = leg.path.socket
    let own = advertised(LinkSocket(socket), towards: leg.path.remote.address).address
    if rtp.address != own {
      // The whole line has another address, most likely: signalling's own port is asked at once.
      suspect(socket, now: now, into: &actions)
    }
    // Such NATs give another port, not another address: who was told a wrong one is told the right one at once.
    let isRested = leg.portMovedAt.map { now - $0 >= Self.portMoveInterval } ?? true
    guard self.leg(id)?.repair == nil, isRested || place.address != own && rtp.address == own else {
      return withLeg(id) { $0.streams[index]?.isMoveDue = true }
    }
    withLeg(id) {
      $0.portMovedAt = now
      $0.repair = CallRepair(now: now, delay: Self.portMoveDelay)
    }
    setRepairTimer(id)
  }

  private static let portMoveInterval = Duration.seconds(10)
  private static let portMoveDelay = Duration.milliseconds(300)

  // MARK: What was out when the address changed

  /// Our re-INVITE that has no final response: it is sent again with the new addresses, under a higher number.
  private mutating func withdrawOffer(_ id: LegID, now: MonotonicInstant, into actions: inout [LinkAction]) {
    guard let transaction = leg(id)?.clientTransaction, transactions.isPending(transaction) else { return }
    let owner = clientOwners.removeValue(forKey: transaction)
    withLeg(id) { leg in
      leg.clientTransaction = nil
      // That of the other leg is still owed to it; our own is made anew.
      if case .reinvite? = owner { leg.isOfferWithdrawn = true }
      if leg.lastInvite?.body.isEmpty == false, !leg.openSequences.contains(leg.clientSequence) {
        leg.openSequences.append(leg.clientSequence)
        if leg.openSequences.count > 8 { leg.openSequences.removeFirst() }
      }
    }
    var events: [TransactionEvent] = []
    transactions.abandon(transaction, cancels: false, now: now, into: &events)
    handle(events, now: now, into: &actions)
  }

  /// Our INVITE that has no final response: its answers go to an address that is gone. It is taken back on its branch, and
  /// the number is dialled once more when the trunk is registered.
  private mutating func withdrawInvite(
    _ id: LegID, _ transaction: ClientTransactionID, now: MonotonicInstant, into actions: inout [LinkAction]
  ) {
    clientOwners.removeValue(forKey: transaction)
    withLeg(id) { leg in
      leg.clientTransaction = nil
      leg.isRedialing = true
    }
    if let leg = leg(id), let callID = leg.invite?.callID {
      dialogs.removeValue(forKey: DialogKey(callID: callID, localTag: leg.localTag))
    }
    var events: [TransactionEvent] = []
    transactions.abandon(transaction, cancels: true, now: now, into: &events)
    handle(events, now: now, into: &actions)
  }

  /// The ACK to a 2xx of the last half minute may have gone into the outage.
  private mutating func repeatACK(_ id: LegID, now: MonotonicInstant, into actions: inout [LinkAction]) {
    guard let transaction = leg(id)?.ackedTransaction else { return }
    var events: [TransactionEvent] = []
    transactions.repeatACK(transaction, into: &events)
    handle(events, now: now, into: &actions)
  }

  /// Re-INVITEs that were withdrawn may have been accepted, by a 2xx that went to the old address and is repeated there
  /// until the far side ends the call for want of an ACK. All that an ACK needs is known without it.
  private mutating func acknowledgeBlindly(_ leg: Leg, now: MonotonicInstant, into actions: inout [LinkAction]) {
    guard let dialog = leg.dialog else { return }
    let path = path(of: leg)
    for sequence in leg.openSequences {
      var events: [TransactionEvent] = []
      transactions.sendACK(
        dialog.makeACK(for: sequence), sentBy: sentBy(path), path: path, random: &random, into: &events)
      handle(events, now: now, into: &actions)
    }
  }

  // MARK: When the way is clear

  /// Takes the repair of a leg as far as it gets now. Called whenever something happened that it may have waited for.
  mutating func advanceRepair(_ id: LegID, now: MonotonicInstant, into actions: inout [LinkAction]) {
    guard let leg = leg(id), let repair = leg.repair, !leg.isEnded, case .trunk(let trunk) = leg.side,
      isMediaReady(leg), sockets[leg.path.socket].stun?.lostSince == nil
    else { return }
    if leg.serverTransaction != nil { return advanceAnswer(leg, now: now, into: &actions) }
    guard repair.mayOffer(now: now), leg.clientTransaction == nil, isKnown(trunk, now: now) else { return }
    if leg.isRedialing { return redial(leg, now: now, into: &actions) }
    guard leg.isConfirmed else { return }
    sendMove(leg, now: now, into: &actions)
  }

  /// Whether the provider knows our present contact, or needs no registration, or will not have one.
  func isKnown(_ trunk: Int, now: MonotonicInstant) -> Bool {
    guard trunks[trunk].configuration.register, let registration = trunks[trunk].registration else { return true }
    if registration.state == .rejected { return true }
    guard let path = route(ofTrunk: trunk) else { return false }
    return registration.boundContact(now: now) == contact(ofTrunk: trunk, path)
  }

  /// A trunk's registration went on: its calls follow.
  mutating func registrationAdvanced(_ trunk: Int, now: MonotonicInstant, into actions: inout [LinkAction]) {
    for id in movingLegs(ofTrunk: trunk) { advanceRepair(id, now: now, into: &actions) }
    releaseOldContacts(now: now, into: &actions)
    if let socket = trunks[trunk].socket, case .uplink(let uplink) = sockets[socket.rawValue].side {
      updateRecovery(uplink, now: now, into: &actions)
      sendFarewells(ofUplink: uplink, now: now, into: &actions)
    }
  }

  func movingLegs(ofTrunk trunk: Int) -> [LegID] {
    calls.values.flatMap(\.legs).filter { $0.side == .trunk(trunk) && !$0.isEnded && $0.repair != nil }.map(\.id)
  }

  /// An INVITE of ours that is not withdrawn left from where we are now: however long it rings, it needs no old binding.
  func needsOldContacts(trunk: Int) -> Bool {
    movingLegs(ofTrunk: trunk).contains { id in
      leg(id).map { $0.isConfirmed || $0.isRedialing || $0.clientTransaction == nil } ?? false
    }
  }

  /// Old bindings go when no call is under way from them any more.
  mutating func releaseOldContacts(now: MonotonicInstant, into actions: inout [LinkAction]) {
    for index in trunks.indices where trunks[index].registration?.keepsOldContacts == true {
      guard !needsOldContacts(trunk: index) else { continue }
      var steps: [RegistrationAction] = []
      trunks[index].registration?.releaseOldContacts(now: now, random: &random, into: &steps)
      perform(steps, trunk: index, now: now, into: &actions)
    }
  }

  // MARK: The re-INVITE

  /// Tells the provider where the leg now is: what was agreed last, at the new places, under a higher version.
  mutating func sendMove(_ leg: Leg, now: MonotonicInstant, into actions: inout [LinkAction]) {
    let id = leg.id
    guard var dialog = leg.dialog else { return }
    withLeg(id) {
      $0.repair?.offered(now: now, beforeACK: leg.serverTransaction != nil)
      // RFC 3264 §8: each changed description has a version of its own; one that is offered anew counts as changed.
      $0.sentDescription = nil
      $0.sessionVersion += 1
    }
    setRepairTimer(id)
    acknowledgeBlindly(leg, now: now, into: &actions)
    var request = dialog.makeRequest(.invite)
    request.set(.contact, contact(of: leg))
    request.set(.allow, Self.allow)
    request.set(.userAgent, Self.product)
    var owner = ClientOwner.move(id)
    var description = leg.sentDescription.map { agreed($0, leg.remoteDescription) }
    if leg.isOfferWithdrawn {
      // The other leg's offer goes out again as it was; where it had none, ours asks for one too.
      owner = .reinvite(id)
      description = leg.lastInvite?.body.isEmpty == false ? leg.sentDescription : nil
      withLeg(id) { $0.isOfferWithdrawn = false }
    }
    attach(description, to: &request, on: id)
    var digest = leg.digest
    digest?.authorize(&request, random: &random)
    withLeg(id) {
      if $0.sentDescription == nil { $0.sentDescription = leg.sentDescription }
      $0.dialog = dialog
      $0.digest = digest
    }
    sendInvite(request, on: id, owner: owner, now: now, into: &actions)
  }

  /// What we sent last with no other formats than those that the far side took: an offer of more could change the codec,
  /// of which the telephone would know nothing.
  private func agreed(_ sent: SessionDescription, _ answer: SessionDescription?) -> SessionDescription {
    var result = sent
    guard let answer else { return result }
    for index in result.media.indices where answer.media.indices.contains(index) && !answer.media[index].isRefused {
      result.media[index].keepFormats(answer.media[index].formats)
    }
    return result
  }

  /// A response to a re-INVITE of ours that moved the leg.
  mutating func moveAnswered(
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
      sendACK(id, nil, now: now, into: &actions)
      if let description = (try? self.description(in: response)) ?? nil {
        descriptionReceived(description, on: id, now: now, into: &actions)
      }
      assumeAcknowledged(id, response, now: now, into: &actions)
    } else {
      withLeg(id) { $0.clientTransaction = nil }
      if let request = leg.lastInvite, let again = repeated(request, response, on: id) {
        return sendInvite(again, on: id, owner: .move(id), now: now, into: &actions)
      }
      withLeg(id) { $0.digest?.accepted() }
    }
    if response.status < 300, let told = leg.lastInvite?.value(.contact), told != contact(of: leg) {
      // Our address is another one since that left; its answer may even be what has shown it.
      startRepair(id, now: now)
      return advanceRepair(id, now: now, into: &actions)
    }
    let wait = response.value(.retryAfter).flatMap { SIPMessage.deltaSeconds(String($0.prefix { $0.isNumber })) }
    moveEnded(id, response.status, retryAfter: wait.map { .seconds(min($0, 3600)) }, now: now, into: &actions)
  }

  /// What the final response to a move, or its absence, leads to.
  mutating func moveEnded(
    _ id: LegID, _ status: Int, retryAfter: Duration? = nil, now: MonotonicInstant, into actions: inout [LinkAction]
  ) {
    if pulseShown(id, status, now: now, into: &actions) { return }
    guard let leg = leg(id), var repair = leg.repair, !leg.isEnded else { return }
    let outcome = repair.answered(
      status, retryAfter: retryAfter, isCaller: id.index > 0, packets: leg.packetsIn, now: now, random: &random)
    withLeg(id) { $0.repair = repair }
    setRepairTimer(id)
    switch outcome {
    case .moved: finishRepair(id, now: now, into: &actions)
    case .again:
      // What it does not know of it is told once more.
      if status == 481, let leg = self.leg(id), leg.isAnswerSent { renewAnswer(leg, now: now, into: &actions) }
      runHeldOffer(id, now: now, into: &actions)
    case .refused:
      actions.append(.log(.warning, "call \(name(id)): the provider refuses the new address (\(status))"))
      runHeldOffer(id, now: now, into: &actions)
    case .gone: giveUp(id, .unknown(status), now: now, into: &actions)
    case .exhausted: giveUp(id, .unanswered(status), now: now, into: &actions)
    }
  }

  /// The leg is where it should be.
  mutating func finishRepair(_ id: LegID, now: MonotonicInstant, into actions: inout [LinkAction]) {
    guard let leg = leg(id), leg.repair != nil else { return }
    // Once more, for one that the first of these did not reach.
    acknowledgeBlindly(leg, now: now, into: &actions)
    withLeg(id) {
      $0.repair = nil
      $0.openSequences = []
      $0.arePortsReplaced = false
      $0.pulse.asksByInvite = false
    }
    timers.cancel(.repair(id))
    if !leg.pulse.asksByInvite {
      actions.append(.log(.info, "call \(name(id)) has moved"))
      watchMutePorts(id, now: now)
    }
    runHeldOffer(id, now: now, into: &actions)
    releaseOldContacts(now: now, into: &actions)
  }

  func name(_ id: LegID) -> String { calls[id.call]?.identifier ?? "" }

  // MARK: The other leg's offers meanwhile

  /// An offer of the other leg while this one is being moved waits for its turn: the telephone, which knows nothing of it,
  /// would take a 491 for the provider's answer.
  mutating func holdOffer(_ id: LegID, _ offer: SessionDescription?) { withLeg(id) { $0.heldOffer = .some(offer) } }

  private mutating func runHeldOffer(_ id: LegID, now: MonotonicInstant, into actions: inout [LinkAction]) {
    guard let leg = leg(id), let offer = leg.heldOffer, leg.clientTransaction == nil, leg.serverTransaction == nil
    else {
      return
    }
    withLeg(id) { $0.heldOffer = nil }
    sendReinvite(id, offer, now: now, into: &actions)
  }

  // MARK: Time

  mutating func repairTimerFired(_ id: LegID, now: MonotonicInstant, into actions: inout [LinkAction]) {
    guard let leg = leg(id), let repair = leg.repair, !leg.isEnded else { return }
    if case .watching(let packets, let status, _) = repair.state {
      guard leg.packetsIn > packets else { return giveUp(id, .refused(status), now: now, into: &actions) }
      // Its packets find us: it goes by where ours come from, and minds only the request.
      return finishRepair(id, now: now, into: &actions)
    }
    let isWaited = leg.isConfirmed || leg.isRedialing
    if case .offering = repair.state {
      // A provisional response, or none, and then nothing.
      withdrawOffer(id, now: now, into: &actions)
      return moveEnded(id, 408, now: now, into: &actions)
    }
    if repair.isOverdue(now: now), !isWaited || sockets[leg.path.socket].stun?.lostSince != nil {
      // Still ringing, or the line is gone again: there is nothing that could be late.
      startRepair(id, now: now)
    } else if repair.isOverdue(now: now) {
      return giveUp(id, .barred, now: now, into: &actions)
    }
    advanceRepair(id, now: now, into: &actions)
  }
}

/// Why a call could not be moved.
enum MoveFailure {
  case unknown(Int)
  case refused(Int)
  case unanswered(Int)
  case barred

  var code: VerdictCode {
    switch self {
    case .unknown: .callUnknownAfterMove
    case .refused: .callRefusedAfterMove
    case .unanswered: .callUnansweredAfterMove
    case .barred: .callBarredAfterMove
    }
  }

  var evidence: String {
    switch self {
    case .unknown(let status), .refused(let status): "its answer to the re-INVITE was \(status)"
    case .unanswered(let status): "its last answer to the re-INVITE was \(status), where 408 stands for none"
    case .barred: "no re-INVITE could be sent for 180 s"
    }
  }
}

extension LinkCore {
  /// The call cannot be saved: both of its sides end, and a person can read why.
  mutating func giveUp(_ id: LegID, _ failure: MoveFailure, now: MonotonicInstant, into actions: inout [LinkAction]) {
    guard calls[id.call] != nil, let leg = leg(id), !leg.isEnded else { return }
    let code = leg.pulse.asksByInvite ? VerdictCode.endGone : failure.code
    tell(code, of: .call(id.call), evidence: failure.evidence, now: now, into: &actions)
    withLeg(id) { $0.repair = nil }
    timers.cancel(.repair(id))
    if leg.isRedialing {
      legGone(id, into: &actions)
      legEvent(.refused(Refusal(status: 408, reason: "Request Timeout")), on: id, now: now, into: &actions)
    } else {
      if case .unknown = failure { legGone(id, into: &actions) } else { hangUp(id, now: now, into: &actions) }
      legEvent(.lost, on: id, now: now, into: &actions)
    }
    releaseOldContacts(now: now, into: &actions)
  }
}
