public import LinkManager
public import MediaRelay
public import NetworkSimulator
public import NetworkTypes
import PortMapping

/// The daemon's own link on a node of the simulated internet: the very ``LinkCore`` and relay that `trunkline run` drives,
/// with simulated sockets for their packets.
public struct LinkHost: SimulatedHost {
  public private(set) var link: LinkCore
  public private(set) var media: SimulatedMedia
  /// What the link said, oldest first.
  public private(set) var logs: [(at: MonotonicInstant, level: LinkLogLevel, sentence: String)] = []
  public private(set) var records: [CallRecord] = []
  public private(set) var verdicts: [Verdict] = []
  public private(set) var isStopped = false
  /// What examinations have found, oldest first.
  public private(set) var reports: [DoctorReport] = []
  /// What the link wants to know of cuts in its next run.
  public private(set) var cuts = CutDiary()
  /// Where it wants to find its telephones in its next run, the latest of each user.
  public private(set) var contacts: [(user: String, known: [KnownContact])] = []
  /// Calls that were answered and have no record yet.
  public private(set) var answered: [CallRecord] = []
  /// Whether what must always hold is looked at after every input, and what leaves before it does.
  public var isWatched = false
  /// One thing that the link was told, and what it then wanted.
  public struct Taken: Sendable {
    public var at: MonotonicInstant
    public var input: LinkInput
    public var actions: [LinkAction]
  }

  /// Whether `taken` is kept.
  public var isRecorded = false
  public private(set) var taken: [Taken] = []
  /// Sees all that the link is told, before what it wants is carried out, and may put another core in its place.
  public var replace: (@Sendable (_ link: inout LinkCore, _ taken: Taken) -> Void)?
  /// What the link was made with.
  public let beginning:
    (configuration: LinkConfiguration, random: RandomSource, now: MonotonicInstant, wallTime: WallTime)
  /// What the link was configured with last.
  public private(set) var configured: LinkConfiguration
  /// What did not hold, oldest first, at most 20.
  public private(set) var broken: [String] = []
  /// The discovery that runs; one at a time is all that a link with one uplink asks for, further ones wait.
  private var discovery: SimulatedDiscovery?
  private var waitingDiscoveries: [SimulatedDiscovery] = []
  private var discoveryRandom: RandomSource
  private let address: IPAddress
  /// The router that is asked for port mappings; `nil` stands for one that answers nothing.
  public var routerPlace: RouterPlace?
  var answers: [(event: RouterEvent, uplink: Int)] = []
  var isTellingAnswers = false

  public init(
    configuration: LinkConfiguration, random: RandomSource, now: MonotonicInstant, wallTime: WallTime,
    pace: RelayPace = .live
  ) {
    var random = random
    let mediaRandom = RandomSource(seed: random.next())
    link = LinkCore(configuration: configuration, random: random, now: now, wallTime: wallTime)
    beginning = (configuration, random, now, wallTime)
    configured = configuration
    media = SimulatedMedia(random: mediaRandom, pace: pace)
    discoveryRandom = RandomSource(seed: random.next())
    address = configuration.lan.interfaces.first?.address ?? .loopbackV4
  }

  public var nextDeadline: MonotonicInstant? {
    [link.nextDeadline, media.nextDeadline, discovery?.nextDeadline].compactMap { $0 }.min()
  }

  public mutating func start(now: MonotonicInstant, into actions: inout [HostAction]) {
    apply(.started, now: now, into: &actions)
  }

  public mutating func datagramReceived(
    _ bytes: [UInt8], from source: Endpoint, on socket: Int, now: MonotonicInstant, into actions: inout [HostAction]
  ) {
    if SimulatedDiscovery.isDiscovery(socket) {
      discovery?.datagramReceived(bytes, from: source, on: socket, now: now, into: &actions)
      return endDiscoveryIfDone(now: now, into: &actions)
    }
    guard SimulatedMedia.isMedia(socket) else {
      apply(.datagramReceived(bytes, from: source, on: LinkSocket(socket)), now: now, into: &actions)
      return
    }
    var events: [MediaEvent] = []
    media.datagramReceived(bytes, from: source, on: socket, now: now, into: &actions, events: &events)
    deliver(events, now: now, into: &actions)
  }

  public mutating func timerFired(now: MonotonicInstant, into actions: inout [HostAction]) {
    if let deadline = media.nextDeadline, deadline <= now {
      var events: [MediaEvent] = []
      media.timerFired(now: now, into: &actions, events: &events)
      deliver(events, now: now, into: &actions)
    }
    if let deadline = discovery?.nextDeadline, deadline <= now {
      discovery?.timerFired(now: now, into: &actions)
      endDiscoveryIfDone(now: now, into: &actions)
    }
    if let deadline = link.nextDeadline, deadline <= now { apply(.timerFired, now: now, into: &actions) }
  }

  public mutating func nameResolved(
    _ name: String, addresses: [IPAddress], now: MonotonicInstant, into actions: inout [HostAction]
  ) {
    apply(.nameResolved(name, addresses), now: now, into: &actions)
  }

  public mutating func serviceResolved(
    _ service: String, records: [ServiceRecord]?, now: MonotonicInstant, into actions: inout [HostAction]
  ) {
    apply(.serviceResolved(service, records), now: now, into: &actions)
  }

