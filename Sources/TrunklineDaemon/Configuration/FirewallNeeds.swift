public import FirewallRules
public import LinkManager
public import NetworkTypes
import PortMapping

/// What this machine and the name servers say, which the rules of a firewall depend on.
public struct FirewallSurroundings: Sendable {
  /// The addresses of host names, in the order of the lookup; a name that is missing or has none could not be looked
  /// up.
  public var names: [String: [IPAddress]] = [:]
  /// This machine's addresses and the networks behind them.
  public var interfaces: [InterfaceAddress] = []
  /// Whom this machine asks for names.
  public var nameServers: [IPAddress] = []
  /// The router of the default route, which is asked for port mappings; `nil` where there is none.
  public var router: IPAddress?
  /// The ports that the system takes for sockets that ask for none in particular.
  public var ephemeralPorts: ClosedRange<UInt16> = 32768...60999
  /// This machine's address on the way to the internet, of each family.
  public var machineV4: IPAddress?
  public var machineV6: IPAddress?
  /// The other address of STUN servers that have one (RFC 5780 §7.4).
  public var otherAddresses: [Endpoint: Endpoint] = [:]

  public init() {}
}

/// From the configuration to what the firewalls have to know: everything that this machine sends and receives because
/// of it, and nothing else.
public struct FirewallNeeds {
  private let configuration: TrunklineConfiguration
  private let surroundings: FirewallSurroundings
  private var plan: FirewallPlan
  private var ids: [String] = []

  private var link: LinkConfiguration { configuration.link }

  private init(_ configuration: TrunklineConfiguration, _ surroundings: FirewallSurroundings, origin: String) {
    self.configuration = configuration
    self.surroundings = surroundings
    plan = FirewallPlan(origin: origin)
    plan.machineV4 = surroundings.machineV4
    plan.machineV6 = surroundings.machineV6
  }

  /// The host names whose addresses ``plan(_:origin:_:)`` wants in ``FirewallSurroundings/names``, each once.
  public static func names(_ configuration: TrunklineConfiguration) -> [String] {
    var names: [String] = []
    let servers = configuration.link.uplinks.flatMap(\.stunServers)
    for host in servers + configuration.link.trunks.map(\.target) where host.address == nil {
      if !names.contains(host.host) { names.append(host.host) }
    }
    return names
  }

  /// The rules that `configuration` needs. What could not be looked up is in ``FirewallPlan/warnings``.
  ///
  /// - Parameter origin: the file that it was read from, for people.
  public static func plan(
    _ configuration: TrunklineConfiguration, origin: String, _ surroundings: FirewallSurroundings
  ) -> FirewallPlan {
    var needs = FirewallNeeds(configuration, surroundings, origin: origin)
    for index in configuration.link.uplinks.indices { needs.addUplink(index) }
    needs.addRouter()
    needs.addOfficeTrunks()
    needs.addMedia()
    needs.addPhones()
    needs.addNames()
    needs.addDashboard()
    needs.addMachine()
    return needs.plan
  }

  // MARK: Uplinks

  private mutating func addUplink(_ index: Int) {
    let uplink = link.uplinks[index]
    let suffix = link.uplinks.count > 1 ? "-\(uplink.name)" : ""
    // Every rule is written for the spare port as well.
    let sockets = uplink.bind.flatMap { bind in
      [bind] + (uplink.sparePort.map { [Endpoint(bind.address, port: $0)] } ?? [])
    }
    plan.guarded += sockets.map { GuardedPort(.udp, $0) }

    let servers = uplink.stunServers.flatMap { server in
      flows(server, defaultPort: 3478, sockets, "STUN server of uplink \(uplink.name)")
    }
    addPair(
      "stun", suffix, flows: servers, probe: (.stun, .stun),
      out: "Uplink \(uplink.name) asks STUN servers for its public address from the port that carries SIP",
      in: "The answers of the STUN servers to uplink \(uplink.name)")
    if uplink.discoversNAT, uplink.publicAddress == nil {
      // From ports that the system chooses; a server answers from its other port too, when it is asked to.
      let probes = servers.map { flow in
        var flow = flow
        flow.localPorts = surroundings.ephemeralPorts
        flow.remotePorts = nil
        return flow
      }
      addPair(
        "discovery", suffix, flows: unique(probes), probe: (.discovery, .discovery),
        out: "Which NAT stands before uplink \(uplink.name) is found out from ports of its own",
        in: "What the STUN servers answer to that, from their other ports as well")
    }

    let trunks = link.trunks.filter { $0.uplinks.isEmpty || $0.uplinks.contains(uplink.name) }
    let targets = trunks.flatMap {
      flows($0.target, defaultPort: 5060, sockets, "provider of trunk \($0.name), by uplink \(uplink.name)")
    }
    let names = trunks.map(\.name).joined(separator: ", ")
    let proofs = servers.compactMap(proof)
    addPair(
      "sip", suffix, flows: unique(targets), probe: (.registration, .call), anySourcePort: true, onlyIn: proofs,
      out: "Registrations and calls of \(names) to the provider, from uplink \(uplink.name)",
      in: "Answers and calls of the providers of \(names) to uplink \(uplink.name), from whichever port of theirs"
        + (proofs.isEmpty
          ? ""
          : "; and what `trunkline doctor` has a STUN server send from its other address, to prove the port forward"))
    addForwards(uplink, sources: targets + proofs, suffix)
  }

