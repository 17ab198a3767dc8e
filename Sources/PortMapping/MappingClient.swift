public import NetworkTypes

/// Everything that is asked of one router: which protocol it speaks, the leases, its epoch, its external address.
///
/// It is told what happened and answers with ``RouterAction`` and ``MappingNews``. Where neither a mapping nor the external
/// address is wanted it asks for nothing, and only listens to what the router announces.
public struct MappingClient: Sendable, Codable {
  enum Stage: Sendable, Hashable, Codable {
    /// Nothing was asked yet.
    case idle
    case probing
    case settled(MappingProtocol)
    /// None of the protocols is spoken.
    case nothing
  }

  enum Timer: Hashable, Sendable, Codable {
    case lease(Int)
    case pcpProbe, natPMPProbe, upnpProbe, probeAgain
    /// Ask for the external address.
    case address
    /// Subscribe, or subscribe again.
    case subscription
    /// What the router says of its address is compared with what the world sees.
    case judge
    case stopping
  }

  /// What a number that was given to the shell stands for.
  enum Question: Sendable, Hashable, Codable {
    case discover
    case address
    case subscribe
    case add(lease: Int, isAny: Bool)
    case verify(lease: Int)
    case delete(lease: Int)
    /// Whether a leftover's port is ours; only then it is deleted.
    case examine(lease: Int)
  }

  struct AskedQuestion: Sendable, Codable {
    let id: UInt64
    let what: Question
  }

  /// What may be spoken: all, or one alone.
  public private(set) var allowed: [MappingProtocol]
  public internal(set) var leases: [PortLease] = []
  public internal(set) var router: IPAddress?
  public internal(set) var local: IPAddress?
  /// The router's external address, as it says.
  public internal(set) var externalAddress: IPAddress?
  /// Whether the router said so after the public address changed last.
  var isAddressFresh = false
  /// Whether the external address is asked for where no mapping is wanted, too.
  public private(set) var wantsAddress = false
  /// Whom a flow is opened to where PCP alone is spoken, and no mapping tells the address.
  var addressPeer: Endpoint?
  /// The lease of that flow.
  var addressLease: Int?
  var addressTries = 0
  /// The public address, as the world sees it.
  public internal(set) var seenAddress: IPAddress?
  var stage = Stage.idle
  /// Protocols that refused for good; they are tried again when the router is another one, or began anew.
  var refusedProtocols: [MappingProtocol] = []
  var epoch = RouterEpoch()
  var random: RandomSource
  var timers = TimerTable<Timer>()
  var questions: [AskedQuestion] = []
  var nextQuestion: UInt64 = 1
  var upnpVersion: Int?
  /// Whether PCP was answered, be it with a refusal.
  var speaksPCP = false
  var probesSent = 0
  var probingSince = MonotonicInstant(nanoseconds: 0)
  /// The findings that hold now.
  public internal(set) var findings: [RouterFinding] = []
  private var lastKept: [KeptLease] = []
  var nextLease = 1
  var hintedAt: MonotonicInstant?
  private(set) var isStopping = false

  /// What a lease is asked for, in seconds.
  static let lifetime: UInt32 = 3600
  /// The same for the flow that tells the external address. What a killed process leaves of it is gone as soon.
  static let addressLifetime: UInt32 = 600
  /// RFC 6886 §1.1, RFC 6887 §19.
  public static let port: UInt16 = 5351
  public static let mostLeases = 512
  /// So many requests are on their way at once; small routers drop more (RFC 6886 §3.3 wants one at a time).
  private static let mostPending = 8
  private static let stopPatience = Duration.milliseconds(1500)

  public init(allowed: [MappingProtocol] = MappingProtocol.allCases, random: RandomSource) {
    self.allowed = allowed
    self.random = random
  }

  /// Takes its randomness from here; before it asks for anything.
  public mutating func reseed(_ random: RandomSource) { self.random = random }

  /// Other protocols may be spoken: all or one alone. What is held is kept as long as it is held by one of them.
  public mutating func allow(_ protocols: [MappingProtocol]) {
    guard protocols != allowed else { return }
    allowed = protocols
    if let used = protocolInUse, !allowed.contains(used) {
      stage = .idle
      for index in leases.indices where leases[index].protocol == used { leases[index].moved() }
    } else if stage == .nothing {
      stage = .idle
    }
  }

