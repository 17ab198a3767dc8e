import CallControl
public import NetworkTypes
import OrderedCollections
import SDP
import SIPDialog
import SIPSyntax
import SIPTransaction

/// Calls: a new INVITE, where it goes, and what is kept of it.
extension LinkCore {
  mutating func inviteReceived(
    _ request: SIPMessage, _ id: ServerTransactionID, _ path: SIPPath, now: MonotonicInstant,
    into actions: inout [LinkAction]
  ) {
    // RFC 3261 §16.3 steps 3 and 4: a call that goes in circles ends here.
    if request.maxForwards == 0 { return refuse(request, id, 483, now: now, into: &actions) }
    if isMerged(request) { return refuse(request, id, 482, now: now, into: &actions) }
    if path.socket == doctorSocket { return doctorCalls(request, id, path, now: now, into: &actions) }
    if case .lan = sockets[path.socket].side, !isTrunkTarget(path) {
      guard let station = caller(of: request, id, path, now: now, into: &actions) else { return }
      outboundCall(request, id, path, from: station, now: now, into: &actions)
    } else {
      inboundCall(request, id, path, now: now, into: &actions)
    }
  }

  /// RFC 3261 §8.2.2.2: the same INVITE is here already, by another way.
  private func isMerged(_ request: SIPMessage) -> Bool {
    guard let callID = request.callID, let sequence = try? request.cSeq() else { return false }
    return calls.values.contains { call in
      guard let invite = call.legs[0].invite, call.legs[0].serverTransaction != nil else { return false }
      return invite.callID == callID && invite.fromTag == request.fromTag && (try? invite.cSeq()) == sequence
    }
  }

  /// A trunk with `uplinks: [lan]`, whose provider is in the office.
  private func isTrunkTarget(_ path: SIPPath) -> Bool {
    trunks.contains { $0.socket?.rawValue == path.socket && $0.targets.contains(path.remote) }
  }

  // MARK: From a provider

  private mutating func inboundCall(
    _ request: SIPMessage, _ id: ServerTransactionID, _ path: SIPPath, now: MonotonicInstant,
    into actions: inout [LinkAction]
  ) {
    guard let trunk = trunkIndex(of: request, path) else { return refuse(request, id, 404, now: now, into: &actions) }
    let called = calledNumber(request, trunk: trunk)
    if let stage = doctorStage(request, trunk: trunk, called: called) {
      return begin(
        request, id, path, side: .trunk(trunk), direction: .inbound, called: called, trunk: trunks[trunk].name,
        stages: [stage], now: now, into: &actions)
    }
    guard
      let rule = configuration.routing.inbound.first(where: { rule in
        (rule.trunk == nil || rule.trunk == trunks[trunk].name) && rule.number?.matches(called) ?? true
      })
    else {
      tellRefusal(.numberNotOurs, of: .trunk(trunk), evidence: "INVITE for \(called)", now: now, into: &actions)
      return refuse(request, id, 404, now: now, into: &actions)
    }
    if rule.to.contains(.reject) { return refuse(request, id, 603, now: now, into: &actions) }
    if let reason = blockedReason(ofTrunks: [trunks[trunk].name], now: now) {
      return refuse(request, id, 503, reason: reason, now: now, into: &actions)
    }
    var stages = [DialStage(targets: rule.to.flatMap { targets($0, called: called, now: now) }, timeout: rule.timeout)]
    if let otherwise = rule.otherwise {
      stages.append(contentsOf: self.stages(otherwise, called: called, now: now))
    }
    begin(
      request, id, path, side: .trunk(trunk), direction: .inbound, called: called, trunk: trunks[trunk].name,
      stages: stages, now: now, into: &actions)
  }

  /// Several trunks may share a provider's address: the contact that we registered tells them apart, then the number.
  private func trunkIndex(of request: SIPMessage, _ path: SIPPath) -> Int? {
    let candidates = trunks.indices.filter { index in
      trunks[index].configuration.enabled
        && trunks[index].targets.contains { $0.address == path.remote.address }
    }
    let user = (try? request.requestURI())?.user
    let to = (try? request.to())?.uri.user
    return candidates.first { trunks[$0].configuration.username == user }
      ?? candidates.first { index in
        let numbers = trunks[index].configuration.numbers.map(NumberPattern.init)
        return [user, to].contains { number in number.map { text in numbers.contains { $0.matches(text) } } ?? false }
      } ?? candidates.first
  }

