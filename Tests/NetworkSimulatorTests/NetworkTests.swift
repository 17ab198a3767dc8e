import NetworkSimulator
import NetworkTypes
import Testing

@Suite struct NetworkTests {
  /// A sender that sends every 20 ms to a receiver over a link of the given quality, for `seconds`.
  static func stream(_ quality: LinkQuality, seconds: Int, seed: UInt64) -> (net: SimulatedNetwork, receiver: NodeID) {
    var net = SimulatedNetwork(seed: seed)
    var sender = EchoHost("0.0.0.0:1")
    sender.target = endpoint("198.51.100.2:2")
    sender.interval = .milliseconds(20)
    _ = net.addNode("sender", on: .internet, addresses: [address("198.51.100.1")], link: quality, host: sender)
    let receiver = net.addNode(
      "receiver", on: .internet, addresses: [address("198.51.100.2")],
      link: LinkQuality(delay: .zero), host: EchoHost("0.0.0.0:2"))
    net.run(for: .seconds(seconds))
    return (net, receiver)
  }

  @Test func delayIsExact() {
    let (net, receiver) = Self.stream(LinkQuality(delay: .milliseconds(30)), seconds: 10, seed: 1)
    // The first leaves at 20 ms; the last one that can arrive left at 9.97 s.
    #expect(net.heard(receiver).count == 498)
    #expect(net.heard(receiver).first.map { $0.at - net.beginning } == .milliseconds(50))
    #expect(net.now - net.beginning == .seconds(10))
  }

  @Test func lossAndDuplicationKeepTheirShare() {
    let (lossy, lossyReceiver) = Self.stream(LinkQuality(loss: 0.2), seconds: 200, seed: 2)
    #expect((7700...8300).contains(lossy.heard(lossyReceiver).count))
    let (doubled, doubledReceiver) = Self.stream(LinkQuality(duplication: 0.1), seconds: 200, seed: 2)
    #expect((10_800...11_200).contains(doubled.heard(doubledReceiver).count))
  }

  @Test func jitterKeepsOrderUnlessTold() {
    let jitter = LinkQuality(delay: .milliseconds(5), jitter: .milliseconds(100))
    let (queue, queueReceiver) = Self.stream(jitter, seconds: 20, seed: 4)
    let gaps = zip(queue.heard(queueReceiver).dropFirst(), queue.heard(queueReceiver)).map { $0.at - $1.at }
    #expect(gaps.contains { $0 < .milliseconds(15) })
    #expect(gaps.contains { $0 > .milliseconds(25) })
    #expect(Self.sawOvertaking(reorders: true))
    #expect(!Self.sawOvertaking(reorders: false))
  }

  static func sawOvertaking(reorders: Bool) -> Bool {
    var net = SimulatedNetwork(seed: 6)
    let quality = LinkQuality(delay: .milliseconds(5), jitter: .milliseconds(100), reorders: reorders)
    let sender = net.addNode(
      "sender", on: .internet, addresses: [address("198.51.100.1")], link: quality, host: EchoHost("0.0.0.0:1"))
    let receiver = net.addNode(
      "receiver", on: .internet, addresses: [address("198.51.100.2")], host: EchoHost("0.0.0.0:2"))
    net.run(for: .seconds(1))
    for number in 0..<50 as Range<UInt8> {
      net.send([number], from: sender, to: "198.51.100.2:2")
      net.run(for: .milliseconds(10))
    }
    net.run(for: .seconds(1))
    let numbers = net.heard(receiver).compactMap(\.bytes.first)
    return numbers != numbers.sorted()
  }

  @Test func cutLineLosesEverythingUntilRestored() {
    let office = Office(.portRestrictedCone)
    office.net.plan(.lineCut(office.router), after: .seconds(5))
    office.net.plan(.lineRestored(office.router), after: .seconds(15))
    #expect(office.seen(by: office.one, to: "198.51.100.1:3478") != nil)
    office.net.run(for: .seconds(5))
    #expect(office.seen(by: office.one, to: "198.51.100.1:3478") == nil)
    office.net.run(for: .seconds(10))
    #expect(office.seen(by: office.one, to: "198.51.100.1:3478") != nil)
  }

  @Test func pulledCableAndDeafNode() {
    let office = Office(.open, insideNetwork: "192.0.2")
    office.net.apply(.nodeDisconnected(office.inside))
    #expect(office.seen(by: office.one, to: "198.51.100.1:3478") == nil)
    office.net.apply(.nodeConnected(office.inside))
    office.net.apply(.nodeDeafened(office.one))
    #expect(office.seen(by: office.one, to: "198.51.100.1:3478") == nil)
    office.net.apply(.nodeHears(office.one))
    #expect(office.seen(by: office.one, to: "198.51.100.1:3478") != nil)
  }

  @Test func socketsAreExclusive() {
    let office = Office(.open)
    office.net.withHost(office.inside, as: EchoHost.self) { _, _, actions in
      actions.append(.openSocket(7, local: endpoint("192.168.1.2:5001")))
      actions.append(.openSocket(8, local: endpoint("192.168.9.9:5005")))
      actions.append(.openSocket(9, local: endpoint("127.0.0.1:5005")))
      actions.append(.closeSocket(1))
      actions.append(.openSocket(10, local: endpoint("192.168.1.2:5001")))
    }
    let host = office.net.host(office.inside, as: EchoHost.self)
    #expect(host?.failed == ["address already in use", "cannot assign requested address"])
    #expect(host?.opened == [0, 1, 9, 10])
    #expect(office.net.faults.isEmpty)
    office.net.withHost(office.inside, as: EchoHost.self) { _, _, actions in
      actions.append(.openSocket(10, local: endpoint("0.0.0.0:6001")))
    }
    #expect(office.net.faults.count == 1)
  }

