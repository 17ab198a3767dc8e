import FirewallRules
import NetworkTypes

/// Plans that every format is written from.
enum SamplePlans {
  static func single(_ text: String) -> IPNetwork? { IPNetwork(text) }

  static func udp(
    _ isV4: Bool, _ port: UInt16?, _ remote: String?, _ remotePort: UInt16?, name: String? = nil,
    transport: PacketFlow.Transport = .udp
  ) -> PacketFlow {
    PacketFlow(
      .transport(transport), isV4: isV4, localPorts: port.map { $0...$0 }, remote: remote.flatMap(single),
      remotePorts: remotePort.map { $0...$0 }, name: name)
  }

  /// An office with both families, a spare port, a server and a provider known by name, a TLS port.
  static let office = office(
    name: "stun.example.net", origin: "/etc/trunkline/trunkline.yaml", reason: "The telephone line")

  /// The same, but for what comes from a configuration as text.
  static func office(name: String, origin: String, reason: String) -> FirewallPlan {
    var plan = FirewallPlan(origin: origin)
    plan.machineV4 = IPAddress("192.168.77.100")
    plan.machineV6 = IPAddress("2001:db8:77::100")
    plan.warnings = ["the name \(name) could not be looked up: no rule is written for it"]
    let stun = [
      udp(true, 65002, "198.51.100.1", 3478, name: name), udp(true, 65003, "198.51.100.1", 3478, name: name),
      udp(false, 65002, "2001:db8:1::1", 3478, name: name),
    ]
    let sip = [
      udp(true, 65002, "198.51.100.9", 5060, name: "sip.example.net"),
      udp(true, 65002, "198.51.100.10", 5060, name: "sip.example.net"),
      udp(false, 65002, "2001:db8:1::9", 5060, name: "sip.example.net"),
    ]
    let media = [true, false].map { PacketFlow(.transport(.udp), isV4: $0, localPorts: 55000...55999) }
    let phones = [udp(true, 5060, "192.168.0.0/16", nil), udp(true, 5060, "10.0.0.0/8", nil)]
    let tls = [udp(true, 5061, "192.168.0.0/16", nil, transport: .tcp)]
    let specific = PacketFlow(
      .transport(.tcp), isV4: true, local: IPAddress("192.168.77.100"), localPorts: 8065...8065,
      remote: single("192.168.0.0/16"))
    for (id, side, flows, probe) in [
      ("stun", FirewallRule.Side.internet, stun, FirewallProbe.stun), ("sip", .internet, sip, .registration),
      ("media", .internet, media, .voiceIn), ("phones", .office, phones, .phone),
      ("phones-tls", .office, tls, .phoneTLS),
      ("dashboard", .office, [specific], .dashboard),
      ("neighbours", .internet, [PacketFlow(.neighbours, isV4: false)], .neighbours),
    ] {
      for direction in [FirewallRule.Direction.outbound, .inbound] {
        let end = direction == .outbound ? "out" : "in"
        plan.rules.append(
          FirewallRule(
            id: "\(id)-\(end)", direction: direction, side: side, flows: flows, reason: "\(reason), \(id) \(end)",
            probe: probe))
      }
    }
    plan.rules.append(
      FirewallRule(
        id: "errors-in", direction: .inbound, flows: [true, false].map { PacketFlow(.errors, isV4: $0) },
        reason: "\(reason), errors", probe: .large))
    let sources = [udp(true, nil, "198.51.100.9", nil, name: "sip.example.net"), udp(true, nil, "198.51.100.10", nil)]
    plan.forwards = [
      PortForward(
        id: "forward", publicPort: 5060, localPort: 65002, sources: sources, reason: "\(reason), forward",
        probe: .forward),
      PortForward(
        id: "forward-spare", publicPort: 65003, localPort: 65003, sources: sources, reason: "\(reason), spare",
        probe: .forward),
    ]
    plan.guarded = [
      GuardedPort(.udp, Endpoint(.anyV4, port: 65002)), GuardedPort(.udp, Endpoint(.anyV6, port: 65002)),
      GuardedPort(.tcp, Endpoint(.v4(0xc0a8_4d64), port: 5061)),
    ]
    return plan
  }

  /// What golden files are made of: the name of each and how it is written.
  static let renderings: [(name: String, format: FirewallFormat, options: RenderingOptions)] = {
    var result: [(String, FirewallFormat, RenderingOptions)] = []
    for format in FirewallFormat.allCases {
      for stand in format.stands {
        var options = RenderingOptions(stand: stand)
        result.append(("\(format.rawValue)-\(stand.rawValue)", format, options))
        if format.takesNames {
          options.usesNames = true
          result.append(("\(format.rawValue)-\(stand.rawValue)-names", format, options))
        }
        if format == .nftables {
          options.table = "filter"
          result.append(("\(format.rawValue)-\(stand.rawValue)-table", format, options))
        }
      }
    }
    return result
  }()
}
