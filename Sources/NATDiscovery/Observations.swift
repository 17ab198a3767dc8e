public import NetworkTypes
public import STUN

/// What a discovery has seen. From it alone the report is drawn.
struct Observations: Sendable {
  struct Server: Sendable {
    let index: Int
    let endpoint: Endpoint
    let mapped: Endpoint
    let roundTrip: Duration
    /// The endpoint that differs from the server's in address and port; `nil` for a server with one address.
    let other: Endpoint?
    /// OTHER-ADDRESS was there: RFC 5780, with PADDING and RESPONSE-PORT.
    let isBehaviorServer: Bool
  }

  /// A port inside and what was seen of it outside.
  struct Sample: Sendable {
    let local: Endpoint
    let mapped: Endpoint
  }

  enum Lifetime: Sendable {
    case measured(Int)
    case atLeast(Int)
    case notChecked(String)
  }

  var local: Endpoint
  var askedCount: Int
  /// Those that answered, in the order of preference.
  var servers: [Server] = []
  var chosen: Server?
  var results: [ProbeName: ProbeResult] = [:]
  /// Why ports could not be opened.
  var socketProblem: String?
  var samples: [Sample] = []
  var predictions: [Endpoint] = []
  /// The routers on the way, nearest first; `nil` for one that did not answer.
  var hops: [IPAddress?]?
  var hopProblem: String?
  /// The outside address that the router on this network says it has.
  var routerAddress: IPAddress?
  var lifetime: Lifetime?

  func mapped(_ name: ProbeName) -> Endpoint? {
    if case .answered(let mapped, _)? = results[name] { mapped } else { nil }
  }

  /// Whether the world sees this machine's own address and port.
  var isUntranslated: Bool { chosen.map { $0.mapped == local } ?? false }
}

extension NATReport {
  private static let findings = [
    "mapping", "filtering", "hairpin", "portPreserved", "portParityPreserved", "portsPredictable", "addressPool",
    "fragments", "carrierGradeNAT", "doubleNAT", "bindingLifetimeSeconds",
  ]

  /// What a server shows that was not examined with: the public address of one port.
  ///
  /// - Parameters:
  ///   - localAddress: the end of the connection, or the port, that the server saw.
  ///   - transport: how it was asked.
  ///   - isUDPSilent: whether servers were asked over UDP before, in vain.
  public init(
    publicAddress: Endpoint, localAddress: Endpoint, server: Endpoint, transport: STUNTransport, isUDPSilent: Bool
  ) {
    self.init(localAddress: localAddress)
    natType = isUDPSilent ? .blocked : .unknown
    self.publicAddress = publicAddress
    self.server = server
    self.transport = transport
    let why =
      isUDPSilent
      ? "no server answered over UDP"
      : transport == .udp
        ? "the server wants a name and a password, and the probes that show a NAT carry none"
        : "the server was asked by \(transport.name), and what a router does with UDP shows only over UDP"
    for finding in Self.findings { skip(finding, why) }
  }

  /// Nobody answered who was asked by other means than UDP.
  public init(localAddress: Endpoint, silentTransports: [STUNTransport]) {
    self.init(localAddress: localAddress)
    transport = silentTransports.first ?? .udp
    for finding in Self.findings { skip(finding, "no server answered") }
  }

  /// Nobody could be asked.
  ///
  /// - Parameter why: the reason, as the end of a sentence.
  public init(localAddress: Endpoint, unasked why: String) {
    self.init(localAddress: localAddress)
    for finding in Self.findings { skip(finding, why) }
  }

  /// Draws the conclusions.
  init(_ seen: Observations) {
    self.init(localAddress: seen.local)
    guard let chosen = seen.chosen else {
      natType = .blocked
      for finding in Self.findings { skip(finding, "no server answered") }
      return
    }
    server = chosen.endpoint
    publicAddress = chosen.mapped
    drawMapping(seen, chosen)
    drawFiltering(seen, chosen)
    natType = Self.type(seen, mapping, filtering)
    drawHairpin(seen)
    drawPorts(seen)
    drawFragments(seen, chosen)
    drawRouters(seen)
    drawLifetime(seen)
  }

  private mutating func skip(_ finding: String, _ why: String) {
    notChecked.append(NotChecked(finding: finding, why: why))
  }

