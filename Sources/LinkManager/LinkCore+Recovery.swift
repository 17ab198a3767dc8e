import CallControl
import MediaRelay
import NetworkTypes
import OrderedCollections
import SIPDialog
import SIPTransaction

/// How long it took until everything was well again: the line's return, the trunks' registrations, the calls' audio.
extension LinkCore {
  /// Somewhat less than what is repeated for 32 s, since the line was gone before that was noticed.
  private static let longOutage = Duration.seconds(28)

  /// The line of an uplink was gone and is back, be it with another address or the same.
  mutating func lineReturned(
    _ uplink: Int, lost: MonotonicInstant, at back: MonotonicInstant, now: MonotonicInstant,
    into actions: inout [LinkAction]
  ) {
    uplinkWell(uplink, now: now)
    cutEnded(uplink, lost: lost, back: back, now: now, into: &actions)
    uplinks[uplink].backAt = back
    if uplinks[uplink].recoveringSince != nil { uplinks[uplink].recoveringSince = back }
    // Where each destination has a row of its own, only the provider can tell whether the router still has its row.
    let isInDoubt = findings(uplink).dependsOnDestination
    for index in trunks.indices where isTrunk(index, on: uplink) {
      var steps: [RegistrationAction] = []
      trunks[index].registration?
        .lineReturned(isBindingInDoubt: isInDoubt, now: now, random: &random, into: &steps)
      perform(steps, trunk: index, now: now, into: &actions)
    }
    if back - lost >= Self.longOutage { repairAfterLongOutage(uplink, now: now, into: &actions) }
    for id in legs(ofUplink: uplink) where leg(id)?.repair != nil {
      advanceRepair(id, now: now, into: &actions)
    }
    sendFarewells(ofUplink: uplink, now: now, into: &actions)
  }

  /// What the transaction layer sends by its timers has gone unanswered so far: the line is looked at.
  mutating func suspectUnanswered(
    _ events: [TransactionEvent], now: MonotonicInstant, into actions: inout [LinkAction]
  ) {
    for event in events {
      guard case .send(let bytes, let path) = event, case .uplink = sockets[path.socket].side else { continue }
      suspect(path.socket, now: now, into: &actions)
      if bytes.starts(with: "INVITE ".utf8) { askTarget(ofUnanswered: path, now: now, into: &actions) }
      watchProviderSilence(path, now: now)
    }
  }

  mutating func suspect(_ socket: Int, now: MonotonicInstant, into actions: inout [LinkAction]) {
    var steps: [UplinkPort.Action] = []
    sockets[socket].stun?.suspected(now: now, random: &random, into: &steps)
    perform(steps, on: socket, now: now, into: &actions)
  }

  func isTrunk(_ index: Int, on uplink: Int) -> Bool {
    trunks[index].socket.map { sockets[$0.rawValue].side == .uplink(uplink) } ?? false
  }

  /// The address changed: from now on, or from the line's return just before, time counts.
  mutating func recoveryBegins(_ uplink: Int, now: MonotonicInstant) {
    let back = uplinks[uplink].backAt.flatMap { now - $0 < .seconds(5) ? $0 : nil }
    uplinks[uplink].recoveringSince = back ?? now
    for id in legs(ofUplink: uplink) where leg(id)?.isConfirmed == true { withLeg(id) { $0.awaitsAudioSince = now } }
  }

  /// Every trunk that was registered has its new contact: the recovery is over.
  mutating func updateRecovery(_ uplink: Int, now: MonotonicInstant, into actions: inout [LinkAction]) {
    guard let since = uplinks[uplink].recoveringSince else { return }
    let waiting = trunks.indices.contains { index in
      trunks[index].configuration.enabled && isTrunk(index, on: uplink) && !isKnown(index, now: now)
    }
    guard !waiting else { return }
    uplinks[uplink].recoveringSince = nil
    actions.append(.measured(.recovery(uplink: uplinks[uplink].configuration.name, now - since)))
  }

  /// Audio is heard again on a leg's port.
  mutating func audioHeard(
    _ media: MediaPortID, _ gap: Duration, now: MonotonicInstant, into actions: inout [LinkAction]
  ) {
    guard let (id, index) = stream(media), let leg = leg(id) else { return }
    withLeg(id) { $0.streams[index]?.isSilent = false }
    guard case .trunk = leg.side else { return }
    withLeg(id) { $0.lastGap = (now, gap) }
    if leg.awaitsAudioSince != nil { measureGap(id, into: &actions) }
  }

  /// What a change of address cost this call. The far end heard us again as soon as the line was back, since audio leaves
  /// without waiting for anything; we heard it when it had found us.
  private mutating func measureGap(_ id: LegID, into actions: inout [LinkAction]) {
    guard let leg = leg(id), let (at, gap) = leg.lastGap else { return }
    withLeg(id) { $0.awaitsAudioSince = nil }
    actions.append(.measured(.audioGap(.incoming, gap)))
    guard case .uplink(let uplink) = sockets[leg.path.socket].side else { return }
    let back = min(uplinks[uplink].backAt ?? at, at)
    actions.append(.measured(.audioGap(.outgoing, max(.zero, gap - (at - back)))))
  }
}