  /// When ``timerFired(now:into:news:)`` is due.
  public var nextDeadline: MonotonicInstant? { timers.nextDeadline }

  /// The protocol that was found, and is used.
  public var protocolInUse: MappingProtocol? { if case .settled(let found) = stage { found } else { nil } }

  public func lease(_ id: Int) -> PortLease? { leases.first { $0.id == id } }

  /// Whether a port shall be mapped, for everybody.
  var hasWishes: Bool { leases.contains { $0.wish.remote == nil && $0.state != .removing } }
  /// Whether nothing but the external address is wanted.
  var wantsAddressAlone: Bool { wantsAddress && !hasWishes }

  /// The external address that the router told since the public address changed last, where that or a mapping is wanted.
  public var toldAddress: IPAddress? { isAddressFresh && (wantsAddress || hasWishes) ? externalAddress : nil }

  /// Where the world reaches the port of a lease; `nil` while it does not, or while what the router says cannot be true.
  public func endpoint(of id: Int) -> Endpoint? {
    guard let lease = lease(id), lease.isHeld, let port = lease.externalPort else { return nil }
    if findings.contains(where: { $0.discredits(port: port) }) { return nil }
    // A flow has one address, and is of no use with another one.
    if lease.wish.remote != nil {
      guard let address = lease.externalAddress, address == seenAddress ?? address else { return nil }
      return Endpoint(address, port: port)
    }
    // Both are the same, or one of them is about to be asked for again: what the world sees is the newer one then.
    guard let address = seenAddress ?? lease.externalAddress ?? externalAddress else { return nil }
    return Endpoint(address, port: port)
  }

  /// Whether a router that speaks PCP gives no mapping for this lease, by any protocol. Once it is refused it stays so until
  /// it is given: that it is asked for again says nothing.
  public func isRefused(_ id: Int, wasSo: Bool) -> Bool {
    guard speaksPCP, let lease = lease(id), !lease.isHeld else { return false }
    let refusesPCP = findings.contains { if case .refuses(.pcp, _) = $0 { true } else { false } }
    return wasSo || refusesPCP && (lease.state == .refused || stage == .nothing)
  }

  // MARK: What is wanted

  /// Begins: looks for the router, so that its announcements are heard.
  public mutating func start(into actions: inout [RouterAction]) { actions.append(.findRouter) }

  /// The router's external address is wanted, or no more, mappings or not. PCP has no question for it alone: where nothing
  /// else is spoken, a flow of the discard port to `peer` is opened, which lets nobody else in (RFC 6887 §11.6, §12).
  public mutating func wantAddress(
    _ isWanted: Bool, peer: Endpoint?, now: MonotonicInstant, into actions: inout [RouterAction],
    news: inout [MappingNews]
  ) {
    addressPeer = peer
    guard isWanted != wantsAddress, !isStopping else { return }
    wantsAddress = isWanted
    if !isWanted { closeAddressFlow(now: now, into: &actions, news: &news) }
    askForAddress(now: now, into: &actions, news: &news)
    advance(now: now, into: &actions, news: &news)
  }

  /// The external address may be another one: it is asked for, where no mapping shows it anyway.
  public mutating func doubtAddress(
    now: MonotonicInstant, into actions: inout [RouterAction], news: inout [MappingNews]
  ) {
    guard wantsAddressAlone, !isStopping else { return }
    askForAddress(now: now, into: &actions, news: &news)
    advance(now: now, into: &actions, news: &news)
  }

  /// A port shall be reachable. Answers the number of its lease, or `nil` where there are too many.
  public mutating func request(
    _ wish: MappingWish, now: MonotonicInstant, into actions: inout [RouterAction], news: inout [MappingNews]
  ) -> Int? {
    guard leases.count < Self.mostLeases, !isStopping else { return nil }
    if wish.remote == nil {
      closeAddressFlow(now: now, into: &actions, news: &news)
      // That nothing answered was nothing to tell of until now.
      if stage == .nothing, !hasWishes, !findings.contains(.speaksNothing) { stage = .idle }
    }
    let id = nextLease
    nextLease += 1
    let nonce = (UInt128(random.next()) << 64 | UInt128(random.next())) & (UInt128(1) << 96 - 1)
    var lease = PortLease(id: id, wish: wish, nonce: nonce)
    // What an earlier process left is ours again: with its nonce it is a renewal.
    if let index = leases.firstIndex(where: {
      $0.state == .removing && $0.wish.transport == wish.transport && $0.wish.internalPort == wish.internalPort
        && wish.remote == nil
    }) {
      let old = leases.remove(at: index)
      timers.cancel(.lease(old.id))
      lease.nonce = old.nonce
      lease.suggested = old.externalPort ?? lease.suggested
      if old.protocol == .upnp { lease.inherited = old.externalPort }
    }
    leases.append(lease)
    if !timers.isSet(.subscription) { subscribe(into: &actions) }
    advance(now: now, into: &actions, news: &news)
    return id
  }

