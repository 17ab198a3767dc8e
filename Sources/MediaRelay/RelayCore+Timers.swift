public import NetworkTypes
import RTP
import STUN

extension RelayCore {
  public mutating func timerFired(now: MonotonicInstant, into actions: inout [RelayAction]) {
    while let slot = deadlines.firstDue(now: now) {
      playDue(slot, now, &actions)
      silenceDue(slot, now, &actions)
      for index in 0..<2 { probeDue(slot, index, now, &actions) }
      if let tellAt = ports[slot].tellAt, tellAt <= now { tellMapping(slot, &actions) }
      countDue(slot, now, &actions)
      reschedule(slot)
    }
  }

  /// Sets the one deadline of the port to the earliest thing that it waits for. Packets that pass only move such things
  /// later, so that it need not be called for them: the port then wakes once in vain.
  mutating func reschedule(_ slot: Int) {
    // Field by field here and below: a copy of the whole port would count references, for every timer of every port.
    guard lanes[2 * slot].isOpen else {
      deadlines.set(slot, at: nil)
      return
    }
    var next = ports[slot].countAt
    if lanes[2 * slot].isPlaying { next = min(next, playDeadline(slot)) }
    if let tellAt = ports[slot].tellAt { next = min(next, tellAt) }
    if lanes[2 * slot].audio == .flowing { next = min(next, silenceDeadline(slot)) }
    if ports[slot].plan != nil { next = min(next, probeDeadline(slot)) }
    deadlines.set(slot, at: next)
  }

  private func playDeadline(_ slot: Int) -> MonotonicInstant {
    ports[slot].player?.nextDeadline ?? ports[slot].countAt
  }

  private func probeDeadline(_ slot: Int) -> MonotonicInstant {
    var next = min(keepaliveDeadline(slot, 0), keepaliveDeadline(slot, 1))
    for index in 0..<2 {
      if let deadline = ports[slot].probes[index].transaction?.nextDeadline { next = min(next, deadline) }
      if ports[slot].plan?.keepsMapping == true { next = min(next, mappingDeadline(slot, index)) }
    }
    return next
  }

  private func silenceDeadline(_ slot: Int) -> MonotonicInstant {
    MonotonicInstant(nanoseconds: lanes[2 * slot].lastAudio) + Self.silenceLimit
  }

  private func keepaliveDeadline(_ slot: Int, _ index: Int) -> MonotonicInstant {
    let last = max(lanes[2 * slot + index].lastSent, ports[slot].probes[index].lastKeepalive)
    let interval = (ports[slot].plan?.keepalive ?? .seconds(10)) - Self.keepaliveMargin
    return MonotonicInstant(nanoseconds: last) + max(interval, .milliseconds(100))
  }

  private func mappingDeadline(_ slot: Int, _ index: Int) -> MonotonicInstant {
    let interval = (ports[slot].plan?.keepalive ?? .seconds(10)) - Self.keepaliveMargin
    return MonotonicInstant(nanoseconds: ports[slot].probes[index].lastToServer) + max(interval, .milliseconds(100))
  }

  private mutating func silenceDue(_ slot: Int, _ now: MonotonicInstant, _ actions: inout [RelayAction]) {
    guard lanes[2 * slot].audio == .flowing, silenceDeadline(slot) <= now else { return }
    lanes[2 * slot].audio = .silent
    disconnect(slot, &actions)
    actions.append(.event(.silent(ports[slot].id)))
  }

  /// Has packets look for their way one by one. A connected socket goes on sending from the address that this machine had
  /// when it was connected, over IPv6 even when that address is gone, and then nobody can answer.
  mutating func disconnect(_ slot: Int, _ actions: inout [RelayAction]) {
    for component in MediaComponent.allCases where lanes[2 * slot + Int(component.rawValue)].latched != nil {
      actions.append(.connect(ports[slot].id, component, nil))
    }
  }

  private mutating func countDue(_ slot: Int, _ now: MonotonicInstant, _ actions: inout [RelayAction]) {
    let countAt = ports[slot].countAt
    guard countAt <= now else { return }
    // After a long sleep one count is enough.
    ports[slot].countAt = max(countAt + pace.counting, now + .milliseconds(1))
    actions.append(.event(.counted(ports[slot].id, counters(slot, now: now))))
  }

  func counters(_ slot: Int, now: MonotonicInstant) -> MediaCounters {
    let lane = lanes[2 * slot]
    var counters = MediaCounters()
    counters.packetsIn = lane.packetsIn
    counters.packetsOut = lane.packetsOut
    counters.octetsIn = lane.octetsIn
    counters.octetsOut = lane.octetsOut
    counters.lostIn = lane.statistics.lost
    counters.jitterMilliseconds = lane.statistics.jitterMilliseconds
    counters.discarded = lane.discarded &+ lanes[2 * slot + 1].discarded
    counters.lastAudioGapMilliseconds =
      lane.audio == .silent
      ? Double(now.nanoseconds &- lane.lastAudio) / 1e6 : ports[slot].lastGapMilliseconds
    return counters
  }

