public import NetworkTypes
public import SIPSyntax

/// All SIP transactions of one owner: matching, repetition, absorption and the timers of RFC 3261 §17 and RFC 6026.
///
/// Messages go in with the path they came by; packets and what the user has to know come out as ``TransactionEvent``. One
/// wake-up, ``nextDeadline``, serves every timer. A client transaction ends by itself within 64*T1 of its last sign of
/// life, or `SIPTimers.ringing` where an INVITE rings; a server transaction other than INVITE within 64*T1 too; an INVITE
/// that came to us stays until the user gives it a final response.
public struct TransactionLayer: Sendable {
  enum Owner: Hashable, Sendable {
    case client(ClientTransactionID)
    case server(ServerTransactionID)
  }

  struct TimerName: Hashable, Sendable {
    let owner: Owner
    let timer: TransactionTimer
  }

  /// Beyond so many server transactions a new request gets 503 and is forgotten at once.
  let serverLimit: Int
  let times: SIPTimers
  var timers = TimerTable<TimerName>()
  // None of these is ever iterated: dictionaries have no order that a seed could repeat.
  var clients: [ClientTransactionID: ClientTransaction] = [:]
  var clientIDs: [ClientKey: ClientTransactionID] = [:]
  var servers: [ServerTransactionID: ServerTransaction] = [:]
  var serverIDs: [ServerKey: ServerTransactionID] = [:]
  var acceptedIDs: [AcceptedKey: ServerTransactionID] = [:]
  var lastID: UInt64 = 0

  public init(timers: SIPTimers = .init(), serverLimit: Int = 20_000) {
    times = timers
    self.serverLimit = serverLimit
  }

  /// When ``timerFired(now:into:)`` next has something to do; `nil` when no transaction waits.
  public var nextDeadline: MonotonicInstant? { timers.nextDeadline }
  /// How many requests of ours are not yet forgotten.
  public var clientCount: Int { clients.count }
  /// How many requests of others are not yet forgotten.
  public var serverCount: Int { servers.count }
  /// How many of those come again and again without any call: REGISTER, and OPTIONS outside a dialog.
  public var recurringCount: Int {
    servers.values.count {
      [.options, .register].contains($0.taken.message.method) && $0.taken.message.toTag == nil
    }
  }
  /// How many timers are set.
  public var timerCount: Int { timers.count }

  /// Whether the transaction exists and has had no final response.
  public func isPending(_ id: ClientTransactionID) -> Bool {
    switch clients[id] {
    case .invite(let transaction):
      switch transaction.machine.state {
      case .calling, .proceeding: true
      case .accepted, .completed, .givenUp, .terminated: false
      }
    case .nonInvite(let transaction):
      switch transaction.machine.state {
      case .trying, .proceeding: true
      case .completed, .terminated: false
      }
    case nil: false
    }
  }

  /// Whether the transaction exists and waits for its final response.
  public func isPending(_ id: ServerTransactionID) -> Bool {
    switch servers[id] {
    case .invite(let transaction): if case .proceeding = transaction.machine.state { true } else { false }
    case .nonInvite(let transaction):
      switch transaction.machine.state {
      case .trying, .proceeding: true
      case .completed, .terminated: false
      }
    case nil: false
    }
  }

  /// The request of that transaction, to make its answer from; `nil` when the transaction has ended.
  public func request(of id: ServerTransactionID) -> SIPMessage? { servers[id]?.taken.message }

  /// The request of that transaction as it was sent; `nil` when the transaction has ended.
  public func request(of id: ClientTransactionID) -> SIPMessage? { clients[id]?.sent.message }

  /// A message that came by `path`.
  public mutating func messageReceived(
    _ message: SIPMessage, path: SIPPath, now: MonotonicInstant, into events: inout [TransactionEvent]
  ) {
    if message.isRequest {
      requestReceived(message, path: path, now: now, into: &events)
    } else {
      responseReceived(message, path: path, now: now, into: &events)
    }
  }

  /// The moment of ``nextDeadline`` has come, or passed.
  public mutating func timerFired(now: MonotonicInstant, into events: inout [TransactionEvent]) {
    while let name = timers.popDue(now: now) {
      switch name.owner {
      case .client(let id):
        guard var client = clients[id] else { continue }
        let actions = client.timerFired(name.timer)
        clients[id] = client
        perform(actions, client: id, response: nil, path: client.sent.path, now: now, into: &events)
      case .server(let id):
        guard var server = servers[id] else { continue }
        let actions = server.timerFired(name.timer)
        servers[id] = server
        perform(actions, server: id, request: nil, now: now, into: &events)
      }
    }
  }

  mutating func makeID() -> UInt64 {
    lastID += 1
    return lastID
  }

  /// The timers of `owner` are taken from the table.
  mutating func stopTimers(of owner: Owner) {
    for timer in TransactionTimer.allCases { timers.cancel(TimerName(owner: owner, timer: timer)) }
  }
}
