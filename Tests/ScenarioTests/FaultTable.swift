import CallControl
import EmbeddedProvider
import LinkManager
import LinkScenario
import NetworkSimulator
import NetworkTypes
import PortMapping
import Testing

/// Something that breaks in the world around the link, and what the link then says of it.
struct Fault: Sendable, CustomTestStringConvertible {
  /// Two faults of one area do not go together; of calls and of the office, which has many phones, any two do.
  enum Area: Sendable { case line, registration, call, audio, stun, router, office, machine }

  let name: String
  let area: Area
  let code: VerdictCode
  /// What has to be so before the world begins, broken or not.
  var plan: @Sendable (inout Scene.Plan) -> Void = { _ in }
  /// Done before anything runs, where the fault is one of the start.
  var begins: (@Sendable (Scene) -> Void)?
  /// Breaks a link that is registered and well.
  var breaks: @Sendable (Scene) -> Void = { _ in }
  /// What is done, and how long is waited, until the fault has to be named.
  var shows: @Sendable (Scene) -> Void = { $0.run(60) }
  /// What the next step says.
  var repairs: @Sendable (Scene) -> Void = { _ in }
  /// Seconds from the repair until everything has to be well.
  var heals = 60.0
  /// Whether it shows only where calls can be made.
  var needsTrunk = false
  /// Whether it leads to others when time passes, or hides all calls, so that it is shown alone.
  var isAlone = false
  /// Whether it is about phone 20, of which there is one only.
  var takesPhone = false

  var testDescription: String { name }

  /// Whether the trunk cannot be used while it lasts.
  var downsTrunk: Bool { area == .line || area == .registration }

  /// Whether this one cannot be seen behind the other one. The line hides all that comes over it; a trunk without a
  /// registration hides what calls would show.
  func isHidden(by other: Fault) -> Bool {
    switch other.area {
    case .line: needsTrunk || [.registration, .stun, .router].contains(area)
    case .registration: needsTrunk
    // No call gets as far as its own fault.
    case .machine: other.code == .portTaken && needsTrunk
    default: false
    }
  }

  /// What two faults say together where they cannot be told from something else; `nil` where each says its own.
  func merges(with other: Fault) -> Set<VerdictCode>? {
    let codes: Set = [code, other.code]
    let silence: Set = [VerdictCode.noAnswer, .providerSilent]
    // Neither STUN servers nor the provider answer: that is a line that is down.
    if codes.contains(.stunServersSilent) {
      if !codes.isDisjoint(with: silence) { return [.lineDown] }
      if codes.contains(.nameUnknown) { return [.nameUnknown, .lineDown] }
    }
    // Nobody is left to be asked whether it is the line.
    if codes == [.lineDown, .stunServersUnresolved] { return [.stunServersUnresolved, .providerSilent] }
    // The link takes the router for one that gives each destination another port, and asks no further why nothing comes in.
    if codes == [.twoLines, .oneWayAudioIn] { return [.twoLines, .audioUnreachable] }
    // Without the provider's word two servers are two opinions.
    if codes == [.noAnswer, .lyingServer] { return [.noAnswer, .stunServersDisagree] }
    return nil
  }

  func goes(with other: Fault) -> Bool {
    if name == other.name || isAlone || other.isAlone { return false }
    if takesPhone && other.takesPhone { return false }
    if area == other.area { return area == .call || area == .office }
    // Both would need the office's router, or both a phone, to be two things at once.
    let areas = [area, other.area]
    if areas.contains(.stun) && areas.contains(.router) { return false }
    if areas.contains(.audio) && (areas.contains(.call) || areas.contains(.office) || areas.contains(.router)) {
      return false
    }
    return true
  }
}

extension Scene {
  /// What the link was configured with last by ``reconfigure(_:)``, else at the start.
  func reconfigure(_ change: (inout LinkConfiguration) -> Void) {
    guard var configuration = net.host(link, as: LinkHost.self)?.configured else { return }
    change(&configuration)
    apply(.reconfigured(configuration))
  }

  func changeProvider(_ change: (inout ProviderConfiguration) -> Void) {
    _ = withProvider { core, _, _ in core.reconfigure(change) }
  }

  func registerNow() {
    apply(.registrationAsked(trunk: "main"))
    run(5)
  }

