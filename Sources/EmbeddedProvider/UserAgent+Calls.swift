import MediaRelay
import NetworkTypes
import OrderedCollections
import SDP
import SIPDialog
import SIPSyntax
import SIPTransaction

// The course of a call: set up by either side, changed by the other side, ended by either.
extension UserAgent {
  // MARK: Calls of ours

  /// Calls `target` through `path`. `nil` where we have no room.
  mutating func placeCall(
    target: SIPURI, from: NameAddress, to: NameAddress, path: SIPPath, script: CallScript,
    digest: DigestSession?, now: MonotonicInstant, into notices: inout [AgentNotice]
  ) -> AgentCallID? {
    let localTag = random.hexDigits(16)
    var from = from
    from.tag = localTag
    var invite = SIPMessage(method: .invite, requestURI: target)
    invite.set(.maxForwards, "70")
    invite.set(.from, "\(from)")
    invite.set(.to, "\(to)")
    invite.set(.callID, "\(random.hexDigits(24))@\(configuration.advertised.address)")
    invite.set(.cSeq, "1 INVITE")
    setOwnFields(&invite, user: from.uri.user)
    guard
      let id = addCall(
        isIncoming: false, invite: invite, remoteNumber: to.uri.user ?? "", localNumber: from.uri.user ?? "",
        localTag: localTag, path: path, plan: AnswerPlan(.never, script: script), into: &notices)
    else { return nil }
    calls[id]?.digest = digest
    return id
  }

  private mutating func sendInvite(_ id: AgentCallID, now: MonotonicInstant, into notices: inout [AgentNotice]) {
    guard var call = calls[id] else { return }
    if call.state == .opening {
      call.invite.setBody(call.session.offer(), contentType: "application/sdp")
      call.state = .calling
    }
    var events: [TransactionEvent] = []
    let client = layer.send(
      call.invite, sentBy: configuration.sentBy, path: call.path, now: now, random: &random, into: &events)
    call.client = client
    calls[id] = call
    own(client, id, .invite)
    handle(events, now: now, into: &notices)
  }

  /// A response to our INVITE.
  mutating func inviteAnswered(
    _ id: AgentCallID, _ client: ClientTransactionID, _ response: SIPMessage, _ path: SIPPath, now: MonotonicInstant,
    into notices: inout [AgentNotice]
  ) {
    guard var call = calls[id] else { return }
    switch response.status {
    case ..<200:
      if response.status > 100 && call.state == .calling {
        // Early media (183 with SDP) is heard like the call itself.
        if !response.body.isEmpty, call.session.answerReceived(response.body) { setPeer(call, into: &notices) }
        calls[id] = call
        notices.append(.ringing(id))
      }
    case ..<300: inviteAccepted(&call, client, response, path, now: now, into: &notices)
    case let status where (status == 401 || status == 407) && call.state == .calling && call.digest != nil:
      disown(client)
      guard call.digest?.challenged(by: response) == .answerable, let sequence = try? call.invite.cSeq().number else {
        return end(id, .refused(response.status), now: now, into: &notices)
      }
      call.digest?.authorize(&call.invite, random: &random)
      call.invite.set(.cSeq, "\(sequence &+ 1) INVITE")
      calls[id] = call
      sendInvite(id, now: now, into: &notices)
    default:
      disown(client)
      end(id, call.state == .cancelling ? .byUs : .refused(response.status), now: now, into: &notices)
    }
  }

  private mutating func inviteAccepted(
    _ call: inout AgentCall, _ client: ClientTransactionID, _ response: SIPMessage, _ path: SIPPath,
    now: MonotonicInstant, into notices: inout [AgentNotice]
  ) {
    guard let sequence = try? call.invite.cSeq().number,
      let dialog = try? Dialog(request: call.invite, response: response)
    else {
      return end(call.id, .failed("a 2xx that makes no dialog"), now: now, into: &notices)
    }
    var events: [TransactionEvent] = []
    let wayBack = nextPath(dialog, source: path)
    layer.acknowledge(
      client, dialog.makeACK(for: sequence), sentBy: configuration.sentBy, path: wayBack, now: now, random: &random,
      into: &events)
    handle(events, now: now, into: &notices)
    if call.dialog != nil {
      // A second branch of a forked INVITE answered too (RFC 3261 §13.2.2.4): it is told that we are served.
      return sendBye(dialog, wayBack, call.id, now: now, into: &notices)
    }
    call.dialog = dialog
    call.path = path
    let hadAnswer = call.session.remote != nil && response.body.isEmpty
    let hasAnswer = call.session.answerReceived(response.body)
    let wasCancelled = call.state == .cancelling
    call.state = .answered
    calls[call.id] = call
    if wasCancelled { return hangUp(call.id, now: now, into: &notices) }
    guard hasAnswer || hadAnswer else {
      return hangUp(call.id, now: now, into: &notices, ending: .failed("an answer without a usable stream"))
    }
    begin(call.id, now: now, into: &notices)
  }

