import CallControl
import NetworkTypes
import OrderedCollections
import SIPSyntax
import SIPTransaction

/// A provider's registrar: who may, and where they are (RFC 3261 §10.3), bent by the quirks.
struct ProviderRegistrar: Sendable {
  struct Binding: Sendable {
    /// What a call to it has as request URI.
    var uri: SIPURI
    /// Where its REGISTER came from.
    var path: SIPPath
    var callID: String
    var sequence: UInt32
    /// As the device wrote it (RFC 5626 §4.1).
    var instance: String?
    var expiresAt: MonotonicInstant
  }

  enum Authentication: Sendable {
    case account(ProviderAccount)
    case answer(SIPMessage)
    case ignore
  }

  static let mostBindings = 20

  var configuration: ProviderConfiguration
  private var verifier: DigestVerifier
  private var users: OrderedDictionary<String, [Binding]> = [:]
  /// Good credentials so far, for ``ProviderQuirks/staleNonceEvery``.
  private var verified = 0

  init(configuration: ProviderConfiguration, random: inout RandomSource) {
    self.configuration = configuration
    verifier = DigestVerifier(realm: configuration.domain, random: &random)
  }

  func bindings(of username: String, now: MonotonicInstant) -> [Binding] {
    (users[username] ?? []).filter { $0.expiresAt > now }
  }

  /// Whether anybody is registered from there.
  func isRegistered(from path: SIPPath, now: MonotonicInstant) -> Bool {
    configuration.accounts.contains { account in
      bindings(of: account.username, now: now).contains { $0.path.remote == path.remote }
    }
  }

  func account(number: String) -> ProviderAccount? {
    configuration.accounts.first { account in
      account.username == number || account.numbers.contains { $0.matches(number) }
    }
  }

  // MARK: Digest

  /// Who sent an INVITE, or what it is answered with.
  mutating func authenticate(_ invite: SIPMessage, path: SIPPath, now: MonotonicInstant) -> Authentication {
    if !configuration.quirks.challengesInvites {
      for account in configuration.accounts
      where bindings(of: account.username, now: now).contains(where: { $0.path.remote == path.remote }) {
        return .account(account)
      }
      return .answer(SIPMessage(responding: invite, status: 403))
    }
    return verify(invite, header: .proxyAuthorization, now: now)
  }

  private mutating func verify(
    _ request: SIPMessage, header: HeaderName, now: MonotonicInstant
  ) -> Authentication {
    let accounts = configuration.accounts
    let verdict = verifier.verify(
      request, header: header,
      password: { username in accounts.first { $0.username == username }?.password }, now: now)
    switch verdict {
    case .ok(let username):
      guard let account = accounts.first(where: { $0.username == username }) else {
        return .answer(SIPMessage(responding: request, status: 403))
      }
      verified += 1
      if let every = configuration.quirks.staleNonceEvery, every > 0, verified % every == 0 {
        return .answer(challenge(request, header: header, stale: true, now: now))
      }
      return .account(account)
    case .noCredentials: return .answer(challenge(request, header: header, stale: false, now: now))
    case .stale: return .answer(challenge(request, header: header, stale: true, now: now))
    case .wrong:
      switch configuration.quirks.wrongPassword {
      case .challenge: return .answer(challenge(request, header: header, stale: false, now: now))
      case .forbid: return .answer(SIPMessage(responding: request, status: 403))
      case .ignore: return .ignore
      }
    }
  }

  private mutating func challenge(
    _ request: SIPMessage, header: HeaderName, stale: Bool, now: MonotonicInstant
  ) -> SIPMessage {
    let isProxy = header == .proxyAuthorization
    var response = SIPMessage(responding: request, status: isProxy ? 407 : 401)
    response.set(
      isProxy ? .proxyAuthenticate : .wwwAuthenticate, verifier.challenge(now: now, stale: stale))
    return response
  }

  // MARK: REGISTER