  func server(_ index: Int, _ change: (inout STUNServerHost) -> Void) {
    net.withHost(stun[index], as: STUNServerHost.self) { host, _, _ in change(&host) }
  }

  func mappingRouter(_ change: (inout MappingRouter) -> Void) {
    let now = net.now
    net.withHost(link, as: LinkHost.self) { host, _, _ in
      var router = host.routerPlace?.router ?? MappingRouter(externalAddress: address("198.51.100.1"), now: now)
      change(&router)
      host.routerPlace = RouterPlace(router, at: address("192.168.1.1"), local: address("192.168.1.2"))
    }
  }

  /// The router is as it should be now, and says so.
  func mendRouter() {
    net.withHost(link, as: LinkHost.self) { host, now, actions in
      host.routerPlace?.router.protocols = MappingProtocol.allCases
      host.routerPlace?.router.refuses = false
      host.routerPlace?.router.lies = false
      host.routerPlace?.router.takenPorts = []
      host.routerPlace?.router.reboot(now: now, externalAddress: address("198.51.100.1"))
      host.hearRouter(now: now, into: &actions)
    }
  }

  var civilTime: WallTime { WallTime(nanoseconds: 1_795_000_000_000_000_000 &+ (net.now - net.beginning).nanoseconds) }

  /// What does not work of what an office expects: to be registered, to call and to be called, with sound both ways.
  func shortcomings() -> [String] {
    var result: [String] = []
    if trunk?.state != .registered { result.append("the trunk is \(trunk?.state.rawValue ?? "gone")") }
    _ = dial(Self.farNumber, for: .seconds(8))
    run(13)
    var heard = secondsHeard
    if heard.phone < 6 || heard.far < 6 { result.append("a call out: \(heard)") }
    _ = callFromOutside(for: .seconds(8))
    run(13)
    heard = secondsHeard
    if heard.phone < 6 || heard.far < 6 { result.append("a call in: \(heard)") }
    return result
  }
}

extension Fault {
  // MARK: Kinds of rows

  /// The provider answers every REGISTER with a status.
  private static func registration(_ status: Int, _ code: VerdictCode) -> Fault {
    Fault(
      name: "REGISTER is answered with \(status)", area: .registration, code: code,
      breaks: { $0.changeProvider { $0.quirks.registerStatus = status } }, shows: { $0.registerNow() },
      repairs: { $0.changeProvider { $0.quirks.registerStatus = nil } }, heals: 420)
  }

  /// Whoever is called out in the world refuses with a status.
  private static func call(_ status: Int, _ code: VerdictCode) -> Fault {
    let number = "+493999\(status)"
    return Fault(
      name: "a call is answered with \(status)", area: .call, code: code,
      plan: { plan in
        let before = plan.provider
        plan.provider = {
          before(&$0)
          $0.farEnds.append(FarEnd(NumberPattern(number), AnswerPlan(.refuse(status, after: .milliseconds(500)))))
        }
      },
      shows: {
        _ = $0.dial(number)
        $0.run(5)
      }, needsTrunk: true)
  }

  private static func audio(
    _ name: String, _ code: VerdictCode, _ change: @escaping @Sendable (Scene, [PacketFilter]) -> NetworkChange,
    isOutward: Bool
  ) -> Fault {
    Fault(
      name: name, area: .audio, code: code,
      breaks: { $0.net.apply(change($0, [PacketFilter(.rtp, isOutward: isOutward)])) },
      shows: {
        _ = $0.dial(Scene.farNumber, for: .seconds(10))
        $0.run(16)
      }, repairs: { $0.net.apply(change($0, [])) }, needsTrunk: true)
  }

  /// The router is asked for a mapping, and is as `change` makes it.
  private static func router(
    _ name: String, _ code: VerdictCode, by spoken: MappingProtocol = .pcp,
    _ change: @escaping @Sendable (inout MappingRouter) -> Void
  ) -> Fault {
    Fault(
      name: name, area: .router, code: code, begins: { $0.mappingRouter(change) },
      breaks: { $0.reconfigure { $0.uplinks[0].incoming = .mapped(spoken) } }, shows: { $0.run(60) },
      repairs: { $0.mendRouter() }, heals: 900)
  }

