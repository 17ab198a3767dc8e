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
}
