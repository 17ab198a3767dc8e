import CallControl
import MediaRelay
public import NetworkTypes
import OrderedCollections
public import PortMapping

/// What is asked of the router of one uplink.
struct UplinkRouter: Sendable, Codable {
  /// One media port that is to be reached, and the RTCP port after it.
  struct MediaLease: Sendable, Codable {
    let port: UInt16
    let lease: Int
  }

  var client = MappingClient(random: RandomSource(seed: 0))
  /// The socket whose port is mapped for SIP.
  let socket: LinkSocket
  var sipLease: Int?
  var mediaLeases: [MediaLease] = []
  /// Where the port for SIP is not mapped: the flows that are kept instead.
  var flows: [KeptFlow] = []
  /// Leases that are wanted no more, to be given back with the next wake-up.
  var released: [Int] = []
  /// Whether the client draws from randomness that nobody knows; until it asks for something it needs none.
  var isSeeded = false
  var isStopped = false
  /// What was last advertised because of it.
  var endpoint: Endpoint?

  /// Whether the port leads to us is being tried.
  var proof: PortProof?

  var nextDeadline: MonotonicInstant? {
    released.isEmpty
      ? [client.nextDeadline, proof?.deadline].compactMap { $0 }.min() : MonotonicInstant(nanoseconds: 0)
  }
}

/// Port mappings: when the router is asked for some, and what becomes of what it gives.
///
/// The router is listened to on every IPv4 uplink, since it announces a change of its address sooner than anything else
/// shows it. It is asked for its address outside where nobody said that it is to be left alone, and for mappings only where
/// the configuration says so, or where the NAT leaves no other way: behind one whose mapping depends on the destination, far
/// ends and providers that send to what they are told reach us by a mapped port alone.
extension LinkCore {
  /// The external port for SIP that is asked for first (RFC 3261 §19.1.2).
  private static let preferredPort: UInt16 = 5060

  mutating func startRouters(now: MonotonicInstant, into actions: inout [LinkAction]) {
    for index in uplinks.indices {
      let socket = sockets.first {
        $0.side == .uplink(index) && $0.configured.address.isV4 && !$0.configured.address.isLoopback
      }
      guard let socket, uplinks[index].router == nil else { continue }
      var router = UplinkRouter(socket: socket.id)
      router.client.allow(allowedProtocols(index))
      var wanted: [RouterAction] = []
      router.client.start(into: &wanted)
      uplinks[index].router = router
      performRouter(wanted, [], uplink: index, now: now, into: &actions)
    }
  }

  public mutating func routerTold(
    _ event: RouterEvent, uplink: Int, now: MonotonicInstant, into actions: inout [LinkAction]
  ) {
    guard uplinks.indices.contains(uplink), uplinks[uplink].router?.isStopped == false else { return }
    withRouter(uplink, now: now, into: &actions) { $0.received(event, now: now, into: &$1, news: &$2) }
    updateKeptFlows(uplink, now: now, into: &actions)
    if case .found = event { updatePortMappings(uplink, now: now, into: &actions) }
  }

  mutating func routersDue(now: MonotonicInstant, into actions: inout [LinkAction]) {
    for index in uplinks.indices {
      guard let router = uplinks[index].router, let deadline = router.nextDeadline, deadline <= now else { continue }
      uplinks[index].router?.released = []
      for lease in router.released {
        withRouter(index, now: now, into: &actions) { $0.release(lease, now: now, into: &$1, news: &$2) }
      }
      withRouter(index, now: now, into: &actions) { $0.timerFired(now: now, into: &$1, news: &$2) }
      updateKeptFlows(index, now: now, into: &actions)
      proofDue(index, now: now, into: &actions)
    }
  }

  /// A packet from outside that was sent to the mapped SIP port came, or did not.
  mutating func portProven(_ uplink: Int, reached: Bool, now: MonotonicInstant, into actions: inout [LinkAction]) {
    if case .forwarded(let port) = uplinks[uplink].configuration.incoming {
      if reached { return over(.forwardMissing, of: .uplink(uplink)) }
      return tell(
        .forwardMissing, of: .uplink(uplink),
        "The port forward from port \(port) does not lead to this machine: it is missing, or leads to another one.",
        evidence: "a STUN server sent an answer to that port, and it did not come", now: now, into: &actions)
    }
    guard let lease = uplinks[uplink].router?.sipLease else { return }
    withRouter(uplink, now: now, into: &actions) { $0.proven(lease, reached: reached, news: &$2) }
  }

  mutating func stopRouters(now: MonotonicInstant, into actions: inout [LinkAction]) {
    for index in uplinks.indices where uplinks[index].router != nil {
      withRouter(index, now: now, into: &actions) { $0.shutDown(now: now, into: &$1, news: &$2) }
    }
  }

