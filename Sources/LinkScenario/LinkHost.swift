public import LinkManager
import MediaRelay
public import NetworkSimulator
public import NetworkTypes

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

  public init(configuration: LinkConfiguration, random: RandomSource, now: MonotonicInstant, wallTime: WallTime) {
    var random = random
    let mediaRandom = RandomSource(seed: random.next())
    link = LinkCore(configuration: configuration, random: random, now: now, wallTime: wallTime)
    media = SimulatedMedia(random: mediaRandom)
  }

  public var nextDeadline: MonotonicInstant? { [link.nextDeadline, media.nextDeadline].compactMap { $0 }.min() }

  public mutating func start(now: MonotonicInstant, into actions: inout [HostAction]) {
    apply(.started, now: now, into: &actions)
  }

  public mutating func datagramReceived(
    _ bytes: [UInt8], from source: Endpoint, on socket: Int, now: MonotonicInstant, into actions: inout [HostAction]
  ) {
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
    if let deadline = link.nextDeadline, deadline <= now { apply(.timerFired, now: now, into: &actions) }
  }

  public mutating func nameResolved(
    _ name: String, addresses: [IPAddress], now: MonotonicInstant, into actions: inout [HostAction]
  ) {
    apply(.nameResolved(name, addresses), now: now, into: &actions)
  }

  public mutating func socketOpened(
    _ socket: Int, local: Endpoint, now: MonotonicInstant, into actions: inout [HostAction]
  ) {
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
    guard SimulatedMedia.isMedia(socket) else {
      actions.append(.log("socket \(socket) could not be opened: \(reason)"))
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
    var wanted: [LinkAction] = []
    let isKnown = link.apply(input, now: now, into: &wanted)
    for action in wanted {
      switch action {
      case .openSocket(let socket, let local): actions.append(.openSocket(socket.rawValue, local: local))
      case .send(let bytes, let socket, let remote):
        actions.append(.send(bytes, socket: socket.rawValue, to: remote))
      case .media(let command):
        var events: [MediaEvent] = []
        media.apply(command, now: now, into: &actions, events: &events)
        deliver(events, now: now, into: &actions)
      case .resolve(let host): actions.append(.resolve(host))
      case .record(let record): records.append(record)
      case .verdict(let verdict): verdicts.append(verdict)
      case .log(let level, let sentence):
        logs.append((now, level, sentence))
        actions.append(.log(sentence))
      // The simulated phones speak UDP.
      case .measured, .statusChanged, .listen, .sendStream, .closeStream: break
      case .stopped: isStopped = true
      }
    }
    return isKnown
  }

  private mutating func deliver(_ events: [MediaEvent], now: MonotonicInstant, into actions: inout [HostAction]) {
    for event in events {
      apply(.mediaEventReceived(event), now: now, into: &actions)
    }
  }
}
