import DatagramSockets
import Glibc
import MediaRelay
import NetworkTypes

/// What runs on the media thread: waits for sockets, carries packets, keeps time.
///
/// Each socket of a port is two: an unconnected one, which hears everyone (STUN answers, sources not yet known), and, as
/// soon as a source is latched, one on the same port connected to it, which is found faster by the kernel on the way in and
/// needs no route on the way out.
@safe  // The buffer is made in init, freed in deinit, and handed to nobody.
struct MediaLoop: ~Copyable {
  /// As long as a datagram can be.
  private static let bufferSize = 65_536

  let queue: CommandQueue
  let onEvent: @Sendable (MediaEvent) -> Void
  let poller: DatagramPoller
  let receiver = DatagramReceiver()
  var core: RelayCore
  var actions: [RelayAction] = []
  /// By lane, as ``RelayCore`` numbers them.
  var lanes: [LaneSockets] = []
  /// By lane, the descriptor of the connected socket; −1 for none. Apart from the above, for the short way.
  var descriptors: [Int32] = []
  /// The lane of the RTP socket of each port that has sockets.
  var firstLanes: [MediaPortID: Int] = [:]
  var now = SystemClock.now()
  private let buffer = UnsafeMutablePointer<UInt8>.allocate(capacity: MediaLoop.bufferSize)

  init(_ queue: CommandQueue, onEvent: @escaping @Sendable (MediaEvent) -> Void) {
    self.queue = queue
    self.onEvent = onEvent
    poller = queue.poller
    core = RelayCore(random: SystemRandom.source())
  }

  deinit {
    for lane in lanes {
      lane.own?.close()
      lane.connected?.close()
    }
    unsafe buffer.deallocate()
  }

  mutating func run() {
    // Once here, rather than a reference counted for each wait.
    let poller = poller
    while true {
      let isWoken: Bool
      do throws(DatagramSocketError) {
        var isFirst = true
        isWoken = try poller.wait(until: core.nextDeadline) { token in
          // One moment for all that one wait brought.
          if isFirst { now = SystemClock.now() }
          isFirst = false
          read(lane: Int(token >> 1), isConnected: token & 1 != 0)
        }
      } catch {
        fatalError("media: \(error.sentence)")
      }
      if isWoken {
        now = SystemClock.now()
        let (commands, isStopping) = queue.take()
        for command in commands {
          core.apply(command, now: now, into: &actions)
          carryOut()
        }
        if isStopping { return }
      }
      if let deadline = core.nextDeadline {
        now = SystemClock.now()
        if deadline <= now {
          core.timerFired(now: now, into: &actions)
          carryOut()
        }
      }
    }
  }

  private mutating func read(lane: Int, isConnected: Bool) {
    if isConnected { relay(lane) } else { readOwn(lane) }
  }

  /// The short way: one packet a turn, since streams send one every 20 ms; what is left makes the next wait return at once.
  private mutating func relay(_ lane: Int) {
    let descriptor = descriptors[lane]
    guard descriptor >= 0 else { return }
    // The buffer is as long as it says.
    let count = unsafe recv(descriptor, buffer, Self.bufferSize, Int32(MSG_DONTWAIT))
    // Nothing there, or a refusal that something sent earlier met, which reading has taken off the socket.
    guard count >= 0 else { return }
    // Alive and unchanged until the next recv, which is not in this function.
    let bytes = unsafe Span(_unsafeStart: buffer, count: count)
    switch core.relayVerdict(bytes, lane: lane, now: now) {
    case .relay(let other):
      let outgoing = descriptors[other]
      if outgoing >= 0 {
        sendConnected(bytes, descriptor: outgoing, lane: other)
      } else if let target = core.target(ofLane: other), lanes[other].own?.send(bytes, to: target) == .sent {
        core.packetRelayed(count, lane: other, now: now)
      }
    case .undecided:
      guard let source = core.latchedSource(ofLane: lane), let (id, component) = lanes[lane].name else { return }
      core.packetReceived(bytes, from: source, on: id, component: component, now: now, into: &actions)
      carryOut()
    }
  }

  private mutating func sendConnected(_ bytes: Span<UInt8>, descriptor: Int32, lane: Int) {
    let flags = Int32(MSG_DONTWAIT) | Int32(MSG_NOSIGNAL)
    // A refusal that an earlier packet met is told to the next call, which then has sent nothing: hence the second try.
    for _ in 0..<2 {
      // The kernel reads exactly these bytes, during the call.
      let sent = unsafe bytes.withUnsafeBufferPointer { unsafe send(descriptor, $0.baseAddress, $0.count, flags) }
      if sent >= 0 {
        core.packetRelayed(bytes.count, lane: lane, now: now)
        return
      }
      switch errno {
      case ECONNREFUSED, EINTR: continue
      case EAGAIN, ENOBUFS: return
      default:
        // The way that was found when it was connected is gone: an address of ours has changed. The unconnected socket
        // looks for a way for each packet.
        disconnect(lane)
        return
      }
    }
  }

  /// The long way: everything that a connected socket does not hear.
  private mutating func readOwn(_ lane: Int) {
    guard lanes.indices.contains(lane), let socket = lanes[lane].own else { return }
    read(socket, lane, limit: 16)
    reconnect(lane)
  }

  /// Takes datagrams with their sources. Returns how many there were.
  @discardableResult
  mutating func read(_ socket: DatagramSocket, _ lane: Int, limit: Int) -> Int {
    guard let (id, component) = lanes[lane].name else { return 0 }
    let receiver = receiver
    let count = try? socket.receive(into: receiver, limit: limit) { bytes, source, _ in
      core.packetReceived(bytes, from: source, on: id, component: component, now: now, into: &actions)
    }
    carryOut()
    return count ?? 0
  }
}
