import EmbeddedProvider
import LinkManager
import LinkScenario
import NetworkSimulator
import NetworkTypes
import PortMapping
import STUN
import Testing

/// Whoever sees our address, and what becomes of it where they disagree.
@Suite struct TribunalScenarios {
  static let codes = AddressTribunal.Cause.allCases.map(\.rawValue)

  private func tribunal(_ scene: Scene) -> [String] { scene.verdicts.map(\.code).filter(Self.codes.contains) }

  private func lie(_ scene: Scene, _ server: Int, _ place: String?) {
    scene.net.withHost(scene.stun[server], as: STUNServerHost.self) { host, _, _ in
      host.lie = place.map { endpoint($0) }
    }
  }

  @Test(arguments: [0, 1]) func aServerThatContradictsEverybodyIsNamedAndNotBelieved(_ liar: Int) throws {
    let scene = Scene()
    lie(scene, liar, "192.0.2.99:65002")
    #expect(scene.runUntilRegistered())
    scene.run(120)
    #expect(tribunal(scene) == ["lyingServer"])
    let verdict = try #require(scene.verdicts.first { $0.code == "lyingServer" })
    #expect(verdict.evidence.contains(liar == 0 ? "203.0.113.3:3478 sees 192.0.2.99" : "203.0.113.4:3478 sees"))
    #expect(scene.status.uplinks[0].publicAddress?.ip == "198.51.100.1")
    #expect(scene.contacts == ["sip:1000@198.51.100.1:65002"])
    #expect(
      scene.status.uplinks[0].mapping == "notChecked", "the NAT was examined again without it, and one is too few")
    // It repents; what it says from then on is compared again.
    lie(scene, liar, nil)
    scene.run(1300)
    #expect(tribunal(scene) == ["lyingServer"])
    #expect(scene.logs.contains { $0.contains("over: A STUN server") })
  }

  /// After a long cut whoever answers first is believed, and here that is the liar: the honest one is late.
  @Test func callsFollowAsSoonAsALiarThatWasBelievedIsNamed() throws {
    let scene = Scene { $0.provider = { $0.quirks.latching = false } }
    #expect(scene.runUntilRegistered())
    _ = try #require(scene.dial(Scene.farNumber))
    scene.run(10)
    scene.net.apply(.lineCut(scene.router))
    scene.net.apply(.addressChanged(scene.router, address("198.51.100.77")))
    scene.run(61)
    lie(scene, 1, "192.0.2.99:1234")
    let lateness = { (duration: Duration) in
      scene.net.withHost(scene.stun[0], as: STUNServerHost.self) { host, _, _ in host.lateness = duration }
    }
    _ = lateness(.seconds(4))
    scene.net.apply(.lineRestored(scene.router))
    let back = scene.elapsed
    var believed = false
    for _ in 0..<80 where tribunal(scene).isEmpty {
      scene.run(0.25)
      if scene.status.uplinks[0].publicAddress?.ip == "192.0.2.99" {
        believed = true
        _ = lateness(.zero)
      }
    }
    #expect(believed, "otherwise this shows nothing")
    #expect(tribunal(scene) == ["lyingServer"])
    scene.run(1)
    #expect(scene.status.uplinks[0].publicAddress?.ip == "198.51.100.77")
    #expect(scene.contacts == ["sip:1000@198.51.100.77:65002"])
    #expect(scene.elapsed - back < 20)
    let silent = scene.net.host(scene.provider, as: ProviderHost.self)?.silentPorts
    #expect(silent?.isEmpty == true, "the far end hears again")
    scene.run(60)
    #expect(scene.verdicts.map(\.code) == ["lyingServer"], "the NAT is taken for no other")
    #expect(scene.status.uplinks[0].mapping != "addressAndPortDependent")
  }

  @Test func whereTheServersSeeAnotherAddressThanTheProviderThereAreTwoLines() {
    let scene = Scene()
    for server in [0, 1] { lie(scene, server, "192.0.2.99:65002") }
    #expect(scene.runUntilRegistered())
    scene.run(900)
    #expect(tribunal(scene) == ["twoLines"])
    // What the provider sees is what leads back.
    #expect(scene.contacts == ["sip:1000@198.51.100.1:65002"])
    #expect(scene.trunk?.state == .registered)
  }

  @Test func aServerThatIsTakenOutEndsWhatItSaid() {
    let scene = Scene()
    lie(scene, 1, "192.0.2.99:65002")
    #expect(scene.runUntilRegistered())
    scene.run(60)
    #expect(tribunal(scene) == ["lyingServer"])
    guard var configuration = scene.net.host(scene.link, as: LinkHost.self)?.beginning.configuration else { return }
    configuration.uplinks[0].stunServers.removeLast()
    scene.apply(.reconfigured(configuration))
    scene.run(60)
    #expect(scene.logs.contains { $0.contains("over: A STUN server") }, "\(scene.logs.suffix(5))")
    #expect(tribunal(scene) == ["lyingServer"])
  }

  @Test(arguments: [
    ("100.64.3.2", "carrierNAT"), ("10.0.0.2", "doubleNAT"), ("192.168.178.20", "doubleNAT"),
    ("203.0.113.200", "routerAddressDiffers"), ("198.51.100.1", ""),
  ])
  func whatTheRouterSaysOfItselfIsComparedWithWhatTheWorldSees(_ outside: String, _ code: String) {
    let scene = Scene {
      $0.nat = .symmetric
      $0.link = { $0.uplinks[0].incoming = .auto }
    }
    let router = MappingRouter(externalAddress: address(outside), now: scene.net.now)
    scene.net.withHost(scene.link, as: LinkHost.self) { link, _, _ in
      link.routerPlace = RouterPlace(router, at: address("192.168.1.1"), local: address("192.168.1.2"))
    }
    scene.run(600)
    #expect(tribunal(scene) == (code.isEmpty ? [] : [code]), "once, not once for each who sees it")
  }

  private func router(_ scene: Scene) -> MappingRouter? {
    scene.net.host(scene.link, as: LinkHost.self)?.routerPlace?.router
  }

  /// Where no mapping is wanted the router is a witness all the same, by whatever it speaks; it is asked for nothing else.
  @Test(
    arguments: MappingProtocol.allCases,
    [
      ("10.0.0.2", "doubleNAT"), ("100.64.3.2", "carrierNAT"), ("203.0.113.200", "routerAddressDiffers"),
      ("198.51.100.1", ""),
    ]
  )
  func aRouterIsHeardWhereNothingIsMapped(_ spoken: MappingProtocol, _ outside: (address: String, code: String)) {
    for incoming in [IncomingWay.auto, .forwarded(5060)] {
      let scene = Scene { $0.link = { $0.uplinks[0].incoming = incoming } }
      scene.mappingRouter {
        $0.protocols = [spoken]
        $0.externalAddress = address(outside.address)
      }
      scene.run(600)
      #expect(scene.verdicts.map(\.code) == (outside.code.isEmpty ? [] : [outside.code]))
      #expect(router(scene)?.entries.isEmpty == true && router(scene)?.requests == 0, "nothing is mapped")
      #expect(router(scene)?.peers.count == (spoken == .pcp ? 1 : 0))
      // The other router is bridged, as the next step says.
      scene.mendRouter()
      scene.run(900)
      let isOver = scene.logs.contains { $0.contains("uplink dsl: over:") }
      #expect(isOver == !outside.code.isEmpty, "\(scene.logs.suffix(3))")
      #expect(scene.verdicts.count == (outside.code.isEmpty ? 0 : 1))
      scene.net.withHost(scene.link, as: LinkHost.self) { $0.apply(.shutDownAsked, now: $1, into: &$2) }
      scene.run(3)
      #expect(router(scene)?.peers.isEmpty == true, "what was opened is closed")
    }
  }

  @Test func aRouterThatIsToBeLeftAloneIsAskedForNothing() {
    for incoming in [IncomingWay.off, .auto] {
      let scene = Scene { $0.link = { $0.uplinks[0].incoming = incoming } }
      scene.mappingRouter { $0.protocols = incoming == .off ? MappingProtocol.allCases : [] }
      scene.run(900)
      #expect(scene.verdicts.isEmpty, "that it speaks nothing is nothing to tell of")
      #expect((router(scene)?.heard == 0) == (incoming == .off))
    }
  }

  /// The line's address changes without a word, and the router's answers lag behind it by some seconds.
  @Test(arguments: MappingProtocol.allCases)
  func aRouterThatKnowsItsNewAddressLaterIsNoLiar(_ spoken: MappingProtocol) {
    let scene = Scene { $0.link = { $0.uplinks[0].incoming = .auto } }
    scene.mappingRouter { $0.protocols = [spoken] }
    #expect(scene.runUntilRegistered())
    for change in 0..<20 {
      scene.run(Double(change) * 7.3)
      let new = address("198.51.100.\(20 + change)")
      scene.net.apply(.addressChanged(scene.router, new))
      scene.run(Double(change % 4) * 3)
      scene.net.withHost(scene.link, as: LinkHost.self) { link, _, _ in link.routerPlace?.router.externalAddress = new }
    }
    scene.run(900)
    #expect(scene.verdicts.isEmpty, "\(scene.verdicts.map(\.evidence))")
    #expect(router(scene)?.requests == 0)
  }

  @Test func thatServersAndProvidersSeeOneAddressIsNoDisagreementWhileItChanges() {
    for seed in 1...4 as ClosedRange<UInt64> {
      let scene = Scene { $0.seed = seed }
      #expect(scene.runUntilRegistered())
      for change in 0..<40 {
        scene.run(Double(change) * 3.7)
        // Without a word: no cut is seen.
        scene.net.apply(.addressChanged(scene.router, address("198.51.100.\(20 + change)")))
      }
      scene.run(700)
      #expect(tribunal(scene) == [], "seed \(seed): \(scene.verdicts.map(\.evidence))")
      #expect(scene.status.uplinks[0].publicAddress?.ip == "198.51.100.59")
    }
  }

  // MARK: ALG

  /// What Linux' helper for SIP does: addresses of the connection are put right in both directions.
  static let gateway = PayloadRewriter(
    outward: { came, leaves in
      guard came.destination.port == 5060 else { return leaves.bytes }
      return rewritten(leaves.bytes, ["\(came.source)": "\(leaves.source)"]) {
        $0.replacing("IN IP4 \(came.source.address)", with: "IN IP4 \(leaves.source.address)")
      }
    },
    inward: { came, leaves in
      guard came.source.port == 5060 else { return leaves.bytes }
      var pairs = ["\(came.destination)": "\(leaves.destination)"]
      if String(decoding: came.bytes, as: UTF8.self).contains("UDP \(came.destination);") {
        pairs[";received=\(came.destination.address)"] = ";received=\(leaves.destination.address)"
        pairs[";rport=\(came.destination.port)"] = ";rport=\(leaves.destination.port)"
      }
      return rewritten(leaves.bytes, pairs) { $0 }
    })

  /// - Parameter pairs: what is replaced by what in the header fields.
  private static func rewritten(
    _ bytes: [UInt8], _ pairs: [String: String], body change: (String) -> String
  ) -> [UInt8] {
    guard let first = bytes.first, (65...90).contains(first) else { return bytes }
    let text = String(decoding: bytes, as: UTF8.self)
    guard let end = text.firstRange(of: "\r\n\r\n") else { return bytes }
    var head = String(text[..<end.lowerBound])
    let body = String(text[end.upperBound...])
    for (old, new) in pairs { head = head.replacing(old, with: new) }
    let new = change(body)
    head = head.replacing("Content-Length: \(body.utf8.count)", with: "Content-Length: \(new.utf8.count)")
    return Array((head + "\r\n\r\n" + new).utf8)
  }

  private func gatewayScene(_ change: (inout Scene.Plan) -> Void = { _ in }) -> Scene {
    let scene = Scene(change)
    scene.net.setRewriter(Self.gateway, of: scene.router)
    return scene
  }

  @Test(arguments: [true, false]) func aRouterThatRewritesSIPIsNamedAndLivedWith(_ isLatching: Bool) throws {
    let scene = gatewayScene { $0.provider = { $0.quirks.latching = isLatching } }
    #expect(scene.runUntilRegistered())
    scene.run(10)
    #expect(tribunal(scene) == ["sipALG"])
    let verdict = try #require(scene.verdicts.first { $0.code == "sipALG" })
    #expect(
      verdict.evidence.hasPrefix("Via was sent as 198.51.100.1:65002 and came back as 192.168.1.2:65002"),
      "\(verdict.evidence)")
    #expect(scene.contacts == ["sip:1000@198.51.100.1:65002"])
    talk(scene)
    scene.run(3600)
    #expect(tribunal(scene) == ["sipALG"], "once")
    #expect(scene.trunk?.state == .registered)
    #expect(scene.registerTimes.count < 50, "nothing flaps")
    scene.net.setRewriter(nil, of: scene.router)
    scene.run(700)
    #expect(scene.logs.contains { $0.contains("over: Something between") })
    #expect(tribunal(scene) == ["sipALG"])
    talk(scene)
    scene.net.setRewriter(Self.gateway, of: scene.router)
    scene.run(700)
    #expect(tribunal(scene) == ["sipALG", "sipALG"], "and again")
  }

  /// Where no STUN server tells the public address everything is written as it is inside, and rewritten.
  @Test func withoutSTUNEverythingIsRewrittenAndAudioPasses() {
    let scene = gatewayScene { $0.link = { $0.uplinks[0].stunServers = [] } }
    #expect(scene.runUntilRegistered())
    scene.run(10)
    talk(scene)
  }

  @Test func anAddressThatChangesBehindARouterThatRewritesIsTakenUp() {
    let scene = gatewayScene()
    #expect(scene.runUntilRegistered())
    scene.run(20)
    RepairScenarios.cut(scene, seconds: 5, address: "198.51.100.77")
    scene.run(20)
    #expect(scene.contacts == ["sip:1000@198.51.100.77:65002"])
    #expect(tribunal(scene) == ["sipALG"])
    talk(scene)
  }

  private func talk(_ scene: Scene) {
    for isInbound in [true, false] {
      let call = isInbound ? scene.callFromOutside(for: .seconds(10)) : scene.dial(Scene.farNumber, for: .seconds(10))
      #expect(call != nil)
      scene.run(16)
      let heard = scene.secondsHeard
      #expect(heard.phone > 5 && heard.far > 5, "\(isInbound ? "in" : "out"): \(heard)")
      scene.run(40)
    }
  }

  // MARK: No false alarm

  /// Every way in which providers differ, behind every kind of router: a thousand registrations.
  @Test func aThousandRegistrationsWithoutAnyOfThatAreJudgedClean() {
    var registrations = 0
    // Each pair of a router and a provider once: 5 and 11 have no common divisor.
    for seed in 1...55 as ClosedRange<UInt64> {
      let office = YearOffice(seed: seed)
      let scene = Scene {
        $0.seed = seed
        $0.isLong = true
        $0.nat = office.nat
        $0.line.loss = 0.01
        $0.provider = { $0.quirks = office.quirks }
        $0.link = { $0.trunks[0].expires = .seconds(seed % 2 == 0 ? 120 : 3600) }
      }
      #expect(scene.runUntilRegistered())
      for _ in 0..<20 {
        scene.apply(.registrationAsked(trunk: "main"))
        scene.run(61)
      }
      registrations += scene.registerTimes.count
      #expect(tribunal(scene) == [], "\(office): \(scene.verdicts.map(\.evidence))")
    }
    #expect(registrations >= 1000, "\(registrations)")
  }

  /// A month of cuts each night, with another address after each.
  @Test(arguments: [3, 16, 44] as [UInt64]) func aMonthWithoutAnyOfThatIsJudgedClean(seed: UInt64) {
    var plan = YearStretch.Plan()
    plan.nights = 30
    plan.callsPerDay = 8
    plan.hasTroubles = false
    let stretch = YearStretch(seed: seed, plan: plan)
    stretch.run()
    #expect(stretch.night == 30)
    #expect(tribunal(stretch.scene) == [], "\(stretch.scene.verdicts.map(\.evidence))")
  }
}
