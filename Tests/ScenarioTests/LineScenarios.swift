import CallControl
import EmbeddedProvider
import LinkManager
import LinkScenario
import NetworkSimulator
import NetworkTypes
import Testing

@Suite struct LineScenarios {
  // MARK: The keepalive rule

  @Test(arguments: [1, 2, 3] as [UInt64]) func idlePortIsNeverSilentForLong(seed: UInt64) throws {
    let world = Scene { $0.seed = seed }
    #expect(world.runUntilRegistered())
    world.run(10)
    let start = world.elapsed
    world.run(65)
    let stun = world.sent(.stun, after: start)
    #expect(stun.allSatisfy { $0.packet.source.port == 65002 })
    let times = [start] + stun.map(\.at) + [start + 65]
    #expect(zip(times.dropFirst(), times).allSatisfy { $0 - $1 <= 10 })
    #expect(stun.count <= 8)
  }

  @Test func otherTrafficTakesTheKeepalivesPlace() {
    let world = Scene()
    #expect(world.runUntilRegistered())
    world.run(2)
    world.apply(.registrationAsked(trunk: "main"))
    let start = world.elapsed
    for _ in 0..<20 {
      world.run(4)
      world.apply(.registrationAsked(trunk: "main"))
    }
    // The second server is asked beside the keepalive, for what it sees.
    let keepalives = world.sent(.stun, after: start).filter { $0.packet.destination == endpoint("203.0.113.3:3478") }
    #expect(keepalives.isEmpty)
    #expect(world.sent(.sip, after: start, port: 65002).count >= 20)
  }

  @Test(arguments: [NATBehavior.portRestrictedCone, .restrictedCone, .fullCone, .symmetric])
  func inboundCallAfterTenIdleMinutes(nat: NATBehavior) throws {
    let world = Scene {
      $0.nat = nat
      $0.nat.lifetime = .seconds(30)
      $0.link = { $0.trunks[0].expires = .seconds(3600) }
    }
    #expect(world.runUntilRegistered())
    world.run(600)
    let far = try #require(world.callFromOutside(for: .seconds(5)))
    world.run(10)
    #expect(world.providerEvents.contains { $0.event == .answered(far) })
    #expect(world.secondsHeard.phone > 4)
    #expect(world.secondsHeard.far > 4)
  }

  // MARK: STUN servers

  @Test func deadSTUNServersAreToldAndOutlived() throws {
    let world = Scene()
    for server in world.stun { world.net.apply(.nodeDeafened(server)) }
    #expect(world.runUntilRegistered(atMost: 20))
    world.run(10)
    #expect(world.status.uplinks.first?.lastError?.code == "stunServersSilent")
    #expect(world.verdicts.contains { $0.code == "stunServersSilent" })
    // What the provider saw is taken for the public address.
    #expect(world.contacts.first == "sip:1000@198.51.100.1:65002")
    _ = try #require(world.dial(Scene.farNumber, for: .seconds(5)))
    world.run(9)
    #expect(world.secondsHeard.phone > 4)
    #expect(world.secondsHeard.far > 4)
    for server in world.stun { world.net.apply(.nodeHears(server)) }
    world.run(30)
    #expect(world.status.uplinks.first?.lastError == nil)
    #expect(world.trunk?.state == .registered)
  }

  @Test func secondSTUNServerTakesOver() {
    let world = Scene()
    world.net.apply(.nodeDeafened(world.stun[0]))
    #expect(world.runUntilRegistered(atMost: 10))
    #expect(world.contacts == ["sip:1000@198.51.100.1:65002"])
    #expect(world.status.uplinks.first?.lastError == nil)
  }

  @Test func serversThatDieLaterDoNotUnregister() {
    let world = Scene { $0.link = { $0.trunks[0].expires = .seconds(60) } }
    #expect(world.runUntilRegistered())
    for server in world.stun { world.net.apply(.nodeDeafened(server)) }
    #expect(world.isRegisteredFor(600))
  }

  // MARK: The public address

