import NetworkTypes
import SIPSyntax
import SIPTransaction

/// One attempt: what is sent, and what its answers lead to.
extension Registration {
  /// Begins an attempt for ``contact``.
  mutating func register(
    now: MonotonicInstant, random: inout RandomSource, into actions: inout [RegistrationAction]
  ) {
    guard let contact else { return }
    phase = .binding(send([(contact, expires)], after: nil, now: now, random: &random, into: &actions))
    nextDeadline = now + RegistrationPolicy.watchdog
  }

  /// Removes what the registrar has of us.
  mutating func remove(
    now: MonotonicInstant, random: inout RandomSource, into actions: inout [RegistrationAction]
  ) {
    guard let contact = binding?.contact ?? contact else {
      end(into: &actions)
      return
    }
    setState(.removing, into: &actions)
    var contacts = [contact]
    if let wanted = self.contact, wanted != contact { contacts.append(wanted) }
    phase = .removing(removal(contacts, after: nil, now: now, random: &random, into: &actions))
    nextDeadline = now + RegistrationPolicy.watchdog
  }

  /// Nothing runs any more.
  mutating func end(into actions: inout [RegistrationAction]) {
    phase = .idle
    nextDeadline = nil
    binding = nil
    oldContacts = []
    listedContacts = []
    contact = nil
    failures = 0
    digest.accepted()
    setState(.unregistered, into: &actions)
    actions.append(.removed)
  }

  mutating func answered(
    _ pending: Pending, _ response: SIPMessage, now: MonotonicInstant, random: inout RandomSource,
    into actions: inout [RegistrationAction]
  ) {
    switch response.status {
    case 200..<300: accepted(pending, response, now: now, random: &random, into: &actions)
    case 401, 407: challenged(pending, response, now: now, random: &random, into: &actions)
    case 423:
      digest.accepted()
      guard !pending.isLonger, let text = response.value(.minExpires), let least = SIPMessage.deltaSeconds(text),
        least > expires, least <= RegistrationPolicy.longestExpiry
      else {
        fail(.refused(response), now: now, random: &random, into: &actions)
        return
      }
      expires = least
      repeated(pending, isLonger: true, now: now, random: &random, into: &actions)
    default:
      digest.accepted()
      fail(.refused(response), now: now, random: &random, into: &actions)
    }
  }

  private mutating func challenged(
    _ pending: Pending, _ response: SIPMessage, now: MonotonicInstant, random: inout RandomSource,
    into actions: inout [RegistrationAction]
  ) {
    switch digest.challenged(by: response) {
    case .answerable:
      if pending.count < RegistrationPolicy.attemptLimit {
        repeated(pending, isLonger: pending.isLonger, now: now, random: &random, into: &actions)
      } else {
        fail(.endless, now: now, random: &random, into: &actions)
      }
    case .refused:
      let hasPassword = configuration.password.map { !$0.value.isEmpty } ?? false
      let failure: RegistrationFailure =
        !hasPassword ? .noPassword(response) : digest.isEndless ? .endless : .wrongPassword(response)
      fail(failure, now: now, random: &random, into: &actions)
    case .wrongRealm(let realm):
      fail(
        .wrongRealm(realm, configured: configuration.realm ?? ""), now: now, random: &random, into: &actions)
    case .unsupported: fail(.unsupported, now: now, random: &random, into: &actions)
    }
  }

  /// The same once more, with what has been learned.
  private mutating func repeated(
    _ pending: Pending, isLonger: Bool, now: MonotonicInstant, random: inout RandomSource,
    into actions: inout [RegistrationAction]
  ) {
    // The contact of now, not that of the request before: it may have changed while the answer was under way.
    guard let contact = contact ?? pending.contact else { return }
    var next = send([(contact, expires)], after: pending, now: now, random: &random, into: &actions)
    next.isLonger = isLonger
    phase = .binding(next)
    nextDeadline = now + RegistrationPolicy.watchdog
  }

  private mutating func accepted(
    _ pending: Pending, _ response: SIPMessage, now: MonotonicInstant, random: inout RandomSource,
    into actions: inout [RegistrationAction]
  ) {
    digest.accepted()
    let bindings = (try? response.contacts()) ?? []
    guard let registered = pending.contact, case let granted = granted(to: registered, bindings, response), granted > 0
    else {
      fail(.expiresAtOnce, now: now, random: &random, into: &actions)
      return
    }
    failures = 0
    refusals = 0
    binding = Binding(contact: registered, until: now + .seconds(granted))
    phase = .bound
    nextDeadline = now + RegistrationPolicy.refreshDelay(expires: granted, random: &random)
    setState(.registered(until: now + .seconds(granted)), into: &actions)
    actions.append(.registered(expires: .seconds(granted), bindings: bindings))
    if let contact, contact != registered {
      noteOld(registered, unless: contact)
      register(now: now, random: &random, into: &actions)
      return
    }
    let ours = oldContacts.filter { old in bindings.contains { $0.uri.isEquivalent(to: old) } }
    listedContacts = ours + leftovers(in: bindings, besides: ours + [registered])
    oldContacts = listedContacts
    if !keepsOldContacts { clearListed(now: now, random: &random, into: &actions) }
  }

