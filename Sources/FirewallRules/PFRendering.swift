import NetworkTypes

/// pf.conf of OpenBSD's words, for the router. pf keeps state by itself, so that answers come back and ICMP errors with
/// them; a tag carries a packet that was let in from the office past the rules on its way out, whatever address it has
/// by then.
struct PFRendering {
  let plan: FirewallPlan
  let options: RenderingOptions

  var text: String {
    var lines = plan.heading(
      .pf, mark: "#", usesNames: options.usesNames,
      [
        "Put it into /etc/trunkline.pf and  include \"/etc/trunkline.pf\"  into pf.conf, after the rules that block.",
        "OpenBSD's words; egress is the group of the interface with the default route. On FreeBSD name that interface,",
        "and write a forward as  rdr on IF inet proto udp from … to (IF) port … -> … port …  among the translations.",
      ])
    for rule in plan.rules(for: .router) {
      lines += FirewallPlan.block(rule, mark: "#") { _, flow in line(flow, rule.direction).map { [$0] } }
    }
    for forward in plan.forwards {
      lines += plan.block(forward, mark: "#") { _, source, machine in
        [
          "pass in quick on egress inet proto udp from \(remote(source)) to (egress) port \(forward.publicPort) "
            + "rdr-to \(machine) port \(forward.localPort) tag TRUNKLINE"
        ]
      }
    }
    lines += ["", "# What was let in above may go out on the other side.", "pass out quick tagged TRUNKLINE"]
    return lines.joined(separator: "\n") + "\n"
  }

  private func line(_ flow: PacketFlow, _ direction: FirewallRule.Direction) -> String? {
    guard let transport = flow.transport else {
      return "# pf lets these through by the state of the packets they are about."
    }
    guard let machine = plan.machine(isV4: flow.isV4, bound: flow.local) else { return nil }
    let ours = "\(machine)\(ports(flow.localPorts))"
    let theirs = "\(remote(flow))\(ports(flow.remotePorts))"
    let (place, from, to) = direction == .outbound ? ("", ours, theirs) : ("on egress ", theirs, ours)
    return
      "pass in quick \(place)\(flow.isV4 ? "inet" : "inet6") proto \(transport.rawValue) from \(from) to \(to) tag TRUNKLINE"
  }

  private func ports(_ range: ClosedRange<UInt16>?) -> String {
    range.map { " port \(RuleText.ports($0, ":"))" } ?? ""
  }

  private func remote(_ flow: PacketFlow) -> String {
    if options.usesNames, let name = RuleText.hostName(flow.name) { return name }
    return flow.remote.map(RuleText.network) ?? "any"
  }
}
