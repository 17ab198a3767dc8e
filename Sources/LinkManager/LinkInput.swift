public import MediaRelay
public import NetworkTypes
public import PortMapping

/// Everything that a link is ever told, one value each: what a recording holds, and what a replay feeds in again.
///
/// The methods of ``LinkCore`` that bear the same names say what each means; ``LinkCore/apply(_:now:into:)`` is the table
/// from one to the other. A shell that gives its core nothing but these can be recorded.
public enum LinkInput: Sendable, Equatable {
  /// The link begins.
  case started
  case socketOpened(LinkSocket, local: Endpoint)
  /// A socket that the link wants beside those it began with cannot be bound; `reason` is for people.
  case socketFailed(LinkSocket, reason: String)
  case datagramReceived([UInt8], from: Endpoint, on: LinkSocket)
  case streamOpened(Int, on: LinkSocket, remote: Endpoint)
  case streamMessageReceived([UInt8], on: Int)
  case streamClosed(Int)
  case nameResolved(String, [IPAddress])
  /// `nil` where nobody could tell.
  case serviceResolved(String, [ServiceRecord]?)
  case mediaEventReceived(MediaEvent)
  /// What `discoverNAT` found; `nil` where the shell could not even begin.
  case natDiscovered(NATFindings?, uplink: Int)
  /// The addresses of this host, its routes or its cables have changed.
  case hostChanged([InterfaceAddress])
  /// Somebody who should know says that the line of an uplink may be another one: its router announced it.
  case changeAnnounced(uplink: Int)
  /// What the last run wrote down of the times at which an uplink's line is cut.
  case cutsRemembered(CutDiary, uplink: String)
  /// What the last run wrote down of where a telephone or a PBX is.
  case contactsRemembered([KnownContact], user: String)
  /// The router of an uplink said something, or could not be asked.
  case routerTold(RouterEvent, uplink: Int)
  /// The moment of ``LinkCore/nextDeadline`` has come.
  case timerFired
  case wallTimeChanged(WallTime)
  /// A configuration was read again.
  case reconfigured(LinkConfiguration)
  /// Someone switches a trunk on or off.
  case trunkSwitched(String, enabled: Bool)
  /// Someone wants a trunk registered now.
  case registrationAsked(trunk: String)
  /// Someone ends the call of this identifier.
  case hangUpAsked(call: String)
  case shutDownAsked
  /// Someone wants to know whether the link has what it needs.
  case examinationAsked(DoctorRequest)
  /// From now on random numbers come from another seed: whoever reads a recording knows those before it.
  case reseeded(LinkSeed)
}

/// 256 bits from which all random numbers of a link follow.
public struct LinkSeed: Sendable, Equatable {
  public var words: [UInt64]

  /// - Parameter words: four; missing ones are zero.
  public init(_ words: [UInt64]) { self.words = Array((words + [0, 0, 0, 0]).prefix(4)) }

  public var source: RandomSource { RandomSource(seed: (words[0], words[1], words[2], words[3])) }
}

extension LinkCore {
  /// Tells the link one thing that happened. Answers whether what a person named (a trunk, a call) is there; true for
  /// everything that names nothing.
  @discardableResult public mutating func apply(
    _ input: LinkInput, now: MonotonicInstant, into actions: inout [LinkAction]
  ) -> Bool {
    switch input {
    case .started: start(now: now, into: &actions)
    case .socketOpened(let socket, let local): socketOpened(socket, local: local, now: now, into: &actions)
    case .socketFailed(let socket, let reason): socketFailed(socket, reason: reason, now: now, into: &actions)
    case .datagramReceived(let bytes, let source, let socket):
      datagramReceived(bytes.span, from: source, on: socket, now: now, into: &actions)
    case .streamOpened(let connection, let socket, let remote):
      streamOpened(connection, on: socket, remote: remote, now: now, into: &actions)
    case .streamMessageReceived(let bytes, let connection):
      streamMessageReceived(bytes.span, on: connection, now: now, into: &actions)
    case .streamClosed(let connection): streamClosed(connection, now: now, into: &actions)
    case .nameResolved(let host, let addresses): nameResolved(host, addresses, now: now, into: &actions)
    case .serviceResolved(let service, let records): serviceResolved(service, records, now: now, into: &actions)
    case .mediaEventReceived(let event): mediaEventReceived(event, now: now, into: &actions)
    case .natDiscovered(let findings, let uplink):
      natDiscovered(findings, uplink: uplink, now: now, into: &actions)
    case .hostChanged(let interfaces): hostChanged(interfaces, now: now, into: &actions)
    case .changeAnnounced(let uplink): changeAnnounced(uplink, now: now, into: &actions)
    case .cutsRemembered(let diary, let uplink): cutsRemembered(diary, uplink: uplink, now: now)
    case .contactsRemembered(let known, let user):
      contactsRemembered(known, user: user, now: now, into: &actions)
    case .routerTold(let event, let uplink): routerTold(event, uplink: uplink, now: now, into: &actions)
    case .timerFired: timerFired(now: now, into: &actions)
    case .wallTimeChanged(let wallTime): wallTimeChanged(wallTime, now: now)
    case .reconfigured(let configuration): reconfigure(configuration, now: now, into: &actions)
    case .trunkSwitched(let name, let enabled): return setTrunk(name, enabled: enabled, now: now, into: &actions)
    case .registrationAsked(let name): return register(name, now: now, into: &actions)
    case .hangUpAsked(let call): return hangUp(call, now: now, into: &actions)
    case .examinationAsked(let request): return examine(request, now: now, into: &actions)
    case .shutDownAsked: shutDown(now: now, into: &actions)
    case .reseeded(let seed): random = seed.source
    }
    return true
  }
}
