import NetworkTypes
import STUN
import Testing

@Suite("STUN client: connections and alternate servers")
struct STUNClientConnectionTests {
  typealias Desk = STUNClientDesk

  static let tcp = STUNTarget(Desk.a.endpoint, transport: .tcp)
  static let tls = STUNTarget(Desk.a.endpoint, transport: .tls, domain: "stun.example.org")

  @Test("over TCP the request leaves once, when the connection is up, and waits 39.5 s")
  func once() throws {
    var desk = Desk([Self.tcp])
    desk.ask()
    let connection = try desk.connection()
    #expect(connection.target == Self.tcp)
    desk.client.connected(connection.number, now: desk.now, into: &desk.actions)
    let request = try desk.requestOnConnection()
    desk.client.connected(connection.number, now: desk.now, into: &desk.actions)
    desk.pass(.milliseconds(39_499))
    #expect(desk.take().isEmpty)
    desk.pass(.milliseconds(1))
    #expect(desk.take() == [.disconnect(connection.number), .failed([.silent])])
    desk.receive(Desk.success(request.message), on: connection.number)
    #expect(desk.take().isEmpty)
  }

  @Test("an answer in single bytes, after somebody else's; then the connection is closed")
  func bytes() throws {
    var desk = Desk([Self.tcp])
    desk.ask()
    let connection = try desk.connection()
    desk.client.connected(connection.number, now: desk.now, into: &desk.actions)
    let request = try desk.requestOnConnection()
    var other = request.message
    other.transactionID ^= 1
    for byte in Desk.success(other, Desk.forged) + Desk.success(request.message)
      + Desk.success(request.message, Desk.forged)
    {
      desk.receive([byte], on: connection.number)
    }
    let actions = desk.take()
    #expect(actions.count == 2)
    #expect(actions.first == .disconnect(connection.number))
    guard case .mapped(let mapping)? = actions.last else {
      Issue.record("\(actions)")
      return
    }
    #expect(mapping.mapped == Desk.mapped)
  }

  @Test("the right answer by the wrong way: over another connection, or as a datagram")
  func wrongWay() throws {
    var desk = Desk([Self.tcp])
    desk.ask()
    let connection = try desk.connection()
    desk.client.connected(connection.number, now: desk.now, into: &desk.actions)
    let request = try desk.requestOnConnection()
    desk.receive(Desk.success(request.message, Desk.forged), on: connection.number + 1)
    desk.receive(Desk.success(request.message, Desk.forged), from: Desk.a.endpoint)
    #expect(desk.take().isEmpty && desk.client.isAsking)
  }

