import DatagramSockets
import NetworkTypes
import Testing

@Suite struct HopTraceTests {
  @Test func noRouterIsOnTheWayToOurselves() throws {
    let silent = try DatagramSocket.open(local: Endpoint(.loopbackV4, port: 0))
    let port = silent.localEndpoint.port
    silent.close()
    // The port is closed, and the system says so: that ends the way.
    let routers = try HopTrace.routers(
      from: .loopbackV4, towards: Endpoint(.loopbackV4, port: port), sending: [1, 2, 3], limit: 4)
    #expect(routers == [])
  }

  @Test func silenceIsNotARouter() throws {
    let deaf = try DatagramSocket.open(local: Endpoint(.loopbackV4, port: 0))
    defer { deaf.close() }
    let routers = try HopTrace.routers(from: .loopbackV4, towards: deaf.localEndpoint, sending: [1], limit: 2)
    #expect(routers == [nil, nil])
  }

  @Test func anAddressOfAnotherMachineIsRefused() {
    #expect(throws: DatagramSocketError.self) {
      try HopTrace.routers(
        from: IPAddress.v4(0xcb00_7101), towards: Endpoint(.loopbackV4, port: 9), sending: [1], limit: 1)
    }
  }
}
