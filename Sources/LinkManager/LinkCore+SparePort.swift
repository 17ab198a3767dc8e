import CallControl
import MediaRelay
import NATDiscovery
import NetworkTypes
import OrderedCollections
import SDP
import SIPDialog
import SIPSyntax
import SIPTransaction

/// The look at whether a router holds dead state for a port: it gets no answer, and does a fresh one get one?
struct PortComparison: Sendable, Equatable, Codable {
  /// When the fresh port was opened that is asking now.
  var openedAt: MonotonicInstant
  /// When a fresh port was answered first, by a STUN server or by a provider that does not answer this one.
  var answeredAt: MonotonicInstant?
}

/// Some routers keep, after a change of address, the rows that our own packets keep alive: what leaves by them has an
/// address that is gone. Such a port gets no answer while a fresh one does. Then the spare port takes its place, with all
/// trunks and calls, and the dead one keeps silent until the router has forgotten it. Where the spare port was used of late and
/// may be as dead, any other port does. The fresh port that asks is another one every two seconds, since one that asked during
/// the outage may have a dead row itself.
extension LinkCore {
  /// How long a port has to be without answers before a fresh one is asked.
  private static let patience = Duration.seconds(2)
  /// How long a fresh port is fresh.
  private static let freshness = Duration.seconds(2)
  /// How long a fresh port has to be the only one that is answered.
  private static let headStart = Duration.seconds(1)
  private static let pace = Duration.milliseconds(500)
  /// How often fresh ports ask providers.
  private static let questionPace = Duration.seconds(6)
  /// After a change, so long, a provider's silence may be the router's.
  private static let troubleLasts = Duration.seconds(180)
  /// How long rows live in routers that were not measured: RFC 4787 §4.3 asks for 2 minutes, Linux takes 3 for some flows.
  private static let assumedLifetime = Duration.seconds(190)
  private static let longestRest = Duration.seconds(3600)
  /// How long a port that was given up while it was well still hears: 64·T1, and what the new registration takes.
  private static let lingering = Duration.seconds(40)
  /// A verdict says so once for each time that it begins: one dead port after the other is one time.
  private static let toldAgain = Duration.seconds(60)

  /// Behind the sockets that are opened at the start, those that are opened in need.
  mutating func addSparePorts() {
    for index in sockets.indices {
      guard case .uplink(let uplink) = sockets[index].side, let port = uplinks[uplink].configuration.sparePort,
        port != sockets[index].configured.port
      else { continue }
      sockets[index].first = sockets[index].id
      sockets.append(idleSocket(beside: index, port: port))
      // Two, so that one can stand in for the other.
      for _ in 0..<2 { sockets.append(idleSocket(beside: index, port: 0)) }
      var prober = idleSocket(beside: index, port: 0)
      prober.isSpare = false
      prober.isProber = true
      sockets.append(prober)
    }
  }

  private func idleSocket(beside index: Int, port: UInt16) -> SocketState {
    var stun = UplinkPort(keepalive: sockets[index].stun?.keepalive ?? .seconds(10))
    stun.rest()
    var socket = SocketState(
      id: LinkSocket(sockets.count), side: sockets[index].side,
      configured: Endpoint(sockets[index].configured.address, port: port), stun: stun)
    socket.first = sockets[index].id
    socket.isSpare = true
    socket.isEphemeral = port == 0
    socket.isInUse = false
    return socket
  }

  private func prober(of index: Int) -> Int? {
    let first = sockets[index].first
    return first == nil ? nil : sockets.firstIndex { $0.isProber && $0.first == first }
  }

  /// The one of a port and those that stand in for it that is used.
  func used(with index: Int) -> Int? {
    let first = sockets[index].first
    return first == nil ? nil : sockets.firstIndex { $0.isInUse && $0.first == first }
  }

  /// Who takes the place of a dead port: the spare port where the router cannot know it any more, else any other.
  private func successor(of index: Int, now: MonotonicInstant) -> Int? {
    guard let first = sockets[index].first, case .uplink(let uplink) = sockets[index].side else { return nil }
    return sockets.indices.first { other in
      let candidate = sockets[other]
      guard other != index, candidate.isSpare, candidate.first == first else { return false }
      if candidate.isEphemeral { return candidate.local == nil }
      return candidate.restsSince.map { now - $0 >= restTime(uplink) } ?? true
    }
  }

