import NetworkTypes

/// `iptables-restore --noflush` and `ip6tables-restore --noflush`, one file for both: each takes the lines of its
/// family (`-4`, `-6`) and passes over the others. Only chains of ours are filled; the firewall that is there jumps to
/// them.
struct IptablesRendering {
  let plan: FirewallPlan
  let options: RenderingOptions

  private static let chains: [FirewallFormat.Stand: [(from: String, name: String)]] = [
    .host: [("INPUT", "TRUNKLINE-IN"), ("OUTPUT", "TRUNKLINE-OUT")], .router: [("FORWARD", "TRUNKLINE-FWD")],
  ]

  private var chains: [(from: String, name: String)] { Self.chains[options.stand] ?? [] }
  private var translates: Bool { options.stand == .router && !plan.forwards.isEmpty }

  var text: String {
    var jumps = chains.map { "  iptables -I \($0.from) -j \($0.name); ip6tables -I \($0.from) -j \($0.name)" }
    if translates { jumps.append("  iptables -t nat -I PREROUTING -j TRUNKLINE-DNAT") }
    var lines = plan.heading(
      .iptables, mark: "#", usesNames: options.usesNames,
      [
        "Load: iptables-restore --noflush FILE; ip6tables-restore --noflush FILE. Only chains named TRUNKLINE-… are replaced.",
        "Once, so that they are used (loopback has to be accepted before):",
      ] + jumps)
    lines += ["", "*filter"] + chains.map { ":\($0.name) - [0:0]" }
    for rule in plan.rules(for: options.stand) {
      lines += FirewallPlan.block(rule, mark: "#") { _, flow in self.lines(flow, rule) }
    }
    lines += ["", "COMMIT"]
    if translates { lines += translation }
    return lines.joined(separator: "\n") + "\n"
  }

  private func lines(_ flow: PacketFlow, _ rule: FirewallRule) -> [String]? {
    let ours = options.stand == .host ? flow.local : plan.machine(isV4: flow.isV4, bound: flow.local)
    if options.stand == .router, ours == nil { return nil }
    let isOut = rule.direction == .outbound
    let chain = options.stand == .router ? "TRUNKLINE-FWD" : isOut ? "TRUNKLINE-OUT" : "TRUNKLINE-IN"
    let base = "\(flow.isV4 ? "-4" : "-6") -A \(chain)"
    let end = "-m comment --comment \"trunkline \(rule.id)\" -j ACCEPT"
    var words = [base]
    switch flow.content {
    case .transport(let transport): words.append("-p \(transport.rawValue)")
    case .errors, .neighbours: words.append("-p \(flow.isV4 ? "icmp" : "ipv6-icmp")")
    }
    if let ours { words.append("\(isOut ? "-s" : "-d") \(ours)") }
    if let remote = remote(flow) { words.append("\(isOut ? "-d" : "-s") \(remote)") }
    if flow.content == .neighbours {
      // One type a rule is all that the match takes: query, solicitations and advertisements, listener report.
      return [130, 133, 134, 135, 136, 143].map { type in
        (words + ["-m icmp6 --icmpv6-type \(type)", end]).joined(separator: " ")
      }
    }
    if flow.content == .errors { words.append("-m conntrack --ctstate RELATED") }
    if let ports = flow.localPorts { words.append("\(isOut ? "--sport" : "--dport") \(RuleText.ports(ports, ":"))") }
    if let ports = flow.remotePorts { words.append("\(isOut ? "--dport" : "--sport") \(RuleText.ports(ports, ":"))") }
    return [(words + [end]).joined(separator: " ")]
  }

  private func remote(_ flow: PacketFlow) -> String? {
    if options.usesNames, let name = RuleText.hostName(flow.name) { return name }
    return flow.remote.map(RuleText.network)
  }

  private var translation: [String] {
    var lines = ["*nat", ":TRUNKLINE-DNAT - [0:0]"]
    for forward in plan.forwards {
      lines += plan.block(forward, mark: "#") { _, source, machine in
        let from = remote(source).map { "-s \($0) " } ?? ""
        return [
          "-4 -A TRUNKLINE-DNAT -p udp \(from)-m addrtype --dst-type LOCAL --dport \(forward.publicPort) "
            + "-m comment --comment \"trunkline \(forward.id)\" -j DNAT --to-destination \(machine):\(forward.localPort)"
        ]
      }
    }
    return lines + ["", "COMMIT"]
  }
}