  /// From the server's other address, which nothing is sent to.
  private func proof(_ flow: PacketFlow) -> PacketFlow? {
    guard let server = flow.remote?.base, let port = flow.remotePorts?.lowerBound,
      let other = surroundings.otherAddresses[Endpoint(server, port: port)], other.address.isV4 == flow.isV4
    else { return nil }
    var flow = flow
    flow.remote = Self.single(other.address)
    flow.remotePorts = other.port...other.port
    flow.name = nil
    return flow
  }

  /// The STUN servers' places, which ``FirewallSurroundings/otherAddresses`` is asked for.
  public static func servers(
    _ configuration: TrunklineConfiguration, _ names: [String: [IPAddress]]
  ) -> [Endpoint] {
    var places: [Endpoint] = []
    for server in configuration.link.uplinks.flatMap(\.stunServers) {
      for address in server.address.map({ [$0] }) ?? names[server.host] ?? [] {
        let place = Endpoint(address, port: server.port ?? 3478)
        if !places.contains(place) { places.append(place) }
      }
    }
    return places
  }

  private mutating func addForwards(
    _ uplink: UplinkConfiguration, sources: [PacketFlow], _ suffix: String
  ) {
    var forwardedPort: UInt16?
    if case .forwarded(let port) = uplink.incoming { forwardedPort = port }
    var from: [PacketFlow] = []
    for source in sources where source.isV4 {
      let source = PacketFlow(source.content, isV4: true, remote: source.remote, name: source.name)
      if !from.contains(source) { from.append(source) }
    }
    for bind in uplink.bind where bind.address.isV4 {
      let local = bind.address.isUnspecified ? nil : bind.address
      let port = forwardedPort ?? 5060
      let when =
        forwardedPort == nil
        ? "; needed only where the NAT leaves no other way, and then to be named in the configuration: incoming: "
          + "{forwarded: \(port)}" : ""
      plan.forwards.append(
        PortForward(
          id: unique("forward\(suffix)"), publicPort: port, localPort: bind.port, local: local, sources: from,
          reason: "Calls to the public port \(port) go to the SIP port of uplink \(uplink.name)\(when)", probe: .forward
        ))
      guard let spare = uplink.sparePort else { continue }
      plan.forwards.append(
        PortForward(
          id: unique("forward-spare\(suffix)"), publicPort: spare, localPort: spare, local: local, sources: from,
          reason: "The same for the spare port of uplink \(uplink.name), under its own number", probe: .forward))
    }
  }

  /// Whether the router may be asked for mappings, or for its address: by datagrams to its port 5351 (PCP, NAT-PMP), and by UPnP.
  private static func asksRouter(_ uplink: UplinkConfiguration) -> (datagrams: Bool, upnp: Bool) {
    switch uplink.incoming {
    case .off: (false, false)
    case .forwarded: (uplink.publicAddress == nil, uplink.publicAddress == nil)
    case .mapped(.pcp), .mapped(.natPMP): (true, false)
    case .mapped(.upnp): (false, true)
    case .auto: (true, true)
    }
  }

  // MARK: The office

