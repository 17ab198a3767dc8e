public import DatagramSockets
import EmbeddedProvider
public import LinkManager
import MediaEngine
import MediaRelay
import NIOTransport
import NameResolver
public import NetworkTypes
import STUN

/// The shell of all signalling of a process: one thread on which the link's core lives, and with the embedded default the
/// provider's and the built-in phone's beside it. It carries out what they ask and decides nothing.
public final class SignallingHost: DatagramLoopHandler, @unchecked Sendable {
  /// Whom a socket belongs to.
  enum Owner {
    case link(LinkSocket)
    case provider
    case phone
    case stun
    case router(LoopbackRouter.Side)
  }

  /// What the host tells, on the signalling thread.
  public struct Listeners: Sendable {
    /// A call was answered: the record of one that ends now.
    public var answered: @Sendable (CallRecord) -> Void
    public var recorded: @Sendable (CallRecord) -> Void
    public var verdict: @Sendable (Verdict) -> Void
    /// When the line of an uplink is cut, to be told to the next run.
    public var cutsLearned: @Sendable (CutDiary, String) -> Void
    /// Where a telephone or a PBX is, to be told to the next run.
    public var contactsLearned: @Sendable ([KnownContact], String) -> Void
    public var logged: @Sendable (LinkLogLevel, String) -> Void
    public var measured: @Sendable (LinkMeasurement) -> Void
    public var statusChanged: @Sendable () -> Void
    /// Every trunk is unregistered and every call ended.
    public var stopped: @Sendable () -> Void

    /// Who keeps nothing leaves out what is told to be kept.
    public init(
      answered: @escaping @Sendable (CallRecord) -> Void = { _ in },
      recorded: @escaping @Sendable (CallRecord) -> Void = { _ in },
      verdict: @escaping @Sendable (Verdict) -> Void,
      cutsLearned: @escaping @Sendable (CutDiary, String) -> Void = { _, _ in },
      contactsLearned: @escaping @Sendable ([KnownContact], String) -> Void = { _, _ in },
      logged: @escaping @Sendable (LinkLogLevel, String) -> Void,
      measured: @escaping @Sendable (LinkMeasurement) -> Void, statusChanged: @escaping @Sendable () -> Void,
      stopped: @escaping @Sendable () -> Void
    ) {
      self.answered = answered
      self.recorded = recorded
      self.verdict = verdict
      self.cutsLearned = cutsLearned
      self.contactsLearned = contactsLearned
      self.logged = logged
      self.measured = measured
      self.statusChanged = statusChanged
      self.stopped = stopped
    }
  }

  // Everything below but `loop`, `resolver` and `listeners` belongs to the loop's thread; `run` is the way there.
  let loop: DatagramLoop
  let resolver = SystemResolver()
  let services = ServiceResolver()
  let listeners: Listeners
  var engine: RelayEngine?
  var link: LinkCore
  /// Writes down what the core is told; set before the start.
  private var recorder: FlightRecorder?
  /// Before that nobody asks whether the core can be replaced.
  private var handoverAt = MonotonicInstant(nanoseconds: 0)
  private let seed: LinkSeed
  private let madeAt: (now: MonotonicInstant, wallTime: WallTime)
  var embedded: EmbeddedParts?
  /// Is told what happens in the embedded default, on the signalling thread.
  var embeddedObserver: (@Sendable (EmbeddedNotice, MonotonicInstant) -> Void)?
  var routers: RouterDesks?
  /// Where the leases of routers are written down, with the uplink's name after it; set before ``start()``. `nil`: nowhere.
  var leaseFile: String?
  var owners: [Owner?] = []
  /// The loop's socket for each of the link's.
  var linkSockets: [LinkSocket: Int] = [:]
  var streams: SIPStreamServer?
  /// Where TCP connections are taken, for each of the link's sockets that has such a place.
  var listening: [(socket: LinkSocket, endpoint: Endpoint)] = []
  var openFailure: (any Error)?
  /// Who waits for an examination.
  var examination: (@Sendable (DoctorReport?) -> Void)?
  /// How the last examination ended.
  var lastExamination = DoctorProgress()
  /// Whether all that was opened at the start is open.
  private var isStarted = false
  /// What the link was given last.
  private(set) var configuration: LinkConfiguration
  var recordings: [String: [Int16]] = [:]
  var recordingOrder: [String] = []

