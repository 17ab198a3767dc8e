import EmbeddedProvider
import NetworkSimulator
import NetworkTypes
import Testing

@Suite struct QuirkTests {
  static func registers(_ world: ProviderWorld) -> Int {
    world.providerEvents.filter { if case .registerReceived = $0 { true } else { false } }.count
  }

  @Test func minExpiresIsHonoured() {
    let world = ProviderWorld(
      phone: { $0.expires = .seconds(30) }, provider: { $0.quirks.minExpires = 120 })
    world.run(5)
    #expect(world.providerEvents.contains(.registrationRefused(username: "1000", status: 423)))
    #expect(world.phoneEvents.contains(.registered(expires: .seconds(120))))
  }

  @Test func grantedExpiresIsTaken() {
    let world = ProviderWorld(provider: { $0.quirks.grantedExpires = 20 })
    world.run(100)
    #expect(world.contacts.count == 1)
    #expect(Self.registers(world) >= 5)
  }

  @Test func staleNoncesAreAnswered() {
    let world = ProviderWorld(
      phone: { $0.expires = .seconds(60) }, provider: { $0.quirks.staleNonceEvery = 2 })
    world.run(900)
    #expect(world.contacts.count == 1)
    #expect(!world.phoneEvents.contains { if case .registrationFailed = $0 { true } else { false } })
  }

  @Test func singleBindingForgetsOthers() {
    for (single, expected) in [(true, 1), (false, 2)] {
      let world = ProviderWorld(provider: { $0.quirks.singleBinding = single })
      var second = PhoneProfile(
        bind: endpoint("203.0.113.50:5060"), registrar: ProviderWorld.provider, domain: "provider.example",
        username: "1000", password: Redacted("secret"))
      second.expires = .seconds(300)
      world.run(1)
      _ = world.net.addNode(
        "second", on: .internet, addresses: [address("203.0.113.50")],
        host: PhoneHost(
          PhoneCore(profile: second, random: RandomSource(seed: 50)), random: RandomSource(seed: 51)))
      world.run(1)
      #expect(world.contacts.count == expected)
      #expect(world.contacts.first == "sip:1000@203.0.113.50:5060")
    }
  }

  @Test func rewrittenContactIsWhereItCameFrom() {
    let world = ProviderWorld(nat: .fullCone, provider: { $0.quirks.rewritesContacts = true })
    world.run(1)
    #expect(world.contacts == ["sip:1000@198.51.100.1:5060"])
  }

  @Test(arguments: [ProviderQuirks.WrongPassword.challenge, .forbid, .ignore])
  func wrongPassword(reaction: ProviderQuirks.WrongPassword) {
    let world = ProviderWorld(password: "guess", provider: { $0.quirks.wrongPassword = reaction })
    world.run(300)
    #expect(world.contacts.isEmpty)
    #expect(!world.phoneHost.agent.isRegistered)
    let statuses = world.providerEvents.compactMap {
      if case .registrationRefused(_, let status) = $0 { status } else { nil }
    }
    #expect(Set(statuses) == [reaction == .challenge ? 401 : reaction == .forbid ? 403 : 0])
  }

  @Test func deadRegistrarIsTriedAgainAndRecovers() {
    let world = ProviderWorld(provider: { $0.quirks.ignoresRegister = true })
    world.run(120)
    #expect(world.contacts.isEmpty)
    world.net.withHost(world.provider, as: ProviderHost.self) { host, now, actions in
      host.withAgent(now: now, into: &actions) { agent, _, _ in
        agent.reconfigure { $0.quirks.ignoresRegister = false }
      }
    }
    world.run(120)
    #expect(world.contacts.count == 1)
  }

  @Test func registerStatusIsAnswered() {
    let world = ProviderWorld(provider: {
      $0.quirks.registerStatus = 503
      $0.quirks.retryAfter = 30
    })
    world.run(25)
    #expect(Self.registers(world) == 1)
    world.run(30)
    #expect(Self.registers(world) >= 2)
  }

  @Test func invitesWithoutChallengeNeedARegistration() throws {
    let world = ProviderWorld(
      phone: { $0.registers = false }, provider: { $0.quirks.challengesInvites = false })
    world.run(1)
    _ = try #require(world.dial("*43", CallScript()))
    world.run(2)
    #expect(world.phoneEnding == .refused(403))
    let known = ProviderWorld(provider: { $0.quirks.challengesInvites = false })
    known.run(1)
    let call = try #require(known.dial("*43", CallScript()))
    known.run(2)
    #expect(known.phoneEvents.contains(.answered(call)))
  }

  @Test func stunServerAnswersFromEachOfItsEndpoints() {
    var net = SimulatedNetwork(seed: 1)
    let server = net.addNode(
      "stun", on: .internet, addresses: [address("203.0.113.3"), address("203.0.113.4")],
      host: STUNServerHost([endpoint("203.0.113.3:3478"), endpoint("203.0.113.4:3478")]))
    let client = net.addNode(
      "client", on: .internet, addresses: [address("203.0.113.9")], host: EchoHost("0.0.0.0:9"))
    net.run(for: .seconds(1))
    let request: [UInt8] = [0, 1, 0, 0, 0x21, 0x12, 0xA4, 0x42] + (1...12)
    net.send(request, from: client, to: "203.0.113.3:3478")
    net.send(request, from: client, to: "203.0.113.4:3478")
    net.send([1, 2, 3], from: client, to: "203.0.113.4:3478")
    net.run(for: .seconds(1))
    #expect(net.heard(client).map(\.source) == [endpoint("203.0.113.3:3478"), endpoint("203.0.113.4:3478")])
    #expect(net.heard(client).allSatisfy { $0.bytes.starts(with: [1, 1]) })
    #expect(net.host(server, as: STUNServerHost.self)?.requestCount == 3)
  }
}
