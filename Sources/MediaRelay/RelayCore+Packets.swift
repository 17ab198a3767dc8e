public import NetworkTypes
import RTP
import STUN

extension RelayCore {
  /// The short way of a packet whose source is the latched one of its lane: a shell with a socket connected to that source
  /// asks this for each packet. Nothing is allocated and no reference counted.
  ///
  /// - Returns: `relay` when the packet is to be sent as it is to ``target(ofLane:)`` of another lane; it is then already
  ///   counted as received. `undecided` when ``packetReceived(_:from:on:component:now:into:)`` has to see it; then nothing
  ///   has happened yet.
  public mutating func relayVerdict(_ bytes: Span<UInt8>, lane: Int, now: MonotonicInstant) -> RelayVerdict {
    let other = lanes[lane].coupled
    guard bytes.count >= 8, other >= 0, lanes[lane].latched != nil, !lanes[other].isPlaying,
      lanes[other].target != nil
    else { return .undecided }
    switch (PacketKind.classify(first: bytes[0], second: bytes[1], count: bytes.count), lanes[lane].component) {
    case (.rtp, .rtp):
      // More than a header, or it is no audio; a new SSRC, the end of a silence and a recording are for the long way.
      guard bytes.count > 12, lanes[lane].audio == .flowing, !lanes[lane].isRecording,
        RelayLane.ssrc(bytes, .rtp) == lanes[lane].latchedSSRC
      else { return .undecided }
      lanes[lane].lastAudio = now.nanoseconds
    case (.rtcp, .rtcp): break
    default: return .undecided
    }
    lanes[lane].packetAccepted(bytes, at: now)
    return .relay(toLane: other)
  }

  /// The shell sent a packet of `count` bytes on `lane`, as ``relayVerdict(_:lane:now:)`` had said.
  public mutating func packetRelayed(_ count: Int, lane: Int, now: MonotonicInstant) {
    lanes[lane].packetSent(count, at: now)
  }

  /// The source whose packets the lane accepts now.
  public func latchedSource(ofLane lane: Int) -> Endpoint? { lanes[lane].latched }

  /// A packet came to a socket of a port. See ``MediaCommand`` for what may become of it.
  public mutating func packetReceived(
    _ bytes: Span<UInt8>, from source: Endpoint, on id: MediaPortID, component: MediaComponent,
    now: MonotonicInstant, into actions: inout [RelayAction]
  ) {
    guard let slot = slot(of: id) else { return }
    let lane = 2 * slot + Int(component.rawValue)
    guard lanes[lane].isOpen else { return }
    switch PacketHandling(PacketKind.classify(bytes), on: component) {
    case .media, .control: streamPacketReceived(bytes, source, slot, lane, now, &actions)
    case .stunAnswer: stunReceived(bytes, source, slot, component, now, &actions)
    case .passFromKnown:
      if source == lanes[lane].latched || source == lanes[lane].signalled {
        forward(bytes, from: lane, now, &actions)
      } else {
        lanes[lane].discarded &+= 1
      }
    case .discard: lanes[lane].discarded &+= 1
    }
  }

  private mutating func streamPacketReceived(
    _ bytes: Span<UInt8>, _ source: Endpoint, _ slot: Int, _ lane: Int, _ now: MonotonicInstant,
    _ actions: inout [RelayAction]
  ) {
    let component = lanes[lane].component
    let header = component == .rtp ? RTPHeader.decode(bytes) : nil
    let id = ports[slot].id
    guard component == .rtcp || header != nil else {
      lanes[lane].discarded &+= 1
      return
    }
    let ssrc = RelayLane.ssrc(bytes, component)
    let trusted = component == .rtcp ? lanes[2 * slot].latched?.address : nil
    switch lanes[lane].judge(source, ssrc: ssrc, trusted: trusted, now: now) {
    case .discard:
      lanes[lane].discarded &+= 1
      return
    case .accept: break
    case .latch:
      lanes[lane].latched = source
      actions.append(.connect(id, component, source))
      if component == .rtp { actions.append(.event(.latched(id, source))) }
    }
    lanes[lane].latchedSSRC = ssrc
    lanes[lane].packetAccepted(bytes, at: now)
    if let header, header.payloadLength > 0 {
      audioReceived(slot, lane, now, &actions)
      ports[slot].recorder?.packetReceived(header, bytes, now: now)
    }
    // An echo of an empty packet could go round between two echoes for ever.
    if header?.payloadLength == 0 && lanes[lane].coupled == lane { return }
    forward(bytes, from: lane, now, &actions)
  }

