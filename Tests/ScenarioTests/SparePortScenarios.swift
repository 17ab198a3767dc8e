import CallControl
import EmbeddedProvider
import LinkManager
import LinkScenario
import MediaRelay
import NetworkSimulator
import NetworkTypes
import Testing

/// Routers that keep, after a change of address, the rows which our own packets keep alive.
@Suite struct SparePortScenarios {
  static func stale(isLatching: Bool = false, lifetime: Int = 120) -> Scene {
    Scene {
      $0.nat.keepsStaleState = true
      $0.nat.lifetime = .seconds(Int64(lifetime))
      $0.provider = { $0.quirks.latching = isLatching }
      $0.link = { $0.uplinks[0].sparePort = 65003 }
    }
  }

  @Test(arguments: [false, true]) func callsGoOnByFreshPorts(isLatching: Bool) throws {
    let world = Self.stale(isLatching: isLatching)
    #expect(world.runUntilRegistered())
    world.run(1)
    for index in 0..<6 {
      _ = try #require(index % 2 == 0 ? world.callFromOutside() : world.dial(Scene.farNumber))
      world.run(0.2)
    }
    world.run(5)
    RepairScenarios.cut(world, seconds: 5)
    world.run(12)
    #expect(world.status.calls.count { $0.state == "answered" } == 6)
    #expect(world.verdicts.count { $0.code == "deadNATState" } == 1)
    #expect(world.contacts == ["sip:1000@\(RepairScenarios.second):65003"])
    let gaps = RepairScenarios.gaps(world, outage: 5)
    #expect(gaps.far.count == 6 && gaps.far.allSatisfy { $0 <= 10 }, "\(gaps.far)")
    #expect(gaps.phone.count == 6 && gaps.phone.allSatisfy { $0 <= 10 }, "\(gaps.phone)")
    // From the first port nothing leaves any more.
    let after = world.elapsed
    world.run(30)
    #expect(world.sent(.stun, after: after, port: 65002).isEmpty)
    #expect(world.sent(.sip, after: after, port: 65002).isEmpty)
    for call in world.net.host(world.provider, as: ProviderHost.self)?.agent.callIDs ?? [] { world.hangUpOutside(call) }
    world.run(1)
    #expect(world.status.calls.isEmpty)
    world.run(40)
    #expect(world.leftovers == [])
  }

  @Test func idleLinkTakesTheSparePortAndComesBackWhenTheRouterHasForgotten() throws {
    let world = Self.stale(lifetime: 60)
    #expect(world.runUntilRegistered())
    world.run(3)
    RepairScenarios.cut(world, seconds: 5)
    world.run(25)
    #expect(world.contacts == ["sip:1000@\(RepairScenarios.second):65003"])
    #expect(world.trunk?.state == .registered)
    let far = try #require(world.callFromOutside(for: .seconds(3)))
    world.run(8)
    #expect(world.providerEvents.contains { $0.event == .answered(far) })
    world.run(240)
    #expect(world.contacts == ["sip:1000@\(RepairScenarios.second):65002"])
    #expect(world.trunk?.state == .registered)
    #expect(world.verdicts.count { $0.code == "deadNATState" } == 1)
  }

  /// The line changes again before the router has forgotten anything.
  @Test func changesThatFollowEachOtherFindAPortEachTime() throws {
    let world = Self.stale()
    #expect(world.runUntilRegistered())
    world.run(1)
    _ = try #require(world.dial(Scene.farNumber))
    _ = try #require(world.callFromOutside())
    world.run(5)
    for number in 0..<4 {
      RepairScenarios.cut(world, seconds: 5, address: "198.51.100.\(60 + number)")
      world.run(14)
      #expect(world.trunk?.state == .registered)
      #expect(world.contacts.last?.contains("@198.51.100.\(60 + number):") == true, "\(world.contacts)")
      #expect(world.status.calls.count { $0.state == "answered" } == 2)
      #expect(world.net.host(world.provider, as: ProviderHost.self)?.silentPorts.isEmpty == true, "change \(number)")
    }
    for call in world.net.host(world.provider, as: ProviderHost.self)?.agent.callIDs ?? [] { world.hangUpOutside(call) }
    world.run(45)
    #expect(world.leftovers == [])
    world.run(600)
    #expect(world.contacts == ["sip:1000@198.51.100.63:65002"])
  }

  @Test func anOrdinaryOutageLeavesTheSparePortAlone() {
    let world = Scene { $0.link = { $0.uplinks[0].sparePort = 65003 } }
    #expect(world.runUntilRegistered())
    world.run(3)
    for seconds in [1.0, 5, 30] {
      RepairScenarios.cut(world, seconds: seconds, address: "198.51.100.\(Int(seconds) + 20)")
      world.run(20)
      #expect(world.contacts == ["sip:1000@198.51.100.\(Int(seconds) + 20):65002"])
    }
    #expect(!world.verdicts.contains { $0.code == "deadNATState" })
    let after = world.elapsed
    world.run(60)
    #expect(world.sent(.stun, after: after, port: 65003).isEmpty, "it keeps nothing alive")
  }

  /// The rows towards the provider die and those towards the STUN servers do not.
  @Test func aProviderThatOnlyAFreshPortReachesIsReached() {
    let world = Self.stale()
    #expect(world.runUntilRegistered())
    world.run(3)
    var behavior = world.net.box(world.router).behavior
    behavior.mapping = .addressDependent
    world.net.apply(.behaviorChanged(world.router, behavior))
    // Each server has been asked of late but the second one, which is a new destination.
    RepairScenarios.cut(world, seconds: 5)
    world.run(30)
    #expect(world.trunk?.state == .registered)
    #expect(
      world.contacts.contains { $0.hasSuffix(":65003") || $0.contains(RepairScenarios.second) }, "\(world.contacts)")
  }

  /// What is taken back is taken back by the port that passes.
  @Test func anInviteOfADeadPortIsCancelledByTheFreshOne() throws {
    let world = Self.stale(isLatching: true)
    #expect(world.runUntilRegistered())
    world.run(3)
    _ = try #require(world.dial("+49303333"))
    world.run(2)
    RepairScenarios.cut(world, seconds: 1)
    world.run(12)
    #expect(world.verdicts.contains { $0.code == "deadNATState" })
    #expect(world.status.calls.count == 1)
    #expect(
      world.net.host(world.provider, as: ProviderHost.self)?.agent.callIDs.count == 1, "the first one is cancelled")
  }

  /// While the provider has not yet been told, it sends calls to the port that was given up.
  @Test func aCallToThePortThatIsGivenUpIsTaken() throws {
    let world = Self.stale(lifetime: 60)
    #expect(world.runUntilRegistered())
    world.run(3)
    RepairScenarios.cut(world, seconds: 5)
    world.run(25)
    let isBack = world.net.run(atMost: .seconds(400)) { net in
      net.host(world.link, as: LinkHost.self)?.logs.contains { $0.sentence.contains("back to it") } ?? false
    }
    #expect(isBack)
    _ = try #require(world.callFromOutside())
    #expect(world.waitForCall(state: "answered", atMost: 10))
    #expect(world.hasAudio())
  }
}
