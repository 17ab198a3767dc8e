import CallControl
import MediaRelay
import NetworkTypes
import OrderedCollections
import SIPDialog
import SIPTransaction

/// Several uplinks: whose line is lost gives its trunks and their calls to the next one, and gets them back when it has been
/// well for a while. Where there is one only, nothing of this happens.
extension LinkCore {
  /// How long a line has to be lost.
  private static let failOverTime = Duration.milliseconds(800)
  /// How long it has to be well, the first time; it doubles with each further time within ``restlessTime``.
  private static let failBackTime = Duration.seconds(1)
  private static let longestFailBack = Duration.seconds(60)
  private static let restlessTime = Duration.seconds(600)
  private static let hostPause = Duration.seconds(1)

  /// The names of a trunk's uplinks in the order in which they are to be tried now: those that are lost come last.
  func uplinkOrder(ofTrunk index: Int) -> [String] {
    let wanted = trunks[index].configuration.uplinks
    let names = wanted.isEmpty ? uplinks.map(\.configuration.name) : wanted
    guard uplinks.contains(where: \.isDown) else { return names }
    let lost = uplinks.filter(\.isDown).map(\.configuration.name)
    return names.filter { !lost.contains($0) } + names.filter { lost.contains($0) }
  }

  /// Nothing that leaves a port is answered any more.
  mutating func lineLost(
    _ uplink: Int, _ socket: Int, since: MonotonicInstant, now: MonotonicInstant, into actions: inout [LinkAction]
  ) {
    uplinks[uplink].troubleAt = now
    watchDeadState(socket, now: now)
    timers.cancel(.failBack(uplink: uplink))
    if uplinks.count > 1 { timers.set(.failOver(uplink: uplink), at: max(now, since + Self.failOverTime)) }
  }

  mutating func failOverDue(_ uplink: Int, now: MonotonicInstant, into actions: inout [LinkAction]) {
    guard isLost(uplink), !uplinks[uplink].isDown, !isStopping else { return }
    let affected = trunks.indices.filter { isTrunk($0, on: uplink) && trunks[$0].configuration.enabled }
    uplinks[uplink].isDown = true
    let moving = affected.filter { index in
      guard let path = route(ofTrunk: index), case .uplink(let other) = sockets[path.socket].side else { return false }
      return other != uplink && isMappingSettled(LinkSocket(path.socket)) && !isLost(other)
    }
    guard !moving.isEmpty else {
      // Nobody else is well either.
      uplinks[uplink].isDown = false
      return timers.set(.failOver(uplink: uplink), at: now + .seconds(1))
    }
    let isRestless = uplinks[uplink].failedOverAt.map { now - $0 < Self.restlessTime } ?? false
    uplinks[uplink].failOvers = isRestless ? uplinks[uplink].failOvers + 1 : 0
    uplinks[uplink].failedOverAt = now
    tell(
      .uplinkLost, of: .uplink(uplink),
      evidence: "no STUN server and no provider answered for \(Self.failOverTime.nanoseconds / 1_000_000) ms",
      again: .zero, now: now, into: &actions)
    for index in moving { advanceTrunk(index, now: now, into: &actions) }
    actions.append(.statusChanged)
  }

  private func isLost(_ uplink: Int) -> Bool {
    sockets.contains { $0.side == .uplink(uplink) && $0.isInUse && $0.stun?.lostSince != nil }
  }

  /// A port of the uplink is answered again.
  mutating func uplinkWell(_ uplink: Int, now: MonotonicInstant) {
    timers.cancel(.failOver(uplink: uplink))
    guard uplinks[uplink].isDown else { return }
    let factor = 1 << min(uplinks[uplink].failOvers, 6)
    uplinks[uplink].failBackAt = now + min(Self.failBackTime * factor, Self.longestFailBack)
    timers.set(.failBack(uplink: uplink), at: now + Self.failBackTime)
  }

  mutating func failBackDue(_ uplink: Int, now: MonotonicInstant, into actions: inout [LinkAction]) {
    guard uplinks[uplink].isDown, !isLost(uplink), !isStopping else { return }
    if let moment = uplinks[uplink].failBackAt, now < moment {
      // What was well a second ago need not be: it is asked meanwhile, and silence ends this.
      changeAnnounced(uplink, now: now, into: &actions)
      return timers.set(.failBack(uplink: uplink), at: now + Self.failBackTime)
    }
    uplinks[uplink].isDown = false
    actions.append(
      .log(.notice, "uplink \(uplinks[uplink].configuration.name) is well again and has its trunks back"))
    for index in trunks.indices { advanceTrunk(index, now: now, into: &actions) }
    actions.append(.statusChanged)
  }

  // MARK: Calls