  @Test("what is no STUN, a closed connection, none at all: the next server at once")
  func nextServer() throws {
    var desk = Desk([
      Self.tcp, STUNTarget(Desk.b.endpoint, transport: .tcp), STUNTarget(Desk.c.endpoint, transport: .tls),
    ])
    desk.ask()
    let first = try desk.connection()
    desk.client.connected(first.number, now: desk.now, into: &desk.actions)
    desk.receive(Array("SSH-2.0-OpenSSH".utf8), on: first.number)
    let second = try desk.connection()
    #expect(second.number != first.number && second.target.endpoint == Desk.b.endpoint)
    desk.client.connectionEnded(second.number, reason: "Connection refused", now: desk.now, into: &desk.actions)
    let third = try desk.connection()
    desk.client.connectionEnded(second.number, reason: "again", now: desk.now, into: &desk.actions)
    desk.pass(.seconds(10))
    #expect(
      desk.outcome()
        == .failed([
          .notSTUN, .connection("Connection refused"), .connection("it does not come about in 10 seconds"),
        ]))
    desk.client.connected(third.number, now: desk.now, into: &desk.actions)
    #expect(desk.take().isEmpty)
  }

  @Test("over a connection an unsigned answer ends it")
  func unsigned() throws {
    var desk = Desk([Self.tcp], STUNClientCredentialTests.shortTerm)
    desk.ask()
    let connection = try desk.connection()
    desk.client.connected(connection.number, now: desk.now, into: &desk.actions)
    let request = try desk.requestOnConnection()
    desk.receive(Desk.success(request.message), on: connection.number)
    #expect(desk.outcome() == .failed([.integrityViolated]))
  }

  @Test("401 over a connection: the same connection carries the second request")
  func challenged() throws {
    var desk = Desk([Self.tls], STUNClientCredentialTests.longTerm)
    desk.ask()
    let connection = try desk.connection()
    #expect(connection.target.domain == "stun.example.org")
    desk.client.connected(connection.number, now: desk.now, into: &desk.actions)
    let first = try desk.requestOnConnection()
    let realm = STUNClientCredentialTests.realm
    desk.receive(Desk.refusal(first.message, 401, [.realm(realm), .nonce([65])]), on: connection.number)
    let second = try desk.requestOnConnection()
    #expect(second.connection == connection.number)
    #expect(second.message.nonce == [65])
  }

  @Test("300 over UDP: the alternate is asked, its domain means nothing, and only it may answer")
  func alternate() throws {
    var desk = Desk([Desk.a])
    desk.ask()
    let first = try desk.request()
    desk.receive(
      Desk.refusal(first.message, 300, [.alternateServer(Desk.b.endpoint), .alternateDomain(Array("x".utf8))]),
      from: Desk.a.endpoint)
    let second = try desk.request()
    #expect(second.to == Desk.b.endpoint)
    #expect(second.message.transactionID != first.message.transactionID)
    desk.receive(Desk.success(second.message, Desk.forged), from: Desk.a.endpoint)
    desk.receive(Desk.success(first.message, Desk.forged), from: Desk.a.endpoint)
    #expect(desk.take().isEmpty)
    desk.receive(Desk.success(second.message), from: Desk.b.endpoint)
    #expect(desk.outcome() == .mapped(Desk.mapped, by: Desk.b))
  }

  @Test("300 over TLS: a new connection, whose certificate has to bear the alternate's domain, else the first one's")
  func alternateDomain() throws {
    for (domain, expected) in [("alt.example.net", "alt.example.net"), (nil, "stun.example.org")] {
      var desk = Desk([Self.tls])
      desk.ask()
      let first = try desk.connection()
      desk.client.connected(first.number, now: desk.now, into: &desk.actions)
      let request = try desk.requestOnConnection()
      let named: [STUNAttribute] = domain.map { [.alternateDomain(Array($0.utf8))] } ?? []
      desk.receive(
        Desk.refusal(request.message, 300, [.alternateServer(Desk.b.endpoint)] + named), on: first.number)
      #expect(desk.actions.first == .disconnect(first.number))
      let second = try desk.connection()
      #expect(second.target == STUNTarget(Desk.b.endpoint, transport: .tls, domain: expected))
      #expect(second.number != first.number)
    }
  }

  @Test("servers that send us round in circles, on and on, inside, to nobody, or to the other family")
  func badAlternates() throws {
    let bad: [Endpoint] = try [
      "192.0.2.1:3478", "10.0.0.1:3478", "127.0.0.1:3478", "0.0.0.0:3478", "224.0.0.1:3478", "192.0.2.9:0",
      "[2001:db8::1]:3478",
    ].map { try #require(Endpoint($0)) }
    for alternate in bad {
      var desk = Desk([Desk.a])
      desk.ask()
      let request = try desk.request()
      desk.receive(Desk.refusal(request.message, 300, [.alternateServer(alternate)]), from: Desk.a.endpoint)
      guard case .failed(let problems)? = desk.outcome(), case .unusableRedirect? = problems.first else {
        Issue.record("\(alternate)")
        continue
      }
    }
    var desk = Desk([Desk.a])
    desk.ask()
    var asked = 0
    var here = Desk.a.endpoint
    while desk.client.isAsking, asked < 20 {
      let request = try desk.request()
      asked += 1
      let next = Endpoint(.v4(0xc000_0280 + UInt32(asked)), port: 3478)
      desk.receive(Desk.refusal(request.message, 300, [.alternateServer(next)]), from: here)
      here = next
    }
    #expect(asked == 6)
    guard case .failed? = desk.outcome() else {
      Issue.record("it has not ended")
      return
    }
  }

  @Test("A sends to B and B back to A: the loop is seen")
  func loop() throws {
    var desk = Desk([Desk.a, Desk.c])
    desk.ask()
    let first = try desk.request()
    desk.receive(Desk.refusal(first.message, 300, [.alternateServer(Desk.b.endpoint)]), from: Desk.a.endpoint)
    let second = try desk.request()
    desk.receive(Desk.refusal(second.message, 300, [.alternateServer(Desk.a.endpoint)]), from: Desk.b.endpoint)
    let third = try desk.request()
    #expect(third.to == Desk.c.endpoint)
  }
}
