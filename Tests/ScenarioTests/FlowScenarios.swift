import EmbeddedProvider
import LinkManager
import LinkScenario
import NetworkSimulator
import NetworkTypes
import Testing

/// Behind a NAT that maps each destination to another port, what a STUN server saw does not lead back to us: the contact is
/// what the provider saw.
@Suite struct FlowScenarios {
  @Test(arguments: [1, 2, 3] as [UInt64]) func aStrictProviderReachesUsBehindASymmetricNAT(seed: UInt64) throws {
    let scene = Scene { plan in
      plan.seed = seed
      plan.nat = .symmetric
      plan.provider = { $0.quirks.latching = false }
    }
    #expect(scene.runUntilRegistered())
    scene.run(5)
    let mapping = try #require(scene.status.uplinks.first?.publicAddress)
    let contact = try #require(scene.contacts.first)
    #expect(contact.contains("198.51.100.1:") && !contact.hasSuffix(":\(mapping.port)"))
    #expect(scene.contacts.count == 1, "the contact that STUN saw is removed again")
    #expect(scene.callFromOutside() != nil)
    #expect(scene.waitForCall(state: "answered", atMost: 10))
  }

  @Test func withAnEndpointIndependentMappingNothingIsRegisteredTwice() {
    let scene = Scene()
    #expect(scene.runUntilRegistered())
    scene.run(30)
    #expect(scene.registerTimes.count == 2, "the challenged one and the answer")
  }

  @Test func aNewAddressIsFollowedByTheNewFlow() {
    let scene = Scene { $0.nat = .symmetric }
    #expect(scene.runUntilRegistered())
    scene.net.plan(.addressChanged(scene.router, address("198.51.100.77")), after: .seconds(20))
    scene.run(90)
    #expect(scene.trunk?.state == .registered)
    #expect(scene.contacts.first?.contains("198.51.100.77:") == true)
  }

  /// A challenge shows the flow: what the provider first has is where it reaches us.
  @Test(arguments: [1, 2, 3] as [UInt64]) func aCallAtOnceReachesUsBehindASymmetricNAT(seed: UInt64) throws {
    let scene = Scene { plan in
      plan.seed = seed
      plan.nat = .symmetric
      plan.provider = { $0.quirks.latching = false }
    }
    #expect(scene.runUntilRegistered())
    _ = try #require(scene.callFromOutside())
    #expect(scene.waitForCall(state: "answered", atMost: 10))
    #expect(scene.registerTimes.count == 2, "the challenged one and the answer")
  }

  /// SIP goes on all the time, and the router's row to the STUN server is reminded all the same.
  @Test func trafficToTheProviderLeavesTheServersRowAlive() throws {
    let scene = Scene { plan in
      plan.nat = .symmetric
      plan.nat.lifetime = .seconds(30)
    }
    #expect(scene.runUntilRegistered())
    scene.run(5)
    for _ in 0..<30 {
      _ = try #require(scene.dial("+49302222"))
      scene.run(3)
    }
    #expect(!scene.logs.contains { $0.contains("the public address has changed") })
  }

  /// The router has lost its rows and the line has the address that it had: only the provider sees another port.
  @Test(arguments: [false, true]) func aRebootThatKeepsTheAddressIsNoticedByTheFlow(isRinging: Bool) throws {
    let scene = Scene { plan in
      plan.nat = .symmetric
      plan.provider = { $0.quirks.ignoresOptions = true }
    }
    #expect(scene.runUntilRegistered())
    scene.run(10)
    if isRinging {
      _ = try #require(scene.dial("+49303333"))
      scene.run(2)
    }
    scene.net.apply(.lineCut(scene.router))
    // Long enough that an idle link notices, and not so long that nobody would ask whether a call is still there.
    scene.run(20)
    scene.net.apply(.rebooted(scene.router))
    scene.net.apply(.lineRestored(scene.router))
    scene.run(3)
    if isRinging {
      // It was taken back and dialled once more, so that its end is heard.
      let calls = scene.net.host(scene.provider, as: ProviderHost.self)?.agent.callIDs ?? []
      #expect(calls.count == 1)
      for call in calls { scene.hangUpOutside(call) }
      scene.run(2)
      #expect(scene.status.calls.isEmpty)
    }
    _ = try #require(scene.callFromOutside())
    #expect(scene.waitForCall(state: "answered", atMost: 10))
  }

  /// The address changes while the rows of live calls are new, and the router keeps them: the STUN server answers the media
  /// ports, whose rows to the far side are dead.
  @Test func mediaPortsWithDeadRowsToTheFarSideAloneAreReplaced() throws {
    let scene = Scene { plan in
      plan.nat = .symmetric
      plan.nat.keepsStaleState = true
      plan.link = { $0.uplinks[0].sparePort = 65003 }
    }
    #expect(scene.runUntilRegistered())
    scene.run(1)
    _ = try #require(scene.dial(Scene.farNumber))
    _ = try #require(scene.callFromOutside())
    scene.run(6)
    scene.net.apply(.lineCut(scene.router))
    scene.run(61)
    scene.net.apply(.rebooted(scene.router))
    scene.net.apply(.lineRestored(scene.router))
    scene.run(0.05)
    scene.net.apply(.addressChanged(scene.router, address("198.51.100.77")))
    scene.run(20)
    #expect(scene.status.calls.count { $0.state == "answered" } == 2)
    #expect(scene.net.host(scene.provider, as: ProviderHost.self)?.silentPorts.isEmpty == true)
    #expect(scene.hasAudio())
  }
}