  private static func then<Value>(
    _ first: @escaping (inout Value) -> Void, _ second: @escaping (inout Value) -> Void
  ) -> (inout Value) -> Void {
    {
      first(&$0)
      second(&$0)
    }
  }

  private static let pbx = RouteTarget.pbx("asterisk")

  // MARK: The table

  static let table: [Fault] = [lines, registrations, stuns, routers, calls, sounds, offices, machines].flatMap { $0 }

  /// Codes that no row has, and where they are shown instead.
  static let elsewhere: [(place: String, codes: [VerdictCode])] = [
    ("NATScenarios", [.audioUnreachable]),
    ("FailOverScenarios", [.uplinkLost]),
    (
      "ProviderScenarios",
      [.callUnknownAfterMove, .callRefusedAfterMove, .callUnansweredAfterMove, .callBarredAfterMove]
    ),
    ("RegistrationPolicyTests", [.redirected, .unsupportedAuthentication]),
    ("FailedCallTests", [.callUnacknowledged]),
    ("ClientTests of PortMapping", [.natBeforeRouter]),
    ("CallStoreTests, and the lab with a real disk", [.diskFull, .storeUnusable]),
    ("twoFaultsAreBothNamed", [.noTrunk]),
  ]

  static let lines: [Fault] = [
    Fault(
      name: "UDP is blocked", area: .line, code: .udpBlocked,
      begins: { $0.net.apply(.behaviorChanged($0.router, .blocked)) },
      shows: { $0.run(60) }, repairs: { $0.net.apply(.behaviorChanged($0.router, .portRestrictedCone)) }, heals: 200),
    Fault(
      name: "the line is cut for good", area: .line, code: .lineDown, breaks: { $0.net.apply(.lineCut($0.router)) },
      shows: { $0.run(120) }, repairs: { $0.net.apply(.lineRestored($0.router)) }, heals: 90),
    Fault(
      name: "DNS is dead", area: .line, code: .nameServerSilent, begins: { $0.net.apply(.nameServerDied) },
      shows: { $0.run(60) }, repairs: { $0.net.apply(.nameServerRevived) }, heals: 90),
  ]

  static let registrations: [Fault] = [
    Fault(
      name: "wrong password", area: .registration, code: .wrongPassword,
      breaks: { $0.changeProvider { $0.accounts[0].password = Redacted("changed") } }, shows: { $0.registerNow() },
      repairs: { $0.reconfigure { $0.trunks[0].password = Redacted("changed") } }),
    Fault(
      name: "wrong user", area: .registration, code: .wrongPassword,
      breaks: { $0.changeProvider { $0.accounts[0].username = "1001" } }, shows: { $0.registerNow() },
      repairs: { $0.reconfigure { $0.trunks[0].username = "1001" } }),
    Fault(
      name: "no password", area: .registration, code: .noPassword,
      breaks: { $0.reconfigure { $0.trunks[0].password = nil } }, shows: { $0.run(10) },
      repairs: { $0.reconfigure { $0.trunks[0].password = Redacted("secret") } }),
    Fault(
      name: "wrong realm", area: .registration, code: .wrongRealm,
      breaks: { $0.reconfigure { $0.trunks[0].realm = "elsewhere.example" } }, shows: { $0.run(10) },
      repairs: { $0.reconfigure { $0.trunks[0].realm = "provider.example" } }),
    registration(403, .forbidden), registration(404, .unknownUser), registration(405, .notARegistrar),
    registration(420, .refused), registration(423, .intervalTooBrief), registration(480, .providerBusy),
    registration(503, .providerError),
    Fault(
      name: "the provider asks for the password for ever", area: .registration, code: .endlessChallenges,
      breaks: { $0.changeProvider { $0.quirks.staleNonceEvery = 1 } }, shows: { $0.registerNow() },
      repairs: { $0.changeProvider { $0.quirks.staleNonceEvery = nil } }, heals: 420),
    Fault(
      name: "a registration is granted no time", area: .registration, code: .expiresAtOnce,
      breaks: { $0.changeProvider { $0.quirks.grantedExpires = 0 } }, shows: { $0.registerNow() },
      repairs: { $0.changeProvider { $0.quirks.grantedExpires = nil } }, heals: 150),
    Fault(
      name: "the password is not good for calls", area: .registration, code: .callCredentialsRefused,
      breaks: { $0.changeProvider { $0.accounts[0].password = Redacted("changed") } },
      shows: {
        _ = $0.dial(Scene.farNumber)
        $0.run(5)
      }, repairs: { $0.reconfigure { $0.trunks[0].password = Redacted("changed") } }, isAlone: true),
    Fault(
      name: "the provider's name is misspelt", area: .registration, code: .nameUnknown,
      breaks: { $0.reconfigure { $0.trunks[0].registrar = HostPort(host: "sip.misspelt.example") } },
      shows: { $0.run(30) },
      repairs: { $0.reconfigure { $0.trunks[0].registrar = HostPort(host: "sip.provider.example") } }),
    Fault(
      name: "the provider falls silent", area: .registration, code: .providerSilent,
      breaks: { $0.net.apply(.nodeDeafened($0.provider)) }, shows: { $0.run(150) },
      repairs: { $0.net.apply(.nodeHears($0.provider)) }, heals: 120),
    Fault(
      name: "the provider never answers", area: .registration, code: .noAnswer,
      begins: { $0.net.apply(.nodeDeafened($0.provider)) }, shows: { $0.run(60) },
      repairs: { $0.net.apply(.nodeHears($0.provider)) }, heals: 120),
  ]

