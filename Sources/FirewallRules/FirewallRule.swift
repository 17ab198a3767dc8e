public import NetworkTypes

/// What one firewall has to let through, and why: a need of the link, not yet in any firewall's words.
public struct FirewallRule: Sendable, Hashable {
  /// As seen from the machine that Trunkline runs on.
  public enum Direction: Sendable, Hashable { case outbound, inbound }

  /// Who is at the other end, which says where the packets pass.
  public enum Side: Sendable, Hashable {
    /// Beyond the router: the router has to let it through as well.
    case internet
    /// In the office: it does not pass the router.
    case office
  }

  /// Short and unique within a plan, of `a`–`z`, `0`–`9` and `-`: `stun-out`, or `stun-out-dsl` where there are several
  /// uplinks.
  public let id: String
  public var direction: Direction
  public var side: Side
  /// All of them are let through; each is of one family.
  public var flows: [PacketFlow]
  /// One sentence without the full stop.
  public var reason: String
  /// What fails where the rule is missing.
  public var probe: FirewallProbe

  public init(
    id: String, direction: Direction, side: Side = .internet, flows: [PacketFlow], reason: String, probe: FirewallProbe
  ) {
    self.id = RuleText.identifier(id)
    self.direction = direction
    self.side = side
    self.flows = flows
    self.reason = reason
    self.probe = probe
  }

  /// What becomes of `text` as an ``id``: other characters are hyphens there, so that different texts may become one.
  public static func identifier(_ text: String) -> String { RuleText.identifier(text) }
}

/// Packets of one family between this machine and some other.
public struct PacketFlow: Sendable, Hashable {
  public enum Transport: String, Sendable, Hashable { case udp, tcp }

  public enum Content: Sendable, Hashable {
    case transport(Transport)
    /// ICMP errors about packets that this machine sent; what counts them needs connection tracking, which also puts
    /// fragments together before any rule looks for ports in them.
    case errors
    /// ICMPv6 of neighbour discovery and multicast listeners, without which there is no IPv6 (RFC 4890 §4.4.1).
    case neighbours
  }

  public var content: Content
  public var isV4: Bool
  /// This machine's address; `nil` where the socket is bound to none in particular.
  public var local: IPAddress?
  /// This machine's ports; `nil` for any.
  public var localPorts: ClosedRange<UInt16>?
  /// The other side; `nil` for anyone of the family.
  public var remote: IPNetwork?
  public var remotePorts: ClosedRange<UInt16>?
  /// The host name that `remote` was looked up by.
  public var name: String?

  public init(
    _ content: Content, isV4: Bool, local: IPAddress? = nil, localPorts: ClosedRange<UInt16>? = nil,
    remote: IPNetwork? = nil, remotePorts: ClosedRange<UInt16>? = nil, name: String? = nil
  ) {
    self.content = content
    self.isV4 = isV4
    self.local = local
    self.localPorts = localPorts
    self.remote = remote
    self.remotePorts = remotePorts
    self.name = name
  }

  /// `udp` or `tcp`; `nil` for ICMP.
  public var transport: Transport? { if case .transport(let transport) = content { transport } else { nil } }
}

/// A public UDP port of the router that leads to this machine. IPv4 only: nobody translates IPv6.
public struct PortForward: Sendable, Hashable {
  public let id: String
  public var publicPort: UInt16
  /// The port of this machine that it leads to.
  public var localPort: UInt16
  /// The bound address, where it is bound to one.
  public var local: IPAddress?
  /// Who may use it: the providers' addresses.
  public var sources: [PacketFlow]
  public var reason: String
  public var probe: FirewallProbe

  public init(
    id: String, publicPort: UInt16, localPort: UInt16, local: IPAddress? = nil, sources: [PacketFlow], reason: String,
    probe: FirewallProbe
  ) {
    self.id = RuleText.identifier(id)
    self.publicPort = publicPort
    self.localPort = localPort
    self.local = local
    self.sources = sources
    self.reason = reason
    self.probe = probe
  }
}

/// Everything that the firewalls between phones, this machine and the providers have to know.
public struct FirewallPlan: Sendable, Equatable {
  /// The configuration file that it was made from.
  public var origin: String
  public var rules: [FirewallRule] = []
  public var forwards: [PortForward] = []
  /// Ports that only what is listed may reach, for a firewall that closes the rest of them.
  public var guarded: [GuardedPort] = []
  /// This machine's addresses as the router sees it; `nil` where there is none of the family.
  public var machineV4: IPAddress?
  public var machineV6: IPAddress?
  /// What has to be said before everything else: names that could not be looked up, families that do not fit.
  public var warnings: [String] = []

  public init(origin: String) { self.origin = origin }

  /// This machine's address of a family as a router knows it.
  func machine(isV4: Bool, bound: IPAddress?) -> IPAddress? { bound ?? (isV4 ? machineV4 : machineV6) }
}

/// A port of ours.
public struct GuardedPort: Sendable, Hashable {
  public var transport: PacketFlow.Transport
  public var endpoint: Endpoint

  public init(_ transport: PacketFlow.Transport, _ endpoint: Endpoint) {
    self.transport = transport
    self.endpoint = endpoint
  }
}
