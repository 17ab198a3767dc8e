import EmbeddedProvider
import LinkManager
import LinkScenario
import NetworkSimulator
import NetworkTypes
import PortMapping
import STUN
import Testing

/// The link behind a NAT whose mapping depends on the destination, and a router that can be asked for port mappings.
@Suite struct RouterScenarios {
  private static let router = address("192.168.1.1")
  private static let local = address("192.168.1.2")
  private static let outside = address("198.51.100.1")

  private func scene(
    incoming: IncomingWay = .auto, nat: NATBehavior = .symmetric, _ prepare: (inout MappingRouter) -> Void = { _ in }
  ) -> Scene {
    let scene = Scene {
      $0.nat = nat
      $0.link = { configuration in configuration.uplinks[0].incoming = incoming }
    }
    var router = MappingRouter(externalAddress: Self.outside, now: scene.net.now)
    prepare(&router)
    scene.net.withHost(scene.link, as: LinkHost.self) { link, _, _ in
      link.routerPlace = RouterPlace(router, at: Self.router, local: Self.local)
    }
    return scene
  }

  /// Lets time pass with the router's table as the network's port forwards.
  private func run(_ scene: Scene, _ seconds: Double) {
    for _ in 0..<Int(seconds * 10) {
      let now = scene.net.now
      var forwards: [PortForward] = []
      scene.net.withHost(scene.link, as: LinkHost.self) { link, _, _ in
        if var place = link.routerPlace, !place.router.lies { forwards = place.forwards(now: now) }
      }
      if scene.net.box(scene.router).forwards != forwards {
        scene.net.plan(.forwardsChanged(scene.router, forwards), after: .zero)
      }
      scene.run(0.1)
    }
  }

  private func mapping(_ scene: Scene) -> UplinkStatus.PortMapping? {
    scene.net.host(scene.link, as: LinkHost.self)?.link.status(now: scene.net.now).uplinks[0].portMapping
  }

  private func shown(_ scene: Scene) -> String? {
    mapping(scene).map { "\($0.protocol) \($0.externalPort ?? 0) \($0.state)" }
  }

  private func contact(_ scene: Scene) -> String? {
    scene.net.host(scene.link, as: LinkHost.self)?.link.status(now: scene.net.now).trunks[0].contact
  }

  private func codes(_ scene: Scene) -> [String] {
    scene.net.host(scene.link, as: LinkHost.self)?.verdicts.map(\.code) ?? []
  }

  @Test func aNATThatLeavesNoOtherWayIsMapped() {
    let scene = scene()
    run(scene, 20)
    #expect(shown(scene) == "pcp 5060 mapped")
    #expect(contact(scene)?.contains("198.51.100.1:5060") == true, "\(contact(scene) ?? "")")
    #expect(scene.runUntilRegistered())
    #expect(codes(scene) == [])
  }

  @Test func aNATThatLeavesAnotherWayIsNotAsked() {
    let scene = scene(nat: .portRestrictedCone)
    run(scene, 20)
    #expect(mapping(scene) == nil)
    #expect(scene.net.host(scene.link, as: LinkHost.self)?.routerPlace?.router.requests == 0)
  }

  @Test func whoAsksForMappingsGetsThemWhateverTheNATIs() {
    let scene = scene(incoming: .mapped(.upnp), nat: .portRestrictedCone)
    run(scene, 20)
    #expect(shown(scene) == "upnp 5060 mapped")
    let off = self.scene(incoming: .off)
    run(off, 20)
    #expect(mapping(off) == nil)
    let forwarded = self.scene(incoming: .forwarded(5080))
    run(forwarded, 20)
    #expect(shown(forwarded) == "forwarded 5080 configured")
    #expect(contact(forwarded)?.contains("198.51.100.1:5080") == true)
  }

  @Test func aPortThatIsTakenIsReplacedInTheContact() {
    let scene = scene { $0.takenPorts = [5060] }
    run(scene, 20)
    let port = mapping(scene)?.externalPort
    #expect(port != nil && port != 5060)
    #expect(contact(scene)?.contains(":\(port ?? 0)") == true)
  }

