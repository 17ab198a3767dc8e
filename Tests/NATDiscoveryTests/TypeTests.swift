import NATDiscovery
import NetworkSimulator
import NetworkTypes
import Testing

@Suite struct TypeTests {
  typealias Dependence = NATBehavior.Dependence

  struct Kind: Sendable, CustomStringConvertible {
    var mapping: Dependence
    var filtering: Dependence
    var ports: NATBehavior.PortAssignment
    var description: String { "\(mapping) \(filtering) \(ports)" }

    static let all = Dependence.allCases.flatMap { mapping in
      Dependence.allCases.flatMap { filtering in
        NATBehavior.PortAssignment.allCases.map { Kind(mapping: mapping, filtering: filtering, ports: $0) }
      }
    }

    var type: NATType {
      switch (mapping, filtering) {
      case (.endpointIndependent, .endpointIndependent): .fullCone
      case (.endpointIndependent, .addressDependent): .restrictedCone
      case (.endpointIndependent, .addressAndPortDependent): .portRestrictedCone
      default: .symmetric
      }
    }
  }

  @Test(arguments: Kind.all, [TwoAddressServer.Kind.behavior, .classic])
  func everyMappingAndFilteringIsNamed(kind: Kind, server: TwoAddressServer.Kind) throws {
    let behavior = NATBehavior(mapping: kind.mapping, filtering: kind.filtering, ports: kind.ports)
    var world = try DiscoveryWorld(behavior, kind: server)
    let (report, took) = try world.discover()
    #expect(report.natType == kind.type)
    #expect(report.mapping.rawValue == kind.mapping.rawValue)
    #expect(report.filtering.rawValue == kind.filtering.rawValue)
    #expect(report.publicAddress?.address == address("203.0.113.1"))
    #expect(report.portPreserved == (kind.ports == .preserving ? .yes : .no))
    #expect(report.hairpin == .no)
    #expect(report.carrierGradeNAT == .no)
    #expect(report.doubleNAT == .no)
    #expect(report.fragments == (server == .behavior ? .yes : .notChecked))
    #expect(took < .seconds(5))
    if kind.mapping == .addressAndPortDependent {
      #expect(report.portsPredictable == (kind.ports == .random ? .no : .yes))
      #expect(report.portIncrement == (kind.ports == .random ? nil : 1))
    }
  }

  @Test(arguments: [(NATBehavior.open, NATType.open), (.symmetricFirewall, .symmetricFirewall)])
  func withoutTranslation(behavior: NATBehavior, type: NATType) throws {
    var world = try DiscoveryWorld(behavior)
    let (report, took) = try world.discover()
    #expect(report.natType == type)
    #expect(report.publicAddress == report.localAddress)
    #expect(report.doubleNAT == .no)
    #expect(report.hairpin == .notChecked)
    #expect(report.whyNotChecked("hairpin") != nil)
    #expect(took < .seconds(5))
  }

  @Test func blockedIsKnownWithinTenSeconds() throws {
    var world = try DiscoveryWorld(.blocked, servers: [DiscoveryWorld.twoAddresses, DiscoveryWorld.single])
    let (report, took) = try world.discover()
    #expect(report.natType == .blocked)
    #expect(report.server == nil)
    #expect(report.whyNotChecked("filtering") == "no server answered")
    #expect(took < .seconds(10))
  }

  @Test(arguments: 1...20) func lossAndReorderingDoNotMislead(seed: UInt64) throws {
    let line = LinkQuality(
      delay: .milliseconds(40), jitter: .milliseconds(30), loss: 0.05, duplication: 0.05, reorders: true)
    for (behavior, type) in [
      (NATBehavior.fullCone, NATType.fullCone), (.restrictedCone, .restrictedCone), (.symmetric, .symmetric),
    ] {
      var world = try DiscoveryWorld(behavior, line: line, seed: seed)
      let (report, took) = try world.discover()
      #expect(report.natType == type)
      #expect(took < .seconds(6))
    }
  }

  @Test(arguments: [false, true]) func hairpin(isOn: Bool) throws {
    for filtering in Dependence.allCases {
      var behavior = NATBehavior(mapping: .endpointIndependent, filtering: filtering)
      behavior.hairpin = isOn
      var world = try DiscoveryWorld(behavior)
      #expect(try world.discover().0.hairpin == (isOn ? .yes : .no))
    }
  }

  @Test func oneAddressShowsNeitherMappingNorFiltering() throws {
    var world = try DiscoveryWorld(.portRestrictedCone, servers: [DiscoveryWorld.single])
    let (report, took) = try world.discover()
    #expect(report.natType == .unknown)
    #expect(report.mapping == .notChecked)
    #expect(report.whyNotChecked("mapping")?.contains("one address") == true)
    #expect(report.whyNotChecked("filtering")?.contains("one address") == true)
    #expect(took < .seconds(5))
  }

