import NetworkSimulator
import NetworkTypes
import Testing

@Suite struct NATBehaviorTests {
  typealias Dependence = NATBehavior.Dependence

  @Test(arguments: Dependence.allCases) func mappingDependsOnWhatItSays(mapping: Dependence) throws {
    let office = Office(NATBehavior(mapping: mapping, filtering: .endpointIndependent))
    let first = try #require(office.seen(by: office.one, to: "198.51.100.1:3478"))
    let otherPort = try #require(office.seen(by: office.one, to: "198.51.100.1:3479"))
    let otherAddress = try #require(office.seen(by: office.two, to: "198.51.100.2:3478"))
    let again = try #require(office.seen(by: office.one, to: "198.51.100.1:3478"))
    #expect(first == endpoint("203.0.113.1:5000"))
    #expect(again == first)
    #expect((otherPort == first) == (mapping != .addressAndPortDependent))
    #expect((otherAddress == first) == (mapping == .endpointIndependent))
  }

  @Test(arguments: Dependence.allCases) func filteringDependsOnWhatItSays(filtering: Dependence) throws {
    let office = Office(NATBehavior(mapping: .endpointIndependent, filtering: filtering))
    let outside = try #require(office.seen(by: office.one, to: "198.51.100.1:3478"))
    #expect(office.letsIn(from: office.one, socket: 0, to: outside))
    #expect(office.letsIn(from: office.one, socket: 1, to: outside) == (filtering != .addressAndPortDependent))
    #expect(office.letsIn(from: office.two, socket: 0, to: outside) == (filtering == .endpointIndependent))
    #expect(!office.letsIn(from: office.one, socket: 0, to: endpoint("203.0.113.1:5999")))
  }

  @Test func symmetricMappingWithOpenFilterLetsStrangersInToTheirMappingOnly() throws {
    let office = Office(NATBehavior(mapping: .addressAndPortDependent, filtering: .endpointIndependent))
    let outside = try #require(office.seen(by: office.one, to: "198.51.100.1:3478"))
    #expect(office.letsIn(from: office.two, socket: 1, to: outside))
  }

  @Test func preservedPortsGiveWayWhenTaken() throws {
    let office = Office(.fullCone)
    #expect(office.seen(by: office.one, to: "198.51.100.1:3478")?.port == 5000)
    #expect(office.seen(by: office.one, from: 1, to: "198.51.100.1:3478")?.port == 5001)
    office.net.send([1], from: office.other, to: "198.51.100.1:3478")
    office.net.run(for: .seconds(1))
    #expect(office.net.heard(office.one).last?.source.port == 5002)
  }

  @Test func sequentialAndRandomPorts() throws {
    let sequential = Office(
      NATBehavior(mapping: .addressAndPortDependent, filtering: .endpointIndependent, ports: .sequential))
    let ports = [
      sequential.seen(by: sequential.one, to: "198.51.100.1:3478")?.port,
      sequential.seen(by: sequential.one, to: "198.51.100.1:3479")?.port,
      sequential.seen(by: sequential.two, to: "198.51.100.2:3478")?.port,
    ]
    #expect(ports == [1024, 1025, 1026])
    var behavior = NATBehavior.symmetric
    behavior.portRange = 40000...40009
    let random = Office(behavior)
    let first = try #require(random.seen(by: random.one, to: "198.51.100.1:3478"))
    let second = try #require(random.seen(by: random.one, to: "198.51.100.1:3479"))
    #expect((40000...40009).contains(first.port))
    #expect(first.port != second.port)
  }

  @Test func noPortLeftIsRefused() {
    var behavior = NATBehavior.symmetric
    behavior.portRange = 40000...40001
    let office = Office(behavior)
    #expect(office.seen(by: office.one, to: "198.51.100.1:3478") != nil)
    #expect(office.seen(by: office.one, to: "198.51.100.1:3479") != nil)
    #expect(office.seen(by: office.two, to: "198.51.100.2:3478") == nil)
    #expect(office.net.trace.lines.contains { $0.note == NATBox.Refusal.exhausted.rawValue })
  }