  mutating func socketFailed(
    _ socket: LinkSocket, reason: String, now: MonotonicInstant, into actions: inout [LinkAction]
  ) {
    guard sockets.indices.contains(socket.rawValue) else { return }
    let index = socket.rawValue
    // One that the system chooses is tried again every two seconds.
    let level: LinkLogLevel = sockets[index].isEphemeral ? .debug : .warning
    actions.append(.log(level, "spare port \(sockets[index].configured.port): \(reason.escapedForLog())"))
    guard sockets[index].isSpare, sockets[index].isInUse else { return }
    if !sockets[index].isEphemeral, case .uplink(let uplink) = sockets[index].side {
      tell(
        .portTaken, of: .uplink(uplink),
        "The spare port belongs to another program; a port that is free takes its place.",
        evidence: "port \(sockets[index].configured.port): \(reason)", now: now, into: &actions)
    }
    // Whoever has it keeps it, most likely: from now on it counts as one that is not clean.
    sockets[index].restsSince = now
    guard let other = successor(of: index, now: now) else { return }
    changePlaces(from: index, to: other, now: now, into: &actions)
  }

  // MARK: Comparing

  /// A port is without answers.
  mutating func watchDeadState(_ index: Int, now: MonotonicInstant) {
    guard sockets[index].isInUse, sockets[index].first != nil, !timers.isSet(.deadState(socket: index)) else {
      return
    }
    timers.set(.deadState(socket: index), at: now + Self.patience)
  }

  /// What was sent to a provider is repeated: where the line is well again after a change, its silence may be the router's.
  mutating func watchProviderSilence(_ path: SIPPath, now: MonotonicInstant) {
    guard case .uplink(let uplink) = sockets[path.socket].side, let since = uplinks[uplink].troubleAt,
      now - since < Self.troubleLasts
    else { return }
    watchDeadState(path.socket, now: now)
  }

  /// The trunks of a port whose REGISTER has been without an answer for too long, though the line is well.
  private func unheardTrunks(_ index: Int, now: MonotonicInstant) -> [Int] {
    guard case .uplink(let uplink) = sockets[index].side, sockets[index].stun?.lostSince == nil,
      let trouble = uplinks[uplink].troubleAt, now - trouble < Self.troubleLasts
    else { return [] }
    return trunks.indices.filter { trunk in
      trunks[trunk].socket == sockets[index].id && !trunks[trunk].isRemoved
        && trunks[trunk].unansweredSince.map { now - $0 >= Self.patience } ?? false
    }
  }

  mutating func compareDue(_ index: Int, now: MonotonicInstant, into actions: inout [LinkAction]) {
    guard sockets[index].isInUse, let prober = prober(of: index), !isStopping else { return }
    let isLost = sockets[index].stun?.lostSince != nil
    let unheard = unheardTrunks(index, now: now)
    guard isLost || !unheard.isEmpty else { return endComparison(index, into: &actions) }
    if let comparison = sockets[index].comparison, let heard = sockets[index].heardAt, heard >= comparison.openedAt {
      // Only the STUN servers are silent on it.
      endComparison(index, into: &actions)
      return timers.set(.deadState(socket: index), at: now + Self.questionPace)
    }
    if let answered = sockets[index].comparison?.answeredAt {
      if now - answered >= Self.headStart {
        return takeOver(from: index, isLost: isLost, now: now, into: &actions)
      }
    } else if sockets[index].comparison.map({ now - $0.openedAt >= Self.freshness }) ?? true {
      sockets[index].comparison = PortComparison(openedAt: now)
      closeResting(prober, into: &actions)
      actions.append(.openSocket(sockets[prober].id, sockets[prober].configured))
    } else {
      askProviders(of: index, from: prober, now: now, into: &actions)
    }
    timers.set(.deadState(socket: index), at: now + Self.pace)
  }

  private mutating func closeResting(_ index: Int, into actions: inout [LinkAction]) {
    sockets[index].stun?.rest()
    guard sockets[index].local != nil else { return }
    sockets[index].local = nil
    actions.append(.closeSocket(sockets[index].id))
  }

  /// A socket that was not opened at the start is open: it asks at once.
  mutating func wakeOpened(_ index: Int, now: MonotonicInstant, into actions: inout [LinkAction]) {
    guard sockets[index].isProber || sockets[index].isSpare && sockets[index].isInUse else { return }
    wake(index, patiently: sockets[index].isProber, now: now, into: &actions)
  }

