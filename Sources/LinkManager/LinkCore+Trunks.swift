import CallControl
import NetworkTypes
import OrderedCollections
import SIPDialog
import SIPSyntax
import SIPTransaction

/// Trunks: finding the provider, registering, and keeping its way in open.
extension LinkCore {
  mutating func startTrunk(_ index: Int, now: MonotonicInstant, into actions: inout [LinkAction]) {
    guard trunks[index].configuration.enabled else {
      trunks[index].status = .disabled
      return
    }
    trunks[index].status = .starting
    trunks[index].unregisteredSince = now
    let host = trunks[index].host
    if host.address == nil && names[host.host] == nil {
      resolve(host, now: now, into: &actions)
    } else {
      targetsResolved(index, failed: false, now: now, into: &actions)
    }
  }

  mutating func targetsResolved(
    _ index: Int, failed: Bool, now: MonotonicInstant, into actions: inout [LinkAction]
  ) {
    let trunk = trunks[index]
    let targets = addresses(of: trunk.host).map { Endpoint($0, port: trunk.port) }
    if targets != trunk.targets {
      let current = trunk.targets.indices.contains(trunk.currentTarget) ? trunk.targets[trunk.currentTarget] : nil
      trunks[index].targets = targets
      trunks[index].currentTarget = targets.firstIndex { $0 == current } ?? 0
    }
    if targets.isEmpty, failed, trunk.configuration.enabled {
      trunkFailed(
        index, state: .unreachable, code: .nameUnknown,
        sentence: "The name \(trunk.host.host) of the provider cannot be resolved.",
        evidence: "the name server gave no address", now: now, into: &actions)
    }
    advanceTrunk(index, now: now, into: &actions)
  }

  /// The socket and the target that a trunk uses now: the first of its uplinks that has a socket of the target's family.
  func route(ofTrunk index: Int) -> SIPPath? {
    let trunk = trunks[index]
    guard trunk.targets.indices.contains(trunk.currentTarget) else { return nil }
    return path(ofTrunk: index, to: trunk.targets[trunk.currentTarget])
  }

  /// The way to one of a trunk's targets.
  func path(ofTrunk index: Int, to target: Endpoint) -> SIPPath? {
    for name in uplinkOrder(ofTrunk: index) {
      let socket = sockets.first { socket in
        guard socket.local != nil, socket.isInUse, socket.configured.address.isV4 == target.address.isV4 else {
          return false
        }
        switch socket.side {
        case .lan: return name == "lan"
        case .uplink(let uplink): return uplinks[uplink].configuration.name == name
        }
      }
      if let socket { return SIPPath(socket: socket.id.rawValue, remote: target) }
    }
    return nil
  }

  /// Takes a trunk as far as it gets with what is known: begins its registration, or moves it to a new contact.
  mutating func advanceTrunk(_ index: Int, now: MonotonicInstant, into actions: inout [LinkAction]) {
    guard trunks[index].configuration.enabled, !isStopping, let path = route(ofTrunk: index) else { return }
    let socket = LinkSocket(path.socket)
    guard isMappingSettled(socket) else { return }
    let before = trunks[index].socket
    trunks[index].socket = socket
    if let before, before != socket {
      trunks[index].flow = nil
      moveLegs(ofTrunk: index, to: path, now: now, into: &actions)
    }
    if before != socket, case .uplink(let uplink) = sockets[path.socket].side {
      updateKeptFlows(uplink, now: now, into: &actions)
    }
    let contact = contact(ofTrunk: index, path)
    guard contact != trunks[index].contact || trunks[index].registration == nil else { return }
    let isFirst = trunks[index].contact == nil
    trunks[index].contact = contact
    setTargetKeepalive(index, now: now)
    guard trunks[index].configuration.register else {
      trunks[index].status = .static
      trunks[index].unregisteredSince = nil
      actions.append(.statusChanged)
      return
    }
    var steps: [RegistrationAction] = []
    if trunks[index].registration == nil || isFirst {
      var registration = Registration(registrationConfiguration(index), random: &random)
      registration.start(contact: contact, now: now, random: &random, into: &steps)
      trunks[index].registration = registration
    } else {
      trunks[index].registration?.contactChanged(contact, now: now, random: &random, into: &steps)
    }
    perform(steps, trunk: index, now: now, into: &actions)
  }

