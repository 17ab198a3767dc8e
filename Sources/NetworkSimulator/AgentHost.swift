public import EmbeddedProvider
public import MediaRelay
public import NetworkTypes

/// What ``ProviderCore`` and ``PhoneCore`` have in common, for the host that carries one of them.
public protocol SimulatedAgent: Sendable {
  associatedtype Event: Sendable & Equatable

  var nextDeadline: MonotonicInstant? { get }
  mutating func start(now: MonotonicInstant, into actions: inout [AgentAction<Event>])
  mutating func datagramReceived(
    _ bytes: Span<UInt8>, from source: Endpoint, on socket: Int, now: MonotonicInstant,
    into actions: inout [AgentAction<Event>])
  mutating func mediaEventReceived(
    _ event: MediaEvent, now: MonotonicInstant, into actions: inout [AgentAction<Event>])
  mutating func timerFired(now: MonotonicInstant, into actions: inout [AgentAction<Event>])
}

extension ProviderCore: SimulatedAgent {}
extension PhoneCore: SimulatedAgent {}

public typealias ProviderHost = AgentHost<ProviderCore>
public typealias PhoneHost = AgentHost<PhoneCore>

/// A node's host that is a provider, or a telephone, with media of its own.
public struct AgentHost<Agent: SimulatedAgent>: SimulatedHost {
  /// What happened, and when.
  public struct Entry: Sendable, Equatable {
    public var at: MonotonicInstant
    public var event: Agent.Event
  }

  public private(set) var agent: Agent
  public private(set) var media: SimulatedMedia
  public private(set) var events: [Entry] = []
  /// What media told signalling, counters apart; bounded like ``events``.
  public private(set) var mediaEvents: [MediaEvent] = []
  /// Ports on which audio was heard, and is heard no more.
  public private(set) var silentPorts: [MediaPortID] = []
  /// Entries beyond this are not kept.
  public var limit = 10_000

  public init(_ agent: Agent, random: RandomSource, pace: RelayPace = .live) {
    self.agent = agent
    media = SimulatedMedia(random: random, pace: pace)
  }

  public var nextDeadline: MonotonicInstant? { [agent.nextDeadline, media.nextDeadline].compactMap { $0 }.min() }

  /// Does something to the agent: dials, hangs up, changes what it does.
  public mutating func withAgent<Result>(
    now: MonotonicInstant, into actions: inout [HostAction],
    _ body: (inout Agent, MonotonicInstant, inout [AgentAction<Agent.Event>]) -> Result
  ) -> Result {
    var wanted: [AgentAction<Agent.Event>] = []
    let result = body(&agent, now, &wanted)
    carryOut(wanted, now: now, into: &actions)
    return result
  }

  public mutating func start(now: MonotonicInstant, into actions: inout [HostAction]) {
    withAgent(now: now, into: &actions) { $0.start(now: $1, into: &$2) }
  }

  public mutating func datagramReceived(
    _ bytes: [UInt8], from source: Endpoint, on socket: Int, now: MonotonicInstant, into actions: inout [HostAction]
  ) {
    if SimulatedMedia.isMedia(socket) {
      withMedia(now: now, into: &actions) {
        $0.datagramReceived(bytes, from: source, on: socket, now: $1, into: &$2, events: &$3)
      }
    } else {
      withAgent(now: now, into: &actions) {
        $0.datagramReceived(bytes.span, from: source, on: socket, now: $1, into: &$2)
      }
    }
  }

  public mutating func timerFired(now: MonotonicInstant, into actions: inout [HostAction]) {
    if let deadline = media.nextDeadline, deadline <= now {
      withMedia(now: now, into: &actions) { $0.timerFired(now: $1, into: &$2, events: &$3) }
    }
    if let deadline = agent.nextDeadline, deadline <= now {
      withAgent(now: now, into: &actions) { $0.timerFired(now: $1, into: &$2) }
    }
  }

  public mutating func socketOpened(
    _ socket: Int, local: Endpoint, now: MonotonicInstant, into actions: inout [HostAction]
  ) {
    withMedia(now: now, into: &actions) { $0.socketOpened(socket, now: $1, into: &$2, events: &$3) }
  }

  public mutating func socketFailed(
    _ socket: Int, reason: String, now: MonotonicInstant, into actions: inout [HostAction]
  ) {
    withMedia(now: now, into: &actions) { $0.socketFailed(socket, reason: reason, now: $1, into: &$2, events: &$3) }
  }

  private mutating func withMedia(
    now: MonotonicInstant, into actions: inout [HostAction],
    _ body: (inout SimulatedMedia, MonotonicInstant, inout [HostAction], inout [MediaEvent]) -> Void
  ) {
    var told: [MediaEvent] = []
    body(&media, now, &actions, &told)
    for event in told {
      switch event {
      case .silent(let port): silentPorts.append(port)
      case .heard(let port, _): silentPorts.removeAll { $0 == port }
      default: break
      }
      if case .counted = event {} else if mediaEvents.count < limit { mediaEvents.append(event) }
      withAgent(now: now, into: &actions) { $0.mediaEventReceived(event, now: $1, into: &$2) }
    }
  }

  private mutating func carryOut(
    _ wanted: [AgentAction<Agent.Event>], now: MonotonicInstant, into actions: inout [HostAction]
  ) {
    for action in wanted {
      switch action {
      case .openSocket(let socket, let local): actions.append(.openSocket(socket, local: local))
      case .send(let bytes, let socket, let remote): actions.append(.send(bytes, socket: socket, to: remote))
      case .media(let command):
        if case .close(let port) = command { silentPorts.removeAll { $0 == port } }
        withMedia(now: now, into: &actions) { $0.apply(command, now: $1, into: &$2, events: &$3) }
      case .event(let event):
        if events.count < limit { events.append(Entry(at: now, event: event)) }
      case .log(let text): actions.append(.log(text))
      }
    }
  }
}