  static let stuns: [Fault] = [
    Fault(
      name: "only STUN is blocked", area: .stun, code: .stunServersSilent,
      breaks: { $0.net.apply(.filtersChanged($0.router, [PacketFilter(.stun)])) }, shows: { $0.run(60) },
      repairs: { $0.net.apply(.filtersChanged($0.router, [])) }),
    Fault(
      name: "the first STUN server is dead", area: .stun, code: .stunServerDead,
      breaks: { $0.server(0) { $0.isDead = true } }, shows: { $0.run(240) },
      repairs: { $0.server(0) { $0.isDead = false } }),
    Fault(
      name: "the STUN servers' names are misspelt", area: .stun, code: .stunServersUnresolved,
      breaks: { $0.reconfigure { $0.uplinks[0].stunServers = [HostPort(host: "stun.misspelt.example")] } },
      shows: { $0.run(30) },
      repairs: { $0.reconfigure { $0.uplinks[0].stunServers = [HostPort(host: "stun.provider.example")] } }),
    Fault(
      name: "a STUN server lies", area: .stun, code: .lyingServer,
      begins: { $0.net.apply(.nodeDeafened($0.stun[0])) },
      breaks: {
        $0.server(0) { $0.lie = endpoint("192.0.2.99:1234") }
        $0.net.apply(.nodeHears($0.stun[0]))
      }, shows: { $0.run(120) },
      repairs: { $0.reconfigure { $0.uplinks[0].stunServers = [HostPort(host: "stun.elsewhere.example")] } }),
    Fault(
      name: "a STUN server lies, and the provider does not say what it sees", area: .stun, code: .stunServersDisagree,
      begins: {
        $0.net.setRewriter(PayloadRewriter(outward: { $1.bytes }, inward: withoutReceived), of: $0.router)
        $0.server(1) { $0.lie = endpoint("192.0.2.99:1234") }
      }, shows: { $0.run(30) },
      repairs: { $0.reconfigure { $0.uplinks[0].stunServers.removeLast() } }),
    Fault(
      name: "SIP leaves by another line than STUN", area: .stun, code: .twoLines,
      begins: { scene in for server in 0...1 { scene.server(server) { $0.lie = endpoint("192.0.2.99:65002") } } },
      shows: { $0.run(30) },
      repairs: { scene in for server in 0...1 { scene.server(server) { $0.lie = nil } } }, heals: 90, needsTrunk: true),
  ]

  /// What a provider that does not say where it saw us (RFC 3261 §18.2.1 has it say so) would have answered.
  @Sendable static func withoutReceived(_ came: Datagram, _ leaves: Datagram) -> [UInt8] {
    guard came.source.port == 5060, leaves.bytes.starts(with: Array("SIP/2.0".utf8)) else { return leaves.bytes }
    let received = ";received=\(came.destination.address)"
    return Array(String(decoding: leaves.bytes, as: UTF8.self).replacing(received, with: "").utf8)
  }

