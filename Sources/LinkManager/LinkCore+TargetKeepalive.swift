import CallControl
import NetworkTypes
import OrderedCollections
import SIPDialog
import SIPSyntax
import SIPTransaction
import STUN

/// The provider's way in. A NAT or firewall whose filtering is not proven to be endpoint-independent, or which has another
/// mapping for each destination, lets the provider in only as long as it is reminded of the provider.
///
/// When nothing went to the target for a while, there goes: a STUN request where the provider agreed to that (RFC 6223),
/// else line ends (RFC 5626 §3.5.1), and every 30 s, where nothing else was heard meanwhile, OPTIONS instead of them. All of
/// these are keepalives: they do not count as traffic that puts the STUN keepalive of the port off.
extension LinkCore {
  /// OPTIONS leave no more often than this.
  private static let optionsPace = Duration.seconds(30)
  /// An OPTIONS without an answer is repeated after so long each time, and after the last one given up.
  private static let repetitions: [Duration] = [.seconds(1), .seconds(2), .seconds(4), .seconds(4)]
  private static let mostProbes = 8

  /// Something went to the target, or its keepalives have to be thought about anew.
  mutating func setTargetKeepalive(_ index: Int, now: MonotonicInstant) {
    guard let socket = trunks[index].socket, case .uplink(let uplink) = sockets[socket.rawValue].side else { return }
    guard strategy(of: socket)?.keepsProvider == true else { return timers.cancel(.targetKeepalive(trunk: index)) }
    var pace = keepalive(uplink)
    // RFC 6223 §4.2, RFC 5626 §4.4.1: at 80 to 100 % of what was asked for.
    if let seconds = trunks[index].watch.keep, seconds > 0 { pace = min(pace, .milliseconds(seconds * 800)) }
    timers.set(.targetKeepalive(trunk: index), at: now + pace)
  }

  mutating func sendTargetKeepalive(_ index: Int, now: MonotonicInstant, into actions: inout [LinkAction]) {
    guard trunks.indices.contains(index), trunks[index].configuration.enabled, let path = route(ofTrunk: index),
      strategy(of: LinkSocket(path.socket))?.keepsProvider == true
    else { return }
    watchTarget(index, path)
    let watch = trunks[index].watch
    let lastSign = [watch.heardAt, watch.optionsAt].compactMap { $0 }.max()
    if trunks[index].watch.keep != nil {
      sendProbe(index, path, into: &actions)
    } else if trunks[index].watch.question == nil, lastSign.map({ now - $0 >= Self.optionsPace }) ?? true {
      sendOptions(index, path, now: now, into: &actions)
    } else {
      sendLineEnds(path, into: &actions)
    }
    // Providers may send requests of a call from elsewhere (Record-Route, Contact): these ways stay open too.
    for remote in dialogTargets(ofTrunk: index, beside: path) {
      sendLineEnds(SIPPath(socket: path.socket, remote: remote), into: &actions)
    }
    setTargetKeepalive(index, now: now)
  }

  private mutating func watchTarget(_ index: Int, _ path: SIPPath) {
    let watch = trunks[index].watch
    guard watch.target != path.remote else { return }
    trunks[index].watch = ProviderWatch()
    trunks[index].watch.target = path.remote
    trunks[index].watch.isSilent = watch.isSilent
  }

  /// An INVITE is repeated: an answer to something shorter tells whether the provider is there at all.
  mutating func askTarget(ofUnanswered path: SIPPath, now: MonotonicInstant, into actions: inout [LinkAction]) {
    for index in trunks.indices where trunks[index].configuration.enabled && route(ofTrunk: index) == path {
      watchTarget(index, path)
      let watch = trunks[index].watch
      // While no STUN server answers nobody else tells that the line is up.
      let isRested = watch.optionsAt.map { now - $0 >= Self.optionsPace } ?? true
      guard watch.question == nil, isRested || sockets[path.socket].stun?.isSilent == true else { continue }
      sendOptions(index, path, now: now, into: &actions)
    }
  }

  private mutating func sendLineEnds(_ path: SIPPath, into actions: inout [LinkAction]) {
    actions.append(.send([13, 10, 13, 10], LinkSocket(path.socket), to: path.remote))
  }

  /// Where requests within calls of the trunk go, other than to `path`.
  private func dialogTargets(ofTrunk index: Int, beside path: SIPPath) -> [Endpoint] {
    var remotes: [Endpoint] = []
    for call in calls.values {
      for leg in call.legs where leg.side == .trunk(index) && !leg.isEnded && leg.dialog != nil {
        let remote = self.path(of: leg).remote
        if remote != path.remote, !remotes.contains(remote) { remotes.append(remote) }
      }
    }
    return remotes
  }

  /// A call was answered by us: where later requests come from, a first packet opens the way.
  mutating func callAnswered(_ id: LegID, now: MonotonicInstant, into actions: inout [LinkAction]) {
    watchAudio(of: id.call, now: now)
    watchPulse(of: id.call, now: now)
    guard let leg = leg(id), case .trunk = leg.side, !leg.path.isReliable else { return }
    let path = path(of: leg)
    if path.remote != leg.path.remote { sendLineEnds(path, into: &actions) }
  }

