package import SIPSyntax

/// A request of someone else's, and our last answer to it.
package struct TakenRequest: Sendable {
  package let message: SIPMessage
  /// How its repetitions find it.
  package let key: ServerKey
  /// Where the answers go.
  package var path: SIPPath
  /// The bytes of the last answer.
  package var response: [UInt8]?
  /// The To tag of the last answer.
  package var localTag: String?

  package init(_ message: SIPMessage, key: ServerKey, path: SIPPath) {
    self.message = message
    self.key = key
    self.path = path
  }
}

/// A request other than INVITE, ACK and CANCEL that came to us, or the CANCEL itself (RFC 3261 §17.2.2).
package struct NonInviteServerTransaction: Sendable {
  package var taken: TakenRequest
  package var machine: StateMachine

  package init(_ taken: TakenRequest, timing: TransactionTiming) {
    self.taken = taken
    machine = StateMachine(timing: timing)
  }
}

/// An INVITE that came to us (RFC 3261 §17.2.1, RFC 6026 §7.1).
package struct InviteServerTransaction: Sendable {
  package var taken: TakenRequest
  package var machine: StateMachine

  package init(_ taken: TakenRequest, timing: TransactionTiming) {
    self.taken = taken
    machine = StateMachine(timing: timing)
  }
}

/// Either kind of server transaction, for the layer that holds both.
package enum ServerTransaction: Sendable {
  case invite(InviteServerTransaction)
  case nonInvite(NonInviteServerTransaction)

  package init(_ taken: TakenRequest, timers: SIPTimers) {
    let timing = TransactionTiming(timers: timers, isReliable: taken.path.isReliable)
    self =
      taken.message.method == .invite
      ? .invite(InviteServerTransaction(taken, timing: timing))
      : .nonInvite(NonInviteServerTransaction(taken, timing: timing))
  }

  package var taken: TakenRequest {
    get {
      switch self {
      case .invite(let transaction): transaction.taken
      case .nonInvite(let transaction): transaction.taken
      }
    }
    set {
      switch self {
      case .invite(var transaction):
        transaction.taken = newValue
        self = .invite(transaction)
      case .nonInvite(var transaction):
        transaction.taken = newValue
        self = .nonInvite(transaction)
      }
    }
  }

  var firstActions: [TransactionAction] {
    switch self {
    case .invite(let transaction): transaction.machine.firstActions
    case .nonInvite(let transaction): transaction.machine.firstActions
    }
  }

  mutating func requestReceived() -> [TransactionAction] {
    switch self {
    case .invite(var transaction):
      defer { self = .invite(transaction) }
      return transaction.machine.requestReceived()
    case .nonInvite(var transaction):
      defer { self = .nonInvite(transaction) }
      return transaction.machine.requestReceived()
    }
  }

  mutating func responded(status: Int) -> [TransactionAction] {
    switch self {
    case .invite(var transaction):
      defer { self = .invite(transaction) }
      return transaction.machine.responded(status: status)
    case .nonInvite(var transaction):
      defer { self = .nonInvite(transaction) }
      return transaction.machine.responded(status: status)
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
