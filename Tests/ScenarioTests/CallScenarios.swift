import CallControl
import EmbeddedProvider
import LinkManager
import LinkScenario
import NetworkSimulator
import NetworkTypes
import Testing

@Suite struct CallScenarios {
  /// Packets that the last answered call's record does not tell: the link's own counters of the leg towards the trunk and
  /// of the one towards the phone.
  static func counters(_ world: Scene) -> [(packetsIn: UInt64, packetsOut: UInt64)] {
    world.status.calls.first?.legs.map { ($0.packetsIn, $0.packetsOut) } ?? []
  }

  @Test(arguments: [1, 2, 3] as [UInt64], [true, false])
  func outboundCall(seed: UInt64, callerHangsUp: Bool) throws {
    let world = Scene { $0.seed = seed }
    #expect(world.runUntilRegistered())
    world.run(1)
    let call = try #require(world.dial(Scene.farNumber))
    world.run(1)
    #expect(world.phoneEvents().contains(.ringing(call)))
    world.run(11.5)
    let counts = Self.counters(world)
    #expect(counts.count == 2)
    // 10 s at 50 packets a second.
    #expect(counts.allSatisfy { $0.packetsIn >= 490 && $0.packetsOut >= 490 })
    if callerHangsUp {
      world.hangUpPhone(call)
    } else {
      let far = try #require(world.net.host(world.provider, as: ProviderHost.self)?.agent.callIDs.first)
      world.hangUpOutside(far)
    }
    world.run(1)
    #expect(world.phoneEnding() == (callerHangsUp ? .byUs : .byThem))
    #expect(world.farEnding == (callerHangsUp ? .byThem : .byUs))
    #expect(world.secondsHeard.phone > 9)
    #expect(world.secondsHeard.far > 9)
    let record = try #require(world.records.last)
    #expect(record.direction == "outbound")
    #expect(record.result == "answered")
    #expect(record.endedBy == (callerHangsUp ? "caller" : "callee"))
    #expect(record.to == Scene.farNumber)
    world.run(40)
    #expect(world.leftovers == [])
    #expect(world.trunk?.state == .registered)
    #expect(world.net.faults.isEmpty)
  }

  @Test(arguments: [1, 2, 3] as [UInt64], [true, false])
  func inboundCall(seed: UInt64, callerHangsUp: Bool) throws {
    let world = Scene { $0.seed = seed }
    #expect(world.runUntilRegistered())
    world.run(1)
    let far = try #require(world.callFromOutside())
    world.run(13)
    let call = try #require(world.phoneCall())
    #expect(Self.counters(world).allSatisfy { $0.packetsIn >= 490 && $0.packetsOut >= 490 })
    if callerHangsUp { world.hangUpOutside(far) } else { world.hangUpPhone(call) }
    world.run(1)
    #expect(world.phoneEnding() == (callerHangsUp ? .byThem : .byUs))
    #expect(world.farEnding == (callerHangsUp ? .byUs : .byThem))
    #expect(world.secondsHeard.phone > 9)
    #expect(world.secondsHeard.far > 9)
    let record = try #require(world.records.last)
    #expect(record.direction == "inbound")
    #expect(record.endedBy == (callerHangsUp ? "caller" : "callee"))
    #expect(record.from == "+49301111")
    world.run(40)
    #expect(world.leftovers == [])
    #expect(world.net.faults.isEmpty)
  }

  @Test(arguments: NATBehavior.Dependence.allCases, NATBehavior.Dependence.allCases)
  func callsBehindEveryNAT(mapping: NATBehavior.Dependence, filtering: NATBehavior.Dependence) throws {
    let world = Scene { $0.nat = NATBehavior(mapping: mapping, filtering: filtering, ports: .random) }
    #expect(world.runUntilRegistered())
    world.run(1)
    _ = try #require(world.dial(Scene.farNumber, for: .seconds(5)))
    world.run(9)
    #expect(world.phoneEnding() == .byUs)
    #expect(world.secondsHeard.phone > 4)
    #expect(world.secondsHeard.far > 4)
    let far = try #require(world.callFromOutside(for: .seconds(5)))
    world.run(10)
    #expect(world.providerEvents.contains { $0.event == .answered(far) })
    #expect(world.secondsHeard.phone > 4)
    #expect(world.secondsHeard.far > 4)
    world.run(40)
    #expect(world.leftovers == [])
  }