  private static func type(_ seen: Observations, _ mapping: NATDependence, _ filtering: NATDependence) -> NATType {
    if seen.isUntranslated {
      switch filtering {
      case .endpointIndependent: return .open
      case .addressDependent, .addressAndPortDependent: return .symmetricFirewall
      case .notChecked: return .unknown
      }
    }
    switch (mapping, filtering) {
    case (.addressDependent, _), (.addressAndPortDependent, _): return .symmetric
    case (.endpointIndependent, .endpointIndependent): return .fullCone
    case (.endpointIndependent, .addressDependent): return .restrictedCone
    case (.endpointIndependent, .addressAndPortDependent): return .portRestrictedCone
    case (.notChecked, _), (_, .notChecked): return .unknown
    }
  }

  /// RFC 5780 §4.3, with a second server in the place of a second address where that is all there is.
  private mutating func drawMapping(_ seen: Observations, _ chosen: Observations.Server) {
    if seen.isUntranslated {
      mapping = .endpointIndependent
      return
    }
    switch (seen.mapped(.secondAddress), seen.mapped(.secondAddressAndPort)) {
    case (let address?, _) where address == chosen.mapped: mapping = .endpointIndependent
    case (let address?, let both?): mapping = address == both ? .addressDependent : .addressAndPortDependent
    case (nil, let both?) where both == chosen.mapped: mapping = .endpointIndependent
    case (nil, nil):
      let elsewhere = seen.servers.filter { $0.endpoint.address != chosen.endpoint.address }
      if let differing = elsewhere.first(where: { $0.mapped != chosen.mapped }) {
        mapping = .addressAndPortDependent
        let first = "\(chosen.endpoint) sees \(chosen.mapped)"
        skip(
          "mappingByPort",
          "\(first), \(differing.endpoint) sees \(differing.mapped); whether another port of one address would have "
            + "shown it too needs a server with two addresses")
      } else if !elsewhere.isEmpty {
        mapping = .endpointIndependent
      } else if seen.servers.contains(where: { $0.mapped != chosen.mapped }) {
        mapping = .addressAndPortDependent
      } else {
        skip("mapping", "\(Self.oneAddress(chosen)), and no second server at another address answered")
      }
    default:
      mapping = .addressAndPortDependent
      skip("mappingByPort", "only one of the endpoints of the server's second address answered")
    }
  }

  private static func oneAddress(_ chosen: Observations.Server) -> String {
    chosen.other == nil
      ? "the server \(chosen.endpoint) has one address"
      : "the second address of the server \(chosen.endpoint) does not answer"
  }

  /// RFC 5780 §4.4.
  private mutating func drawFiltering(_ seen: Observations, _ chosen: Observations.Server) {
    guard chosen.other != nil else {
      return skip("filtering", "\(Self.oneAddress(chosen)), and filtering shows only in answers from a second one")
    }
    guard seen.mapped(.filterOpening) != nil else {
      return skip("filtering", seen.socketProblem ?? "the server did not answer the spare port that was opened for it")
    }
    if seen.mapped(.filterBoth) != nil {
      filtering = .endpointIndependent
      return
    }
    for name in [ProbeName.filterBoth, .filterPort] {
      switch seen.results[name] {
      case .refused(let code)?:
        return skip("filtering", "the server refuses to answer from another endpoint (error \(code))")
      case .elsewhere?:
        return skip("filtering", "the server answers from where it was asked, whatever it is told")
      default: break
      }
    }
    guard seen.mapped(.secondAddressAndPort) != nil || seen.mapped(.secondAddress) != nil else {
      return skip("filtering", "the second address of the server does not answer")
    }
    if case .silent? = seen.results[.control] {
      return skip("filtering", "the server does not answer from its second address even where the way in is open")
    }
    filtering = seen.mapped(.filterPort) != nil ? .addressDependent : .addressAndPortDependent
  }

  private mutating func drawHairpin(_ seen: Observations) {
    if seen.isUntranslated { return skip("hairpin", "nothing is translated, so there is nothing to turn round") }
    let results = [seen.results[.hairpin(0)], seen.results[.hairpin(1)]].compactMap { $0 }
    if results.isEmpty {
      return skip(
        "hairpin", seen.socketProblem ?? "the server did not answer the two spare ports that were opened for it")
    }
    hairpin = NATFinding(results.contains { if case .answered = $0 { true } else { false } })
  }

  private mutating func drawPorts(_ seen: Observations) {
    let samples = seen.samples
    portPreserved = NATFinding(samples.allSatisfy { $0.local.port == $0.mapped.port })
    let sameParity = samples.allSatisfy { $0.local.port & 1 == $0.mapped.port & 1 }
    if !sameParity {
      portParityPreserved = .no
    } else if portPreserved == .yes || samples.count >= 7 {
      portParityPreserved = .yes
    } else {
      skip("portParityPreserved", "too few ports were answered to tell it from chance")
    }
    drawPrediction(seen)
    let addresses =
      (samples.map(\.mapped.address) + seen.servers.map(\.mapped.address) + seen.predictions.map(\.address))
    addressPool = NATFinding(addresses.contains { $0 != addresses.first })
  }

