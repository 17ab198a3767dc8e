import CallControl
import EmbeddedProvider
import LinkManager
import LinkScenario
import NetworkSimulator
import NetworkTypes
import Testing

/// One end of a call loses its power, and no BYE ever comes; or it is only silent.
@Suite struct PulseScenarios {
  /// A call with sound both ways.
  private static func talking(
    isOutbound: Bool = true, _ change: (inout Scene.Plan) -> Void = { _ in }
  ) throws -> Scene {
    let world = Scene(change)
    #expect(world.runUntilRegistered())
    world.run(1)
    if isOutbound {
      _ = try #require(world.dial(Scene.farNumber))
    } else {
      _ = try #require(world.callFromOutside())
    }
    world.run(12)
    #expect(world.status.calls.map(\.state) == ["answered"])
    #expect(world.hasAudio())
    return world
  }

  /// Runs until the link has no call any more; how many seconds that took, or more than `limit`.
  private static func secondsUntilOver(_ world: Scene, atMost limit: Int) -> Int {
    for second in 0...limit {
      if world.status.calls.isEmpty { return second }
      world.run(1)
    }
    return limit + 1
  }

  /// Whether all of these have nothing left of the call at some moment of the next minute.
  private static func isClear(_ world: Scene, of places: [String]) -> Bool {
    for _ in 0..<60 {
      if !world.leftovers.contains(where: { left in places.contains { left.hasPrefix($0) } }) { return true }
      world.run(1)
    }
    return false
  }

  /// The call was ended for want of one end, and that alone was told.
  private static func isTold(_ world: Scene, _ codes: [VerdictCode] = [.endGone]) throws {
    let record = try #require(world.records.last)
    #expect(world.records.count == 1)
    #expect(record.result == "answered")
    #expect(record.endedBy == "trunkline")
    let verdicts = world.verdicts.filter { $0.code == VerdictCode.endGone.rawValue }
    #expect(verdicts.map(\.callID) == [record.id], "\(world.verdicts)")
    #expect(Set(world.verdicts.map(\.code)) == Set(codes.map(\.rawValue)))
    LogScenarios.check(world)
  }

  private static func mute(_ world: Scene, _ node: NodeID) {
    world.net.apply(.nodeFiltersChanged(node, [PacketFilter(.rtp, isOutward: true)]))
  }

  private static func questions(_ world: Scene, to host: String) -> Int {
    world.sent(.sip).count { packet in
      packet.packet.bytes.starts(with: Array("OPTIONS ".utf8))
        && packet.packet.destination.address == LinkScenario.address(host)
        && String(decoding: packet.packet.bytes, as: UTF8.self).contains("To: ")
        && String(decoding: packet.packet.bytes, as: UTF8.self).split(separator: "\r\n").contains {
          $0.hasPrefix("To: ") && $0.contains(";tag=")
        }
    }
  }

  // MARK: Gone

  @Test(arguments: [true, false]) func aPhoneLosesItsPower(isOutbound: Bool) throws {
    let world = try Self.talking(isOutbound: isOutbound)
    world.net.apply(.nodeDisconnected(world.phones[0]))
    let seconds = Self.secondsUntilOver(world, atMost: 90)
    #expect((60...70).contains(seconds))
    world.run(1)
    #expect(world.farEnding == .byThem)
    try Self.isTold(world)
    #expect(Self.isClear(world, of: ["link", "provider"]))
    #expect(world.net.faults.isEmpty)
  }

  @Test func aPhoneIsBackWithoutMemory() throws {
    let world = try Self.talking { plan in plan.phone = { $0.optionsStatus = 481 } }
    world.net.apply(.nodeDisconnected(world.phones[0]))
    world.run(20)
    Self.mute(world, world.phones[0])
    world.net.apply(.nodeConnected(world.phones[0]))
    #expect(Self.secondsUntilOver(world, atMost: 40) <= 15)
    world.run(1)
    #expect(world.farEnding == .byThem)
    try Self.isTold(world)
    #expect(Self.isClear(world, of: ["link", "provider"]))
  }

