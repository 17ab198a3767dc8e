import DatagramSockets
import Glibc
import NetworkTypes
import Testing

@Suite("Datagram socket")
struct DatagramSocketTests {
  static let addresses = [IPAddress.loopbackV4, .loopbackV6].filter { address in
    // A machine without IPv6 tests the other half.
    guard let socket = try? DatagramSocket.open(local: Endpoint(address, port: 0)) else { return false }
    socket.close()
    return true
  }

  struct Arrival: Equatable {
    var bytes: [UInt8]
    var source: Endpoint
    var local: Endpoint
  }

  /// What arrives, until `count` datagrams are there or none came for five seconds.
  static func receive(_ socket: DatagramSocket, count: Int, into receiver: DatagramReceiver) throws -> [Arrival] {
    var arrivals: [Arrival] = []
    while arrivals.count < count, socket.waitReadable(timeout: .seconds(5)) {
      try socket.receive(into: receiver) { bytes, source, local in
        arrivals.append(Arrival(bytes: bytes.indices.map { bytes[$0] }, source: source, local: local))
      }
    }
    return arrivals
  }

  @Test("a datagram comes with its source and destination", arguments: addresses)
  func roundTrip(_ address: IPAddress) throws {
    let receiver = DatagramReceiver()
    let here = try DatagramSocket.open(local: Endpoint(address, port: 0))
    let there = try DatagramSocket.open(local: Endpoint(address, port: 0))
    defer {
      here.close()
      there.close()
    }
    #expect(here.localEndpoint.port != 0)
    #expect(try here.receive(into: receiver) { _, _, _ in } == 0)
    let outcome = there.send([1, 2, 3].span, to: here.localEndpoint)
    #expect(outcome == .sent)
    #expect(
      try Self.receive(here, count: 1, into: receiver) == [
        Arrival(bytes: [1, 2, 3], source: there.localEndpoint, local: here.localEndpoint)
      ])
  }

  @Test("lengths from none to the longest", arguments: [0, 1, 1500, 9000, 65_507])
  func lengths(_ count: Int) throws {
    let receiver = DatagramReceiver()
    let here = try DatagramSocket.open(local: Endpoint(.loopbackV4, port: 0))
    let there = try DatagramSocket.open(local: Endpoint(.loopbackV4, port: 0))
    defer {
      here.close()
      there.close()
    }
    let bytes = (0..<count).map { UInt8(truncatingIfNeeded: $0) }
    let outcome = there.send(bytes.span, to: here.localEndpoint)
    #expect(outcome == .sent)
    #expect(try Self.receive(here, count: 1, into: receiver).map(\.bytes) == [bytes])
    let tooLong = there.send([UInt8](repeating: 0, count: 65_508).span, to: here.localEndpoint)
    #expect(tooLong == .failed(EMSGSIZE))
  }

  @Test("more than a batch is read in several, in order")
  func batches() throws {
    let receiver = DatagramReceiver()
    let sender = DatagramSender()
    let here = try DatagramSocket.open(local: Endpoint(.loopbackV4, port: 0), receiveBuffer: 1 << 20)
    let there = try DatagramSocket.open(local: Endpoint(.loopbackV4, port: 0))
    defer {
      here.close()
      there.close()
    }
    for number in UInt8(0)..<100 {
      if !sender.add([number].span, to: here.localEndpoint) {
        #expect(sender.count == 64)
        sender.flush(through: there) { _, outcome in Issue.record("\(outcome)") }
        let isAdded = sender.add([number].span, to: here.localEndpoint)
        #expect(isAdded)
      }
    }
    sender.flush(through: there) { _, outcome in Issue.record("\(outcome)") }
    #expect(sender.count == 0)
    #expect(try here.receive(into: receiver) { _, _, _ in } == 64)
    var next: UInt8 = 0
    let count = try here.receive(into: receiver, limit: 1) { bytes, _, _ in next = bytes[0] }
    #expect(count == 1 && next == 64)
    #expect(try Self.receive(here, count: 35, into: receiver).map(\.bytes) == (65..<100).map { [$0] })
  }

  @Test("one bad destination in a batch does not hold up the others")
  func badDestination() throws {
    let receiver = DatagramReceiver()
    let sender = DatagramSender()
    let here = try DatagramSocket.open(local: Endpoint(.loopbackV4, port: 0))
    let there = try DatagramSocket.open(local: Endpoint(.loopbackV4, port: 0))
    defer {
      here.close()
      there.close()
    }
    // A socket on 127.0.0.1 has no way out of this machine, and none to port 0.
    let bad = Endpoint(.loopbackV4, port: 0)
    var failed: [Endpoint?] = []
    for remote in [bad, here.localEndpoint, bad, bad, here.localEndpoint] {
      let isAdded = sender.add([7].span, to: remote)
      #expect(isAdded)
    }
    sender.flush(through: there) { remote, outcome in
      failed.append(remote)
      #expect(outcome == .failed(EINVAL))
    }
    #expect(failed == [bad, bad, bad])
    #expect(try Self.receive(here, count: 2, into: receiver).count == 2)
  }

  @Test("on a wildcard, the answer leaves from the address that was asked")
  func wildcard() throws {
    let receiver = DatagramReceiver()
    let server = try DatagramSocket.open(local: Endpoint(.anyV4, port: 0))
    let client = try DatagramSocket.open(local: Endpoint(.loopbackV4, port: 0))
    defer {
      server.close()
      client.close()
    }
    // All of 127.0.0.0/8 is this machine.
    for last in UInt32(2)...4 {
      let asked = Endpoint(.v4(0x7f00_0000 | last), port: server.localEndpoint.port)
      client.send([1].span, to: asked)
      let arrival = try #require(try Self.receive(server, count: 1, into: receiver).first)
      #expect(arrival.local == asked)
      let outcome = server.send([2].span, to: arrival.source, from: arrival.local)
      #expect(outcome == .sent)
      let answer = try #require(try Self.receive(client, count: 1, into: receiver).first)
      #expect(answer.source == asked)
    }
  }

  @Test("on the IPv6 wildcard too", .enabled(if: addresses.contains(.loopbackV6), "no IPv6 on this machine"))
  func wildcardV6() throws {
    let receiver = DatagramReceiver()
    let server = try DatagramSocket.open(local: Endpoint(.anyV6, port: 0))
    let client = try DatagramSocket.open(local: Endpoint(.loopbackV6, port: 0))
    // Both families may have one port.
    let serverV4 = try DatagramSocket.open(local: Endpoint(.anyV4, port: server.localEndpoint.port))
    defer {
      server.close()
      client.close()
      serverV4.close()
    }
    let asked = Endpoint(.loopbackV6, port: server.localEndpoint.port)
    client.send([1].span, to: asked)
    let arrival = try #require(try Self.receive(server, count: 1, into: receiver).first)
    #expect(arrival.local == asked)
    server.send([2].span, to: arrival.source, from: arrival.local)
    #expect(try Self.receive(client, count: 1, into: receiver).first?.source == asked)
  }

  @Test("a port in use is named by port and address")
  func portInUse() throws {
    let first = try DatagramSocket.open(local: Endpoint(.loopbackV4, port: 0))
    defer { first.close() }
    let error = try #require(throws: DatagramSocketError.self) { try DatagramSocket.open(local: first.localEndpoint) }
    #expect(error.sentence == "UDP port \(first.localEndpoint.port) on 127.0.0.1 is already in use")
    #expect(error.isAddressInUse)
    let foreign = try #require(throws: DatagramSocketError.self) {
      try DatagramSocket.open(local: Endpoint(.v4(0xc000_0201), port: 5060))
    }
    #expect(foreign.code == EADDRNOTAVAIL)
    #expect(
      foreign.sentence
        == "UDP port 5060 on 192.0.2.1 cannot be opened: 192.0.2.1 is not an address of this machine")
  }

  @Test("a connected and an unconnected socket share a port: the peer's go to the one, all others' to the other")
  func sharedPort() throws {
    let receiver = DatagramReceiver()
    let peer = try DatagramSocket.open(local: Endpoint(.loopbackV4, port: 0))
    let stranger = try DatagramSocket.open(local: Endpoint(.loopbackV4, port: 0))
    let open = try DatagramSocket.open(local: Endpoint(.loopbackV4, port: 0), reuseAddress: true)
    var connected = try DatagramSocket.open(local: open.localEndpoint, reuseAddress: true)
    defer { for socket in [peer, stranger, open, connected] { socket.close() } }
    try connected.connect(to: peer.localEndpoint)
    #expect(connected.remoteEndpoint == peer.localEndpoint)
    peer.send([1].span, to: open.localEndpoint)
    stranger.send([2].span, to: open.localEndpoint)
    #expect(try Self.receive(connected, count: 1, into: receiver).map(\.bytes) == [[1]])
    #expect(try Self.receive(open, count: 1, into: receiver).map(\.bytes) == [[2]])
    let outcome = connected.send([3].span)
    #expect(outcome == .sent)
    #expect(
      try Self.receive(peer, count: 1, into: receiver) == [
        Arrival(bytes: [3], source: open.localEndpoint, local: peer.localEndpoint)
      ])
  }

  @Test("a refusal by ICMP is counted, and the next datagram still leaves and arrives")
  func refusal() throws {
    let receiver = DatagramReceiver()
    var here = try DatagramSocket.open(local: Endpoint(.loopbackV4, port: 0))
    defer { here.close() }
    let gone = try DatagramSocket.open(local: Endpoint(.loopbackV4, port: 0))
    let peer = gone.localEndpoint
    gone.close()
    try here.connect(to: peer)
    // Loopback delivers while sending: the refusal waits when this returns.
    let first = here.send([1].span)
    #expect(first == .sent)
    #expect(here.waitReadable(timeout: .seconds(5)))
    #expect(try here.receive(into: receiver) { _, _, _ in } == 0)
    #expect(receiver.refusals == 1)
    here.send([2].span)
    // The peer is back; the refusal of the second datagram must not cost the third.
    let back = try DatagramSocket.open(local: peer)
    defer { back.close() }
    let third = here.send([3].span)
    #expect(third == .sent)
    #expect(try Self.receive(back, count: 1, into: receiver).map(\.bytes) == [[3]])
    let sender = DatagramSender()
    let isAdded = sender.add([4].span)
    #expect(isAdded)
    sender.flush(through: here) { _, outcome in Issue.record("\(outcome)") }
    #expect(try Self.receive(back, count: 1, into: receiver).map(\.bytes) == [[4]])
  }

  @Test("a poller names the sockets that have something, and can be woken")
  func poller() throws {
    let poller = try DatagramPoller()
    let first = try DatagramSocket.open(local: Endpoint(.loopbackV4, port: 0))
    let second = try DatagramSocket.open(local: Endpoint(.loopbackV4, port: 0))
    defer {
      first.close()
      second.close()
    }
    try poller.add(first, token: 1)
    try poller.add(second, token: 70_000)
    var tokens: [UInt32] = []
    first.send([1].span, to: second.localEndpoint)
    #expect(try poller.wait(until: SystemClock.now() + .seconds(5)) { tokens.append($0) } == false)
    #expect(tokens == [70_000])
    poller.remove(second)
    poller.wake()
    poller.wake()
    #expect(try poller.wait(until: nil) { tokens.append($0) })
    // Woken twice, told once; and a deadline that has passed does not wait.
    #expect(try poller.wait(until: SystemClock.now()) { tokens.append($0) } == false)
    #expect(tokens == [70_000])
    let deadline = SystemClock.now() + .milliseconds(20)
    try poller.wait(until: deadline) { tokens.append($0) }
    #expect(SystemClock.now() >= deadline)
  }
}
