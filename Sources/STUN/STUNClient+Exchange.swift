import NetworkTypes

/// One server's part of a question: its connection, the request that is out, and the servers it sent us to.
struct STUNExchange: Sendable {
  /// RFC 8489 §10 bounds redirection by a time; so many in a row lead nowhere.
  static let mostRedirects = 5

  /// Which of the client's servers began it.
  let server: Int
  var target: STUNTarget
  /// `nil` over UDP.
  var connection: Int?
  var connectsUntil: MonotonicInstant?
  var framer = STUNStreamFramer()
  /// `nil` until the connection is up.
  var transaction: BindingTransaction?
  /// Everyone who has been asked this, so that nobody is asked twice.
  var asked: [STUNTarget]
  /// What answers that do not count would mean if they did: said when nothing better comes.
  var doubt: STUNClientProblem?

  var nextDeadline: MonotonicInstant? { transaction.map(\.nextDeadline) ?? connectsUntil }
}

extension STUNClient {
  /// The next server that has not been asked.
  mutating func askNext(now: MonotonicInstant, into actions: inout [Action]) {
    nextServerAt = nil
    guard !waiting.isEmpty else { return }
    let server = waiting.removeFirst()
    if !waiting.isEmpty { nextServerAt = now + Self.patience }
    exchanges.append(STUNExchange(server: server, target: servers[server], asked: [servers[server]]))
    begin(exchanges.count - 1, now: now, into: &actions)
  }

  /// Turns to the exchange's target.
  private mutating func begin(_ index: Int, now: MonotonicInstant, into actions: inout [Action]) {
    let target = exchanges[index].target
    guard target.transport.isStream else { return request(index, now: now, into: &actions) }
    lastConnection += 1
    exchanges[index].connection = lastConnection
    exchanges[index].framer = STUNStreamFramer()
    exchanges[index].transaction = nil
    exchanges[index].connectsUntil = now + Self.connectionWait
    actions.append(.connect(lastConnection, target))
  }

  /// A new transaction, with the credentials that the server wants as far as is known.
  mutating func request(_ index: Int, now: MonotonicInstant, into actions: inout [Action]) {
    let exchange = exchanges[index]
    let authentication = authentications[exchange.server]
    let transaction = BindingTransaction(
      server: exchange.target.endpoint, transactionID: STUNMessage.randomTransactionID(&random), now: now,
      attributes: attributes + authentication.attributes, integrity: authentication.integrity,
      isStream: exchange.target.transport.isStream)
    exchanges[index].transaction = transaction
    if let connection = exchange.connection {
      actions.append(.sendOnConnection(transaction.request, connection))
    } else {
      actions.append(.send(transaction.request, to: exchange.target.endpoint))
    }
  }

  /// An answer to the request that is out: from the right place, with the right ID.
  mutating func answered(
    _ index: Int, _ message: STUNMessage, _ bytes: Span<UInt8>, now: MonotonicInstant, into actions: inout [Action]
  ) {
    let server = exchanges[index].server
    switch authentications[server].judge(message, bytes: bytes) {
    case .accepted: accepted(index, message, now: now, into: &actions)
    case .retry: request(index, now: now, into: &actions)
    case .credentialsNeeded: failed(index, .credentialsNeeded, now: now, into: &actions)
    case .credentialsRefused: failed(index, .credentialsRefused, now: now, into: &actions)
    case .unusable(let why): failed(index, .unusableDemand(why), now: now, into: &actions)
    case .discarded:
      // An unsigned 401 may be the server's word or a stranger's: it ends nothing, and is told where nothing better comes.
      let isRefusal = message.messageClass == .error && message.errorCode?.code == 401
      let doubt = isRefusal ? STUNClientProblem.credentialsRefused : .integrityViolated
      exchanges[index].doubt = doubt
      // §9.1.4: over a connection nothing else will come.
      if exchanges[index].connection != nil { failed(index, doubt, now: now, into: &actions) }
    }
  }