  /// A port need not be reachable any more.
  public mutating func release(
    _ id: Int, now: MonotonicInstant, into actions: inout [RouterAction], news: inout [MappingNews]
  ) {
    guard let index = leases.firstIndex(where: { $0.id == id }) else { return }
    change(index, now: now, into: &actions, news: &news) { $0.released(into: &$1) }
    removeGone()
    keep(into: &actions)
  }

  /// Gives everything back; ``MappingNews/stopped`` says that it is done, after 1.5 s at most.
  public mutating func shutDown(
    now: MonotonicInstant, into actions: inout [RouterAction], news: inout [MappingNews]
  ) {
    guard !isStopping else { return }
    isStopping = true
    wantsAddress = false
    timers.set(.stopping, at: now + Self.stopPatience)
    for id in leases.map(\.id) { release(id, now: now, into: &actions, news: &news) }
    stopIfDone(into: &actions, news: &news)
  }

  /// The address that the world sees, by STUN: what the router says is compared with it.
  public mutating func addressSeen(
    _ address: IPAddress, now: MonotonicInstant, into actions: inout [RouterAction], news: inout [MappingNews]
  ) {
    guard address != seenAddress else { return }
    let isChanged = seenAddress != nil
    seenAddress = address
    if isChanged, address != externalAddress, !isStopping {
      isAddressFresh = false
      // The line has another address: what the router holds may be gone with the old one.
      askAgain(now: now, into: &actions, news: &news)
    }
    judgeLater(now: now)
    for lease in leases where lease.isHeld { news.append(.leaseChanged(lease.id)) }
  }

  /// Asks again for what is held, and for the address.
  mutating func askAgain(now: MonotonicInstant, into actions: inout [RouterAction], news: inout [MappingNews]) {
    for index in leases.indices
    where leases[index].isHeld && (leases[index].protocol == protocolInUse || leases[index].wish.remote != nil) {
      change(index, now: now, into: &actions, news: &news) { $0.asked(now, into: &$1) }
    }
    askForAddress(now: now, into: &actions, news: &news)
  }

  /// The two addresses change one after the other; only what stays, and is said again, is a finding.
  mutating func judgeLater(now: MonotonicInstant) {
    timers.set(.judge, at: now + Self.judgeDelay)
    if wantsAddressAlone, externalAddress != seenAddress, protocolInUse != nil {
      timers.set(.address, at: now + Self.judgeDelay / 2)
    }
  }

  private static let judgeDelay = Duration.seconds(5)

  /// A packet was sent to the external port of a lease from somewhere that we never sent to, and came or did not.
  public mutating func proven(_ id: Int, reached: Bool, news: inout [MappingNews]) {
    guard let lease = lease(id), let port = lease.externalPort, let spoken = lease.protocol else { return }
    set(.mapsNothing(spoken, port: port), !reached, news: &news)
    news.append(.leaseChanged(id))
  }

  // MARK: What happens

  public mutating func received(
    _ event: RouterEvent, now: MonotonicInstant, into actions: inout [RouterAction], news: inout [MappingNews]
  ) {
    switch event {
    case .found(let router, let local): found(router, local, now: now, into: &actions, news: &news)
    case .received(let bytes, let source):
      guard source.address == router, source.port == Self.port else { return }
      datagramReceived(bytes.span, now: now, into: &actions, news: &news)
    case .answered(let id, let result): upnpAnswered(id, result, now: now, into: &actions, news: &news)
    case .kept(let kept): adopt(kept, now: now, into: &actions, news: &news)
    case .notified:
      guard stage == .settled(.upnp), !isStopping else { return }
      // A hint, as an announcement is: it causes questions.
      suspect(now: now, news: &news)
      askForAddress(now: now, into: &actions, news: &news)
    }
    removeGone()
    advance(now: now, into: &actions, news: &news)
    stopIfDone(into: &actions, news: &news)
  }