  /// Binds the embedded default's own sockets, where one is given, so that its configuration can name them.
  public init(
    configuration: LinkConfiguration, embedded: EmbeddedDefault? = nil, listeners: Listeners
  ) throws(DatagramSocketError) {
    let loop = try DatagramLoop(name: "signalling")
    self.loop = loop
    self.listeners = listeners
    var configuration = configuration
    if let embedded {
      let parts = try Self.openEmbedded(embedded, loop)
      configuration = parts.configuration
      self.embedded = parts
    }
    self.configuration = configuration
    seed = LinkSeed(SystemRandom.words())
    madeAt = (SystemClock.now(), SystemClock.wallTime())
    link = LinkCore(
      configuration: configuration, random: seed.source, now: madeAt.now, wallTime: madeAt.wallTime)
    if let parts = self.embedded {
      setOwner(.stun, of: parts.sockets[0])
      setOwner(.provider, of: parts.sockets[1])
      setOwner(.phone, of: parts.sockets[2])
      setRouterOwners()
    }
  }

  func setOwner(_ owner: Owner?, of socket: Int) {
    while owners.count <= socket { owners.append(nil) }
    owners[socket] = owner
  }

  // MARK: For any thread

  /// Opens every socket and begins. Throws where a port cannot be opened; only ``stop()`` makes sense then.
  public func start() async throws {
    // The engine and the loop are stopped before this object goes; both hold it until then.
    engine = try RelayEngine(onEvent: { [self] event in loop.post { [self] in mediaEventReceived(event) } })
    streams = makeStreams()
    routers = makeRouters()
    try loop.start(handler: self)
    let failure = await run { host in
      host.apply(.started)
      guard host.openFailure == nil else { return host.openFailure }
      host.isStarted = true
      host.startEmbedded()
      return nil
    }
    if let failure { throw failure }
  }

  /// From the beginning on everything that the core is told is written down. To be called before ``start()``.
  func record(with recorder: FlightRecorder) {
    self.recorder = recorder
    recorder.begin(configuration, seed, now: madeAt.now, wallTime: madeAt.wallTime)
  }

  /// An incident is on record, with the seed of all random numbers until now: further ones come from another.
  func reseed() {
    loop.post { [self] in apply(.reseeded(LinkSeed(SystemRandom.words()))) }
  }

  /// Ends calls and registrations, then calls `stopped`.
  public func shutDown() {
    loop.post { [self] in apply(.shutDownAsked) }
  }

  /// Ends the threads.
  public func stop() {
    streams?.stop()
    loop.stop()
    routers?.stop()
    engine?.stop()
  }

  /// Runs `body` on the signalling thread and returns what it returns.
  public func run<Result: Sendable>(_ body: @escaping @Sendable (SignallingHost) -> Result) async -> Result {
    await withCheckedContinuation { continuation in
      loop.post { [self] in continuation.resume(returning: body(self)) }
    }
  }

  /// Tells the core something, on the signalling thread, and carries out what it asks. Everything that the core is told
  /// comes this way. Answers as ``LinkCore/apply(_:now:into:)`` does.
  @discardableResult public func apply(_ input: LinkInput, now: MonotonicInstant = SystemClock.now()) -> Bool {
    var actions: [LinkAction] = []
    let isKnown = link.apply(input, now: now, into: &actions)
    recorder?.took(input, now: now, actions: actions, wallTime: link.wallTime(now))
    handOver(now: now)
    perform(actions)
    updateWakeUp()
    return isKnown
  }

  /// Where another recording is to begin, and the moment is quiet, the core is replaced by the one that its handover makes.
  /// Looked at once a second at most.
  private func handOver(now: MonotonicInstant) {
    guard let recorder, now >= handoverAt, recorder.wantsHandover else { return }
    handoverAt = now + .seconds(1)
    // The story of an outage is better told in one recording.
    guard link.isAtEase || recorder.isHandoverOverdue else { return }
    let seed = LinkSeed(SystemRandom.words())
    guard let handover = link.handOver(random: seed.source) else { return }
    recorder.handedOver(handover, seed, now: now, wallTime: link.wallTime(now))
  }

  /// Gives the link a configuration that was read again. What people switched off stays so: no file says otherwise.
  func reconfigure(_ new: LinkConfiguration) {
    configuration = new
    var wanted = new
    let disabled = link.status(now: SystemClock.now()).trunks.filter { $0.state == .disabled }.map(\.name)
    for index in wanted.trunks.indices where disabled.contains(wanted.trunks[index].name) {
      wanted.trunks[index].enabled = false
    }
    apply(.reconfigured(wanted))
  }

  /// The kernel says that addresses, routes or cables of this machine have changed.
  func networkChanged(_ interfaces: [InterfaceAddress]) {
    if !interfaces.isEmpty { configuration.lan.interfaces = interfaces }
    apply(.hostChanged(interfaces))
  }

