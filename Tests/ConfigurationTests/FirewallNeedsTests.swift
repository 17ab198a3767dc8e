import FirewallRules
import Foundation
import LinkManager
import NetworkTypes
import Testing
import TrunklineDaemon

/// From the configuration to the rules that it needs.
@Suite struct FirewallNeedsTests {
  private static let names = [
    "stun.sipgate.net": ["217.10.68.152", "2001:db8:10::1"], "stun.t-online.de": ["217.0.12.17"],
    "sip.sipgate.de": ["217.10.79.9"], "backup.example": ["198.51.100.7"], "fax.example": ["198.51.100.8"],
  ]

  private func surroundings(without missing: [String] = []) -> FirewallSurroundings {
    var result = FirewallSurroundings()
    for (name, texts) in Self.names where !missing.contains(name) {
      result.names[name] = texts.compactMap { IPAddress($0) }
    }
    result.machineV4 = IPAddress("192.168.77.100")
    result.nameServers = ["192.168.77.1", "127.0.0.53"].compactMap { IPAddress($0) }
    return result
  }

  private func plan(_ yaml: String, _ surroundings: FirewallSurroundings) throws -> FirewallPlan {
    let loaded = ConfigurationFiles.load(yaml)
    let configuration = try #require(loaded.configuration, "\(loaded.diagnostics)")
    return FirewallNeeds.plan(configuration, origin: "trunkline.yaml", surroundings)
  }

  private func contract() throws -> FirewallPlan {
    try plan(try ConfigurationFiles.text("Examples/contract.yaml"), surroundings())
  }

  private func flows(_ plan: FirewallPlan, _ id: String) -> [PacketFlow] {
    plan.rules.first { $0.id == id }?.flows ?? []
  }

  private func shown(_ flows: [PacketFlow]) -> [String] {
    flows.map { flow in
      let local = flow.localPorts.map { "\($0.lowerBound)-\($0.upperBound)" } ?? "*"
      let far = flow.remotePorts.map { "\($0.lowerBound)-\($0.upperBound)" } ?? "*"
      return "\(local) \(flow.remote?.description ?? "*") \(far) \(flow.name ?? "")"
    }
  }