  private mutating func wake(
    _ index: Int, patiently: Bool, now: MonotonicInstant, into actions: inout [LinkAction]
  ) {
    var steps: [UplinkPort.Action] = []
    sockets[index].stun?.wake(patiently: patiently, now: now, random: &random, into: &steps)
    perform(steps, on: index, now: now, into: &actions)
  }

  /// Providers that do not answer the used port are asked by the fresh one; any answer tells that it is heard.
  private mutating func askProviders(
    of index: Int, from prober: Int, now: MonotonicInstant, into actions: inout [LinkAction]
  ) {
    guard sockets[prober].local != nil,
      sockets[index].providersAskedAt.map({ now - $0 >= Self.questionPace }) ?? true
    else { return }
    sockets[index].providersAskedAt = now
    for trunk in trunks.indices where trunks[trunk].socket == sockets[index].id && trunks[trunk].configuration.enabled {
      guard !trunks[trunk].isRemoved, let remote = route(ofTrunk: trunk)?.remote else { continue }
      // The used port asks the same: that nobody answers it shows only where it said something.
      for socket in [index, prober] {
        let request = question(trunk, SIPPath(socket: socket, remote: remote))
        counters.requests.count(trunks[trunk].configuration.register ? "REGISTER" : "OPTIONS", "out")
        actions.append(.send(request, sockets[socket].id, to: remote))
      }
    }
  }

  /// The providers of an uplink are asked by the ports that they know, where STUN servers do not tell whether the line is up.
  mutating func askProviders(ofUplink uplink: Int, now: MonotonicInstant, into actions: inout [LinkAction]) {
    for trunk in trunks.indices where trunks[trunk].configuration.enabled && !trunks[trunk].isRemoved {
      guard let path = route(ofTrunk: trunk), sockets[path.socket].side == .uplink(uplink) else { continue }
      let request = question(trunk, path)
      counters.requests.count(trunks[trunk].configuration.register ? "REGISTER" : "OPTIONS", "out")
      actions.append(.send(request, sockets[path.socket].id, to: path.remote))
    }
  }

  /// REGISTER without a contact asks what is registered and changes nothing (RFC 3261 §10.2.3): a registrar answers it, be it
  /// by a challenge, where it may be deaf to OPTIONS.
  private mutating func question(_ index: Int, _ path: SIPPath) -> [UInt8] {
    let branch = "z9hG4bK" + random.hexDigits(24)
    guard trunks[index].configuration.register else { return optionsRequest(index, path, branch: branch) }
    return providerQuestion(.register, index, path, branch: branch, sequence: 1).serialized()
  }

  /// What the STUN side of a port that is not used does or finds.
  mutating func restingPortActed(
    _ step: UplinkPort.Action, _ index: Int, now: MonotonicInstant, into actions: inout [LinkAction]
  ) {
    switch step {
    case .send(let bytes, let server):
      if case .uplink(let uplink) = sockets[index].side {
        counters.keepalives.count(uplinks[uplink].configuration.name, "sent")
      }
      actions.append(.send(bytes, sockets[index].id, to: server))
    case .mapped: freshPortHeard(index, isProvider: false, now: now)
    case .disagreed, .serversSilent, .firstServerSilent, .serversBack, .lineLost, .lineReturned: break
    }
  }

  /// A fresh port was answered.
  mutating func freshPortHeard(_ index: Int, isProvider: Bool, now: MonotonicInstant) {
    guard sockets[index].isProber, let used = used(with: index), sockets[used].comparison != nil,
      sockets[used].comparison?.answeredAt == nil
    else { return }
    // A STUN server's answer tells something only where servers do not answer the used port.
    guard isProvider || sockets[used].stun?.lostSince != nil else { return }
    sockets[used].comparison?.answeredAt = now
    timers.set(.deadState(socket: used), at: now + Self.headStart)
  }

  private mutating func endComparison(_ index: Int, into actions: inout [LinkAction]) {
    timers.cancel(.deadState(socket: index))
    guard sockets[index].comparison != nil else { return }
    sockets[index].comparison = nil
    if let prober = prober(of: index) { closeResting(prober, into: &actions) }
  }

  // MARK: Changing places

