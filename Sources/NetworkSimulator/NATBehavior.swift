public import NetworkTypes

/// What a router does with UDP, in the words of RFC 4787.
public struct NATBehavior: Sendable, Hashable {
  /// What else than the inside endpoint a mapping (§4.1) or a filter (§5) depends on.
  public enum Dependence: String, Sendable, Hashable, CaseIterable {
    case endpointIndependent, addressDependent, addressAndPortDependent
  }

  /// How outside ports are chosen (§4.2.1).
  public enum PortAssignment: String, Sendable, Hashable, CaseIterable {
    /// The inside port where it is free, else the next free one.
    case preserving
    case random
    case sequential
  }

  public enum Kind: String, Sendable, Hashable {
    /// Translates addresses and ports.
    case translating
    /// Routes everything, both ways, untouched.
    case open
    /// Lets no UDP pass.
    case blocked
    /// Translates nothing; lets in only answers from where something was sent to.
    case symmetricFirewall
  }

  public var kind: Kind
  public var mapping: Dependence
  public var filtering: Dependence
  public var ports: PortAssignment
  /// How long a mapping, and each remote's permission to send in, outlives the last packet that refreshed it. RFC 4787
  /// §4.3 asks for 2 minutes or more; 30 s are common.
  public var lifetime: Duration
  /// Whether packets from outside refresh too (§4.3 allows it); packets from inside always do.
  public var refreshedByInbound: Bool
  /// Whether the inside reaches itself by the outside address (§6).
  public var hairpin: Bool
  /// Whether mappings survive a change of the outside address: their packets then leave with an address that is no
  /// longer ours and are lost, for as long as the inside keeps sending. Seen on routers that do not flush on redial.
  public var keepsStaleState: Bool
  /// Where `random` and `sequential` take ports from.
  public var portRange: ClosedRange<UInt16>
  /// The most mappings held at once; further ones are refused (their packets dropped).
  public var maxMappings: Int

  public init(
    kind: Kind = .translating, mapping: Dependence, filtering: Dependence, ports: PortAssignment = .preserving,
    lifetime: Duration = .seconds(120), refreshedByInbound: Bool = false, hairpin: Bool = false,
    keepsStaleState: Bool = false, portRange: ClosedRange<UInt16> = 1024...65535, maxMappings: Int = 4096
  ) {
    self.kind = kind
    self.mapping = mapping
    self.filtering = filtering
    self.ports = ports
    self.lifetime = lifetime
    self.refreshedByInbound = refreshedByInbound
    self.hairpin = hairpin
    self.keepsStaleState = keepsStaleState
    self.portRange = portRange
    self.maxMappings = maxMappings
  }

  private init(kind: Kind) {
    self.init(kind: kind, mapping: .endpointIndependent, filtering: .addressAndPortDependent)
  }

  /// The types of RFC 3489 §5 in RFC 4787's terms.
  public static let fullCone = NATBehavior(mapping: .endpointIndependent, filtering: .endpointIndependent)
  public static let restrictedCone = NATBehavior(mapping: .endpointIndependent, filtering: .addressDependent)
  public static let portRestrictedCone = NATBehavior(mapping: .endpointIndependent, filtering: .addressAndPortDependent)
  public static let symmetric = NATBehavior(
    mapping: .addressAndPortDependent, filtering: .addressAndPortDependent, ports: .random)
  public static let open = NATBehavior(kind: .open)
  public static let blocked = NATBehavior(kind: .blocked)
  public static let symmetricFirewall = NATBehavior(kind: .symmetricFirewall)
}

/// A port of the outside address that is passed on to an endpoint inside, whoever sends.
public struct PortForward: Sendable, Hashable {
  public var outsidePort: UInt16
  public var inside: Endpoint

  public init(outsidePort: UInt16, to inside: Endpoint) {
    self.outsidePort = outsidePort
    self.inside = inside
  }
}
