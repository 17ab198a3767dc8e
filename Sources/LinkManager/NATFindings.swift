public import NATDiscovery
public import NetworkTypes

/// What is known of the NAT of an uplink: of a discovery's report, what decides something.
public struct NATFindings: Sendable, Hashable, Codable {
  public var natType = NATType.unknown
  public var mapping = NATDependence.notChecked
  public var filtering = NATDependence.notChecked
  public var hairpin = NATFinding.notChecked
  /// Seconds; `nil` where it was not measured.
  public var bindingLifetime: Int?
  /// The port was still open when the search ended.
  public var bindingLifetimeIsAtLeast = false
  /// What the router says of its address outside; `nil` where it does not say.
  public var routerAddress: IPAddress?

  public init() {}

  public init(_ report: NATReport) {
    natType = report.natType
    mapping = report.mapping
    filtering = report.filtering
    hairpin = report.hairpin
    bindingLifetime = report.bindingLifetimeSeconds
    bindingLifetimeIsAtLeast = report.bindingLifetimeIsAtLeast
    routerAddress = report.routerAddress
  }

  /// Whether a port has another mapping for each destination, or for each address.
  public var dependsOnDestination: Bool { mapping == .addressDependent || mapping == .addressAndPortDependent }
}

/// The NAT of one uplink: what was found, what is being found out, whether anything passes.
struct NATState: Sendable, Codable {
  /// What the last discovery found; `nil` before the first has ended.
  var findings: NATFindings?
  /// The family of addresses that was examined.
  var isV4 = true
  var discoveryBegan: MonotonicInstant?
  var isDiscovering = false
  /// A server that is being asked now was found to lie: what this discovery finds counts for nothing.
  var isVoid = false
  /// What is being done now measures the lifetime too.
  var isMeasuring = false
  /// The lifetime was measured, or cannot be.
  var isLifetimeSettled = false
  /// When a datagram of a STUN server or a provider came in last.
  var heardAt: MonotonicInstant?
  /// Since when the STUN servers have been silent; `nil` while one answers.
  var silentSince: MonotonicInstant?
  /// Nothing that was asked over UDP has answered.
  var isBlocked = false
  /// The lifetime for which keepalives were shortened, as it was said.
  var toldLifetime: Int?
}