  /// A plain proxy sends to what SDP and Contact say, so both have to be right. Where the mapping depends on the
  /// destination, nothing that a STUN server says can be.
  @Test(arguments: NATBehavior.Dependence.allCases, [1, 2] as [UInt64])
  func callsWithAStrictProvider(filtering: NATBehavior.Dependence, seed: UInt64) throws {
    let world = Scene {
      $0.seed = seed
      $0.nat = NATBehavior(mapping: .endpointIndependent, filtering: filtering, ports: .random)
      $0.provider = { $0.quirks.latching = false }
    }
    #expect(world.runUntilRegistered())
    world.run(1)
    _ = try #require(world.dial(Scene.farNumber, for: .seconds(5)))
    world.run(9)
    #expect(world.secondsHeard.phone > 4)
    #expect(world.secondsHeard.far > 4)
    _ = try #require(world.callFromOutside(for: .seconds(5)))
    world.run(10)
    #expect(world.farEnding == .byUs)
    #expect(world.secondsHeard.phone > 4)
    #expect(world.secondsHeard.far > 4)
  }

  @Test func telephonesCallEachOther() throws {
    let world = Scene()
    #expect(world.runUntilRegistered())
    world.run(1)
    _ = try #require(world.dial("20", for: .seconds(5)))
    world.run(9)
    #expect(world.phoneEnding(0) == .byUs)
    #expect(world.phoneEnding(1) == .byThem)
    for index in 0...1 {
      #expect(ToneMeter(hertz: Double(Scene.phoneTone)).seconds(in: world.phoneHeard(index)) > 4)
    }
    #expect(world.records.last?.direction == "internal")
    world.run(40)
    #expect(world.leftovers == [])
  }

  @Test(arguments: [true, false]) func heldCallGoesOn(isOutbound: Bool) throws {
    let world = Scene()
    #expect(world.runUntilRegistered())
    world.run(1)
    if isOutbound { _ = world.dial(Scene.farNumber) } else { _ = world.callFromOutside() }
    world.run(5)
    let call = try #require(world.phoneCall())
    _ = world.withPhone { $0.setHold(call, true, now: $1, into: &$2) }
    world.run(5)
    _ = world.withPhone { $0.setHold(call, false, now: $1, into: &$2) }
    world.run(5)
    world.hangUpPhone(call)
    world.run(1)
    // About 13 s of call, 5 of them on hold.
    #expect((6...9).contains(world.secondsHeard.phone))
    #expect(world.secondsHeard.far > 11)
    world.run(40)
    #expect(world.leftovers == [])
  }

  @Test func telephoneKnownByItsAddressNeedsNoPassword() throws {
    let world = Scene {
      $0.phone = { $0.registers = false }
      $0.link = {
        $0.phones[0].password = nil
        $0.phones[0].address = endpoint("192.168.1.20:5060")
      }
    }
    #expect(world.runUntilRegistered())
    world.run(1)
    _ = try #require(world.callFromOutside(for: .seconds(3)))
    world.run(8)
    #expect(world.secondsHeard.phone > 2)
    _ = try #require(world.dial(Scene.farNumber, for: .seconds(3)))
    world.run(8)
    #expect(world.phoneEnding() == .byUs)
    #expect(world.secondsHeard.far > 2)
    // The other telephone has a password and no registration.
    _ = try #require(world.dial("20", for: .seconds(3)))
    world.run(5)
    #expect(world.records.last?.result != "answered")
  }