  /// The number that was called: the request URI's, or the To's where the request URI only has our contact.
  private func calledNumber(_ request: SIPMessage, trunk: Int) -> String {
    let user = (try? request.requestURI())?.user ?? ""
    guard user.isEmpty || user == trunks[trunk].configuration.username else { return user }
    return (try? request.to())?.uri.user ?? user
  }

  // MARK: From the office

  private mutating func outboundCall(
    _ request: SIPMessage, _ id: ServerTransactionID, _ path: SIPPath, from station: Station, now: MonotonicInstant,
    into actions: inout [LinkAction]
  ) {
    guard let dialled = (try? request.requestURI())?.user, !dialled.isEmpty else {
      return refuse(request, id, 484, now: now, into: &actions)
    }
    if let callee = configuration.phones.first(where: { $0.extensionNumber == dialled }) {
      let stage = DialStage(targets: dialTargets(.phone(callee), number: dialled, now: now))
      return begin(
        request, id, path, side: .station(station.target.description), direction: .internal, called: dialled,
        trunk: nil, stages: [stage], from: station, now: now, into: &actions)
    }
    let route = self.route(from: station, number: dialled)
    let caller = VerdictSubject.station(station.target.description)
    guard let route else {
      tellRefusal(.noRoute, of: caller, evidence: "\(dialled) was dialled", now: now, into: &actions)
      return refuse(request, id, 404, now: now, into: &actions)
    }
    if let reason = blockedReason(ofTrunks: route.trunks, now: now) {
      return refuse(request, id, 503, reason: reason, now: now, into: &actions)
    }
    let usable = withoutExpectedCut(route.trunks).filter { name in
      trunks.indices.contains { trunks[$0].name == name && trunks[$0].isUsable && !isUnproven(trunk: $0, now: now) }
    }
    guard let first = usable.first else {
      let asked = route.trunks.joined(separator: ", ")
      tellRefusal(.noTrunk, of: caller, evidence: "\(asked) would carry it", now: now, into: &actions)
      return refuse(request, id, 503, reason: "No trunk is registered", now: now, into: &actions)
    }
    let stages = usable.map { DialStage(targets: [.trunk($0, number: dialled, callerID: route.callerID)]) }
    begin(
      request, id, path, side: .station(station.target.description), direction: .outbound, called: dialled,
      trunk: first, stages: stages, from: station, now: now, into: &actions)
  }

  /// The trunks, in order, and the caller's number that the outbound rules give a call.
  private func route(from station: Station?, number: String) -> (trunks: [String], callerID: String?)? {
    let rule = configuration.routing.outbound.first { rule in
      (rule.from.isEmpty || station.map { rule.from.contains($0.target) } ?? false) && rule.to.matches(number)
    }
    guard let rule else { return nil }
    if let callerID = rule.callerID { return (rule.trunks, callerID) }
    if case .phone(let phone)? = station { return (rule.trunks, phone.callerNumber) }
    return (rule.trunks, nil)
  }

  // MARK: Targets

  private func targets(_ target: RouteTarget, called: String, now: MonotonicInstant) -> [DialTarget] {
    switch target {
    case .phone(let number):
      guard let phone = configuration.phones.first(where: { $0.extensionNumber == number }) else { return [] }
      return dialTargets(.phone(phone), number: called, now: now)
    case .pbx(let name):
      guard let pbx = configuration.pbxs.first(where: { $0.name == name }) else { return [] }
      return dialTargets(.pbx(pbx), number: called, now: now)
    case .number(let number):
      guard let route = route(from: nil, number: number) else { return [] }
      let trunk = route.trunks.first { name in trunks.contains { $0.name == name && $0.isUsable } }
      return trunk.map { [.trunk($0, number: number, callerID: route.callerID)] } ?? []
    case .sip(let text):
      guard let uri = try? SIPURI(parsing: text), let address = uri.address, isServed(address),
        let socket = lanSocket(towards: address)
      else { return [] }
      let remote = Endpoint(address, port: uri.port ?? 5060)
      return [.station(name: text, uri: uri, path: SIPPath(socket: socket.rawValue, remote: remote))]
    case .reject: return []
    }
  }

