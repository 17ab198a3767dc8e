import EmbeddedProvider
import NetworkSimulator
import NetworkTypes
import Testing

@Suite struct CallTests {
  static let tone = CallScript(sound: .tone(hertz: 440), records: true)

  @Test func registersAndStaysRegistered() {
    let world = ProviderWorld(phone: { $0.expires = .seconds(60) })
    world.run(1)
    #expect(world.phoneEvents.contains(.registered(expires: .seconds(60))))
    #expect(world.contacts == ["sip:1000@192.168.1.20:5060"])
    world.run(600)
    #expect(world.contacts.count == 1)
    let registers = world.providerEvents.filter { if case .registerReceived = $0 { true } else { false } }.count
    #expect((10...40).contains(registers))
    #expect(world.net.faults.isEmpty)
  }

  @Test func wrongPasswordIsToldAndNotHammered() {
    let world = ProviderWorld(password: "guess")
    world.run(60)
    #expect(world.contacts.isEmpty)
    #expect(world.phoneEvents.contains { if case .registrationFailed = $0 { true } else { false } })
    let first = world.providerEvents.filter { if case .registerReceived = $0 { true } else { false } }.count
    #expect((2...4).contains(first))
    world.run(600)
    let all = world.providerEvents.filter { if case .registerReceived = $0 { true } else { false } }.count
    #expect(all - first <= 4)
  }

  @Test func echoCallHearsItself() throws {
    let world = ProviderWorld()
    world.run(1)
    _ = try #require(world.dial("*43", CallScript(sound: .tone(hertz: 440), records: true, hangUpAfter: .seconds(10))))
    world.run(12)
    #expect(world.phoneEnding == .byUs)
    #expect(world.providerEnding == .byThem)
    let heard = world.phoneHeard
    #expect((70_000...84_000).contains(heard.count))
    #expect(share(of: 440, in: heard.dropFirst(4000)) > 0.8)
    #expect(share(of: 1000, in: heard) < 0.05)
    world.run(40)
    #expect(world.isQuiet)
    #expect(world.net.faults.isEmpty)
  }

  @Test func toneServiceIsHeard() throws {
    let world = ProviderWorld()
    world.run(1)
    let call = try #require(world.dial("*44", CallScript(records: true)))
    world.run(5)
    world.hangUpPhone(call)
    world.run(1)
    #expect(share(of: 440, in: world.phoneHeard.dropFirst(4000)) > 0.8)
  }

  @Test func farEndAndPhoneHearEachOther() throws {
    let world = ProviderWorld()
    world.run(1)
    let call = try #require(world.dial("+49301111", Self.tone))
    world.run(12)
    #expect(world.phoneEvents.contains(.ringing(call)))
    world.hangUpPhone(call)
    world.run(1)
    #expect(share(of: 1000, in: world.phoneHeard.dropFirst(4000)) > 0.8)
    #expect(share(of: 440, in: world.providerHeard.dropFirst(4000)) > 0.8)
  }

  @Test(arguments: [("+49302222", 486), ("+49309999", 404), ("+49304444", 408)])
  func refusalsReachTheCaller(number: String, status: Int) throws {
    let world = ProviderWorld()
    world.run(1)
    _ = try #require(world.dial(number, Self.tone))
    world.run(35)
    #expect(world.phoneEnding == .refused(status))
    world.run(40)
    #expect(world.phoneHost.agent.mediaPortsInUse == 0)
    #expect(world.phoneHost.agent.transactionCount == 0)
  }

  @Test func unansweredCallIsTakenBack() throws {
    let world = ProviderWorld()
    world.run(1)
    let call = try #require(world.dial("+49303333", Self.tone))
    world.run(5)
    #expect(world.phoneEvents.contains(.ringing(call)))
    world.hangUpPhone(call)
    world.run(1)
    #expect(world.phoneEnding == .byUs)
    #expect(world.providerEnding == .byThem)
    world.run(40)
    #expect(world.isQuiet)
  }

  @Test(arguments: [false, true]) func inboundCall(callerHangsUp: Bool) throws {
    let world = ProviderWorld()
    world.run(1)
    let script = CallScript(
      sound: .tone(hertz: 1000), records: true, hangUpAfter: callerHangsUp ? .seconds(10) : nil)
    _ = try #require(world.placeCall(script))
    world.run(9)
    let call = try #require(world.phoneHost.agent.callIDs.first)
    if !callerHangsUp { world.hangUpPhone(call) }
    world.run(5)
    #expect(world.phoneEnding == (callerHangsUp ? .byThem : .byUs))
    #expect(world.providerEnding == (callerHangsUp ? .byUs : .byThem))
    #expect(share(of: 1000, in: world.phoneHeard.dropFirst(4000)) > 0.8)
    #expect(share(of: 440, in: world.providerHeard.dropFirst(4000)) > 0.8)
    world.run(40)
    #expect(world.isQuiet)
  }

