import NetworkTypes
import PortMapping
import SIPSyntax
import SIPTransaction
import STUN

/// The question to the STUN servers that are not asked anyway, of what they see.
struct WitnessRound: Sendable, Codable {
  struct Question: Sendable, Codable {
    let transactionID: UInt128
    let server: Endpoint
  }

  var open: [Question] = []
  var sent = 0
  var deadline: MonotonicInstant
}

/// Who says what of an uplink's address, and what is done where they disagree: ``AddressTribunal`` judges.
extension LinkCore {
  /// When the servers are asked after an address was found, and how often after that.
  private static let firstRound = Duration.seconds(5)
  private static let nextRound = Duration.seconds(600)
  private static let roundTries = 3
  private static let roundPause = Duration.milliseconds(500)
  private static let mostServers = 4
  /// Where somebody contradicts somebody, no sooner than this.
  private static let doubtPause = Duration.seconds(3)

  // MARK: Testimonies

  /// A STUN server answered on the port that is used.
  mutating func serverTestified(
    _ server: Endpoint, sees seen: IPAddress, uplink: Int, now: MonotonicInstant, into actions: inout [LinkAction]
  ) {
    uplinks[uplink].tribunal.heard(.stunServer(server), sees: seen.unmapped, now: now)
    if uplinks[uplink].round == nil {
      uplinks[uplink].round = WitnessRound(deadline: now + Self.firstRound)
      setTribunalTimer(uplink)
    }
    judge(uplink, now: now, into: &actions)
  }

  /// A provider answered, and whatever is between it and us may have altered that.
  ///
  /// - Returns: whether what it says of where it saw us cannot be believed.
  mutating func providerTestified(
    _ response: SIPMessage, to request: SIPMessage?, trunk: Int?, socket: Int, now: MonotonicInstant,
    into actions: inout [LinkAction]
  ) -> Bool {
    guard let trunk, let request, case .uplink(let uplink) = sockets[socket].side, let local = sockets[socket].local,
      let target = trunks[trunk].targets.first
    else { return false }
    let name = trunks[trunk].name
    let own = Endpoint(localAddress(local.address, towards: target.address), port: local.port)
    let alteration = SIPAlteration(response, to: request, inside: trunks[trunk].hasToldInside ? nil : own)
    if alteration != nil || SIPAlteration.shows(request, inside: own.address) {
      uplinks[uplink].tribunal.answered(name, alteration)
    }
    // Who writes Via otherwise writes `received` otherwise too.
    let isHidden = alteration?.field == .via
    trunks[trunk].isFlowHidden = isHidden
    if !isHidden, let seen = (try? response.topVia())?.received.flatMap({ IPAddress($0) }) {
      uplinks[uplink].tribunal.heard(.provider(name), sees: seen.unmapped, now: now)
    }
    judge(uplink, now: now, into: &actions)
    return isHidden
  }

  /// Whose provider a request of ours went to.
  func trunk(of id: ClientTransactionID, _ path: SIPPath) -> Int? {
    switch clientOwners[id] {
    case .registration(let trunk): return trunks.indices.contains(trunk) ? trunk : nil
    case .invite(let leg), .reinvite(let leg), .move(let leg), .update(let leg), .relayed(_, let leg, _),
      .pulse(let leg):
      if case .trunk(let trunk)? = self.leg(leg)?.side { return trunk }
      return nil
    case .bye, nil:
      return trunks.firstIndex { trunk in
        !trunk.isRemoved && trunk.socket?.rawValue == path.socket && trunk.targets.contains(path.remote)
      }
    }
  }

  /// A provider answered to STUN on its SIP port.
  mutating func providerSaw(_ endpoint: Endpoint, trunk: Int, now: MonotonicInstant, into actions: inout [LinkAction]) {
    guard let socket = trunks[trunk].socket, case .uplink(let uplink) = sockets[socket.rawValue].side else { return }
    uplinks[uplink].tribunal.heard(.provider(trunks[trunk].name), sees: endpoint.address.unmapped, now: now)
    judge(uplink, now: now, into: &actions)
  }

  /// The address may be changing: what was said of it is of the past.
  mutating func witnessesAreVoid(
    _ uplink: Int, from old: IPAddress? = nil, since: MonotonicInstant? = nil, now: MonotonicInstant
  ) {
    uplinks[uplink].tribunal.addressChanging(from: old?.unmapped, since: since)
    if uplinks[uplink].round != nil { uplinks[uplink].round = WitnessRound(deadline: now + Self.firstRound) }
    setTribunalTimer(uplink)
  }

  // MARK: Asking

  mutating func tribunalDue(_ uplink: Int, now: MonotonicInstant, into actions: inout [LinkAction]) {
    guard uplinks.indices.contains(uplink), !isStopping else { return }
    if let round = uplinks[uplink].round, round.deadline <= now { askWitnesses(uplink, now: now, into: &actions) }
    judge(uplink, now: now, into: &actions)
  }

  /// Each server is asked once, and again where it did not answer. Those that are asked by the keepalive anyway only in doubt.
  private mutating func askWitnesses(_ uplink: Int, now: MonotonicInstant, into actions: inout [LinkAction]) {
    guard var round = uplinks[uplink].round,
      let index = sockets.firstIndex(where: { $0.side == .uplink(uplink) && $0.isInUse && $0.stun?.mapping != nil }),
      let stun = sockets[index].stun, stun.lostSince == nil, !stun.isResting
    else {
      uplinks[uplink].round?.deadline = now + Self.firstRound
      return
    }
    if round.sent == 0 {
      let inDoubt = uplinks[uplink].tribunal.wantsWitnesses
      let servers = stunServers(of: uplink, isV4: sockets[index].configured.address.isV4)
      round.open = servers.filter { inDoubt || $0 != stun.currentServer }.prefix(Self.mostServers).map {
        WitnessRound.Question(transactionID: STUNMessage.randomTransactionID(&random), server: $0)
      }
    }
    guard round.sent < Self.roundTries, !round.open.isEmpty else {
      uplinks[uplink].round = WitnessRound(deadline: now + Self.nextRound)
      return
    }
    round.sent += 1
    round.deadline = now + Self.roundPause
    uplinks[uplink].round = round
    // No keepalives: the port counts as silent all the same.
    for question in round.open {
      let message = STUNMessage(messageClass: .request, method: .binding, transactionID: question.transactionID)
      actions.append(.send(message.encoded(), sockets[index].id, to: question.server))
    }
  }

