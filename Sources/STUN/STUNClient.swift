public import NetworkTypes

/// Asks STUN servers, in their order, what they see as our address (RFC 8489 §6, §9, §10).
///
/// ``ask(now:into:)`` asks the first server. When it is silent for ``patience``, or refuses, the next one is asked as well,
/// and the first answer that counts ends the question; the servers asked before may still give it. A server that answered
/// is asked first from then on, until ``firstServerAgain`` has passed since: then the first one has its chance again.
///
/// Over UDP everything leaves one port, which the shell keeps open; over TCP and TLS a connection is opened for the question
/// and closed after it. An answer counts once, only from the address and port that were asked or over the connection that
/// was, only with the transaction ID that was sent, and, where credentials were sent, only if it is signed with them.
public struct STUNClient: Sendable {
  public enum Action: Sendable, Equatable {
    /// Over UDP, from the client's port of that family.
    case send([UInt8], to: Endpoint)
    /// Opens a connection, which from now on has this number. Answered by ``STUNClient/connected(_:now:into:)`` or
    /// ``STUNClient/connectionEnded(_:reason:now:into:)``. With TLS its certificate has to be good for the target's domain.
    case connect(Int, STUNTarget)
    case sendOnConnection([UInt8], Int)
    /// Nothing is said of this connection any more.
    case disconnect(Int)
    /// The question is answered; nothing comes after this until the next one.
    case mapped(STUNMapping)
    /// No server gave an address; nothing comes after this until the next question. One for each server, in their order.
    case failed([STUNClientProblem])
  }

  /// More servers than this are not asked.
  public static let mostServers = 8
  /// How long a server may be silent before the next one is asked too.
  public static let patience = Duration.seconds(3)
  /// How long after a fall-back the first server is asked first again.
  public static let firstServerAgain = Duration.seconds(30)
  /// How long it may take to open a connection.
  static let connectionWait = Duration.seconds(10)

  public let servers: [STUNTarget]
  let attributes: [STUNAttribute]
  var random: RandomSource
  /// What each server wants of credentials, kept from question to question.
  var authentications: [STUNAuthentication]
  var exchanges: [STUNExchange] = []
  /// Servers that have still to be asked, in order, by index.
  var waiting: [Int] = []
  var problems: [STUNClientProblem?]
  /// When the next server is asked although nobody has failed.
  var nextServerAt: MonotonicInstant?
  /// The server that is asked first, and since when it is another one than the first.
  private var current = 0
  private var firstAgainAt: MonotonicInstant?
  var lastConnection = 0

  /// - Parameters:
  ///   - servers: in the order of preference; those beyond ``mostServers`` are not asked.
  ///   - credentials: for all of them.
  ///   - attributes: what every request carries, SOFTWARE for example. CHANGE-REQUEST is not for this client, since an
  ///     answer counts only from where was asked.
  public init(
    servers: [STUNTarget], credentials: STUNCredentials? = nil, attributes: [STUNAttribute] = [],
    random: RandomSource
  ) {
    var distinct: [STUNTarget] = []
    for server in servers where !distinct.contains(server) && distinct.count < Self.mostServers {
      distinct.append(server)
    }
    self.servers = distinct
    self.attributes = attributes
    self.random = random
    authentications = distinct.map { _ in STUNAuthentication(credentials) }
    problems = distinct.map { _ in nil }
  }

  /// When ``timerFired(now:into:)`` is to be called; read it after every other call.
  public var nextDeadline: MonotonicInstant? {
    var next = nextServerAt
    for exchange in exchanges {
      guard let deadline = exchange.nextDeadline else { continue }
      next = next.map { min($0, deadline) } ?? deadline
    }
    return next
  }

  /// Whether a question is open.
  public var isAsking: Bool { !exchanges.isEmpty || !waiting.isEmpty }

  // MARK: Inputs

  /// Asks, unless a question is open.
  public mutating func ask(now: MonotonicInstant, into actions: inout [Action]) {
    guard !isAsking else { return }
    guard !servers.isEmpty else { return actions.append(.failed([])) }
    if let again = firstAgainAt, now >= again {
      current = 0
      firstAgainAt = nil
    }
    problems = servers.map { _ in nil }
    waiting = [current] + servers.indices.filter { $0 != current }
    askNext(now: now, into: &actions)
  }

  /// Gives the question up, without an answer.
  public mutating func cancel(into actions: inout [Action]) { endQuestion(into: &actions) }

