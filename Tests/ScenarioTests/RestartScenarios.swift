import CallControl
import EmbeddedProvider
import LinkManager
import LinkScenario
import NetworkSimulator
import NetworkTypes
import SIPSyntax
import Testing

/// The link is killed, and the line has another public address when it begins again: the registrar has what the killed one
/// has left.
@Suite struct RestartScenarios {
  static let before = "sip:1000@198.51.100.1:65002"
  static let after = "sip:1000@198.51.100.2:65002"
  static let foreign = "sip:1000@203.0.113.77:5060"

  /// Two trunks at one provider, and another device that is registered with the account of the first.
  static func scene(
    machine: String?, nat: NATBehavior = .portRestrictedCone,
    _ change: @escaping (inout ProviderQuirks) -> Void = { _ in }
  ) -> Scene {
    let world = Scene { plan in
      plan.nat = nat
      plan.link = { configuration in
        var second = configuration.trunks[0]
        second.name = "second"
        second.username = "2000"
        second.numbers = []
        configuration.trunks.append(second)
        if let machine { configuration.nameInstances(ofMachine: machine) }
      }
      plan.provider = { configuration in
        configuration.accounts.append(
          ProviderAccount(username: "2000", password: Redacted("secret"), numbers: [NumberPattern("+49211999")]))
        change(&configuration.quirks)
      }
    }
    let profile = PhoneProfile(
      bind: endpoint("203.0.113.77:5060"), registrar: endpoint("203.0.113.10:5060"), domain: "provider.example",
      username: "1000", password: Redacted("secret"))
    _ = world.net.addNode(
      "other device", on: .internet, addresses: [address("203.0.113.77")],
      host: PhoneHost(PhoneCore(profile: profile, random: RandomSource(seed: 51)), random: RandomSource(seed: 52)))
    #expect(world.runUntilRegistered())
    world.run(3)
    #expect(Set(world.contacts).contains(foreign) && world.contacts.count == 2)
    return world
  }

  static func restart(_ world: Scene, machine: String?) {
    world.net.apply(.addressChanged(world.router, address("198.51.100.2")))
    world.restartLink(seed: 99) { configuration in
      for index in configuration.trunks.indices { configuration.trunks[index].instance = nil }
      if let machine { configuration.nameInstances(ofMachine: machine) }
    }
    world.run(10)
    #expect(world.status.trunks.map(\.state) == [.registered, .registered])
  }

  static func second(_ world: Scene) -> [String] {
    world.net.host(world.provider, as: ProviderHost.self)?.agent.contacts(of: "2000", now: world.net.now) ?? []
  }

  @Test(arguments: [NATBehavior.portRestrictedCone, .fullCone]) func theLeftoverGoesAndTheStrangerStays(
    nat: NATBehavior
  ) {
    let world = Self.scene(machine: "m", nat: nat)
    #expect(Set(world.contacts) == [Self.before, Self.foreign])
    #expect(Self.second(world) == ["sip:2000@198.51.100.1:65002"])
    Self.restart(world, machine: "m")
    #expect(Set(world.contacts) == [Self.after, Self.foreign])
    #expect(Self.second(world) == ["sip:2000@198.51.100.2:65002"])
    let instances = world.net.host(world.link, as: LinkHost.self)?.configured.trunks.compactMap(\.instance) ?? []
    #expect(Set(instances).count == 2)
    let registers = world.registerTimes.count
    world.run(120)
    #expect(world.registerTimes.count == registers, "and that is all")
    #expect(world.verdicts.isEmpty, "\(world.verdicts)")
    #expect(world.net.faults.isEmpty)
  }

  /// It would be somebody else's.
  @Test func whatAnotherMachineHasRegisteredStays() {
    for other in ["n", nil] {
      let world = Self.scene(machine: "m")
      Self.restart(world, machine: other)
      #expect(Set(world.contacts) == [Self.before, Self.after, Self.foreign])
    }
  }

  @Test func registrarsThatWriteContactsAsTheySeeThem() {
    let world = Self.scene(machine: "m") { $0.rewritesContacts = true }
    Self.restart(world, machine: "m")
    world.run(600)
    #expect(world.contacts.contains(Self.after) && world.contacts.contains(Self.foreign))
    #expect(world.status.trunks.map(\.state) == [.registered, .registered])
  }

  // MARK: Telephones

  /// Telephones do not notice that the link was restarted: they register again when their time has come.
  @Test func aTelephoneIsCalledRightAfterTheRestart() throws {
    let world = Scene()
    #expect(world.runUntilRegistered())
    world.run(5)
    let registered = world.phoneEvents().count
    world.restartLink(seed: 7)
    #expect(world.runUntilRegistered())
    #expect(world.status.phones.map(\.contacts.count) == [1, 1])
    #expect(world.callFromOutside(for: .seconds(5)) != nil)
    world.run(12)
    #expect(world.records.map(\.result) == ["answered"])
    #expect(world.phoneEvents().count > registered)
    #expect(world.verdicts.isEmpty, "\(world.verdicts)")
    #expect(world.net.host(world.link, as: LinkHost.self)?.answered.isEmpty == true, "what is over has its record")
  }

  @Test func aCallThatIsUpIsWrittenDown() throws {
    let world = Scene()
    #expect(world.runUntilRegistered())
    world.run(5)
    #expect(world.callFromOutside() != nil)
    #expect(world.waitForCall(state: "answered", atMost: 10) || world.status.calls.count == 1)
    world.run(3)
    let open = try #require(world.net.host(world.link, as: LinkHost.self)?.answered.first)
    #expect(open.result == "answered" && open.endedBy == "trunkline" && open.trunk == "main")
    #expect(open.id == world.status.calls.first?.id)
  }

  /// What is written down is read as if a stranger had written it.
  @Test func whatIsRememberedOfTelephonesIsLookedAt() throws {
    let world = Scene { $0.phone = { $0.registers = false } }
    #expect(world.runUntilRegistered())
    func contact(_ place: String, _ uri: String, seconds: Int64) -> KnownContact {
      let now = world.net.host(world.link, as: LinkHost.self)?.link.wallTime(world.net.now).nanoseconds ?? 0
      return KnownContact(
        uri: try! SIPURI(parsing: uri), remote: endpoint(place), callID: "a", sequence: 1, userAgent: nil,
        expiresAt: WallTime(nanoseconds: now &+ seconds &* 1_000_000_000))
    }
    func isRegistered() -> Bool? { world.status.phones.first.map { !$0.contacts.isEmpty } }
    world.apply(.contactsRemembered([contact("192.168.1.20:5060", "sip:10@192.168.1.20", seconds: -1)], user: "10"))
    #expect(isRegistered() == false, "it has run out")
    world.apply(.contactsRemembered([contact("203.0.113.66:5060", "sip:10@203.0.113.66", seconds: 60)], user: "10"))
    #expect(isRegistered() == false, "nobody is served there")
    world.apply(.contactsRemembered([contact("192.168.1.20:5060", "sip:77@192.168.1.20", seconds: 60)], user: "77"))
    #expect(isRegistered() == false, "there is no such telephone")
    let many = (0..<100).map { contact("192.168.1.20:5060", "sip:10@192.168.1.20:\(6000 + $0)", seconds: 9_000_000) }
    world.apply(.contactsRemembered(many, user: "10"))
    #expect(isRegistered() == true)
    world.run(3500)
    #expect(isRegistered() == true)
    world.run(150)
    #expect(isRegistered() == false, "no clock makes it last longer than an hour")
  }
}
