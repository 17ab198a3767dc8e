import NetworkTypes

/// `uci batch` for OpenWrt's firewall, with the zones `lan` and `wan` that it comes with. Sections have names, so that
/// the same rules made again replace the old ones.
struct OpenWrtRendering {
  let plan: FirewallPlan

  var text: String {
    var lines = plan.heading(
      .openwrt, mark: "#",
      [
        "Load: uci -q batch <FILE; uci changes firewall; uci commit firewall; service firewall reload",
        "Remove: for s in $(uci show firewall | sed -n 's/^firewall\\.\\(trunkline_[a-z0-9_]*\\)=.*/\\1/p'); do uci delete"
          + " firewall.$s; done; uci commit firewall; service firewall reload",
        "The zones are those that OpenWrt comes with, lan and wan.",
      ])
    for rule in plan.rules(for: .router) {
      lines += FirewallPlan.block(rule, mark: "#") { number, flow in section(flow, rule, number) }
    }
    for forward in plan.forwards {
      lines += plan.block(forward, mark: "#") { number, source, machine in
        var options = [("name", "Trunkline \(forward.id)"), ("src", "wan"), ("family", "ipv4"), ("proto", "udp")]
        if let remote = source.remote { options.append(("src_ip", RuleText.network(remote))) }
        options += [
          ("src_dport", "\(forward.publicPort)"), ("dest", "lan"), ("dest_ip", "\(machine)"),
          ("dest_port", "\(forward.localPort)"), ("target", "DNAT"),
        ]
        return Self.section("redirect", Self.name(forward.id, number), options)
      }
    }
    return lines.joined(separator: "\n") + "\n"
  }

  private func section(_ flow: PacketFlow, _ rule: FirewallRule, _ number: Int) -> [String]? {
    guard let transport = flow.transport else {
      return ["# OpenWrt lets these through by itself (established, related)."]
    }
    guard let machine = plan.machine(isV4: flow.isV4, bound: flow.local) else { return nil }
    let isOut = rule.direction == .outbound
    let (ours, theirs) = isOut ? ("src", "dest") : ("dest", "src")
    var options = [
      ("name", "Trunkline \(rule.id)"), ("src", isOut ? "lan" : "wan"), ("dest", isOut ? "wan" : "lan"),
      ("family", flow.isV4 ? "ipv4" : "ipv6"), ("proto", transport.rawValue), ("\(ours)_ip", "\(machine)"),
    ]
    if let ports = flow.localPorts { options.append(("\(ours)_port", RuleText.ports(ports, "-"))) }
    if let remote = flow.remote { options.append(("\(theirs)_ip", RuleText.network(remote))) }
    if let ports = flow.remotePorts { options.append(("\(theirs)_port", RuleText.ports(ports, "-"))) }
    return Self.section("rule", Self.name(rule.id, number), options + [("target", "ACCEPT")])
  }

  private static func section(_ kind: String, _ name: String, _ options: [(String, String)]) -> [String] {
    ["delete firewall.\(name)", "set firewall.\(name)=\(kind)"]
      + options.map { "set firewall.\(name).\($0.0)='\($0.1)'" }
  }

  /// Names of sections have no hyphen.
  private static func name(_ id: String, _ number: Int) -> String {
    "trunkline_" + String(id.map { $0 == "-" ? "_" : $0 }) + "_\(number)"
  }
}
