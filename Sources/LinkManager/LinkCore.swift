import CallControl
import MediaRelay
public import NetworkTypes
import OrderedCollections
import PortMapping
import SIPDialog
import SIPSyntax
import SIPTransaction
import STUN

/// The whole link as one value: uplinks, trunks, phones and calls. Time, packets, names and what media tells go in; what
/// to send, to open, to look up and to record comes out. It holds no socket, clock, log or task.
///
/// Every input appends to `actions`, which the shell carries out in order; after each, ``nextDeadline`` is when
/// ``timerFired(now:into:)`` wants to be called next.
public struct LinkCore: Sendable {
  var configuration: LinkConfiguration
  var random: RandomSource
  let startedAt: MonotonicInstant
  var startedAtWallTime: WallTime

  var sockets: [SocketState] = []
  /// The TCP connections of the office side that are open, both ways. Neither is ever iterated.
  var streams: [Int: SIPPath] = [:]
  var connections: [SIPPath: Int] = [:]
  var uplinks: [UplinkState] = []
  var trunks: [TrunkState] = []
  var transactions = TransactionLayer()
  var clientOwners: [ClientTransactionID: ClientOwner] = [:]
  var serverOwners: [ServerTransactionID: LegID] = [:]
  var location = LocationService()
  var verifier: DigestVerifier
  var calls: OrderedDictionary<UInt64, CallState> = [:]
  var nextCall: UInt64 = 1
  var dialogs: [DialogKey: LegID] = [:]
  var portLedger: PortLedger
  var mediaOwners: [MediaPortID: LegID] = [:]
  var lastMediaPort: UInt32 = 0
  var timers = TimerTable<LinkTimer>()
  var names: [String: [IPAddress]] = [:]
  /// What SRV says of the STUN servers' domains, in the order of asking; empty where it says nothing.
  var services: [String: [ServiceRecord]] = [:]
  /// Hosts whose last look-up failed.
  var unresolved: Set<String> = []
  /// BYEs that wait for the line or the trunk.
  var farewells: [Farewell] = []
  /// What was told and when, until it is over. Its order decides nothing.
  var told: [VerdictSubject: [VerdictCode: MonotonicInstant]] = [:]
  var counters = LinkCounters()
  /// The examination that runs.
  var doctor: DoctorRun?
  /// The socket that leads to its telephone, once there was one; and what the link has sent there.
  var doctorSocket: Int?
  var doctorInbox: [[UInt8]] = []
  var callTokens: Double
  var callTokensAt: MonotonicInstant
  var isStopping = false
  var isStopped = false

  /// - Parameters:
  ///   - now: any instant of the clock that all later inputs use.
  ///   - wallTime: civil time at `now`.
  public init(
    configuration: LinkConfiguration, random: RandomSource, now: MonotonicInstant, wallTime: WallTime
  ) {
    self.configuration = configuration
    self.random = random
    startedAt = now
    startedAtWallTime = wallTime
    verifier = DigestVerifier(realm: configuration.lan.domain, random: &self.random)
    portLedger = PortLedger(configuration.media.ports)
    callTokens = Double(configuration.limits.callsPerSecond)
    callTokensAt = now
    for (index, uplink) in configuration.uplinks.enumerated() {
      uplinks.append(UplinkState(configuration: uplink))
      for endpoint in uplink.bind {
        let stun = UplinkPort(keepalive: uplink.keepalive)
        sockets.append(
          SocketState(id: LinkSocket(sockets.count), side: .uplink(index), configured: endpoint, stun: stun))
      }
    }
    for endpoint in configuration.lan.bind {
      sockets.append(SocketState(id: LinkSocket(sockets.count), side: .lan, configured: endpoint))
    }
    addSparePorts()
    trunks = configuration.trunks.map { TrunkState(configuration: $0) }
  }

  /// Civil time at `now`.
  public func wallTime(_ now: MonotonicInstant) -> WallTime {
    WallTime(nanoseconds: startedAtWallTime.nanoseconds &+ (now.nanoseconds &- startedAt.nanoseconds))
  }

  /// Civil time was found to be something else than it was taken for.
  public mutating func wallTimeChanged(_ wallTime: WallTime, now: MonotonicInstant) {
    startedAtWallTime = WallTime(
      nanoseconds: wallTime.nanoseconds &- (now.nanoseconds &- startedAt.nanoseconds))
  }

