import LinkManager
import NATDiscovery
import NetworkSimulator
import NetworkTypes

/// The discovery of an uplink on a simulated host: the very ``DiscoveryCore`` of `trunkline nat`, on sockets of the host.
struct SimulatedDiscovery: Sendable {
  /// Socket numbers from here on, and below media's, are a discovery's.
  static let firstSocket = 500_000_000

  let uplink: Int
  private var core: DiscoveryCore
  private let address: IPAddress
  private var nextPort: UInt16 = 20_000
  /// What it found, once it has ended.
  private(set) var findings: NATFindings?

  /// - Parameter address: the host's own, where the settings have a wildcard.
  init(uplink: Int, settings: DiscoverySettings, address: IPAddress, random: RandomSource) {
    self.uplink = uplink
    var settings = settings
    if settings.local.address.isUnspecified { settings.local.address = address }
    self.address = settings.local.address
    core = DiscoveryCore(settings: settings, random: random)
  }

  static func isDiscovery(_ socket: Int) -> Bool { socket >= firstSocket && !SimulatedMedia.isMedia(socket) }

  var nextDeadline: MonotonicInstant? { findings == nil ? core.nextDeadline : nil }

  mutating func start(now: MonotonicInstant, into actions: inout [HostAction]) {
    run(now, &actions) { $0.start(now: now, into: &$1) }
  }

  mutating func datagramReceived(
    _ bytes: [UInt8], from source: Endpoint, on socket: Int, now: MonotonicInstant, into actions: inout [HostAction]
  ) {
    run(now, &actions) {
      $0.datagramReceived(bytes.span, from: source, on: socket - Self.firstSocket, now: now, into: &$1)
    }
  }

  mutating func timerFired(now: MonotonicInstant, into actions: inout [HostAction]) {
    run(now, &actions) { $0.timerFired(now: now, into: &$1) }
  }

  mutating func socketOpened(_ socket: Int, local: Endpoint, now: MonotonicInstant, into actions: inout [HostAction]) {
    run(now, &actions) { $0.socketOpened(socket - Self.firstSocket, local: local, now: now, into: &$1) }
  }

  mutating func socketFailed(_ socket: Int, reason: String, now: MonotonicInstant, into actions: inout [HostAction]) {
    run(now, &actions) { $0.socketFailed(socket - Self.firstSocket, reason: reason, now: now, into: &$1) }
  }

  private mutating func run(
    _ now: MonotonicInstant, _ actions: inout [HostAction],
    _ body: (inout DiscoveryCore, inout [DiscoveryAction]) -> Void
  ) {
    guard findings == nil else { return }
    var wanted: [DiscoveryAction] = []
    body(&core, &wanted)
    for action in wanted {
      switch action {
      case .openSocket(let socket, var local):
        if local.port == 0 {
          local.port = nextPort
          // Odd and even ones.
          nextPort += 3
        }
        actions.append(.openSocket(Self.firstSocket + socket, local: local))
      case .closeSocket(let socket): actions.append(.closeSocket(Self.firstSocket + socket))
      case .send(let bytes, let socket, let destination):
        actions.append(.send(bytes, socket: Self.firstSocket + socket, to: destination))
      case .traceHops:
        run(now, &actions) { $0.hopsRefused("the simulated internet has no hop limit", now: now, into: &$1) }
      case .progress: break
      case .finished(let report): findings = NATFindings(report)
      }
    }
  }
}
