import CallControl
import NetworkTypes
import OrderedCollections
import SIPDialog
import SIPSyntax
import SIPTransaction

/// The office side: who may register and call, and who is calling.
extension LinkCore {
  /// Someone in the office, as configured.
  enum Station: Equatable {
    case phone(PhoneConfiguration)
    case pbx(PBXConfiguration)

    /// The user name of its registration, and of its address of record.
    var user: String? {
      switch self {
      case .phone(let phone): phone.extensionNumber
      case .pbx(let pbx): pbx.username
      }
    }
    var password: Redacted<String>? {
      switch self {
      case .phone(let phone): phone.password
      case .pbx(let pbx): pbx.password
      }
    }
    /// How routing rules name it.
    var target: RouteTarget {
      switch self {
      case .phone(let phone): .phone(phone.extensionNumber)
      case .pbx(let pbx): .pbx(pbx.name)
      }
    }
  }

  func station(user: String) -> Station? {
    if let phone = configuration.phones.first(where: { $0.extensionNumber == user }) { return .phone(phone) }
    if let pbx = configuration.pbxs.first(where: { $0.username == user }) { return .pbx(pbx) }
    return nil
  }

  /// A station that is trusted by its address.
  func station(at remote: Endpoint) -> Station? {
    if let phone = configuration.phones.first(where: { $0.address?.address == remote.address }) { return .phone(phone) }
    if let pbx = configuration.pbxs.first(where: { $0.address?.address == remote.address }) { return .pbx(pbx) }
    return nil
  }

  mutating func registerReceived(
    _ request: SIPMessage, _ id: ServerTransactionID, _ path: SIPPath, now: MonotonicInstant,
    into actions: inout [LinkAction]
  ) {
    guard sockets[path.socket].side == .lan else {
      return respond(id, methodNotAllowed(request), now: now, into: &actions)
    }
    let user = (try? request.to())?.uri.user ?? ""
    guard authorize(request, id, user: user, now: now, into: &actions) else { return }
    let known = location.bindings(of: user, now: now)
    let response = location.register(request, user: user, path: path, now: now)
    respond(id, response, now: now, into: &actions)
    if let station = station(user: user) {
      moveLegs(of: station, to: path)
      over(.phoneRefused, of: .station(station.target.description))
      comparePlaces(station, request, path, now: now, into: &actions)
    }
    let after = location.bindings(of: user, now: now)
    if after != known { rememberContacts(of: user, now: now, into: &actions) }
    if known.isEmpty && !after.isEmpty { actions.append(.log(.info, "phone \(user) has registered")) }
    if !known.isEmpty && after.isEmpty { actions.append(.log(.info, "phone \(user) has unregistered")) }
    actions.append(.statusChanged)
  }

  /// Checks the credentials of a request for `user`, and answers it where they are not right. An unknown user is treated
  /// as a wrong password, so that nobody can ask which extensions there are.
  private mutating func authorize(
    _ request: SIPMessage, _ id: ServerTransactionID, user: String, now: MonotonicInstant,
    into actions: inout [LinkAction]
  ) -> Bool {
    let password = station(user: user)?.password
    let verdict = verifier.verify(
      request, header: .authorization, password: { $0 == user ? password : nil }, now: now)
    var response: SIPMessage
    switch verdict {
    case .ok: return true
    case .noCredentials, .stale:
      response = SIPMessage(responding: request, status: 401, toTag: random.hexDigits(16))
      response.set(.wwwAuthenticate, verifier.challenge(now: now, stale: verdict == .stale))
    case .wrong:
      response = SIPMessage(responding: request, status: 403, reason: "Wrong user or password")
      discard("wrongPassword")
      if let station = station(user: user) {
        tell(
          .phoneRefused, of: .station(station.target.description),
          evidence: "its \(request.method.name) had credentials that do not fit", now: now, into: &actions)
      } else {
        actions.append(.log(.warning, "a phone at the office side was refused: wrong user or password"))
      }
    }
    respond(id, response, now: now, into: &actions)
    return false
  }

  /// A phone behind a NAT of its own gives an address that its packets do not come from, and that is in another network.
  private mutating func comparePlaces(
    _ station: Station, _ request: SIPMessage, _ path: SIPPath, now: MonotonicInstant, into actions: inout [LinkAction]
  ) {
    let source = path.remote.address
    let subject = VerdictSubject.station(station.target.description)
    let contacts = ((try? request.contacts()) ?? []).compactMap(\.uri.address)
    let networks = configuration.lan.interfaces.compactMap(\.network)
    let isElsewhere = { (contact: IPAddress) in
      contact != source && contact.isV4 == source.isV4 && !contact.isLoopback
        && !networks.contains { $0.contains(contact) && $0.contains(source) }
    }
    guard let contact = contacts.first(where: isElsewhere) else { return over(.phoneBehindNAT, of: subject) }
    tell(
      .phoneBehindNAT, of: subject, evidence: "it says \(contact), and its packets come from \(source)", now: now,
      into: &actions)
  }

  /// Who sends this INVITE; `nil` after it was answered with a challenge or a refusal.
  mutating func caller(
    of request: SIPMessage, _ id: ServerTransactionID, _ path: SIPPath, now: MonotonicInstant,
    into actions: inout [LinkAction]
  ) -> Station? {
    if let station = station(at: path.remote) { return station }
    // A PBX has the number of its caller in From; who it is itself its credentials say.
    let credentials = request.values(.authorization).prefix(8).compactMap { try? AuthParameters(parsing: $0) }
    let named = credentials.first { $0["realm"] == verifier.realm }?["username"]
    let user = named ?? (try? request.from())?.uri.user ?? ""
    guard authorize(request, id, user: user, now: now, into: &actions) else { return nil }
    return station(user: user)
  }

  /// Where a station can be dialled now: each of its contacts, or its fixed address.
  func dialTargets(_ station: Station, number: String, now: MonotonicInstant) -> [DialTarget] {
    var targets: [DialTarget] = []
    let name = station.target.description
    let fixed: Endpoint?
    switch station {
    case .phone(let phone): fixed = phone.address
    case .pbx(let pbx): fixed = pbx.address
    }
    if let fixed, let socket = lanSocket(towards: fixed.address) {
      let uri = SIPURI(user: number, host: fixed.address.description, port: fixed.port)
      targets.append(.station(name: name, uri: uri, path: SIPPath(socket: socket.rawValue, remote: fixed)))
    }
    guard let user = station.user else { return targets }
    for binding in location.bindings(of: user, now: now) {
      var uri = binding.uri
      uri.headers = nil
      if case .pbx = station { uri.user = number }
      targets.append(.station(name: name, uri: uri, path: binding.path))
    }
    return targets
  }

  /// The office socket that reaches `address`: of its family, and where there are several, the one that is bound to the
  /// address which this host has in its network.
  func lanSocket(towards address: IPAddress) -> LinkSocket? {
    let candidates = sockets.filter {
      $0.side == .lan && $0.local != nil && $0.id.rawValue != doctorSocket && $0.configured.address.isV4 == address.isV4
    }
    let own = localAddress(address.isV4 ? .anyV4 : .anyV6, towards: address)
    let best =
      candidates.first { $0.configured.address == own } ?? candidates.first { $0.configured.address.isUnspecified }
    return (best ?? candidates.first)?.id
  }
}
