import CallControl
import NetworkTypes
import OrderedCollections
import SDP
import SIPDialog
import SIPSyntax
import SIPTransaction

/// SIP in and out: what the transaction layer tells goes to registrations, phones and calls.
extension LinkCore {
  /// What we call ourselves in User-Agent and Server.
  static let product = "Trunkline"
  /// The methods that we answer other than by 405.
  static let allow = "INVITE, ACK, CANCEL, BYE, OPTIONS, INFO"

  /// A datagram that is neither STUN nor keepalive, or a message of a stream.
  ///
  /// - Parameter isForeign: it came to an uplink from none of the trunks' targets: only what belongs to a dialog or a
  ///   transaction of ours is heard, and nothing else is answered.
  mutating func signallingReceived(
    _ bytes: Span<UInt8>, _ path: SIPPath, isForeign: Bool = false, now: MonotonicInstant,
    into actions: inout [LinkAction]
  ) {
    let message: SIPMessage
    do {
      message = try SIPMessage(parsing: bytes)
    } catch {
      return discard("malformedSIP")
    }
    if message.isRequest {
      if isForeign && leg(of: message) == nil { return discard("foreign") }
      counters.requests.count(Self.methodLabel(message.method), "in")
      if let problem = message.problem() {
        discard("badRequest")
        guard message.method != .ack, message.callID != nil else { return }
        let response = SIPMessage(responding: message, status: problem.status, reason: problem.reason)
        return send(response.serialized(), path, now: now, into: &actions)
      }
    } else {
      if keepaliveAnswered(message, path, now: now, into: &actions) { return }
      if isForeign && !transactions.awaits(message) { return discard("foreign") }
      counters.responses.count("\(message.status / 100)xx", "in")
      guard message.problem() == nil else { return discard("badResponse") }
    }
    var path = path
    // A call that comes to a port which has just been given up is one like any other; its answers leave by the used one.
    if message.isRequest, !path.isReliable, !sockets[path.socket].isInUse {
      path.socket = used(with: path.socket) ?? path.socket
    }
    var events: [TransactionEvent] = []
    transactions.messageReceived(message, path: path, now: now, into: &events)
    handle(events, now: now, into: &actions)
  }

  private static func methodLabel(_ method: SIPMethod) -> String {
    let known: [SIPMethod] = [
      .invite, .ack, .bye, .cancel, .register, .options, .info, .update, .prack, .refer, .notify, .subscribe, .message,
    ]
    return known.contains(method) ? method.name : "other"
  }

  // MARK: Events of the transaction layer

  mutating func handle(_ events: [TransactionEvent], now: MonotonicInstant, into actions: inout [LinkAction]) {
    for event in events {
      switch event {
      case .send(let bytes, let path): send(bytes, path, now: now, into: &actions)
      case .requestReceived(let id, let request, let path):
        requestReceived(request, id, path, now: now, into: &actions)
      case .cancelReceived(let id, _):
        if let leg = serverOwners[id] { legEvent(.cancelled, on: leg, now: now, into: &actions) }
      case .acknowledged(let id, let ack):
        if let leg = serverOwners.removeValue(forKey: id) { acknowledged(leg, ack, now: now, into: &actions) }
      case .unacknowledged(let id):
        if let leg = serverOwners.removeValue(forKey: id) { unacknowledged(leg, now: now, into: &actions) }
      case .responseReceived(let id, let response, let path):
        noteSeen(id, response)
        let isHidden = providerTestified(
          response, to: transactions.request(of: id), trunk: trunk(of: id, path), socket: path.socket, now: now,
          into: &actions)
        if case .uplink = sockets[path.socket].side, !isHidden {
          learnAddress(from: response, path, now: now, into: &actions)
        }
        responseReceived(response, id, path, now: now, into: &actions)
        flowAnswered(response, path, now: now, into: &actions)
      case .timedOut(let id): requestTimedOut(id, now: now, into: &actions)
      case .strayResponse: discard("strayResponse")
      case .discarded(let reason): discard(reason)
      }
    }
  }