  @Test(arguments: [false, true]) func lifetimeEndsUnlessRefreshed(refreshedByInbound: Bool) throws {
    var behavior = NATBehavior.portRestrictedCone
    behavior.lifetime = .seconds(30)
    behavior.refreshedByInbound = refreshedByInbound
    let office = Office(behavior)
    let outside = try #require(office.seen(by: office.one, to: "198.51.100.1:3478"))
    office.net.run(for: .seconds(20))
    #expect(office.letsIn(from: office.one, socket: 0, to: outside))
    office.net.run(for: .seconds(20))
    #expect(office.letsIn(from: office.one, socket: 0, to: outside) == refreshedByInbound)
    office.net.run(for: .seconds(31))
    #expect(!office.letsIn(from: office.one, socket: 0, to: outside))
    #expect(office.net.box(office.router).outsideEndpoints(of: endpoint("192.168.1.2:5000"), now: office.net.now) == [])
  }

  @Test func outboundRefreshKeepsTheMappingButNotAnotherRemotesWayIn() throws {
    var behavior = NATBehavior.portRestrictedCone
    behavior.lifetime = .seconds(30)
    let office = Office(behavior)
    let outside = try #require(office.seen(by: office.two, to: "198.51.100.2:3478"))
    for _ in 0..<4 {
      #expect(office.seen(by: office.one, to: "198.51.100.1:3478") == outside)
      office.net.run(for: .seconds(10))
    }
    #expect(office.letsIn(from: office.one, socket: 0, to: outside))
    #expect(!office.letsIn(from: office.two, socket: 0, to: outside))
  }