  // MARK: Calls of theirs

  /// Takes an INVITE that the owner let in, and does with it what `plan` says.
  mutating func takeCall(
    _ server: ServerTransactionID, _ invite: SIPMessage, _ path: SIPPath, plan: AnswerPlan, now: MonotonicInstant,
    into notices: inout [AgentNotice]
  ) -> AgentCallID? {
    if case .ignore = plan.outcome { return nil }
    let localTag = random.hexDigits(16)
    guard let dialog = try? Dialog(answering: invite, localTag: localTag) else {
      respond(server, SIPMessage(responding: invite, status: 400, toTag: localTag), now: now, into: &notices)
      return nil
    }
    let local = (try? invite.to())?.uri.user ?? ""
    let remote = (try? invite.from())?.uri.user ?? ""
    guard
      let id = addCall(
        isIncoming: true, invite: invite, remoteNumber: remote, localNumber: local, localTag: localTag, path: path,
        plan: plan, into: &notices)
    else {
      respond(server, SIPMessage(responding: invite, status: 503, toTag: localTag), now: now, into: &notices)
      return nil
    }
    calls[id]?.state = .ringing
    calls[id]?.server = server
    calls[id]?.dialog = dialog
    own(server, id)
    respond(server, SIPMessage(responding: invite, status: 100), now: now, into: &notices)
    if let after = plan.ringAfter { timers.set(.ring(id), at: now + after) }
    switch plan.outcome {
    case .answer(let after), .refuse(_, let after): timers.set(.finish(id), at: now + after)
    case .never, .ignore: break
    }
    return id
  }

  mutating func ring(_ id: AgentCallID, now: MonotonicInstant, into notices: inout [AgentNotice]) {
    guard let call = calls[id], call.state == .ringing, let server = call.server else { return }
    var response = SIPMessage(responding: call.invite, status: 180, toTag: call.localTag)
    setOwnFields(&response, user: call.localNumber)
    respond(server, response, now: now, into: &notices)
    notices.append(.ringing(id))
  }

  /// The moment that the answer plan named, or a person's hand, has come.
  mutating func finish(_ id: AgentCallID, now: MonotonicInstant, into notices: inout [AgentNotice]) {
    guard let call = calls[id], call.state == .ringing else { return }
    if case .refuse(let status, _) = call.plan.outcome {
      return refuse(id, status, now: now, into: &notices)
    }
    if call.isMediaOpen { answer(id, now: now, into: &notices) } else { calls[id]?.answersWhenOpen = true }
  }

  mutating func refuse(
    _ id: AgentCallID, _ status: Int, now: MonotonicInstant, into notices: inout [AgentNotice]
  ) {
    guard let call = calls[id], call.state == .ringing, let server = call.server else { return }
    respond(
      server, SIPMessage(responding: call.invite, status: status, toTag: call.localTag), now: now, into: &notices)
    end(id, .refused(status), now: now, into: &notices)
  }

  private mutating func answer(_ id: AgentCallID, now: MonotonicInstant, into notices: inout [AgentNotice]) {
    guard var call = calls[id], let server = call.server else { return }
    timers.cancel(.ring(id))
    let body: [UInt8]
    if call.invite.body.isEmpty {
      // No offer in the INVITE: ours goes in the 200, and the ACK has the answer (RFC 3261 §13.2.1).
      body = call.session.offer()
      call.awaitsAnswer = true
    } else if let answer = call.session.answer(to: call.invite.body) {
      body = answer
    } else {
      return refuse(id, 488, now: now, into: &notices)
    }
    call.state = .answered
    calls[id] = call
    var response = SIPMessage(responding: call.invite, status: 200, toTag: call.localTag)
    setOwnFields(&response, user: call.localNumber)
    response.setBody(body, contentType: "application/sdp")
    respond(server, response, now: now, into: &notices)
    if !call.awaitsAnswer { begin(id, now: now, into: &notices) }
  }