  private func registrationConfiguration(_ index: Int) -> RegistrationConfiguration {
    let trunk = trunks[index].configuration
    return RegistrationConfiguration(
      aor: SIPURI(user: trunk.username, host: trunk.domain),
      registrar: SIPURI(user: nil, host: trunk.registrar.host, port: trunk.registrar.port),
      username: trunk.authUsername ?? trunk.username, password: trunk.password, realm: trunk.realm,
      expires: trunk.expires, userAgent: LinkCore.product, instance: trunk.instance)
  }

  /// Our own contact at a trunk: its user name, at the address that the world sees.
  func contact(ofTrunk index: Int, _ path: SIPPath) -> SIPURI {
    let socket = LinkSocket(path.socket)
    let endpoint =
      mappedEndpoint(of: socket) ?? trunks[index].flow ?? keptFlow(path)
      ?? advertised(socket, towards: path.remote.address)
    return SIPURI(
      user: trunks[index].configuration.username, host: endpoint.address.description, port: endpoint.port)
  }

  mutating func perform(
    _ steps: [RegistrationAction], trunk index: Int, now: MonotonicInstant, into actions: inout [LinkAction]
  ) {
    for step in steps {
      switch step {
      case .send(var request):
        guard let path = route(ofTrunk: index) else { continue }
        addRoute(ofTrunk: index, to: &request)
        noteContact(of: request, trunk: index, path)
        trunks[index].registeringSince = trunks[index].registeringSince ?? now
        trunks[index].unansweredSince = trunks[index].unansweredSince ?? now
        // A REGISTER that is still unanswered is superseded.
        if let old = trunks[index].registerTransaction {
          transactions.forget(old)
          clientOwners.removeValue(forKey: old)
        }
        trunks[index].registerTransaction = sendRequest(
          request, path, owner: .registration(trunk: index), now: now, into: &actions)
      case .registered:
        if trunks[index].status != .registered {
          actions.append(.log(.notice, "trunk \(trunks[index].name) is registered"))
        }
        trunks[index].status = .registered
        if let since = trunks[index].registeringSince {
          actions.append(.measured(.registration(trunk: trunks[index].name, now - since)))
        }
        trunks[index].registeringSince = nil
        if let since = trunks[index].unregisteredSince {
          trunks[index].unregisteredSeconds += (now - since).inSeconds
        }
        trunks[index].unregisteredSince = nil
        trunks[index].lastError = nil
        trunks[index].watch.isSilent = false
        trunkWell(index)
      case .removed: trunks[index].status = trunks[index].configuration.enabled ? .unregistered : .disabled
      case .failed(let code, let sentence, _):
        let state: TrunkStatus.State
        switch trunks[index].registration?.state {
        case .rejected: state = .rejected
        // A provider in trouble has not taken the binding away.
        case .registered: state = trunks[index].watch.isSilent ? .unreachable : .registered
        default: state = .unreachable
        }
        trunkFailed(
          index, state: state, code: VerdictCode(rawValue: code) ?? .refused, sentence: sentence,
          evidence: "REGISTER to \(trunks[index].host)", now: now, into: &actions)
      case .stateChanged: break
      }
      actions.append(.statusChanged)
    }
    if isStopping { stopIfDone(into: &actions) }
  }