  /// The router is asked for port mappings (RFC 6886, RFC 6887, UPnP IGD). That stays in the office.
  private mutating func addRouter() {
    guard let router = surroundings.router, router.isV4 else { return }
    let ways = link.uplinks.map(Self.asksRouter)
    let own = surroundings.ephemeralPorts
    func flow(
      _ transport: PacketFlow.Transport, _ local: ClosedRange<UInt16>, _ remote: IPAddress?, _ port: UInt16?
    ) -> PacketFlow {
      PacketFlow(
        .transport(transport), isV4: true, localPorts: local, remote: remote.flatMap(Self.single),
        remotePorts: port.map { $0...$0 })
    }
    var (out, back): ([PacketFlow], [PacketFlow]) = ([], [])
    if ways.contains(where: \.datagrams) {
      out.append(flow(.udp, own, router, 5351))
      // Answers, and what it announces to everybody after it started.
      back += [flow(.udp, own, router, 5351), flow(.udp, 5350...5350, router, 5351)]
    }
    if ways.contains(where: \.upnp) {
      // It is searched for by multicast and answers by itself; where its description is, only it says.
      out += [
        flow(.udp, own, IPAddress("239.255.255.250"), 1900), flow(.udp, own, router, 1900),
        flow(.tcp, own, router, nil),
      ]
      back += [flow(.udp, own, router, 1900), flow(.tcp, own, router, nil)]
    }
    add(
      FirewallRule(
        id: unique("router-out"), direction: .outbound, side: .office, flows: out,
        reason: "The router is asked for its address outside, and for port mappings where the NAT leaves no other way",
        probe: .router))
    add(
      FirewallRule(
        id: unique("router-in"), direction: .inbound, side: .office, flows: back,
        reason: "The router's answers, and its announcement that it has started anew", probe: .router))
  }

  /// Trunks whose registrar is in the office use the port of the phones.
  private mutating func addOfficeTrunks() {
    let trunks = link.trunks.filter { $0.uplinks.contains("lan") }
    guard !trunks.isEmpty else { return }
    let targets = trunks.flatMap { flows($0.target, defaultPort: 5060, link.lan.bind, "registrar of trunk \($0.name)") }
    let names = trunks.map(\.name).joined(separator: ", ")
    addPair(
      "office-trunk", "", side: .office, flows: unique(targets), probe: (.officeTrunk, .officeTrunk),
      anySourcePort: true,
      out: "Registrations and calls of \(names) to the registrar in the office",
      in: "Answers and calls of that registrar")
  }

  private mutating func addMedia() {
    let flows = families.map { PacketFlow(.transport(.udp), isV4: $0, localPorts: link.media.ports) }
    addPair(
      "media", "", flows: flows, probe: (.voiceOut, .voiceIn),
      out: "Voice to phones and far ends, and STUN from the voice ports; where to, each call says anew",
      in: "Voice from phones and far ends, and the STUN servers' answers")
  }

  private mutating func addPhones() {
    let binds = link.lan.bind.filter { !$0.address.isLoopback }
    let tls = configuration.later.tlsBind.filter { !$0.address.isLoopback }
    plan.guarded +=
      binds.flatMap { [GuardedPort(.udp, $0), GuardedPort(.tcp, $0)] } + tls.map { GuardedPort(.tcp, $0) }
    addPair(
      "phones", "", side: .office, flows: officeFlows(.udp, binds), probe: (.phone, .phone),
      out: "Answers and calls to phones and PBXs, over UDP",
      in: "Registrations and calls of phones and PBXs in the networks of lan.allow, over UDP")
    addPair(
      "phones-tcp", "", side: .office, flows: officeFlows(.tcp, binds), probe: (.phoneTCP, .phoneTCP),
      out: "Answers and calls to phones and PBXs, over TCP",
      in: "Registrations and calls of phones and PBXs in the networks of lan.allow, over TCP")
    addPair(
      "phones-tls", "", side: .office, flows: officeFlows(.tcp, tls), probe: (.phoneTLS, .phoneTLS),
      out: "Answers and calls to phones and PBXs, over TLS",
      in: "Registrations and calls of phones and PBXs in the networks of lan.allow, over TLS")
  }

  private mutating func addDashboard() {
    let bind = configuration.http.bind
    guard !bind.address.isLoopback else { return }
    addPair(
      "dashboard", "", side: .office, flows: officeFlows(.tcp, [bind]), probe: (.dashboard, .dashboard),
      out: "Answers of the dashboard and the API",
      in: "Requests to the dashboard and the API from the networks of lan.allow")
  }

  private func officeFlows(_ transport: PacketFlow.Transport, _ binds: [Endpoint]) -> [PacketFlow] {
    var networks = link.lan.allow
    if networks.isEmpty {
      networks = IPNetwork.officePrivate
      for interface in link.lan.interfaces + surroundings.interfaces {
        let address = interface.address
        guard !address.isLoopback, !address.isPrivate, !address.isUnspecified, let network = interface.network else {
          continue
        }
        if !networks.contains(network) { networks.append(network) }
      }
    }
    return unique(
      binds.flatMap { bind in
        networks.filter { $0.base.isV4 == bind.address.isV4 }.map { network in
          PacketFlow(
            .transport(transport), isV4: bind.address.isV4, local: bind.address.isUnspecified ? nil : bind.address,
            localPorts: bind.port...bind.port, remote: network)
        }
      })
  }

  // MARK: The machine

