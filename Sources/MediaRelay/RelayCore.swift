public import NetworkTypes
import STUN

/// All media ports of one thread: what leaves them, whom they listen to, and what signalling is told.
///
/// It holds no socket. A shell gives it packets, moments and commands, and carries out its actions; the simulator does
/// the same. Packets of a known source take a short way, ``relayVerdict(_:lane:now:)``, on which nothing is allocated.
public struct RelayCore: Sendable {
  /// After this long without audio a port is reported as silent.
  public static let silenceLimit = Duration.milliseconds(300)
  /// A keepalive leaves this much before the longest allowed silence is over, since shells wake late.
  static let keepaliveMargin = Duration.milliseconds(20)
  /// The first repetition of a probe: media waits for its mapping, and its servers are near.
  static let probeInterval = Duration.milliseconds(100)
  /// How long the mapping of RTP waits for that of RTCP.
  static let pairingGrace = Duration.milliseconds(60)

  var random: RandomSource
  /// By slot; a slot that is free holds ``RelayPort/vacant``.
  var ports: [RelayPort] = []
  /// Two for each slot, RTP and RTCP.
  var lanes: [RelayLane] = []
  private var slots: [MediaPortID: Int] = [:]
  private var freeSlots: [Int] = []
  var deadlines = DeadlineHeap()
  let pace: RelayPace

  public init(random: RandomSource, pace: RelayPace = .live) {
    self.random = random
    self.pace = pace
  }

  /// When ``timerFired(now:into:)`` has to be called next.
  public var nextDeadline: MonotonicInstant? { deadlines.nextDeadline }

  /// How many ports are open or being opened.
  public var portCount: Int { slots.count }

  /// The number by which ``relayVerdict(_:lane:now:)`` knows a socket, as long as the port is open.
  public func lane(of id: MediaPortID, _ component: MediaComponent) -> Int? {
    slots[id].map { 2 * $0 + Int(component.rawValue) }
  }

  /// The far end that packets of that lane go to; `nil` when they go nowhere now.
  public func target(ofLane lane: Int) -> Endpoint? { lanes[lane].target }

  func slot(of id: MediaPortID) -> Int? { slots[id] }

  public mutating func apply(_ command: MediaCommand, now: MonotonicInstant, into actions: inout [RelayAction]) {
    switch command {
    case .open(let id, let local, let plan): open(id, local, plan, now, &actions)
    case .close(let id): if let slot = slots[id] { close(slot, now, &actions) }
    case .couple(let left, let right): couple(left, right)
    case .setPeer(let id, let peer, let payloadType):
      if let slot = slots[id] { setPeer(slot, peer, payloadType, now, &actions) }
    case .setSTUN(let id, let plan): if let slot = slots[id] { setPlan(slot, plan, now, &actions) }
    case .play(let id, let source, let payloadType):
      if let slot = slots[id] { play(slot, source, payloadType, now, &actions) }
    case .record(let id, let isOn): if let slot = slots[id] { record(slot, isOn, &actions) }
    }
  }

  /// The shell bound a socket that it was asked for.
  public mutating func socketOpened(
    _ id: MediaPortID, _ component: MediaComponent, now: MonotonicInstant, into actions: inout [RelayAction]
  ) {
    guard let slot = slots[id], !ports[slot].isOpen else { return }
    ports[slot].isBound[Int(component.rawValue)] = true
    guard ports[slot].isOpen else { return }
    for component in MediaComponent.allCases { lanes[2 * slot + Int(component.rawValue)].isOpen = true }
    actions.append(.event(.opened(id)))
    startProbes(slot, interval: Self.probeInterval, now, &actions)
    sendOpening(slot, now, &actions)
    reschedule(slot)
  }

  /// The system refused a socket: the port is given up. `reason` is for people.
  public mutating func openFailed(
    _ id: MediaPortID, _ component: MediaComponent, reason: String, into actions: inout [RelayAction]
  ) {
    guard let slot = slots[id], !ports[slot].isOpen else { return }
    for other in MediaComponent.allCases where ports[slot].isBound[Int(other.rawValue)] {
      actions.append(.closeSocket(id, other))
    }
    remove(slot)
    actions.append(.event(.openFailed(id, reason: reason)))
  }

  private mutating func open(
    _ id: MediaPortID, _ local: Endpoint, _ plan: MediaSTUNPlan?, _ now: MonotonicInstant,
    _ actions: inout [RelayAction]
  ) {
    guard slots[id] == nil else { return }
    guard local.port < .max else {
      actions.append(.event(.openFailed(id, reason: "no port after \(local.port) is left for RTCP")))
      return
    }
    let slot = freeSlots.popLast() ?? ports.count
    if slot == ports.count {
      ports.append(.vacant)
      lanes += MediaComponent.allCases.map { RelayLane($0) }
    }
    slots[id] = slot
    ports[slot] = RelayPort(id: id, local: local, plan: plan, random: &random, now: now)
    ports[slot].countAt = now + pace.counting
    for component in MediaComponent.allCases { lanes[2 * slot + Int(component.rawValue)] = RelayLane(component) }
    actions.append(.openSocket(id, .rtp, local: local))
    actions.append(.openSocket(id, .rtcp, local: Endpoint(local.address, port: local.port + 1)))
    reschedule(slot)
  }

