import CallControl
import MediaRelay
import NetworkTypes
import OrderedCollections
import SDP
import SIPTransaction

/// Calls in which somebody hears nothing: who, and why as far as it shows.
extension LinkCore {
  /// How long an answered call is given until its silence is a finding.
  private static let patience = Duration.seconds(6)

  /// A call was answered: whether both sides are heard is looked at after a while.
  mutating func watchAudio(of call: UInt64, now: MonotonicInstant) {
    timers.set(.audio(call: call), at: now + Self.patience)
    // Early media proves nothing of what comes later.
    for leg in calls[call]?.legs ?? [] { withLeg(leg.id) { $0.packetsBeforeAnswer = $0.packetsIn } }
  }

  /// What comes from a leg ought to be heard, and nothing has come since the answer.
  private func isMute(_ leg: Leg) -> Bool {
    guard !leg.isEnded, leg.packetsIn == leg.packetsBeforeAnswer, let description = leg.remoteDescription,
      let index = description.firstAudioIndex, leg.streams.indices.contains(index), let stream = leg.streams[index]
    else { return false }
    return stream.isOpen && description.rtpEndpoint(index) != nil && description.direction(index).sends
  }

  /// Behind a NAT that gives each destination another mapping, and without a port mapping, only a far end that sends to
  /// where audio comes from is heard.
  private func isOutOfReach(_ leg: Leg) -> Bool {
    guard case .trunk = leg.side, strategy(of: LinkSocket(leg.path.socket))?.reach == .latching,
      let index = leg.remoteDescription?.firstAudioIndex, let stream = leg.streams[index]
    else { return false }
    return mappedEndpoint(of: stream, on: leg.path.socket) == nil
  }

  mutating func judgeAudio(of number: UInt64, now: MonotonicInstant, into actions: inout [LinkAction]) {
    guard let call = calls[number], call.machine.phase != .ended, call.answeredAt != nil, call.coupled.count == 2,
      let left = leg(call.coupled[0]), let right = leg(call.coupled[1])
    else { return }
    // A leg that is being moved to another address is silent for that reason.
    guard left.repair == nil, right.repair == nil else { return watchAudio(of: number, now: now) }
    let mute = [left, right].filter { isMute($0) }
    guard let first = mute.first else { return }
    let counts = [left, right].map {
      "\($0.packetsIn == $0.packetsBeforeAnswer ? "nothing" : "sound") came from \(place(of: $0.side))"
    }
    let evidence = counts.joined(separator: ", ") + " in \(Self.patience.nanoseconds / 1_000_000_000) s"
    let code: VerdictCode
    if mute.count == 2 {
      code = .noAudio
    } else if isOutOfReach(first) {
      code = .audioUnreachable
    } else if case .trunk = first.side {
      code = .oneWayAudioIn
    } else {
      code = .oneWayAudioOut
    }
    tell(code, of: .call(number), evidence: evidence, now: now, into: &actions)
  }

  func place(of side: LegSide) -> String {
    switch side {
    case .trunk: "the far end"
    case .station(let name): name
    }
  }
}
