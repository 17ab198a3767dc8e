import EmbeddedProvider
import LinkManager
import LinkScenario
import NetworkSimulator
import NetworkTypes
import Testing

/// Logs are read by many and kept for long: no number, address or password stands in them.
@Suite struct LogScenarios {
  /// Whatever of the scene must not be told: the numbers that were called and called from, every address, every secret.
  static let secrets = [
    "49211", "49301", "192.168.", "198.51.", "203.0.", "secret", "phone10", "phone20", "wrong-one", "1000@",
  ]

  static func check(_ scene: Scene, at location: SourceLocation = #_sourceLocation) {
    let logs = scene.logs
    #expect(!logs.isEmpty, sourceLocation: location)
    for sentence in logs {
      for secret in secrets { #expect(!sentence.contains(secret), "\(sentence)", sourceLocation: location) }
      #expect(sentence == sentence.escapedForLog(limit: 2000), sourceLocation: location)
    }
  }

  @Test func aDayWithCallsAndANewAddressTellsNothingThatIsNobodysBusiness() {
    let scene = Scene()
    #expect(scene.runUntilRegistered())
    _ = scene.dial(Scene.farNumber, for: .seconds(3))
    scene.run(8)
    _ = scene.callFromOutside(for: .seconds(3))
    scene.run(8)
    scene.net.plan(.addressChanged(scene.router, address("198.51.100.77")), after: .seconds(1))
    scene.run(60)
    #expect(scene.records.count == 2)
    Self.check(scene)
  }

  @Test func aWrongPasswordIsToldWithoutIt() {
    let scene = Scene { $0.password = "wrong-one" }
    scene.run(120)
    #expect(scene.trunk?.state == .rejected)
    #expect(scene.trunk?.lastError?.sentence.contains("user name or password") == true)
    Self.check(scene)
  }

  @Test func aNameThatDoesNotResolveIsNoAddress() {
    let scene = Scene { plan in plan.network = { $0.nameServer.isDead = true } }
    scene.run(60)
    #expect(scene.trunk?.state == .unreachable)
    #expect(scene.trunk?.lastError?.code == "nameUnknown")
    #expect(scene.status.uplinks.first?.lastError?.code == "stunServersUnresolved")
    Self.check(scene)
  }

  @Test func withoutAnySTUNServersNameTheTrunkStillRegistersAndLearnsItsAddressFromTheProvider() {
    let scene = Scene { plan in
      plan.link = { link in link.uplinks[0].stunServers = [HostPort(host: "stun.misspelt.example")] }
    }
    #expect(scene.runUntilRegistered())
    scene.run(5)
    #expect(scene.contacts == ["sip:1000@198.51.100.1:65002"])
  }
}