  private mutating func audioReceived(
    _ slot: Int, _ lane: Int, _ now: MonotonicInstant, _ actions: inout [RelayAction]
  ) {
    let before = lanes[lane].audio
    let previous = lanes[lane].lastAudio
    lanes[lane].lastAudio = now.nanoseconds
    lanes[lane].audio = .flowing
    if before == .silent {
      let gap = now - MonotonicInstant(nanoseconds: previous)
      ports[slot].lastGapMilliseconds = Double(gap.nanoseconds) / 1e6
      actions.append(.event(.heard(ports[slot].id, gap: gap)))
    }
    if before != .flowing { reschedule(slot) }
  }

  private mutating func forward(
    _ bytes: Span<UInt8>, from lane: Int, _ now: MonotonicInstant, _ actions: inout [RelayAction]
  ) {
    let other = lanes[lane].coupled
    guard other >= 0, !lanes[other].isPlaying, let target = lanes[other].target else { return }
    var copy: [UInt8] = []
    copy.reserveCapacity(bytes.count)
    for index in bytes.indices { copy.append(bytes[index]) }
    actions.append(.send(copy, ports[other / 2].id, lanes[other].component, to: target))
    lanes[other].packetSent(bytes.count, at: now)
  }

  private mutating func stunReceived(
    _ bytes: Span<UInt8>, _ source: Endpoint, _ slot: Int, _ component: MediaComponent, _ now: MonotonicInstant,
    _ actions: inout [RelayAction]
  ) {
    let index = Int(component.rawValue)
    var asked = source
    if let plan = ports[slot].plan, plan.isFromElsewhere {
      asked = source.address == plan.server.address ? Endpoint(.anyV4, port: 0) : plan.server
    }
    guard let message = try? STUNMessage(decoding: bytes),
      let result = ports[slot].probes[index].transaction?.responseReceived(message, from: asked)
    else {
      lanes[2 * slot + index].discarded &+= 1
      return
    }
    switch result {
    case .mapped(let endpoint, _):
      let before = ports[slot].probes[index].mapped
      ports[slot].probes[index].mapped = endpoint
      ports[slot].probes[index].transaction = nil
      let other = ports[slot].probes[1 - index].mapped
      if let before, before.address != endpoint.address, other?.address == before.address {
        // The line is another one: what the other socket knows is void, and is not told any more.
        ports[slot].probes[1 - index].mapped = nil
        if ports[slot].probes[1 - index].transaction == nil {
          startProbe(slot, 1 - index, interval: Self.probeInterval, now, &actions)
        }
      } else if before != nil, before != endpoint {
        probeOther(slot, 1 - index, now, &actions)
      }
      mappingLearned(slot, now, &actions)
    case .failed: ports[slot].probes[index].transaction = nil
    case .ignored: lanes[2 * slot + index].discarded &+= 1
    }
    reschedule(slot)
  }

  /// Where the mapping of one socket changed, that of the other did too, most likely; not asked more than once a second,
  /// since there are NATs that never give the same mapping twice.
  private mutating func probeOther(
    _ slot: Int, _ index: Int, _ now: MonotonicInstant, _ actions: inout [RelayAction]
  ) {
    let probe = ports[slot].probes[index]
    guard probe.transaction == nil,
      now.nanoseconds &- probe.lastKeepalive > 1_000_000_000
    else { return }
    startProbe(slot, index, interval: Self.probeInterval, now, &actions)
  }

  /// Tells signalling at once when both sockets are known, and otherwise gives RTCP a moment.
  private mutating func mappingLearned(_ slot: Int, _ now: MonotonicInstant, _ actions: inout [RelayAction]) {
    let port = ports[slot]
    guard let rtp = port.probes[0].mapped else { return }
    let isComplete = port.probes[1].mapped != nil && port.probes.allSatisfy { $0.transaction == nil }
    if isComplete {
      tellMapping(slot, &actions)
    } else if rtp != port.toldRTP || port.probes[1].mapped != port.toldRTCP {
      if port.tellAt == nil { ports[slot].tellAt = now + Self.pairingGrace }
    }
  }

  mutating func tellMapping(_ slot: Int, _ actions: inout [RelayAction]) {
    ports[slot].tellAt = nil
    let port = ports[slot]
    guard let rtp = port.probes[0].mapped else { return }
    let rtcp = port.probes[1].mapped
    guard rtp != port.toldRTP || rtcp != port.toldRTCP else { return }
    ports[slot].toldRTP = rtp
    ports[slot].toldRTCP = rtcp
    actions.append(.event(.mapped(port.id, rtp: rtp, rtcp: rtcp)))
  }
}
