import NATDiscovery

/// What the link does behind a NAT of one behaviour: a row of ``LinkStrategy/table``, which docs/nat-strategy.md shows.
public struct LinkStrategy: Sendable, Hashable {
  /// What is told of an address, and where from.
  public enum Advertised: String, Sendable, Hashable {
    case fixed = "the configured address"
    /// The mapping that STUN saw of the port itself.
    case stun = "the port's mapping by STUN"
    /// The mapping on the flow to the provider (Via `received` and `rport`).
    case flow = "the flow to the provider (`received`, `rport`)"
    case flowOnceKnown = "the port's mapping by STUN; the flow to the provider where that differs"
    case nothing = "nothing new"
  }

  /// What is tried so that audio arrives.
  public enum Audio: String, Sendable, Hashable {
    case opening = "an opening packet to each new peer"
    /// The mapping that STUN saw lets everybody in as long as it is kept alive, audio by another mapping or not.
    case openingAndMapping = "an opening packet to each new peer; the mapping by STUN is kept alive beside it"
    case latchingOnly = "an opening packet to each new peer; the next port is not guessed"
    case refused = "nothing: calls are refused"
  }

  /// Which far ends can be heard.
  public enum Reach: String, Sendable, Hashable {
    /// Those that send to where audio comes from, and those that send to what the SDP says.
    case everyone = "all"
    case latching = "those that send to where audio comes from"
    case nobody = "none"
  }

  /// The name of the behaviour.
  public var behaviour: String
  public var contact: Advertised
  public var media: Advertised
  /// Whether the provider's way in is kept open beside what STUN keeps alive.
  public var keepsProvider: Bool
  /// Whether media peers' ways in are (RFC 6263).
  public var keepsMediaPeers: Bool
  public var audio: Audio
  public var reach: Reach
  /// What the person is told.
  public var sentence: String

  /// Whether it is STUN's answer that is advertised whatever the provider sees.
  public var isBlocked: Bool { reach == .nobody }
}

extension LinkStrategy {
  /// What a row of the table is for: the first that fits is taken.
  struct Condition: Sendable {
    var isFixed: Bool?
    var types: [NATType] = NATType.allCases
    var mappings: [NATDependence] = NATDependence.allCases
    var filterings: [NATDependence] = NATDependence.allCases

    func fits(_ findings: NATFindings, isFixed fixed: Bool) -> Bool {
      (isFixed ?? fixed) == fixed && types.contains(findings.natType) && mappings.contains(findings.mapping)
        && filterings.contains(findings.filtering)
    }
  }

  private static let byDestination: [NATDependence] = [.addressDependent, .addressAndPortDependent]