  /// A trunk sends from another socket: its calls follow, with media ports of their own.
  mutating func moveLegs(
    ofTrunk trunk: Int, to path: SIPPath, now: MonotonicInstant, into actions: inout [LinkAction]
  ) {
    let moving = calls.values.flatMap(\.legs).filter { leg in
      leg.side == .trunk(trunk) && !leg.isEnded && !leg.path.isReliable && leg.path.socket != path.socket
    }
    for leg in moving {
      let id = leg.id
      let isSameFamily = leg.path.remote.address.isV4 == path.remote.address.isV4
      withLeg(id) {
        $0.path = isSameFamily ? SIPPath(socket: path.socket, remote: leg.path.remote) : path
        $0.seenFrom = nil
        if $0.isConfirmed { $0.awaitsAudioSince = now }
      }
      if let transaction = leg.serverTransaction {
        transactions.moveAnswers(of: transaction, toSocket: path.socket)
      }
      for transaction in [leg.clientTransaction, leg.ackedTransaction].compactMap({ $0 }) {
        transactions.moveRequest(transaction, toSocket: path.socket)
      }
      replaceStreams(id, now: now, into: &actions)
      beginRepair(id, now: now, into: &actions)
    }
    for index in farewells.indices where self.trunk(of: farewells[index]) == trunk {
      farewells[index].path.socket = path.socket
    }
  }

  private func trunk(of farewell: Farewell) -> Int? {
    trunks.firstIndex { $0.targets.contains { $0.address == farewell.path.remote.address } }
  }

  /// A leg's ports were asked for their mapping and have not told it: where signalling's own port is answered, and nothing is
  /// heard on them, the router may hold dead state for them.
  mutating func watchDeafPorts(_ id: LegID, now: MonotonicInstant) {
    guard let leg = leg(id), leg.repair != nil, isDeaf(leg) else { return }
    timers.set(.deafPorts(id), at: now + .milliseconds(1500))
  }

  private func isDeaf(_ leg: Leg) -> Bool {
    leg.streams.contains { $0.map { $0.isOpen && $0.rtp == nil } ?? false } && leg.awaitsAudioSince != nil
      && mediaPlan(LinkSocket(leg.path.socket)) != nil && sockets[leg.path.socket].stun?.lostSince == nil
  }

  /// A leg has moved. Where each destination has a row of its own, a port that the STUN server answers may have a dead one
  /// towards the far side: only what is heard tells.
  mutating func watchMutePorts(_ id: LegID, now: MonotonicInstant) {
    guard let leg = leg(id), hearsNothing(leg) else { return }
    timers.set(.deafPorts(id), at: now + .seconds(2))
  }

  private func hearsNothing(_ leg: Leg) -> Bool {
    leg.streams.contains { $0?.isSilent ?? false } && strategy(of: LinkSocket(leg.path.socket))?.contact == .flow
      && sockets[leg.path.socket].stun?.lostSince == nil
  }

  mutating func deafPortsDue(_ id: LegID, now: MonotonicInstant, into actions: inout [LinkAction]) {
    guard let leg = leg(id), !leg.isEnded, !leg.arePortsReplaced, isDeaf(leg) || leg.repair == nil && hearsNothing(leg)
    else { return }
    actions.append(.log(.notice, "call \(name(id)): nothing comes to its media ports; it goes on at fresh ones"))
    withLeg(id) { $0.arePortsReplaced = true }
    replaceStreams(id, now: now, into: &actions)
    beginRepair(id, now: now, into: &actions)
  }

  // MARK: What others notice

  /// The addresses of this host, its routes or its cables have changed: whatever it is, the servers know.
  mutating func hostChanged(
    _ interfaces: [InterfaceAddress], now: MonotonicInstant, into actions: inout [LinkAction]
  ) {
    if !interfaces.isEmpty { configuration.lan.interfaces = interfaces }
    for uplink in uplinks.indices {
      // Hosts on which networks come and go all the time ask once a second.
      guard let last = uplinks[uplink].hostChangedAt, now - last < Self.hostPause else {
        hostChangeDue(uplink, now: now, into: &actions)
        continue
      }
      timers.set(.hostChange(uplink: uplink), at: last + Self.hostPause)
    }
  }

  mutating func hostChangeDue(_ uplink: Int, now: MonotonicInstant, into actions: inout [LinkAction]) {
    uplinks[uplink].hostChangedAt = now
    changeAnnounced(uplink, now: now, into: &actions)
  }

  mutating func changeAnnounced(_ uplink: Int, now: MonotonicInstant, into actions: inout [LinkAction]) {
    for index in sockets.indices where sockets[index].side == .uplink(uplink) && sockets[index].isInUse {
      var steps: [UplinkPort.Action] = []
      sockets[index].stun?.changeAnnounced(now: now, random: &random, into: &steps)
      perform(steps, on: index, now: now, into: &actions)
    }
  }
}
