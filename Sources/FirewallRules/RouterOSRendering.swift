import NetworkTypes

/// A script for MikroTik's RouterOS. With names, those stand in address lists, whose names the router looks up again by
/// itself.
struct RouterOSRendering {
  let plan: FirewallPlan
  let options: RenderingOptions

  var text: String {
    var lines = plan.heading(
      .routeros, mark: "#", usesNames: options.usesNames,
      [
        "Load: /import FILE. What an earlier one made is removed first, by its comment; to remove it for good run only the",
        "lines with remove. New rules come last: move them before those that drop,",
        "  /ip firewall filter move [find comment~\"^trunkline \"] destination=0",
        "RouterOS also rewrites SIP on its way, which breaks more than it mends:  /ip firewall service-port disable sip",
      ])
    for (isV4, menu) in [(true, "/ip firewall"), (false, "/ipv6 firewall")] {
      let rules = plan.rules(for: .router).map { rule in
        var rule = rule
        rule.flows.removeAll { $0.isV4 != isV4 }
        return rule
      }.filter { !$0.flows.isEmpty }
      lines += ["", "\(menu) filter remove [find comment~\"^trunkline \"]"]
      if options.usesNames { lines += ["\(menu) address-list remove [find comment~\"^trunkline \"]"] }
      if isV4 { lines += ["\(menu) nat remove [find comment~\"^trunkline \"]"] }
      for rule in rules {
        lines += FirewallPlan.block(rule, mark: "#") { _, flow in self.lines(flow, rule, menu) }
      }
      guard isV4 else { continue }
      for forward in plan.forwards { lines += self.lines(forward, menu) }
    }
    return lines.joined(separator: "\n") + "\n"
  }

  private func lines(_ flow: PacketFlow, _ rule: FirewallRule, _ menu: String) -> [String]? {
    guard let machine = plan.machine(isV4: flow.isV4, bound: flow.local) else { return nil }
    let (ours, theirs) = rule.direction == .outbound ? ("src", "dst") : ("dst", "src")
    let (lists, match) = remote(flow, theirs, rule.id, menu)
    var words = ["\(menu) filter add chain=forward action=accept"]
    if let transport = flow.transport { words.append("protocol=\(transport.rawValue)") }
    if flow.content == .errors { words.append("connection-state=related") }
    words.append("\(ours)-address=\(machine)")
    if let ports = flow.localPorts { words.append("\(ours)-port=\(RuleText.ports(ports, "-"))") }
    words += match
    if let ports = flow.remotePorts { words.append("\(theirs)-port=\(RuleText.ports(ports, "-"))") }
    return lists + ["\(words.joined(separator: " ")) comment=\"trunkline \(rule.id)\""]
  }

  private func lines(_ forward: PortForward, _ menu: String) -> [String] {
    plan.block(forward, mark: "#") { _, source, machine in
      let (lists, match) = remote(source, "src", forward.id, menu)
      let words =
        ["\(menu) nat add chain=dstnat action=dst-nat protocol=udp dst-address-type=local"] + match
        + ["dst-port=\(forward.publicPort) to-addresses=\(machine) to-ports=\(forward.localPort)"]
      return lists + ["\(words.joined(separator: " ")) comment=\"trunkline \(forward.id)\""]
    }
  }

  /// The other side, by address or by a list with its name, and the lines that such a list needs first.
  private func remote(
    _ flow: PacketFlow, _ side: String, _ id: String, _ menu: String
  ) -> (lists: [String], match: [String]) {
    guard let remote = flow.remote else { return ([], []) }
    guard options.usesNames, let name = RuleText.hostName(flow.name) else {
      return ([], ["\(side)-address=\(RuleText.network(remote))"])
    }
    // A list for each name: ports belong to names.
    let list = "trunkline-\(id)-\(name)"
    return (
      ["\(menu) address-list add list=\(list) address=\(name) comment=\"trunkline \(id)\""],
      ["\(side)-address-list=\(list)"]
    )
  }
}
