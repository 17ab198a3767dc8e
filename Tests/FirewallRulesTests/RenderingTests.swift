import FirewallRules
import NetworkTypes
import Testing

@Suite struct RenderingTests {
  /// Everything that could end a line, a comment, a string or a statement in one of the formats.
  static let hostile = [
    "a\nudp dport 22 accept", "a\r\n-A INPUT -j ACCEPT", "a\u{2028}pass in quick\u{2029}pass out",
    "a\u{85}b\u{0b}c\u{0c}d",
    "a\\", "a\" accept\nx", "a'; Remove-Item -Recurse C:\\ #", "`nset firewall", "$(reboot)`reboot`", "*/ } }",
    "]; /system reset",
    "#>\nStop-Computer\n<#", "a\0b", "\u{202e}tpecca", String(repeating: "long ", count: 500) + "\naccept",
  ]

  /// What a firewall acts on: the lines that are not comments.
  private func statements(_ text: String) -> [Substring] {
    text.split(omittingEmptySubsequences: false, whereSeparator: \.isNewline).filter { line in
      line.drop { $0 == " " }.first != "#"
    }
  }

  @Test(arguments: hostile, SamplePlans.renderings.map(\.name))
  func textOfOthersStaysInComments(_ text: String, _ name: String) throws {
    let rendering = try #require(SamplePlans.renderings.first { $0.name == name })
    let harmless = SamplePlans.office(name: "?", origin: "file", reason: "reason")
    let made = SamplePlans.office(name: text, origin: text, reason: text).rendered(rendering.format, rendering.options)
    let plain = harmless.rendered(rendering.format, rendering.options)
    #expect(
      made.unicodeScalars.allSatisfy { $0 == "\n" || !["\u{2028}", "\u{2029}", "\u{85}", "\u{202e}"].contains($0) })
    #expect(made.unicodeScalars.filter { $0.value < 32 && $0 != "\n" }.isEmpty)
    for line in made.split(separator: "\n") { #expect(line.last != "\\") }
    if rendering.format == .text || rendering.format == .fritzbox {
      #expect(made.split(separator: "\n").count == plain.split(separator: "\n").count)
    } else {
      #expect(statements(made) == statements(plain))
    }
  }

  /// A name that is none never stands in a rule, only in its comment.
  @Test func onlyHostNamesStandInRules() throws {
    for name in ["-j ACCEPT", "a b", "a;b", "1.2.3.4", "a\"b", "", "x{y}"] {
      var plan = FirewallPlan(origin: "file")
      let flow = SamplePlans.udp(true, 65002, "198.51.100.1", 3478, name: name)
      plan.rules = [FirewallRule(id: "stun-out", direction: .outbound, flows: [flow], reason: "r", probe: .stun)]
      plan.machineV4 = IPAddress("192.168.77.100")
      for format in [FirewallFormat.iptables, .pf, .routeros] {
        var options = RenderingOptions(stand: .router)
        options.usesNames = true
        let rules = statements(plan.rendered(format, options)).filter { $0.contains("198.51.100.1") }
        #expect(rules.count == 1, "\(format): \(name)")
      }
    }
  }

  @Test func identifiersAreOfFewLetters() {
    #expect(FirewallRule.identifier("stun-out-DSL.1") == "stun-out-dsl-1")
    #expect(FirewallRule.identifier("a\n\"; b") == "a-b")
    #expect(FirewallRule.identifier("") == "rule")
    #expect(FirewallRule.identifier(String(repeating: "x", count: 500)).count == 100)
  }

  @Test(arguments: FirewallFormat.allCases) func everyRuleGivesReasonAndProbe(_ format: FirewallFormat) {
    for stand in format.stands where format != .fritzbox {
      let text = SamplePlans.office.rendered(format, RenderingOptions(stand: stand))
      for rule in SamplePlans.office.rules where stand == .host || rule.side == .internet && rule.probe != .neighbours {
        #expect(text.contains("[\(rule.id)]"))
        #expect(text.contains("\(rule.reason)."))
        #expect(text.contains("Without it (probe \(rule.probe.id)): \(rule.probe.sentence)."))
      }
    }
  }

  /// What stays in the office does not pass the router.
  @Test(arguments: FirewallFormat.allCases) func routerHasNoOfficeRules(_ format: FirewallFormat) {
    guard format.stands.contains(.router) else { return }
    let text = SamplePlans.office.rendered(format, RenderingOptions(stand: .router))
    #expect(!text.contains("phones-in"))
    #expect(!text.contains("5061"))
    #expect(text.contains("65002"))
  }

  /// A rule that cannot be written is not left out silently.
  @Test(arguments: [FirewallFormat.nftables, .iptables, .pf, .openwrt, .routeros])
  func missingMachineAddressIsSaid(_ format: FirewallFormat) {
    var plan = SamplePlans.office
    plan.machineV6 = nil
    let text = plan.rendered(format, RenderingOptions(stand: .router))
    #expect(text.contains("NO RULE: this machine has no IPv6 address"))
    #expect(!statements(text).contains { $0.contains("2001:db8:1::1") })
    plan.machineV4 = nil
    #expect(statements(plan.rendered(format, RenderingOptions(stand: .router))).allSatisfy { !$0.contains("65002") })
  }

  @Test func fritzBoxProposesAnotherPortThan5060() {
    var plan = SamplePlans.office
    let text = plan.rendered(.fritzbox, RenderingOptions(stand: .router))
    #expect(text.contains("CONFLICT"))
    #expect(text.contains("Port requested externally: 65002"))
    #expect(text.contains("incoming: {forwarded: 65002}"))
    plan.forwards[0].publicPort = 5070
    #expect(plan.rendered(.fritzbox, RenderingOptions(stand: .router)).contains("Port requested externally: 5070"))
  }

  @Test func ownTableGuardsOnlyOurPorts() {
    let text = SamplePlans.office.rendered(.nftables, RenderingOptions(stand: .host))
    #expect(text.contains("meta nfproto ipv4 udp dport 65002 counter drop"))
    #expect(text.contains("ip daddr 192.168.77.100 tcp dport 5061 counter drop"))
    #expect(text.split(separator: "\n").count { $0.contains(" drop") && !$0.contains("#") } == 3)
    #expect(!text.contains("policy drop"))
    var options = RenderingOptions(stand: .host)
    options.table = "filter"
    let chains = SamplePlans.office.rendered(.nftables, options)
    #expect(!chains.contains("counter drop"))
    #expect(!chains.contains("hook input"))
    #expect(chains.contains("flush chain inet filter trunkline_input"))
  }

  @Test(arguments: ["trunkline", "", "a b", "x;y", "9a", "a-b", "a\n"]) func tableNamesThatAreNone(_ name: String) {
    #expect(!RenderingOptions.isTableName(name))
    var options = RenderingOptions(stand: .host)
    options.table = name
    // Whoever passes one anyway gets a table of our own.
    #expect(SamplePlans.office.rendered(.nftables, options).contains("delete table inet trunkline"))
  }
}