  /// What is found decides what is done. Without any findings the last row holds, and is as careful as any.
  static let table: [(when: Condition, then: LinkStrategy)] = [
    (
      Condition(isFixed: true),
      LinkStrategy(
        behaviour: "a fixed address in the configuration", contact: .fixed, media: .fixed, keepsProvider: true,
        keepsMediaPeers: true, audio: .opening, reach: .everyone,
        sentence: "The configured public address is told to everyone, and what the router does is not examined.")
    ),
    (
      Condition(types: [.blocked]),
      LinkStrategy(
        behaviour: "UDP blocked: nothing answers", contact: .nothing, media: .nothing, keepsProvider: true,
        keepsMediaPeers: true, audio: .refused, reach: .nobody,
        sentence: "Nothing answers over UDP, so calls are refused until something does.")
    ),
    (
      Condition(types: [.open]),
      LinkStrategy(
        behaviour: "no NAT and no firewall", contact: .stun, media: .stun, keepsProvider: false,
        keepsMediaPeers: false, audio: .opening, reach: .everyone,
        sentence: "Nothing stands in the way: this machine's own address is told to everyone.")
    ),
    (
      Condition(types: [.symmetricFirewall]),
      LinkStrategy(
        behaviour: "no NAT, a firewall that lets answers in", contact: .stun, media: .stun, keepsProvider: true,
        keepsMediaPeers: true, audio: .opening, reach: .everyone,
        sentence: "A firewall lets in only what was asked for: keepalives go to the provider and to media peers.")
    ),
    (
      Condition(mappings: [.endpointIndependent], filterings: [.endpointIndependent]),
      LinkStrategy(
        behaviour: "one mapping for all, open for all", contact: .stun, media: .stun, keepsProvider: false,
        keepsMediaPeers: false, audio: .opening, reach: .everyone,
        sentence: "The router gives a port one public port that is open for everybody: keeping it alive is enough.")
    ),
    (
      Condition(mappings: [.endpointIndependent], filterings: byDestination),
      LinkStrategy(
        behaviour: "one mapping for all, open for those that were written to", contact: .stun, media: .stun,
        keepsProvider: true, keepsMediaPeers: true, audio: .opening, reach: .everyone,
        sentence:
          "The router lets in only those that were written to: keepalives go to the provider and to media peers.")
    ),
    (
      Condition(mappings: [.endpointIndependent], filterings: [.notChecked]),
      LinkStrategy(
        behaviour: "one mapping for all; for whom it is open was not checked", contact: .stun, media: .stun,
        keepsProvider: true, keepsMediaPeers: true, audio: .opening, reach: .everyone,
        sentence: "Whom the router lets in is not known: keepalives go to the provider and to media peers too.")
    ),
    (
      Condition(mappings: byDestination, filterings: [.endpointIndependent]),
      LinkStrategy(
        behaviour: "another mapping for each destination, open for all", contact: .flow, media: .stun,
        keepsProvider: true, keepsMediaPeers: true, audio: .openingAndMapping, reach: .everyone,
        sentence: "The router gives each destination another public port: what the provider sees is told to it.")
    ),
    (
      Condition(mappings: byDestination),
      LinkStrategy(
        behaviour: "another mapping for each destination, open for that one", contact: .flow, media: .stun,
        keepsProvider: true, keepsMediaPeers: true, audio: .latchingOnly, reach: .latching,
        sentence:
          "The router gives each destination another public port: what the provider sees is told to it, and audio comes "
          + "only from far ends that send to where ours comes from.")
    ),
    (
      Condition(),
      LinkStrategy(
        behaviour: "not known (yet)", contact: .flowOnceKnown, media: .stun, keepsProvider: true,
        keepsMediaPeers: true, audio: .opening, reach: .everyone,
        sentence: "What the router does is not known: keepalives go to the provider and to media peers too.")
    ),
  ]

  /// The row for what was found.
  ///
  /// - Parameter isFixed: a fixed public address is configured.
  public static func row(for findings: NATFindings, isFixed: Bool = false) -> LinkStrategy {
    for row in table where row.when.fits(findings, isFixed: isFixed) { return row.then }
    // The last row has no condition.
    return table[table.count - 1].then
  }

  /// How long a port may be silent: what was configured, or half of a measured lifetime below 20 s (never below 1 s).
  public static func keepalive(configured: Duration, for findings: NATFindings) -> Duration {
    guard let lifetime = findings.bindingLifetime, !findings.bindingLifetimeIsAtLeast, lifetime < 20 else {
      return configured
    }
    return min(configured, max(.milliseconds(lifetime * 500), .seconds(1)))
  }

  /// The table as docs/nat-strategy.md has it, a line each.
  public static var documentation: [String] {
    let head = "| behaviour | told in Contact | told in SDP | kept alive | for audio | far ends that are heard |"
    return [head, "| --- | --- | --- | --- | --- | --- |"]
      + table.map { row in
        let then = row.then
        let kept =
          ["STUN server"] + (then.keepsProvider ? ["provider"] : []) + (then.keepsMediaPeers ? ["media peers"] : [])
        let cells = [
          then.behaviour, then.contact.rawValue, then.media.rawValue, kept.joined(separator: ", "),
          then.audio.rawValue, then.reach.rawValue,
        ]
        return "| " + cells.joined(separator: " | ") + " |"
      }
  }

  /// What the person is told, a line for each row.
  public static var sentences: [String] { table.map { "- *\($0.then.behaviour)*: \($0.then.sentence)" } }
}