  @Test func loopbackStaysAtHome() {
    var net = SimulatedNetwork(seed: 1)
    let node = net.addNode(
      "node", on: .internet, addresses: [address("198.51.100.1")],
      host: EchoHost("127.0.0.1:1", "127.0.0.1:2"))
    net.run(for: .seconds(1))
    net.send([5], from: node, to: "127.0.0.1:2")
    net.run(for: .seconds(1))
    #expect(net.heard(node).map(\.source) == [endpoint("127.0.0.1:1")])
    #expect(net.heard(node).map(\.socket) == [1])
  }

  @Test func nodeWithTwoLinesLeavesByItsSocketsAddress() {
    var net = SimulatedNetwork(seed: 1)
    let left = net.addSubnet("left", [network("10.1.0.0/24")])
    let right = net.addSubnet("right", [network("10.2.0.0/24")])
    _ = net.addGateway("a", from: left, behavior: .fullCone, outsideAddress: address("203.0.113.1"))
    _ = net.addGateway("b", from: right, behavior: .fullCone, outsideAddress: address("203.0.113.2"))
    let node = net.addNode(
      "node", on: left, addresses: [address("10.1.0.2")], host: EchoHost("10.1.0.2:1", "10.2.0.2:1", "0.0.0.0:3"))
    net.addInterface(to: node, on: right, addresses: [address("10.2.0.2")])
    let server = net.addNode(
      "server", on: .internet, addresses: [address("198.51.100.1")], host: EchoHost("0.0.0.0:2"))
    net.run(for: .seconds(1))
    for socket in 0..<3 { net.send([1], from: node, socket: socket, to: "198.51.100.1:2") }
    net.run(for: .seconds(1))
    let seen = net.heard(server).map(\.source.address).sorted()
    #expect(seen == ["203.0.113.1", "203.0.113.1", "203.0.113.2"].map(address))
  }

  @Test func namesAreResolved() {
    let office = Office(.fullCone)
    func ask(_ name: String, waiting: Duration) -> [IPAddress]? {
      let before = office.net.host(office.inside, as: EchoHost.self)?.resolved.count ?? 0
      office.net.withHost(office.inside, as: EchoHost.self) { _, _, actions in actions.append(.resolve(name)) }
      office.net.run(for: waiting)
      let resolved = office.net.host(office.inside, as: EchoHost.self)?.resolved ?? []
      return resolved.count > before ? resolved.last : nil
    }
    office.net.apply(.nameChanged("Sip.example", [address("198.51.100.1"), address("198.51.100.2")]))
    #expect(ask("sip.EXAMPLE", waiting: .seconds(1)) == [address("198.51.100.1"), address("198.51.100.2")])
    #expect(ask("nowhere.example", waiting: .seconds(1)) == [])
    #expect(ask("192.0.2.7", waiting: .seconds(1)) == [address("192.0.2.7")])
    office.net.apply(.nameServerDied)
    #expect(ask("sip.example", waiting: .seconds(4)) == nil)
    office.net.run(for: .seconds(2))
    office.net.apply(.nameServerRevived)
    office.net.nameServer.address = address("198.51.100.53")
    #expect(ask("sip.example", waiting: .seconds(1))?.count == 2)
    office.net.apply(.lineCut(office.router))
    #expect(ask("sip.example", waiting: .seconds(6)) == [])
  }

  @Test func hostThatNeverMovesItsDeadlineIsReported() {
    struct Stuck: SimulatedHost {
      var nextDeadline: MonotonicInstant?
      mutating func start(now: MonotonicInstant, into actions: inout [HostAction]) { nextDeadline = now }
      mutating func datagramReceived(
        _ bytes: [UInt8], from source: Endpoint, on socket: Int, now: MonotonicInstant,
        into actions: inout [HostAction]
      ) {}
    }
    var net = SimulatedNetwork(seed: 1)
    _ = net.addNode("stuck", on: .internet, addresses: [], host: Stuck())
    net.run(for: .milliseconds(2))
    #expect(!net.faults.isEmpty)
  }

  @Test(arguments: [1, 2, 3] as [UInt64]) func oneSeedGivesOneTrace(seed: UInt64) {
    func run(_ seed: UInt64) -> SimulatedNetwork {
      Self.stream(
        LinkQuality(jitter: .milliseconds(30), loss: 0.1, duplication: 0.1), seconds: 5, seed: seed
      ).net
    }
    let first = run(seed)
    let second = run(seed)
    #expect(first.trace.digest == second.trace.digest)
    #expect(first.trace.lines.map(\.description) == second.trace.lines.map(\.description))
    #expect(first.trace.digest != run(seed + 100).trace.digest)
  }

  @Test func traceIsBoundedAndStillCounts() {
    let office = Office(.fullCone)
    let before = office.net.trace.digest
    office.net.trace.limit = office.net.trace.lines.count
    let lines = office.net.trace.lines.count
    _ = office.seen(by: office.one, to: "198.51.100.1:3478")
    #expect(office.net.trace.lines.count == lines)
    #expect(office.net.trace.count > lines)
    #expect(office.net.trace.digest != before)
  }

  @Test func capturesShowBothSidesOfTheRouter() {
    let office = Office(.portRestrictedCone)
    let node = office.net.startCapture(at: .node(office.inside))
    let line = office.net.startCapture(at: .line(office.router))
    _ = office.seen(by: office.one, to: "198.51.100.1:3478")
    #expect(office.net.capture(node).packets.map(\.datagram.source) == [endpoint("192.168.1.2:5000")])
    #expect(office.net.capture(line).packets.map(\.datagram.source) == [endpoint("203.0.113.1:5000")])
    #expect(office.net.capture(line).packets.map(\.isOutward) == [true])
  }
}