  /// A STUN message that no keepalive asked for: whether it is a witness's answer.
  mutating func witnessAnswered(
    _ message: STUNMessage, from source: Endpoint, uplink: Int, now: MonotonicInstant, into actions: inout [LinkAction]
  ) -> Bool {
    guard
      let place = uplinks[uplink].round?.open.firstIndex(where: {
        $0.transactionID == message.transactionID && $0.server == source
      })
    else { return false }
    uplinks[uplink].round?.open.remove(at: place)
    if message.messageClass == .success, let seen = message.mappedAddress {
      serverTestified(source, sees: seen.address, uplink: uplink, now: now, into: &actions)
    }
    return true
  }

  // MARK: Judging

  mutating func judge(_ uplink: Int, now: MonotonicInstant, into actions: inout [LinkAction]) {
    hearRouterAndHost(uplink, now: now)
    var configured: [AddressTribunal.Witness] = []
    if !uplinks[uplink].tribunal.open.isEmpty {
      configured = configuredWitnesses(uplink)
      uplinks[uplink].tribunal.keep(configured)
    }
    var news: [AddressTribunal.News] = []
    uplinks[uplink].tribunal.judge(now: now, isConfigured: { configured.contains($0) }, into: &news)
    for one in news {
      switch one {
      case .found(let judgement): tell(of: judgement, uplink: uplink, now: now, into: &actions)
      case .ended(let judgement):
        let name = uplinks[uplink].configuration.name
        actions.append(.log(.notice, "uplink \(name): over: \(judgement.cause.code.meaning)"))
        over(judgement.cause.code, of: .uplink(uplink))
      }
    }
    if uplinks[uplink].tribunal.wantsWitnesses, let round = uplinks[uplink].round, round.sent == 0 {
      uplinks[uplink].round?.deadline = min(round.deadline, now + Self.doubtPause)
    }
    setTribunalTimer(uplink)
  }

  private func configuredWitnesses(_ uplink: Int) -> [AddressTribunal.Witness] {
    [true, false].flatMap { stunServers(of: uplink, isV4: $0) }.map { .stunServer($0) }
      + trunks.filter { !$0.isRemoved && $0.configuration.enabled }.map { .provider($0.name) } + [.router, .host]
  }

  private mutating func setTribunalTimer(_ uplink: Int) {
    let deadlines = [uplinks[uplink].round?.deadline, uplinks[uplink].tribunal.nextDeadline].compactMap { $0 }
    if let deadline = deadlines.min(), !isStopping {
      timers.set(.tribunal(uplink: uplink), at: deadline)
    } else {
      timers.cancel(.tribunal(uplink: uplink))
    }
  }

  /// A router whose word differs is heard only when its client has found that it stays so.
  private mutating func hearRouterAndHost(_ uplink: Int, now: MonotonicInstant) {
    if let client = uplinks[uplink].router?.client, let told = client.toldAddress {
      let isJudged = client.findings.contains {
        switch $0 {
        case .privateAddress, .otherAddress: true
        default: false
        }
      }
      if isJudged || told == client.seenAddress {
        uplinks[uplink].tribunal.heard(.router, sees: told, now: now)
      } else {
        uplinks[uplink].tribunal.forget(.router)
      }
    }
    let socket = sockets.first {
      $0.side == .uplink(uplink) && $0.isInUse && $0.configured.address.isV4 && $0.local != nil
    }
    guard let socket else { return }
    var own: [IPAddress] = [(socket.local ?? socket.configured).address]
    if own[0].isUnspecified {
      // Of several, one may be a tunnel's.
      own = configuration.lan.interfaces.map(\.address).filter { $0.isV4 && !$0.isLoopback }
    }
    if own.count == 1 { uplinks[uplink].tribunal.heard(.host, sees: own[0], now: now) }
  }

  private mutating func tell(
    of judgement: AddressTribunal.Judgement, uplink: Int, now: MonotonicInstant, into actions: inout [LinkAction]
  ) {
    tell(judgement.cause.code, of: .uplink(uplink), evidence: judgement.evidence, now: now, into: &actions)
    guard case .stunServer(let liar)? = judgement.suspect else { return }
    for index in sockets.indices where sockets[index].side == .uplink(uplink) && sockets[index].isInUse {
      var steps: [UplinkPort.Action] = []
      sockets[index].stun?.distrust(liar, now: now, random: &random, into: &steps)
      perform(steps, on: index, now: now, into: &actions)
      // Ports that were opened meanwhile ask whoever was asked then.
      tellMediaPlan(of: index, into: &actions)
    }
    rediscoverWithoutLiar(uplink: uplink, now: now, into: &actions)
  }
}

extension AddressTribunal.Cause {
  var code: VerdictCode {
    switch self {
    case .sipALG: .sipALG
    case .carrierNAT: .carrierNAT
    case .doubleNAT: .doubleNAT
    case .twoLines: .twoLines
    case .lyingServer: .lyingServer
    case .stunServersDisagree: .stunServersDisagree
    case .routerAddressDiffers: .routerAddressDiffers
    }
  }
}
