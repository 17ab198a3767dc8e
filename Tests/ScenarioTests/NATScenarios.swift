import EmbeddedProvider
import LinkManager
import LinkScenario
import NetworkSimulator
import NetworkTypes
import Testing

/// Every mapping, every filtering, short and long lifetimes, far ends that send to where audio comes from and far ends that
/// send to what the SDP says: the call has audio both ways wherever that is possible at all, and one sentence says why where
/// it is not.
@Suite struct NATScenarios {
  struct Combination: Sendable, CustomStringConvertible {
    var mapping: NATBehavior.Dependence
    var filtering: NATBehavior.Dependence
    var lifetime: Int
    var isLatching: Bool

    var description: String {
      "mapping \(mapping), filtering \(filtering), \(lifetime) s, \(isLatching ? "latching" : "strict")"
    }

    /// A strict far end sends to the mapping that a STUN server saw. Where our packets to the far end leave by another one,
    /// that mapping is open only if it is so for everybody.
    var canBeHeard: Bool {
      isLatching || mapping == .endpointIndependent || filtering == .endpointIndependent
    }

    static let all = NATBehavior.Dependence.allCases.flatMap { mapping in
      NATBehavior.Dependence.allCases.flatMap { filtering in
        [8, 15, 30, 180].flatMap { lifetime in
          [true, false].map {
            Combination(mapping: mapping, filtering: filtering, lifetime: lifetime, isLatching: $0)
          }
        }
      }
    }
  }

  /// An office behind such a router, whose behaviour and lifetime have been found out.
  static func examined(_ combination: Combination) -> Scene {
    let world = Scene {
      $0.nat = NATBehavior(
        mapping: combination.mapping, filtering: combination.filtering, ports: .random,
        lifetime: .seconds(combination.lifetime))
      $0.hasBehaviorServer = true
      $0.provider = { $0.quirks.latching = combination.isLatching }
      $0.link = { $0.trunks[0].expires = .seconds(3600) }
    }
    #expect(world.runUntilRegistered())
    // Examined within seconds; three minutes later the lifetime is measured.
    world.run(Double(200 + combination.lifetime + combination.lifetime / 8))
    return world
  }

  /// A call of ten seconds, into the office or out of it, with what was said of it.
  static func call(_ world: Scene, isInbound: Bool) throws -> [Verdict] {
    let before = world.verdicts.count
    if isInbound {
      _ = try #require(world.callFromOutside(for: .seconds(10)))
    } else {
      _ = try #require(world.dial(Scene.farNumber, for: .seconds(10)))
    }
    world.run(16)
    #expect(world.records.last?.result == "answered")
    #expect((isInbound ? world.farEnding : world.phoneEnding()) == .byUs)
    return Array(world.verdicts.dropFirst(before))
  }

  @Test(arguments: Combination.all) func callsInAndOut(_ combination: Combination) throws {
    let world = Self.examined(combination)
    let uplink = try #require(world.status.uplinks.first)
    #expect(uplink.mapping == combination.mapping.rawValue)
    #expect(uplink.filtering == combination.filtering.rawValue)
    let lifetime = try #require(uplink.bindingLifetimeSeconds)
    #expect(abs(lifetime - Double(combination.lifetime)) <= 2)
    let said = world.verdicts.map(\.code)
    #expect(said == (combination.lifetime < 20 ? ["shortBinding"] : []))

    for isInbound in [false, true] {
      // Nothing but keepalives holds the way open.
      world.run(Double(2 * combination.lifetime))
      let said = try Self.call(world, isInbound: isInbound)
      #expect(world.secondsHeard.far > 9, "inbound \(isInbound)")
      if combination.canBeHeard {
        #expect(world.secondsHeard.phone > 9, "inbound \(isInbound)")
        #expect(said.map(\.code) == [])
      } else {
        #expect(world.secondsHeard.phone == 0, "inbound \(isInbound): audio that cannot come")
        #expect(said.map(\.code) == ["audioUnreachable"])
        #expect(said.first?.callID == world.records.last?.id)
      }
    }
    #expect(world.trunk?.state == .registered)
    #expect(world.settles())
    #expect(world.net.faults.isEmpty)
  }

  /// A held call sends nothing for longer than a binding lives; what comes afterwards finds its way.
  @Test(arguments: Combination.all.filter { $0.canBeHeard && $0.lifetime <= 30 })
  func audioComesBackAfterALongHold(_ combination: Combination) throws {
    let world = Self.examined(combination)
    _ = try #require(world.dial(Scene.farNumber))
    world.run(6)
    let call = try #require(world.phoneCall())
    _ = world.withPhone { $0.setHold(call, true, now: $1, into: &$2) }
    world.run(Double(2 * combination.lifetime))
    _ = world.withPhone { $0.setHold(call, false, now: $1, into: &$2) }
    world.run(8)
    world.hangUpPhone(call)
    world.run(1)
    #expect(world.secondsHeard.phone > 10)
    #expect(world.secondsHeard.far > 10)
  }

  /// Servers with one address do not show filtering: the careful row of the table serves every kind.
  @Test(arguments: Combination.all.filter { $0.lifetime == 30 })
  func whatWasNotCheckedIsTakenForTheWorst(_ combination: Combination) throws {
    let world = Scene {
      $0.nat = NATBehavior(
        mapping: combination.mapping, filtering: combination.filtering, ports: .random, lifetime: .seconds(30))
      $0.provider = { $0.quirks.latching = combination.isLatching }
      $0.link = { $0.trunks[0].expires = .seconds(3600) }
    }
    #expect(world.runUntilRegistered())
    world.run(20)
    #expect(world.status.uplinks.first?.filtering == "notChecked")
    for isInbound in [false, true] {
      world.run(100)
      let said = try Self.call(world, isInbound: isInbound)
      #expect(world.secondsHeard.far > 9, "inbound \(isInbound)")
      #expect((world.secondsHeard.phone > 9) == combination.canBeHeard || !said.isEmpty, "inbound \(isInbound)")
      #expect(said.count == (world.secondsHeard.phone > 9 ? 0 : 1))
    }
  }

  /// A line on which UDP does not pass: calls are refused in both directions, and one sentence says so until it does.
  @Test func blockedLinesRefuseCallsAndSayWhy() throws {
    let world = Scene { $0.nat = .blocked }
    world.run(30)
    #expect(world.status.uplinks.first?.natType == "blocked")
    #expect(world.verdicts.map(\.code) == ["udpBlocked"])
    for _ in 0..<2 {
      _ = try #require(world.dial(Scene.farNumber))
      world.run(5)
      #expect(world.phoneEnding() != .byUs)
    }
    world.run(300)
    #expect(world.verdicts.count { $0.code == "udpBlocked" } == 1)
    #expect(world.records.allSatisfy { $0.result != "answered" })
  }
}
