import NetworkTypes

/// Steps for a person in front of a FRITZ!Box: it has no file of rules. It lets everything out, so that only the
/// forward is left to do.
struct FritzBoxRendering {
  let plan: FirewallPlan

  var text: String {
    var lines = plan.heading(.fritzbox, mark: "#")
    let machine = plan.machineV4.map { "\($0)" } ?? "the machine that Trunkline runs on"
    lines += [
      "", "1. Open http://fritz.box and log in. Menus are given in English, in German in brackets.", "",
      "2. Home Network > Network (Heimnetz > Netzwerk): edit the entry of \(machine) and tick \"Always assign this network",
      "   device the same IPv4 address\" (\"Diesem Netzwerkgerät immer die gleiche IPv4-Adresse zuweisen\").", "",
      "3. Internet > Permit Access > Port Sharing (Internet > Freigaben > Portfreigaben): \"Add Device for Sharing\"",
      "   (\"Gerät für Freigaben hinzufügen\"), choose \(machine), then \"New Sharing\" (\"Neue Freigabe\"), \"Port sharing\",",
      "   \"Other application\" (\"Andere Anwendung\"), for each of:",
    ]
    for forward in plan.forwards { lines += self.lines(forward) }
    if plan.forwards.isEmpty { lines += ["   nothing: no uplink has an IPv4 port."] }
    lines += conflict + v6 + open
    return lines.joined(separator: "\n") + "\n"
  }

  private func lines(_ forward: PortForward) -> [String] {
    let port = Self.suggested(forward)
    return [
      "", "   Name: trunkline-\(forward.id)", "   Protocol: UDP",
      "   Port to device: \(forward.localPort) through \(forward.localPort)",
      "   Port requested externally: \(port)",
      RuleText.comment("  ", "Why: \(forward.reason)."),
      RuleText.comment("  ", "Without it (probe \(forward.probe.id)): \(forward.probe.sentence)."),
    ]
  }

  /// Its own telephony takes 5060.
  private static func suggested(_ forward: PortForward) -> UInt16 {
    forward.publicPort == 5060 ? forward.localPort : forward.publicPort
  }

  private var conflict: [String] {
    var lines = [
      "",
      "4. CONFLICT: as soon as telephone numbers are configured in the FRITZ!Box itself (Telephony > Telephone Numbers,",
      "   Telefonie > Eigene Rufnummern), it opens UDP port 5060 for itself and takes what arrives there, and 7078 to 7109 for",
      "   its own voice. A sharing of 5060 is then refused, or does nothing.",
    ]
    for forward in plan.forwards where forward.publicPort == 5060 {
      lines += [
        "   So another public port is proposed above, \(forward.localPort) instead of 5060; say so in the configuration:",
        "   incoming: {forwarded: \(forward.localPort)}",
      ]
    }
    return lines
  }

  private var v6: [String] {
    let ports = plan.guarded.filter { !$0.endpoint.address.isV4 && $0.transport == .udp }
    let inbound = plan.rules(for: .router).filter { rule in
      rule.direction == .inbound && rule.probe == .call && rule.flows.contains { !$0.isV4 }
    }
    guard !inbound.isEmpty, !ports.isEmpty else { return [] }
    let numbers = inbound.flatMap(\.flows).compactMap { $0.isV4 ? nil : $0.localPorts?.lowerBound }
    var seen: [UInt16] = []
    for number in numbers where !seen.contains(number) { seen.append(number) }
    return [
      "",
      "5. IPv6: in the same place a new sharing for IPv6 (\"Internet-Zugriff: nur IPv6\"), protocol UDP, the same port on",
      "   both sides, for each of: \(seen.map { "\($0)" }.joined(separator: ", ")).",
    ]
  }

  private var open: [String] {
    var lines = [
      "", "What a FRITZ!Box lets out by itself, unless an access profile (Internet > Filter) forbids it:", "",
    ]
    for rule in plan.rules(for: .router) where rule.direction == .outbound {
      lines += TextRendering.flows(rule, machine: { plan.machine(isV4: $0.isV4, bound: $0.local) }).map { "   \($0)" }
    }
    return lines + [
      "", "Answers come back by themselves. Voice needs no sharing: Trunkline sends first, from each port.",
    ]
  }
}
