public import NetworkTypes

/// What the timer of a transaction asks for.
public enum BindingAction: Sendable, Equatable {
  /// The request leaves again.
  case send([UInt8])
  /// Nobody answered; the transaction has ended.
  case timedOut
  /// Nothing was due.
  case none
}

/// What an answer means to a transaction.
public enum BindingResult: Sendable, Equatable {
  /// The transaction has ended: this is where the server saw the request come from.
  case mapped(Endpoint, STUNMessage)
  /// The transaction has ended without an address. `code` is the server's error code, 0 where its answer was not usable;
  /// `reason` is the server's word and shown only through an escape.
  case failed(code: Int, reason: String)
  /// Not an answer to this transaction, which goes on as if it had not come.
  case ignored
}

/// A Binding request and its repetitions, until it is answered or given up (RFC 8489 §6.2.1, §6.2.2).
///
/// The caller sends ``request`` when it has made the transaction, and again whenever ``timerFired(now:)`` says so. Over UDP and
/// with the usual 500 ms it leaves at 0, 500, 1500, 3500, 7500, 15,500 and 31,500 ms and is given up at 39,500 ms. Over a
/// connection it leaves once, and is given up after the same time ("Ti").
///
/// An answer counts once, only from the address and port that were asked, and only with this transaction's ID.
public struct BindingTransaction: Sendable {
  /// How often a request leaves in all ("Rc").
  public static let requestCount = 7
  /// How many times the first interval the last request waits ("Rm").
  public static let finalWait = 16
  /// How long an answer over a connection is waited for ("Ti").
  public static let streamWait = Duration.milliseconds(39_500)

  private enum State: Sendable, Equatable {
    /// `sent` requests have left; the next thing happens at `deadline`.
    case waiting(sent: Int, interval: Duration, deadline: MonotonicInstant)
    case completed
  }

  public let server: Endpoint
  /// The request as it leaves, each time the same.
  public let request: [UInt8]
  /// The 16 bytes that an answer has to repeat.
  public let wireID: UInt128
  private let rto: Duration
  private var state: State

  /// - Parameters:
  ///   - server: what is asked; only it may answer.
  ///   - transactionID: 96 bits that nobody can guess, from ``STUNMessage/randomTransactionID(_:)``; 128 without the cookie.
  ///   - rto: the first interval between two requests, 500 ms unless a round-trip time is known.
  ///   - now: when the caller sends ``request``.
  ///   - hasMagicCookie: false asks as a client of RFC 3489 does.
  ///   - attributes: what the request carries, CHANGE-REQUEST for example.
  ///   - integrity: what signs the request.
  ///   - fingerprint: whether the request ends with FINGERPRINT.
  ///   - isStream: whether it leaves over a connection.
  public init(
    server: Endpoint, transactionID: UInt128, rto: Duration = .milliseconds(500), now: MonotonicInstant,
    hasMagicCookie: Bool = true, attributes: [STUNAttribute] = [], integrity: STUNIntegrity? = nil,
    fingerprint: Bool = false, isStream: Bool = false
  ) {
    let message = STUNMessage(
      messageClass: .request, method: .binding, transactionID: transactionID, hasMagicCookie: hasMagicCookie,
      attributes: attributes)
    self.server = server
    self.rto = rto
    request = message.encoded(integrity: integrity, fingerprint: fingerprint)
    wireID = message.wireID
    state =
      isStream
      ? .waiting(sent: Self.requestCount, interval: rto, deadline: now + Self.streamWait)
      : .waiting(sent: 1, interval: rto, deadline: now + rto)
  }

  /// When ``timerFired(now:)`` has to be called next; `nil` once the transaction has ended.
  public var nextDeadline: MonotonicInstant? {
    if case .waiting(_, _, let deadline) = state { deadline } else { nil }
  }

  public var isCompleted: Bool { state == .completed }

  public mutating func timerFired(now: MonotonicInstant) -> BindingAction {
    let next: State
    let action: BindingAction
    switch state {
    case .waiting(_, _, let deadline) where now < deadline:
      next = state
      action = .none
    case .waiting(let sent, _, _) where sent >= Self.requestCount:
      next = .completed
      action = .timedOut
    case .waiting(let sent, let interval, _):
      // The interval doubles with each request, and the last one waits Rm times the first interval.
      let isLast = sent + 1 == Self.requestCount
      next = .waiting(
        sent: sent + 1, interval: interval * 2, deadline: now + (isLast ? rto * Self.finalWait : interval * 2))
      action = .send(request)
    case .completed:
      next = state
      action = .none
    }
    state = next
    return action
  }

  /// Whether a message is an answer to this transaction, which has not ended: from the server that was asked, with the ID
  /// that was sent.
  public func isAnswered(by message: STUNMessage, from source: Endpoint) -> Bool {
    guard case .waiting = state, source == server, message.wireID == wireID, message.method == .binding else {
      return false
    }
    return message.messageClass == .success || message.messageClass == .error
  }

  /// Takes a message that came to the socket from which the request left.
  public mutating func responseReceived(_ message: STUNMessage, from source: Endpoint) -> BindingResult {
    guard isAnswered(by: message, from: source) else { return .ignored }
    state = .completed
    if message.messageClass == .success { return Self.reading(message) }
    return message.errorCode.map { .failed(code: $0.code, reason: $0.reason) }
      ?? .failed(code: 0, reason: "the server refused without a code")
  }

  private static func reading(_ message: STUNMessage) -> BindingResult {
    // RFC 8489 §6.3.3: a success with something in it that may not be passed over ends the transaction as a failure.
    if let type = message.notUnderstood.first {
      return .failed(code: 0, reason: "the server's answer holds attribute 0x\(String(type.rawValue, radix: 16))")
    }
    guard let mapped = message.mappedAddress else {
      return .failed(code: 0, reason: "the server's answer holds no address")
    }
    guard mapped.port != 0, !mapped.address.isUnspecified, !mapped.address.isMulticast else {
      return .failed(code: 0, reason: "the server's answer holds the address \(mapped), which nobody can have")
    }
    return .mapped(mapped, message)
  }
}