  /// When ``timerFired(now:into:)`` is due; `nil` while nothing is.
  public var nextDeadline: MonotonicInstant? {
    // Asked for after each input: without an array, and without copies of what it looks at.
    var first = timers.nextDeadline
    func take(_ deadline: MonotonicInstant?) {
      if let deadline, first.map({ deadline < $0 }) ?? true { first = deadline }
    }
    take(transactions.nextDeadline)
    for index in sockets.indices { take(sockets[index].stun?.nextDeadline) }
    for index in trunks.indices { take(trunks[index].registration?.nextDeadline) }
    for index in uplinks.indices { take(uplinks[index].router?.nextDeadline) }
    return first
  }

  // MARK: Inputs

  /// Opens the sockets and begins.
  public mutating func start(now: MonotonicInstant, into actions: inout [LinkAction]) {
    for socket in sockets where !socket.isSpare && !socket.isProber {
      actions.append(.openSocket(socket.id, socket.configured))
    }
    for uplink in uplinks {
      for server in uplink.configuration.stunServers { resolveServer(server, now: now, into: &actions) }
    }
    for index in trunks.indices { startTrunk(index, now: now, into: &actions) }
    startRouters(now: now, into: &actions)
    timers.set(.bindings, at: now + .seconds(5))
  }

  /// The socket is bound; `local` has the port that was taken where none was asked for.
  public mutating func socketOpened(
    _ socket: LinkSocket, local: Endpoint, now: MonotonicInstant, into actions: inout [LinkAction]
  ) {
    guard sockets.indices.contains(socket.rawValue) else { return }
    sockets[socket.rawValue].local = local
    if case .lan = sockets[socket.rawValue].side { actions.append(.listen(socket, local)) }
    updateSTUNServers(now: now, into: &actions)
    wakeOpened(socket.rawValue, now: now, into: &actions)
    for index in trunks.indices { advanceTrunk(index, now: now, into: &actions) }
    if case .uplink(let uplink) = sockets[socket.rawValue].side {
      updatePortMappings(uplink, now: now, into: &actions)
    }
  }

  /// A datagram came in on `socket`.
  public mutating func datagramReceived(
    _ bytes: Span<UInt8>, from source: Endpoint, on socket: LinkSocket, now: MonotonicInstant,
    into actions: inout [LinkAction]
  ) {
    guard sockets.indices.contains(socket.rawValue) else { return }
    let source = Endpoint(source.address.unmapped, port: source.port)
    if doctorReceived(bytes, from: source, on: socket.rawValue, now: now, into: &actions) { return }
    switch sockets[socket.rawValue].side {
    case .uplink(let uplink): uplinkReceived(bytes, from: source, socket, uplink: uplink, now: now, into: &actions)
    case .lan:
      guard isServed(source.address) else { return discard("notAllowed") }
      guard !isKeepalive(bytes) else { return }
      signallingReceived(bytes, SIPPath(socket: socket.rawValue, remote: source), now: now, into: &actions)
    }
  }

  /// The addresses of a host that `resolve` asked for; none when the lookup failed.
  public mutating func nameResolved(
    _ host: String, _ addresses: [IPAddress], now: MonotonicInstant, into actions: inout [LinkAction]
  ) {
    if doctorNamed(host, addresses, now: now) { return }
    // A failed lookup keeps what was known: name servers are down exactly when the line is.
    if addresses.isEmpty {
      unresolved.insert(host)
    } else {
      unresolved.remove(host)
      names[host] = addresses
      over(.nameServerSilent, of: .machine)
    }
    timers.set(.resolve(host: host), at: now + (addresses.isEmpty ? .seconds(10) : .seconds(300)))
    updateSTUNServers(now: now, into: &actions)
    for index in trunks.indices {
      if trunks[index].host.host == host {
        targetsResolved(index, failed: addresses.isEmpty, now: now, into: &actions)
      } else {
        advanceTrunk(index, now: now, into: &actions)
      }
    }
  }