  /// The provider passes OPTIONS on: nobody answers, it answers itself, or it has forgotten the call.
  @Test(arguments: [(0, 70), (408, 40), (481, 40)], [true, false])
  func theFarEndLosesItsPower(answer: (status: Int, limit: Int), isOutbound: Bool) throws {
    let world = try Self.talking(isOutbound: isOutbound)
    // The link knows by now that this provider answers OPTIONS.
    world.run(60)
    world.changeProvider { $0.quirks.optionsInCalls = answer.status }
    Self.mute(world, world.provider)
    let seconds = Self.secondsUntilOver(world, atMost: 120)
    #expect((25...answer.limit).contains(seconds))
    world.run(1)
    #expect(world.phoneEnding() == .byThem)
    try Self.isTold(world)
    #expect(Self.isClear(world, of: ["link", "phone"]))
    #expect(world.net.faults.isEmpty)
  }

  @Test(arguments: [true, false]) func theWholeProviderLosesItsPower(answersOptions: Bool) throws {
    let world = try Self.talking { plan in plan.provider = { $0.quirks.ignoresOptions = !answersOptions } }
    world.run(60)
    world.net.apply(.nodeDisconnected(world.provider))
    // One that is known to answer no OPTIONS is asked by re-INVITE as well.
    let seconds = Self.secondsUntilOver(world, atMost: 400)
    #expect(seconds <= (answersOptions ? 75 : 260), "\(seconds)")
    world.run(1)
    #expect(world.phoneEnding() == .byThem)
    #expect(world.verdicts.count { $0.code == VerdictCode.endGone.rawValue } == 1)
    #expect(world.records.map(\.endedBy) == ["trunkline"])
    #expect(Self.isClear(world, of: ["phone"]))
  }

  @Test func bothEndsAreGone() throws {
    let world = try Self.talking()
    world.run(60)
    world.changeProvider { $0.quirks.optionsInCalls = 0 }
    Self.mute(world, world.provider)
    world.net.apply(.nodeDisconnected(world.phones[0]))
    #expect((60...70).contains(Self.secondsUntilOver(world, atMost: 120)))
    world.run(1)
    try Self.isTold(world)
    #expect(Self.isClear(world, of: ["link", "provider"]))
  }

  @Test func aPhoneInTheOfficeLosesItsPower() throws {
    let world = Scene()
    #expect(world.runUntilRegistered())
    world.run(1)
    _ = try #require(world.dial("20"))
    world.run(12)
    world.net.apply(.nodeDisconnected(world.phones[1]))
    #expect((60...70).contains(Self.secondsUntilOver(world, atMost: 120)))
    world.run(1)
    #expect(world.phoneEnding() == .byThem)
    try Self.isTold(world)
    #expect(Self.isClear(world, of: ["link", "phone 0"]))
  }

  /// A held phone sends nothing, and so its death takes longer to notice.
  @Test(arguments: [true, false]) func aHeldPhoneLosesItsPower(hasMusic: Bool) throws {
    let world = try Self.talking()
    let far = try #require(world.net.host(world.provider, as: ProviderHost.self)?.agent.callIDs.first)
    _ = world.withProvider { $0.setHold(far, true, now: $1, into: &$2) }
    world.run(2)
    if !hasMusic { Self.mute(world, world.provider) }
    world.net.apply(.nodeDisconnected(world.phones[0]))
    #expect((300...370).contains(Self.secondsUntilOver(world, atMost: 500)))
    world.run(1)
    #expect(world.farEnding == .byThem)
    try Self.isTold(world)
    #expect(Self.isClear(world, of: ["link", "provider"]))
  }

  // MARK: Only silent

  @Test func soundThatGoesOnCostsNothing() throws {
    let world = try Self.talking()
    world.run(200)
    #expect(Self.questions(world, to: "192.168.1.20") == 0)
    #expect(Self.questions(world, to: "203.0.113.10") == 0)
  }