  /// The stages of one target: a number is tried over each trunk of its route in turn.
  private func stages(_ target: RouteTarget, called: String, now: MonotonicInstant) -> [DialStage] {
    guard case .number(let number) = target, let route = route(from: nil, number: number) else {
      return [DialStage(targets: targets(target, called: called, now: now))]
    }
    return route.trunks.map { DialStage(targets: [.trunk($0, number: number, callerID: route.callerID)]) }
  }

  // MARK: Beginning

  mutating func refuse(
    _ request: SIPMessage, _ id: ServerTransactionID, _ status: Int, reason: String? = nil, now: MonotonicInstant,
    into actions: inout [LinkAction]
  ) {
    var response = SIPMessage(responding: request, status: status, reason: reason, toTag: random.hexDigits(16))
    if status == 503 { response.set(.retryAfter, "5") }
    if status == 415 { response.set(.accept, "application/sdp") }
    respond(id, response, now: now, into: &actions)
  }

  mutating func begin(
    _ request: SIPMessage, _ id: ServerTransactionID, _ path: SIPPath, side: LegSide,
    direction: CallState.Direction, called: String, trunk: String?, stages: [DialStage], from station: Station? = nil,
    now: MonotonicInstant, into actions: inout [LinkAction]
  ) {
    guard !isStopping, calls.count < configuration.limits.maxCalls, takeCallToken(now: now) else {
      discard("callLimit")
      if !isStopping {
        tellRefusal(.tooManyCalls, of: .machine, evidence: "\(calls.count) calls are up", now: now, into: &actions)
      }
      return refuse(request, id, 503, reason: "Too many calls", now: now, into: &actions)
    }
    var leg = Leg(id: LegID(call: nextCall, index: 0), side: side, path: path, random: &random)
    let offer: SessionDescription?
    do {
      offer = try description(in: request)
      leg.dialog = try Dialog(answering: request, localTag: leg.localTag)
    } catch {
      return refuse(request, id, 400, reason: "\(error)", now: now, into: &actions)
    }
    if let offer, offer.isBeyondUs {
      let subject: VerdictSubject
      switch side {
      case .trunk(let index): subject = .trunk(index)
      case .station(let name): subject = .station(name)
      }
      tellRefusal(.noCommonCodec, of: subject, evidence: "no stream of RTP was offered", now: now, into: &actions)
      return refuse(request, id, 488, now: now, into: &actions)
    }
    if hasUnknownBody(request) { return refuse(request, id, 415, now: now, into: &actions) }
    guard hasMediaPorts(for: offer) else {
      discard("noMediaPort")
      return refuse(request, id, 503, reason: "No media port", now: now, into: &actions)
    }
    let from = try? request.from()
    leg.invite = request
    leg.digest = digestSession(side)
    leg.serverTransaction = id
    serverOwners[id] = leg.id
    let key = DialogKey(callID: request.callID ?? "", localTag: leg.localTag)
    dialogs[key] = leg.id
    var number = from?.uri.user ?? "anonymous"
    var name = from?.displayName
    if case .phone(let phone)? = station {
      number = phone.extensionNumber
      name = name ?? phone.name
    }
    var call = CallState(
      number: nextCall, identifier: random.hexDigits(16), direction: direction,
      machine: CallMachine(caller: leg.id, offer: offer, stages: stages), legs: [leg], callerNumber: number,
      callerName: name, calledNumber: called, startedAt: wallTime(now))
    call.trunk = trunk
    calls[nextCall] = call
    nextCall += 1
    respond(id, SIPMessage(responding: request, status: 100), now: now, into: &actions)
    if let offer { descriptionReceived(offer, on: leg.id, now: now, into: &actions) }
    var commands: [LegCommand] = []
    calls[leg.id.call]?.machine.start(into: &commands)
    perform(commands, call: leg.id.call, now: now, into: &actions)
    actions.append(.statusChanged)
  }

