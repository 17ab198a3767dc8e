package import SIPSyntax

/// A request of ours as it left.
package struct SentRequest: Sendable {
  package let message: SIPMessage
  package let bytes: [UInt8]
  package var path: SIPPath
  /// Nobody is told what becomes of it.
  package var isForgotten: Bool

  package init(_ message: SIPMessage, path: SIPPath, isForgotten: Bool = false) {
    self.message = message
    bytes = message.serialized()
    self.path = path
    self.isForgotten = isForgotten
  }

  /// A request of the same transaction: the ACK to a 3xx–6xx (RFC 3261 §17.1.1.3) or a CANCEL (§9.1). `to` is the value
  /// of To; `nil` where this request's own has to stay.
  package func companion(_ method: SIPMethod, to: String? = nil) -> SIPMessage? {
    guard let uri = try? message.requestURI(), let cSeq = try? message.cSeq(), let via = message.value(.via) else {
      return nil
    }
    var companion = SIPMessage(method: method, requestURI: uri)
    companion.set(.via, via)
    for route in message.values(.route) { companion.add(.route, route) }
    companion.set(.maxForwards, "70")
    companion.set(.from, message.value(.from) ?? "")
    companion.set(.to, to ?? message.value(.to) ?? "")
    companion.set(.callID, message.callID ?? "")
    companion.set(.cSeq, "\(cSeq.number) \(method.name)")
    return companion
  }
}

/// Either kind of client transaction, for the layer that holds both.
package enum ClientTransaction: Sendable {
  case invite(InviteClientTransaction)
  case nonInvite(NonInviteClientTransaction)

  package init(_ sent: SentRequest, timers: SIPTimers) {
    let timing = TransactionTiming(timers: timers, isReliable: sent.path.isReliable)
    self =
      sent.message.method == .invite
      ? .invite(InviteClientTransaction(sent, timing: timing))
      : .nonInvite(NonInviteClientTransaction(sent, timing: timing))
  }

  package var sent: SentRequest {
    switch self {
    case .invite(let transaction): transaction.sent
    case .nonInvite(let transaction): transaction.sent
    }
  }

  /// Its request, its CANCEL and its ACKs leave by this socket from now on.
  mutating func move(toSocket socket: Int) {
    switch self {
    case .invite(var transaction):
      transaction.move(toSocket: socket)
      self = .invite(transaction)
    case .nonInvite(var transaction):
      transaction.sent.path.socket = socket
      self = .nonInvite(transaction)
    }
  }

  var firstActions: [TransactionAction] {
    switch self {
    case .invite(let transaction): transaction.machine.firstActions
    case .nonInvite(let transaction): transaction.machine.firstActions
    }
  }

  mutating func responseReceived(status: Int) -> [TransactionAction] {
    switch self {
    case .invite(var transaction):
      defer { self = .invite(transaction) }
      return transaction.machine.responseReceived(status: status)
    case .nonInvite(var transaction):
      defer { self = .nonInvite(transaction) }
      return transaction.machine.responseReceived(status: status)
    }
  }

  mutating func timerFired(_ timer: TransactionTimer) -> [TransactionAction] {
    switch self {
    case .invite(var transaction):
      defer { self = .invite(transaction) }
      return transaction.machine.timerFired(timer)
    case .nonInvite(var transaction):
      defer { self = .nonInvite(transaction) }
      return transaction.machine.timerFired(timer)
    }
  }
}