  /// Tells the link what this machine's addresses and its clock are now, where they are not what it takes them for.
  func systemChecked(interfaces: [InterfaceAddress]) {
    if !interfaces.isEmpty, interfaces != configuration.lan.interfaces {
      configuration.lan.interfaces = interfaces
      listeners.logged(.debug, "the addresses of this machine have changed")
      apply(.hostChanged(interfaces))
    }
    let wallTime = SystemClock.wallTime()
    let drift = wallTime.nanoseconds - link.wallTime(SystemClock.now()).nanoseconds
    if abs(drift) > 1_000_000_000 {
      apply(.wallTimeChanged(wallTime))
    }
  }

  // MARK: DatagramLoopHandler

  public func datagramReceived(
    _ bytes: Span<UInt8>, from source: Endpoint, to local: Endpoint, on socket: Int, now: MonotonicInstant
  ) {
    guard owners.indices.contains(socket), let owner = owners[socket] else { return }
    switch owner {
    case .link(let linkSocket):
      var owned: [UInt8] = []
      owned.reserveCapacity(bytes.count)
      for index in bytes.indices { owned.append(bytes[index]) }
      apply(.datagramReceived(owned, from: source, on: linkSocket), now: now)
    case .provider, .phone, .stun, .router:
      embeddedReceived(bytes, from: source, to: local, owner, socket, now: now)
      updateWakeUp()
    }
  }

  public func wakeUp(now: MonotonicInstant) {
    if let deadline = link.nextDeadline, deadline <= now { apply(.timerFired, now: now) }
    embeddedTimerFired(now: now)
    updateWakeUp()
  }

  private func mediaEventReceived(_ event: MediaEvent) {
    let now = SystemClock.now()
    if embeddedMediaEventReceived(event, now: now) {
      updateWakeUp()
    } else {
      apply(.mediaEventReceived(event), now: now)
    }
  }

  func updateWakeUp() {
    loop.setWakeUp([link.nextDeadline, embedded?.nextDeadline].compactMap { $0 }.min())
  }

  // MARK: Actions

  func perform(_ actions: [LinkAction]) {
    for action in actions {
      switch action {
      case .openSocket(let socket, let endpoint): open(socket, endpoint)
      case .closeSocket(let socket):
        guard let id = linkSockets.removeValue(forKey: socket) else { break }
        setOwner(nil, of: id)
        loop.close(id)
      case .send(let bytes, let socket, let remote):
        if let id = linkSockets[socket] { loop.send(bytes, on: id, to: remote) }
      case .listen(let socket, let endpoint): listen(socket, endpoint)
      case .sendStream(let bytes, let connection): streams?.send(bytes, on: connection)
      case .closeStream(let connection): streams?.close(connection)
      case .media(let command): engine?.send(command)
      case .resolve(let host):
        resolver.resolve(host) { [self] addresses in
          loop.post { [self] in apply(.nameResolved(host, addresses)) }
        }
      case .resolveService(let service):
        services.resolve(service) { [self] records in
          loop.post { [self] in apply(.serviceResolved(service, records)) }
        }
      case .discoverNAT(let uplink, let settings): discoverNAT(uplink, settings)
      case .rememberCuts(let diary, let uplink): listeners.cutsLearned(diary, uplink)
      case .rememberContacts(let known, let user): listeners.contactsLearned(known, user)
      case .answered(let record): listeners.answered(record)
      case .router(let action, let uplink): routers?.perform(action, uplink: uplink)
      case .record(let record): listeners.recorded(record)
      case .verdict(let verdict): listeners.verdict(verdict)
      case .log(let level, let sentence): listeners.logged(level, sentence)
      case .measured(let measurement): listeners.measured(measurement)
      case .statusChanged: listeners.statusChanged()
      case .examined(let report, let progress):
        lastExamination = progress
        endExamination(report)
      case .stopped: listeners.stopped()
      }
    }
  }

  private func open(_ socket: LinkSocket, _ endpoint: Endpoint) {
    guard openFailure == nil else { return }
    do throws(DatagramSocketError) {
      let id = try loop.open(local: endpoint)
      linkSockets[socket] = id
      setOwner(.link(socket), of: id)
      let local = loop.localEndpoint(id) ?? endpoint
      apply(.socketOpened(socket, local: local))
    } catch {
      // Without a spare port the link is no worse than before.
      if isStarted { apply(.socketFailed(socket, reason: error.sentence)) } else { openFailure = error }
    }
  }
}
