import DatagramSockets
import Glibc
import MediaRelay
import NetworkTypes

/// The two sockets on one UDP port.
struct LaneSockets {
  /// Whose they are; `nil` for a lane that is not in use.
  var name: (id: MediaPortID, component: MediaComponent)?
  /// Bound, and hears everyone.
  var own: DatagramSocket?
  /// On the same port, connected to the latched source.
  var connected: DatagramSocket?
  /// When connecting was tried last.
  var triedAt = MonotonicInstant(nanoseconds: 0)
}

extension MediaLoop {
  /// How long after a failed connect, or a lost one, it is tried again.
  private static let retryInterval = Duration.seconds(1)
  /// What the kernel is asked to keep for one socket: a second of audio and more, while the thread has no turn.
  private static let receiveBuffer = 256 * 1024

  /// Carries out what the core asked for, and what it asks for on account of that.
  mutating func carryOut() {
    var index = 0
    while index < actions.count {
      carryOut(actions[index])
      index += 1
    }
    actions.removeAll(keepingCapacity: true)
  }

  private mutating func carryOut(_ action: RelayAction) {
    switch action {
    case .openSocket(let id, let component, let local): open(id, component, local)
    case .closeSocket(let id, let component): close(id, component)
    case .send(let bytes, let id, let component, let target):
      guard let lane = lane(id, component) else { return }
      if let connected = lanes[lane].connected, connected.remoteEndpoint == target {
        if case .unreachable = connected.send(bytes.span) {
          disconnect(lane)
          lanes[lane].own?.send(bytes.span, to: target)
        }
      } else {
        lanes[lane].own?.send(bytes.span, to: target)
      }
    case .connect(let id, let component, let remote):
      guard let lane = lane(id, component) else { return }
      disconnect(lane)
      if let remote { connect(lane, to: remote) }
    case .event(let event): onEvent(event)
    }
  }

  private func lane(_ id: MediaPortID, _ component: MediaComponent) -> Int? {
    firstLanes[id].map { $0 + Int(component.rawValue) }
  }

  private mutating func open(_ id: MediaPortID, _ component: MediaComponent, _ local: Endpoint) {
    // The port may have been given up because its first socket was refused.
    guard let lane = core.lane(of: id, component) else { return }
    while lanes.count <= lane {
      lanes.append(LaneSockets())
      descriptors.append(-1)
    }
    do throws(DatagramSocketError) {
      // Bound without SO_REUSEADDR, so that a port that anyone has is refused.
      let socket = try DatagramSocket.open(local: local, receiveBuffer: Self.receiveBuffer)
      do throws(DatagramSocketError) {
        try poller.add(socket, token: Self.token(lane, isConnected: false))
      } catch {
        socket.close()
        throw error
      }
      firstLanes[id] = lane - Int(component.rawValue)
      lanes[lane] = LaneSockets(name: (id, component), own: socket)
      core.socketOpened(id, component, now: now, into: &actions)
    } catch {
      core.openFailed(id, component, reason: error.sentence, into: &actions)
    }
  }

  private mutating func close(_ id: MediaPortID, _ component: MediaComponent) {
    guard let lane = lane(id, component) else { return }
    disconnect(lane)
    if let socket = lanes[lane].own {
      poller.remove(socket)
      socket.close()
    }
    lanes[lane] = LaneSockets()
    let first = lane - Int(component.rawValue)
    if lanes[first].name == nil && (first + 1 >= lanes.count || lanes[first + 1].name == nil) { firstLanes[id] = nil }
  }

  private mutating func connect(_ lane: Int, to remote: Endpoint) {
    guard let own = lanes[lane].own else { return }
    lanes[lane].triedAt = now
    // Two sockets have one port only while both say that they may.
    Self.setReuse(own, true)
    defer { Self.setReuse(own, false) }
    guard
      var socket = try? DatagramSocket.open(
        local: own.localEndpoint, reuseAddress: true, receiveBuffer: Self.receiveBuffer)
    else { return }
    Self.setReuse(socket, false)
    guard (try? socket.connect(to: remote)) != nil,
      (try? poller.add(socket, token: Self.token(lane, isConnected: true))) != nil
    else {
      socket.close()
      return
    }
    lanes[lane].connected = socket
    descriptors[lane] = socket.descriptor
    // Until it was connected it heard everyone: those packets still know their sources, later ones have but one.
    for _ in 0..<64 where lanes[lane].connected == socket {
      if read(queuedIn: socket, lane) < DatagramReceiver.capacity { break }
    }
  }

  /// Reads without carrying out, since the caller is doing just that.
  private mutating func read(queuedIn socket: DatagramSocket, _ lane: Int) -> Int {
    guard let (id, component) = lanes[lane].name else { return 0 }
    let receiver = receiver
    let count = try? socket.receive(into: receiver) { bytes, source, _ in
      core.packetReceived(bytes, from: source, on: id, component: component, now: now, into: &actions)
    }
    return count ?? 0
  }

  /// Closes the connected socket; the unconnected one does its work from now on.
  mutating func disconnect(_ lane: Int) {
    guard let socket = lanes[lane].connected else { return }
    poller.remove(socket)
    socket.close()
    lanes[lane].connected = nil
    descriptors[lane] = -1
    lanes[lane].triedAt = now
  }

  /// Tries again to connect a lane whose source is known but heard by the unconnected socket.
  mutating func reconnect(_ lane: Int) {
    guard lanes[lane].connected == nil, lanes[lane].name != nil, now - lanes[lane].triedAt >= Self.retryInterval,
      let source = core.latchedSource(ofLane: lane)
    else { return }
    connect(lane, to: source)
    carryOut()
  }

  private static func token(_ lane: Int, isConnected: Bool) -> UInt32 { UInt32(lane) << 1 | (isConnected ? 1 : 0) }

  private static func setReuse(_ socket: DatagramSocket, _ isOn: Bool) {
    var value: Int32 = isOn ? 1 : 0
    // The kernel reads one word during the call. A refusal shows when the second socket is bound.
    _ = unsafe setsockopt(socket.descriptor, SOL_SOCKET, SO_REUSEADDR, &value, socklen_t(MemoryLayout<Int32>.size))
  }
}
