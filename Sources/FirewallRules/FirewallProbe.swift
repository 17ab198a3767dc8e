/// Something that can be tried, and fails where a rule is missing.
public struct FirewallProbe: Sendable, Hashable {
  /// Short and fixed: `stun`, `sip-out`.
  public let id: String
  /// What is seen to fail, and with what: one sentence without the full stop.
  public let sentence: String
}

extension FirewallProbe {
  public static let stun = FirewallProbe(
    id: "stun", sentence: "the uplink has no public address in `trunkline status`; no STUN server answers its port")
  public static let discovery = FirewallProbe(
    id: "discovery", sentence: "`trunkline nat` says that no server answered, and ends with 69")
  public static let registration = FirewallProbe(
    id: "registration", sentence: "the trunk is unreachable in `trunkline status`; the provider's answers do not arrive"
  )
  public static let call = FirewallProbe(
    id: "call", sentence: "a call from outside does not ring: the provider's requests do not arrive")
  public static let voiceOut = FirewallProbe(
    id: "voice-out", sentence: "the far end hears nothing: a call has packetsOut and the far end none")
  public static let voiceIn = FirewallProbe(
    id: "voice-in", sentence: "the office hears nothing: packetsIn of a call stays 0")
  public static let forward = FirewallProbe(
    id: "forward", sentence: "a request of the provider to the public port does not arrive")
  public static let phone = FirewallProbe(id: "phone", sentence: "a phone that registers over UDP gets no answer")
  public static let phoneTCP = FirewallProbe(
    id: "phone-tcp", sentence: "a phone that registers over TCP cannot connect")
  public static let phoneTLS = FirewallProbe(
    id: "phone-tls", sentence: "a phone that registers over TLS cannot connect")
  public static let officeTrunk = FirewallProbe(
    id: "office-trunk", sentence: "the trunk in the office is unreachable in `trunkline status`")
  public static let router = FirewallProbe(
    id: "router", sentence: "the router answers no request for a port mapping, by PCP, NAT-PMP or UPnP")
  public static let names = FirewallProbe(
    id: "names", sentence: "the log says that the names of providers and STUN servers cannot be resolved")
  public static let large = FirewallProbe(
    id: "large", sentence: "a SIP message of 1,600 bytes does not arrive, and one that is too long for the path is lost"
  )
  public static let neighbours = FirewallProbe(
    id: "neighbours", sentence: "nothing goes over IPv6: the router's address cannot be found")
  public static let dashboard = FirewallProbe(
    id: "dashboard", sentence: "the dashboard cannot be opened from the office")
}
