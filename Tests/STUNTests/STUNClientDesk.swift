import NetworkTypes
import STUN
import Testing

/// A client, the moment, and what it has asked for: the tests play the servers.
struct STUNClientDesk {
  static let a = STUNTarget(Endpoint(.v4(0xc000_0201), port: 3478))
  static let b = STUNTarget(Endpoint(.v4(0xc000_0202), port: 3478))
  static let c = STUNTarget(Endpoint(.v4(0xc000_0203), port: 3478))
  static let mapped = Endpoint(.v4(0xcb00_7105), port: 65_002)
  static let forged = Endpoint(.v4(0xcb00_71ff), port: 6666)

  var client: STUNClient
  var now = MonotonicInstant(nanoseconds: 5_000_000_000)
  var actions: [STUNClient.Action] = []

  init(_ servers: [STUNTarget], _ credentials: STUNCredentials? = nil, seed: UInt64 = 1) {
    client = STUNClient(servers: servers, credentials: credentials, random: RandomSource(seed: seed))
  }

  /// What it has asked for since the last call.
  mutating func take() -> [STUNClient.Action] {
    defer { actions = [] }
    return actions
  }

  mutating func ask() { client.ask(now: now, into: &actions) }

  /// Lets time pass, with every wake-up on the way.
  mutating func pass(_ duration: Duration) {
    let end = now + duration
    while let deadline = client.nextDeadline, deadline <= end {
      now = max(now, deadline)
      client.timerFired(now: now, into: &actions)
    }
    now = end
  }

  mutating func receive(_ bytes: [UInt8], from source: Endpoint) {
    client.datagramReceived(bytes.span, from: source, now: now, into: &actions)
  }

  mutating func receive(_ bytes: [UInt8], on connection: Int) {
    client.bytesReceived(bytes.span, on: connection, now: now, into: &actions)
  }

  /// The request that left last, and takes all actions.
  mutating func request() throws -> (bytes: [UInt8], message: STUNMessage, to: Endpoint) {
    var found: ([UInt8], Endpoint)?
    for action in take() {
      if case .send(let bytes, let to) = action { found = (bytes, to) }
    }
    let (bytes, to) = try #require(found)
    return (bytes, try decode(bytes), to)
  }

  mutating func requestOnConnection() throws -> (message: STUNMessage, connection: Int) {
    var found: ([UInt8], Int)?
    for action in take() {
      if case .sendOnConnection(let bytes, let connection) = action { found = (bytes, connection) }
    }
    let (bytes, connection) = try #require(found)
    return (try decode(bytes), connection)
  }

  mutating func connection() throws -> (number: Int, target: STUNTarget) {
    var found: (Int, STUNTarget)?
    for action in take() {
      if case .connect(let number, let target) = action { found = (number, target) }
    }
    return try #require(found)
  }

  /// What the question came to, and takes all actions.
  mutating func outcome() -> Outcome? {
    for action in take() {
      if case .mapped(let mapping) = action { return .mapped(mapping.mapped, by: mapping.server) }
      if case .failed(let problems) = action { return .failed(problems) }
    }
    return nil
  }

  enum Outcome: Equatable {
    case mapped(Endpoint, by: STUNTarget)
    case failed([STUNClientProblem])
  }

  static func success(_ request: STUNMessage, _ mapped: Endpoint = mapped, _ integrity: STUNIntegrity? = nil) -> [UInt8]
  {
    reply(request, .success, [.xorMappedAddress(mapped)], integrity)
  }

  static func refusal(_ request: STUNMessage, _ code: Int, _ attributes: [STUNAttribute] = []) -> [UInt8] {
    reply(request, .error, [.errorCode(STUNErrorCode(code: code, reason: "x"))] + attributes)
  }

  static func reply(
    _ request: STUNMessage, _ messageClass: STUNMessageClass, _ attributes: [STUNAttribute],
    _ integrity: STUNIntegrity? = nil
  ) -> [UInt8] {
    STUNMessage(
      messageClass: messageClass, transactionID: request.transactionID, hasMagicCookie: request.hasMagicCookie,
      attributes: attributes
    ).encoded(integrity: integrity)
  }
}
