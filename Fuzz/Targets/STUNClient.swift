import NetworkTypes
import STUN

/// A client and the servers that it asks, by a script. Whatever they and strangers say: a question ends once, an address is
/// believed only of an answer to a request that is open, and nothing grows.
func examine(_ bytes: [UInt8]) {
  var script = Script(bytes)
  examineTransaction(script)
  var world = ClientWorld(&script)
  var steps = 0
  while steps < 400, let choice = script.next() {
    steps += 1
    world.step(choice, &script)
  }
  world.finish()
}

/// A lone transaction: at most seven requests, one end.
func examineTransaction(_ given: Script) {
  var script = given
  let server = Endpoint(.v4(0xc000_0201), port: 3478)
  var now = MonotonicInstant(nanoseconds: 1_000_000_000)
  let isStream = script.below(2) == 0
  var transaction = BindingTransaction(
    server: server, transactionID: 0xabcd_ef01_2345_6789_abcd, now: now, hasMagicCookie: script.below(4) != 0,
    isStream: isStream)
  guard let request = try? STUNMessage(decoding: transaction.request.span) else { fatalError("A request can be read.") }
  var sent = 1
  var ends = 0
  while let choice = script.next() {
    let wasCompleted = transaction.isCompleted
    switch choice % 4 {
    case 0, 1:
      now = now + .milliseconds(Int(choice) * 100)
      switch transaction.timerFired(now: now) {
      case .send: sent += 1
      case .timedOut: ends += 1
      case .none: break
      }
    case 2:
      let reply = answer(to: request, saying: forgedAddress, &script, key: nil)
      guard let message = try? STUNMessage(decoding: reply.span) else { continue }
      let isHonest = script.below(2) == 0
      let source = isHonest ? server : Endpoint(.v4(0xc000_0201), port: 3479)
      let result = transaction.responseReceived(message, from: source)
      if case .ignored = result { continue }
      require(
        isHonest && !wasCompleted && message.wireID == request.wireID, "Only the server's own answer counts, once.")
      ends += 1
    default:
      let junk = script.raw(48)
      guard let message = try? STUNMessage(decoding: junk.span), message.wireID != request.wireID else { continue }
      require(transaction.responseReceived(message, from: server) == .ignored, "Another ID is no answer.")
    }
    require((transaction.nextDeadline == nil) == transaction.isCompleted, "Whoever waits has a deadline.")
  }
  require(sent <= (isStream ? 1 : BindingTransaction.requestCount), "No more requests than RFC 8489 has.")
  require(ends <= 1, "It ends once.")
}

struct ClientWorld {
  static let password = "secret"
  let servers: [STUNTarget]
  var client: STUNClient
  var now = MonotonicInstant(nanoseconds: 5_000_000_000)
  /// Open requests: what left last for each place.
  var requests: [(message: STUNMessage, to: Endpoint?, connection: Int?)] = []
  var connections: [Int] = []
  var isOpen = false
  let key: STUNKey?

  init(_ script: inout Script) {
    let transports = STUNTransport.allCases
    servers = (0..<(1 + script.below(4))).map { index in
      STUNTarget(
        Endpoint(.v4(0xc000_0201 + UInt32(index)), port: 3478), transport: transports[script.below(3)],
        domain: "stun.example")
    }
    let secret = Redacted(Self.password)
    var credentials: STUNCredentials?
    switch script.below(3) {
    case 1:
      credentials = .shortTerm(username: "u", password: secret)
      key = .shortTerm(password: Self.password)
    case 2:
      credentials = .longTerm(username: "u", password: secret)
      key = .longTerm(username: "u", realm: "r", password: Self.password, algorithm: .md5)
    default: key = nil
    }
    client = STUNClient(servers: servers, credentials: credentials, random: RandomSource(seed: 1))
  }

