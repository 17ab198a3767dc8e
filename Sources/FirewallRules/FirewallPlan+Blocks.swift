import NetworkTypes

/// A block of a rendering is an empty line, what the rule is for, and its lines.
extension FirewallPlan {
  /// The rules that this stand needs. A router does not hear what stays in the office, and IPv6 needs its own neighbours
  /// everywhere: it has those rules already.
  func rules(for stand: FirewallFormat.Stand) -> [FirewallRule] {
    switch stand {
    case .host: rules
    case .router: rules.filter { rule in rule.side == .internet && !rule.flows.contains { $0.content == .neighbours } }
    }
  }

  /// What stands before every rule: its name, why it is there, and what fails without it.
  static func preface(_ rule: FirewallRule, mark: String) -> [String] {
    preface(rule.id, rule.reason, rule.probe, rule.flows, mark: mark)
  }

  static func preface(_ forward: PortForward, mark: String) -> [String] {
    preface(forward.id, forward.reason, forward.probe, forward.sources, mark: mark)
  }

  /// The block of a rule, every line of its flows once.
  ///
  /// - Parameter lines: what the firewall says for the flow of that number, from 1; `nil` where that takes an address of
  ///   this machine that is not known.
  static func block(_ rule: FirewallRule, mark: String, _ lines: (Int, PacketFlow) -> [String]?) -> [String] {
    var written: [String] = []
    for (index, flow) in rule.flows.enumerated() {
      append(lines(index + 1, flow) ?? [unknownMachine(mark, isV4: flow.isV4)], to: &written)
    }
    return [""] + preface(rule, mark: mark) + written
  }

  /// The block of a forward, every line of its sources once.
  ///
  /// - Parameter lines: what the firewall says for the source of that number, from 1, and this machine's address.
  func block(_ forward: PortForward, mark: String, _ lines: (Int, PacketFlow, IPAddress) -> [String]) -> [String] {
    var written: [String] = []
    if let machine = machine(isV4: true, bound: forward.local) {
      for (index, source) in forward.sources.enumerated() {
        Self.append(lines(index + 1, source, machine), to: &written)
      }
    } else {
      written = [Self.unknownMachine(mark, isV4: true)]
    }
    return [""] + Self.preface(forward, mark: mark) + written
  }

  private static func append(_ lines: [String], to written: inout [String]) {
    for line in lines where !written.contains(line) { written.append(line) }
  }

  private static func unknownMachine(_ mark: String, isV4: Bool) -> String {
    RuleText.comment(mark, "NO RULE: this machine has no \(isV4 ? "IPv4" : "IPv6") address that is known here")
  }

  private static func preface(
    _ id: String, _ reason: String, _ probe: FirewallProbe, _ flows: [PacketFlow], mark: String
  ) -> [String] {
    var result = [
      RuleText.comment(mark, "[\(id)] \(reason)."),
      RuleText.comment(mark, "Without it (probe \(probe.id)): \(probe.sentence)."),
    ]
    for flow in flows {
      guard let name = flow.name, let remote = flow.remote else { continue }
      append([RuleText.comment(mark, "  \(RuleText.network(remote)) is \(name)")], to: &result)
    }
    return result
  }
}