  /// Removes the first of the old contacts that the registrar listed, in a REGISTER of its own: there are registrars that
  /// take one contact at a time only.
  mutating func clearListed(
    now: MonotonicInstant, random: inout RandomSource, into actions: inout [RegistrationAction]
  ) {
    listedContacts.removeAll { $0 == contact }
    guard !isRemovalHarmful, let listed = listedContacts.first else { return }
    listedContacts.removeFirst()
    oldContacts.removeAll { $0 == listed }
    phase = .clearing(removal([listed], after: nil, now: now, random: &random, into: &actions))
  }

  /// An old contact was removed, or not: what matters is whether ours is still there.
  mutating func cleared(
    _ removed: [SIPURI], _ response: SIPMessage, now: MonotonicInstant, random: inout RandomSource,
    into actions: inout [RegistrationAction]
  ) {
    digest.accepted()
    phase = .bound
    guard (200..<300).contains(response.status), let bindings = try? response.contacts(), let binding else { return }
    if !bindings.contains(where: { isOurs($0, binding.contact, notOneOf: removed + oldContacts + listedContacts) }) {
      isRemovalHarmful = true
      return register(now: now, random: &random, into: &actions)
    }
    clearListed(now: now, random: &random, into: &actions)
  }

  /// What earlier processes of ours have left at the registrar: contacts with our instance. `known` ends with our present
  /// contact; where that is not listed as it was sent, the registrar writes contacts otherwise, and any of these may be it.
  private mutating func leftovers(in bindings: [NameAddress], besides known: [SIPURI]) -> [SIPURI] {
    guard let present = known.last, bindings.contains(where: { $0.uri.isEquivalent(to: present) }) else { return [] }
    let urn = "<urn:uuid:\(instance)>"
    var found: [SIPURI] = []
    for binding in bindings where binding.parameters["+sip.instance"]?.lowercased() == urn {
      guard leftoverCount < RegistrationPolicy.leftoverLimit, binding.expires != 0,
        !(known + found).contains(where: { $0.isEquivalent(to: binding.uri) })
      else { continue }
      leftoverCount += 1
      found.append(binding.uri)
    }
    return found
  }

  /// Whether a listed binding is the one of `contact`: by its URI, or by the instance that we gave it.
  /// Old contacts of ours have the same instance.
  private func isOurs(_ binding: NameAddress, _ contact: SIPURI, notOneOf others: [SIPURI]) -> Bool {
    if binding.uri.isEquivalent(to: contact) { return true }
    guard let instance = binding.parameters["+sip.instance"] else { return false }
    return instance.lowercased().contains(self.instance) && !others.contains { binding.uri.isEquivalent(to: $0) }
  }

  /// For how many seconds the registrar keeps `contact`; 0 where it does not.
  private func granted(to contact: SIPURI, _ bindings: [NameAddress], _ response: SIPMessage) -> Int {
    let general = response.expires
    let seconds: Int
    if let own = bindings.first(where: { $0.uri.isEquivalent(to: contact) })
      // What an earlier process has left has our instance too, and less time.
      ?? bindings.filter({ isOurs($0, contact, notOneOf: oldContacts) }).max(by: {
        ($0.expires ?? 0) < ($1.expires ?? 0)
      })
    {
      seconds = own.expires ?? general ?? expires
    } else if let general {
      seconds = general
    } else {
      // The registrar writes contacts as it saw them. Ours is the newest and so the longest, but for those of other
      // devices, which may have asked for more than we did.
      seconds = bindings.compactMap(\.expires).filter { $0 <= expires }.max() ?? expires
    }
    return min(seconds, RegistrationPolicy.longestExpiry)
  }

  /// No answer came.
  mutating func lost(
    now: MonotonicInstant, random: inout RandomSource, into actions: inout [RegistrationAction]
  ) {
    switch phase {
    case .idle, .bound, .waiting: break
    case .clearing: phase = .bound
    case .removing: end(into: &actions)
    case .binding: fail(.noAnswer, now: now, random: &random, into: &actions)
    }
  }