  /// Everything whose time has come is done.
  public mutating func timerFired(now: MonotonicInstant, into actions: inout [LinkAction]) {
    for index in sockets.indices {
      var stunActions: [UplinkPort.Action] = []
      sockets[index].stun?.timerFired(now: now, random: &random, into: &stunActions)
      perform(stunActions, on: index, now: now, into: &actions)
    }
    if let deadline = transactions.nextDeadline, deadline <= now {
      var events: [TransactionEvent] = []
      transactions.timerFired(now: now, into: &events)
      suspectUnanswered(events, now: now, into: &actions)
      handle(events, now: now, into: &actions)
    }
    for index in trunks.indices {
      guard let deadline = trunks[index].registration?.nextDeadline, deadline <= now else { continue }
      var steps: [RegistrationAction] = []
      trunks[index].registration?.timerFired(now: now, random: &random, into: &steps)
      perform(steps, trunk: index, now: now, into: &actions)
    }
    routersDue(now: now, into: &actions)
    while let timer = timers.popDue(now: now) { fire(timer, now: now, into: &actions) }
  }

  private mutating func fire(_ timer: LinkTimer, now: MonotonicInstant, into actions: inout [LinkAction]) {
    switch timer {
    case .stage(let call):
      var commands: [LegCommand] = []
      calls[call]?.machine.stageTimedOut(into: &commands)
      perform(commands, call: call, now: now, into: &actions)
    case .media(let leg): mediaWaitEnded(leg, now: now, into: &actions)
    case .repair(let leg): repairTimerFired(leg, now: now, into: &actions)
    case .advance(let trunk): advanceTrunk(trunk, now: now, into: &actions)
    case .resolve(let host): if isConfigured(host) || isServiceHost(host) { actions.append(.resolve(host)) }
    case .service(let service): serviceTimerFired(service, now: now, into: &actions)
    case .targetKeepalive(let trunk): sendTargetKeepalive(trunk, now: now, into: &actions)
    case .targetSilence(let trunk): targetSilenceDue(trunk, now: now, into: &actions)
    case .discovery(let uplink): discoveryDue(uplink, now: now, into: &actions)
    case .blocked(let uplink): judgeBlocked(uplink, now: now, into: &actions)
    case .deadState(let socket): compareDue(socket, now: now, into: &actions)
    case .portAgain(let socket): portAgainDue(socket, now: now, into: &actions)
    case .failOver(let uplink): failOverDue(uplink, now: now, into: &actions)
    case .failBack(let uplink): failBackDue(uplink, now: now, into: &actions)
    case .hostChange(let uplink): hostChangeDue(uplink, now: now, into: &actions)
    case .expectedCut(let uplink): expectedCutDue(uplink, now: now, into: &actions)
    case .tribunal(let uplink): tribunalDue(uplink, now: now, into: &actions)
    case .deafPorts(let leg): deafPortsDue(leg, now: now, into: &actions)
    case .audio(let call): judgeAudio(of: call, now: now, into: &actions)
    case .pulse(let call): pulseDue(call, now: now, into: &actions)
    case .names: judgeNames(now: now, into: &actions)
    case .bindings:
      if location.removeExpired(now: now) { actions.append(.statusChanged) }
      timers.set(.bindings, at: now + .seconds(5))
    case .doctor: advanceDoctor(now: now, into: &actions)
    case .stopping: finishStopping(into: &actions)
    }
  }

  // MARK: Names

  /// Asks for a host's addresses unless it is written as one.
  mutating func resolve(_ host: HostPort, now: MonotonicInstant, into actions: inout [LinkAction]) {
    guard host.address == nil, names[host.host] == nil, !timers.isSet(.resolve(host: host.host)) else { return }
    timers.set(.resolve(host: host.host), at: now + .seconds(10))
    actions.append(.resolve(host.host))
  }

  private func isConfigured(_ host: String) -> Bool {
    trunks.contains { !$0.isRemoved && $0.host.host == host }
      || uplinks.contains { $0.configuration.stunServers.contains { $0.host == host } }
  }

  func addresses(of host: HostPort) -> [IPAddress] { host.address.map { [$0] } ?? names[host.host] ?? [] }

  // MARK: Addresses

