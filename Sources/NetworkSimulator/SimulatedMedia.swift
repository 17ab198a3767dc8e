public import MediaRelay
public import NetworkTypes

/// The media ports of one simulated host: the very ``RelayCore`` of the media engine, its sockets being sockets of the
/// host. A host gives it commands, packets and wake-ups, and gets the events that signalling is told.
public struct SimulatedMedia: Sendable {
  /// Socket numbers from here on are media's: two a port.
  public static let firstSocket = 1_000_000_000

  private var relay: RelayCore
  /// Ports whose sockets are open or being opened, by socket number, for a look at what is left.
  public private(set) var openSockets: [Int] = []

  /// Peers that are not latched onto. The relay follows such a peer from port to port; here it gets what its SDP says and
  /// nothing else, as from an end that knows no symmetric RTP: only so does a scenario show that the SDP was right.
  private var strictPeers: [(port: MediaPortID, peer: MediaPeer)] = []

  public init(random: RandomSource, pace: RelayPace = .live) { relay = RelayCore(random: random, pace: pace) }

  public var nextDeadline: MonotonicInstant? { relay.nextDeadline }

  public static func isMedia(_ socket: Int) -> Bool { socket >= firstSocket }

  public mutating func apply(
    _ command: MediaCommand, now: MonotonicInstant, into actions: inout [HostAction], events: inout [MediaEvent]
  ) {
    switch command {
    case .setPeer(let port, let peer, _):
      strictPeers.removeAll { $0.port == port }
      if !peer.latching { strictPeers.append((port, peer)) }
    case .close(let port): strictPeers.removeAll { $0.port == port }
    case .open, .couple, .setSTUN, .play, .record: break
    }
    var wanted: [RelayAction] = []
    relay.apply(command, now: now, into: &wanted)
    carryOut(wanted, into: &actions, events: &events)
  }

  public mutating func datagramReceived(
    _ bytes: [UInt8], from source: Endpoint, on socket: Int, now: MonotonicInstant,
    into actions: inout [HostAction], events: inout [MediaEvent]
  ) {
    guard let (port, component) = Self.port(socket) else { return }
    var wanted: [RelayAction] = []
    relay.packetReceived(bytes.span, from: source, on: port, component: component, now: now, into: &wanted)
    carryOut(wanted, into: &actions, events: &events)
  }

  public mutating func timerFired(
    now: MonotonicInstant, into actions: inout [HostAction], events: inout [MediaEvent]
  ) {
    var wanted: [RelayAction] = []
    relay.timerFired(now: now, into: &wanted)
    carryOut(wanted, into: &actions, events: &events)
  }

  public mutating func socketOpened(
    _ socket: Int, now: MonotonicInstant, into actions: inout [HostAction], events: inout [MediaEvent]
  ) {
    guard let (port, component) = Self.port(socket) else { return }
    var wanted: [RelayAction] = []
    relay.socketOpened(port, component, now: now, into: &wanted)
    carryOut(wanted, into: &actions, events: &events)
  }

  public mutating func socketFailed(
    _ socket: Int, reason: String, now: MonotonicInstant, into actions: inout [HostAction],
    events: inout [MediaEvent]
  ) {
    guard let (port, component) = Self.port(socket) else { return }
    openSockets.removeAll { $0 == socket }
    var wanted: [RelayAction] = []
    relay.openFailed(port, component, reason: reason, into: &wanted)
    carryOut(wanted, into: &actions, events: &events)
  }

  private mutating func carryOut(
    _ wanted: [RelayAction], into actions: inout [HostAction], events: inout [MediaEvent]
  ) {
    for action in wanted {
      switch action {
      case .openSocket(let port, let component, let local):
        let socket = Self.socket(port, component)
        openSockets.append(socket)
        actions.append(.openSocket(socket, local: local))
      case .closeSocket(let port, let component):
        let socket = Self.socket(port, component)
        openSockets.removeAll { $0 == socket }
        actions.append(.closeSocket(socket))
      case .send(let bytes, let port, let component, var destination):
        if let strict = strictPeers.first(where: { $0.port == port })?.peer {
          guard let signalled = component == .rtp ? strict.rtp : strict.rtcp else { continue }
          destination = signalled
        }
        actions.append(.send(bytes, socket: Self.socket(port, component), to: destination))
      case .connect: break
      case .event(let event): events.append(event)
      }
    }
  }

  private static func socket(_ port: MediaPortID, _ component: MediaComponent) -> Int {
    firstSocket + Int(port.rawValue) * 2 + (component == .rtp ? 0 : 1)
  }

  private static func port(_ socket: Int) -> (MediaPortID, MediaComponent)? {
    guard socket >= firstSocket, let number = UInt32(exactly: (socket - firstSocket) / 2) else { return nil }
    return (MediaPortID(number), (socket - firstSocket) % 2 == 0 ? .rtp : .rtcp)
  }
}