  mutating func trunkFailed(
    _ index: Int, state: TrunkStatus.State, code: VerdictCode, sentence: String, evidence: String,
    now: MonotonicInstant, into actions: inout [LinkAction]
  ) {
    trunks[index].status = state
    trunks[index].lastError = ErrorStatus(code, sentence)
    if state != .registered { trunks[index].unregisteredSince = trunks[index].unregisteredSince ?? now }
    actions.append(.statusChanged)
    if code == .nameUnknown { return judgeNamesSoon(now: now) }
    // Where nothing passes, or nothing comes from the provider any more, that is said once and for all.
    let isSilence = code == .noAnswer || code == .providerSilent
    if isSilence, isUnproven(trunk: index, now: now) || isLineSilent(ofTrunk: index) { return }
    if code == .noAnswer, isTold(.providerSilent, of: .trunk(index)) { return }
    tell(code, of: .trunk(index), sentence, evidence: evidence, now: now, into: &actions)
  }

  /// The registrar did not answer: the next of its addresses is tried, and the line is looked at.
  mutating func targetSilent(_ index: Int, now: MonotonicInstant, into actions: inout [LinkAction]) {
    guard !trunks[index].targets.isEmpty else { return }
    trunks[index].currentTarget = (trunks[index].currentTarget + 1) % trunks[index].targets.count
    guard let socket = trunks[index].socket else { return }
    var stunActions: [UplinkPort.Action] = []
    sockets[socket.rawValue].stun?.suspected(now: now, random: &random, into: &stunActions)
    perform(stunActions, on: socket.rawValue, now: now, into: &actions)
  }

  /// How far a clock may be off.
  private static let clockTolerance: Int64 = 300

  /// A provider's answer has its date (RFC 3261 §20.17): a clock that is far off is told, since records, certificates and
  /// the times of rules go by it.
  mutating func compareClocks(
    _ index: Int, _ response: SIPMessage, now: MonotonicInstant, into actions: inout [LinkAction]
  ) {
    guard let theirs = response.value(.date).flatMap({ WallTime(sipDate: $0) }) else { return }
    let ours = wallTime(now)
    let seconds = (ours.nanoseconds / 1_000_000_000) &- (theirs.nanoseconds / 1_000_000_000)
    guard abs(seconds) > Self.clockTolerance else { return over(.clockOff, of: .trunk(index)) }
    tell(
      .clockOff, of: .trunk(index), evidence: "here it is \(ours), at the provider \(theirs)", now: now, into: &actions)
  }

  /// What a provider's answer tells of our public address.
  mutating func learnAddress(
    from response: SIPMessage, _ path: SIPPath, now: MonotonicInstant, into actions: inout [LinkAction]
  ) {
    guard let flow = flow(in: response) else { return }
    var stunActions: [UplinkPort.Action] = []
    sockets[path.socket].stun?.observed(flow, now: now, random: &random, into: &stunActions)
    perform(stunActions, on: path.socket, now: now, into: &actions)
  }

  /// A provider's answer to a REGISTER shows the flow to it. Where that is not what is advertised, the contact moves.
  mutating func learnFlow(
    ofTrunk index: Int, from response: SIPMessage, now: MonotonicInstant, into actions: inout [LinkAction]
  ) {
    guard let flow = flow(in: response) else { return }
    if isFlowMisleading(index) {
      guard trunks[index].flow != nil else { return }
      trunks[index].flow = nil
      return advanceTrunk(index, now: now, into: &actions)
    }
    flowSeen(flow, trunk: index, now: now, into: &actions)
  }

  /// An ALG writes our address inside there. Behind a NAT whose mapping depends on the destination only that one, which it
  /// translates, leads back; else what STUN saw does, with which it has nothing to do.
  private func isFlowMisleading(_ index: Int) -> Bool {
    guard trunks[index].isFlowHidden, let socket = trunks[index].socket,
      case .uplink(let uplink) = sockets[socket.rawValue].side
    else { return false }
    return !findings(uplink).dependsOnDestination
  }