  // MARK: OPTIONS

  private mutating func sendOptions(
    _ index: Int, _ path: SIPPath, now: MonotonicInstant, into actions: inout [LinkAction]
  ) {
    let branch = "z9hG4bK" + random.hexDigits(24)
    let bytes = optionsRequest(index, path, branch: branch)
    counters.requests.count("OPTIONS", "out")
    trunks[index].watch.optionsAt = now
    trunks[index].watch.question = ProviderWatch.Question(
      branch: branch, bytes: bytes, target: path.remote, sentAt: now)
    // Not by way of `send`: it is a keepalive, and the port counts as silent all the same.
    actions.append(.send(bytes, LinkSocket(path.socket), to: path.remote))
    timers.set(.targetSilence(trunk: index), at: now + Self.repetitions[0])
  }

  mutating func optionsRequest(_ index: Int, _ path: SIPPath, branch: String) -> [UInt8] {
    trunks[index].watch.sequence &+= 1
    var request = providerQuestion(.options, index, path, branch: branch, sequence: trunks[index].watch.sequence)
    request.set(.contact, "<\(contact(ofTrunk: index, path))>")
    return request.serialized()
  }

  /// OPTIONS, or REGISTER without a contact, to a trunk's provider: a question outside all calls that changes nothing.
  mutating func providerQuestion(
    _ method: SIPMethod, _ index: Int, _ path: SIPPath, branch: String, sequence: UInt32
  ) -> SIPMessage {
    let trunk = trunks[index].configuration
    let isRegister = method == .register
    var request = SIPMessage(
      method: method,
      requestURI: isRegister
        ? SIPURI(user: nil, host: trunk.registrar.host, port: trunk.registrar.port)
        : SIPURI(user: nil, host: trunk.domain))
    request.set(.via, "SIP/2.0/UDP \(sentBy(path));branch=\(branch);rport")
    request.set(.maxForwards, "70")
    request.set(.from, "<sip:\(trunk.username)@\(trunk.domain)>;tag=\(random.hexDigits(16))")
    request.set(.to, isRegister ? "<sip:\(trunk.username)@\(trunk.domain)>" : "<sip:\(trunk.domain)>")
    request.set(.callID, random.hexDigits(32))
    request.set(.cSeq, "\(sequence) \(method)")
    request.set(.userAgent, Self.product)
    addRoute(ofTrunk: index, to: &request)
    return request
  }

  /// An answer to OPTIONS of ours, whatever its status, is a sign of life; true where it was one.
  mutating func keepaliveAnswered(
    _ response: SIPMessage, _ path: SIPPath, now: MonotonicInstant, into actions: inout [LinkAction]
  ) -> Bool {
    guard response.method == .options, let branch = (try? response.topVia())?.branch,
      let index = trunks.firstIndex(where: { $0.watch.question?.branch == branch }),
      trunks[index].watch.question?.target.address == path.remote.address
    else { return false }
    counters.responses.count("\(response.status / 100)xx", "in")
    let request = trunks[index].watch.question.flatMap { try? SIPMessage(parsing: $0.bytes.span) }
    trunks[index].watch.question = nil
    trunks[index].watch.answersOptions = true
    timers.cancel(.targetSilence(trunk: index))
    let isHidden = providerTestified(
      response, to: request, trunk: index, socket: path.socket, now: now, into: &actions)
    if !isHidden { learnAddress(from: response, path, now: now, into: &actions) }
    learnFlow(ofTrunk: index, from: response, now: now, into: &actions)
    return true
  }

  /// OPTIONS is still unanswered: it is sent again, the line is looked at, and at last the provider is called silent.
  mutating func targetSilenceDue(_ index: Int, now: MonotonicInstant, into actions: inout [LinkAction]) {
    guard trunks.indices.contains(index), var question = trunks[index].watch.question,
      let socket = trunks[index].socket, case .uplink(let uplink) = sockets[socket.rawValue].side
    else { return }
    guard trunks[index].watch.answersOptions, trunks[index].configuration.enabled,
      question.repetitions + 1 < Self.repetitions.count
    else {
      trunks[index].watch.question = nil
      guard trunks[index].watch.answersOptions, trunks[index].configuration.enabled else { return }
      // Where the STUN servers are silent too it is the line, and that is told elsewhere.
      let hasServers = sockets[socket.rawValue].stun?.currentServer != nil
      let heardAt = uplinks[uplink].nat.heardAt
      guard !hasServers || heardAt.map({ $0 >= question.sentAt }) ?? false else { return }
      return targetFellSilent(index, now: now, into: &actions)
    }
    question.repetitions += 1
    question.sentAt = now
    trunks[index].watch.question = question
    actions.append(.send(question.bytes, socket, to: question.target))
    timers.set(.targetSilence(trunk: index), at: now + Self.repetitions[question.repetitions])
    suspect(socket, now: now, into: &actions)
  }