  static let routers: [Fault] = [
    router("the router lies about a mapping", .mappingLeadsNowhere, by: .upnp) {
      $0.protocols = [.upnp]
      $0.lies = true
    },
    router("the router refuses mappings", .portMappingRefused) { $0.refuses = true },
    router("the router gives no mappings", .portMappingUnavailable) { $0.protocols = [] },
    router("the usual port is taken at the router", .externalPortTaken) { $0.takenPorts = [5060] },
    router("a carrier's NAT", .carrierNAT) { $0.externalAddress = address("100.64.3.2") },
    Fault(
      name: "the router rewrites SIP", area: .router, code: .sipALG,
      breaks: { $0.net.setRewriter(TribunalScenarios.gateway, of: $0.router) },
      shows: {
        for _ in 0..<2 { $0.registerNow() }
      }, repairs: { $0.net.setRewriter(nil, of: $0.router) }, needsTrunk: true),
    router("double NAT", .doubleNAT) { $0.externalAddress = address("10.0.0.2") },
    router("the router tells another address", .routerAddressDiffers) { $0.externalAddress = address("203.0.113.200") },
    Fault(
      name: "the port forward is missing", area: .router, code: .forwardMissing, plan: { $0.hasBehaviorServer = true },
      breaks: { $0.reconfigure { $0.uplinks[0].incoming = .forwarded(5060) } }, shows: { $0.run(60) },
      repairs: {
        $0.net.apply(.forwardsChanged($0.router, [PortForward(outsidePort: 5060, to: endpoint("192.168.1.2:65002"))]))
      }, heals: 700),
    Fault(
      name: "the port forward leads to another host", area: .router, code: .forwardMissing,
      plan: { $0.hasBehaviorServer = true },
      breaks: {
        $0.net.apply(.forwardsChanged($0.router, [PortForward(outsidePort: 5060, to: endpoint("192.168.1.21:5060"))]))
        $0.reconfigure { $0.uplinks[0].incoming = .forwarded(5060) }
      }, shows: { $0.run(60) },
      repairs: {
        $0.net.apply(.forwardsChanged($0.router, [PortForward(outsidePort: 5060, to: endpoint("192.168.1.2:65002"))]))
      }, heals: 700),
    Fault(
      name: "the router forgets ports soon", area: .router, code: .shortBinding,
      plan: {
        $0.hasBehaviorServer = true
        $0.nat.lifetime = .seconds(8)
      }, shows: { $0.run(260) },
      repairs: {
        var nat = NATBehavior.portRestrictedCone
        nat.lifetime = .seconds(120)
        $0.net.apply(.behaviorChanged($0.router, nat))
      }),
    Fault(
      name: "the router holds dead state", area: .router, code: .deadNATState,
      plan: {
        let before = $0.link
        $0.link = then(before) { $0.uplinks[0].sparePort = 65003 }
      }, breaks: { $0.net.apply(.stateDied($0.router)) }, shows: { $0.run(30) }, heals: 300),
  ]

