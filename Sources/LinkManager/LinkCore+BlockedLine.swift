import NATDiscovery
import NetworkTypes

/// A line on which nothing answers over UDP: calls are refused, and one verdict says so, until something answers.
extension LinkCore {
  /// How long a provider has to answer after the STUN servers were given up.
  private static let patience = Duration.seconds(5)
  /// How long nothing at all has to come in until a line that was well is called down.
  private static let lineDownTime = Duration.seconds(60)
  /// What answered so long ago proves nothing of the line as it is now.
  private static let proofLasts = Duration.seconds(120)

  /// A discovery found no server that answers.
  mutating func mayBeBlocked(_ uplink: Int, now: MonotonicInstant) {
    guard !uplinks[uplink].nat.isBlocked, !timers.isSet(.blocked(uplink: uplink)) else { return }
    timers.set(.blocked(uplink: uplink), at: now + Self.patience)
  }

  /// The STUN servers are silent: whether only they are shows when the providers were asked and had their time.
  mutating func serversSilent(_ uplink: Int, now: MonotonicInstant, into actions: inout [LinkAction]) {
    uplinks[uplink].nat.silentSince = now
    timers.set(.blocked(uplink: uplink), at: now + Self.patience)
  }

  /// Whether the STUN servers of a trunk's uplink are silent, and no provider has been heard on it since.
  func isLineSilent(ofTrunk index: Int) -> Bool {
    guard let uplink = uplinkIndex(ofTrunk: index) else { return false }
    if sockets.contains(where: { $0.side == .uplink(uplink) && $0.isInUse && $0.stun?.lostSince != nil }) {
      return true
    }
    return uplinks[uplink].nat.silentSince.map { !isHeard(uplink, since: $0) } ?? false
  }

  private func isHeard(_ uplink: Int, since: MonotonicInstant) -> Bool {
    uplinks[uplink].nat.heardAt.map { $0 > since } ?? false
  }

  private func isHeard(_ uplink: Int, now: MonotonicInstant) -> Bool {
    uplinks[uplink].nat.heardAt.map { now - $0 < Self.proofLasts } ?? false
  }

  mutating func judgeBlocked(_ uplink: Int, now: MonotonicInstant, into actions: inout [LinkAction]) {
    let nat = uplinks[uplink].nat
    if nat.isDiscovering { return timers.set(.blocked(uplink: uplink), at: now + .seconds(1)) }
    let ports = sockets.filter { $0.side == .uplink(uplink) && $0.isInUse && $0.stun?.currentServer != nil }
    guard ports.isEmpty else { return }
    if let since = nat.silentSince, isHeard(uplink, since: since) {
      return tellOfSilentServers(uplink, now: now, into: &actions)
    }
    if nat.findings?.natType == .blocked, !isHeard(uplink, now: now) {
      return tellOfBlockedLine(uplink, now: now, into: &actions)
    }
    guard let since = nat.silentSince, !isTold(.lineDown, of: .uplink(uplink)) else { return }
    if now - since >= Self.lineDownTime {
      return tell(
        .lineDown, of: .uplink(uplink),
        evidence: "neither STUN servers nor providers have answered for \((now - since).nanoseconds / 1_000_000_000) s",
        now: now, into: &actions)
    }
    askProviders(ofUplink: uplink, now: now, into: &actions)
    timers.set(.blocked(uplink: uplink), at: now + Self.patience)
  }

  private mutating func tellOfBlockedLine(_ uplink: Int, now: MonotonicInstant, into actions: inout [LinkAction]) {
    guard !uplinks[uplink].nat.isBlocked else { return }
    uplinks[uplink].nat.isBlocked = true
    uplinks[uplink].lastError = ErrorStatus(.udpBlocked)
    // A line that was well and is down lets nothing pass either, and that was told.
    if isTold(.lineDown, of: .uplink(uplink)) { return actions.append(.statusChanged) }
    tell(
      .udpBlocked, of: .uplink(uplink), evidence: "neither a STUN server nor a provider answered from any port",
      again: .zero, now: now, into: &actions)
  }

  private mutating func tellOfSilentServers(_ uplink: Int, now: MonotonicInstant, into actions: inout [LinkAction]) {
    tell(
      .stunServersSilent, of: .uplink(uplink),
      evidence: "\(uplinks[uplink].configuration.stunServers.count) servers asked, none answered; a provider did",
      now: now,
      into: &actions)
  }

  /// A datagram of a STUN server that was asked, or of a provider, came in.
  mutating func uplinkHeard(_ uplink: Int, now: MonotonicInstant, into actions: inout [LinkAction]) {
    uplinks[uplink].nat.heardAt = now
    over(.lineDown, of: .uplink(uplink))
    guard uplinks[uplink].nat.isBlocked else { return }
    uplinks[uplink].nat.isBlocked = false
    if uplinks[uplink].lastError?.code == "udpBlocked" { uplinks[uplink].lastError = nil }
    let name = uplinks[uplink].configuration.name
    actions.append(.log(.notice, "uplink \(name): UDP passes; calls are taken again"))
    actions.append(.statusChanged)
    rediscoverUnblocked(uplink: uplink, now: now)
  }

  // MARK: Refusing

  /// Whether no way for a trunk's audio is proven: nothing at all has answered.
  func isUnproven(trunk index: Int, now: MonotonicInstant) -> Bool {
    guard let uplink = uplinkIndex(ofTrunk: index) else { return false }
    let nat = uplinks[uplink].nat
    return nat.isBlocked || nat.findings?.natType == .blocked && !isHeard(uplink, now: now)
  }

  /// Why none of these trunks may carry a call; `nil` where one may.
  func blockedReason(ofTrunks names: [String], now: MonotonicInstant) -> String? {
    let indices = trunks.indices.filter { names.contains(trunks[$0].name) && trunks[$0].configuration.enabled }
    guard !indices.isEmpty, indices.allSatisfy({ isUnproven(trunk: $0, now: now) }) else { return nil }
    return "UDP is blocked"
  }

  private func uplinkIndex(ofTrunk index: Int) -> Int? {
    if let socket = trunks[index].socket {
      if case .uplink(let uplink) = sockets[socket.rawValue].side { return uplink }
      return nil
    }
    let wanted = trunks[index].configuration.uplinks
    guard let name = wanted.first else { return uplinks.indices.first }
    return uplinks.firstIndex { $0.configuration.name == name }
  }
}