  /// The doctor's proof of the port forward comes from there, and nothing is sent there.
  @Test func theOtherAddressOfASTUNServerMayComeIn() throws {
    var surroundings = surroundings()
    surroundings.otherAddresses[Endpoint("217.10.68.152:10000")!] = Endpoint("217.10.68.153:10001")!
    let plan = try plan(try ConfigurationFiles.text("Examples/contract.yaml"), surroundings)
    let proofs = ["65002-65002 217.10.68.153/32 10001-10001 ", "65003-65003 217.10.68.153/32 10001-10001 "]
    #expect(shown(flows(plan, "sip-in")).suffix(2) == proofs)
    #expect(
      !plan.rules.filter { $0.id != "sip-in" }.flatMap(\.flows).contains { $0.remote == IPNetwork("217.10.68.153") })
    #expect(plan.forwards.allSatisfy { $0.sources.contains { $0.remote == IPNetwork("217.10.68.153") } })
  }

  @Test func contractExampleNeedsWhatTheManualLists() throws {
    let plan = try contract()
    #expect(
      plan.rules.map(\.id) == [
        "stun-out", "stun-in", "discovery-out", "discovery-in", "sip-out", "sip-in", "media-out", "media-in",
        "phones-out", "phones-in", "phones-tcp-out", "phones-tcp-in", "phones-tls-out", "phones-tls-in", "names-out",
        "names-in", "errors-in",
      ])
    #expect(plan.warnings.isEmpty)
    #expect(
      shown(flows(plan, "stun-out")) == [
        "65002-65002 217.10.68.152/32 10000-10000 stun.sipgate.net",
        "65003-65003 217.10.68.152/32 10000-10000 stun.sipgate.net",
        "65002-65002 217.0.12.17/32 3478-3478 stun.t-online.de",
        "65003-65003 217.0.12.17/32 3478-3478 stun.t-online.de",
      ])
    #expect(flows(plan, "stun-in") == flows(plan, "stun-out"))
    #expect(
      shown(flows(plan, "sip-out")).prefix(2) == [
        "65002-65002 217.10.79.9/32 5060-5060 sip.sipgate.de", "65003-65003 217.10.79.9/32 5060-5060 sip.sipgate.de",
      ])
    #expect(shown(flows(plan, "sip-in")).first == "65002-65002 217.10.79.9/32 * sip.sipgate.de")
    #expect(flows(plan, "sip-in").count == 6)
    #expect(shown(flows(plan, "media-in")) == ["55000-55999 * * "])
    #expect(flows(plan, "phones-in").contains { $0.remote == IPNetwork("192.168.0.0/16") })
    #expect(flows(plan, "phones-in").allSatisfy { $0.isV4 && $0.localPorts == 5060...5060 })
    #expect(flows(plan, "phones-tls-in").allSatisfy { $0.transport == .tcp && $0.localPorts == 5061...5061 })
    #expect(flows(plan, "names-out").map(\.remote) == [IPNetwork("192.168.77.1"), IPNetwork("192.168.77.1")])
    #expect(
      plan.guarded == [
        GuardedPort(.udp, Endpoint(.anyV4, port: 65002)), GuardedPort(.udp, Endpoint(.anyV4, port: 65003)),
        GuardedPort(.udp, Endpoint(.anyV4, port: 5060)), GuardedPort(.tcp, Endpoint(.anyV4, port: 5060)),
        GuardedPort(.tcp, Endpoint(.anyV4, port: 5061)),
      ])
  }

  @Test func portsAreForwardedToTheSocketAndTheSpareOne() throws {
    let plan = try contract()
    #expect(plan.forwards.map(\.id) == ["forward", "forward-spare"])
    #expect(plan.forwards.map(\.publicPort) == [5060, 65003])
    #expect(plan.forwards.map(\.localPort) == [65002, 65003])
    #expect(plan.forwards[0].sources.map(\.name) == ["sip.sipgate.de", "backup.example", "fax.example"])
    #expect(plan.forwards[0].reason.contains("incoming: {forwarded: 5060}"))
    let own = try self.plan(
      """
      uplinks: [{name: dsl, bind: 192.168.77.100:65002, incoming: {forwarded: 5070}}]
      trunks: [{name: t, registrar: 198.51.100.1, username: u, password: p}]
      """, surroundings())
    #expect(own.forwards.map(\.publicPort) == [5070, 65003])
    #expect(own.forwards[0].local == IPAddress("192.168.77.100"))
    #expect(!own.forwards[0].reason.contains("incoming"))
  }

  /// Every flow of an uplink exists for the spare port as well.
  @Test func sparePortIsInEveryRuleOfItsUplink() throws {
    let plan = try contract()
    for id in ["stun-out", "stun-in", "sip-out", "sip-in"] {
      let ports = flows(plan, id).compactMap { $0.localPorts?.lowerBound }
      #expect(ports.count { $0 == 65002 } == ports.count { $0 == 65003 }, "\(id)")
    }
  }

  @Test func namesWithoutAddressAreSaid() throws {
    let text = try ConfigurationFiles.text("Examples/contract.yaml")
    let plan = try plan(text, surroundings(without: ["stun.t-online.de", "sip.sipgate.de"]))
    #expect(
      plan.warnings == [
        "the name stun.t-online.de (STUN server of uplink dsl) could not be looked up: no rule is written for it",
        "the name sip.sipgate.de (provider of trunk sipgate, by uplink dsl) could not be looked up: no rule is written for it",
      ])
    #expect(flows(plan, "stun-out").count == 2)
    for format in FirewallFormat.allCases {
      let written = plan.rendered(format, RenderingOptions(stand: format.stands[0]))
      #expect(written.contains("WARNING: the name sip.sipgate.de"))
    }
  }

  @Test func familiesFollowTheSockets() throws {
    let yaml = """
      uplinks: [{name: dsl, bind: ["0.0.0.0:65002", "[::]:65002"], sparePort: 65002, stunServers: [stun.sipgate.net]}]
      lan: {bind: ["0.0.0.0:5060", "[::]:5060"]}
      trunks: [{name: t, registrar: fax.example, username: u, password: p}]
      phones: [{extension: 10, password: a}]
      """
    let both = try plan(yaml, surroundings())
    #expect(
      shown(flows(both, "stun-out")).map { $0.split(separator: " ")[1] } == ["217.10.68.152/32", "2001:db8:10::1/128"])
    #expect(flows(both, "media-in").map(\.isV4) == [true, false])
    #expect(both.rules.map(\.id).suffix(2) == ["neighbours-out", "neighbours-in"])
    #expect(flows(both, "phones-in").contains { $0.remote == IPNetwork("fc00::/7") })
    let six = try plan(yaml.replacingOccurrences(of: "\"0.0.0.0:65002\", ", with: ""), surroundings())
    #expect(six.forwards.isEmpty)
    #expect(
      six.warnings == [
        "fax.example (provider of trunk t, by uplink dsl) has only addresses of a family that is not bound there: no rule is written for it"
      ])
  }

  @Test func uplinksHaveRulesOfTheirOwn() throws {
    let plan = try plan(
      """
      uplinks:
        - {name: dsl, bind: 192.168.77.100:65002, sparePort: 65002, stunServers: [198.51.100.1]}
        - {name: LTE.1, bind: 192.168.78.100:65004, sparePort: 65004, stunServers: [198.51.100.2], publicAddress: 203.0.113.9}
        - {name: LTE-1, bind: 192.168.79.100:65006, sparePort: 65006, stunServers: []}
      trunks:
        - {name: a, uplinks: [dsl], registrar: 198.51.100.3, username: u, password: p}
        - {name: b, registrar: "198.51.100.4:5080", username: u, password: p}
        - {name: office, uplinks: [lan], registrar: 192.168.77.5, username: u, password: p}
      """, surroundings())
    #expect(
      plan.rules.map(\.id).prefix(10) == [
        "stun-out-dsl", "stun-in-dsl", "discovery-out-dsl", "discovery-in-dsl", "sip-out-dsl", "sip-in-dsl",
        "stun-out-lte-1", "stun-in-lte-1", "sip-out-lte-1", "sip-in-lte-1",
      ])
    // Two names that an identifier cannot tell apart stay two rules.
    #expect(plan.rules.map(\.id).contains("sip-out-lte-1-2"))
    #expect(Set(plan.rules.map(\.id)).count == plan.rules.count)
    #expect(
      shown(flows(plan, "sip-out-dsl")) == [
        "65002-65002 198.51.100.3/32 5060-5060 ", "65002-65002 198.51.100.4/32 5080-5080 ",
      ])
    #expect(shown(flows(plan, "sip-out-lte-1")) == ["65004-65004 198.51.100.4/32 5080-5080 "])
    #expect(flows(plan, "sip-out-lte-1").map(\.local) == [IPAddress("192.168.78.100")])
    #expect(shown(flows(plan, "office-trunk-out")) == ["5060-5060 192.168.77.5/32 5060-5060 "])
    #expect(plan.rules.first { $0.id == "office-trunk-in" }?.side == .office)
    #expect(!plan.rules.contains { $0.id.hasPrefix("names") })
  }

  @Test func allowAndDashboardFollowTheConfiguration() throws {
    let plan = try plan(
      """
      lan: {bind: 192.168.77.100:5060, allow: [192.168.77.0/24, "2001:db8::/32"]}
      trunks: [{name: t, registrar: 198.51.100.1, username: u, password: p}]
      http: {bind: 192.168.77.100:8065, token: secret-a}
      """, surroundings())
    #expect(shown(flows(plan, "phones-in")) == ["5060-5060 192.168.77.0/24 * "])
    #expect(flows(plan, "phones-in").map(\.local) == [IPAddress("192.168.77.100")])
    #expect(shown(flows(plan, "dashboard-in")) == ["8065-8065 192.168.77.0/24 * "])
    #expect(!(try contract().rules.contains { $0.id.hasPrefix("dashboard") }))
  }

  /// A public network on the link is served where nothing else is said.
  @Test func onLinkNetworksAreServed() throws {
    var around = surroundings()
    around.interfaces = [
      InterfaceAddress(IPAddress.v4(0xcb00_7105), prefixLength: 24), InterfaceAddress(.loopbackV4, prefixLength: 8),
    ]
    let plan = try plan("trunks: [{name: t, registrar: 198.51.100.1, username: u, password: p}]", around)
    #expect(flows(plan, "phones-in").map(\.remote).suffix(1) == [IPNetwork("203.0.113.0/24")])
    #expect(!flows(plan, "phones-in").contains { $0.remote?.base.isLoopback == true })
  }

  @Test(arguments: [
    ("auto", ["5351", "1900", "1900", "*"]), ("off", []), ("pcp", ["5351"]), ("nat-pmp", ["5351"]),
    ("upnp", ["1900", "1900", "*"]), ("{forwarded: 5060}", ["5351", "1900", "1900", "*"]),
  ]) func routerIsAskedByTheWayThatIsConfigured(_ incoming: String, _ ports: [String]) throws {
    var around = surroundings()
    around.router = IPAddress("192.168.77.1")
    let plan = try plan(
      """
      uplinks: [{name: dsl, incoming: \(incoming), stunServers: [198.51.100.2]}]
      trunks: [{name: t, registrar: 198.51.100.1, username: u, password: p}]
      """, around)
    #expect(flows(plan, "router-out").map { $0.remotePorts.map { "\($0.lowerBound)" } ?? "*" } == ports)
    #expect(plan.rules.contains { $0.id == "router-in" } != ports.isEmpty)
    #expect(plan.rules.allSatisfy { !$0.id.hasPrefix("router") || $0.side == .office })
  }
}
