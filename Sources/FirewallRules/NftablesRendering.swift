import NetworkTypes

/// `nft -f`: a table `inet trunkline`, replaced as a whole in one transaction; or chains in a table that is there
/// already.
///
/// A verdict of acceptance ends only the chains of its own table: another table's chain on the same hook may drop the
/// packet still. So the own table opens nothing that another one closes. It closes Trunkline's ports to everybody who
/// is not listed, and counts; where a table with a dropping policy is in force, the rules have to stand in that one.
struct NftablesRendering {
  let plan: FirewallPlan
  let options: RenderingOptions

  var text: String {
    let body = table.map(within) ?? ownTable
    return (plan.heading(.nftables, mark: "#", introduction) + body).joined(separator: "\n") + "\n"
  }

  private var table: String? { options.table.flatMap { RenderingOptions.isTableName($0) ? $0 : nil } }

  private var introduction: [String] {
    guard let table else {
      return [
        "Load: nft -f FILE, again after changes: the table is replaced at once. Remove: nft delete table inet trunkline",
        "An accept here does not open what a chain of another table drops: for a firewall that drops by default make the",
        "rules with --table NAME, as chains of its own table.",
      ]
    }
    return [
      "Load: nft -f FILE, again after changes: only these chains are replaced. Once, in the chains of table \(table) that drop",
      "what nothing accepted (loopback has to be accepted there, too):",
    ]
      + chains.map { "  nft insert rule inet \(table) \($0.hook) jump \($0.name)" }
  }

  /// Our chains, each with the hook that it belongs to.
  private var chains: [(hook: String, name: String)] {
    (options.stand == .host ? ["input", "output"] : ["forward"]).map { ($0, "trunkline_\($0)") }
  }

  private func isIn(_ rule: FirewallRule, _ hook: String) -> Bool {
    hook == "forward" || (hook == "input") == (rule.direction == .inbound)
  }

  // MARK: A table of its own

  private var ownTable: [String] {
    var lines = ["", "table inet trunkline", "delete table inet trunkline", "table inet trunkline {"]
    for (hook, _) in chains {
      lines += ["  chain \(hook) {", "    type filter hook \(hook) priority filter; policy accept;"]
      if hook == "input" { lines += ["    iif \"lo\" accept"] }
      lines += rules(hook)
      if hook == "input" { lines += guards }
      lines += ["  }"]
    }
    return lines + translation("prerouting") + ["}"]
  }

  /// Closes our ports to whoever was not accepted above; answers come in even from where no rule names them, so that a
  /// provider that moved is not locked out.
  private var guards: [String] {
    guard !plan.guarded.isEmpty else { return [] }
    var lines = [
      "", "    # What was not accepted above and is not an answer has no business at Trunkline's ports.",
      "    ct state established accept",
    ]
    for port in plan.guarded {
      let address = port.endpoint.address
      let family =
        address.isUnspecified
        ? "meta nfproto \(address.isV4 ? "ipv4" : "ipv6")" : "\(address.isV4 ? "ip" : "ip6") daddr \(address)"
      lines.append("    \(family) \(port.transport.rawValue) dport \(port.endpoint.port) counter drop")
    }
    return lines
  }

  // MARK: In another table

  private func within(_ table: String) -> [String] {
    var lines = ["", "table inet \(table) {"] + chains.map { "  chain \($0.name) { }" }
    let forwards = translation("trunkline_prerouting")
    if !forwards.isEmpty {
      lines += ["  chain trunkline_prerouting { type nat hook prerouting priority dstnat; policy accept; }"]
    }
    lines += ["}"] + chains.map { "flush chain inet \(table) \($0.name)" }
    if !forwards.isEmpty { lines += ["flush chain inet \(table) trunkline_prerouting"] }
    lines += ["table inet \(table) {"]
    for (hook, name) in chains { lines += ["  chain \(name) {"] + rules(hook) + ["  }"] }
    return lines + forwards + ["}"]
  }

  // MARK: Rules

  private func rules(_ hook: String) -> [String] {
    var lines: [String] = []
    for rule in plan.rules(for: options.stand) where isIn(rule, hook) {
      lines += FirewallPlan.block(rule, mark: "    #") { _, flow in
        match(flow, rule.direction).map { ["    \($0) counter accept comment \"trunkline \(rule.id)\""] }
      }
    }
    return lines
  }

  private func match(_ flow: PacketFlow, _ direction: FirewallRule.Direction) -> String? {
    let family = flow.isV4 ? "ip" : "ip6"
    let ours = options.stand == .host ? flow.local : plan.machine(isV4: flow.isV4, bound: flow.local)
    if options.stand == .router, ours == nil { return nil }
    let (source, target) = direction == .outbound ? ("s", "d") : ("d", "s")
    var words: [String] = []
    if let ours { words.append("\(family) \(source)addr \(ours)") }
    if let remote = flow.remote { words.append("\(family) \(target)addr \(RuleText.network(remote))") }
    switch flow.content {
    case .errors: words.append("ct state related meta l4proto \(flow.isV4 ? "icmp" : "ipv6-icmp")")
    case .neighbours:
      words.append(
        "icmpv6 type { mld-listener-query, nd-router-solicit, nd-router-advert, nd-neighbor-solicit, "
          + "nd-neighbor-advert, mld2-listener-report }")
    case .transport(let transport):
      if words.isEmpty { words.append("meta nfproto \(flow.isV4 ? "ipv4" : "ipv6")") }
      if let ports = flow.localPorts {
        words.append("\(transport.rawValue) \(source)port \(RuleText.ports(ports, "-"))")
      }
      if let ports = flow.remotePorts {
        words.append("\(transport.rawValue) \(target)port \(RuleText.ports(ports, "-"))")
      }
      if flow.localPorts == nil, flow.remotePorts == nil { words.append("meta l4proto \(transport.rawValue)") }
    }
    return words.joined(separator: " ")
  }

  /// What leads a public port to this machine: on the router.
  private func translation(_ name: String) -> [String] {
    guard options.stand == .router, !plan.forwards.isEmpty else { return [] }
    var lines = ["  chain \(name) {", "    type nat hook prerouting priority dstnat; policy accept;"]
    for forward in plan.forwards {
      lines += plan.block(forward, mark: "    #") { _, source, machine in
        let from = source.remote.map { "ip saddr \(RuleText.network($0))" } ?? "meta nfproto ipv4"
        return [
          "    \(from) fib daddr type local udp dport \(forward.publicPort) counter dnat ip to "
            + "\(machine):\(forward.localPort) comment \"trunkline \(forward.id)\""
        ]
      }
    }
    return lines + ["  }"]
  }
}