  /// A challenge shows it too: the REGISTER with credentials names the right contact already. A provider that follows the
  /// contact to the letter would else send calls nowhere until it was registered once more.
  mutating func learnFlow(
    ofTrunk index: Int, fromChallenge response: SIPMessage, now: MonotonicInstant, into actions: inout [LinkAction]
  ) {
    guard let flow = flow(in: response), let path = route(ofTrunk: index), maySeeFlow(index),
      trunks[index].socket?.rawValue == path.socket, trunks[index].contact != nil, !isFlowMisleading(index)
    else { return }
    let before = trunks[index].flow
    trunks[index].flow = flow
    let contact = contact(ofTrunk: index, path)
    if trunks[index].registration?.contactLearned(contact) ?? false {
      trunks[index].contact = contact
    } else {
      advanceTrunk(index, now: now, into: &actions)
    }
    flowMoved(index, from: before, to: flow, now: now, into: &actions)
  }

  private func flow(in response: SIPMessage) -> Endpoint? {
    guard let via = try? response.topVia(), let received = via.received.flatMap({ IPAddress($0) }), let port = via.rport
    else { return nil }
    return Endpoint(received, port: port)
  }

  private func maySeeFlow(_ index: Int) -> Bool {
    guard let socket = trunks[index].socket, case .uplink(let uplink) = sockets[socket.rawValue].side else {
      return false
    }
    return uplinks[uplink].configuration.publicAddress == nil
  }

  mutating func flowSeen(
    _ endpoint: Endpoint, trunk index: Int, now: MonotonicInstant, into actions: inout [LinkAction]
  ) {
    guard maySeeFlow(index) else { return }
    let before = trunks[index].flow
    trunks[index].flow = endpoint
    advanceTrunk(index, now: now, into: &actions)
    flowMoved(index, from: before, to: endpoint, now: now, into: &actions)
  }

  /// Any answer of the provider shows the flow; those to REGISTER and OPTIONS are read with the rest of what they tell.
  mutating func flowAnswered(
    _ response: SIPMessage, _ path: SIPPath, now: MonotonicInstant, into actions: inout [LinkAction]
  ) {
    guard response.method != .register, case .uplink(let uplink) = sockets[path.socket].side,
      findings(uplink).dependsOnDestination, let flow = flow(in: response)
    else { return }
    for index in trunks.indices where trunks[index].flow != nil && trunks[index].flow != flow {
      guard trunks[index].socket?.rawValue == path.socket, route(ofTrunk: index)?.remote == path.remote else {
        continue
      }
      flowSeen(flow, trunk: index, now: now, into: &actions)
    }
  }

  /// Where each destination has a row of its own, the STUN servers do not tell that the router has lost its rows: the
  /// provider's does. What was under way on it is lost.
  private mutating func flowMoved(
    _ index: Int, from before: Endpoint?, to endpoint: Endpoint, now: MonotonicInstant,
    into actions: inout [LinkAction]
  ) {
    guard let before, before != endpoint, before.address == endpoint.address, let socket = trunks[index].socket,
      case .uplink(let uplink) = sockets[socket.rawValue].side,
      findings(uplink).dependsOnDestination
    else { return }
    for id in legs(ofUplink: uplink) where leg(id)?.side == .trunk(index) {
      beginRepair(id, isCertain: leg(id)?.seenFrom != endpoint, now: now, into: &actions)
    }
  }

  /// Whether a registrar learns this host's own address by a REGISTER.
  private mutating func noteContact(of request: SIPMessage, trunk index: Int, _ path: SIPPath) {
    guard let local = sockets[path.socket].local, let contacts = try? request.contacts() else { return }
    let own = localAddress(local.address, towards: path.remote.address)
    if contacts.contains(where: { $0.uri.address == own }) { trunks[index].hasToldInside = true }
  }

  func addRoute(ofTrunk index: Int, to request: inout SIPMessage) {
    guard let proxy = trunks[index].configuration.outboundProxy else { return }
    request.prepend(.route, "<sip:\(proxy);lr>")
  }

  mutating func stopTrunk(_ index: Int, now: MonotonicInstant, into actions: inout [LinkAction]) {
    timers.cancel(.targetKeepalive(trunk: index))
    timers.cancel(.targetSilence(trunk: index))
    var steps: [RegistrationAction] = []
    trunks[index].registration?.stop(now: now, random: &random, into: &steps)
    perform(steps, trunk: index, now: now, into: &actions)
  }
}
