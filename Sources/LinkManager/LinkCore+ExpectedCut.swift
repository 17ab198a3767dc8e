import NetworkTypes
import SIPDialog

/// The nightly cut is learned. About its time keepalives leave every second, so that it and its end are noticed at once, new
/// calls prefer trunks of other uplinks, and after it registrations are refreshed, whatever the address is.
extension LinkCore {
  private static let quickKeepalive = Duration.seconds(1)

  private func civilSeconds(_ instant: MonotonicInstant) -> Int64 { wallTime(instant).nanoseconds / 1_000_000_000 }

  /// The line was lost and is back.
  mutating func cutEnded(
    _ uplink: Int, lost: MonotonicInstant, back: MonotonicInstant, now: MonotonicInstant,
    into actions: inout [LinkAction]
  ) {
    guard back - lost >= .seconds(1) else { return }
    uplinks[uplink].diary.add(CutDiary.Cut(at: civilSeconds(lost), seconds: Int64((back - lost).inSeconds)))
    actions.append(.rememberCuts(uplinks[uplink].diary, uplink: uplinks[uplink].configuration.name))
    if uplinks[uplink].isCutExpected {
      // The provider may have dropped us, and the address may be the same.
      for index in trunks.indices where isTrunk(index, on: uplink) {
        var steps: [RegistrationAction] = []
        trunks[index].registration?.refresh(now: now, random: &random, into: &steps)
        perform(steps, trunk: index, now: now, into: &actions)
      }
    }
    planExpectedCut(uplink, now: now)
  }

  /// The address is another one, and nobody noticed that the line was lost.
  mutating func cutNoticed(_ uplink: Int, now: MonotonicInstant, into actions: inout [LinkAction]) {
    uplinks[uplink].diary.add(CutDiary.Cut(at: civilSeconds(now), seconds: 0))
    actions.append(.rememberCuts(uplinks[uplink].diary, uplink: uplinks[uplink].configuration.name))
    planExpectedCut(uplink, now: now)
  }

  mutating func cutsRemembered(_ diary: CutDiary, uplink name: String, now: MonotonicInstant) {
    guard let uplink = uplinks.firstIndex(where: { $0.configuration.name == name }) else { return }
    uplinks[uplink].diary = CutDiary(diary.cuts + uplinks[uplink].diary.cuts)
    planExpectedCut(uplink, now: now)
  }

  private mutating func planExpectedCut(_ uplink: Int, now: MonotonicInstant) {
    let seconds = civilSeconds(now)
    guard let next = uplinks[uplink].diary.expectation(now: seconds) else {
      return timers.cancel(.expectedCut(uplink: uplink))
    }
    let isNow = next.begins <= seconds
    let moment = isNow ? next.ends : next.begins
    timers.set(.expectedCut(uplink: uplink), at: now + .seconds(max(moment - seconds, 1)))
    if !isNow { expectCut(uplink, false, now: now) }
  }

  mutating func expectedCutDue(_ uplink: Int, now: MonotonicInstant, into actions: inout [LinkAction]) {
    let seconds = civilSeconds(now)
    let next = uplinks[uplink].diary.expectation(now: seconds)
    let isNow = next.map { $0.begins <= seconds } ?? false
    if isNow, let next, !uplinks[uplink].isCutExpected {
      let name = uplinks[uplink].configuration.name
      actions.append(.log(.info, "uplink \(name): its usual cut of \(next.seconds) s is expected now"))
    }
    expectCut(uplink, isNow, now: now)
    planExpectedCut(uplink, now: now)
  }

  private mutating func expectCut(_ uplink: Int, _ isExpected: Bool, now: MonotonicInstant) {
    guard uplinks[uplink].isCutExpected != isExpected else { return }
    uplinks[uplink].isCutExpected = isExpected
    let keepalive = keepalive(uplink)
    for index in sockets.indices where sockets[index].side == .uplink(uplink) {
      sockets[index].stun?.setKeepalive(keepalive, now: now)
    }
  }

  /// What keepalives leave by while a cut is expected.
  func expectedPace(_ uplink: Int, _ usual: Duration) -> Duration {
    uplinks[uplink].isCutExpected ? min(usual, Self.quickKeepalive) : usual
  }

  /// Trunks whose line is about to be cut come last.
  func withoutExpectedCut(_ names: [String]) -> [String] {
    guard uplinks.contains(where: \.isCutExpected) else { return names }
    let endangered = names.filter { name in
      trunks.contains { trunk in
        guard trunk.name == name, let socket = trunk.socket, case .uplink(let uplink) = sockets[socket.rawValue].side
        else { return false }
        return uplinks[uplink].isCutExpected
      }
    }
    return names.filter { !endangered.contains($0) } + endangered
  }
}