  static let calls: [Fault] = [
    call(402, .callRefused), call(403, .callForbidden), call(404, .numberUnknown), call(408, .nobodyAnswered),
    call(480, .calleeUnavailable),
    call(484, .numberIncomplete), call(486, .calleeBusy), call(487, .callTerminated), call(488, .noCommonCodec),
    call(500, .calleeFailed), call(503, .calleeCongested), call(603, .calleeDeclined),
    Fault(
      name: "the caller's number is not ours", area: .call, code: .callerNumberRefused,
      breaks: {
        $0.changeProvider { $0.quirks.refusesForeignCallers = true }
        $0.reconfigure { $0.phones[1].callerNumber = "+49999000" }
      },
      shows: {
        _ = $0.dial(Scene.farNumber, from: 1)
        $0.run(5)
      }, repairs: { $0.reconfigure { $0.phones[1].callerNumber = Scene.number } }, needsTrunk: true, takesPhone: true),
    Fault(
      name: "a phone without a codec in common", area: .call, code: .noCommonCodec,
      breaks: { _ = $0.withPhone(1) { phone, _, _ in phone.setCodecs([(18, "G729")]) } },
      shows: {
        _ = $0.dial(Scene.farNumber, from: 1)
        $0.run(8)
      }, repairs: { _ = $0.withPhone(1) { phone, _, _ in phone.setCodecs(nil) } }, needsTrunk: true, takesPhone: true),
    Fault(
      name: "fragments are lost", area: .call, code: .fragmentsLost,
      breaks: {
        let many = (0..<28).map { (UInt8(96 + $0), "a-codec-that-nobody-has-\($0)") }
        _ = $0.withPhone(1) { phone, _, _ in phone.setCodecs([(8, "PCMA")] + many) }
        var line = LinkQuality.dsl
        line.longest = 1400
        $0.net.apply(.lineQualityChanged($0.router, line))
      },
      shows: {
        _ = $0.dial(Scene.farNumber, from: 1)
        $0.run(45)
      }, repairs: { _ = $0.withPhone(1) { phone, _, _ in phone.setCodecs(nil) } }, needsTrunk: true, takesPhone: true),
    Fault(
      name: "the provider does not answer one call", area: .call, code: .callUnanswered,
      plan: { plan in
        let before = plan.provider
        plan.provider = then(before) { $0.farEnds.append(FarEnd(NumberPattern("+49306666"), AnswerPlan(.ignore))) }
      },
      shows: {
        _ = $0.dial("+49306666")
        $0.run(45)
      }, needsTrunk: true),
    Fault(
      name: "a call for a number that is not ours", area: .call, code: .numberNotOurs,
      plan: {
        let (link, provider) = ($0.link, $0.provider)
        $0.link = then(link) { $0.routing.inbound[0].number = NumberPattern(Scene.number) }
        $0.provider = then(provider) { $0.accounts[0].numbers.append(NumberPattern("+49211777")) }
      },
      shows: {
        _ = $0.withProvider {
          $0.placeCall(to: "+49211777", from: "+49301111", script: CallScript(), now: $1, into: &$2)
        }
        $0.run(5)
      },
      repairs: { $0.reconfigure { $0.routing.inbound.append(InboundRule(to: [.phone("20")])) } }, needsTrunk: true),
  ]

  static let sounds: [Fault] = [
    audio("nothing of the far end comes in", .oneWayAudioIn, { .nodeFiltersChanged($0.provider, $1) }, isOutward: true),
    audio("nothing of the phone comes in", .oneWayAudioOut, { .nodeFiltersChanged($0.phones[0], $1) }, isOutward: true),
    audio("no sound comes in at all", .noAudio, { .nodeFiltersChanged($0.link, $1) }, isOutward: false),
  ]