  @Test(arguments: [1, 2, 3, 4, 5] as [UInt64]) func newAddressIsRegistered(seed: UInt64) throws {
    let world = Scene { $0.seed = seed }
    #expect(world.runUntilRegistered())
    world.run(Double(20 + seed))
    world.net.apply(.addressChanged(world.router, address("198.51.100.77")))
    let found = world.net.run(atMost: .seconds(15)) { net in
      world.net(net, hasContact: "sip:1000@198.51.100.77:65002")
    }
    #expect(found)
    world.run(5)
    #expect(world.contacts == ["sip:1000@198.51.100.77:65002"])
    #expect(world.status.uplinks.first?.publicAddress?.ip == "198.51.100.77")
    #expect(world.status.uplinks.first?.previousAddresses.map(\.ip) == ["198.51.100.1"])
    _ = try #require(world.callFromOutside(for: .seconds(5)))
    world.run(10)
    #expect(world.farEnding == .byUs)
    #expect(world.secondsHeard.phone > 4)
    #expect(world.secondsHeard.far > 4)
  }

  @Test(arguments: [1, 2, 3] as [UInt64]) func nightlyCut(seed: UInt64) throws {
    let world = Scene { $0.seed = seed }
    #expect(world.runUntilRegistered())
    for night in 1...10 {
      world.net.plan(.lineCut(world.router), after: .seconds(60))
      world.net.plan(.addressChanged(world.router, address("198.51.100.\(10 + night)")), after: .seconds(80))
      world.net.plan(.lineRestored(world.router), after: .seconds(90))
      world.run(90)
      let contact = "sip:1000@198.51.100.\(10 + night):65002"
      let back = world.net.run(atMost: .seconds(10)) { net in world.net(net, hasContact: contact) }
      #expect(back, "night \(night)")
      world.run(200)
      #expect(world.trunk?.state == .registered)
      #expect(world.contacts == [contact])
    }
    _ = try #require(world.dial(Scene.farNumber, for: .seconds(5)))
    world.run(9)
    #expect(world.secondsHeard.phone > 4)
    #expect(world.secondsHeard.far > 4)
    #expect(world.settles())
    #expect(world.net.faults.isEmpty)
  }

  @Test func rebootedRouterIsNoticed() throws {
    let world = Scene { $0.nat.ports = .random }
    #expect(world.runUntilRegistered())
    let before = world.contacts
    world.run(20)
    world.net.apply(.rebooted(world.router))
    world.run(15)
    #expect(world.contacts.count == 1)
    #expect(world.contacts != before)
    _ = try #require(world.callFromOutside(for: .seconds(5)))
    world.run(10)
    #expect(world.farEnding == .byUs)
  }

  @Test func fixedAddressIsUsedAsItIs() {
    let world = Scene { $0.link = { $0.uplinks[0].publicAddress = address("198.51.100.1") } }
    #expect(world.runUntilRegistered(atMost: 3))
    #expect(world.contacts == ["sip:1000@198.51.100.1:65002"])
    let start = world.elapsed
    world.run(60)
    // Nothing is discovered, keepalives still leave.
    #expect(world.sent(.stun, after: start, port: 65002).count >= 5)
  }

  // MARK: Strangers

  @Test func strangersAreNotAnswered() throws {
    let world = Scene { $0.nat = .fullCone }
    #expect(world.runUntilRegistered())
    let requests = ["OPTIONS", "INVITE", "REGISTER"].map { method in
      """
      \(method) sip:1000@198.51.100.1:65002 SIP/2.0\r
      Via: SIP/2.0/UDP 203.0.113.66:5060;branch=z9hG4bK\(method)\r
      Max-Forwards: 70\r
      From: <sip:x@203.0.113.66>;tag=1\r
      To: <sip:1000@198.51.100.1>\r
      Call-ID: \(method)\r
      CSeq: 1 \(method)\r
      Contact: <sip:x@203.0.113.66>\r
      Content-Length: 0\r
      \r

      """
    }
    world.net.withHost(world.stranger, as: Stranger.self) { _, _, actions in
      for request in requests {
        actions.append(.send(Array(request.utf8), socket: 0, to: endpoint("198.51.100.1:65002")))
      }
    }
    world.run(40)
    #expect(world.net.host(world.stranger, as: Stranger.self)?.heard.isEmpty == true)
    #expect(world.status.calls.isEmpty)
    #expect(world.metrics.discarded.rows.reduce(0) { $0 + $1.value } >= 3)
  }
}

extension Scene {
  /// Whether the provider has this contact, in a network that is being run.
  func net(_ net: SimulatedNetwork, hasContact contact: String) -> Bool {
    net.host(provider, as: ProviderHost.self)?.agent.contacts(of: "1000", now: net.now).first == contact
  }
}