  /// The world sees the uplink at this address, by STUN.
  mutating func addressSeen(
    _ address: IPAddress, uplink: Int, now: MonotonicInstant, into actions: inout [LinkAction]
  ) {
    guard address.isV4, uplinks[uplink].router != nil else { return }
    withRouter(uplink, now: now, into: &actions) { $0.addressSeen(address, now: now, into: &$1, news: &$2) }
    hearRouter(uplink, now: now, into: &actions)
  }

  /// The router is a witness: ``AddressTribunal`` hears what it says its external address is.
  private mutating func hearRouter(_ uplink: Int, now: MonotonicInstant, into actions: inout [LinkAction]) {
    guard let router = uplinks[uplink].router, router.client.router != nil, !isStopping else { return }
    let configuration = uplinks[uplink].configuration
    let isWanted =
      configuration.incoming != .off && configuration.publicAddress == nil && configuration.discoversNAT
    if isWanted { seedRouter(uplink) }
    let peer = sockets[router.socket.rawValue].stun?.currentServer
    withRouter(uplink, now: now, into: &actions) {
      $0.wantAddress(isWanted, peer: peer, now: now, into: &$1, news: &$2)
    }
  }

  /// Something was learned of the line, or has happened to it: the router is asked at once.
  mutating func doubtRouterAddress(_ uplink: Int, now: MonotonicInstant, into actions: inout [LinkAction]) {
    guard uplinks[uplink].router != nil, !isStopping else { return }
    withRouter(uplink, now: now, into: &actions) { $0.doubtAddress(now: now, into: &$1, news: &$2) }
  }

  // MARK: What is wanted

  private func allowedProtocols(_ uplink: Int) -> [MappingProtocol] {
    if case .mapped(let one) = uplinks[uplink].configuration.incoming { [one] } else { MappingProtocol.allCases }
  }

  /// Whether the uplink's ports are to be mapped.
  func wantsMappings(_ uplink: Int) -> Bool {
    guard uplinks[uplink].router != nil, !isStopping else { return false }
    switch uplinks[uplink].configuration.incoming {
    case .off, .forwarded: return false
    case .mapped: return true
    case .auto: return uplinks[uplink].configuration.publicAddress == nil && strategy(uplink).reach == .latching
    }
  }

  /// Findings, the configuration or the sockets are others: the SIP port is asked for, or given back.
  mutating func updatePortMappings(_ uplink: Int, now: MonotonicInstant, into actions: inout [LinkAction]) {
    guard let router = uplinks[uplink].router, let local = sockets[router.socket.rawValue].local else { return }
    if router.client.allowed != allowedProtocols(uplink) {
      let allowed = allowedProtocols(uplink)
      withRouter(uplink, now: now, into: &actions) { client, _, _ in client.allow(allowed) }
    }
    if case .forwarded = uplinks[uplink].configuration.incoming {
      if router.proof == nil, let seen = sockets[router.socket.rawValue].stun?.mapping {
        forwardMoved(uplink, seen, now: now)
      }
    } else if isTold(.forwardMissing, of: .uplink(uplink)) {
      uplinks[uplink].router?.proof = nil
      over(.forwardMissing, of: .uplink(uplink))
    }
    let isWanted = wantsMappings(uplink)
    if isWanted, router.sipLease == nil {
      seedRouter(uplink)
      let wish = MappingWish(internalPort: local.port, preferredPort: Self.preferredPort)
      var lease: Int?
      withRouter(uplink, now: now, into: &actions) { lease = $0.request(wish, now: now, into: &$1, news: &$2) }
      uplinks[uplink].router?.sipLease = lease
      actions.append(.statusChanged)
      // What was given at once was told before its number was known.
      mappingsChanged(uplink, now: now, into: &actions)
    } else if !isWanted, let lease = router.sipLease, !isStopping {
      uplinks[uplink].router?.sipLease = nil
      let media = router.mediaLeases.map(\.lease)
      uplinks[uplink].router?.mediaLeases = []
      for lease in [lease] + media {
        withRouter(uplink, now: now, into: &actions) { $0.release(lease, now: now, into: &$1, news: &$2) }
      }
      mappingsChanged(uplink, now: now, into: &actions)
    }
    hearRouter(uplink, now: now, into: &actions)
    updateKeptFlows(uplink, now: now, into: &actions)
  }

  private mutating func seedRouter(_ uplink: Int) {
    guard uplinks[uplink].router?.isSeeded == false else { return }
    uplinks[uplink].router?.isSeeded = true
    let seed = (random.next(), random.next(), random.next(), random.next())
    uplinks[uplink].router?.client.reseed(RandomSource(seed: seed))
  }

