import MediaRelay
import NetworkTypes
import STUN

/// The doctor's media ports: a spread over all of `media.ports`, past those that calls have. Each asks STUN from itself, and
/// one of those that are answered asks for a stranger's packet.
extension LinkCore {
  /// How many media ports the doctor has now.
  var doctorMediaPorts: Int { doctor?.media.count { $0.stage != .over } ?? 0 }

  /// A call needs a media port and none is left, or the run ends: the doctor gives up those that it has.
  mutating func yieldDoctorMedia(now: MonotonicInstant, into actions: inout [LinkAction]) {
    guard doctorMediaPorts > 0, let media = doctor?.media else { return }
    for place in media.indices {
      if media[place].mapped == nil { doctor?.media[place].isOpen = false }
      closeMedia(place, into: &actions)
    }
    timers.set(.doctor, at: now)
  }

  mutating func advanceMedia(isLate: Bool, now: MonotonicInstant, into actions: inout [LinkAction]) {
    guard let run = doctor else { return }
    for (place, uplink) in run.uplinks.enumerated() where !uplink.isMediaBegun && !uplink.sockets.isEmpty {
      let own = run.probes.filter { $0.isBinding && $0.owner == place }
      let answering = own.first { $0.binding?.mappedAddress != nil }
      let isDecided = own.allSatisfy(\.isOver) && uplink.begun.count == uplink.servers.count
      let wanted = portLedger.spread(DoctorRun.mostMediaPorts)
      // In a narrow range one uplink waits for the other.
      let hasRoom = portLedger.capacity - portLedger.inUse >= wanted.count || doctorMediaPorts == 0
      guard answering != nil || isDecided, hasRoom else { continue }
      doctor?.uplinks[place].isMediaBegun = true
      for port in wanted {
        doctor?.media.append(
          DoctorMedia(
            uplink: place, wanted: port, server: answering?.remote, deadline: now + DoctorRun.mediaPatience))
        openMedia((doctor?.media.count ?? 1) - 1, now: now, into: &actions)
      }
    }
    for place in doctor?.media.indices ?? 0..<0 { moveMediaOn(place, isLate: isLate, now: now, into: &actions) }
  }

  private mutating func openMedia(_ place: Int, now: MonotonicInstant, into actions: inout [LinkAction]) {
    guard let run = doctor else { return }
    let media = run.media[place]
    let uplink = run.uplinks[media.uplink]
    let tried = run.media.filter { $0.uplink == media.uplink }.flatMap { [$0.port] + $0.refusals.map(\.port) }
    guard media.refusals.count < DoctorRun.mostRefusals, let port = portLedger.take(near: media.wanted, butNot: tried)
    else {
      doctor?.media[place].stage = .over
      return
    }
    repeat { lastMediaPort = lastMediaPort % 999_999 + 1 } while mediaOwners[MediaPortID(lastMediaPort)] != nil
    doctor?.media[place].id = lastMediaPort
    doctor?.media[place].port = port
    let socket = uplink.sockets.first { media.server == nil || $0.local.address.isV4 == media.server?.address.isV4 }
    let bound = socket?.local.address ?? .anyV4
    let plan = media.server.map { Self.doctorPlan($0) }
    actions.append(.media(.open(MediaPortID(lastMediaPort), local: Endpoint(bound, port: port), stun: plan)))
  }

  private static func doctorPlan(_ server: Endpoint, isFromElsewhere: Bool = false) -> MediaSTUNPlan {
    MediaSTUNPlan(server: server, keepalive: .seconds(10), keepsPeer: false, isFromElsewhere: isFromElsewhere)
  }

  private mutating func moveMediaOn(
    _ place: Int, isLate: Bool, now: MonotonicInstant, into actions: inout [LinkAction]
  ) {
    guard let run = doctor else { return }
    let media = run.media[place]
    let uplink = run.uplinks[media.uplink]
    let isDue = isLate || media.deadline <= now
    switch media.stage {
    case .asking where media.isAnswered || isDue:
      guard media.mapped != nil, uplink.witness == nil, !isLate else { return closeMedia(place, into: &actions) }
      doctor?.uplinks[media.uplink].witness = place
      doctor?.media[place].stage = .waiting
      doctor?.media[place].deadline = run.startedAt + DoctorRun.limit
      moveMediaOn(place, isLate: isLate, now: now, into: &actions)
    case .waiting where uplink.isForwardBegun || isDue:
      guard let server = uplink.stranger?.server, server.address.isV4 == media.server?.address.isV4, !isDue else {
        return closeMedia(place, into: &actions)
      }
      doctor?.media[place].stage = .askingElsewhere
      doctor?.media[place].deadline = now + DoctorRun.strangerPatience
      doctor?.media[place].hearsStrangers = false
      doctor?.note("media port \(media.port) asks \(server) for an answer from elsewhere", now: now)
      actions.append(
        .media(.setSTUN(MediaPortID(media.id), Self.doctorPlan(server, isFromElsewhere: true))))
    case .askingElsewhere where media.hearsStrangers == true || isDue: closeMedia(place, into: &actions)
    case .asking, .waiting, .askingElsewhere, .over: break
    }
  }

  mutating func closeMedia(_ place: Int, into actions: inout [LinkAction]) {
    guard let media = doctor?.media[place], media.stage != .over else { return }
    doctor?.media[place].stage = .over
    portLedger.giveBack(media.port)
    actions.append(.media(.close(MediaPortID(media.id))))
  }

  /// What a media port tells: true where it is one that the doctor opened.
  mutating func doctorMediaReceived(
    _ event: MediaEvent, now: MonotonicInstant, into actions: inout [LinkAction]
  ) -> Bool {
    if doctorCallReceived(event, now: now, into: &actions) { return true }
    guard let place = doctor?.media.firstIndex(where: { $0.id == event.port.rawValue && $0.stage != .over }),
      let media = doctor?.media[place]
    else { return false }
    switch event {
    case .opened: doctor?.media[place].isOpen = true
    case .openFailed(_, let reason):
      portLedger.markUnusable(media.port)
      doctor?.media[place].refusals.append((media.port, reason.escapedForLog(limit: 80)))
      doctor?.media[place].port = 0
      openMedia(place, now: now, into: &actions)
    case .mapped where media.stage == .askingElsewhere:
      doctor?.media[place].hearsStrangers = true
      doctor?.note("an answer from elsewhere came to media port \(media.port)", now: now)
    case .mapped(_, let rtp, let rtcp):
      doctor?.media[place].mapped = rtp
      doctor?.media[place].isControlMapped = rtcp != nil
      doctor?.note("media port \(media.port) is seen at \(rtp)", now: now)
      doctor?.name(rtp.address.description)
    case .counted, .heard, .latched, .recorded, .silent: return true
    }
    advanceDoctor(now: now, into: &actions)
    return true
  }
}
