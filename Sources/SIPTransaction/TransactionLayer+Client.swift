public import NetworkTypes
public import SIPSyntax

extension TransactionLayer {
  /// Sends a request, not an ACK. The topmost Via is added here: `sentBy` as it shall be written (`203.0.113.5:65002`), a
  /// branch from `random`, and on an unreliable path `;rport` (RFC 3581).
  public mutating func send(
    _ request: SIPMessage, sentBy: String, offersKeep: Bool = false, path: SIPPath, now: MonotonicInstant,
    random: inout RandomSource,
    into events: inout [TransactionEvent]
  ) -> ClientTransactionID {
    let branch = Self.makeBranch(&random)
    var request = request
    let keep = offersKeep && !path.isReliable ? ";keep" : ""
    request.prepend(.via, Self.via(sentBy: sentBy, branch: branch, path: path) + keep)
    return open(SentRequest(request, path: path), branch: branch, now: now, into: &events)
  }

  /// Sends the ACK to a 2xx that ``TransactionEvent/responseReceived(_:_:_:)`` gave, and again by itself whenever that
  /// 2xx, told by its To tag, is repeated. Via is added as by ``send(_:sentBy:path:now:random:into:)``.
  public mutating func acknowledge(
    _ id: ClientTransactionID, _ ack: SIPMessage, sentBy: String, path: SIPPath, now: MonotonicInstant,
    random: inout RandomSource, into events: inout [TransactionEvent]
  ) {
    var ack = ack
    ack.prepend(.via, Self.via(sentBy: sentBy, branch: Self.makeBranch(&random), path: path))
    let bytes = ack.serialized()
    events.append(.send(bytes, path))
    guard case .invite(var transaction) = clients[id] else { return }
    transaction.acknowledged(toTag: ack.toTag ?? "", ack: bytes, path: path)
    clients[id] = .invite(transaction)
  }

  /// Ends an INVITE that has no final response: a CANCEL leaves now, or as soon as a provisional response came (RFC 3261
  /// §9.1). What comes of it is told as for any INVITE: usually 487, a 2xx where the two crossed, or ``timedOut``.
  public mutating func cancel(
    _ id: ClientTransactionID, now: MonotonicInstant, into events: inout [TransactionEvent]
  ) {
    guard case .invite(var transaction) = clients[id] else { return }
    let actions = transaction.machine.cancelled()
    clients[id] = .invite(transaction)
    perform(actions, client: id, response: nil, path: transaction.sent.path, now: now, into: &events)
  }

  /// Whether a response is to a request of ours that is not forgotten: its branch is one that nobody can guess.
  public func awaits(_ response: SIPMessage) -> Bool {
    guard let branch = (try? response.topVia())?.branch else { return false }
    return clientIDs[ClientKey(branch: branch, method: response.method)] != nil
  }

  /// No further events of this transaction. Its request is not repeated any more; a late response to an INVITE still has
  /// its ACK (3xx–6xx), one to another request is a stray one.
  public mutating func forget(_ id: ClientTransactionID) {
    switch clients[id] {
    case .invite(var transaction):
      transaction.sent.isForgotten = true
      clients[id] = .invite(transaction)
      timers.cancel(TimerName(owner: .client(id), timer: .a))
    case .nonInvite: remove(id)
    case nil: break
    }
  }

  /// The request leaves by this socket from now on where it is repeated, and so do its CANCEL and its ACKs: the way that it
  /// went is gone. Its Via stays, by which the far side knows it.
  public mutating func moveRequest(_ id: ClientTransactionID, toSocket socket: Int) {
    clients[id]?.move(toSocket: socket)
  }

  /// The same for all requests that left by `old`.
  public mutating func moveRequests(fromSocket old: Int, toSocket new: Int) {
    for index in clients.values.indices where clients.values[index].sent.path.socket == old {
      clients.values[index].move(toSocket: new)
    }
  }

  /// Another request takes the place of this INVITE: it is not repeated any more, and what comes of it is still told, so
  /// that a late 2xx has its ACK.
  ///
  /// - Parameter cancels: a CANCEL leaves at once, also where no provisional response came. RFC 3261 §9.1 would have it
  ///   wait for one; but what was sent before our address changed is answered to the old address. Without it a CANCEL
  ///   leaves only for an INVITE that had one.
  public mutating func abandon(
    _ id: ClientTransactionID, cancels: Bool, now: MonotonicInstant, into events: inout [TransactionEvent]
  ) {
    guard case .invite(var transaction) = clients[id] else { return }
    let actions = transaction.machine.abandoned(cancels: cancels)
    clients[id] = .invite(transaction)
    perform(actions, client: id, response: nil, path: transaction.sent.path, now: now, into: &events)
  }

