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
struct PortComparison: Sendable, Equatable {
  /// When the fresh port was opened that is asking now.
  var openedAt: MonotonicInstant
  /// When a fresh port was answered first, by a STUN server or by a provider that does not answer this one.
  var answeredAt: MonotonicInstant?
}

/// Some routers keep, after a change of address, the rows that our own packets keep alive: what leaves by them has an
/// address that is gone. Such a port gets no answer while a fresh one does. Then the spare port takes its place, with all
/// trunks and calls, and the dead one keeps silent until the router has forgotten it. The fresh port is another one every
/// two seconds, since one that asked during the outage may have a dead row itself.
extension LinkCore {
  /// How long a port has to be without answers before a fresh one is asked.
  private static let patience = Duration.seconds(2)
  /// How long a fresh port is fresh.
  private static let freshness = Duration.seconds(2)
  /// How long a fresh port has to be the only one that is answered.
  private static let headStart = Duration.seconds(1)
  private static let pace = Duration.milliseconds(500)
  /// After a change, so long, a provider's silence may be the router's.
  private static let troubleLasts = Duration.seconds(180)
  /// How long rows live in routers that were not measured: RFC 4787 §4.3 asks for 2 minutes, Linux takes 3 for some flows.
  private static let assumedLifetime = Duration.seconds(190)
  private static let longestRest = Duration.seconds(3600)

  /// Behind the sockets that are opened at the start, those that are opened in need.
  mutating func addSparePorts() {
    for index in sockets.indices {
      guard case .uplink(let uplink) = sockets[index].side, let port = uplinks[uplink].configuration.sparePort,
        port != sockets[index].configured.port
      else { continue }
      var spare = idleSocket(beside: index, port: port)
      spare.isSpare = true
      spare.partner = sockets[index].id
      sockets[index].partner = spare.id
      sockets.append(spare)
      var prober = idleSocket(beside: index, port: 0)
      prober.isProber = true
      sockets.append(prober)
      sockets[index].prober = prober.id
      sockets[spare.id.rawValue].prober = prober.id
    }
  }

  private func idleSocket(beside index: Int, port: UInt16) -> SocketState {
    var stun = UplinkPort(keepalive: sockets[index].stun?.keepalive ?? .seconds(10))
    stun.rest()
    var socket = SocketState(
      id: LinkSocket(sockets.count), side: sockets[index].side,
      configured: Endpoint(sockets[index].configured.address, port: port), stun: stun)
    socket.isInUse = false
    return socket
  }

  mutating func socketFailed(
    _ socket: LinkSocket, reason: String, now: MonotonicInstant, into actions: inout [LinkAction]
  ) {
    guard sockets.indices.contains(socket.rawValue) else { return }
    let index = socket.rawValue
    actions.append(.log(.warning, "spare port \(sockets[index].configured.port): \(reason.escapedForLog())"))
    guard sockets[index].isSpare, sockets[index].isInUse, let first = sockets[index].partner?.rawValue else { return }
    // There is no way but the first port; whoever has the other keeps it, most likely.
    sockets[index].isInUse = false
    sockets[first].isInUse = true
    sockets[first].partner = nil
    timers.cancel(.portAgain(socket: first))
    wake(first, patiently: false, now: now, into: &actions)
  }

  // MARK: Comparing

  /// A port is without answers.
  mutating func watchDeadState(_ index: Int, now: MonotonicInstant) {
    guard sockets[index].isInUse, sockets[index].partner != nil, !timers.isSet(.deadState(socket: index)) else {
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
        && trunks[trunk].registeringSince.map { now - $0 >= Self.patience } ?? false
    }
  }

  mutating func compareDue(_ index: Int, now: MonotonicInstant, into actions: inout [LinkAction]) {
    guard sockets[index].isInUse, let partner = sockets[index].partner, let prober = sockets[index].prober, !isStopping
    else { return }
    let isLost = sockets[index].stun?.lostSince != nil
    let unheard = unheardTrunks(index, now: now)
    guard isLost || !unheard.isEmpty else { return endComparison(index, into: &actions) }
    if let answered = sockets[index].comparison?.answeredAt {
      if now - answered >= Self.headStart {
        return takeOver(from: index, to: partner.rawValue, isLost: isLost, now: now, into: &actions)
      }
    } else if sockets[index].comparison.map({ now - $0.openedAt >= Self.freshness }) ?? true {
      sockets[index].comparison = PortComparison(openedAt: now)
      closeProber(prober.rawValue, into: &actions)
      actions.append(.openSocket(prober, sockets[prober.rawValue].configured))
    } else if !isLost {
      askProviders(unheard, from: prober, into: &actions)
    }
    timers.set(.deadState(socket: index), at: now + Self.pace)
  }

