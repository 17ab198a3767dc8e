public import NetworkTypes
public import STUN

/// A class of RFC 3489 §5 and §10.1.
public enum NATType: String, Sendable, Hashable, CaseIterable, Codable {
  case open, fullCone, restrictedCone, portRestrictedCone, symmetric, symmetricFirewall, blocked, unknown
}

/// What else than the port inside something depends on (RFC 4787 §4.1 and §5, RFC 5780).
public enum NATDependence: String, Sendable, Hashable, CaseIterable, Codable {
  case endpointIndependent, addressDependent, addressAndPortDependent, notChecked
}

/// Yes, no, or not checked; why not is in ``NATReport/notChecked``.
public enum NATFinding: String, Sendable, Hashable, CaseIterable, Codable {
  case yes, no, notChecked

  init(_ value: Bool) { self = value ? .yes : .no }
}

/// A finding that was not checked.
public struct NotChecked: Sendable, Hashable {
  /// The name of the finding, as in the JSON document.
  public var finding: String
  /// Why, as the end of a sentence.
  public var why: String
}

/// What stands between a machine and the internet.
public struct NATReport: Sendable, Hashable {
  public var natType = NATType.unknown
  public var mapping = NATDependence.notChecked
  public var filtering = NATDependence.notChecked
  /// Whether a machine inside reaches another one by its public address (RFC 4787 §6).
  public var hairpin = NATFinding.notChecked
  /// How long a port stays open without traffic; `nil` where it was not measured.
  public var bindingLifetimeSeconds: Int?
  /// Whether the port was still open when the search ended, so that it lives at least that long.
  public var bindingLifetimeIsAtLeast = false
  /// Whether a port is the same outside as inside.
  public var portPreserved = NATFinding.notChecked
  /// Whether an even port stays even and an odd one odd (RFC 4787 §4.2.2).
  public var portParityPreserved = NATFinding.notChecked
  /// Whether the next port of a NAT that takes a new one for each destination can be foreseen.
  public var portsPredictable = NATFinding.notChecked
  /// By how much the next port is higher, modulo 65,536; `nil` where it cannot be foreseen.
  public var portIncrement: Int?
  /// Whether more than one public address was seen.
  public var addressPool = NATFinding.notChecked
  /// Whether packets that had to be cut into fragments pass, both ways.
  public var fragments = NATFinding.notChecked
  /// A NAT of the provider (RFC 6598).
  public var carrierGradeNAT = NATFinding.notChecked
  /// More than one NAT in a row.
  public var doubleNAT = NATFinding.notChecked
  /// What the router on this machine's own network says of its address outside; `nil` where it does not say.
  public var routerAddress: IPAddress?
  /// The server that showed most of this; `nil` where none answered.
  public var server: Endpoint?
  /// How that server was asked. By anything but UDP only the public address shows.
  public var transport = STUNTransport.udp
  /// What the server sees of the port that was examined.
  public var publicAddress: Endpoint?
  public var localAddress: Endpoint
  /// In the order of the fields above.
  public var notChecked: [NotChecked] = []

  public init(localAddress: Endpoint) { self.localAddress = localAddress }

  /// Why a finding was not checked; `nil` where it was.
  public func whyNotChecked(_ finding: String) -> String? { notChecked.first { $0.finding == finding }?.why }
}

extension NATReport: Encodable {
  private enum Key: String, CodingKey {
    case natType, mapping, filtering, hairpin, publicAddress, localAddress, bindingLifetimeSeconds,
      bindingLifetimeIsAtLeast
    case portPreserved, portParityPreserved, portsPredictable, portIncrement, addressPool, fragments
    case carrierGradeNAT, doubleNAT, server, transport, notChecked, summary, meaning
  }

  private struct Name: CodingKey {
    let stringValue: String
    var intValue: Int? { nil }
    init(stringValue: String) { self.stringValue = stringValue }
    init?(intValue: Int) { nil }
  }

  private struct Place: Encodable {
    let ip: String
    let port: UInt16

    init?(_ endpoint: Endpoint?) {
      guard let endpoint else { return nil }
      ip = endpoint.address.description
      port = endpoint.port
    }
  }

  /// The document of `trunkline nat --json`.
  public func encode(to encoder: any Encoder) throws {
    var container = encoder.container(keyedBy: Key.self)
    try container.encode(natType, forKey: .natType)
    try container.encode(mapping, forKey: .mapping)
    try container.encode(filtering, forKey: .filtering)
    try container.encode(hairpin, forKey: .hairpin)
    try container.encode(Place(publicAddress), forKey: .publicAddress)
    try container.encode(Place(localAddress), forKey: .localAddress)
    try container.encode(bindingLifetimeSeconds, forKey: .bindingLifetimeSeconds)
    try container.encode(bindingLifetimeIsAtLeast, forKey: .bindingLifetimeIsAtLeast)
    try container.encode(portPreserved, forKey: .portPreserved)
    try container.encode(portParityPreserved, forKey: .portParityPreserved)
    try container.encode(portsPredictable, forKey: .portsPredictable)
    try container.encode(portIncrement, forKey: .portIncrement)
    try container.encode(addressPool, forKey: .addressPool)
    try container.encode(fragments, forKey: .fragments)
    try container.encode(carrierGradeNAT, forKey: .carrierGradeNAT)
    try container.encode(doubleNAT, forKey: .doubleNAT)
    try container.encode(server?.description, forKey: .server)
    try container.encode(transport.rawValue, forKey: .transport)
    var reasons = container.nestedContainer(keyedBy: Name.self, forKey: .notChecked)
    for each in notChecked { try reasons.encode(each.why, forKey: Name(stringValue: each.finding)) }
    try container.encode(summary, forKey: .summary)
    try container.encode(meaning, forKey: .meaning)
  }
}