  mutating func acknowledged(
    _ server: ServerTransactionID, _ ack: SIPMessage, now: MonotonicInstant, into notices: inout [AgentNotice]
  ) {
    guard let id = owner(of: server), var call = calls[id], call.awaitsAnswer else { return }
    call.awaitsAnswer = false
    let isUsable = call.session.answerReceived(ack.body)
    calls[id] = call
    guard isUsable else {
      return hangUp(id, now: now, into: &notices, ending: .failed("an ACK without an answer"))
    }
    if call.reinvite == server { setPeer(call, into: &notices) } else { begin(id, now: now, into: &notices) }
  }

  mutating func cancelReceived(
    _ server: ServerTransactionID, now: MonotonicInstant, into notices: inout [AgentNotice]
  ) {
    guard let id = owner(of: server), let call = calls[id], call.state == .ringing || call.state == .opening else {
      // The owner may have left it unanswered (``AnswerPlan/Outcome/ignore``): then nobody answers its CANCEL's INVITE.
      return
    }
    respond(
      server, SIPMessage(responding: call.invite, status: 487, toTag: call.localTag), now: now, into: &notices)
    end(id, .byThem, now: now, into: &notices)
  }

  // MARK: Media

  mutating func mediaOpened(_ id: AgentCallID, now: MonotonicInstant, into notices: inout [AgentNotice]) {
    guard let call = calls[id] else { return }
    if call.state == .opening { sendInvite(id, now: now, into: &notices) }
    if call.answersWhenOpen && call.state == .ringing { answer(id, now: now, into: &notices) }
  }

  /// The call is up: media runs as the script says.
  private mutating func begin(_ id: AgentCallID, now: MonotonicInstant, into notices: inout [AgentNotice]) {
    guard let call = calls[id] else { return }
    setPeer(call, into: &notices)
    if call.plan.script.records { notices.append(.media(.record(call.media, true))) }
    if let after = call.plan.script.hangUpAfter { timers.set(.hangUp(id), at: now + after) }
    notices.append(.answered(id))
  }

  private func setPeer(_ call: AgentCall, into notices: inout [AgentNotice]) {
    let type = call.session.payloadType
    notices.append(
      .media(
        .setPeer(
          call.media, call.session.peer(latching: configuration.latchesMedia, once: configuration.latchesOnce),
          openingPayloadType: type)))
    let source: MediaSource?
    switch call.plan.script.sound {
    case .silence: source = .silence
    case .tone(let hertz): source = .tone(hertz: hertz)
    case .melody(let hertz): source = .melody(hertz: hertz)
    case .echo:
      notices.append(.media(.couple(call.media, call.media)))
      return
    }
    notices.append(.media(.play(call.media, call.session.theyListen ? source : nil, payloadType: type)))
  }

  // MARK: Within a call

  /// A request that is not for the owner's eyes alone: it may belong to a dialog of ours.
  mutating func requestReceived(
    _ server: ServerTransactionID, _ request: SIPMessage, _ path: SIPPath, now: MonotonicInstant,
    into notices: inout [AgentNotice]
  ) {
    guard request.toTag != nil else { return notices.append(.request(server, request, path)) }
    guard let id = calls.values.first(where: { $0.dialog?.matches(request) ?? false })?.id, var call = calls[id],
      var dialog = call.dialog
    else {
      return respond(server, earlyAnswer(request), now: now, into: &notices)
    }
    switch dialog.requestReceived(request) {
    case .inOrder: break
    case .outOfOrder:
      return respond(server, SIPMessage(responding: request, status: 500), now: now, into: &notices)
    }
    call.dialog = dialog
    call.path = path
    calls[id] = call
    switch request.method {
    case .bye:
      respond(server, SIPMessage(responding: request, status: 200), now: now, into: &notices)
      if call.state == .ringing, let invite = call.server {
        respond(
          invite, SIPMessage(responding: call.invite, status: 487, toTag: call.localTag), now: now, into: &notices)
      }
      end(id, .byThem, now: now, into: &notices)
    case .invite where call.pendingReinvite != nil:
      // RFC 3261 §14.2: both sides offer at once.
      respond(server, SIPMessage(responding: request, status: 491), now: now, into: &notices)
    case .invite where configuration.asksAboutOffers: notices.append(.request(server, request, path))
    case .invite, .update: offerReceived(id, server, request, now: now, into: &notices)
    default: notices.append(.request(server, request, path))
    }
  }