  @Test(arguments: [200, 405, 501, 488]) func aMutedPhoneKeepsItsCall(status: Int) throws {
    let world = try Self.talking { plan in plan.phone = { $0.optionsStatus = status } }
    Self.mute(world, world.phones[0])
    world.run(600)
    #expect(world.status.calls.map(\.state) == ["answered"])
    #expect(world.verdicts.isEmpty, "\(world.verdicts)")
    #expect((9...11).contains(Self.questions(world, to: "192.168.1.20")))
    #expect(Self.questions(world, to: "203.0.113.10") == 0)
    world.net.apply(.nodeFiltersChanged(world.phones[0], []))
    #expect(world.hasAudio())
    world.hangUpPhone(try #require(world.phoneCall()))
    world.run(1)
    #expect(world.farEnding == .byThem)
    #expect(world.records.map(\.endedBy) == ["caller"])
    #expect(world.settles())
  }

  /// Whatever the provider thinks of OPTIONS; 0 stands for one that never answers any.
  @Test(arguments: [200, 405, 0]) func aMutedFarEndKeepsItsCall(status: Int) throws {
    let world = try Self.talking { plan in
      plan.provider = {
        $0.quirks.ignoresOptions = status == 0
        $0.quirks.optionsInCalls = status
      }
    }
    Self.mute(world, world.provider)
    world.run(600)
    #expect(world.status.calls.map(\.state) == ["answered"])
    #expect(world.verdicts.isEmpty, "\(world.verdicts)")
    #expect(Self.questions(world, to: "203.0.113.10") >= (status == 0 ? 2 : 9))
    world.net.apply(.nodeFiltersChanged(world.provider, []))
    #expect(world.hasAudio())
    world.hangUpPhone(try #require(world.phoneCall()))
    world.run(1)
    #expect(world.farEnding == .byThem)
    #expect(world.settles())
  }

  @Test(arguments: [true, false]) func aHeldCallGoesOn(isByPhone: Bool) throws {
    let world = try Self.talking()
    if isByPhone {
      let call = try #require(world.phoneCall())
      _ = world.withPhone { $0.setHold(call, true, now: $1, into: &$2) }
    } else {
      let far = try #require(world.net.host(world.provider, as: ProviderHost.self)?.agent.callIDs.first)
      _ = world.withProvider { $0.setHold(far, true, now: $1, into: &$2) }
    }
    world.run(2)
    Self.mute(world, isByPhone ? world.phones[0] : world.provider)
    world.run(1000)
    #expect(world.status.calls.map(\.state) == ["answered"])
    #expect(world.verdicts.isEmpty, "\(world.verdicts)")
  }

  // MARK: The line

  /// What the line does is no end's fault, whether or not somebody was silent before; `mute` seconds before the cut.
  @Test(arguments: [nil, 5, 28, 30, 31, 33, 45, 58, 61] as [Double?], [20, 60, 100] as [Double])
  func aCutEndsNoCall(mute: Double?, length: Double) throws {
    for isNew in [true, false] {
      for isOutbound in [true, false] {
        let world = try Self.talking(isOutbound: isOutbound)
        if let mute {
          Self.mute(world, isOutbound ? world.provider : world.phones[0])
          world.run(mute)
        }
        world.net.apply(.lineCut(world.router))
        world.run(length)
        if isNew { world.net.apply(.addressChanged(world.router, address("198.51.100.77"))) }
        world.net.apply(.lineRestored(world.router))
        world.run(150)
        let name = "mute \(mute ?? 0), cut of \(length) s, \(isNew ? "new" : "same") address"
        #expect(world.status.calls.map(\.state) == ["answered"], "\(name): \(world.verdicts.map(\.code))")
        #expect(!world.verdicts.contains { $0.code == VerdictCode.endGone.rawValue }, "\(name)")
        #expect(world.ghosts == [], "\(name)")
      }
    }
  }

  /// The router is the phones' switch as well, and starts anew.
  @Test func aRouterThatStartsAnewEndsNoCall() throws {
    let world = try Self.talking()
    world.net.apply(.lineCut(world.router))
    world.net.apply(.nodeDisconnected(world.phones[0]))
    world.run(120)
    world.net.apply(.nodeConnected(world.phones[0]))
    world.net.apply(.addressChanged(world.router, address("198.51.100.77")))
    world.net.apply(.lineRestored(world.router))
    world.run(100)
    #expect(world.status.calls.map(\.state) == ["answered"])
    #expect(world.hasAudio())
  }
}
