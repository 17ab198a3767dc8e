import NetworkTypes

/// A list for a person, or for a firewall that we have no words for.
struct TextRendering {
  let plan: FirewallPlan
  let options: RenderingOptions

  var text: String {
    var lines = plan.heading(
      .text, mark: "#", usesNames: options.usesNames,
      [
        options.stand == .host
          ? "On this machine; the router's part is at the end."
          : "On the router between this machine and the internet.",
        "out: from this machine; in: to this machine. Each line is one rule, ports after the colon, * is any.",
      ])
    for rule in plan.rules(for: options.stand) {
      lines += ["", "[\(rule.id)]", "  \(RuleText.oneLine(rule.reason))."]
      lines += ["  Without it (probe \(rule.probe.id)): \(rule.probe.sentence)."]
      lines += Self.flows(rule, usesNames: options.usesNames) { flow in
        options.stand == .host ? flow.local : plan.machine(isV4: flow.isV4, bound: flow.local)
      }.map { "    \($0)" }
    }
    for forward in plan.forwards {
      lines += ["", "[\(forward.id)] on the router", "  \(RuleText.oneLine(forward.reason))."]
      lines += ["  Without it (probe \(forward.probe.id)): \(forward.probe.sentence)."]
      let machine = plan.machine(isV4: true, bound: forward.local).map { "\($0)" } ?? "this machine"
      var written: [String] = []
      for source in forward.sources {
        let from = Self.remote(source, options.usesNames)
        let line = "    forward udp, from \(from), public port \(forward.publicPort) -> \(machine):\(forward.localPort)"
        if !written.contains(line) { written.append(line) }
      }
      lines += written
    }
    return lines.joined(separator: "\n") + "\n"
  }

  /// A line for each flow: `out udp *:65002 -> 192.0.2.1:3478`.
  static func flows(
    _ rule: FirewallRule, usesNames: Bool = false, machine: (PacketFlow) -> IPAddress?
  ) -> [String] {
    var written: [String] = []
    for flow in rule.flows {
      let family = flow.isV4 ? "IPv4" : "IPv6"
      let line: String
      switch flow.content {
      case .errors: line = "in ICMP of \(family) about packets that were sent, and fragments put together"
      case .neighbours: line = "\(rule.direction == .outbound ? "out" : "in") ICMPv6 130, 133 to 136, 143"
      case .transport(let transport):
        let ours = machine(flow).map(bracketed) ?? "*"
        let local = "\(ours):\(flow.localPorts.map { RuleText.ports($0, "-") } ?? "*")"
        let far = "\(remote(flow, usesNames)):\(flow.remotePorts.map { RuleText.ports($0, "-") } ?? "*")"
        line =
          rule.direction == .outbound
          ? "out \(transport.rawValue) \(family) \(local) -> \(far)"
          : "in  \(transport.rawValue) \(family) \(far) -> \(local)"
      }
      if !written.contains(line) { written.append(line) }
    }
    return written
  }

  private static func bracketed(_ address: IPAddress) -> String { address.isV6 ? "[\(address)]" : "\(address)" }

  private static func remote(_ flow: PacketFlow, _ usesNames: Bool) -> String {
    if usesNames, let name = flow.name { return RuleText.oneLine(name) }
    guard let remote = flow.remote else { return "*" }
    return remote.isSingle ? bracketed(remote.base) : "\(remote)"
  }
}