  private mutating func close(_ slot: Int, _ now: MonotonicInstant, _ actions: inout [RelayAction]) {
    record(slot, false, &actions)
    let port = ports[slot]
    for component in MediaComponent.allCases where port.isBound[Int(component.rawValue)] {
      actions.append(.closeSocket(port.id, component))
    }
    if port.isOpen { actions.append(.event(.counted(port.id, counters(slot, now: now)))) }
    remove(slot)
  }

  private mutating func remove(_ slot: Int) {
    uncouple(slot)
    slots[ports[slot].id] = nil
    ports[slot] = .vacant
    for component in MediaComponent.allCases { lanes[2 * slot + Int(component.rawValue)] = RelayLane(component) }
    deadlines.set(slot, at: nil)
    freeSlots.append(slot)
  }

  private mutating func couple(_ left: MediaPortID, _ right: MediaPortID) {
    guard let left = slots[left], let right = slots[right] else { return }
    uncouple(left)
    uncouple(right)
    lanes[2 * left].coupled = 2 * right
    lanes[2 * right].coupled = 2 * left
    // An echo of control packets would report our peer's own stream to it.
    guard left != right else { return }
    lanes[2 * left + 1].coupled = 2 * right + 1
    lanes[2 * right + 1].coupled = 2 * left + 1
  }

  private mutating func uncouple(_ slot: Int) {
    for lane in [2 * slot, 2 * slot + 1] {
      let other = lanes[lane].coupled
      if other >= 0 { lanes[other].coupled = -1 }
      lanes[lane].coupled = -1
    }
  }

  private mutating func setPeer(
    _ slot: Int, _ peer: MediaPeer, _ payloadType: UInt8, _ now: MonotonicInstant, _ actions: inout [RelayAction]
  ) {
    for lane in [2 * slot, 2 * slot + 1] {
      setPeer(lane: lane, lane == 2 * slot ? peer.rtp : peer.rtcp, peer.latching, &actions)
      lanes[lane].latchesOnce = peer.latchesOnce
      if peer.latchesOnce, lanes[lane].latched != nil {
        lanes[lane].latched = nil
        actions.append(.connect(ports[slot].id, lanes[lane].component, nil))
      }
    }
    ports[slot].openingPayloadType = payloadType & 0x7f
    sendOpening(slot, now, &actions)
    reschedule(slot)
  }

  /// A peer that moved is latched anew; one that is only put on hold, or that says the same again, stays latched.
  private mutating func setPeer(
    lane: Int, _ endpoint: Endpoint?, _ allowsLatching: Bool, _ actions: inout [RelayAction]
  ) {
    let before = lanes[lane]
    lanes[lane].hasPeer = true
    lanes[lane].allowsLatching = allowsLatching
    lanes[lane].signalled = endpoint
    if endpoint != nil { lanes[lane].lastSignalled = endpoint }
    let moved = endpoint != nil && before.lastSignalled != nil && endpoint != before.lastSignalled
    let isStranger = !allowsLatching && before.latched?.address != endpoint?.address
    guard before.latched != nil, moved || isStranger else { return }
    lanes[lane].latched = nil
    actions.append(.connect(ports[lane / 2].id, lanes[lane].component, nil))
  }

  private mutating func setPlan(
    _ slot: Int, _ plan: MediaSTUNPlan?, _ now: MonotonicInstant, _ actions: inout [RelayAction]
  ) {
    ports[slot].plan = plan
    // Whoever sets a plan wants to hear what it finds, be it what was known.
    for index in 0..<2 { ports[slot].probes[index] = RelayPort.Probe() }
    ports[slot].toldRTP = nil
    ports[slot].toldRTCP = nil
    ports[slot].tellAt = nil
    // Nor is the way of its packets certain.
    disconnect(slot, &actions)
    startProbes(slot, interval: Self.probeInterval, now, &actions)
    reschedule(slot)
  }

  private mutating func play(
    _ slot: Int, _ source: MediaSource?, _ payloadType: UInt8, _ now: MonotonicInstant,
    _ actions: inout [RelayAction]
  ) {
    if let source {
      // A source of its own, so that a relayed stream before it and after it is not taken for the same one.
      let ssrc = UInt32(truncatingIfNeeded: random.next())
      ports[slot].player = RTPPlayer(
        source, payloadType: payloadType & 0x7f, ssrc: ssrc, interval: pace.playing, random: &random, now: now)
    } else {
      ports[slot].player = nil
    }
    lanes[2 * slot].isPlaying = source != nil
    playDue(slot, now, &actions)
    reschedule(slot)
  }

  private mutating func record(_ slot: Int, _ isOn: Bool, _ actions: inout [RelayAction]) {
    guard (ports[slot].recorder != nil) != isOn else { return }
    if let recorder = ports[slot].recorder {
      actions.append(.event(.recorded(ports[slot].id, samples: recorder.samples)))
    }
    ports[slot].recorder = isOn ? RTPRecorder() : nil
    lanes[2 * slot].isRecording = isOn
  }
}