  private mutating func closeProber(_ index: Int, into actions: inout [LinkAction]) {
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

  /// Any answer tells that the provider hears the fresh port; OPTIONS disturbs nothing.
  private mutating func askProviders(_ unheard: [Int], from prober: LinkSocket, into actions: inout [LinkAction]) {
    guard sockets[prober.rawValue].local != nil else { return }
    for trunk in unheard {
      guard let path = route(ofTrunk: trunk) else { continue }
      let request = optionsRequest(
        trunk, SIPPath(socket: prober.rawValue, remote: path.remote), branch: "z9hG4bK" + random.hexDigits(24))
      counters.requests.count("OPTIONS", "out")
      actions.append(.send(request, prober, to: path.remote))
    }
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
    case .disagreed, .serversSilent, .serversBack, .lineLost, .lineReturned: break
    }
  }

  /// A fresh port was answered.
  mutating func freshPortHeard(_ index: Int, isProvider: Bool, now: MonotonicInstant) {
    let id = sockets[index].id
    guard sockets[index].isProber, let used = sockets.firstIndex(where: { $0.prober == id && $0.isInUse }),
      sockets[used].comparison != nil, sockets[used].comparison?.answeredAt == nil
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
    if let prober = sockets[index].prober { closeProber(prober.rawValue, into: &actions) }
  }

  // MARK: Changing places

  private mutating func takeOver(
    from old: Int, to new: Int, isLost: Bool, now: MonotonicInstant, into actions: inout [LinkAction]
  ) {
    guard case .uplink(let uplink) = sockets[old].side else { return }
    let name = uplinks[uplink].configuration.name
    let ports = (old: sockets[old].configured.port, new: sockets[new].configured.port)
    let sentence =
      "The router of uplink \(name) holds dead state for port \(ports.old); SIP goes by port \(ports.new) meanwhile, and "
      + "audio by fresh ports."
    actions.append(.log(.warning, sentence))
    actions.append(
      .verdict(
        Verdict(
          at: wallTime(now).description, subject: "uplink \(name)", code: "deadNATState", sentence: sentence,
          evidence: isLost
            ? "port \(ports.old) got no answer from any STUN server, a fresh port did"
            : "port \(ports.old) got no answer from the provider, a fresh port did",
          nextStep: "Nothing: port \(ports.old) keeps silent until the router has forgotten it. If it happens at each "
            + "change of address, look for newer firmware of the router.")))
    changePlaces(from: old, to: new, now: now, into: &actions)
    timers.set(.portAgain(socket: old), at: now + restTime(uplink))
  }

  private func restTime(_ uplink: Int) -> Duration {
    let findings = findings(uplink)
    guard let measured = findings.bindingLifetime, !findings.bindingLifetimeIsAtLeast else {
      return Self.assumedLifetime
    }
    return min(.seconds(measured + 10), Self.longestRest)
  }

  /// The new port takes over trunks and calls, the old one keeps silent.
  private mutating func changePlaces(
    from old: Int, to new: Int, now: MonotonicInstant, into actions: inout [LinkAction]
  ) {
    guard case .uplink(let uplink) = sockets[old].side else { return }
    endComparison(old, into: &actions)
    sockets[old].isInUse = false
    sockets[old].stun?.rest()
    timers.cancel(.portAgain(socket: new))
    sockets[new].isInUse = true
    uplinks[uplink].backAt = now
    if sockets[new].local == nil {
      actions.append(.openSocket(sockets[new].id, sockets[new].configured))
    } else {
      wake(new, patiently: false, now: now, into: &actions)
    }
    uplinkWell(uplink, now: now)
    // Where its mapping is not known yet, they follow as soon as it is.
    for index in trunks.indices { advanceTrunk(index, now: now, into: &actions) }
    actions.append(.statusChanged)
  }

  /// A port that rested long enough for the router to have forgotten it: where it is the first one and no call is up, it is
  /// tried, and takes its place again if it is answered.
  mutating func portAgainDue(_ index: Int, now: MonotonicInstant, into actions: inout [LinkAction]) {
    guard !sockets[index].isInUse, !sockets[index].isSpare, let used = sockets[index].partner?.rawValue,
      case .uplink(let uplink) = sockets[index].side
    else { return }
    if sockets[index].stun?.mapping != nil, sockets[index].stun?.isResting == false,
      sockets[used].stun?.lostSince == nil
    {
      let name = uplinks[uplink].configuration.name
      actions.append(.log(.notice, "uplink \(name): the router has forgotten the first port; back to it"))
      return changePlaces(from: used, to: index, now: now, into: &actions)
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