  /// Whether the office side serves this address: what `lan.allow` says, or private, loopback and on-link ones.
  func isServed(_ address: IPAddress) -> Bool {
    let allow = configuration.lan.allow
    if !allow.isEmpty { return allow.contains { $0.contains(address) } }
    return address.isPrivate || address.isLoopback
      || configuration.lan.interfaces.contains { $0.network?.contains(address) == true && !$0.address.isUnspecified }
  }

  /// The address of this host that `remote` sees, for a socket bound to `bound`.
  func localAddress(_ bound: IPAddress, towards remote: IPAddress) -> IPAddress {
    guard bound.isUnspecified else { return bound }
    if remote.isLoopback { return remote.isV4 ? .loopbackV4 : .loopbackV6 }
    let interfaces = configuration.lan.interfaces.filter { $0.address.isV4 == remote.isV4 }
    let onLink = interfaces.filter { $0.network?.contains(remote) == true }
    let best = onLink.max { $0.prefixLength < $1.prefixLength } ?? interfaces.first { !$0.address.isLoopback }
    return best?.address ?? interfaces.first?.address ?? bound
  }

  /// What the world is told of a socket: the public endpoint on an uplink as far as it is known, else this host's own.
  func advertised(_ socket: LinkSocket, towards remote: IPAddress) -> Endpoint {
    let state = sockets[socket.rawValue]
    let bound = state.local ?? state.configured
    if case .uplink(let uplink) = state.side {
      if let mapped = mappedEndpoint(of: socket), mapped.address.isV4 == remote.isV4 { return mapped }
      if let fixed = uplinks[uplink].configuration.publicAddress, fixed.isV4 == remote.isV4 {
        return Endpoint(fixed, port: bound.port)
      }
      if let mapping = state.stun?.mapping, mapping.address.isV4 == remote.isV4 { return mapping }
    }
    return Endpoint(localAddress(bound.address, towards: remote), port: bound.port)
  }

  // MARK: Small things

  mutating func discard(_ reason: String) { counters.discarded.count(reason) }

  mutating func send(_ bytes: [UInt8], _ path: SIPPath, now: MonotonicInstant, into actions: inout [LinkAction]) {
    guard !path.isReliable else { return sendStream(bytes, path, into: &actions) }
    let socket = path.socket
    if socket == doctorSocket { return sendToDoctor(bytes, now: now) }
    // A port rests so that what the router knows of it dies.
    guard sockets[socket].isInUse else { return }
    sockets[socket].stun?.otherPacketSent(now: now)
    if case .uplink = sockets[socket].side {
      for index in trunks.indices where trunks[index].socket == sockets[socket].id {
        guard trunks[index].targets.contains(path.remote) else { continue }
        setTargetKeepalive(index, now: now)
      }
    }
    actions.append(.send(bytes, LinkSocket(socket), to: path.remote))
  }

  /// RFC 5626 §3.5.1 and what phones send of their own: nothing but line ends, or up to four bytes of nothing.
  func isKeepalive(_ bytes: Span<UInt8>) -> Bool {
    for index in bytes.indices where bytes[index] != 13 && bytes[index] != 10 && bytes[index] != 0 { return false }
    return true
  }

  /// Stops: calls are ended, registrations removed; ``LinkAction/stopped`` says that it is done, after 3 s at most.
  public mutating func shutDown(now: MonotonicInstant, into actions: inout [LinkAction]) {
    guard !isStopping else { return }
    isStopping = true
    stopDoctor(now: now, into: &actions)
    timers.set(.stopping, at: now + .seconds(3))
    for number in calls.keys {
      end(call: number, Refusal(status: 503, reason: "Shutting Down"), now: now, into: &actions)
    }
    for index in trunks.indices { stopTrunk(index, now: now, into: &actions) }
    stopRouters(now: now, into: &actions)
    stopIfDone(into: &actions)
  }

  mutating func stopIfDone(into actions: inout [LinkAction]) {
    guard isStopping, calls.isEmpty, trunks.allSatisfy({ $0.registration?.isStopped ?? true }),
      uplinks.allSatisfy({ $0.router?.isStopped ?? true })
    else { return }
    finishStopping(into: &actions)
  }

  private mutating func finishStopping(into actions: inout [LinkAction]) {
    guard !isStopped else { return }
    isStopped = true
    actions.append(.stopped)
  }
}