  /// An UPDATE from where our INVITE rings (RFC 3311 §5.1) is taken note of; any other request here is in no dialog of ours.
  private func earlyAnswer(_ request: SIPMessage) -> SIPMessage {
    let rings = calls.values.contains { call in
      call.state == .calling && call.invite.callID == request.callID && call.localTag == request.toTag
    }
    var response = SIPMessage(responding: request, status: rings && request.method == .update ? 200 : 481)
    if response.status == 200 { setOwnFields(&response, user: nil) }
    return response
  }

  /// A re-INVITE that the owner was shown and lets in.
  mutating func takeOffer(
    _ server: ServerTransactionID, _ request: SIPMessage, now: MonotonicInstant, into notices: inout [AgentNotice]
  ) {
    guard let id = calls.values.first(where: { $0.dialog?.matches(request) ?? false })?.id else { return }
    offerReceived(id, server, request, now: now, into: &notices)
  }

  /// A re-INVITE or UPDATE.
  private mutating func offerReceived(
    _ id: AgentCallID, _ server: ServerTransactionID, _ request: SIPMessage, now: MonotonicInstant,
    into notices: inout [AgentNotice]
  ) {
    guard var call = calls[id] else { return }
    guard call.state == .answered else {
      // RFC 3261 §14.2: the INVITE before it is still being answered.
      var response = SIPMessage(responding: request, status: 500)
      response.set(.retryAfter, "1")
      return respond(server, response, now: now, into: &notices)
    }
    var response = SIPMessage(responding: request, status: 200)
    setOwnFields(&response, user: call.localNumber)
    if request.body.isEmpty {
      if request.method == .invite {
        response.setBody(call.session.offer(), contentType: "application/sdp")
        call.awaitsAnswer = true
      }
    } else if let answer = call.session.answer(to: request.body) {
      response.setBody(answer, contentType: "application/sdp")
    } else {
      return respond(server, SIPMessage(responding: request, status: 488), now: now, into: &notices)
    }
    if request.method == .invite {
      call.reinvite = server
      own(server, id)
    }
    calls[id] = call
    respond(server, response, now: now, into: &notices)
    if !request.body.isEmpty { setPeer(call, into: &notices) }
  }

  /// Offers the other side the same stream with another direction: hold (`sendonly`, `inactive`) and its end. Nothing
  /// happens where the call is not up or another offer is on its way.
  mutating func reinvite(
    _ id: AgentCallID, direction: MediaDirection, now: MonotonicInstant, into notices: inout [AgentNotice]
  ) {
    guard var call = calls[id], call.state == .answered, call.pendingReinvite == nil, !call.awaitsAnswer,
      var dialog = call.dialog
    else { return }
    var request = dialog.makeRequest(.invite)
    call.dialog = dialog
    setOwnFields(&request, user: call.localNumber)
    request.setBody(call.session.offer(direction: direction), contentType: "application/sdp")
    calls[id] = call
    sendReinvite(id, request, now: now, into: &notices)
  }

  private mutating func sendReinvite(
    _ id: AgentCallID, _ request: SIPMessage, now: MonotonicInstant, into notices: inout [AgentNotice]
  ) {
    guard let call = calls[id], let dialog = call.dialog else { return }
    var request = request
    calls[id]?.digest?.authorize(&request, random: &random)
    var events: [TransactionEvent] = []
    let client = layer.send(
      request, sentBy: configuration.sentBy, path: nextPath(dialog, source: call.path), now: now, random: &random,
      into: &events)
    calls[id]?.pendingReinvite = (client, request)
    own(client, id, .invite)
    handle(events, now: now, into: &notices)
  }

