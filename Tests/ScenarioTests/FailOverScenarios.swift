import CallControl
import EmbeddedProvider
import LinkManager
import LinkScenario
import MediaRelay
import NetworkSimulator
import NetworkTypes
import STUN
import Testing

/// An office with two lines.
@Suite struct FailOverScenarios {
  static let reserve = "198.51.101.1"

  struct Office {
    let world: Scene
    let reserve: NATID

    init(isLatching: Bool = false) {
      world = Scene {
        $0.provider = { $0.quirks.latching = isLatching }
        $0.link = { link in
          link.uplinks[0].bind = [endpoint("192.168.1.2:65002")]
          link.uplinks.append(
            UplinkConfiguration(
              name: "lte", bind: [endpoint("192.168.2.2:65002")], stunServers: link.uplinks[0].stunServers))
          link.lan.interfaces.append(InterfaceAddress(address("192.168.2.2"), prefixLength: 24))
        }
      }
      let subnet = world.net.addSubnet("reserve", [network("192.168.2.0/24")])
      reserve = world.net.addGateway(
        "lte", from: subnet, behavior: .portRestrictedCone, outsideAddress: address(FailOverScenarios.reserve),
        line: .dsl)
      world.net.addInterface(to: world.link, on: subnet, addresses: [address("192.168.2.2")])
    }
  }

  @Test(arguments: [false, true]) func callsMoveToTheOtherLineAndBack(isLatching: Bool) throws {
    let office = Office(isLatching: isLatching)
    let world = office.world
    #expect(world.runUntilRegistered())
    world.run(2)
    for index in 0..<6 {
      _ = try #require(index % 2 == 0 ? world.callFromOutside() : world.dial(Scene.farNumber))
      world.run(0.2)
    }
    world.run(5)
    #expect(world.trunk?.uplink == "dsl")
    world.net.apply(.lineCut(world.router))
    world.run(6)
    #expect(world.trunk?.uplink == "lte")
    #expect(world.trunk?.state == .registered)
    #expect(world.verdicts.count { $0.code == "uplinkLost" } == 1)
    #expect(world.status.calls.count { $0.state == "answered" } == 6)
    var gaps = RepairScenarios.gaps(world, outage: 0)
    #expect(gaps.far.count == 6 && gaps.far.allSatisfy { $0 <= 2 }, "\(gaps.far)")
    #expect(gaps.phone.count == 6 && gaps.phone.allSatisfy { $0 <= 2 }, "\(gaps.phone)")
    world.net.apply(.addressChanged(world.router, address(RepairScenarios.second)))
    world.net.apply(.lineRestored(world.router))
    world.run(8)
    #expect(world.trunk?.uplink == "dsl")
    #expect(world.contacts == ["sip:1000@\(RepairScenarios.second):65002"])
    #expect(world.status.calls.count { $0.state == "answered" } == 6)
    gaps = RepairScenarios.gaps(world, outage: 0)
    #expect(gaps.far.allSatisfy { $0 <= 2 } && gaps.phone.allSatisfy { $0 <= 2 }, "\(gaps)")
    for call in world.net.host(world.provider, as: ProviderHost.self)?.agent.callIDs ?? [] { world.hangUpOutside(call) }
    world.run(1)
    #expect(world.status.calls.isEmpty)
    world.run(40)
    #expect(world.leftovers == [])
  }

  @Test func bothLinesGoneIsNoReasonToMove() {
    let office = Office()
    let world = office.world
    #expect(world.runUntilRegistered())
    world.run(2)
    world.net.apply(.lineCut(office.reserve))
    world.run(20)
    world.net.apply(.lineCut(world.router))
    world.run(20)
    #expect(world.trunk?.uplink == "dsl")
    world.net.apply(.lineRestored(office.reserve))
    world.run(5)
    #expect(world.trunk?.uplink == "lte")
    #expect(world.trunk?.state == .registered)
    // A new call takes the line that is left.
    _ = world.dial(Scene.farNumber, for: .seconds(3))
    world.run(8)
    #expect(world.secondsHeard.phone > 2)
  }

  @Test func newsOfTheHostsNetworkAreLookedIntoOnceASecond() {
    let world = Scene()
    #expect(world.runUntilRegistered())
    world.run(3)
    let start = world.elapsed
    for _ in 0..<50 {
      world.apply(.hostChanged([InterfaceAddress(address("192.168.1.2"), prefixLength: 24)]))
      world.run(0.1)
    }
    #expect((5...7).contains(world.sent(.stun, after: start, port: 65002).count))
    // The last of them is not forgotten.
    world.net.apply(.addressChanged(world.router, address(RepairScenarios.second)))
    world.apply(.hostChanged([]))
    world.run(1.5)
    #expect(world.contacts.contains { $0.contains(RepairScenarios.second) })
  }

  @Test func aLineThatComesAndGoesIsGivenMoreTimeEachTime() {
    let office = Office()
    let world = office.world
    #expect(world.runUntilRegistered())
    world.run(2)
    for _ in 0..<6 {
      world.net.apply(.lineCut(world.router))
      world.run(15)
      world.net.apply(.lineRestored(world.router))
      world.run(3)
    }
    let moves = world.logs.count { $0.contains("has its trunks back") }
    #expect((1...3).contains(moves), "\(world.logs)")
    world.run(60)
    #expect(world.trunk?.uplink == "dsl")
  }
}

/// Two STUN servers that see different addresses.
@Suite struct DisagreementScenarios {
  @Test func aLyingFirstServerThatComesBackMovesNothing() {
    let world = Scene()
    world.net.apply(.nodeDeafened(world.stun[0]))
    #expect(world.runUntilRegistered(atMost: 20))
    world.run(20)
    world.net.withHost(world.stun[0], as: STUNServerHost.self) { host, _, _ in
      host.lie = endpoint("192.0.2.99:1234")
    }
    world.net.apply(.nodeHears(world.stun[0]))
    world.run(300)
    #expect(world.contacts == ["sip:1000@198.51.100.1:65002"])
    #expect(world.status.uplinks.first?.previousAddresses.isEmpty == true)
    #expect(world.verdicts.count { $0.code == "lyingServer" } == 1)
    #expect(world.registerTimes.count <= 8, "nothing flaps")
  }
}

/// The nightly cut.
@Suite struct ExpectedCutScenarios {
  @Test func afterSomeNightsTheCutIsExpected() {
    let world = Scene()
    #expect(world.runUntilRegistered())
    for night in 0..<4 {
      world.run(86_400 - 30)
      let expected = world.logs.count { $0.contains("is expected now") }
      #expect(expected == (night >= 3 ? 1 : 0), "night \(night)")
      let before = world.sent(.stun, after: world.elapsed - 20).count
      if night >= 3 { #expect(before >= 15, "keepalives leave every second") } else { #expect(before <= 4) }
      world.run(25)
      RepairScenarios.cut(world, seconds: 5, address: "198.51.100.\(50 + night)")
    }
    world.run(20)
    #expect(world.contacts == ["sip:1000@198.51.100.53:65002"])
    let cuts = world.net.host(world.link, as: LinkHost.self)?.cuts.cuts.count
    #expect(cuts == 4)
    world.run(400)
    #expect(world.sent(.stun, after: world.elapsed - 20).count <= 4, "and then it is over")
  }
}