  /// A media port and the one after it are opened on `socket`.
  mutating func mapMediaPort(
    _ port: UInt16, of socket: LinkSocket, now: MonotonicInstant, into actions: inout [LinkAction]
  ) {
    guard case .uplink(let uplink) = sockets[socket.rawValue].side, uplinks[uplink].router?.socket == socket,
      wantsMappings(uplink)
    else { return }
    seedRouter(uplink)
    for one in [port, port &+ 1] {
      var lease: Int?
      withRouter(uplink, now: now, into: &actions) {
        lease = $0.request(MappingWish(internalPort: one), now: now, into: &$1, news: &$2)
      }
      if let lease { uplinks[uplink].router?.mediaLeases.append(.init(port: one, lease: lease)) }
    }
  }

  mutating func unmapMediaPort(_ port: UInt16, into actions: inout [LinkAction]) {
    for index in uplinks.indices {
      guard let router = uplinks[index].router else { continue }
      let ending = router.mediaLeases.filter { $0.port == port || $0.port == port &+ 1 }
      guard !ending.isEmpty else { continue }
      uplinks[index].router?.mediaLeases.removeAll { $0.port == port || $0.port == port &+ 1 }
      uplinks[index].router?.released += ending.map(\.lease)
    }
  }

  /// Whether the router still owes an answer for a media port: a description may wait for it a little.
  func isMappingPending(_ port: UInt16) -> Bool {
    uplinks.contains { uplink in
      guard let router = uplink.router, let media = router.mediaLeases.first(where: { $0.port == port }) else {
        return false
      }
      let lease = router.client.lease(media.lease)
      return lease?.state == .requested && router.client.endpoint(of: media.lease) == nil
    }
  }

  // MARK: What is reached

  /// Where the world reaches the port of a socket by a mapping or a port forward; `nil` where there is none.
  func mappedEndpoint(of socket: LinkSocket) -> Endpoint? {
    let state = sockets[socket.rawValue]
    guard case .uplink(let uplink) = state.side else { return nil }
    if case .forwarded(let port) = uplinks[uplink].configuration.incoming {
      let fixed = uplinks[uplink].configuration.publicAddress
      guard let address = fixed ?? state.stun?.mapping?.address, address.isV4 == state.configured.address.isV4 else {
        return nil
      }
      return Endpoint(address, port: port)
    }
    guard let router = uplinks[uplink].router, router.socket == socket, let lease = router.sipLease else { return nil }
    return router.client.endpoint(of: lease)
  }

  /// Where the world reaches a media port by a mapping.
  func mappedEndpoint(of stream: LegStream, on socket: Int) -> Endpoint? { mappedMedia(stream.port, socket) }

  /// The same for its RTCP port.
  func mappedEndpoint(ofRTCP stream: LegStream, on socket: Int) -> Endpoint? { mappedMedia(stream.port &+ 1, socket) }

  private func mappedMedia(_ port: UInt16, _ socket: Int) -> Endpoint? {
    guard case .uplink(let uplink) = sockets[socket].side, let router = uplinks[uplink].router,
      let media = router.mediaLeases.first(where: { $0.port == port })
    else { return nil }
    return router.client.endpoint(of: media.lease)
  }

  // MARK: What comes of it

  mutating func withRouter(
    _ uplink: Int, now: MonotonicInstant, into actions: inout [LinkAction],
    _ body: (inout MappingClient, inout [RouterAction], inout [MappingNews]) -> Void
  ) {
    guard var router = uplinks[uplink].router else { return }
    var wanted: [RouterAction] = []
    var news: [MappingNews] = []
    body(&router.client, &wanted, &news)
    uplinks[uplink].router?.client = router.client
    performRouter(wanted, news, uplink: uplink, now: now, into: &actions)
  }

  private mutating func performRouter(
    _ wanted: [RouterAction], _ news: [MappingNews], uplink: Int, now: MonotonicInstant,
    into actions: inout [LinkAction]
  ) {
    for action in wanted { actions.append(.router(action, uplink: uplink)) }
    var isChanged = false
    for one in news {
      switch one {
      case .leaseChanged: isChanged = true
      case .addressSuspected:
        actions.append(
          .log(.info, "uplink \(uplinks[uplink].configuration.name): the router has something to announce"))
        witnessesAreVoid(uplink, now: now)
        for socket in sockets where socket.side == .uplink(uplink) && !isStopping {
          suspect(socket.id.rawValue, now: now, into: &actions)
        }
      case .finding(let finding): tell(of: finding, uplink: uplink, now: now, into: &actions)
      case .stopped:
        uplinks[uplink].router?.isStopped = true
        stopIfDone(into: &actions)
      }
    }
    if isChanged { mappingsChanged(uplink, now: now, into: &actions) }
  }