  mutating func reinviteAnswered(
    _ id: AgentCallID, _ client: ClientTransactionID, _ response: SIPMessage, _ path: SIPPath, now: MonotonicInstant,
    into notices: inout [AgentNotice]
  ) {
    guard response.status >= 200, var call = calls[id], let pending = call.pendingReinvite, var dialog = call.dialog
    else { return }
    call.pendingReinvite = nil
    switch response.status {
    case ..<300:
      dialog.responseReceived(response)
      call.dialog = dialog
      let isUsable = call.session.answerReceived(response.body)
      calls[id] = call
      var events: [TransactionEvent] = []
      layer.acknowledge(
        client, dialog.makeACK(for: (try? pending.request.cSeq().number) ?? 0), sentBy: configuration.sentBy,
        path: nextPath(dialog, source: path), now: now, random: &random, into: &events)
      handle(events, now: now, into: &notices)
      if isUsable { setPeer(call, into: &notices) }
    case 401, 407:
      disown(client)
      guard call.digest?.challenged(by: response) == .answerable,
        let sequence = try? dialog.makeRequest(.invite).cSeq().number
      else {
        calls[id] = call
        return
      }
      call.dialog = dialog
      calls[id] = call
      var request = pending.request
      request.set(.cSeq, "\(sequence) INVITE")
      sendReinvite(id, request, now: now, into: &notices)
    case 408, 481:
      // RFC 3261 §14.1: the dialog is gone.
      disown(client)
      calls[id] = call
      hangUp(id, now: now, into: &notices, ending: .failed("the other side does not know the call"))
    default:
      disown(client)
      calls[id] = call
    }
  }

  // MARK: Ending

  /// Ends a call in whatever state it is: CANCEL, a refusal, or BYE.
  mutating func hangUp(
    _ id: AgentCallID, now: MonotonicInstant, into notices: inout [AgentNotice], ending: CallEnding = .byUs
  ) {
    guard let call = calls[id] else { return }
    switch call.state {
    case .opening: end(id, ending, now: now, into: &notices)
    case .calling:
      calls[id]?.state = .cancelling
      guard let client = call.client else { return end(id, ending, now: now, into: &notices) }
      var events: [TransactionEvent] = []
      layer.cancel(client, now: now, into: &events)
      handle(events, now: now, into: &notices)
    case .cancelling: break
    case .ringing: refuse(id, 603, now: now, into: &notices)
    case .answered:
      if let dialog = call.dialog {
        sendBye(dialog, nextPath(dialog, source: call.path), id, now: now, into: &notices)
      }
      end(id, ending, now: now, into: &notices)
    }
  }

  private mutating func sendBye(
    _ dialog: Dialog, _ path: SIPPath, _ id: AgentCallID, now: MonotonicInstant, into notices: inout [AgentNotice]
  ) {
    var dialog = dialog
    var events: [TransactionEvent] = []
    var bye = dialog.makeRequest(.bye)
    bye.set(.userAgent, configuration.userAgent)
    let client = layer.send(
      bye, sentBy: configuration.sentBy, path: path, now: now, random: &random, into: &events)
    own(client, id, .bye)
    handle(events, now: now, into: &notices)
  }

  /// Where a request of ours within a dialog goes: where the other side's packets come from, or as RFC 3261 §12.2.1.1
  /// says, to the first route or the Contact, where that is an address.
  private func nextPath(_ dialog: Dialog, source: SIPPath) -> SIPPath {
    guard !configuration.followsSource, let address = dialog.nextHop.address else { return source }
    return SIPPath(socket: source.socket, remote: Endpoint(address, port: dialog.nextHop.port ?? 5060))
  }

  // MARK: Fields

  private func setOwnFields(_ message: inout SIPMessage, user: String?) {
    let contact = SIPURI(
      user: user, host: configuration.advertised.address.description, port: configuration.advertised.port)
    message.set(.contact, "<\(contact)>")
    message.set(.allow, "INVITE, ACK, CANCEL, BYE, OPTIONS, UPDATE, INFO")
    message.set(message.isRequest ? .userAgent : .server, configuration.userAgent)
  }
}