  /// Gives the question up for lack of time, and tells what is known of each server.
  public mutating func giveUp(into actions: inout [Action]) {
    guard isAsking else { return }
    for exchange in exchanges {
      let isUnconnected = exchange.target.transport.isStream && exchange.transaction == nil
      problems[exchange.server] =
        exchange.doubt ?? (isUnconnected ? .connection("it does not come about in time") : .silent)
    }
    endQuestion(into: &actions)
    actions.append(.failed(problems.map { $0 ?? .silent }))
  }

  /// A datagram came to the client's port.
  public mutating func datagramReceived(
    _ bytes: Span<UInt8>, from source: Endpoint, now: MonotonicInstant, into actions: inout [Action]
  ) {
    guard let message = try? STUNMessage(decoding: bytes) else { return }
    for index in exchanges.indices where exchanges[index].connection == nil {
      guard exchanges[index].transaction?.isAnswered(by: message, from: source) == true else { continue }
      return answered(index, message, bytes, now: now, into: &actions)
    }
  }

  /// The connection is up, with TLS the certificate has been found good.
  public mutating func connected(_ connection: Int, now: MonotonicInstant, into actions: inout [Action]) {
    guard let index = exchanges.firstIndex(where: { $0.connection == connection }), exchanges[index].transaction == nil
    else { return }
    request(index, now: now, into: &actions)
  }

  /// Bytes came over a connection.
  public mutating func bytesReceived(
    _ bytes: Span<UInt8>, on connection: Int, now: MonotonicInstant, into actions: inout [Action]
  ) {
    guard let first = exchanges.firstIndex(where: { $0.connection == connection }) else { return }
    exchanges[first].framer.append(bytes)
    // An answer may end the exchange, or the question, or move it to another server.
    while let index = exchanges.firstIndex(where: { $0.connection == connection }) {
      let whole: [UInt8]?
      do throws(STUNStreamFramer.Failure) {
        whole = try exchanges[index].framer.next()
      } catch {
        return failed(index, .notSTUN, now: now, into: &actions)
      }
      guard let whole else { return }
      let target = exchanges[index].target.endpoint
      guard let message = try? STUNMessage(decoding: whole.span),
        exchanges[index].transaction?.isAnswered(by: message, from: target) == true
      else { continue }
      answered(index, message, whole.span, now: now, into: &actions)
    }
  }

  /// A connection could not be opened, or is no more.
  ///
  /// - Parameter reason: why, as the end of a sentence; no full stop.
  public mutating func connectionEnded(
    _ connection: Int, reason: String, now: MonotonicInstant, into actions: inout [Action]
  ) {
    guard let index = exchanges.firstIndex(where: { $0.connection == connection }) else { return }
    exchanges[index].connection = nil
    failed(index, exchanges[index].doubt ?? .connection(reason), now: now, into: &actions)
  }

  public mutating func timerFired(now: MonotonicInstant, into actions: inout [Action]) {
    var index = 0
    while index < exchanges.count {
      guard let deadline = exchanges[index].nextDeadline, deadline <= now else {
        index += 1
        continue
      }
      guard exchanges[index].transaction != nil else {
        failed(index, .connection("it does not come about in 10 seconds"), now: now, into: &actions)
        continue
      }
      switch exchanges[index].transaction?.timerFired(now: now) {
      case .send(let bytes)?: actions.append(.send(bytes, to: exchanges[index].target.endpoint))
      case .timedOut?: failed(index, exchanges[index].doubt ?? .silent, now: now, into: &actions)
      case .some(.none), nil: index += 1
      }
    }
    if let moment = nextServerAt, moment <= now { askNext(now: now, into: &actions) }
  }

  // MARK: The question

  /// A server that answered is asked first, for a while.
  mutating func succeeded(_ index: Int, now: MonotonicInstant) {
    if index != current { firstAgainAt = index == 0 ? nil : now + Self.firstServerAgain }
    current = index
  }
}

/// A server's answer.
public struct STUNMapping: Sendable, Equatable {
  /// What the server saw.
  public var mapped: Endpoint
  /// Who answered: one of the client's servers, or one that it named as its alternate.
  public var server: STUNTarget
  /// Which of the client's servers that was.
  public var index: Int
  /// Whether the answer is signed with the credentials.
  public var isSigned: Bool
  public var message: STUNMessage
}
