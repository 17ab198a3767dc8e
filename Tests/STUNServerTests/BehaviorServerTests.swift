import DatagramSockets
import NetworkTypes
import STUN
import STUNServer
import Testing

/// Two addresses and two ports, several threads, and the limit, with sockets on loopback, which has many addresses.
@Suite("Binding server of two addresses", .timeLimit(.minutes(1)))
struct BehaviorServerTests {
  static let first = IPAddress.v4(0x7f00_0011)
  static let second = IPAddress.v4(0x7f00_0012)

  /// A pair whose four endpoints are free just now.
  func pair() throws -> STUNServerAddresses {
    let sockets = try (0..<2).map { _ in try DatagramSocket.open(local: Endpoint(Self.first, port: 0)) }
    for socket in sockets { socket.close() }
    return try STUNServerAddresses(
      primary: sockets[0].localEndpoint, alternate: Endpoint(Self.second, port: sockets[1].localEndpoint.port))
  }

  func request(_ attributes: [STUNAttribute] = []) -> STUNMessage {
    var random = SystemRandom.source()
    return STUNMessage(
      messageClass: .request, transactionID: STUNMessage.randomTransactionID(&random), attributes: attributes)
  }

  /// Where the answer came from, and what it says; `nil` when none comes within a second.
  func answer(to message: STUNMessage, at client: DatagramSocket) throws -> (source: Endpoint, message: STUNMessage)? {
    let receiver = DatagramReceiver()
    while client.waitReadable(timeout: .seconds(5)) {
      var result: (source: Endpoint, message: STUNMessage)?
      try client.receive(into: receiver, limit: 1) { bytes, source, _ in
        if let answer = try? STUNMessage(decoding: bytes), answer.transactionID == message.transactionID {
          result = (source, answer)
        }
      }
      if let result { return result }
    }
    return nil
  }

  @Test("each of the four endpoints answers from each of the four", arguments: [1, 2])
  func changes(_ threads: Int) throws {
    let addresses = try pair()
    let server = try BindingServer(BindingServerConfiguration(pairs: [addresses], threads: threads))
    defer { server.stop() }
    #expect(server.endpoints == addresses.all)
    let client = try DatagramSocket.open(local: Endpoint(.loopbackV4, port: 0))
    defer { client.close() }
    for (index, endpoint) in addresses.all.enumerated() {
      for (changeIP, changePort) in [(false, false), (false, true), (true, false), (true, true)] {
        let change = STUNChangeRequest(changeIP: changeIP, changePort: changePort)
        let message = request([.changeRequest(change)])
        client.send(message.encoded().span, to: endpoint)
        let answer = try #require(try answer(to: message, at: client))
        let expected = addresses.all[index ^ (changeIP ? 2 : 0) ^ (changePort ? 1 : 0)]
        #expect(answer.source == expected)
        #expect(answer.message.responseOrigin == expected)
        #expect(answer.message.otherAddress == addresses.all[index ^ 3])
        #expect(answer.message.mappedAddress == client.localEndpoint)
      }
    }
    server.stop()  // Its threads count after they have sent.
    #expect(server.answerCount == 16)
  }

  @Test("RESPONSE-PORT reaches another socket of the client; PADDING comes back in full")
  func elsewhere() throws {
    let server = try BindingServer(BindingServerConfiguration(pairs: [try pair()]))
    defer { server.stop() }
    let asking = try DatagramSocket.open(local: Endpoint(.loopbackV4, port: 0))
    let hearing = try DatagramSocket.open(local: Endpoint(.loopbackV4, port: 0))
    defer {
      asking.close()
      hearing.close()
    }
    let elsewhere = request([.responsePort(hearing.localEndpoint.port)])
    asking.send(elsewhere.encoded().span, to: server.endpoints[0])
    #expect(try answer(to: elsewhere, at: hearing)?.message.mappedAddress == asking.localEndpoint)
    let long = request([.padding([UInt8](repeating: 1, count: 1500))])
    asking.send(long.encoded().span, to: server.endpoints[0])
    let padded = try #require(try answer(to: long, at: asking))
    #expect(padded.message.attributes.contains(.padding([UInt8](repeating: 0, count: 1500))))
  }

  @Test("many clients find an answer, whichever thread they are dealt to")
  func threads() throws {
    let server = try BindingServer(
      BindingServerConfiguration(endpoints: [Endpoint(.loopbackV4, port: 0)], threads: 3))
    defer { server.stop() }
    for _ in 0..<64 {
      let client = try DatagramSocket.open(local: Endpoint(.loopbackV4, port: 0))
      defer { client.close() }
      let message = request()
      client.send(message.encoded().span, to: server.endpoints[0])
      #expect(try answer(to: message, at: client)?.message.mappedAddress == client.localEndpoint)
    }
    server.stop()  // Its threads count after they have sent.
    #expect(server.answerCount == 64)
  }

  @Test("a source that asks too much is left alone, others are answered")
  func limit() throws {
    let server = try BindingServer(
      BindingServerConfiguration(endpoints: [Endpoint(.loopbackV4, port: 0)], answersPerSecond: 1))
    defer { server.stop() }
    let busy = try DatagramSocket.open(local: Endpoint(Self.first, port: 0))
    let other = try DatagramSocket.open(local: Endpoint(Self.second, port: 0))
    defer {
      busy.close()
      other.close()
    }
    for _ in 0..<50 { busy.send(request().encoded().span, to: server.endpoints[0]) }
    let message = request()
    other.send(message.encoded().span, to: server.endpoints[0])
    #expect(try answer(to: message, at: other) != nil)
    #expect(server.limitedCount >= 48)
    server.stop()  // Its threads count after they have sent.
    #expect(server.answerCount <= 3)
  }

  @Test("a port that another server shares is in use all the same")
  func sharedPort() throws {
    let server = try BindingServer(
      BindingServerConfiguration(endpoints: [Endpoint(.loopbackV4, port: 0)], threads: 2))
    defer { server.stop() }
    let error = try #require(throws: DatagramSocketError.self) {
      try BindingServer(BindingServerConfiguration(endpoints: server.endpoints, threads: 2))
    }
    #expect(error.isAddressInUse)
  }
}