  /// A mapping came, went or moved: contacts and descriptions follow it.
  private mutating func mappingsChanged(_ uplink: Int, now: MonotonicInstant, into actions: inout [LinkAction]) {
    guard let router = uplinks[uplink].router, !isStopping else { return }
    let endpoint = mappedEndpoint(of: router.socket)
    if endpoint != router.endpoint {
      uplinks[uplink].router?.endpoint = endpoint
      if let endpoint { beginProof(uplink, endpoint, now: now) }
      let name = uplinks[uplink].configuration.name
      tellOfTakenPort(uplink, endpoint, now: now, into: &actions)
      if let endpoint, let spoken = router.client.protocolInUse {
        let sentence = "the router maps port \(endpoint.port) to us (\(spoken.rawValue))"
        actions.append(.log(.notice, "uplink \(name): \(sentence)"))
      } else if !isStopping {
        actions.append(.log(.notice, "uplink \(name): the router maps no port to us any more"))
      }
      actions.append(.statusChanged)
    }
    if endpoint != router.endpoint || !router.flows.isEmpty {
      for index in trunks.indices where isTrunk(index, on: uplink) { advanceTrunk(index, now: now, into: &actions) }
    }
    for id in legs(ofUplink: uplink) {
      runDeferred(id, now: now, into: &actions)
      guard let leg = leg(id) else { continue }
      for index in leg.streams.indices where leg.streams[index] != nil {
        if self.leg(id)?.repair == nil { portMapped(id, index, now: now, into: &actions) }
      }
      advanceRepair(id, now: now, into: &actions)
    }
  }

  /// A router that gives another port than it was asked for has given that one to somebody else.
  private mutating func tellOfTakenPort(
    _ uplink: Int, _ endpoint: Endpoint?, now: MonotonicInstant, into actions: inout [LinkAction]
  ) {
    guard let endpoint, let socket = uplinks[uplink].router?.socket else { return }
    guard endpoint.port != Self.preferredPort, endpoint.port != sockets[socket.rawValue].local?.port else {
      return over(.externalPortTaken, of: .uplink(uplink))
    }
    tell(
      .externalPortTaken, of: .uplink(uplink),
      "Port \(Self.preferredPort) of the router belongs to somebody else; port \(endpoint.port) is used.",
      evidence: "the router was asked for \(Self.preferredPort) and gave \(endpoint.port)", now: now, into: &actions)
  }

  func portMappingStatus(_ uplink: Int) -> UplinkStatus.PortMapping? {
    if case .forwarded(let port) = uplinks[uplink].configuration.incoming {
      return .init(protocol: "forwarded", externalPort: port, state: "configured")
    }
    guard let router = uplinks[uplink].router, let id = router.sipLease, let lease = router.client.lease(id) else {
      return nil
    }
    let spoken = (lease.protocol ?? router.client.protocolInUse)?.rawValue ?? "none"
    if router.client.endpoint(of: id) != nil {
      return .init(protocol: spoken, externalPort: lease.externalPort, state: "mapped")
    }
    // A mapping that leads nowhere is none.
    let state =
      lease.isHeld && !router.client.findings.isEmpty
      ? "useless" : lease.state == .refused || !router.client.findings.isEmpty ? "refused" : "asking"
    return .init(protocol: spoken, externalPort: lease.externalPort, state: state)
  }

  private mutating func tell(
    of finding: RouterFinding, uplink: Int, now: MonotonicInstant, into actions: inout [LinkAction]
  ) {
    actions.append(.statusChanged)
    // What it says of its address is one testimony among others.
    guard let words = finding.words else { return judge(uplink, now: now, into: &actions) }
    tell(
      words.code, of: .uplink(uplink), words.sentence, evidence: words.evidence, again: .zero, now: now,
      into: &actions)
  }
}

extension RouterFinding {
  /// What a person is told of it; `nil` where that is ``AddressTribunal``'s to say. A sentence that is `nil` stands for what
  /// the code means in general.
  var words: (code: VerdictCode, sentence: String?, evidence: String)? {
    switch self {
    case .privateAddress, .otherAddress: nil
    case .speaksNothing: (.portMappingUnavailable, nil, "nothing came back within 8 s")
    case .refuses(let spoken, let code):
      (
        .portMappingRefused, "The router refuses port mappings by \(spoken.rawValue).",
        "it answered with error \(code)"
      )
    case .mapsNothing(let spoken, let port):
      (
        .mappingLeadsNowhere, "The router said that port \(port) is mapped, and it is not.",
        "\(spoken.rawValue) was answered with success, and the mapping is not there"
      )
    case .stranger: (.natBeforeRouter, nil, "PCP was answered with ADDRESS_MISMATCH")
    }
  }
}