  /// Sends an ACK to a 2xx that did not come, or not here.
  public func sendACK(
    _ ack: SIPMessage, sentBy: String, path: SIPPath, random: inout RandomSource, into events: inout [TransactionEvent]
  ) {
    var ack = ack
    ack.prepend(.via, Self.via(sentBy: sentBy, branch: Self.makeBranch(&random), path: path))
    events.append(.send(ack.serialized(), path))
  }

  /// Sends the ACKs to the 2xx of this INVITE again, where it had any: they may have been lost, and the repeated 2xx that
  /// would ask for them too.
  public func repeatACK(_ id: ClientTransactionID, into events: inout [TransactionEvent]) {
    guard case .invite(let transaction) = clients[id] else { return }
    for (ack, path) in transaction.sentACKs { events.append(.send(ack, path)) }
  }

  mutating func responseReceived(
    _ response: SIPMessage, path: SIPPath, now: MonotonicInstant, into events: inout [TransactionEvent]
  ) {
    if response.problem() != nil {
      events.append(.discarded(reason: "malformed response"))
      return
    }
    guard let via = try? response.topVia(), let branch = via.branch,
      let id = clientIDs[ClientKey(branch: branch, method: response.method)], var client = clients[id]
    else {
      events.append(.strayResponse(response, path))
      return
    }
    if case .invite(var transaction) = client, (200..<300).contains(response.status) {
      switch transaction.acceptanceReceived(toTag: response.toTag ?? "") {
      case .new: client = .invite(transaction)
      case .repeated(let ack, let ackPath):
        if let ack, let ackPath { events.append(.send(ack, ackPath)) }
        return
      case .excessive:
        events.append(.discarded(reason: "too many forks"))
        return
      }
    }
    let actions = client.responseReceived(status: response.status)
    clients[id] = client
    perform(actions, client: id, response: response, path: path, now: now, into: &events)
  }

  mutating func perform(
    _ actions: [TransactionAction], client id: ClientTransactionID, response: SIPMessage?, path: SIPPath,
    now: MonotonicInstant, into events: inout [TransactionEvent]
  ) {
    guard let sent = clients[id]?.sent else { return }
    for action in actions {
      switch action {
      case .sendRequest: events.append(.send(sent.bytes, sent.path))
      case .sendACK:
        if let response, let ack = sent.companion(.ack, to: response.value(.to)) {
          events.append(.send(ack.serialized(), sent.path))
        }
      case .sendCancel:
        if let cancel = sent.companion(.cancel), let via = try? cancel.topVia(), let branch = via.branch {
          _ = open(
            SentRequest(cancel, path: sent.path, isForgotten: true), branch: branch, now: now, into: &events)
        }
      case .deliverResponse:
        if let response, !sent.isForgotten { events.append(.responseReceived(id, response, path)) }
      case .reportTimeout: if !sent.isForgotten { events.append(.timedOut(id)) }
      case .start(let timer, let duration):
        timers.set(TimerName(owner: .client(id), timer: timer), at: now + duration)
      case .stop(let timer): timers.cancel(TimerName(owner: .client(id), timer: timer))
      case .terminate: remove(id)
      case .sendResponse, .sendTrying, .reportCancel, .reportACK, .reportUnacknowledged: break
      }
    }
  }

  private mutating func open(
    _ sent: SentRequest, branch: String, now: MonotonicInstant, into events: inout [TransactionEvent]
  ) -> ClientTransactionID {
    let id = ClientTransactionID(rawValue: makeID())
    let client = ClientTransaction(sent, timers: times)
    clients[id] = client
    clientIDs[ClientKey(branch: branch, method: sent.message.method)] = id
    perform(client.firstActions, client: id, response: nil, path: sent.path, now: now, into: &events)
    return id
  }

  private mutating func remove(_ id: ClientTransactionID) {
    guard let client = clients.removeValue(forKey: id) else { return }
    stopTimers(of: .client(id))
    guard let via = try? client.sent.message.topVia(), let branch = via.branch else { return }
    clientIDs.removeValue(forKey: ClientKey(branch: branch, method: client.sent.message.method))
  }

  private static func makeBranch(_ random: inout RandomSource) -> String {
    ServerKey.magicCookie + random.hexDigits(32)
  }

  private static func via(sentBy: String, branch: String, path: SIPPath) -> String {
    path.isReliable ? "SIP/2.0/TCP \(sentBy);branch=\(branch)" : "SIP/2.0/UDP \(sentBy);branch=\(branch);rport"
  }
}