  mutating func playDue(_ slot: Int, _ now: MonotonicInstant, _ actions: inout [RelayAction]) {
    guard lanes[2 * slot].isOpen, var player = ports[slot].player else { return }
    while player.nextDeadline <= now {
      let packet = player.nextPacket(now: now)
      guard let target = lanes[2 * slot].target else { continue }
      actions.append(.send(packet, ports[slot].id, .rtp, to: target))
      lanes[2 * slot].packetSent(packet.count, at: now)
    }
    ports[slot].player = player
  }

  /// A repetition of a probe, its end, or a new one because nothing else left.
  private mutating func probeDue(_ slot: Int, _ index: Int, _ now: MonotonicInstant, _ actions: inout [RelayAction]) {
    guard lanes[2 * slot].isOpen, let plan = ports[slot].plan else { return }
    if keepaliveDeadline(slot, index) <= now {
      startProbe(slot, index, interval: Self.probeInterval * 5, now, &actions)
      // RFC 6263: what filters by address has to see packets for the media peer too, a STUN server's answers do not count.
      if plan.keepsPeer { sendOpening(slot, MediaComponent.allCases[index], now, &actions) }
      return
    }
    if plan.keepsMapping, mappingDeadline(slot, index) <= now {
      // RFC 6263 §4.1: an empty packet, which is no STUN and which nobody answers.
      actions.append(.send([], ports[slot].id, MediaComponent.allCases[index], to: plan.server))
      ports[slot].probes[index].lastToServer = now.nanoseconds
    }
    guard let deadline = ports[slot].probes[index].transaction?.nextDeadline, deadline <= now else { return }
    switch ports[slot].probes[index].transaction?.timerFired(now: now) {
    case .send(let request):
      actions.append(.send(request, ports[slot].id, MediaComponent.allCases[index], to: plan.server))
      ports[slot].probes[index].lastKeepalive = now.nanoseconds
      ports[slot].probes[index].lastToServer = now.nanoseconds
    case .timedOut: ports[slot].probes[index].transaction = nil
    case .some(.none), nil: break
    }
  }

  mutating func startProbes(
    _ slot: Int, interval: Duration, _ now: MonotonicInstant, _ actions: inout [RelayAction]
  ) {
    for index in 0..<2 { startProbe(slot, index, interval: interval, now, &actions) }
  }

  mutating func startProbe(
    _ slot: Int, _ index: Int, interval: Duration, _ now: MonotonicInstant, _ actions: inout [RelayAction]
  ) {
    guard lanes[2 * slot].isOpen, let plan = ports[slot].plan else { return }
    let transaction = BindingTransaction(
      server: plan.server, transactionID: STUNMessage.randomTransactionID(&random), rto: interval, now: now,
      attributes: plan.isFromElsewhere
        ? [.changeRequest(STUNChangeRequest(changeIP: true, changePort: true))] : [])
    actions.append(.send(transaction.request, ports[slot].id, MediaComponent.allCases[index], to: plan.server))
    ports[slot].probes[index].transaction = transaction
    ports[slot].probes[index].lastKeepalive = now.nanoseconds
    ports[slot].probes[index].lastToServer = now.nanoseconds
  }

  /// The packets that open the way in for a peer: an empty RTP packet (RFC 6263 §4.1) and an empty receiver report.
  mutating func sendOpening(_ slot: Int, _ now: MonotonicInstant, _ actions: inout [RelayAction]) {
    for component in MediaComponent.allCases { sendOpening(slot, component, now, &actions) }
  }

  private mutating func sendOpening(
    _ slot: Int, _ component: MediaComponent, _ now: MonotonicInstant, _ actions: inout [RelayAction]
  ) {
    guard let target = lanes[2 * slot + Int(component.rawValue)].target else { return }
    let port = ports[slot]
    let packet: [UInt8]
    switch component {
    case .rtp:
      packet =
        RTPHeader(
          payloadType: port.openingPayloadType, sequence: port.openingSequence, timestamp: 0, ssrc: port.ssrc
        ).encoded()
      ports[slot].openingSequence &+= 1
    case .rtcp: packet = RTCPReport(ssrc: port.ssrc).encoded() + Self.sourceDescription(port.ssrc)
    }
    actions.append(.send(packet, port.id, component, to: target))
    ports[slot].probes[Int(component.rawValue)].lastKeepalive = now.nanoseconds
  }

  /// A source description with a canonical name, which a compound has to hold (RFC 3550 §6.1); the name says nothing.
  private static func sourceDescription(_ ssrc: UInt32) -> [UInt8] {
    let name = String(ssrc, radix: 16)
    var item: [UInt8] = [1, UInt8(name.utf8.count)] + Array(name.utf8) + [0]
    while item.count % 4 != 0 { item.append(0) }
    var packet: [UInt8] = [0x81, 202]
    packet.append(bigEndian: UInt16(1 + item.count / 4))
    packet.append(bigEndian: ssrc)
    return packet + item
  }
}