  @Test func aSecondServerShowsTheMapping() throws {
    let servers = [DiscoveryWorld.single, DiscoveryWorld.anotherSingle]
    var cone = try DiscoveryWorld(.portRestrictedCone, servers: servers)
    let (report, _) = try cone.discover()
    #expect(report.mapping == .endpointIndependent)
    #expect(report.filtering == .notChecked)
    #expect(report.natType == .unknown)
    var symmetric = try DiscoveryWorld(.symmetric, servers: servers)
    let (other, _) = try symmetric.discover()
    #expect(other.natType == .symmetric)
    #expect(other.whyNotChecked("mappingByPort")?.contains("two addresses") == true)
  }

  @Test func aServerWithTwoAddressesIsPreferred() throws {
    var world = try DiscoveryWorld(.restrictedCone, servers: [DiscoveryWorld.single, DiscoveryWorld.twoAddresses])
    let (report, _) = try world.discover()
    #expect(report.server == DiscoveryWorld.twoAddresses)
    #expect(report.natType == .restrictedCone)
  }

  @Test func aDeadServerIsPassedOver() throws {
    var world = try DiscoveryWorld(
      .restrictedCone, servers: [endpoint("198.51.100.77:3478"), DiscoveryWorld.twoAddresses])
    let (report, took) = try world.discover()
    #expect(report.natType == .restrictedCone)
    #expect(took < .seconds(5))
  }

  @Test(arguments: [TwoAddressServer.Kind.stubborn, .halfDead, .mute])
  func aServerThatCannotDoWhatItSaysProvesNothing(kind: TwoAddressServer.Kind) throws {
    var world = try DiscoveryWorld(.fullCone, kind: kind)
    let (report, _) = try world.discover()
    #expect(report.filtering == .notChecked)
    #expect(report.whyNotChecked("filtering") != nil)
    #expect(report.natType == .unknown)
  }

  @Test func routersOnTheWay() throws {
    typealias Case = ([IPAddress?]?, NATFinding, NATFinding)
    let home = address("192.168.1.1")
    let outside = address("203.0.113.254")
    let cases: [Case] = [
      ([home, outside], .no, .no),
      ([home, address("100.64.0.1"), outside], .yes, .yes),
      ([home, address("10.0.0.1"), outside], .no, .yes),
      ([home, nil, outside], .notChecked, .notChecked),
      ([nil, nil, nil, nil], .notChecked, .notChecked),
      (nil, .notChecked, .notChecked),
    ]
    for (hops, carrier, double) in cases {
      var world = try DiscoveryWorld(.portRestrictedCone, hops: hops)
      let (report, _) = try world.discover()
      #expect(report.carrierGradeNAT == carrier)
      #expect(report.doubleNAT == double)
      #expect((report.whyNotChecked("doubleNAT") != nil) == (double == .notChecked))
    }
  }

  @Test(arguments: [15, 30, 180], [TwoAddressServer.Kind.behavior, .classic])
  func bindingLifetime(seconds: Int, server: TwoAddressServer.Kind) throws {
    for refreshedByInbound in [false, true] {
      var behavior = NATBehavior.portRestrictedCone
      behavior.lifetime = .seconds(seconds)
      behavior.refreshedByInbound = refreshedByInbound
      var world = try DiscoveryWorld(behavior, kind: server, measuresLifetime: true)
      let (report, took) = try world.discover(within: .seconds(seconds + 30))
      let found = try #require(report.bindingLifetimeSeconds)
      #expect(abs(found - seconds) <= 2)
      #expect(took < .seconds(seconds + 15))
      #expect(world.host?.progress.contains { $0.contains("binding lifetime") } == true)
    }
  }

  @Test func lifetimeBehindASymmetricNATAndAtTheEndOfTheSearch() throws {
    var behavior = NATBehavior.symmetric
    behavior.lifetime = .seconds(20)
    var world = try DiscoveryWorld(behavior, measuresLifetime: true)
    let found = try #require(try world.discover(within: .seconds(60)).0.bindingLifetimeSeconds)
    #expect(abs(found - 20) <= 2)
    var patient = NATBehavior.fullCone
    patient.lifetime = .seconds(3600)
    var slow = try DiscoveryWorld(patient, measuresLifetime: true)
    let (report, _) = try slow.discover(within: .seconds(660))
    #expect(report.bindingLifetimeSeconds == 600)
    #expect(report.bindingLifetimeIsAtLeast)
  }

  @Test func lifetimeNeedsAServerThatCanHelp() throws {
    var world = try DiscoveryWorld(
      .portRestrictedCone, servers: [DiscoveryWorld.single, DiscoveryWorld.anotherSingle], measuresLifetime: true)
    let (report, _) = try world.discover(within: .seconds(30))
    #expect(report.bindingLifetimeSeconds == nil)
    #expect(report.whyNotChecked("bindingLifetimeSeconds")?.contains("RESPONSE-PORT") == true)
  }
}