  @Test(arguments: [false, true]) func hairpin(isOn: Bool) throws {
    var behavior = NATBehavior.fullCone
    behavior.hairpin = isOn
    let office = Office(behavior)
    let outside = try #require(office.seen(by: office.one, to: "198.51.100.1:3478"))
    let before = office.net.heard(office.inside).count
    office.net.send([7], from: office.other, to: "\(outside)")
    office.net.run(for: .seconds(1))
    let heard = office.net.heard(office.inside)
    #expect((heard.count > before) == isOn)
    // RFC 4787 REQ-9: the sender is shown by its outside address and port.
    if isOn { #expect(heard.last?.source == endpoint("203.0.113.1:5001")) }
  }

  @Test func forwardedPortLetsAnyoneInAndAnswersLeaveByIt() throws {
    let office = Office(.symmetric)
    office.net.apply(
      .forwardsChanged(office.router, [PortForward(outsidePort: 5060, to: endpoint("192.168.1.2:5000"))]))
    #expect(office.letsIn(from: office.two, socket: 1, to: endpoint("203.0.113.1:5060")))
    #expect(office.seen(by: office.two, to: "198.51.100.2:3479") == endpoint("203.0.113.1:5060"))
    #expect(office.seen(by: office.one, to: "198.51.100.1:3478")?.port != 5060)
  }

  @Test func newAddressForgetsOldMappings() throws {
    let office = Office(.portRestrictedCone)
    let old = try #require(office.seen(by: office.one, to: "198.51.100.1:3478"))
    office.net.apply(.addressChanged(office.router, address("203.0.113.77")))
    #expect(!office.letsIn(from: office.one, socket: 0, to: old))
    #expect(office.seen(by: office.one, to: "198.51.100.1:3478") == endpoint("203.0.113.77:5000"))
    #expect(!office.letsIn(from: office.one, socket: 0, to: old))
  }

  @Test func staleStateSwallowsOldPortsWhileTheyAreUsed() throws {
    var behavior = NATBehavior.portRestrictedCone
    behavior.keepsStaleState = true
    behavior.lifetime = .seconds(30)
    let office = Office(behavior)
    #expect(office.seen(by: office.one, to: "198.51.100.1:3478") != nil)
    office.net.apply(.addressChanged(office.router, address("203.0.113.77")))
    for _ in 0..<5 {
      #expect(office.seen(by: office.one, to: "198.51.100.1:3478") == nil)
      office.net.run(for: .seconds(10))
    }
    #expect(office.seen(by: office.one, from: 1, to: "198.51.100.1:3478") == endpoint("203.0.113.77:5001"))
    office.net.run(for: .seconds(31))
    #expect(office.seen(by: office.one, to: "198.51.100.1:3478") == endpoint("203.0.113.77:5000"))
  }

  @Test func deadStateHealsAfterSilence() throws {
    var behavior = NATBehavior.portRestrictedCone
    behavior.lifetime = .seconds(30)
    let office = Office(behavior)
    let outside = try #require(office.seen(by: office.one, to: "198.51.100.1:3478"))
    office.net.apply(.stateDied(office.router))
    #expect(office.seen(by: office.one, to: "198.51.100.1:3478") == nil)
    #expect(!office.letsIn(from: office.one, socket: 0, to: outside))
    office.net.run(for: .seconds(31))
    #expect(office.seen(by: office.one, to: "198.51.100.1:3478") != nil)
  }

  @Test func rebootLosesState() throws {
    let office = Office(.fullCone)
    let outside = try #require(office.seen(by: office.one, to: "198.51.100.1:3478"))
    office.net.apply(.rebooted(office.router))
    #expect(!office.letsIn(from: office.one, socket: 0, to: outside))
  }

  @Test func untranslatedKinds() throws {
    let open = Office(.open, insideNetwork: "192.0.2")
    #expect(open.letsIn(from: open.two, socket: 0, to: endpoint("192.0.2.2:5000")))
    #expect(open.seen(by: open.one, to: "198.51.100.1:3478") == endpoint("192.0.2.2:5000"))
    let firewall = Office(.symmetricFirewall, insideNetwork: "192.0.2")
    #expect(!firewall.letsIn(from: firewall.one, socket: 0, to: endpoint("192.0.2.2:5000")))
    #expect(firewall.seen(by: firewall.one, to: "198.51.100.1:3478") == endpoint("192.0.2.2:5000"))
    #expect(firewall.letsIn(from: firewall.one, socket: 0, to: endpoint("192.0.2.2:5000")))
    #expect(!firewall.letsIn(from: firewall.one, socket: 1, to: endpoint("192.0.2.2:5000")))
    let blocked = Office(.blocked)
    #expect(blocked.seen(by: blocked.one, to: "198.51.100.1:3478") == nil)
  }

  @Test func ipv6PassesUntranslatedThroughAFirewall() {
    var net = SimulatedNetwork(seed: 1)
    let office = net.addSubnet("office", [network("192.168.1.0/24"), network("2001:db8:1::/64")])
    _ = net.addGateway("router", from: office, behavior: .symmetric, outsideAddress: address("203.0.113.1"))
    let inside = net.addNode(
      "inside", on: office, addresses: [address("192.168.1.2"), address("2001:db8:1::2")],
      host: EchoHost("[::]:5000"))
    let server = net.addNode(
      "server", on: .internet, addresses: [address("2001:db8:9::1")], host: EchoHost("[::]:3478", echoes: true))
    net.run(for: .seconds(1))
    net.send([9], from: server, to: "[2001:db8:1::2]:5000")
    net.run(for: .seconds(1))
    #expect(net.heard(inside).isEmpty)
    net.send([8], from: inside, to: "[2001:db8:9::1]:3478")
    net.run(for: .seconds(1))
    #expect(net.heard(server).last?.source == endpoint("[2001:db8:1::2]:5000"))
    #expect(net.heard(inside).last?.bytes == [8])
  }

  @Test func twoRoutersInARow() throws {
    var net = SimulatedNetwork(seed: 3)
    let carrier = net.addSubnet("carrier", [network("100.64.0.0/10")])
    _ = net.addGateway("cgn", from: carrier, behavior: .symmetric, outsideAddress: address("203.0.113.1"))
    let office = net.addSubnet("office", [network("192.168.1.0/24")])
    _ = net.addGateway(
      "router", from: office, to: carrier, behavior: .portRestrictedCone, outsideAddress: address("100.64.1.1"))
    let inside = net.addNode(
      "inside", on: office, addresses: [address("192.168.1.2")], host: EchoHost("0.0.0.0:5000"))
    let server = net.addNode(
      "server", on: .internet, addresses: [address("198.51.100.1")], host: EchoHost("0.0.0.0:3478", echoes: true))
    net.run(for: .seconds(1))
    net.send([8], from: inside, to: "198.51.100.1:3478")
    net.run(for: .seconds(1))
    #expect(net.heard(server).last?.source.address == address("203.0.113.1"))
    #expect(net.heard(inside).last?.bytes == [8])
  }
}