  public mutating func timerFired(
    now: MonotonicInstant, into actions: inout [RouterAction], news: inout [MappingNews]
  ) {
    while let timer = timers.popDue(now: now) {
      switch timer {
      case .lease(let id):
        guard let index = leases.firstIndex(where: { $0.id == id }) else { continue }
        let wasHeld = leases[index].isHeld
        change(index, now: now, into: &actions, news: &news) { $0.timerFired(now: now, into: &$1) }
        // The router has not answered for half a lease: it may speak something else by now.
        if wasHeld, !leases[index].isHeld, !isStopping { startOver(now: now, into: &actions, news: &news) }
      case .pcpProbe, .natPMPProbe, .upnpProbe, .probeAgain:
        probeTimerFired(timer, now: now, into: &actions, news: &news)
      case .address: askForAddress(now: now, into: &actions, news: &news)
      case .subscription: subscribe(into: &actions)
      case .judge:
        judgeAddress(news: &news)
        // A router may know its new address some seconds later than the world.
        if wantsAddressAlone, toldAddress != seenAddress { timers.set(.address, at: now + Self.judgeDelay) }
      case .stopping:
        leases = []
        lastKept = []
      }
    }
    removeGone()
    advance(now: now, into: &actions, news: &news)
    stopIfDone(into: &actions, news: &news)
  }

  private mutating func found(
    _ router: IPAddress?, _ local: IPAddress?, now: MonotonicInstant, into actions: inout [RouterAction],
    news: inout [MappingNews]
  ) {
    guard router != self.router || local != self.local else { return }
    (self.router, self.local) = (router, local)
    stage = .idle
    refusedProtocols = []
    epoch = RouterEpoch()
    externalAddress = nil
    upnpVersion = nil
    speaksPCP = false
    questions = []
    // The one that held it is not there to take it back.
    if let lease = addressLease { timers.cancel(.lease(lease)) }
    leases.removeAll { $0.id == addressLease }
    addressLease = nil
    for timer in [Timer.pcpProbe, .natPMPProbe, .upnpProbe, .probeAgain, .address, .subscription, .judge] {
      timers.cancel(timer)
    }
    for finding in findings { set(finding, false, news: &news) }
    for index in leases.indices {
      let was = leases[index].externalPort
      leases[index].moved()
      if was != nil { news.append(.leaseChanged(leases[index].id)) }
      setTimer(index)
    }
  }

  /// What an earlier process left: what is wanted is taken over, the rest is removed.
  private mutating func adopt(
    _ kept: [KeptLease], now: MonotonicInstant, into actions: inout [RouterAction], news: inout [MappingNews]
  ) {
    for one in kept.prefix(Self.mostLeases) {
      guard let transport = MappedTransport(rawValue: one.transport), leases.count < Self.mostLeases else { continue }
      let index = leases.firstIndex {
        $0.wish.transport == transport && $0.wish.internalPort == one.internalPort && $0.wish.remote == nil
          && $0.state != .removing
      }
      if let index {
        if leases[index].state == .wanted {
          leases[index].nonce = one.nonce
          leases[index].suggested = one.externalPort
          if one.protocol == .upnp { leases[index].inherited = one.externalPort }
        }
        continue
      }
      leases.append(PortLease(id: nextLease, leftover: one, transport: transport))
      nextLease += 1
    }
  }

  /// Goes on with whatever can go on.
  mutating func advance(now: MonotonicInstant, into actions: inout [RouterAction], news: inout [MappingNews]) {
    guard router != nil, local != nil else { return }
    if stage == .idle, !leases.isEmpty || wantsAddress { probe(now: now, into: &actions) }
    var pending = leases.count { $0.isPending }
    // PEER is PCP's alone, whatever the mappings are asked for by.
    for index in leases.indices
    where pending < Self.mostPending && speaksPCP && allowed.contains(.pcp) && leases[index].wish.remote != nil
      && leases[index].state == .wanted
    {
      leases[index].protocol = .pcp
      change(index, now: now, into: &actions, news: &news) { $0.asked(now, into: &$1) }
      pending += 1
    }
    if case .settled(let spoken) = stage {
      for index in leases.indices where pending < Self.mostPending {
        switch leases[index].state {
        case .wanted where leases[index].wish.remote == nil:
          leases[index].protocol = spoken
          forsake(index, spoken)
          change(index, now: now, into: &actions, news: &news) { $0.asked(now, into: &$1) }
          pending += 1
        // A leftover is removed by its own protocol.
        case .removing where leases[index].sent == 0 && !timers.isSet(.lease(leases[index].id)):
          change(index, now: now, into: &actions, news: &news) { $0.asked(now, into: &$1) }
        default: break
        }
      }
    }
    keep(into: &actions)
  }

