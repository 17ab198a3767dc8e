public import NetworkTypes
public import SIPSyntax

extension TransactionLayer {
  /// The answers to a request that came on another socket leave by this one from now on: the way that it came is gone.
  public mutating func moveAnswers(of id: ServerTransactionID, toSocket socket: Int) {
    servers[id]?.taken.path.socket = socket
  }

  /// Answers a request: any number of 1xx, then one 2xx–6xx. A 2xx to INVITE is repeated until its ACK comes, then
  /// ``TransactionEvent/acknowledged(_:_:)`` follows, or ``TransactionEvent/unacknowledged(_:)``. An answer to a
  /// transaction that has had its final one, or has ended, is ignored.
  public mutating func respond(
    _ id: ServerTransactionID, _ response: SIPMessage, now: MonotonicInstant, into events: inout [TransactionEvent]
  ) {
    guard var server = servers[id] else { return }
    let actions = server.responded(status: response.status)
    guard actions.contains(.sendResponse) else { return }
    server.taken.response = response.serialized()
    server.taken.localTag = response.toTag ?? server.taken.localTag
    servers[id] = server
    if case .invite(let transaction) = server, case .accepted = transaction.machine.state,
      let key = AcceptedKey(server.taken.message, localTag: server.taken.localTag)
    {
      acceptedIDs[key] = id
    }
    perform(actions, server: id, request: nil, now: now, into: &events)
  }

  /// Puts another response in the place of the 2xx that is being repeated until its ACK comes, and sends it: the addresses
  /// in the first one are not ours any more, and it may never have arrived.
  public mutating func replaceAcceptance(
    _ id: ServerTransactionID, _ response: SIPMessage, into events: inout [TransactionEvent]
  ) {
    guard case .invite(var transaction) = servers[id],
      case .accepted(_, isAcknowledged: false) = transaction.machine.state
    else { return }
    transaction.taken.response = response.serialized()
    servers[id] = .invite(transaction)
    events.append(.send(response.serialized(), transaction.taken.path))
  }

  /// The ACK to a 2xx is waited for 64*T1 from now: what was sent before went into an outage.
  public mutating func extendAcceptance(_ id: ServerTransactionID, now: MonotonicInstant) {
    guard case .invite(let transaction) = servers[id],
      case .accepted(_, isAcknowledged: false) = transaction.machine.state
    else { return }
    timers.set(TimerName(owner: .server(id), timer: .l), at: now + times.t1 * 64)
  }

  /// The 2xx is known to have arrived although its ACK did not: it is not repeated any more, and nothing is told.
  public mutating func assumeAcknowledged(_ id: ServerTransactionID, now: MonotonicInstant) {
    guard case .invite(var transaction) = servers[id],
      case .accepted(_, isAcknowledged: false) = transaction.machine.state
    else { return }
    _ = transaction.machine.ackReceived()
    servers[id] = .invite(transaction)
    timers.cancel(TimerName(owner: .server(id), timer: .acceptance))
  }

  mutating func requestReceived(
    _ message: SIPMessage, path: SIPPath, now: MonotonicInstant, into events: inout [TransactionEvent]
  ) {
    guard let via = try? message.topVia() else {
      events.append(.discarded(reason: "unreadable Via"))
      return
    }
    let marked = Self.marked(via, source: path.remote)
    var request = message
    if marked != via { request.replaceFirstValue(.via, marked.description) }
    let answerPath = Self.answerPath(via, path: path)
    if let problem = request.problem() {
      events.append(.discarded(reason: "malformed request"))
      if request.method != .ack {
        refuse(request, status: problem.status, reason: problem.reason, path: answerPath, into: &events)
      }
      return
    }
    switch request.method {
    case .ack: ackReceived(request, via: via, now: now, into: &events)
    case .cancel: cancelReceived(request, via: via, path: answerPath, now: now, into: &events)
    default:
      guard let id = take(request, via: via, path: answerPath, now: now, into: &events) else { return }
      events.append(.requestReceived(id, request, path))
    }
  }

  /// The transaction that `request` opens; `nil` where it is a repetition, which is then served, or is refused.
  private mutating func take(
    _ request: SIPMessage, via: Via, path: SIPPath, now: MonotonicInstant, into events: inout [TransactionEvent]
  ) -> ServerTransactionID? {
    guard let key = ServerKey(request, via: via, as: request.method) else {
      events.append(.discarded(reason: "malformed request"))
      return nil
    }
    if let id = serverIDs[key], var server = servers[id] {
      let actions = server.requestReceived()
      servers[id] = server
      perform(actions, server: id, request: request, now: now, into: &events)
      return nil
    }
    guard servers.count < serverLimit else {
      events.append(.discarded(reason: "too many transactions"))
      refuse(request, status: 503, reason: nil, path: path, into: &events)
      return nil
    }
    let id = ServerTransactionID(rawValue: makeID())
    let server = ServerTransaction(TakenRequest(request, key: key, path: path), timers: times)
    servers[id] = server
    serverIDs[key] = id
    perform(server.firstActions, server: id, request: nil, now: now, into: &events)
    return id
  }

