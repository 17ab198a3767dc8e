import CallControl
import EmbeddedProvider
import LinkManager
import LinkScenario
import NetworkSimulator
import NetworkTypes
import Testing

@Suite struct RegistrationScenarios {
  @Test(arguments: [1, 2, 3, 4, 5] as [UInt64]) func registersThePublicContact(seed: UInt64) {
    let world = Scene { $0.seed = seed }
    #expect(world.runUntilRegistered(atMost: 3))
    #expect(world.trunk?.state == .registered)
    #expect(world.contacts == ["sip:1000@198.51.100.1:65002"])
    #expect(world.trunk?.contact == "sip:1000@198.51.100.1:65002")
    #expect(world.status.uplinks.first?.publicAddress == EndpointStatus(ip: "198.51.100.1", port: 65002))
    world.run(3600)
    #expect(world.trunk?.state == .registered)
    #expect(world.contacts.count == 1)
    #expect(world.net.faults.isEmpty)
    #expect(world.leftovers.isEmpty)
  }

  @Test(arguments: NATBehavior.Dependence.allCases, NATBehavior.Dependence.allCases)
  func registersBehindEveryNAT(mapping: NATBehavior.Dependence, filtering: NATBehavior.Dependence) {
    for ports in NATBehavior.PortAssignment.allCases {
      let world = Scene { $0.nat = NATBehavior(mapping: mapping, filtering: filtering, ports: ports) }
      #expect(world.runUntilRegistered(atMost: 5))
      world.run(300)
      #expect(world.trunk?.state == .registered)
      #expect(world.contacts.count == 1)
    }
  }

  @Test func wrongPasswordIsToldAndNotHammered() throws {
    let world = Scene { $0.password = "guess" }
    world.run(60)
    #expect(world.trunk?.state == .rejected)
    let error = try #require(world.trunk?.lastError)
    #expect(error.code == "wrongPassword")
    #expect(error.sentence.hasSuffix("."))
    #expect(world.verdicts.contains { $0.code == "wrongPassword" && $0.subject == "trunk main" })
    let first = world.registerTimes.filter { $0 < 60 }.count
    #expect((2...4).contains(first))
    world.run(3600)
    // An attempt is a REGISTER and, where its nonce was too old, its repetition.
    let later = world.registerTimes.filter { $0 >= 60 }
    var attempts: [Double] = []
    for time in later where attempts.last.map({ time - $0 > 5 }) ?? true { attempts.append(time) }
    #expect(zip(attempts.dropFirst(), attempts).allSatisfy { $0 - $1 >= 299 })
    #expect(attempts.count >= 5)
    #expect(later.count <= 2 * attempts.count)
  }

  @Test(arguments: [ProviderQuirks.WrongPassword.forbid, .ignore])
  func otherReactionsToAWrongPassword(reaction: ProviderQuirks.WrongPassword) {
    let world = Scene {
      $0.password = "guess"
      $0.provider = { $0.quirks.wrongPassword = reaction }
    }
    world.run(300)
    #expect(world.trunk?.state == (reaction == .forbid ? .rejected : .unreachable))
    #expect(world.contacts.isEmpty)
  }

  @Test func quirksOfRegistrarsAreMet() {
    let quirks: [(inout ProviderQuirks) -> Void] = [
      { $0.minExpires = 600 }, { $0.grantedExpires = 30 }, { $0.staleNonceEvery = 2 }, { $0.rewritesContacts = true },
      { $0.singleBinding = true }, { $0.latching = false },
    ]
    for change in quirks {
      let world = Scene { $0.provider = { change(&$0.quirks) } }
      #expect(world.runUntilRegistered(atMost: 5))
      #expect(world.isRegisteredFor(1800))
      #expect(world.contacts == ["sip:1000@198.51.100.1:65002"])
    }
  }

  @Test func deafRegistrarIsDiagnosedAndComesBack() {
    let world = Scene { $0.link = { $0.trunks[0].expires = .seconds(60) } }
    #expect(world.runUntilRegistered())
    world.net.apply(.nodeDeafened(world.provider))
    world.run(180)
    #expect(world.trunk?.state == .unreachable)
    #expect(world.trunk?.lastError?.code == "noAnswer")
    let before = world.registerTimes.count
    world.net.apply(.nodeHears(world.provider))
    world.run(120)
    #expect(world.trunk?.state == .registered)
    #expect(world.registerTimes.count - before <= 6)
  }

  @Test func deadNameServerIsToldAndOutlived() {
    let world = Scene { $0.network = { $0.nameServer.isDead = true } }
    world.run(30)
    #expect(world.trunk?.state == .unreachable)
    #expect(world.trunk?.lastError?.code == "nameUnknown")
    world.net.apply(.nameServerRevived)
    #expect(world.runUntilRegistered(atMost: 30))
    #expect(world.contacts == ["sip:1000@198.51.100.1:65002"])
  }

  @Test func shutDownRemovesTheRegistration() {
    let world = Scene()
    #expect(world.runUntilRegistered())
    world.apply(.shutDownAsked)
    world.run(3)
    #expect(world.contacts.isEmpty)
    #expect(world.isStopped)
  }
}