  mutating func step(_ choice: UInt8, _ script: inout Script) {
    var actions: [STUNClient.Action] = []
    var isAnswerOpen = false
    switch choice % 9 {
    case 0:
      client.ask(now: now, into: &actions)
      isOpen = true
    case 1:
      now = now + .milliseconds(script.below(256) * 40)
      client.timerFired(now: now, into: &actions)
    case 2, 3:
      guard !requests.isEmpty else { return }
      let request = requests[script.below(requests.count)]
      let reply = answer(to: request.message, saying: Endpoint(.v4(0xcb00_7105), port: 5), &script, key: key)
      isAnswerOpen = true
      if let connection = request.connection {
        client.bytesReceived(reply.span, on: connection, now: now, into: &actions)
      } else if let place = request.to {
        client.datagramReceived(reply.span, from: place, now: now, into: &actions)
      }
    case 4:
      // Somebody else answers.
      guard !requests.isEmpty else { return }
      let request = requests[script.below(requests.count)]
      let reply = answer(to: request.message, saying: forgedAddress, &script, key: key)
      client.datagramReceived(reply.span, from: Endpoint(.v4(0x0606_0606), port: 3478), now: now, into: &actions)
    case 5:
      let bytes = script.raw(64)
      client.datagramReceived(bytes.span, from: servers[0].endpoint, now: now, into: &actions)
      if let connection = connections.last {
        client.bytesReceived(bytes.span, on: connection, now: now, into: &actions)
      }
    case 6:
      client.connected(connections.isEmpty ? 7 : connections[script.below(connections.count)], now: now, into: &actions)
    case 7:
      // What has ended is not closed any more: the client need not say so.
      let number = connections.isEmpty ? 3 : connections.remove(at: script.below(connections.count))
      client.connectionEnded(number, reason: "no", now: now, into: &actions)
    default:
      if script.below(2) == 0 {
        client.giveUp(into: &actions)
      } else {
        client.cancel(into: &actions)
        isOpen = false
      }
    }
    take(actions, isAnswerOpen)
  }

  mutating func take(_ actions: [STUNClient.Action], _ isAnswerOpen: Bool) {
    require(actions.count <= 64, "One event asks for little.")
    for (index, action) in actions.enumerated() {
      switch action {
      case .send(let bytes, let to): note(bytes, to, nil)
      case .sendOnConnection(let bytes, let connection):
        require(connections.contains(connection), "Only what is open is written to.")
        note(bytes, nil, connection)
      case .connect(let number, let target):
        require(target.transport.isStream && !connections.contains(number), "A connection has a number of its own.")
        connections.append(number)
      case .disconnect(let number): connections.removeAll { $0 == number }
      case .mapped(let mapping):
        require(isAnswerOpen && mapping.mapped != forgedAddress, "Only an answer that was asked for is believed.")
        require(servers.indices.contains(mapping.index), "It is one of the servers'.")
        ended(index, actions)
      case .failed(let problems):
        require(problems.count == servers.count, "Each server has its reason.")
        for (server, problem) in zip(servers, problems) { _ = problem.sentence(about: server) }
        ended(index, actions)
      }
    }
    require(client.isAsking == (client.nextDeadline != nil), "Whoever waits has a deadline.")
    require(!client.isAsking || isOpen, "Nobody asks who was not told to.")
    require(connections.count <= servers.count, "No server has two connections.")
  }

  private mutating func note(_ bytes: [UInt8], _ to: Endpoint?, _ connection: Int?) {
    guard let message = try? STUNMessage(decoding: bytes.span) else { fatalError("Our own request can be read.") }
    require(message.messageClass == .request && message.method == .binding, "It is a request.")
    requests.append((message, to, connection))
    if requests.count > 6 { requests.removeFirst() }
  }

  private mutating func ended(_ index: Int, _ actions: [STUNClient.Action]) {
    require(isOpen, "A question ends once.")
    require(index == actions.count - 1, "Nothing comes after the end.")
    isOpen = false
  }

  /// Silence ends every question.
  mutating func finish() {
    var turns = 0
    while let deadline = client.nextDeadline {
      turns += 1
      require(turns < 500, "A question ends by itself.")
      now = max(now, deadline)
      var actions: [STUNClient.Action] = []
      client.timerFired(now: now, into: &actions)
      take(actions, false)
    }
    require(!isOpen, "It was told how it ended.")
  }
}