  @Test(arguments: NATBehavior.Dependence.allCases, NATBehavior.Dependence.allCases)
  func latchingProviderServesEveryNAT(
    mapping: NATBehavior.Dependence, filtering: NATBehavior.Dependence
  ) throws {
    let world = ProviderWorld(nat: NATBehavior(mapping: mapping, filtering: filtering, ports: .random))
    world.run(1)
    #expect(world.contacts.count == 1)
    _ = try #require(
      world.dial("*43", CallScript(sound: .tone(hertz: 440), records: true, hangUpAfter: .seconds(4))))
    world.run(6)
    #expect(world.phoneEnding == .byUs)
    #expect(share(of: 440, in: world.phoneHeard.dropFirst(8000)) > 0.8)
    _ = try #require(world.placeCall(CallScript(sound: .tone(hertz: 1000), records: true, hangUpAfter: .seconds(4))))
    world.run(8)
    #expect(share(of: 1000, in: world.phoneHeard.dropFirst(8000)) > 0.8)
  }

  @Test func strictProviderCannotReachAPrivateContact() throws {
    let world = ProviderWorld(provider: { $0.quirks.latching = false })
    world.run(1)
    #expect(world.contacts.count == 1)
    _ = try #require(world.placeCall(Self.tone))
    world.run(35)
    #expect(world.providerEnding == .refused(408))
    let call = try #require(world.dial("+49301111", Self.tone))
    world.run(6)
    world.hangUpPhone(call)
    world.run(1)
    // Our packets get out, but nothing is sent to where they come from.
    #expect(world.phoneHeard.allSatisfy { abs(Int($0)) < 100 })
  }

  @Test func strictProviderServesAPublicPhone() throws {
    let world = ProviderWorld(nat: .open, office: "192.0.2", provider: { $0.quirks.latching = false })
    world.run(1)
    _ = try #require(world.placeCall(CallScript(sound: .tone(hertz: 1000), records: true, hangUpAfter: .seconds(5))))
    world.run(10)
    #expect(share(of: 1000, in: world.phoneHeard.dropFirst(4000)) > 0.8)
    #expect(share(of: 440, in: world.providerHeard.dropFirst(4000)) > 0.8)
  }

  @Test func wayInClosesWithoutTraffic() throws {
    var behavior = NATBehavior.portRestrictedCone
    behavior.lifetime = .seconds(30)
    let idle = ProviderWorld(nat: behavior, phone: { $0.expires = .seconds(3600) })
    idle.run(300)
    #expect(idle.contacts.count == 1)
    _ = try #require(idle.placeCall(Self.tone))
    idle.run(35)
    #expect(idle.providerEnding == .refused(408))
    let busy = ProviderWorld(nat: behavior, phone: { $0.expires = .seconds(25) })
    busy.run(300)
    let call = try #require(busy.placeCall(Self.tone))
    busy.run(5)
    #expect(busy.providerEvents.contains(.answered(call)))
  }

  @Test(arguments: [1, 2, 3, 4] as [UInt64]) func lossyLineStillSetsUp(seed: UInt64) throws {
    let line = LinkQuality(delay: .milliseconds(20), jitter: .milliseconds(10), loss: 0.1, duplication: 0.05)
    let world = ProviderWorld(seed: seed, line: line)
    world.run(30)
    #expect(world.contacts.count == 1)
    _ = try #require(
      world.dial("*43", CallScript(sound: .tone(hertz: 440), records: true, hangUpAfter: .seconds(10))))
    world.run(30)
    #expect(world.phoneEnding == .byUs)
    #expect(share(of: 440, in: world.phoneHeard.dropFirst(8000)) > 0.5)
    world.run(60)
    #expect(world.isQuiet)
  }

  @Test func heldCallIsSilentOneWayUntilTakenBack() throws {
    let world = ProviderWorld()
    world.run(1)
    let call = try #require(world.dial("+49301111", Self.tone))
    world.run(4)
    world.setHold(call, true)
    world.run(5)
    world.setHold(call, false)
    world.run(5)
    world.hangUpPhone(call)
    world.run(1)
    // 12 s of call, 5 of them on hold: the far end plays nothing to a side that does not listen.
    let heard = ToneMeter(hertz: 1000).seconds(in: world.phoneHeard)
    #expect((6...8).contains(heard))
    #expect(ToneMeter(hertz: 440).seconds(in: world.providerHeard) > 10)
    world.run(40)
    #expect(world.isQuiet)
  }

  @Test func takenMediaPortsAreSkipped() throws {
    let world = ProviderWorld(phone: { $0.mediaPorts = 30000...30003 })
    world.net.withHost(world.phone, as: PhoneHost.self) { _, _, actions in
      actions.append(.openSocket(77, local: endpoint("192.168.1.20:30000")))
    }
    world.run(1)
    _ = try #require(
      world.dial("*43", CallScript(sound: .tone(hertz: 440), records: true, hangUpAfter: .seconds(3))))
    world.run(5)
    #expect(share(of: 440, in: world.phoneHeard.dropFirst(8000)) > 0.8)
    #expect(world.phoneHost.agent.mediaPortsInUse == 0)
  }

  @Test(arguments: [1, 7] as [UInt64]) func oneSeedGivesOneCall(seed: UInt64) throws {
    func digest(_ seed: UInt64) throws -> UInt64 {
      let world = ProviderWorld(seed: seed, line: LinkQuality(jitter: .milliseconds(20), loss: 0.05))
      world.run(5)
      _ = world.dial("*43", CallScript(sound: .tone(hertz: 440), records: true, hangUpAfter: .seconds(3)))
      world.run(40)
      return world.net.trace.digest
    }
    let first = try digest(seed)
    #expect(try digest(seed) == first)
    #expect(try digest(seed + 1) != first)
  }
}
