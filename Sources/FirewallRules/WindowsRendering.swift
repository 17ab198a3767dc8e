import NetworkTypes

/// PowerShell for the Defender firewall, where Trunkline runs in a virtual machine or in WSL that shares Windows'
/// network.
struct WindowsRendering {
  let plan: FirewallPlan

  var text: String {
    var lines = plan.heading(
      .windows, mark: "#",
      [
        "For a Windows whose network Trunkline's Linux shares (WSL with mirrored networking; a bridged one needs nothing",
        "here). Run as administrator. All rules are in the group Trunkline; the first line below removes an earlier set.",
      ])
    lines += ["", "Get-NetFirewallRule -Group 'Trunkline' -ErrorAction SilentlyContinue | Remove-NetFirewallRule"]
    for rule in plan.rules(for: .host) {
      lines.append("")
      lines += FirewallPlan.preface(rule, mark: "#")
      let commands = commands(rule)
      lines += commands.isEmpty ? ["# Windows lets these through by its own rules (Core Networking)."] : commands
    }
    for forward in plan.forwards {
      lines.append("")
      lines += FirewallPlan.preface(forward, mark: "#")
      let machine = plan.machine(isV4: true, bound: forward.local).map { "\($0)" } ?? "ADDRESS"
      lines += [
        "# This is the router's work. Only where Windows itself is the NAT in front of Trunkline (NAME: see Get-NetNat):",
        "#   Add-NetNatStaticMapping -NatName 'NAME' -Protocol UDP -ExternalIPAddress '0.0.0.0/0' -ExternalPort "
          + "\(forward.publicPort) -InternalIPAddress '\(machine)' -InternalPort \(forward.localPort)",
      ]
    }
    return lines.joined(separator: "\n") + "\n"
  }

  /// One command for all flows that differ only in the other side's address.
  private func commands(_ rule: FirewallRule) -> [String] {
    var groups: [(flow: PacketFlow, remotes: [String])] = []
    for flow in rule.flows where flow.transport != nil {
      let remote = flow.remote.map(RuleText.network) ?? "Any"
      let same = groups.firstIndex { group in
        group.flow.content == flow.content && group.flow.local == flow.local && group.flow.localPorts == flow.localPorts
          && group.flow.remotePorts == flow.remotePorts && (group.flow.remote == nil) == (flow.remote == nil)
      }
      if let same {
        if !groups[same].remotes.contains(remote) { groups[same].remotes.append(remote) }
      } else {
        groups.append((flow, [remote]))
      }
    }
    return groups.enumerated().map { index, group in
      var words = [
        "New-NetFirewallRule -Name 'trunkline-\(rule.id)-\(index + 1)' -DisplayName 'Trunkline \(rule.id)'",
        "-Group 'Trunkline' -Direction \(rule.direction == .outbound ? "Outbound" : "Inbound") -Action Allow",
        "-Protocol \(group.flow.transport == .tcp ? "TCP" : "UDP")",
      ]
      if let local = group.flow.local { words.append("-LocalAddress '\(local)'") }
      if let ports = group.flow.localPorts { words.append("-LocalPort '\(RuleText.ports(ports, "-"))'") }
      words.append("-RemoteAddress @(\(group.remotes.map { "'\($0)'" }.joined(separator: ", ")))")
      if let ports = group.flow.remotePorts { words.append("-RemotePort '\(RuleText.ports(ports, "-"))'") }
      return words.joined(separator: " ")
    }
  }
}