  private mutating func requestReceived(
    _ request: SIPMessage, _ id: ServerTransactionID, _ path: SIPPath, now: MonotonicInstant,
    into actions: inout [LinkAction]
  ) {
    if request.toTag != nil {
      guard let leg = leg(of: request) else {
        let status = request.method == .options ? 200 : 481
        return respond(id, SIPMessage(responding: request, status: status), now: now, into: &actions)
      }
      return dialogRequestReceived(request, id, leg, path, now: now, into: &actions)
    }
    if let response = extensionRefusal(request) { return respond(id, response, now: now, into: &actions) }
    switch request.method {
    case .invite: inviteReceived(request, id, path, now: now, into: &actions)
    case .register: registerReceived(request, id, path, now: now, into: &actions)
    case .options:
      var response = SIPMessage(responding: request, status: 200, toTag: random.hexDigits(16))
      response.set(.allow, Self.allow)
      response.set(.accept, "application/sdp")
      respond(id, response, now: now, into: &actions)
    case .bye, .info: respond(id, SIPMessage(responding: request, status: 481), now: now, into: &actions)
    default: respond(id, methodNotAllowed(request), now: now, into: &actions)
    }
  }

  func methodNotAllowed(_ request: SIPMessage) -> SIPMessage {
    var response = SIPMessage(responding: request, status: 405)
    response.set(.allow, Self.allow)
    return response
  }

  /// RFC 3261 §8.2.2.3: we support no extension that a request may require; `nil` where it requires none.
  func extensionRefusal(_ request: SIPMessage) -> SIPMessage? {
    let required = request.values(.require)
    guard !required.isEmpty else { return nil }
    var response = SIPMessage(responding: request, status: 420)
    response.set(.unsupported, required.joined(separator: ", "))
    return response
  }

  // MARK: Sending

  /// What we write into Via: the address that the far side sees.
  func sentBy(_ path: SIPPath) -> String {
    advertised(LinkSocket(path.socket), towards: path.remote.address).description
  }

  @discardableResult mutating func sendRequest(
    _ request: SIPMessage, _ path: SIPPath, owner: ClientOwner, now: MonotonicInstant,
    into actions: inout [LinkAction]
  ) -> ClientTransactionID {
    counters.requests.count(Self.methodLabel(request.method), "out")
    var events: [TransactionEvent] = []
    let id = transactions.send(
      request, sentBy: sentBy(path), offersKeep: offersKeep(owner, path), path: path, now: now, random: &random,
      into: &events)
    clientOwners[id] = owner
    handle(events, now: now, into: &actions)
    return id
  }

  mutating func respond(
    _ id: ServerTransactionID, _ response: SIPMessage, now: MonotonicInstant, into actions: inout [LinkAction]
  ) {
    counters.responses.count("\(response.status / 100)xx", "out")
    var response = response
    if response.status > 100 { response.set(.server, Self.product) }
    var events: [TransactionEvent] = []
    transactions.respond(id, response, now: now, into: &events)
    handle(events, now: now, into: &actions)
  }

  // MARK: Responses

  private mutating func responseReceived(
    _ response: SIPMessage, _ id: ClientTransactionID, _ path: SIPPath, now: MonotonicInstant,
    into actions: inout [LinkAction]
  ) {
    guard let owner = clientOwners[id] else { return answeredTooLate(response, id, path, now: now, into: &actions) }
    let isFinal = response.status >= 200
    switch owner {
    case .registration(let trunk):
      guard isFinal else { return }
      clientOwners.removeValue(forKey: id)
      guard trunks.indices.contains(trunk) else { return }
      trunks[trunk].unansweredSince = nil
      compareClocks(trunk, response, now: now, into: &actions)
      var steps: [RegistrationAction] = []
      if [401, 407].contains(response.status) {
        learnFlow(ofTrunk: trunk, fromChallenge: response, now: now, into: &actions)
      }
      let isNeeded = needsOldContacts(trunk: trunk)
      trunks[trunk].registration?.keepsOldContacts = isNeeded
      trunks[trunk].registration?.responseReceived(response, now: now, random: &random, into: &steps)
      perform(steps, trunk: trunk, now: now, into: &actions)
      if response.status < 300 { keepNegotiated(trunk, response) }
      if response.status < 300 { learnFlow(ofTrunk: trunk, from: response, now: now, into: &actions) }
      registrationAdvanced(trunk, now: now, into: &actions)
    case .invite(let leg): inviteAnswered(response, id, leg, path, now: now, into: &actions)
    case .reinvite(let leg): reinviteAnswered(response, id, leg, now: now, into: &actions)
    case .move(let leg): moveAnswered(response, id, leg, now: now, into: &actions)
    case .bye(let farewell):
      guard isFinal else { return }
      clientOwners.removeValue(forKey: id)
      farewellAnswered(farewell, response, now: now, into: &actions)
    case .update(let leg):
      guard isFinal else { return }
      clientOwners.removeValue(forKey: id)
      updateAnswered(response, leg, now: now, into: &actions)
    case .relayed(let server, let leg, let request):
      guard isFinal else { return }
      clientOwners.removeValue(forKey: id)
      relayResponse(response, to: server, leg, request, now: now, into: &actions)
    case .pulse(let leg):
      guard isFinal else { return }
      clientOwners.removeValue(forKey: id)
      pulseAnswered(response, id, leg, now: now, into: &actions)
    }
  }

