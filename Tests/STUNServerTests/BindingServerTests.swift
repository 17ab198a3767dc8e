import DatagramSockets
import NetworkTypes
import STUN
import STUNServer
import Testing

@Suite("Binding server on loopback", .timeLimit(.minutes(1)))
struct BindingServerTests {
  /// Asks `server` from `client` and gives what the transaction makes of the answers that come within its first wait.
  func ask(
    _ server: Endpoint, from client: DatagramSocket, hasMagicCookie: Bool = true, attributes: [STUNAttribute] = []
  ) throws -> BindingResult? {
    var random = SystemRandom.source()
    var transaction = BindingTransaction(
      server: server, transactionID: STUNMessage.randomTransactionID(&random), now: SystemClock.now(),
      hasMagicCookie: hasMagicCookie, attributes: attributes)
    let receiver = DatagramReceiver()
    client.send(transaction.request.span, to: server)
    while client.waitReadable(timeout: .seconds(5)) {
      var result = BindingResult.ignored
      try client.receive(into: receiver, limit: 1) { bytes, source, _ in
        guard let message = try? STUNMessage(decoding: bytes) else { return }
        result = transaction.responseReceived(message, from: source)
      }
      if result != .ignored { return result }
    }
    return nil
  }

  @Test(
    "clients of RFC 8489 and RFC 3489 get their own address", arguments: [IPAddress.loopbackV4, .loopbackV6],
    [true, false])
  func answers(_ address: IPAddress, hasMagicCookie: Bool) throws {
    // A machine without IPv6 has the other half tested.
    guard let client = try? DatagramSocket.open(local: Endpoint(address, port: 0)) else {
      try #require(address.isV6)
      return
    }
    defer { client.close() }
    let server = try BindingServer(
      BindingServerConfiguration(endpoints: [Endpoint(address, port: 0)], software: "Trunkline"))
    defer { server.stop() }
    let result = try ask(try #require(server.endpoints.first), from: client, hasMagicCookie: hasMagicCookie)
    guard case .mapped(let mapped, let answer) = result else {
      Issue.record("\(String(describing: result))")
      return
    }
    #expect(mapped == client.localEndpoint)
    #expect((answer.xorMappedAddress != nil) == hasMagicCookie)
    server.stop()  // Its threads count after they have sent.
    #expect(server.answerCount == 1)
  }

  @Test("on a wildcard the answer comes from the address that was asked, on every port")
  func wildcard() throws {
    let server = try BindingServer(
      BindingServerConfiguration(endpoints: [Endpoint(.anyV4, port: 0), Endpoint(.anyV4, port: 0)]))
    defer { server.stop() }
    let client = try DatagramSocket.open(local: Endpoint(.loopbackV4, port: 0))
    defer { client.close() }
    for endpoint in server.endpoints {
      // An answer from elsewhere would be ignored by the transaction.
      let result = try ask(Endpoint(.v4(0x7f00_0007), port: endpoint.port), from: client)
      guard case .mapped(client.localEndpoint, _) = result else {
        Issue.record("\(String(describing: result))")
        continue
      }
    }
  }

  @Test("it refuses what it does not understand, is silent to noise, and goes on")
  func noise() throws {
    let server = try BindingServer(BindingServerConfiguration(endpoints: [Endpoint(.loopbackV4, port: 0)]))
    defer { server.stop() }
    let endpoint = try #require(server.endpoints.first)
    let client = try DatagramSocket.open(local: Endpoint(.loopbackV4, port: 0))
    defer { client.close() }
    for noise in [[], [0], Array("OPTIONS sip:a@b SIP/2.0\r\n\r\n".utf8), [UInt8](repeating: 0, count: 65_507)] {
      client.send(noise.span, to: endpoint)
    }
    let unknown = STUNAttribute.unknown(STUNAttributeType(rawValue: 0x7fff), [1])
    let refused = try ask(endpoint, from: client, attributes: [unknown])
    guard case .failed(code: 420, _) = refused else {
      Issue.record("\(String(describing: refused))")
      return
    }
    server.stop()  // Its threads count after they have sent.
    #expect(server.answerCount == 1)
  }

  @Test("a port in use is named, and what was opened before it is given back")
  func portInUse() throws {
    let taken = try DatagramSocket.open(local: Endpoint(.loopbackV4, port: 0))
    defer { taken.close() }
    let free = try DatagramSocket.open(local: Endpoint(.loopbackV4, port: 0))
    free.close()
    let error = try #require(throws: DatagramSocketError.self) {
      try BindingServer(BindingServerConfiguration(endpoints: [free.localEndpoint, taken.localEndpoint], threads: 2))
    }
    #expect(error.sentence.contains("\(taken.localEndpoint.port)"))
    let again = try DatagramSocket.open(local: free.localEndpoint)
    again.close()
  }

  @Test("after stopping nothing answers and the port is free")
  func stops() throws {
    let server = try BindingServer(BindingServerConfiguration(endpoints: [Endpoint(.loopbackV4, port: 0)]))
    server.stop()
    let again = try DatagramSocket.open(local: try #require(server.endpoints.first))
    again.close()
  }
}