  @Test func aLineThatComesBackWithAnotherAddressIsNoticedByTheRoutersAnnouncement() {
    let scene = scene(nat: .portRestrictedCone)
    run(scene, 20)
    let other = address("198.51.100.9")
    scene.net.plan(.lineCut(scene.router), after: .zero)
    scene.net.plan(.addressChanged(scene.router, other), after: .milliseconds(100))
    scene.net.plan(.lineRestored(scene.router), after: .milliseconds(200))
    scene.run(0.3)
    let back = scene.net.now
    scene.net.withHost(scene.link, as: LinkHost.self) { link, now, actions in
      link.routerPlace?.router.reboot(now: now, externalAddress: other)
      link.hearRouter(now: now, into: &actions)
    }
    let isMoved = scene.net.run(atMost: .seconds(3)) { net in
      let status = net.host(scene.link, as: LinkHost.self)?.link.status(now: net.now)
      return status?.trunks[0].contact?.contains("198.51.100.9") == true && status?.trunks[0].state == .registered
    }
    #expect(isMoved)
    #expect((scene.net.now - back).inSeconds <= 1.0)
  }

  @Test func everythingIsGivenBackAtTheEnd() {
    let scene = scene()
    run(scene, 20)
    #expect(scene.net.host(scene.link, as: LinkHost.self)?.routerPlace?.router.entries.count == 1)
    scene.net.withHost(scene.link, as: LinkHost.self) { link, now, actions in
      link.apply(.shutDownAsked, now: now, into: &actions)
    }
    run(scene, 3)
    let link = scene.net.host(scene.link, as: LinkHost.self)
    #expect(link?.isStopped == true)
    #expect(link?.routerPlace?.router.entries.isEmpty == true)
    #expect(link?.routerPlace?.kept.isEmpty == true)
  }

  @Test(arguments: [
    ("doubleNAT", 0), ("routerAddressDiffers", 1), ("mappingLeadsNowhere", 2), ("portMappingRefused", 3),
    ("portMappingUnavailable", 4),
  ])
  func aRouterWithAFaultIsNamedAndTheLinkGoesOn(_ code: String, _ fault: Int) {
    let scene = scene {
      switch fault {
      case 0: $0.externalAddress = address("10.0.0.2")
      case 1: $0.externalAddress = address("203.0.113.200")
      case 2:
        $0.lies = true
        $0.protocols = [.upnp]
      case 3: $0.refuses = true
      default: $0.protocols = []
      }
    }
    run(scene, 40)
    #expect(codes(scene).contains(code), "\(codes(scene))")
    #expect(mapping(scene)?.state != "mapped")
    #expect(scene.runUntilRegistered())
    #expect(contact(scene)?.contains(":5060") == false)
  }

  @Test(arguments: [MappingProtocol.pcp, .natPMP])
  func aRouterThatSaysYesAndMapsNothingIsFoundOutByAServerThatAnswersToThePort(_ spoken: MappingProtocol) {
    for lies in [true, false] {
      let server = endpoint("203.0.113.77:3478")
      let scene = Scene {
        $0.nat = .symmetric
        $0.link = { $0.uplinks[0].stunServers = [HostPort(host: "203.0.113.77")] }
      }
      _ = scene.net.addNode(
        "behaviour", on: .internet, addresses: [server.address, address("203.0.113.78")],
        host: BehaviourServer(server, other: endpoint("203.0.113.78:3479")))
      var router = MappingRouter(externalAddress: Self.outside, now: scene.net.now)
      router.lies = lies
      router.protocols = [spoken]
      scene.net.withHost(scene.link, as: LinkHost.self) { link, _, _ in
        link.routerPlace = RouterPlace(router, at: Self.router, local: Self.local)
      }
      run(scene, 40)
      #expect(codes(scene) == (lies ? ["mappingLeadsNowhere"] : []))
      #expect(shown(scene) == "\(spoken.rawValue) 5060 \(lies ? "useless" : "mapped")")
      #expect(contact(scene)?.contains(":5060") == !lies)
    }
  }

  // MARK: Where only flows are kept

  private static let flow = (inside: endpoint("192.168.1.2:65002"), remote: endpoint("203.0.113.10:5060"))