  private mutating func targetFellSilent(_ index: Int, now: MonotonicInstant, into actions: inout [LinkAction]) {
    guard !trunks[index].watch.isSilent, trunks[index].isUsable else { return }
    trunks[index].watch.isSilent = true
    trunkFailed(
      index, state: .unreachable, code: .providerSilent, sentence: VerdictCode.providerSilent.meaning,
      evidence: "OPTIONS to \(trunks[index].host) sent \(Self.repetitions.count) times, STUN answered meanwhile",
      now: now, into: &actions)
    if trunks[index].targets.count > 1 {
      trunks[index].currentTarget = (trunks[index].currentTarget + 1) % trunks[index].targets.count
    }
    var steps: [RegistrationAction] = []
    trunks[index].registration?.refresh(now: now, random: &random, into: &steps)
    perform(steps, trunk: index, now: now, into: &actions)
  }

  /// A datagram of a trunk's target came in, whatever it says.
  mutating func targetHeard(
    _ source: Endpoint, _ socket: LinkSocket, now: MonotonicInstant, into actions: inout [LinkAction]
  ) {
    for index in trunks.indices where !trunks[index].isRemoved && trunks[index].socket == socket {
      guard trunks[index].targets.contains(where: { $0.address == source.address }) else { continue }
      trunks[index].heardAt = now
      if trunks[index].watch.target?.address == source.address { trunks[index].watch.heardAt = now }
      guard trunks[index].watch.isSilent else { continue }
      trunks[index].watch.isSilent = false
      var isRegistered = false
      if case .registered? = trunks[index].registration?.state { isRegistered = true }
      guard isRegistered || !trunks[index].configuration.register, trunks[index].configuration.enabled else { continue }
      trunks[index].status = isRegistered ? .registered : .static
      trunks[index].lastError = nil
      trunkWell(index)
      if let since = trunks[index].unregisteredSince {
        trunks[index].unregisteredSeconds += (now - since).inSeconds
      }
      trunks[index].unregisteredSince = nil
      actions.append(.log(.notice, "trunk \(trunks[index].name): the provider answers again"))
      actions.append(.statusChanged)
    }
  }

  private mutating func suspect(_ socket: LinkSocket, now: MonotonicInstant, into actions: inout [LinkAction]) {
    var steps: [UplinkPort.Action] = []
    sockets[socket.rawValue].stun?.suspected(now: now, random: &random, into: &steps)
    perform(steps, on: socket.rawValue, now: now, into: &actions)
  }

  // MARK: STUN to the provider (RFC 6223)

  /// Whether a request offers to keep the flow alive by STUN: REGISTER, where the provider's way in wants keeping open.
  func offersKeep(_ owner: ClientOwner, _ path: SIPPath) -> Bool {
    guard case .registration = owner else { return false }
    return strategy(of: LinkSocket(path.socket))?.keepsProvider == true
  }

  /// `keep` with a number in the Via of a 200: the provider takes STUN on its SIP port, and wants it that often.
  mutating func keepNegotiated(_ index: Int, _ response: SIPMessage) {
    guard trunks.indices.contains(index) else { return }
    let written = (try? response.topVia())?.parameters["keep"]
    trunks[index].watch.keep = written.flatMap { UInt16($0) }.map(Int.init)
  }

  private mutating func sendProbe(_ index: Int, _ path: SIPPath, into actions: inout [LinkAction]) {
    let message = STUNMessage(
      messageClass: .request, method: .binding, transactionID: STUNMessage.randomTransactionID(&random))
    trunks[index].watch.probes.append(.init(transactionID: message.transactionID, target: path.remote))
    if trunks[index].watch.probes.count > Self.mostProbes { trunks[index].watch.probes.removeFirst() }
    if case .uplink(let uplink) = sockets[path.socket].side {
      counters.keepalives.count(uplinks[uplink].configuration.name, "sent")
    }
    actions.append(.send(message.encoded(), LinkSocket(path.socket), to: path.remote))
  }

  /// A provider's answer to STUN of ours shows the flow to it; true where it was one.
  mutating func providerMappingReceived(
    _ message: STUNMessage, from source: Endpoint, _ socket: LinkSocket, now: MonotonicInstant,
    into actions: inout [LinkAction]
  ) -> Bool {
    for index in trunks.indices where trunks[index].socket == socket {
      guard
        let place = trunks[index].watch.probes.firstIndex(where: {
          $0.transactionID == message.transactionID && $0.target == source
        })
      else { continue }
      trunks[index].watch.probes.removeSubrange(...place)
      guard case .uplink(let uplink) = sockets[socket.rawValue].side else { return true }
      counters.keepalives.count(uplinks[uplink].configuration.name, "answered")
      uplinkHeard(uplink, now: now, into: &actions)
      targetHeard(source, socket, now: now, into: &actions)
      if message.messageClass == .success, let seen = message.mappedAddress {
        providerSaw(seen, trunk: index, now: now, into: &actions)
        flowSeen(seen, trunk: index, now: now, into: &actions)
      }
      return true
    }
    return false
  }
}
