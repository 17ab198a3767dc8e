import CallControl
import EmbeddedProvider
import LinkManager
import LinkScenario
import NetworkSimulator
import NetworkTypes
import Testing

/// Every state of a call, and every way in which the address changes under it: what is left is a call that works, or
/// nothing on any side.
@Suite struct MovingScenarios {
  enum Moment: String, CaseIterable {
    case inviteIsOnItsWay, farEndRings, farEndHasJustAnswered
    case phoneIsBeingCalled, phoneRings, phoneHasJustAnswered
    case talking, phoneHoldsNow, phoneHeldBefore, farEndHoldsNow
    case phoneHoldsInTheOutage, phoneHangsUpInTheOutage, farEndHangsUpInTheOutage
    case phoneGivesUpInTheOutage, farEndGivesUpInTheOutage
    case registerIsOnItsWay

    /// Whether the call has to be alive afterwards.
    var survives: Bool {
      switch self {
      case .phoneHangsUpInTheOutage, .farEndHangsUpInTheOutage, .phoneGivesUpInTheOutage, .farEndGivesUpInTheOutage:
        false
      default: true
      }
    }
  }

  enum Change: String, CaseIterable {
    /// No outage at all: the next packet leaves with another address.
    case atOnce
    case shortCut, longCut
    /// The address changes again while the calls are being moved.
    case twice
    /// The first address is back before anything was noticed.
    case backAgain
  }

  @Test(arguments: Moment.allCases, Change.allCases) func moves(moment: Moment, change: Change) throws {
    for isLatching in [false, true] {
      let name = "\(moment), \(change), \(isLatching ? "latching" : "strict")"
      let world = Scene {
        $0.seed = 7
        $0.provider = {
          $0.quirks.latching = isLatching
          $0.farEnds[2].plan.outcome = .answer(after: .seconds(8))
          $0.quirks.knowsRegisteredOnly = true
        }
        $0.phone = { $0.incoming.outcome = .answer(after: .seconds(8)) }
      }
      #expect(world.runUntilRegistered())
      world.run(3)
      prepare(world, moment)
      let isShort = change == .atOnce
      switch change {
      case .atOnce: world.net.apply(.addressChanged(world.router, address("198.51.100.77")))
      case .shortCut, .longCut, .twice, .backAgain: world.net.apply(.lineCut(world.router))
      }
      if isShort { world.run(0.05) } else { world.run(0.7) }
      meanwhile(world, moment)
      switch change {
      case .atOnce: break
      case .shortCut, .longCut:
        world.run(change == .shortCut ? 2 : 45)
        world.net.apply(.addressChanged(world.router, address("198.51.100.77")))
        world.net.apply(.lineRestored(world.router))
      case .twice:
        world.run(2)
        world.net.apply(.addressChanged(world.router, address("198.51.100.77")))
        world.net.apply(.lineRestored(world.router))
        world.run(0.33)
        world.net.apply(.addressChanged(world.router, address("198.51.100.78")))
      case .backAgain:
        world.run(2)
        world.net.apply(.addressChanged(world.router, address("198.51.100.77")))
        world.net.apply(.addressChanged(world.router, address("198.51.100.1")))
        world.net.apply(.lineRestored(world.router))
      }
      world.run(45)
      #expect(world.ghosts == [], "\(name)")
      #expect(world.strayContacts == [], "\(name)")
      #expect(world.trunk?.state == .registered, "\(name)")
      // Nobody can help a call whose first packet was lost, or one of whose ends gave up after 32 s without an answer.
      let isDoomed =
        moment == .phoneIsBeingCalled || (moment == .farEndHoldsNow && change == .atOnce)
        || (change == .longCut && [.inviteIsOnItsWay, .farEndRings, .phoneHoldsNow, .farEndHoldsNow].contains(moment))
      if moment.survives, !isDoomed || !world.status.calls.isEmpty {
        #expect(world.status.calls.map(\.state) == ["answered"], "\(name)")
        if let call = world.phoneCall() { _ = world.withPhone { $0.setHold(call, false, now: $1, into: &$2) } }
        world.run(3)
        for far in world.farCalls { _ = world.withProvider { $0.setHold(far, false, now: $1, into: &$2) } }
        world.run(3)
        #expect(world.hasAudio(), "\(name)")
      } else {
        #expect(world.status.calls.isEmpty, "\(name)")
      }
      if let call = world.phoneCall(), isLatching { world.hangUpPhone(call) }
      for far in world.farCalls where !isLatching { world.hangUpOutside(far) }
      world.run(2)
      #expect(world.ghosts == [], "\(name)")
      #expect(world.status.calls.isEmpty, "\(name)")
      #expect(!world.records.isEmpty || moment == .phoneIsBeingCalled, "\(name)")
      #expect(world.settles(), "\(name)")
      #expect(world.net.faults.isEmpty, "\(name)")
    }
  }