  /// Asks everything from the beginning.
  mutating func startOver(now: MonotonicInstant, into actions: inout [RouterAction], news: inout [MappingNews]) {
    stage = .idle
    upnpVersion = nil
    for index in leases.indices where leases[index].state != .removing {
      change(index, now: now, into: &actions, news: &news) { lease, _ in lease.moved() }
    }
  }

  /// What UPnP mapped for a process that was killed is removed where something else is spoken now.
  private mutating func forsake(_ index: Int, _ spoken: MappingProtocol) {
    guard let port = leases[index].inherited else { return }
    leases[index].inherited = nil
    guard spoken != .upnp, leases.count < Self.mostLeases else { return }
    let wish = leases[index].wish
    let kept = KeptLease(
      protocol: .upnp, router: "", transport: wish.transport, internalPort: wish.internalPort, externalPort: port,
      nonce: 0)
    leases.append(PortLease(id: nextLease, leftover: kept, transport: wish.transport))
    nextLease += 1
  }

  // MARK: Leases

  /// Tells a lease something, carries out what it wants, and sets its timer.
  mutating func change(
    _ index: Int, now: MonotonicInstant, into actions: inout [RouterAction], news: inout [MappingNews],
    _ body: (inout PortLease, inout [PortLease.Action]) -> Void
  ) {
    let before = (leases[index].externalPort, leases[index].externalAddress, leases[index].isHeld)
    var steps: [PortLease.Action] = []
    body(&leases[index], &steps)
    if before != (leases[index].externalPort, leases[index].externalAddress, leases[index].isHeld) {
      news.append(.leaseChanged(leases[index].id))
    }
    for step in steps { perform(step, index, now: now, into: &actions) }
    setTimer(index)
  }

  private mutating func setTimer(_ index: Int) {
    let lease = leases[index]
    if let deadline = lease.nextDeadline {
      timers.set(.lease(lease.id), at: deadline)
    } else {
      timers.cancel(.lease(lease.id))
    }
  }

  private mutating func perform(
    _ step: PortLease.Action, _ index: Int, now: MonotonicInstant, into actions: inout [RouterAction]
  ) {
    let isDeletion = step == .delete
    switch leases[index].protocol {
    case .pcp: sendPCP(index, delete: isDeletion, now: now, into: &actions)
    case .natPMP: sendNATPMP(index, delete: isDeletion, now: now, into: &actions)
    case .upnp: askUPnP(index, delete: isDeletion, now: now, into: &actions)
    case nil: break
    }
  }

  private mutating func removeGone() {
    for lease in leases where lease.state == .gone { timers.cancel(.lease(lease.id)) }
    leases.removeAll { $0.state == .gone }
  }

  private mutating func keep(into actions: inout [RouterAction]) {
    guard let router else { return }
    let kept = leases.compactMap { lease -> KeptLease? in
      guard let spoken = lease.protocol, lease.state != .gone, lease.state != .refused, lease.wish.remote == nil else {
        return nil
      }
      // One that was asked for may be there although the answer never came.
      return KeptLease(
        protocol: spoken, router: router.description, transport: lease.wish.transport,
        internalPort: lease.wish.internalPort, externalPort: lease.externalPort ?? lease.suggested, nonce: lease.nonce)
    }
    guard kept != lastKept else { return }
    lastKept = kept
    // Before anything is asked: a process that is killed in between has to know what may be there.
    actions.removeAll { if case .keep = $0 { true } else { false } }
    actions.insert(.keep(kept), at: 0)
  }

  private mutating func stopIfDone(into actions: inout [RouterAction], news: inout [MappingNews]) {
    guard isStopping, leases.isEmpty, !news.contains(.stopped) else { return }
    timers = TimerTable()
    if !lastKept.isEmpty {
      lastKept = []
      actions.append(.keep([]))
    }
    news.append(.stopped)
  }
}
