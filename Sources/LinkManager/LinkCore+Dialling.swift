import CallControl
import NetworkTypes
import OrderedCollections
import SDP
import SIPDialog
import SIPSyntax
import SIPTransaction

/// Dialling: the leg that a call asks for, its INVITE, and the way that it takes.
extension LinkCore {
  /// Makes the leg that `dial` names; false where its trunk cannot take a call now. The leg is then ended already.
  mutating func addLeg(_ id: LegID, _ target: DialTarget) -> Bool {
    let side: LegSide
    var path = SIPPath(socket: 0, remote: Endpoint(.anyV4, port: 0))
    var isUsable = true
    switch target {
    case .station(let name, _, let stationPath):
      side = .station(name)
      path = stationPath
    case .trunk(let name, _, _):
      let index = trunks.firstIndex { $0.name == name }
      side = .trunk(index ?? 0)
      if let index, trunks[index].isUsable, hasRoom(index), let route = route(ofTrunk: index) {
        path = route
        if calls[id.call]?.direction == .outbound { calls[id.call]?.trunk = name }
      } else {
        isUsable = false
      }
    }
    var leg = Leg(id: id, side: side, path: path, random: &random)
    leg.isEnded = !isUsable
    leg.digest = digestSession(side)
    calls[id.call]?.legs.append(leg)
    return isUsable
  }

  func hasRoom(_ trunk: Int) -> Bool {
    guard let most = trunks[trunk].configuration.maxCalls else { return true }
    return liveLegs.joined().count(where: { $0.side == .trunk(trunk) && !$0.isEnded }) < most
  }

  /// How many calls have a leg at the trunk.
  func callCount(trunk: Int) -> Int {
    liveLegs.count { legs in legs.contains { $0.side == .trunk(trunk) && !$0.isEnded } }
  }

  private var liveLegs: [[Leg]] {
    calls.values.filter { $0.machine.phase != .ended }.map(\.legs)
  }

  /// Headers that tell the callee about the call and that no relay may lose.
  private static let passedOn: [HeaderName] = [
    .privacy, .subject, HeaderName("User-to-User"), HeaderName("Accept-Language"), HeaderName("Priority"),
  ]
  /// Those that name places in the office, which a provider must not see.
  private static let passedOnInside: [HeaderName] = [
    .pAssertedIdentity, .diversion, .historyInfo, HeaderName("Alert-Info"), HeaderName("Call-Info"),
  ]

  private func passOn(_ original: SIPMessage, of caller: LegSide, to request: inout SIPMessage, on leg: Leg) {
    for name in Self.passedOn { for value in original.values(name) { request.add(name, value) } }
    guard case .trunk(let index) = leg.side else {
      for name in Self.passedOnInside { for value in original.values(name) { request.add(name, value) } }
      return
    }
    // RFC 3325 §5: what a telephone asserts of itself is not passed on; a PBX is trusted with its callers' numbers.
    var names = [HeaderName.diversion]
    if case .station(let station) = caller, station.hasPrefix("phone:") {} else { names.append(.pAssertedIdentity) }
    for name in names {
      for value in original.values(name) {
        if let value = outward(value, trunk: index) { request.add(name, value) }
      }
    }
  }

  /// An address for the provider's eyes: the number at its own domain; `nil` where it cannot be read.
  func outward(_ value: String, trunk index: Int) -> String? {
    guard var address = try? NameAddress(parsing: value) else { return nil }
    if address.uri.scheme == "tel" { return address.description }
    guard address.uri.scheme.hasPrefix("sip") else { return nil }
    address.uri = SIPURI(user: address.uri.user, host: trunks[index].configuration.domain)
    return address.description
  }

  mutating func sendInvite(
    _ id: LegID, _ target: DialTarget, _ offer: SessionDescription?, now: MonotonicInstant,
    into actions: inout [LinkAction]
  ) {
    guard let call = calls[id.call], let leg = leg(id), !leg.isEnded else { return }
    let uri: SIPURI
    let from: SIPURI
    switch target {
    case .station(_, let stationURI, _):
      uri = stationURI
      from = SIPURI(user: call.callerNumber, host: configuration.lan.domain)
    case .trunk(let name, let number, let callerID):
      guard let trunk = trunks.first(where: { $0.name == name })?.configuration else { return }
      uri = SIPURI(user: number, host: trunk.domain)
      from = SIPURI(user: callerID ?? trunk.username, host: trunk.domain)
    }
    var request = SIPMessage(method: .invite, requestURI: uri)
    request.set(.maxForwards, String(max(0, min(70, call.legs[0].invite?.maxForwards ?? 70) - 1)))
    var caller = NameAddress(displayName: call.callerName, uri: from)
    caller.tag = leg.localTag
    request.set(.from, caller.description)
    request.set(.to, NameAddress(uri: uri).description)
    request.set(.callID, random.hexDigits(32))
    request.set(.cSeq, "1 INVITE")
    request.set(.contact, contact(of: leg))
    request.set(.allow, Self.allow)
    request.set(.userAgent, Self.product)
    if let original = call.legs[0].invite { passOn(original, of: call.legs[0].side, to: &request, on: leg) }
    if case .trunk(let index) = leg.side { addRoute(ofTrunk: index, to: &request) }
    attach(offer, to: &request, on: id)
    sendInvite(request, on: id, owner: .invite(id), now: now, into: &actions)
  }

  /// Sends an INVITE or re-INVITE and remembers it as the leg's.
  mutating func sendInvite(
    _ request: SIPMessage, on id: LegID, owner: ClientOwner, now: MonotonicInstant, into actions: inout [LinkAction]
  ) {
    guard let leg = leg(id) else { return }
    let transaction = sendRequest(request, path(of: leg), owner: owner, now: now, into: &actions)
    withLeg(id) {
      $0.clientTransaction = transaction
      $0.clientSequence = (try? request.cSeq().number) ?? 1
      if !$0.isConfirmed { $0.invite = request }
      $0.invitedAt = $0.invitedAt ?? now
      $0.lastInvite = request
    }
    if let callID = request.callID { dialogs[DialogKey(callID: callID, localTag: leg.localTag)] = id }
  }

  /// Who we are on this leg: at a trunk the contact that is registered, in the office our own address.
  func contact(of leg: Leg) -> String {
    switch leg.side {
    case .trunk(let index): return "<\(contact(ofTrunk: index, leg.path))>"
    case .station:
      let endpoint = advertised(LinkSocket(leg.path.socket), towards: leg.path.remote.address)
      return leg.path.isReliable ? "<sip:\(endpoint);transport=tcp>" : "<sip:\(endpoint)>"
    }
  }

  /// Where requests within a dialog go: to the next hop that the dialog names when that is an address, else the way the
  /// leg began. In the office it is always the latter, so that a phone behind a NAT is reached.
  func path(of leg: Leg) -> SIPPath {
    guard case .trunk = leg.side, !leg.path.isReliable, let hop = leg.dialog?.nextHop, let address = hop.address,
      address.isV4 == leg.path.remote.address.isV4, address.isPublic || !leg.path.remote.address.isPublic
    else { return leg.path }
    return SIPPath(socket: leg.path.socket, remote: Endpoint(address, port: hop.port ?? 5060))
  }
}