  public mutating func socketOpened(
    _ socket: Int, local: Endpoint, now: MonotonicInstant, into actions: inout [HostAction]
  ) {
    if SimulatedDiscovery.isDiscovery(socket) {
      discovery?.socketOpened(socket, local: local, now: now, into: &actions)
      return endDiscoveryIfDone(now: now, into: &actions)
    }
    guard SimulatedMedia.isMedia(socket) else {
      apply(.socketOpened(LinkSocket(socket), local: local), now: now, into: &actions)
      return
    }
    var events: [MediaEvent] = []
    media.socketOpened(socket, now: now, into: &actions, events: &events)
    deliver(events, now: now, into: &actions)
  }

  public mutating func socketFailed(
    _ socket: Int, reason: String, now: MonotonicInstant, into actions: inout [HostAction]
  ) {
    if SimulatedDiscovery.isDiscovery(socket) {
      discovery?.socketFailed(socket, reason: reason, now: now, into: &actions)
      return endDiscoveryIfDone(now: now, into: &actions)
    }
    guard SimulatedMedia.isMedia(socket) else {
      actions.append(.log("socket \(socket) could not be opened: \(reason)"))
      apply(.socketFailed(LinkSocket(socket), reason: reason), now: now, into: &actions)
      return
    }
    var events: [MediaEvent] = []
    media.socketFailed(socket, reason: reason, now: now, into: &actions, events: &events)
    deliver(events, now: now, into: &actions)
  }

  /// Tells the link something and carries out what it asks.
  @discardableResult public mutating func apply(
    _ input: LinkInput, now: MonotonicInstant, into actions: inout [HostAction]
  ) -> Bool {
    if case .reconfigured(let new) = input { configured = new }
    var wanted: [LinkAction] = []
    let isKnown = link.apply(input, now: now, into: &wanted)
    if isWatched { watch(wanted, now: now) }
    if isRecorded { taken.append(Taken(at: now, input: input, actions: wanted)) }
    replace?(&link, Taken(at: now, input: input, actions: wanted))
    for action in wanted {
      switch action {
      case .openSocket(let socket, let local): actions.append(.openSocket(socket.rawValue, local: local))
      case .closeSocket(let socket): actions.append(.closeSocket(socket.rawValue))
      case .send(let bytes, let socket, let remote):
        actions.append(.send(bytes, socket: socket.rawValue, to: remote))
      case .media(let command):
        var events: [MediaEvent] = []
        media.apply(command, now: now, into: &actions, events: &events)
        deliver(events, now: now, into: &actions)
      case .resolve(let host): actions.append(.resolve(host))
      case .resolveService(let service): actions.append(.resolveService(service))
      case .discoverNAT(let uplink, let settings):
        waitingDiscoveries.append(
          SimulatedDiscovery(
            uplink: uplink, settings: settings, address: address,
            random: RandomSource(seed: discoveryRandom.next())))
        startDiscovery(now: now, into: &actions)
      case .rememberCuts(let diary, _): cuts = diary
      case .rememberContacts(let known, let user):
        contacts.removeAll { $0.user == user }
        contacts.append((user, known))
      case .answered(let record): answered.append(record)
      case .record(let record):
        answered.removeAll { $0.id == record.id }
        records.append(record)
      case .verdict(let verdict): verdicts.append(verdict)
      case .log(let level, let sentence):
        logs.append((now, level, sentence))
        actions.append(.log(sentence))
      case .router(let action, let uplink): askRouter(action, uplink: uplink, now: now, into: &actions)
      // The simulated phones speak UDP.
      case .measured, .statusChanged, .listen, .sendStream, .closeStream: break
      case .examined(let report, _): reports.append(report)
      case .stopped: isStopped = true
      }
    }
    return isKnown
  }

  private mutating func watch(_ wanted: [LinkAction], now: MonotonicInstant) {
    guard broken.count < 20 else { return }
    for sentence in link.brokenInvariants(now: now) { broken.append("\(now): \(sentence)") }
    for case .send(let bytes, _, let remote) in wanted where remote.address != trustedProvider {
      if Self.holdsCredentials(bytes) { broken.append("\(now): credentials left for \(remote)") }
    }
  }

  /// What did not hold was read.
  public mutating func forgetBroken() { broken.removeAll() }

  /// Whom our credentials may go to.
  public var trustedProvider: IPAddress?

  /// Whether a message has an Authorization or a Proxy-Authorization header.
  private static func holdsCredentials(_ bytes: [UInt8]) -> Bool {
    let name: [UInt8] = Array("uthorization:".utf8)
    guard bytes.count > name.count else { return false }
    for start in 0..<(bytes.count - name.count) where bytes[start] == name[0] {
      if bytes[start..<(start + name.count)].elementsEqual(name) { return true }
    }
    return false
  }

  private mutating func deliver(_ events: [MediaEvent], now: MonotonicInstant, into actions: inout [HostAction]) {
    for event in events {
      apply(.mediaEventReceived(event), now: now, into: &actions)
    }
  }

  private mutating func startDiscovery(now: MonotonicInstant, into actions: inout [HostAction]) {
    guard discovery == nil, !waitingDiscoveries.isEmpty else { return }
    discovery = waitingDiscoveries.removeFirst()
    discovery?.start(now: now, into: &actions)
    endDiscoveryIfDone(now: now, into: &actions)
  }

  private mutating func endDiscoveryIfDone(now: MonotonicInstant, into actions: inout [HostAction]) {
    guard let ended = discovery, let findings = ended.findings else { return }
    discovery = nil
    apply(.natDiscovered(findings, uplink: ended.uplink), now: now, into: &actions)
    startDiscovery(now: now, into: &actions)
  }
}