  private func peers(_ scene: Scene) -> [Endpoint] {
    scene.net.host(scene.link, as: LinkHost.self)?.routerPlace?.router.peers.compactMap(\.remote) ?? []
  }

  /// Lets time pass with the flow to the provider as the router translates it.
  private func runKept(_ scene: Scene, _ seconds: Double) {
    for _ in 0..<Int(seconds) {
      let outside = scene.net.box(scene.router).outsideEndpoint(
        of: Self.flow.inside, to: Self.flow.remote, now: scene.net.now)
      scene.net.withHost(scene.link, as: LinkHost.self) { link, _, _ in
        link.routerPlace?.router.flows =
          outside.map { [.init(inside: Self.flow.inside, remote: Self.flow.remote, outside: $0)] } ?? []
      }
      scene.run(1)
    }
  }

  @Test(arguments: [
    PCPResultCode.notAuthorized, .unsupportedOpcode, .userExceededQuota, .noResources, .cannotProvideExternal,
  ])
  func aRouterThatRefusesMAPIsAskedToKeepTheFlowToTheProvider(_ code: PCPResultCode) {
    let scene = scene {
      $0.protocols = [.pcp]
      $0.mapRefusal = code
    }
    runKept(scene, 40)
    #expect(peers(scene) == [Self.flow.remote])
    #expect(codes(scene) == ["portMappingRefused"])
    #expect(mapping(scene)?.state == "refused")
    let outside = scene.net.box(scene.router).outsideEndpoint(
      of: Self.flow.inside, to: Self.flow.remote, now: scene.net.now)
    #expect(contact(scene)?.contains(outside?.description ?? "?") == true)
    runKept(scene, 7500)
    #expect(peers(scene) == [Self.flow.remote], "it is renewed, and asked for once")
    #expect(scene.registerTimes.count < 60, "nothing flaps: \(scene.registerTimes.count)")
    // The router forgets everything, and says so.
    scene.net.withHost(scene.link, as: LinkHost.self) { link, now, actions in
      link.routerPlace?.router.reboot(now: now)
      link.hearRouter(now: now, into: &actions)
    }
    #expect(peers(scene) == [Self.flow.remote])
    // It gives mappings after all: the flow is not needed any more.
    scene.net.withHost(scene.link, as: LinkHost.self) { link, _, _ in link.routerPlace?.router.mapRefusal = nil }
    runKept(scene, 1900)
    #expect(shown(scene) == "pcp 5060 mapped")
    #expect(peers(scene) == [])
  }

  @Test func keptFlowsAreGivenBackAtTheEnd() {
    let scene = scene {
      $0.protocols = [.pcp]
      $0.mapRefusal = .notAuthorized
    }
    runKept(scene, 40)
    #expect(peers(scene).count == 1)
    scene.net.withHost(scene.link, as: LinkHost.self) { $0.apply(.shutDownAsked, now: $1, into: &$2) }
    scene.run(3)
    #expect(scene.net.host(scene.link, as: LinkHost.self)?.isStopped == true)
    #expect(peers(scene) == [])
  }

  /// A provider that does not say where it saw us, and goes by the contact: only the router knows what leads back.
  @Test(arguments: [true, false]) func whereNobodyElseTellsTheFlowTheRouterDoes(_ isKept: Bool) {
    let scene = Scene {
      $0.nat = .symmetric
      $0.hasBehaviorServer = true
      $0.provider = { $0.quirks.latching = false }
    }
    scene.net.setRewriter(PayloadRewriter(outward: { $1.bytes }, inward: Fault.withoutReceived), of: scene.router)
    scene.mappingRouter {
      $0.protocols = [.pcp]
      $0.mapRefusal = .notAuthorized
      $0.peerRefusal = isKept ? nil : .unsupportedOpcode
    }
    runKept(scene, 60)
    let outside = scene.net.box(scene.router).outsideEndpoint(
      of: Self.flow.inside, to: Self.flow.remote, now: scene.net.now)
    #expect((scene.contacts == ["sip:1000@\(outside?.description ?? "?")"]) == isKept, "\(scene.contacts)")
    let before = scene.records.count
    _ = scene.callFromOutside(for: .seconds(5))
    runKept(scene, 20)
    #expect((scene.records.count > before) == isKept, "a call finds the way in by what the router says, or not at all")
  }