  private mutating func ackReceived(
    _ ack: SIPMessage, via: Via, now: MonotonicInstant, into events: inout [TransactionEvent]
  ) {
    var found: ServerTransactionID?
    if let key = ServerKey(ack, via: via, as: .invite), let id = serverIDs[key] {
      // RFC 3261 §17.2.3: the ACK of an RFC 2543 client has the To tag of our answer.
      var belongs = true
      if case .legacy = key { belongs = servers[id]?.taken.localTag == ack.toTag }
      if belongs { found = id }
    }
    if found == nil, let key = AcceptedKey(ack, localTag: ack.toTag) { found = acceptedIDs[key] }
    guard let id = found, case .invite(var transaction) = servers[id] else {
      events.append(.discarded(reason: "unmatched ACK"))
      return
    }
    let actions = transaction.machine.ackReceived()
    servers[id] = .invite(transaction)
    perform(actions, server: id, request: ack, now: now, into: &events)
  }

  /// RFC 3261 §9.2: the CANCEL is a transaction of its own, which is answered here.
  private mutating func cancelReceived(
    _ cancel: SIPMessage, via: Via, path: SIPPath, now: MonotonicInstant, into events: inout [TransactionEvent]
  ) {
    guard let id = take(cancel, via: via, path: path, now: now, into: &events) else { return }
    guard let key = ServerKey(cancel, via: via, as: .invite), let invite = serverIDs[key],
      case .invite(var transaction) = servers[invite]
    else {
      respond(id, Self.answer(cancel, status: 481, reason: nil), now: now, into: &events)
      return
    }
    let tag = transaction.taken.localTag ?? Self.tag(for: cancel)
    respond(id, SIPMessage(responding: cancel, status: 200, toTag: tag), now: now, into: &events)
    let actions = transaction.machine.cancelReceived()
    servers[invite] = .invite(transaction)
    perform(actions, server: invite, request: cancel, now: now, into: &events)
  }

  mutating func perform(
    _ actions: [TransactionAction], server id: ServerTransactionID, request: SIPMessage?, now: MonotonicInstant,
    into events: inout [TransactionEvent]
  ) {
    for action in actions {
      switch action {
      case .sendResponse:
        if let taken = servers[id]?.taken, let response = taken.response { events.append(.send(response, taken.path)) }
      case .sendTrying:
        guard var server = servers[id] else { continue }
        let trying = SIPMessage(responding: server.taken.message, status: 100).serialized()
        server.taken.response = trying
        servers[id] = server
        events.append(.send(trying, server.taken.path))
      case .reportCancel: if let request { events.append(.cancelReceived(id, request)) }
      case .reportACK: if let request { events.append(.acknowledged(id, request)) }
      case .reportUnacknowledged: events.append(.unacknowledged(id))
      case .start(let timer, let duration):
        timers.set(TimerName(owner: .server(id), timer: timer), at: now + duration)
      case .stop(let timer): timers.cancel(TimerName(owner: .server(id), timer: timer))
      case .terminate: remove(id)
      case .sendRequest, .sendACK, .sendCancel, .deliverResponse, .reportTimeout: break
      }
    }
  }

  private mutating func remove(_ id: ServerTransactionID) {
    guard let server = servers.removeValue(forKey: id) else { return }
    stopTimers(of: .server(id))
    serverIDs.removeValue(forKey: server.taken.key)
    if let key = AcceptedKey(server.taken.message, localTag: server.taken.localTag), acceptedIDs[key] == id {
      acceptedIDs.removeValue(forKey: key)
    }
  }

  /// An answer without a transaction (RFC 3261 §8.2.7).
  private func refuse(
    _ request: SIPMessage, status: Int, reason: String?, path: SIPPath, into events: inout [TransactionEvent]
  ) {
    var response = Self.answer(request, status: status, reason: reason)
    if status == 503 { response.set(.retryAfter, "5") }
    events.append(.send(response.serialized(), path))
  }

  private static func answer(_ request: SIPMessage, status: Int, reason: String?) -> SIPMessage {
    SIPMessage(responding: request, status: status, reason: reason, toTag: tag(for: request))
  }

  /// A To tag that is the same whenever the same request comes (RFC 3261 §8.2.7).
  private static func tag(for request: SIPMessage) -> String {
    String(DigestHash.sha256("\(request.callID ?? "") \(request.value(.via) ?? "")").prefix(16))
  }

  /// The topmost Via with what we saw of the sender: RFC 3261 §18.2.1 and RFC 3581 §4.
  static func marked(_ via: Via, source: Endpoint) -> Via {
    var via = via
    if via.hasRport {
      via.rport = source.port
      via.received = source.address.unmapped.description
    } else if via.address?.unmapped != source.address.unmapped {
      via.received = source.address.unmapped.description
    }
    return via
  }

  /// Where answers go: RFC 3261 §18.2.2 and RFC 3581 §4. Without `rport` the port is that of `sent-by`; but behind a NAT,
  /// which is when `sent-by` has another address, that port means nothing here and the source's is taken. `maddr` is not
  /// followed: it would let anyone send our answers to anyone.
  static func answerPath(_ via: Via, path: SIPPath) -> SIPPath {
    guard !path.isReliable, !via.hasRport, via.address?.unmapped == path.remote.address.unmapped else { return path }
    var path = path
    path.remote.port = via.port ?? 5060
    return path
  }
}