  mutating func requestTimedOut(
    _ id: ClientTransactionID, now: MonotonicInstant, into actions: inout [LinkAction]
  ) {
    guard let owner = clientOwners.removeValue(forKey: id) else { return }
    switch owner {
    case .registration(let trunk):
      guard trunks.indices.contains(trunk) else { return }
      targetSilent(trunk, now: now, into: &actions)
      var steps: [RegistrationAction] = []
      trunks[trunk].registration?.requestTimedOut(now: now, random: &random, into: &steps)
      perform(steps, trunk: trunk, now: now, into: &actions)
    case .invite(let leg):
      noteFailure(leg, .unanswered, status: 408, reason: "INVITE was sent for 32 s in vain")
      if case .trunk(let trunk)? = self.leg(leg)?.side { targetSilent(trunk, now: now, into: &actions) }
      legGone(leg, into: &actions)
      legEvent(.refused(Refusal(status: 408, reason: "Request Timeout")), on: leg, now: now, into: &actions)
    case .move(let leg):
      withLeg(leg) { $0.clientTransaction = nil }
      moveEnded(leg, 408, now: now, into: &actions)
    case .reinvite(let leg):
      if offerLost(leg, now: now, into: &actions) { break }
      // RFC 3261 §12.2.1.2: no answer to a re-INVITE ends the dialog.
      withLeg(leg) { $0.clientTransaction = nil }
      legEvent(.offerRefused(Refusal(status: 408, reason: "Request Timeout")), on: leg, now: now, into: &actions)
      hangUp(leg, now: now, into: &actions)
      legEvent(.lost, on: leg, now: now, into: &actions)
    case .bye(let farewell): keep(farewell, now: now)
    case .update: break
    case .pulse(let leg): pulseUnanswered(id, leg, now: now, into: &actions)
    case .relayed(let server, _, _):
      if let request = transactions.request(of: server) {
        respond(server, SIPMessage(responding: request, status: 408), now: now, into: &actions)
      }
    }
  }

  // MARK: Credentials

  /// The request once more, with credentials for the challenge in `response`; `nil` where it has none, where ours were
  /// refused, or where the realm is not the trunk's.
  mutating func authenticated(
    _ request: SIPMessage, _ response: SIPMessage, session: inout DigestSession?
  ) -> SIPMessage? {
    guard response.status == 401 || response.status == 407, var digest = session else { return nil }
    let verdict = digest.challenged(by: response)
    guard verdict == .answerable else { return nil }
    var again = request
    digest.authorize(&again, random: &random)
    session = digest
    if let sequence = try? request.cSeq() { again.set(.cSeq, "\(sequence.number &+ 1) \(sequence.method)") }
    return again
  }

  /// The credentials of a leg: a trunk's, where it has a password.
  func digestSession(_ side: LegSide) -> DigestSession? {
    guard case .trunk(let index) = side, trunks.indices.contains(index) else { return nil }
    let trunk = trunks[index].configuration
    guard let password = trunk.password else { return nil }
    return DigestSession(username: trunk.authUsername ?? trunk.username, password: password, realm: trunk.realm)
  }
}