  /// The session description in a message; `nil` where it has none.
  func description(in message: SIPMessage) throws(SDPParseError) -> SessionDescription? {
    guard !message.body.isEmpty, !hasUnknownBody(message) else { return nil }
    let body = message.body
    return try SessionDescription(parsing: body.span)
  }

  /// Whether there is a body that is no session description, or a packed one.
  func hasUnknownBody(_ message: SIPMessage) -> Bool {
    guard !message.body.isEmpty else { return false }
    let type = message.contentTypeText?.prefix { $0 != ";" }.filter { !$0.isWhitespace }.lowercased()
    let coding = message.value(HeaderName("Content-Encoding"))?.lowercased() ?? "identity"
    return type != "application/sdp" || coding != "identity"
  }

  private mutating func takeCallToken(now: MonotonicInstant) -> Bool {
    let rate = Double(configuration.limits.callsPerSecond)
    callTokens = min(rate, callTokens + (now - callTokensAt).inSeconds * rate)
    callTokensAt = now
    guard callTokens >= 1 else { return false }
    callTokens -= 1
    return true
  }

  // MARK: Ending

  /// Ends a call from above; answers whether there is one of this identifier.
  public mutating func hangUp(
    _ identifier: String, now: MonotonicInstant, into actions: inout [LinkAction]
  ) -> Bool {
    guard let number = calls.values.first(where: { $0.identifier == identifier })?.number else { return false }
    end(call: number, Refusal(status: 480, reason: "Ended by the operator"), now: now, into: &actions)
    return true
  }

  mutating func end(call number: UInt64, _ refusal: Refusal, now: MonotonicInstant, into actions: inout [LinkAction]) {
    var commands: [LegCommand] = []
    calls[number]?.machine.end(refusal, into: &commands)
    perform(commands, call: number, now: now, into: &actions)
  }

  /// Writes the record of a call that is over, once, and forgets the call when its last leg is gone.
  mutating func settle(call number: UInt64, now: MonotonicInstant, into actions: inout [LinkAction]) {
    guard let call = calls[number], call.machine.phase == .ended else { return }
    if !call.isRecorded {
      calls[number]?.isRecorded = true
      timers.cancel(.stage(call: number))
      timers.cancel(.audio(call: number))
      timers.cancel(.pulse(call: number))
      tellFailure(of: number, now: now, into: &actions)
      let record = record(of: call, now: now)
      counters.calls.count(record.trunk ?? "", record.direction, record.result)
      actions.append(.record(record))
      actions.append(.statusChanged)
    }
    guard call.legs.allSatisfy(\.isEnded), call.legs.count == call.machine.legCount else { return }
    calls.removeValue(forKey: number)
    told[.call(number)] = nil
    releaseOldContacts(now: now, into: &actions)
    stopIfDone(into: &actions)
  }

  func record(of call: CallState, now: MonotonicInstant) -> CallRecord {
    let refusal = call.machine.refusal
    let result =
      call.answeredAt != nil
      ? "answered"
      : call.machine.endedBy == .caller
        ? "cancelled" : refusal.map { $0.status == 408 || $0.status >= 500 } ?? true ? "failed" : "refused"
    return CallRecord(
      id: call.identifier, direction: call.direction.rawValue, from: call.callerNumber, to: call.calledNumber,
      trunk: call.trunk, startedAt: call.startedAt.description, answeredAt: call.answeredAt?.description,
      endedAt: wallTime(now).description, result: result, status: call.answeredAt == nil ? refusal?.status : nil,
      endedBy: (call.machine.endedBy ?? .trunkline).rawValue,
      sentence: call.answeredAt == nil
        ? refusal.map { "The call was not answered: \($0.status) \($0.reason.escapedForLog(limit: 80))." } : nil)
  }
}