  mutating func fail(
    _ failure: RegistrationFailure, now: MonotonicInstant, random: inout RandomSource,
    into actions: inout [RegistrationAction]
  ) {
    var retryAt: MonotonicInstant
    switch failure.kind {
    case .refused:
      refusals += 1
      binding = nil
      let isFirst = refusals == 1 && recentCount(now: now) < RegistrationPolicy.busyCount
      // Up to a tenth later: the accounts of one provider do not come back all at once.
      let interval = RegistrationPolicy.refusedInterval * Double.random(in: 1..<1.1, using: &random)
      retryAt = now + (isFirst ? RegistrationPolicy.secondChance : interval)
      setState(.rejected, into: &actions)
    case .transient:
      failures += 1
      retryAt = now + RegistrationPolicy.backOff(failures: failures, random: &random)
      // A refusal is not undone by silence: the registrar may hear us all the same.
      if refusals > 0 { retryAt = max(retryAt, now + RegistrationPolicy.refusedInterval) }
      // A binding that the registrar still has lets calls in, unless the registrar is silent.
      if let binding, binding.until > now, binding.contact == contact, failure != .noAnswer {
        setState(.registered(until: binding.until), into: &actions)
      } else {
        setState(.unreachable, into: &actions)
      }
    }
    if let retryAfter = failure.retryAfter {
      retryAt = max(retryAt, now + retryAfter)
      notBefore = now + retryAfter
    }
    phase = .waiting
    nextDeadline = retryAt
    actions.append(.failed(code: failure.code, sentence: failure.sentence, retryAt: retryAt))
  }

  /// Whether the answer to a removal is a challenge that can be answered.
  mutating func canAnswer(_ response: SIPMessage, _ pending: Pending) -> Bool {
    (response.status == 401 || response.status == 407) && pending.count < RegistrationPolicy.attemptLimit
      && digest.challenged(by: response) == .answerable
  }

  // MARK: Messages

  /// Sends a REGISTER that removes these contacts.
  mutating func removal(
    _ contacts: [SIPURI], after previous: Pending?, now: MonotonicInstant, random: inout RandomSource,
    into actions: inout [RegistrationAction]
  ) -> Pending {
    send(contacts.map { ($0, 0) }, after: previous, now: now, random: &random, into: &actions)
  }

  /// Sends a REGISTER for these contacts, each with its seconds; 0 removes it.
  mutating func send(
    _ contacts: [(uri: SIPURI, seconds: Int)], after previous: Pending?, now: MonotonicInstant,
    random: inout RandomSource, into actions: inout [RegistrationAction]
  ) -> Pending {
    sequence = sequence >= 0x7FFF_FFFF ? 1 : sequence + 1
    var request = SIPMessage(method: .register, requestURI: configuration.registrar)
    request.set(.maxForwards, "70")
    var from = NameAddress(uri: configuration.aor)
    request.set(.to, from.description)
    from.tag = fromTag
    request.set(.from, from.description)
    request.set(.callID, callID)
    request.set(.cSeq, "\(sequence) REGISTER")
    for contact in contacts {
      request.add(
        .contact, "<\(contact.uri)>;expires=\(contact.seconds);+sip.instance=\"<urn:uuid:\(instance)>\"")
    }
    request.set(.expires, "\(contacts.first?.seconds ?? 0)")
    if !configuration.userAgent.isEmpty { request.set(.userAgent, configuration.userAgent) }
    digest.authorize(&request, random: &random)
    actions.append(.send(request))
    sentCount += 1
    recent.append(now)
    if recent.count > 8 { recent.removeFirst() }
    if previous == nil { digest.accepted() }
    return Pending(
      contacts: contacts.map(\.uri), sequence: sequence, sentAt: now, count: (previous?.count ?? 0) + 1)
  }

  /// A REGISTER that nobody waits for any more. Its contact may be registered all the same.
  mutating func supersede(_ pending: Pending) {
    supersededUntil = pending.sentAt + RegistrationPolicy.watchdog
    noteOld(pending.contact, unless: contact)
  }

  mutating func noteOld(_ old: SIPURI?, unless current: SIPURI?) {
    oldContacts.removeAll { $0 == old || $0 == current }
    guard let old, old != current else { return }
    oldContacts.append(old)
    if oldContacts.count > RegistrationPolicy.oldContactLimit { oldContacts.removeFirst() }
  }

  func recentCount(now: MonotonicInstant) -> Int { recent.count { $0 + .seconds(60) > now } }

  /// So much was sent just now that not even a new contact is: an address that flaps does not become a flood.
  func isFlooding(now: MonotonicInstant) -> Bool {
    recent.count { $0 + RegistrationPolicy.floodTime > now } >= RegistrationPolicy.floodCount
  }

  /// Whether the registrar asked to be left alone until later.
  func isPutOff(now: MonotonicInstant) -> Bool { notBefore.map { now < $0 } ?? false }

  /// Nothing that can wait is sent now.
  func isBusy(now: MonotonicInstant) -> Bool { recentCount(now: now) >= RegistrationPolicy.busyCount }

  mutating func setState(_ next: State, into actions: inout [RegistrationAction]) {
    guard next != state else { return }
    state = next
    actions.append(.stateChanged)
  }
}