  private mutating func accepted(
    _ index: Int, _ message: STUNMessage, now: MonotonicInstant, into actions: inout [Action]
  ) {
    let exchange = exchanges[index]
    if message.messageClass == .error, message.errorCode?.code == STUNErrorCode.tryAlternate.code {
      return redirected(index, message, now: now, into: &actions)
    }
    switch exchanges[index].transaction?.responseReceived(message, from: exchange.target.endpoint) {
    case .mapped(let mapped, let message)?:
      guard mapped.address.isV4 == exchange.target.endpoint.address.isV4 else {
        let why = "it says that we come from \(mapped), which is of the other family"
        return failed(index, .refused(code: 0, reason: why), now: now, into: &actions)
      }
      let mapping = STUNMapping(
        mapped: mapped, server: exchange.target, index: exchange.server,
        isSigned: authentications[exchange.server].integrity != nil, message: message)
      if exchange.target != servers[exchange.server] { authentications[exchange.server].serverChanged() }
      endQuestion(into: &actions)
      succeeded(exchange.server, now: now)
      actions.append(.mapped(mapping))
    case .failed(420, _)?:
      failed(index, .notUnderstood(message.unknownAttributes ?? []), now: now, into: &actions)
    case .failed(let code, let reason)?:
      failed(index, .refused(code: code, reason: reason), now: now, into: &actions)
    case .ignored?, nil: break
    }
  }

  /// 300: the same request, by the same transport, goes to whom the server names (RFC 8489 §10).
  private mutating func redirected(
    _ index: Int, _ message: STUNMessage, now: MonotonicInstant, into actions: inout [Action]
  ) {
    let exchange = exchanges[index]
    let here = exchange.target
    guard let alternate = message.alternateServer else {
      return failed(index, .unusableRedirect("it does not say whom"), now: now, into: &actions)
    }
    var target = STUNTarget(alternate, transport: here.transport, domain: here.domain)
    // The domain counts only where a certificate shows it.
    if here.transport == .tls, let domain = message.alternateDomain {
      guard STUNURI.isName(domain) else {
        return failed(index, .unusableRedirect("its domain is no name"), now: now, into: &actions)
      }
      target.domain = domain
    }
    if let why = Self.objection(to: alternate, from: here.endpoint) {
      return failed(index, .unusableRedirect(why), now: now, into: &actions)
    }
    guard !exchange.asked.contains(where: { $0.endpoint == alternate }) else {
      return failed(
        index, .unusableRedirect("\(alternate) has been asked, and sent us on"), now: now, into: &actions)
    }
    guard exchange.asked.count <= STUNExchange.mostRedirects else {
      return failed(index, .unusableRedirect("that was the sixth in a row"), now: now, into: &actions)
    }
    if let connection = exchange.connection { actions.append(.disconnect(connection)) }
    exchanges[index].connection = nil
    exchanges[index].transaction = nil
    exchanges[index].target = target
    exchanges[index].asked.append(target)
    // A nonce is one server's.
    authentications[exchange.server].serverChanged()
    begin(index, now: now, into: &actions)
  }

  /// Why a server may not be asked that another one names; `nil` where it may.
  private static func objection(to alternate: Endpoint, from here: Endpoint) -> String? {
    guard alternate.address.isV4 == here.address.isV4 else { return "\(alternate) is of the other family" }
    guard alternate.port != 0, !alternate.address.isUnspecified, !alternate.address.isMulticast else {
      return "\(alternate) is nobody's address"
    }
    // Nobody outside has us write to machines in here.
    let isInside = alternate.address.isLoopback || alternate.address.isPrivate
    if isInside, here.address.isPublic || alternate.address.isLoopback && !here.address.isLoopback {
      return "\(alternate) is an address inside"
    }
    return nil
  }

  /// This server gives nothing: the next one is asked at once, and without one the question has failed.
  mutating func failed(
    _ index: Int, _ problem: STUNClientProblem, now: MonotonicInstant, into actions: inout [Action]
  ) {
    let exchange = exchanges.remove(at: index)
    if let connection = exchange.connection { actions.append(.disconnect(connection)) }
    problems[exchange.server] = problem
    authentications[exchange.server].serverChanged()
    if !waiting.isEmpty { return askNext(now: now, into: &actions) }
    guard exchanges.isEmpty else { return }
    endQuestion(into: &actions)
    actions.append(.failed(problems.map { $0 ?? .silent }))
  }

  mutating func endQuestion(into actions: inout [Action]) {
    for exchange in exchanges {
      if let connection = exchange.connection { actions.append(.disconnect(connection)) }
    }
    exchanges = []
    waiting = []
    nextServerAt = nil
  }
}
