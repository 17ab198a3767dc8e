import CallControl
import EmbeddedProvider
import LinkManager
import LinkScenario
import NetworkSimulator
import NetworkTypes
import Testing

/// What providers do that differs from each other when a call's address changes, one call up.
@Suite struct ProviderScenarios {
  /// A call is up, the line is gone for 3 s and comes back with another address.
  static func moved(_ change: @escaping (inout ProviderQuirks) -> Void, seconds: Double = 10) throws -> Scene {
    let world = Scene {
      $0.provider = {
        $0.quirks.latching = false
        change(&$0.quirks)
      }
    }
    #expect(world.runUntilRegistered())
    world.run(1)
    _ = try #require(world.dial(Scene.farNumber))
    world.run(6)
    #expect(world.status.calls.map(\.state) == ["answered"])
    RepairScenarios.cut(world, seconds: 3)
    world.run(seconds)
    return world
  }

  /// The call is alive, both sides end it, and nothing is left.
  static func endsWell(_ world: Scene, settles: Bool = true) {
    #expect(world.status.calls.map(\.state) == ["answered"])
    #expect(world.ghosts == [])
    #expect(world.hasAudio())
    if let call = world.phoneCall() { world.hangUpPhone(call) }
    world.run(1)
    #expect(world.farEnding == .byThem)
    if settles { #expect(world.settles()) }
  }

  /// Both sides have ended, and a person can read why.
  static func endedWell(_ world: Scene, _ code: String) {
    #expect(world.status.calls.isEmpty)
    #expect(world.ghosts == [])
    #expect(world.verdicts.contains { $0.code == code && $0.callID == world.records.first?.id })
    #expect(world.records.first?.endedBy == "trunkline")
    #expect(world.phoneEnding() == .byThem)
    #expect(world.settles())
  }

  @Test func onlyRegisteredAddressesAreHeardAndReinvitesAreChallenged() throws {
    let world = try Self.moved {
      $0.knowsRegisteredOnly = true
      $0.challengesReinvites = true
      $0.staleNonceEvery = 2
    }
    Self.endsWell(world)
  }

  @Test(arguments: [[491], [500], [408], [503], [100], [491, 500, 408], [403, 403]])
  func laterMeansLater(answers: [Int]) throws {
    let world = try Self.moved({ $0.reinviteAnswers = answers }, seconds: answers == [100] ? 50 : 25)
    // A provider that never answers keeps its transaction for ever.
    Self.endsWell(world, settles: answers != [100])
  }

  @Test(arguments: [481, 404]) func aCallThatTheProviderForgotEndsOnBothSides(status: Int) throws {
    let world = try Self.moved({ $0.reinviteAnswers = [status] }, seconds: 3)
    #expect(world.status.calls.isEmpty)
    #expect(world.verdicts.contains { $0.code == "callUnknownAfterMove" })
    #expect(world.phoneEnding() == .byThem)
    #expect(world.records.first?.endedBy == "trunkline")
  }

  @Test func aRefusalEndsACallThatNobodyHears() throws {
    let world = try Self.moved { $0.reinviteAnswers = [488] }
    Self.endedWell(world, "callRefusedAfterMove")
  }

  @Test func aRefusalIsNothingWhereThePacketsFindUs() throws {
    let world = try Self.moved {
      $0.latching = true
      $0.reinviteAnswers = [488]
    }
    Self.endsWell(world)
  }

  @Test func ninetySecondsOfLaterAreEnough() throws {
    let world = try Self.moved({ $0.reinviteAnswers = Array(repeating: 500, count: 100) }, seconds: 80)
    #expect(world.status.calls.map(\.state) == ["answered"])
    world.run(25)
    Self.endedWell(world, "callUnansweredAfterMove")
  }

  @Test func aProviderThatIsSilentForAMinuteFindsTheCallStillThere() throws {
    let world = Scene { $0.provider = { $0.quirks.latching = false } }
    #expect(world.runUntilRegistered())
    world.run(1)
    _ = try #require(world.dial(Scene.farNumber))
    world.run(6)
    world.net.apply(.nodeDeafened(world.provider))
    RepairScenarios.cut(world, seconds: 3)
    world.run(60)
    #expect(world.status.calls.map(\.state) == ["answered"])
    world.net.apply(.nodeHears(world.provider))
    world.run(8)
    Self.endsWell(world)
  }

  @Test func aFarEndThatLatchesOnceDoesSoAgainAfterAReinvite() throws {
    let world = try Self.moved {
      $0.latching = true
      $0.latchesOnce = true
    }
    let gaps = RepairScenarios.gaps(world, outage: 3)
    #expect(gaps.far.allSatisfy { $0 <= 1 } && gaps.far.count == 1)
    #expect(gaps.phone.allSatisfy { $0 <= 1 } && gaps.phone.count == 1)
    Self.endsWell(world)
  }

  @Test(arguments: [true, false], [true, false]) func eitherEndHangsUpAfterTheChange(isLatching: Bool, byPhone: Bool)
    throws
  {
    let world = try Self.moved({ $0.latching = isLatching }, seconds: 2)
    if byPhone, let call = world.phoneCall() { world.hangUpPhone(call) }
    if !byPhone { for far in world.farCalls { world.hangUpOutside(far) } }
    world.run(0.5)
    #expect(world.farEnding == (byPhone ? .byThem : .byUs))
    #expect(world.phoneEnding() == (byPhone ? .byUs : .byThem))
    #expect(world.status.calls.isEmpty)
    #expect(world.settles())
  }

  @Test func tenChangesDuringOneCall() throws {
    let world = Scene { $0.provider = { $0.quirks.latching = false } }
    #expect(world.runUntilRegistered())
    _ = try #require(world.callFromOutside())
    world.run(6)
    for round in 1...10 {
      RepairScenarios.cut(world, seconds: 2, address: "198.51.100.\(20 + round)")
      world.run(28)
      #expect(world.hasAudio(), "round \(round)")
      #expect(world.contacts == ["sip:1000@198.51.100.\(20 + round):65002"])
    }
    #expect(world.ghosts == [])
  }

  // MARK: Registrars

  @Test func registrarsOfEveryKindHaveTheNewContactAfterwards() throws {
    let quirks: [(name: String, change: (inout ProviderQuirks) -> Void)] = [
      ("rewrites", { $0.rewritesContacts = true }), ("single", { $0.singleBinding = true }),
      ("grants 30 s", { $0.grantedExpires = 30 }), ("wants 600 s", { $0.minExpires = 600 }),
      ("stale", { $0.staleNonceEvery = 2 }),
      (
        "lists others'",
        { $0.foreignContacts = ["<sip:1000@192.0.2.7:5060>;expires=3000", "<sip:77@192.0.2.8>;expires=20"] }
      ),
    ]
    for quirk in quirks {
      let world = try Self.moved(quirk.change)
      #expect(world.isRegisteredFor(60), "\(quirk.name)")
      #expect(world.contacts.first == "sip:1000@\(RepairScenarios.second):65002", "\(quirk.name)")
      // A registrar that writes contacts as it sees them can be asked to remove the present one only.
      #expect(world.contacts.count == (quirk.name == "rewrites" ? 2 : 1), "\(quirk.name)")
      // Who registers every 24 s is never without a transaction.
      Self.endsWell(world, settles: quirk.name != "grants 30 s")
    }
  }

  @Test func theOldBindingGoesAfterTheCallHasMoved() throws {
    let world = Scene { $0.provider = { $0.quirks.latching = false } }
    #expect(world.runUntilRegistered())
    _ = try #require(world.dial(Scene.farNumber))
    world.run(6)
    let start = world.elapsed
    RepairScenarios.cut(world, seconds: 1)
    world.run(5)
    var order: [String] = []
    for packet in world.sent(.sip, after: start, port: 65002).map(\.packet) {
      let text = String(decoding: packet.bytes, as: UTF8.self)
      guard text.contains(RepairScenarios.second) else { continue }
      let kind =
        text.hasPrefix("REGISTER")
        ? text.contains(">;expires=0") ? "remove" : "register" : text.hasPrefix("INVITE") ? "move" : ""
      if !kind.isEmpty, order.last != kind { order.append(kind) }
    }
    #expect(order == ["register", "move", "remove"])
  }
}