  @Test func telephoneWithAWrongPasswordGetsNowhere() throws {
    let world = Scene { $0.phone = { $0.password = Redacted("guess") } }
    #expect(world.runUntilRegistered())
    world.run(1)
    #expect(world.status.phones.allSatisfy { $0.contacts.isEmpty })
    _ = try #require(world.dial(Scene.farNumber))
    world.run(5)
    guard case .refused(let status)? = world.phoneEnding() else {
      Testing.Issue.record("the call was not refused: \(String(describing: world.phoneEnding()))")
      return
    }
    #expect([401, 403, 407].contains(status))
    #expect(world.farHeard.isEmpty)
  }

  @Test func manyCallsAtOnce() throws {
    let world = Scene { $0.phone = { $0.mediaPorts = 30000...30099 } }
    #expect(world.runUntilRegistered())
    world.run(1)
    for index in 0..<20 {
      _ = try #require(
        index % 2 == 0 ? world.callFromOutside(for: .seconds(10)) : world.dial(Scene.farNumber, for: .seconds(10)))
      world.run(0.2)
    }
    #expect(world.status.calls.count == 20)
    world.run(20)
    #expect(world.records.count == 20)
    #expect(world.records.allSatisfy { $0.result == "answered" })
    world.run(40)
    #expect(world.leftovers == [])
    #expect(world.net.faults.isEmpty)
  }

  @Test func echoComesBackThroughTheTrunk() throws {
    let world = Scene()
    #expect(world.runUntilRegistered())
    world.run(1)
    _ = try #require(world.dial("*43", for: .seconds(5)))
    world.run(8)
    #expect(ToneMeter(hertz: Double(Scene.phoneTone)).seconds(in: world.phoneHeard()) > 4)
  }

  @Test(arguments: [("+49302222", 486), ("+49309999", 404)])
  func refusalsReachTheTelephone(number: String, status: Int) throws {
    let world = Scene()
    #expect(world.runUntilRegistered())
    world.run(1)
    _ = try #require(world.dial(number))
    world.run(3)
    #expect(world.phoneEnding() == .refused(status))
    #expect(world.records.last?.result == "refused")
    #expect(world.records.last?.status == status)
    world.run(40)
    #expect(world.leftovers == [])
  }

  @Test func unansweredCallsAreTakenBack() throws {
    let world = Scene { $0.phone = { $0.incoming = AnswerPlan(.never) } }
    #expect(world.runUntilRegistered())
    world.run(1)
    let call = try #require(world.dial("+49303333"))
    world.run(5)
    world.hangUpPhone(call)
    world.run(1)
    #expect(world.farEnding == .byThem)
    #expect(world.records.last?.result == "cancelled")
    let far = try #require(world.callFromOutside())
    world.run(5)
    world.hangUpOutside(far)
    world.run(1)
    #expect(world.phoneEnding() == .byThem)
    world.run(40)
    #expect(world.leftovers == [])
  }

  @Test func busyTelephoneIsToldToTheCaller() throws {
    let world = Scene { $0.phone = { $0.incoming = .busy } }
    #expect(world.runUntilRegistered())
    world.run(1)
    _ = try #require(world.callFromOutside())
    world.run(3)
    #expect(world.farEnding == .refused(486))
    world.run(40)
    #expect(world.leftovers == [])
  }

  @Test(arguments: [1, 2, 3, 4, 5, 6] as [UInt64]) func lossyLine(seed: UInt64) throws {
    let world = Scene {
      $0.seed = seed
      $0.line = LinkQuality(delay: .milliseconds(30), jitter: .milliseconds(20), loss: 0.1, duplication: 0.05)
    }
    #expect(world.runUntilRegistered(atMost: 60))
    world.run(5)
    _ = try #require(world.dial(Scene.farNumber, for: .seconds(10)))
    world.run(40)
    #expect(world.phoneEnding() == .byUs)
    #expect(world.farEnding == .byThem)
    #expect(world.secondsHeard.far > 5)
    #expect(world.secondsHeard.phone > 5)
    _ = try #require(world.callFromOutside(for: .seconds(10)))
    world.run(80)
    #expect(world.farEnding == .byUs)
    #expect(world.leftovers == [])
    #expect(world.net.faults.isEmpty)
  }
}
