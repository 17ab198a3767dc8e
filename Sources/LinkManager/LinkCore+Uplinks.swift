import CallControl
import NetworkTypes
import OrderedCollections
import SIPDialog
import SIPSyntax
import SIPTransaction
import STUN

/// Uplinks: what their sockets hear, the STUN keepalive, the public address.
extension LinkCore {
  mutating func uplinkReceived(
    _ bytes: Span<UInt8>, from source: Endpoint, _ socket: LinkSocket, uplink: Int, now: MonotonicInstant,
    into actions: inout [LinkAction]
  ) {
    // RFC 7983: the first two bits of STUN are zero, SIP begins with a letter.
    if STUNMessage.isSTUN(bytes) {
      guard let message = try? STUNMessage(decoding: bytes) else { return discard("malformedSTUN") }
      var stunActions: [UplinkPort.Action] = []
      let isOurs =
        sockets[socket.rawValue].stun?
        .answerReceived(message, from: source, now: now, random: &random, into: &stunActions) ?? false
      if isOurs {
        counters.keepalives.count(uplinks[uplink].configuration.name, "answered")
        uplinkHeard(uplink, now: now, into: &actions)
        if sockets[socket.rawValue].isInUse, message.messageClass == .success, let seen = message.mappedAddress {
          serverTestified(source, sees: seen.address, uplink: uplink, now: now, into: &actions)
        }
      } else if witnessAnswered(message, from: source, uplink: uplink, now: now, into: &actions) {
        uplinkHeard(uplink, now: now, into: &actions)
      } else if proofReceived(message, from: source, socket, uplink: uplink, now: now, into: &actions) {
        uplinkHeard(uplink, now: now, into: &actions)
      } else if !providerMappingReceived(message, from: source, socket, now: now, into: &actions) {
        discard("unexpectedSTUN")
      }
      perform(stunActions, on: socket.rawValue, now: now, into: &actions)
      return
    }
    let isTarget = trunks.contains { trunk in
      !trunk.isRemoved && trunk.targets.contains { $0.address == source.address }
    }
    if isTarget {
      var stunActions: [UplinkPort.Action] = []
      sockets[socket.rawValue].stun?.lineProven(now: now, into: &stunActions)
      perform(stunActions, on: socket.rawValue, now: now, into: &actions)
      uplinkHeard(uplink, now: now, into: &actions)
      targetHeard(source, socket, now: now, into: &actions)
      sockets[socket.rawValue].heardAt = now
      if !sockets[socket.rawValue].isInUse { freshPortHeard(socket.rawValue, isProvider: true, now: now) }
    }
    guard !isKeepalive(bytes) else { return }
    let path = SIPPath(socket: socket.rawValue, remote: source)
    signallingReceived(bytes, path, isForeign: !isTarget, now: now, into: &actions)
  }

  mutating func perform(
    _ steps: [UplinkPort.Action], on index: Int, now: MonotonicInstant, into actions: inout [LinkAction]
  ) {
    guard case .uplink(let uplink) = sockets[index].side else { return }
    let name = uplinks[uplink].configuration.name
    for step in steps {
      guard sockets[index].isInUse else {
        restingPortActed(step, index, now: now, into: &actions)
        continue
      }
      switch step {
      case .send(let bytes, let server):
        counters.keepalives.count(name, "sent")
        if sockets[index].stun?.lostSince != nil { holdAnswers(ofUplink: uplink, now: now) }
        actions.append(.send(bytes, sockets[index].id, to: server))
      case .mapped(let endpoint, let before):
        mappingChanged(endpoint, before: before, uplink: uplink, now: now, into: &actions)
      case .disagreed(let found):
        serversDisagree(uplink, found, now: now, into: &actions)
        // Those that have just asked the other one are told another address than this port.
        tellMediaPlan(of: index, into: &actions)
      case .lineLost(let since): lineLost(uplink, index, since: since, now: now, into: &actions)
      case .lineReturned(let lost, let back):
        // One answer that stays away changes no address.
        if back - lost >= .seconds(1) { witnessesAreVoid(uplink, since: back, now: now) }
        doubtRouterAddress(uplink, now: now, into: &actions)
        lineReturned(uplink, lost: lost, at: back, now: now, into: &actions)
      case .serversSilent:
        uplinks[uplink].lastError = ErrorStatus(
          code: "stunServersSilent",
          sentence: "No STUN server answers on uplink \(name); its public address is not watched.")
        actions.append(.log(.warning, "uplink \(name): no STUN server answers; going on with what is known"))
        serversSilent(uplink, now: now, into: &actions)
        for trunk in trunks.indices { advanceTrunk(trunk, now: now, into: &actions) }
      case .serversBack:
        uplinks[uplink].lastError = nil
        uplinks[uplink].nat.silentSince = nil
        over(.lineDown, of: .uplink(uplink))
        over(.stunServersSilent, of: .uplink(uplink))
        actions.append(.log(.notice, "uplink \(name): STUN answers again"))
        // Ports that were opened meanwhile know no server, and the far side was told a guess.
        tellMediaPlan(of: index, into: &actions)
      case .firstServerSilent(let server):
        tell(
          .stunServerDead, of: .uplink(uplink), evidence: "\(server) did not answer for minutes, the next one did",
          again: .zero, now: now, into: &actions)
      }
      actions.append(.statusChanged)
    }
  }

