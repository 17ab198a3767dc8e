import EmbeddedProvider
import LinkManager
import LinkScenario
import NetworkSimulator
import NetworkTypes
import Testing

/// STUN servers that DNS names for a domain, and what becomes of the link as they come and go.
@Suite struct ServiceScenarios {
  static let service = "_stun._udp.provider.example"

  static func scene(_ change: @escaping (inout NameServer) -> Void = { _ in }) -> Scene {
    Scene {
      $0.link = { $0.uplinks[0].stunServers = [HostPort(host: "provider.example")] }
      $0.network = {
        $0.nameServer.setService(
          service,
          [
            ServiceRecord(priority: 20, port: 3478, target: "stun.elsewhere.example"),
            ServiceRecord(priority: 10, port: 3478, target: "stun.provider.example"),
          ])
        change(&$0.nameServer)
      }
    }
  }

  static func requests(_ scene: Scene, _ index: Int) -> Int {
    scene.net.host(scene.stun[index], as: STUNServerHost.self)?.requestCount ?? 0
  }

  @Test func theDomainHasNoAddressOfItsOwnAndItsServersAreFound() {
    let scene = Self.scene()
    #expect(scene.runUntilRegistered(atMost: 5))
    scene.run(20)
    #expect(scene.contacts == ["sip:1000@198.51.100.1:65002"])
    #expect(scene.status.uplinks.first?.lastError == nil)
    #expect(Self.requests(scene, 0) > 0)
  }

  @Test func theNextServerOfTheDomainTakesOverAndTheFirstComesBack() {
    let scene = Self.scene()
    #expect(scene.runUntilRegistered())
    scene.run(10)
    scene.net.apply(.nodeDeafened(scene.stun[0]))
    scene.run(60)
    #expect(scene.isRegisteredFor(60))
    #expect(scene.status.uplinks.first?.lastError == nil)
    let second = Self.requests(scene, 1)
    #expect(second >= 8)
    scene.net.apply(.nodeHears(scene.stun[0]))
    scene.run(40)
    let (first, other) = (Self.requests(scene, 0), Self.requests(scene, 1))
    scene.run(60)
    #expect(Self.requests(scene, 0) >= first + 5)
    #expect(Self.requests(scene, 1) <= other + 1)
    #expect(scene.metrics.addressChanges.rows.isEmpty)
  }

  /// Behind a NAT with a mapping for each destination the second server sees another port than the first: nothing has moved.
  @Test func anotherServersViewMovesNobodyBehindASymmetricNAT() {
    let scene = Scene { $0.nat = .symmetric }
    #expect(scene.runUntilRegistered())
    scene.run(20)
    let count = scene.registerTimes.count
    scene.net.apply(.nodeDeafened(scene.stun[0]))
    scene.run(60)
    scene.net.apply(.nodeHears(scene.stun[0]))
    scene.run(60)
    #expect(scene.trunk?.state == .registered)
    #expect(scene.metrics.addressChanges.rows.isEmpty)
    #expect(scene.registerTimes.count <= count + 1, "the provider is asked once whether the router has its row")
  }

  @Test func rowsThatChangeAreFollowed() {
    let scene = Self.scene()
    #expect(scene.runUntilRegistered())
    scene.run(10)
    scene.net.nameServer.setService(
      Self.service, [ServiceRecord(port: 3478, target: "stun.elsewhere.example")])
    scene.run(320)
    let first = Self.requests(scene, 0)
    scene.run(60)
    #expect(Self.requests(scene, 0) <= first + 1)
    #expect(scene.trunk?.state == .registered)
  }

  /// A call is set up while no STUN server answers: what the far side is told of its ports is a guess until one does.
  @Test func aCallThatBeganWithoutServersIsPutRightWhenTheyAreBack() throws {
    let scene = Scene { plan in
      plan.nat.ports = .random
      plan.provider = { $0.quirks.latching = false }
    }
    #expect(scene.runUntilRegistered())
    scene.run(3)
    for node in scene.stun { scene.net.withHost(node, as: STUNServerHost.self) { host, _, _ in host.isDead = true } }
    scene.run(60)
    _ = try #require(scene.dial(Scene.farNumber))
    scene.run(6)
    #expect(scene.status.calls.map(\.state) == ["answered"])
    #expect(!scene.hasAudio())
    for node in scene.stun { scene.net.withHost(node, as: STUNServerHost.self) { host, _, _ in host.isDead = false } }
    scene.run(70)
    #expect(scene.status.calls.map(\.state) == ["answered"])
    #expect(scene.hasAudio())
  }
}