  /// The answer to a REGISTER; `nil` where there is none.
  mutating func register(
    _ request: SIPMessage, path: SIPPath, now: MonotonicInstant, into events: inout [ProviderEvent]
  ) -> SIPMessage? {
    let quirks = configuration.quirks
    let username = (try? request.to())?.uri.user ?? ""
    events.append(.registerReceived(username: username, from: path.remote))
    if quirks.ignoresRegister { return nil }
    if let status = quirks.registerStatus {
      var response = SIPMessage(responding: request, status: min(max(status, 400), 699))
      if let after = quirks.retryAfter { response.set(.retryAfter, String(after)) }
      events.append(.registrationRefused(username: username, status: status))
      return response
    }
    switch verify(request, header: .authorization, now: now) {
    case .ignore:
      events.append(.registrationRefused(username: username, status: 0))
      return nil
    case .answer(let response):
      if request.contains(.authorization) {
        events.append(.registrationRefused(username: username, status: response.status))
      }
      return response
    case .account(let account):
      let response = bind(request, account, path: path, now: now, into: &events)
      if response.status != 200 {
        events.append(.registrationRefused(username: username, status: response.status))
      }
      return response
    }
  }

  private mutating func bind(
    _ request: SIPMessage, _ account: ProviderAccount, path: SIPPath, now: MonotonicInstant,
    into events: inout [ProviderEvent]
  ) -> SIPMessage {
    guard let contacts = try? request.contacts(), let sequence = try? request.cSeq().number else {
      return SIPMessage(responding: request, status: 400)
    }
    let quirks = configuration.quirks
    let callID = request.callID ?? ""
    var bindings = bindings(of: account.username, now: now)
    if request.isContactStar {
      guard request.expires == 0 else { return SIPMessage(responding: request, status: 400) }
      bindings = []
      events.append(.unregistered(username: account.username))
    }
    for contact in contacts.prefix(Self.mostBindings) {
      let asked =
        contact.parameters["expires"].flatMap { SIPMessage.deltaSeconds($0) } ?? request.expires ?? 3600
      if asked > 0 && asked < quirks.minExpires {
        var response = SIPMessage(responding: request, status: 423)
        response.set(.minExpires, String(quirks.minExpires))
        return response
      }
      let uri = quirks.rewritesContacts ? Self.rewritten(contact.uri, path.remote) : contact.uri
      if let index = bindings.firstIndex(where: { $0.uri == uri }) {
        // RFC 3261 §10.3 step 7: of one Call-ID only what is newer counts.
        if bindings[index].callID == callID && bindings[index].sequence >= sequence { continue }
        bindings.remove(at: index)
      }
      guard asked > 0 else {
        events.append(.unregistered(username: account.username))
        continue
      }
      if quirks.singleBinding { bindings = [] }
      let granted = quirks.grantedExpires ?? min(asked, quirks.maxExpires)
      bindings.insert(
        Binding(
          uri: uri, path: path, callID: callID, sequence: sequence, instance: Self.instance(of: contact),
          expiresAt: now + .seconds(granted)), at: 0)
      events.append(
        .registered(
          username: account.username, contact: "\(uri)", from: path.remote, expires: granted))
    }
    users[account.username] = Array(bindings.prefix(Self.mostBindings))
    var response = SIPMessage(responding: request, status: 200)
    for binding in bindings.prefix(Self.mostBindings) {
      let left = max(0, (binding.expiresAt - now).nanoseconds / 1_000_000_000)
      let instance = binding.instance.map { ";+sip.instance=\"\($0)\"" } ?? ""
      response.add(.contact, "<\(binding.uri)>;expires=\(left)\(instance)")
    }
    for contact in quirks.foreignContacts { response.add(.contact, contact) }
    return response
  }

  /// A device's own name of its instance, where it is one that can be written back as it is.
  private static func instance(of contact: NameAddress) -> String? {
    contact.parameters["+sip.instance"].flatMap { text in
      text.utf8.count <= 100 && text.allSatisfy { $0.isASCII && ($0.isLetter || $0.isNumber || "<>:-".contains($0)) }
        ? text : nil
    }
  }

  private static func rewritten(_ uri: SIPURI, _ source: Endpoint) -> SIPURI {
    var uri = uri
    uri.host = source.address.description
    uri.port = source.port
    return uri
  }
}
