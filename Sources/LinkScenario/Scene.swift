import CallControl
package import EmbeddedProvider
package import LinkManager
import MediaRelay
package import NetworkSimulator
package import NetworkTypes

package func address(_ text: String) -> IPAddress { IPAddress(text) ?? .anyV4 }
package func endpoint(_ text: String) -> Endpoint { Endpoint(text) ?? Endpoint(.anyV4, port: 0) }
package func network(_ text: String) -> IPNetwork { IPNetwork(text) ?? IPNetwork.sharedAddressSpace }

/// The scene of most scenarios: an office with the link and two telephones behind a router; outside a provider, two STUN
/// servers and a stranger.
package final class Scene {
  package static let number = "+49211123450"
  package static let farNumber = "+49301111"
  /// What the far end plays and what the telephones play, so that each side can be told by ear.
  package static let farTone = 1000
  package static let phoneTone = 440

  /// What a scenario changes before anything starts.
  package struct Plan {
    package var nat = NATBehavior.portRestrictedCone
    package var line = LinkQuality.dsl
    package var seed: UInt64 = 1
    package var password = "secret"
    package var link: (inout LinkConfiguration) -> Void = { _ in }
    package var provider: (inout ProviderConfiguration) -> Void = { _ in }
    package var phone: (inout PhoneProfile) -> Void = { _ in }
    package var network: (inout SimulatedNetwork) -> Void = { _ in }
    /// Whether the first STUN server has two addresses (RFC 5780), so that filtering and lifetime can be found out.
    package var hasBehaviorServer = false
    /// For days and years: streams are flows (``RelayPace/flow``), nobody records what he hears, no packet is kept.
    package var isLong = false
    /// Packets of the line that are kept, the first ones.
    package var lineCaptureLimit: Int?
  }

  package var net: SimulatedNetwork
  package let provider: NodeID
  package let stun: [NodeID]
  package let stranger: NodeID
  package let router: NATID
  package let link: NodeID
  /// Extensions 10 and 20.
  package let phones: [NodeID]
  /// What passes the line, as it looks outside; and what the link's own node sends and hears.
  package let lineCapture: Int
  package let linkCapture: Int

  package init(_ change: (inout Plan) -> Void = { _ in }) {
    var plan = Plan()
    change(&plan)
    let seed = plan.seed &* 1000
    var net = SimulatedNetwork(seed: seed)
    net.nameServer.set("sip.provider.example", [address("203.0.113.10")])
    net.nameServer.set("stun.provider.example", [address("203.0.113.3")])
    net.nameServer.set("stun.elsewhere.example", [address("203.0.113.4")])
    plan.network(&net)
    let pace = plan.isLong ? RelayPace.flow : .live
    if plan.isLong {
      net.mediaAreFlows = true
      net.trace.limit = 0
    }

    var providerConfiguration = ProviderConfiguration(
      bind: endpoint("203.0.113.10:5060"), domain: "provider.example",
      accounts: [
        ProviderAccount(
          username: "1000", password: Redacted("secret"), numbers: [NumberPattern(Self.number)])
      ])
    providerConfiguration.farEnds += [
      FarEnd(
        NumberPattern(Self.farNumber),
        AnswerPlan(
          .answer(after: .seconds(2)), script: CallScript(sound: .tone(hertz: Self.farTone), records: !plan.isLong))),
      FarEnd(NumberPattern("+49302222"), .busy), FarEnd(NumberPattern("+49303333"), AnswerPlan(.never)),
    ]
    plan.provider(&providerConfiguration)
    provider = net.addNode(
      "provider", on: .internet, addresses: [address("203.0.113.10")],
      host: ProviderHost(
        ProviderCore(configuration: providerConfiguration, random: RandomSource(seed: seed &+ 1)),
        random: RandomSource(seed: seed &+ 2), pace: pace))
    stun = ["203.0.113.3", "203.0.113.4"].enumerated().map { index, text in
      var addresses = [address(text)]
      var host = STUNServerHost([Endpoint(address(text), port: 3478)])
      if index == 0, plan.hasBehaviorServer,
        let full = try? STUNServerHost(primary: host.endpoints[0], alternate: endpoint("203.0.113.5:3479"))
      {
        addresses.append(address("203.0.113.5"))
        host = full
      }
      return net.addNode("stun \(text)", on: .internet, addresses: addresses, host: host)
    }
    stranger = net.addNode(
      "stranger", on: .internet, addresses: [address("203.0.113.66")], host: Stranger())

    let office = net.addSubnet("office", [network("192.168.1.0/24")])
    router = net.addGateway(
      "router", from: office, behavior: plan.nat, outsideAddress: address("198.51.100.1"), line: plan.line)
    var configuration = LinkConfiguration()
    configuration.uplinks = [
      UplinkConfiguration(
        name: "dsl", bind: [endpoint("0.0.0.0:65002")],
        stunServers: [HostPort(host: "stun.provider.example"), HostPort(host: "stun.elsewhere.example")])
    ]
    configuration.lan.domain = "office.example"
    configuration.lan.interfaces = [InterfaceAddress(address("192.168.1.2"), prefixLength: 24)]
    configuration.phones = ["10", "20"].map {
      PhoneConfiguration(extensionNumber: $0, name: "Phone \($0)", password: Redacted("phone\($0)"))
    }
    var trunk = TrunkConfiguration(
      name: "main", domain: "provider.example", registrar: HostPort(host: "sip.provider.example"), username: "1000",
      password: Redacted(plan.password))
    trunk.numbers = [Self.number]
    configuration.trunks = [trunk]
    configuration.routing.inbound = [InboundRule(to: [.phone("10")])]
    configuration.routing.outbound = [OutboundRule(to: NumberPattern("*"), trunks: ["main"])]
    plan.link(&configuration)
    link = net.addNode(
      "link", on: office, addresses: [address("192.168.1.2")],
      host: LinkHost(
        configuration: configuration, random: RandomSource(seed: seed &+ 3), now: net.now,
        wallTime: WallTime(nanoseconds: 1_795_000_000_000_000_000), pace: pace))
    phones = ["10", "20"].enumerated().map { index, number in
      var profile = PhoneProfile(
        bind: endpoint("192.168.1.\(20 + index):5060"), registrar: endpoint("192.168.1.2:5060"),
        domain: "office.example", username: number, password: Redacted("phone\(number)"))
      profile.incoming = AnswerPlan(
        .answer(after: .seconds(2)), script: CallScript(sound: .tone(hertz: Self.phoneTone), records: !plan.isLong))
      plan.phone(&profile)
      return net.addNode(
        "phone \(number)", on: office, addresses: [address("192.168.1.\(20 + index)")],
        host: PhoneHost(
          PhoneCore(profile: profile, random: RandomSource(seed: seed &+ 10 &+ UInt64(index))),
          random: RandomSource(seed: seed &+ 20 &+ UInt64(index)), pace: pace))
    }
    lineCapture = net.startCapture(at: .line(router), limit: plan.lineCaptureLimit ?? (plan.isLong ? 0 : 200_000))
    linkCapture = net.startCapture(at: .node(link), limit: plan.isLong ? 0 : 200_000)
    self.net = net
  }

  package func run(_ seconds: Double) { net.run(for: .nanoseconds(Int64(seconds * 1e9))) }

  /// Runs until the trunk is registered; false after `limit` seconds without.
  package func runUntilRegistered(atMost limit: Double = 30) -> Bool {
    net.run(atMost: .nanoseconds(Int64(limit * 1e9))) { net in
      net.host(link, as: LinkHost.self)?.link.unregisteredTrunks.isEmpty ?? false
    }
  }

  /// Runs for that long, and tells whether the trunk was registered at every second of it.
  package func isRegisteredFor(_ seconds: Int) -> Bool {
    for _ in 0..<seconds {
      run(1)
      if trunk?.state != .registered { return false }
    }
    return true
  }

  /// Seconds since the world began.
  package var elapsed: Double { (net.now - net.beginning).inSeconds }

  // MARK: The link

  package var status: LinkStatus { net.host(link, as: LinkHost.self)?.link.status(now: net.now) ?? LinkStatus() }
  package var trunk: TrunkStatus? { status.trunks.first }
  package var metrics: LinkCounters { net.host(link, as: LinkHost.self)?.link.metrics(now: net.now) ?? LinkCounters() }
  package var records: [CallRecord] { net.host(link, as: LinkHost.self)?.records ?? [] }
  package var verdicts: [Verdict] { net.host(link, as: LinkHost.self)?.verdicts ?? [] }
  /// What the link logged, oldest first.
  package var logs: [String] { net.host(link, as: LinkHost.self)?.logs.map(\.sentence) ?? [] }
  package var isStopped: Bool { net.host(link, as: LinkHost.self)?.isStopped ?? false }

  /// The link is killed, and begins anew a moment later, with random numbers of its own and what it had written down.
  package func restartLink(seed: UInt64, _ change: (inout LinkConfiguration) -> Void = { _ in }) {
    guard let old = net.host(link, as: LinkHost.self) else { return }
    var configuration = old.configured
    change(&configuration)
    net.replaceHost(
      link,
      with: LinkHost(
        configuration: configuration, random: RandomSource(seed: seed), now: net.now,
        wallTime: old.link.wallTime(net.now)))
    // Its sockets are open.
    run(0.001)
    for (user, known) in old.contacts { apply(.contactsRemembered(known, user: user)) }
  }

  /// Tells the link something: a command, most often.
  @discardableResult package func apply(_ input: LinkInput) -> Bool {
    net.withHost(link, as: LinkHost.self) { host, now, actions in host.apply(input, now: now, into: &actions) } ?? false
  }

  // MARK: The provider

  package var contacts: [String] {
    net.host(provider, as: ProviderHost.self)?.agent.contacts(of: "1000", now: net.now) ?? []
  }
  package var providerEvents: [ProviderHost.Entry] { net.host(provider, as: ProviderHost.self)?.events ?? [] }

  /// When each REGISTER came, in seconds since the world began.
  package var registerTimes: [Double] {
    providerEvents.compactMap { entry in
      if case .registerReceived = entry.event { (entry.at - net.beginning).inSeconds } else { nil }
    }
  }

  package func withProvider<Result>(
    _ body: (inout ProviderCore, MonotonicInstant, inout [ProviderAction]) -> Result
  ) -> Result? {
    net.withHost(provider, as: ProviderHost.self) { host, now, actions in
      host.withAgent(now: now, into: &actions, body)
    }
  }

  /// Someone out in the world calls the office.
  package func callFromOutside(for duration: Duration? = nil, from caller: String = "+49301111") -> AgentCallID? {
    let script = CallScript(sound: .tone(hertz: Self.farTone), records: true, hangUpAfter: duration)
    return withProvider { $0.placeCall(to: Self.number, from: caller, script: script, now: $1, into: &$2) } ?? nil
  }

  package func hangUpOutside(_ id: AgentCallID) {
    _ = withProvider { $0.hangUp(id, now: $1, into: &$2) }
  }

  package var farEnding: CallEnding? {
    providerEvents.reversed().lazy.compactMap { if case .ended(_, let ending) = $0.event { ending } else { nil } }.first
  }
  package var farHeard: [Int16] {
    providerEvents.reversed().lazy
      .compactMap { if case .recorded(_, let samples) = $0.event { samples } else { nil } }.first ?? []
  }

  // MARK: The telephones

  package func phoneEvents(_ index: Int = 0) -> [PhoneEvent] {
    net.host(phones[index], as: PhoneHost.self)?.events.map(\.event) ?? []
  }

  package func withPhone<Result>(
    _ index: Int = 0, _ body: (inout PhoneCore, MonotonicInstant, inout [PhoneAction]) -> Result
  ) -> Result? {
    net.withHost(phones[index], as: PhoneHost.self) { host, now, actions in
      host.withAgent(now: now, into: &actions, body)
    }
  }

  package func dial(_ number: String, from index: Int = 0, for duration: Duration? = nil) -> AgentCallID? {
    let script = CallScript(sound: .tone(hertz: Self.phoneTone), records: true, hangUpAfter: duration)
    return withPhone(index) { $0.dial(number, script: script, now: $1, into: &$2) } ?? nil
  }

  package func hangUpPhone(_ id: AgentCallID, _ index: Int = 0) {
    _ = withPhone(index) { $0.hangUp(id, now: $1, into: &$2) }
  }

  package func phoneCall(_ index: Int = 0) -> AgentCallID? {
    net.host(phones[index], as: PhoneHost.self)?.agent.callIDs.first
  }

  package func phoneEnding(_ index: Int = 0) -> CallEnding? {
    phoneEvents(index).reversed().lazy.compactMap { if case .ended(_, let ending) = $0 { ending } else { nil } }.first
  }

  package func phoneHeard(_ index: Int = 0) -> [Int16] {
    phoneEvents(index).reversed().lazy
      .compactMap { if case .recorded(_, let samples) = $0 { samples } else { nil } }.first ?? []
  }

  // MARK: Judging

  /// Runs until a call of the link is in this state; false after `limit` seconds without.
  package func waitForCall(state: String, atMost limit: Double) -> Bool {
    net.run(atMost: .nanoseconds(Int64(limit * 1e9))) { net in
      net.host(link, as: LinkHost.self)?.link.status(now: net.now).calls.contains { $0.state == state } ?? false
    }
  }

  /// Seconds of the far end's tone that the telephone heard, and of the telephone's that the far end heard.
  package var secondsHeard: (phone: Double, far: Double) {
    (
      ToneMeter(hertz: Double(Self.farTone)).seconds(in: phoneHeard()),
      ToneMeter(hertz: Double(Self.phoneTone)).seconds(in: farHeard)
    )
  }

  /// What is left of calls anywhere, by name; empty when nothing is.
  package var leftovers: [String] {
    var result: [String] = []
    let host = net.host(link, as: LinkHost.self)
    let metrics = metrics
    if metrics.transactions != 0 { result.append("link: \(metrics.transactions) transactions") }
    if metrics.dialogs != 0 { result.append("link: \(metrics.dialogs) dialogs") }
    if metrics.mediaPorts != 0 { result.append("link: \(metrics.mediaPorts) media ports") }
    if host?.media.openSockets.isEmpty == false { result.append("link: media sockets") }
    if !status.calls.isEmpty { result.append("link: calls") }
    for index in phones.indices {
      let phone = net.host(phones[index], as: PhoneHost.self)
      if phone?.agent.mediaPortsInUse != 0 || phone?.agent.transactionCount != 0 { result.append("phone \(index)") }
    }
    let provider = net.host(provider, as: ProviderHost.self)
    if provider?.agent.mediaPortsInUse != 0 || provider?.agent.transactionCount != 0 { result.append("provider") }
    return result
  }

  /// Whether, at some moment of the next two minutes, nothing is left: where telephones and trunk register now and then, the
  /// transactions of that are not calls' leftovers.
  package func settles() -> Bool {
    for _ in 0..<120 {
      if leftovers.isEmpty { return true }
      run(1)
    }
    return leftovers.isEmpty
  }

  /// Packets that the link's node sent, with the second since the world began.
  package func sent(
    _ content: Datagram.Content, after start: Double = 0, port: UInt16? = nil
  ) -> [(at: Double, packet: Datagram)] {
    net.capture(linkCapture).packets.compactMap { packet in
      let at = (packet.at - net.beginning).inSeconds
      guard packet.isOutward, at >= start, packet.datagram.content == content,
        port.map({ $0 == packet.datagram.source.port }) ?? true
      else { return nil }
      return (at, packet.datagram)
    }
  }
}

/// Someone who sends what he is told to, from port 5060, and keeps what he hears.
package struct Stranger: SimulatedHost {
  package var heard: [(bytes: [UInt8], source: Endpoint)] = []

  package mutating func start(now: MonotonicInstant, into actions: inout [HostAction]) {
    actions.append(.openSocket(0, local: endpoint("0.0.0.0:5060")))
  }

  package mutating func datagramReceived(
    _ bytes: [UInt8], from source: Endpoint, on socket: Int, now: MonotonicInstant, into actions: inout [HostAction]
  ) { heard.append((bytes, source)) }
}
