import CallControl
import EmbeddedProvider
import LinkManager
import LinkScenario
import MediaRelay
import NetworkSimulator
import NetworkTypes
import Testing

/// Calls that are up when the line is cut and comes back with another address.
@Suite struct RepairScenarios {
  static let second = "198.51.100.77"

  /// The line is cut for that long and comes back with another address.
  static func cut(_ world: Scene, seconds: Double, address text: String = second) {
    world.net.apply(.lineCut(world.router))
    world.run(seconds)
    world.net.apply(.addressChanged(world.router, address(text)))
    world.net.apply(.lineRestored(world.router))
  }

  /// Seconds of silence beyond the outage, as each far end and each telephone heard it.
  static func gaps(_ world: Scene, outage: Double) -> (far: [Double], phone: [Double]) {
    let beyond = { (events: [MediaEvent]) in
      events.compactMap { event -> Double? in
        if case .heard(_, let gap) = event { gap.inSeconds - outage } else { nil }
      }
    }
    let phone = world.net.host(world.phones[0], as: PhoneHost.self)?.mediaEvents ?? []
    return (beyond(world.net.host(world.provider, as: ProviderHost.self)?.mediaEvents ?? []), beyond(phone))
  }

  @Test(arguments: [false, true], [1.0, 5.0, 60.0])
  func twentyCallsGoOn(isLatching: Bool, outage: Double) throws {
    let world = Scene { $0.provider = { $0.quirks.latching = isLatching } }
    #expect(world.runUntilRegistered())
    world.run(1)
    for index in 0..<20 {
      _ = try #require(index % 2 == 0 ? world.callFromOutside() : world.dial(Scene.farNumber))
      world.run(0.2)
    }
    world.run(5)
    #expect(world.status.calls.count { $0.state == "answered" } == 20)
    Self.cut(world, seconds: outage)
    world.run(5)
    #expect(world.status.calls.count { $0.state == "answered" } == 20)
    let gaps = Self.gaps(world, outage: outage)
    let limit = isLatching ? 0.1 : 1.0
    #expect(gaps.far.count == 20)
    #expect(gaps.phone.count == 20)
    #expect(gaps.far.allSatisfy { $0 <= limit }, "\(gaps.far.max() ?? 0)")
    #expect(gaps.phone.allSatisfy { $0 <= limit }, "\(gaps.phone.max() ?? 0)")
    #expect(world.contacts == ["sip:1000@\(Self.second):65002"])
    for call in world.net.host(world.provider, as: ProviderHost.self)?.agent.callIDs ?? [] { world.hangUpOutside(call) }
    world.run(1)
    #expect(world.status.calls.count == 0)
    #expect(world.records.count == 20)
    world.run(40)
    #expect(world.leftovers == [])
  }
}