  @Test func whatAStrangerSaysOfAFlowMovesNothing() throws {
    let scene = scene {
      $0.protocols = [.pcp]
      $0.mapRefusal = .notAuthorized
    }
    runKept(scene, 60)
    let place = try #require(scene.net.host(scene.link, as: LinkHost.self)?.routerPlace)
    let kept = try #require(place.router.peers.first)
    let contact = contact(scene)
    let registrations = scene.registerTimes.count
    let elsewhere = endpoint("198.51.100.1:4444")
    func answer(
      _ result: PCPResultCode = .success, nonce: UInt128, remote: Endpoint = Self.flow.remote,
      from source: Endpoint = Endpoint(Self.router, port: 5351)
    ) {
      let bytes = PCPResponse(
        opcode: .peer, result: result, lifetime: 3600, epoch: place.router.epoch(scene.net.now),
        mapping: PCPMapping(
          nonce: nonce, transport: .udp, internalPort: Self.flow.inside.port, external: elsewhere, remote: remote)
      ).encoded()
      scene.net.withHost(scene.link, as: LinkHost.self) {
        $0.apply(.routerTold(.received(bytes, from: source), uplink: 0), now: $1, into: &$2)
      }
      runKept(scene, 5)
    }
    answer(nonce: kept.nonce ^ 1)
    answer(nonce: kept.nonce, remote: endpoint("203.0.113.66:5060"))
    answer(nonce: kept.nonce, from: endpoint("192.168.1.77:5351"))
    answer(.addressMismatch, nonce: kept.nonce ^ 1)
    // And what the router itself says unasked, or against what the world sees.
    answer(nonce: kept.nonce)
    answer(.addressMismatch, nonce: kept.nonce)
    #expect(self.contact(scene) == contact)
    #expect(scene.registerTimes.count == registrations)
    #expect(codes(scene) == ["portMappingRefused"])
    #expect(scene.trunk?.state == .registered)
  }

  @Test func aCallHasItsMediaPortsMappedAndGivenBack() {
    let scene = scene()
    run(scene, 20)
    _ = scene.dial(Scene.farNumber)
    run(scene, 6)
    let during = scene.net.host(scene.link, as: LinkHost.self)?.routerPlace?.router.entries.map(\.internalPort) ?? []
    #expect(during.count == 3, "SIP, RTP and RTCP: \(during)")
    scene.net.withHost(scene.link, as: LinkHost.self) { link, now, actions in
      for call in link.link.status(now: now).calls { link.apply(.hangUpAsked(call: call.id), now: now, into: &actions) }
    }
    run(scene, 3)
    let after = scene.net.host(scene.link, as: LinkHost.self)?.routerPlace?.router.entries.map(\.internalPort) ?? []
    #expect(after == [65_002])
  }
}

/// A STUN server of RFC 5780 on two addresses that answers to the port it is told.
private struct BehaviourServer: SimulatedHost {
  let first: Endpoint
  let other: Endpoint

  init(_ first: Endpoint, other: Endpoint) {
    self.first = first
    self.other = other
  }

  mutating func start(now: MonotonicInstant, into actions: inout [HostAction]) {
    for (socket, place) in places.enumerated() { actions.append(.openSocket(socket, local: place)) }
  }

  private var places: [Endpoint] {
    [
      first, Endpoint(first.address, port: other.port), Endpoint(other.address, port: first.port), other,
    ]
  }

  mutating func datagramReceived(
    _ bytes: [UInt8], from source: Endpoint, on socket: Int, now: MonotonicInstant, into actions: inout [HostAction]
  ) {
    var answer: [UInt8] = []
    let opposite = places[3 - socket]
    let reply = BindingResponder(software: nil).reply(
      to: bytes.span, from: source, local: places[socket], other: opposite, into: &answer)
    guard let reply else { return }
    let from = socket ^ (reply.change.changeIP ? 2 : 0) ^ (reply.change.changePort ? 1 : 0)
    actions.append(.send(answer, socket: from, to: reply.destination))
  }
}