  private mutating func takeOver(
    from old: Int, isLost: Bool, now: MonotonicInstant, into actions: inout [LinkAction]
  ) {
    guard case .uplink(let uplink) = sockets[old].side, let new = successor(of: old, now: now) else { return }
    let port = sockets[old].local?.port ?? sockets[old].configured.port
    let other = sockets[new].isEphemeral ? "another port" : "port \(sockets[new].configured.port)"
    let sentence =
      "The router holds dead state for port \(port); SIP goes by \(other) meanwhile, and audio by fresh ports."
    tell(
      .deadNATState, of: .uplink(uplink), sentence,
      evidence: isLost
        ? "port \(port) got no answer from any STUN server, a fresh port did"
        : "port \(port) got no answer from the provider, a fresh port did", again: Self.toldAgain, now: now,
      into: &actions)
    changePlaces(from: old, to: new, now: now, into: &actions)
    if let first = sockets[new].first?.rawValue { timers.set(.portAgain(socket: first), at: now + restTime(uplink)) }
  }

  private func restTime(_ uplink: Int) -> Duration {
    let findings = findings(uplink)
    guard let measured = findings.bindingLifetime, !findings.bindingLifetimeIsAtLeast else {
      return Self.assumedLifetime
    }
    return min(.seconds(measured + 10), Self.longestRest)
  }

  /// The new port takes over trunks and calls, the old one keeps silent.
  ///
  /// - Parameter lingers: the old one still hears, since the provider has not been told yet.
  private mutating func changePlaces(
    from old: Int, to new: Int, lingers: Bool = false, now: MonotonicInstant, into actions: inout [LinkAction]
  ) {
    guard case .uplink(let uplink) = sockets[old].side else { return }
    endComparison(old, into: &actions)
    sockets[old].isInUse = false
    sockets[old].restsSince = now
    sockets[old].stun?.rest()
    if sockets[old].isEphemeral {
      if lingers {
        timers.set(.portAgain(socket: old), at: now + Self.lingering)
      } else {
        closeResting(old, into: &actions)
      }
    }
    timers.cancel(.portAgain(socket: new))
    sockets[new].isInUse = true
    uplinks[uplink].backAt = now
    // A CANCEL or a BYE that is out went where nothing passes.
    transactions.moveRequests(fromSocket: old, toSocket: new)
    // That the servers were silent was the dead port's.
    uplinks[uplink].nat.silentSince = nil
    over(.stunServersSilent, of: .uplink(uplink))
    if uplinks[uplink].lastError?.code == VerdictCode.stunServersSilent.rawValue { uplinks[uplink].lastError = nil }
    if sockets[new].local == nil {
      actions.append(.openSocket(sockets[new].id, sockets[new].configured))
    } else {
      wake(new, patiently: false, now: now, into: &actions)
    }
    uplinkWell(uplink, now: now)
    // What a provider saw was the old port, also where the new one was given its number.
    for index in trunks.indices where trunks[index].socket.map({ sockets[$0.rawValue].side }) == .uplink(uplink) {
      trunks[index].flow = nil
    }
    // Where its mapping is not known yet, they follow as soon as it is.
    for index in trunks.indices { advanceTrunk(index, now: now, into: &actions) }
    actions.append(.statusChanged)
  }

  /// A port that rested long enough for the router to have forgotten it: where it is the first one and no call is up, it is
  /// tried, and takes its place again if it is answered.
  mutating func portAgainDue(_ index: Int, now: MonotonicInstant, into actions: inout [LinkAction]) {
    if sockets[index].isEphemeral, !sockets[index].isInUse { return closeResting(index, into: &actions) }
    guard !sockets[index].isInUse, !sockets[index].isSpare, let used = used(with: index),
      case .uplink(let uplink) = sockets[index].side
    else { return }
    if sockets[index].stun?.mapping != nil, sockets[index].stun?.isResting == false,
      sockets[used].stun?.lostSince == nil
    {
      let name = uplinks[uplink].configuration.name
      actions.append(.log(.notice, "uplink \(name): the router has forgotten the first port; back to it"))
      return changePlaces(from: used, to: index, lingers: true, now: now, into: &actions)
    }
    if !legs(ofUplink: uplink).isEmpty || sockets[used].comparison != nil {
      sockets[index].stun?.rest()
      return timers.set(.portAgain(socket: index), at: now + .seconds(10))
    }
    if sockets[index].stun?.isResting == true {
      wake(index, patiently: true, now: now, into: &actions)
      timers.set(.portAgain(socket: index), at: now + .seconds(2))
    } else {
      // Not yet: it shall not be our own asking that keeps it from being forgotten.
      sockets[index].stun?.rest()
      timers.set(.portAgain(socket: index), at: now + restTime(uplink))
    }
  }
}