  private mutating func drawPrediction(_ seen: Observations) {
    switch mapping {
    case .notChecked: return skip("portsPredictable", "it is not known how ports are mapped")
    case .endpointIndependent:
      return skip("portsPredictable", "one port serves all destinations, so none has to be foreseen")
    case .addressDependent, .addressAndPortDependent: break
    }
    let steps = zip(seen.predictions, seen.predictions.dropFirst()).map { $1.port &- $0.port }
    guard steps.count >= 2 else {
      return skip("portsPredictable", "it takes three destinations that get ports of their own, and fewer were there")
    }
    // One step may be another program's, or the end of the router's range.
    guard let pair = zip(steps, steps.dropFirst()).first(where: { $0 == $1 && $0 != 0 }) else {
      portsPredictable = .no
      return
    }
    portsPredictable = .yes
    portIncrement = Int(pair.0)
  }

  private mutating func drawFragments(_ seen: Observations, _ chosen: Observations.Server) {
    switch seen.results[.padded] {
    case .answered(_, let message)?:
      let isPadded = message.attributes.contains { if case .padding = $0 { true } else { false } }
      if isPadded {
        fragments = .yes
      } else {
        skip("fragments", "the server got a long request and did not answer at length")
      }
    case .silent?: fragments = .no
    case .refused?, .elsewhere?: skip("fragments", "the server does not know PADDING")
    case nil: skip("fragments", "the server \(chosen.endpoint) is not one of RFC 5780")
    }
  }

  /// What the addresses on the way tell: between a carrier's NAT and its customers they are of RFC 6598, and whoever
  /// has a router of their own behind another one has private ones there.
  private mutating func drawRouters(_ seen: Observations) {
    routerAddress = seen.routerAddress
    if seen.isUntranslated {
      carrierGradeNAT = .no
      doubleNAT = .no
      return
    }
    let hops = seen.hops ?? []
    let mapped = seen.chosen?.mapped.address
    if localAddress.address.isSharedAddressSpace || mapped?.isSharedAddressSpace == true
      || hops.contains(where: { $0?.isSharedAddressSpace == true })
    {
      carrierGradeNAT = .yes
    }
    // The router's own word: what it has outside is not what the world sees, or is nobody's address in the world.
    if let own = seen.routerAddress, let mapped {
      if own.isSharedAddressSpace { carrierGradeNAT = .yes }
      if own != mapped, !own.isPublic || own.isSharedAddressSpace { doubleNAT = .yes }
      if own == mapped {
        if carrierGradeNAT != .yes { carrierGradeNAT = .no }
        doubleNAT = .no
      }
    }
    if hops.dropFirst().contains(where: { $0.map { $0.isPrivate || $0.isSharedAddressSpace } == true }) {
      doubleNAT = .yes
    }
    let firstPublic = hops.firstIndex { $0?.isPublic == true }
    if let first = firstPublic, !hops[..<first].contains(nil) {
      if carrierGradeNAT != .yes { carrierGradeNAT = .no }
      if doubleNAT != .yes { doubleNAT = .no }
    }
    let why: String
    if let problem = seen.hopProblem {
      why = problem
    } else if let silent = hops.firstIndex(of: nil), !hops.allSatisfy({ $0 == nil }) {
      why = "router \(silent + 1) on the way does not say who it is"
    } else if hops.contains(where: { $0 != nil }) {
      why = "the first \(hops.count) routers on the way all have private addresses"
    } else {
      why = "no router on the way says who it is"
    }
    if carrierGradeNAT == .notChecked { skip("carrierGradeNAT", why) }
    if doubleNAT == .notChecked { skip("doubleNAT", why) }
  }

  private mutating func drawLifetime(_ seen: Observations) {
    switch seen.lifetime {
    case .measured(let seconds)?: bindingLifetimeSeconds = seconds
    case .atLeast(let seconds)?:
      bindingLifetimeSeconds = seconds
      bindingLifetimeIsAtLeast = true
    case .notChecked(let why)?: skip("bindingLifetimeSeconds", why)
    case nil: skip("bindingLifetimeSeconds", "it takes as long as it lives, and is measured with --lifetime")
    }
  }
}