  private mutating func addNames() {
    guard !Self.names(configuration).isEmpty else { return }
    let servers = surroundings.nameServers.filter { !$0.isLoopback }
    let flows = servers.flatMap { server in
      [PacketFlow.Transport.udp, .tcp].map { transport in
        PacketFlow(
          .transport(transport), isV4: server.isV4, localPorts: 1024...65535, remote: Self.single(server),
          remotePorts: 53...53)
      }
    }
    addPair(
      "names", "", side: servers.contains { !$0.isPrivate } ? .internet : .office, flows: unique(flows),
      probe: (.names, .names), out: "The names of providers and STUN servers are asked for",
      in: "The name servers' answers")
  }

  private mutating func addMachine() {
    add(
      FirewallRule(
        id: unique("errors-in"), direction: .inbound,
        flows: families.map { PacketFlow(.errors, isV4: $0) },
        reason:
          "ICMP that says why a packet did not arrive; and the connection tracking behind it puts fragments together, "
          + "in which long SIP messages come", probe: .large))
    guard families.contains(false) else { return }
    addPair(
      "neighbours", "", flows: [PacketFlow(.neighbours, isV4: false)], probe: (.neighbours, .neighbours),
      out: "IPv6 asks for the addresses of its neighbours and its router", in: "IPv6 is told, and asked, the same")
  }

  // MARK: Pieces

  /// The families that are used, IPv4 first.
  private var families: [Bool] {
    let binds = link.uplinks.flatMap(\.bind) + link.lan.bind.filter { !$0.address.isLoopback }
    return [true, false].filter { isV4 in binds.contains { $0.address.isV4 == isV4 } }
  }

  /// Packets from each socket to each address of `host` of its family.
  private mutating func flows(
    _ host: HostPort, defaultPort: UInt16, _ sockets: [Endpoint], _ role: String
  ) -> [PacketFlow] {
    let addresses = host.address.map { [$0] } ?? surroundings.names[host.host] ?? []
    guard !addresses.isEmpty else {
      warn("the name \(host.host) (\(role)) could not be looked up: no rule is written for it")
      return []
    }
    let port = host.port ?? defaultPort
    let found = addresses.flatMap { address in
      sockets.filter { $0.address.isV4 == address.isV4 }.map { socket in
        PacketFlow(
          .transport(.udp), isV4: address.isV4, local: socket.address.isUnspecified ? nil : socket.address,
          localPorts: socket.port...socket.port, remote: Self.single(address), remotePorts: port...port,
          name: host.address == nil ? host.host : nil)
      }
    }
    if found.isEmpty {
      warn("\(host.host) (\(role)) has only addresses of a family that is not bound there: no rule is written for it")
    }
    return unique(found)
  }

  private mutating func warn(_ sentence: String) {
    if !plan.warnings.contains(sentence) { plan.warnings.append(sentence) }
  }

  /// A rule for what leaves and one for what comes back.
  ///
  /// - Parameters:
  ///   - anySourcePort: what comes in may come from any port of the other side.
  ///   - onlyIn: comes in besides, and nothing goes out to it.
  private mutating func addPair(
    _ id: String, _ suffix: String, side: FirewallRule.Side = .internet, flows: [PacketFlow],
    probe: (out: FirewallProbe, in: FirewallProbe), anySourcePort: Bool = false, onlyIn: [PacketFlow] = [],
    out: String, in: String
  ) {
    add(
      FirewallRule(
        id: unique("\(id)-out\(suffix)"), direction: .outbound, side: side, flows: flows, reason: out, probe: probe.out)
    )
    var back = flows
    if anySourcePort { for index in back.indices { back[index].remotePorts = nil } }
    add(
      FirewallRule(
        id: unique("\(id)-in\(suffix)"), direction: .inbound, side: side, flows: unique(back + onlyIn), reason: `in`,
        probe: probe.in))
  }

  private mutating func add(_ rule: FirewallRule) {
    if !rule.flows.isEmpty { plan.rules.append(rule) }
  }

  /// Names of uplinks may differ in what an identifier cannot show.
  private mutating func unique(_ id: String) -> String {
    let wanted = FirewallRule.identifier(id)
    var candidate = wanted
    var number = 2
    while ids.contains(candidate) {
      candidate = "\(wanted)-\(number)"
      number += 1
    }
    ids.append(candidate)
    return candidate
  }

  private func unique(_ flows: [PacketFlow]) -> [PacketFlow] {
    var result: [PacketFlow] = []
    for flow in flows where !result.contains(flow) { result.append(flow) }
    return result
  }

  private static func single(_ address: IPAddress) -> IPNetwork? {
    IPNetwork(address, prefixLength: address.isV4 ? 32 : 128)
  }
}

extension TrunkConfiguration {
  /// Where its requests go.
  fileprivate var target: HostPort { outboundProxy ?? registrar }
}