  static let offices: [Fault] = [
    Fault(
      name: "a phone has the wrong password", area: .office, code: .phoneRefused,
      begins: { $0.reconfigure { $0.phones[1].password = Redacted("changed") } },
      repairs: { $0.reconfigure { $0.phones[1].password = Redacted("phone20") } }, heals: 400, takesPhone: true),
    Fault(
      name: "a phone stands behind a NAT", area: .office, code: .phoneBehindNAT,
      plan: { plan in
        let before = plan.phone
        plan.phone = then(before) { if $0.username == "20" { $0.advertised = endpoint("10.0.0.20:5060") } }
      }, repairs: { $0.net.apply(.nodeDisconnected($0.phones[1])) }, takesPhone: true),
    Fault(
      name: "a phone is gone", area: .office, code: .phoneGone,
      plan: { plan in
        let (link, provider) = (plan.link, plan.provider)
        plan.link = then(link) {
          $0.routing.inbound.insert(InboundRule(number: NumberPattern("+49211720"), to: [.phone("20")]), at: 0)
        }
        plan.provider = then(provider) { $0.accounts[0].numbers.append(NumberPattern("+49211720")) }
      }, breaks: { $0.net.apply(.nodeDisconnected($0.phones[1])) },
      shows: {
        _ = $0.withProvider {
          $0.placeCall(to: "+49211720", from: "+49301111", script: CallScript(), now: $1, into: &$2)
        }
        $0.run(40)
      }, repairs: { $0.net.apply(.nodeConnected($0.phones[1])) }, needsTrunk: true, takesPhone: true),
    Fault(
      name: "a phone loses its power in a call", area: .office, code: .endGone,
      shows: {
        _ = $0.dial(Scene.farNumber, from: 1)
        $0.run(10)
        $0.net.apply(.nodeDisconnected($0.phones[1]))
        $0.run(100)
      },
      repairs: {
        $0.net.apply(.nodeConnected($0.phones[1]))
        // A phone that starts anew has no calls.
        if let call = $0.phoneCall(1) { $0.hangUpPhone(call, 1) }
      }, needsTrunk: true, takesPhone: true),
    Fault(
      name: "a PBX is gone", area: .office, code: .pbxGone,
      plan: { plan in
        let (link, provider) = (plan.link, plan.provider)
        plan.link = then(link) {
          $0.pbxs.append(PBXConfiguration(name: "asterisk", address: endpoint("192.168.1.40:5060")))
          $0.routing.inbound.insert(InboundRule(number: NumberPattern("+49211740"), to: [pbx]), at: 0)
        }
        plan.provider = then(provider) { $0.accounts[0].numbers.append(NumberPattern("+49211740")) }
      },
      shows: {
        _ = $0.withProvider {
          $0.placeCall(to: "+49211740", from: "+49301111", script: CallScript(), now: $1, into: &$2)
        }
        $0.run(40)
      }, repairs: { $0.reconfigure { $0.routing.inbound.removeFirst() } }, needsTrunk: true),
    Fault(
      name: "nobody is registered who is to be rung", area: .office, code: .phoneAbsent,
      plan: { plan in
        let (link, provider) = (plan.link, plan.provider)
        plan.link = then(link) {
          $0.phones.append(PhoneConfiguration(extensionNumber: "30", name: "Store", password: Redacted("phone30")))
          $0.routing.inbound.insert(InboundRule(number: NumberPattern("+49211730"), to: [.phone("30")]), at: 0)
        }
        plan.provider = then(provider) { $0.accounts[0].numbers.append(NumberPattern("+49211730")) }
      },
      shows: {
        _ = $0.withProvider {
          $0.placeCall(to: "+49211730", from: "+49301111", script: CallScript(), now: $1, into: &$2)
        }
        $0.run(5)
      }, needsTrunk: true),
    Fault(
      name: "a number that no rule takes is dialled", area: .office, code: .noRoute,
      plan: { plan in
        let before = plan.link
        plan.link = then(before) { $0.routing.outbound = [OutboundRule(to: NumberPattern("+*"), trunks: ["main"])] }
      },
      shows: {
        _ = $0.dial("0301111", from: 1)
        $0.run(3)
      },
      repairs: {
        $0.reconfigure { $0.routing.outbound.append(OutboundRule(to: NumberPattern("*"), trunks: ["main"])) }
      }, takesPhone: true),
  ]

  static let machines: [Fault] = [
    Fault(
      name: "the ports of media are taken", area: .machine, code: .portTaken,
      breaks: { $0.net.apply(.portsTaken($0.link, 55000...55999)) },
      shows: {
        _ = $0.dial(Scene.farNumber)
        $0.run(8)
      }, repairs: { $0.net.apply(.portsTaken($0.link, nil)) }, needsTrunk: true),
    Fault(
      name: "more calls than limits allow", area: .machine, code: .tooManyCalls,
      breaks: { $0.reconfigure { $0.limits.maxCalls = 0 } },
      shows: {
        _ = $0.dial(Scene.farNumber)
        $0.run(3)
      }, repairs: { $0.reconfigure { $0.limits.maxCalls = 200 } }, isAlone: true),
    Fault(
      name: "the clock is hours off", area: .machine, code: .clockOff,
      plan: { plan in
        let before = plan.provider
        // The simulated world begins at a thousand seconds of its own clock.
        plan.provider = then(before) { $0.clock = WallTime(nanoseconds: 1_794_999_000_000_000_000) }
      },
      breaks: {
        let wrong = WallTime(nanoseconds: $0.civilTime.nanoseconds + 10_800_000_000_000)
        $0.apply(.wallTimeChanged(wrong))
      }, shows: { $0.registerNow() }, repairs: { $0.apply(.wallTimeChanged($0.civilTime)) }, needsTrunk: true),
  ]
}