  /// Two servers that both answer see different addresses: nothing moves, and the others are heard.
  private mutating func serversDisagree(
    _ uplink: Int, _ found: UplinkDisagreement, now: MonotonicInstant, into actions: inout [LinkAction]
  ) {
    for (server, seen) in [(found.server, found.sees), (found.other, found.otherSees)] {
      serverTestified(server, sees: seen.address, uplink: uplink, now: now, into: &actions)
    }
  }

  mutating func mappingChanged(
    _ endpoint: Endpoint, before: Endpoint?, uplink: Int, now: MonotonicInstant, into actions: inout [LinkAction]
  ) {
    let name = uplinks[uplink].configuration.name
    addressSeen(endpoint.address, uplink: uplink, now: now, into: &actions)
    forwardMoved(uplink, endpoint, now: now)
    if let before {
      if before.address != endpoint.address { witnessesAreVoid(uplink, from: before.address, now: now) }
      counters.addressChanges.count(name)
      uplinks[uplink].lastChangeAt = wallTime(now)
      uplinks[uplink].troubleAt = now
      if before.address != endpoint.address { cutNoticed(uplink, now: now, into: &actions) }
      rediscover(uplink: uplink, now: now)
      uplinks[uplink].previousAddresses.insert(
        .init(ip: before.address.description, port: before.port, until: wallTime(now).description), at: 0)
      if uplinks[uplink].previousAddresses.count > 16 { uplinks[uplink].previousAddresses.removeLast() }
      actions.append(.log(.notice, "uplink \(name): the public address has changed; moving every trunk"))
    } else {
      // A port that took another one's place may have come up with another address.
      witnessesAreVoid(uplink, since: now, now: now)
      actions.append(.log(.info, "uplink \(name): the public address is known"))
    }
    for index in trunks.indices {
      // A new address is a new flow, which the provider's next answer shows.
      if before != nil, trunks[index].socket.map({ sockets[$0.rawValue].side == .uplink(uplink) }) ?? false {
        trunks[index].flow = nil
      }
      // All at once, but not in one burst that a small router drops.
      let isFirst = !trunks[..<index].contains { $0.configuration.enabled }
      if before == nil || isFirst {
        advanceTrunk(index, now: now, into: &actions)
      } else {
        let spread = min(Int64(trunks.count) * 10, 100)
        timers.set(.advance(trunk: index), at: now + .milliseconds(Int64.random(in: 1...spread, using: &random)))
      }
    }
    // Calls came here from a port that was dead before this one's mapping was known.
    if before != nil || !legs(ofUplink: uplink).isEmpty {
      let isSameAddress = before?.address == endpoint.address
      repairCalls(ofUplink: uplink, isSameAddress: isSameAddress, now: now, into: &actions)
    }
  }

  /// Gives each uplink socket the addresses of its servers in its own family.
  mutating func updateSTUNServers(now: MonotonicInstant, into actions: inout [LinkAction]) {
    for index in sockets.indices {
      guard case .uplink(let uplink) = sockets[index].side, let local = sockets[index].local else { continue }
      let servers = stunServers(of: uplink, isV4: local.address.isV4)
      if !servers.isEmpty { serversKnown(uplink: uplink, now: now, into: &actions) }
      var stunActions: [UplinkPort.Action] = []
      sockets[index].stun?.serversChanged(servers, now: now, random: &random, into: &stunActions)
      perform(stunActions, on: index, now: now, into: &actions)
      noteUnresolvedServers(uplink, now: now)
    }
  }

  private mutating func noteUnresolvedServers(_ uplink: Int, now: MonotonicInstant) {
    let code = VerdictCode.stunServersUnresolved
    let configuration = uplinks[uplink].configuration
    let isTrouble = !configuration.stunServers.isEmpty && configuration.stunServers.allSatisfy { isUnknown($0) }
    if isTrouble {
      if uplinks[uplink].lastError == nil { uplinks[uplink].lastError = ErrorStatus(code) }
      if !isTold(code, of: .uplink(uplink)) { judgeNamesSoon(now: now) }
    } else if uplinks[uplink].lastError?.code == code.rawValue {
      uplinks[uplink].lastError = nil
      over(code, of: .uplink(uplink))
    }
  }

  /// Whether the public side of a socket is as well known as it will be for now.
  func isMappingSettled(_ socket: LinkSocket) -> Bool {
    let state = sockets[socket.rawValue]
    guard state.local != nil else { return false }
    guard case .uplink(let uplink) = state.side, let stun = state.stun else { return true }
    let configuration = uplinks[uplink].configuration
    if configuration.publicAddress != nil || stun.mapping != nil || stun.isSilent { return true }
    // No server can be asked: none is configured, or none has a name that resolves or an address of this family.
    return stun.currentServer == nil && configuration.stunServers.allSatisfy { isLookedUp($0) }
  }
}