  private func prepare(_ world: Scene, _ moment: Moment) {
    switch moment {
    case .inviteIsOnItsWay:
      _ = world.dial(Scene.farNumber)
      world.run(0.012)
    case .farEndRings, .phoneGivesUpInTheOutage:
      _ = world.dial(Scene.farNumber)
      world.run(2)
    case .farEndHasJustAnswered:
      _ = world.dial(Scene.farNumber)
      world.run(8.055)
    case .phoneIsBeingCalled:
      _ = world.callFromOutside()
      world.run(0.012)
    case .phoneRings, .farEndGivesUpInTheOutage:
      _ = world.callFromOutside()
      world.run(2)
    case .phoneHasJustAnswered:
      _ = world.callFromOutside()
      world.run(8.03)
    case .talking, .phoneHoldsInTheOutage, .phoneHangsUpInTheOutage, .registerIsOnItsWay:
      _ = world.dial(Scene.farNumber)
      world.run(12)
      if moment == .registerIsOnItsWay { world.apply(.registrationAsked(trunk: "main")) }
    case .farEndHangsUpInTheOutage:
      _ = world.callFromOutside()
      world.run(12)
    case .phoneHoldsNow, .phoneHeldBefore:
      _ = world.dial(Scene.farNumber)
      world.run(12)
      if let call = world.phoneCall() { _ = world.withPhone { $0.setHold(call, true, now: $1, into: &$2) } }
      world.run(moment == .phoneHoldsNow ? 0.005 : 3)
    case .farEndHoldsNow:
      _ = world.callFromOutside()
      world.run(12)
      for far in world.farCalls { _ = world.withProvider { $0.setHold(far, true, now: $1, into: &$2) } }
      world.run(0.012)
    }
  }

  private func meanwhile(_ world: Scene, _ moment: Moment) {
    let call = world.phoneCall()
    switch moment {
    case .phoneHoldsInTheOutage: if let call { _ = world.withPhone { $0.setHold(call, true, now: $1, into: &$2) } }
    case .phoneHangsUpInTheOutage, .phoneGivesUpInTheOutage: if let call { world.hangUpPhone(call) }
    case .farEndHangsUpInTheOutage, .farEndGivesUpInTheOutage: for far in world.farCalls { world.hangUpOutside(far) }
    default: break
    }
  }
}

extension Scene {
  var farCalls: [AgentCallID] { net.host(provider, as: ProviderHost.self)?.agent.callIDs ?? [] }

  /// A call that was dialled once more rings for as long as it likes; the old binding does not wait for it.
  @Test func theOldBindingDoesNotWaitForACallThatRings() throws {
    let world = Scene { $0.provider = { $0.quirks.ignoresOptions = true } }
    #expect(world.runUntilRegistered())
    world.run(3)
    _ = try #require(world.dial("+49303333"))
    world.run(2)
    RepairScenarios.cut(world, seconds: 61)
    world.run(12)
    #expect(world.status.calls.count == 1)
    #expect(world.contacts == ["sip:1000@\(RepairScenarios.second):65002"])
  }
}
