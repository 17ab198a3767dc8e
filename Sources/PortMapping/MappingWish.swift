public import NetworkTypes

/// How a router is asked for mappings, best first.
public enum MappingProtocol: String, Sendable, Hashable, CaseIterable, Codable {
  /// RFC 6887.
  case pcp
  /// RFC 6886.
  case natPMP = "nat-pmp"
  /// UPnP Internet Gateway Device 1 or 2.
  case upnp
}

/// A port of ours that the world shall reach.
public struct MappingWish: Sendable, Hashable, Codable {
  public var transport: MappedTransport
  public var internalPort: UInt16
  /// The external port that is asked for first; the router may give another one.
  public var preferredPort: UInt16
  /// Only for that one (PCP's PEER): the mapping of a flow that leaves anyway, kept without keepalives.
  public var remote: Endpoint?

  public init(
    transport: MappedTransport = .udp, internalPort: UInt16, preferredPort: UInt16? = nil, remote: Endpoint? = nil
  ) {
    self.transport = transport
    self.internalPort = internalPort
    self.preferredPort = preferredPort ?? internalPort
    self.remote = remote
  }
}

/// A mapping that a router holds for us, as it is written down so that a later process finds it.
public struct KeptLease: Sendable, Hashable, Codable {
  public var `protocol`: MappingProtocol
  /// The router that holds it.
  public var router: String
  /// IANA protocol number.
  public var transport: UInt8
  public var internalPort: UInt16
  public var externalPort: UInt16
  /// PCP's nonce, two words; without it nobody may delete the mapping.
  public var nonceHigh: UInt64
  public var nonceLow: UInt64

  public init(
    protocol: MappingProtocol, router: String, transport: MappedTransport, internalPort: UInt16, externalPort: UInt16,
    nonce: UInt128
  ) {
    self.protocol = `protocol`
    self.router = router
    self.transport = transport.rawValue
    self.internalPort = internalPort
    self.externalPort = externalPort
    nonceHigh = UInt64(truncatingIfNeeded: nonce >> 64)
    nonceLow = UInt64(truncatingIfNeeded: nonce)
  }

  public var nonce: UInt128 { UInt128(nonceHigh) << 64 | UInt128(nonceLow) }
}

/// What is asked of a UPnP gateway (WANIPConnection 1 and 2, WANPPPConnection 1). The shell does the talking.
public enum UPnPRequest: Sendable, Hashable {
  /// Look for a gateway at this address, and only there: SSDP is answered by anybody.
  case discover(at: IPAddress)
  case externalAddress
  /// Lease in seconds, 0 for one that does not end.
  case add(MappedTransport, externalPort: UInt16, internalPort: UInt16, client: IPAddress, lease: UInt32)
  /// As `add`, and the gateway takes another port where this one is taken (WANIPConnection 2 only).
  case addAny(MappedTransport, externalPort: UInt16, internalPort: UInt16, client: IPAddress, lease: UInt32)
  case delete(MappedTransport, externalPort: UInt16)
  /// Whose the mapping of a port is.
  case entry(MappedTransport, externalPort: UInt16)
  /// Tell when the external address changes (UPnP Device Architecture 1.1 §4); asked again, the subscription goes on.
  case subscribe
}

/// What came of it.
public enum UPnPResult: Sendable, Hashable, Codable {
  /// There is one, of this version of InternetGatewayDevice.
  case found(version: Int)
  case notFound
  /// `0.0.0.0` while its line has none.
  case externalAddress(IPAddress)
  /// The mapping is there, at this port.
  case added(externalPort: UInt16)
  case deleted
  case entry(client: IPAddress, internalPort: UInt16)
  /// Changes are told for so many seconds.
  case subscribed(seconds: UInt32)
  /// An error of the gateway's, by UPnP's number (WANIPConnection:1 §2.4.17.5 and so on).
  case refused(code: Int)
  /// No answer, or one that is none.
  case failed
}

/// Errors of UPnP gateways that decide something.
public enum UPnPErrorCode {
  public static let notAuthorized = 606
  public static let noSuchEntry = 714
  public static let conflict = 718
  public static let samePortRequired = 724
  public static let onlyPermanentLeases = 725
  public static let noPortsLeft = 728
  public static let conflictWithOther = 729
}
