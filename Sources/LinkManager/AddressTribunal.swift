package import NetworkTypes

/// Compares what everybody says of the address of one uplink, and names the reason where they disagree.
///
/// Witnesses are STUN servers, providers (`received`), the router's own word and this host's address. Only what was said
/// since the last sign of a change counts: while the address changes, everybody has said something else a moment ago. A
/// disagreement has to last, and the STUN servers have to repeat what they said, before it is told. It is told once, and it
/// ends when its own witnesses have spoken again and agree.
package struct AddressTribunal: Sendable, Codable {
  package enum Witness: Hashable, Sendable, Codable {
    case stunServer(Endpoint)
    /// By the name of its trunk.
    case provider(String)
    /// What it says its address outside is.
    case router
    /// This host's own address towards the servers.
    case host
  }

  package struct Testimony: Hashable, Sendable, Codable {
    package var witness: Witness
    package var sees: IPAddress
    package var at: MonotonicInstant
  }

  package enum Cause: String, Sendable, Codable, CaseIterable {
    /// Something between us and the provider alters what SIP says.
    case sipALG
    /// A NAT of the line's provider.
    case carrierNAT
    /// Another NAT stands behind the router.
    case doubleNAT
    /// Packets leave by more than one public address.
    case twoLines
    /// One STUN server contradicts everybody else.
    case lyingServer
    /// Two STUN servers, and nobody else who could tell who is right.
    case stunServersDisagree
    /// The router alone says otherwise.
    case routerAddressDiffers

    /// How long it has to last before it is told. What a box did to a message it did.
    var patience: Duration { self == .sipALG ? .zero : .seconds(10) }
    /// One and the same disagreement looks like another of these while a witness has not spoken again yet.
    var isDisagreement: Bool {
      switch self {
      case .twoLines, .lyingServer, .stunServersDisagree, .routerAddressDiffers: true
      case .sipALG, .carrierNAT, .doubleNAT: false
      }
    }
  }

  package struct Judgement: Hashable, Sendable, Codable {
    package var cause: Cause
    /// Those who contradict each other.
    package var witnesses: [Witness]
    /// Who is wrong, where that shows.
    package var suspect: Witness?
    package var evidence: String
  }

  package enum News: Hashable, Sendable {
    case found(Judgement)
    case ended(Judgement)
  }

  private struct Case: Sendable, Codable {
    var judgement: Judgement
    let since: MonotonicInstant
    var isTold = false
    /// Another one was told in its place.
    var isSuperseded = false
    /// Since when its witnesses agree.
    var refutedSince: MonotonicInstant?
  }

  private struct Echo: Sendable, Codable {
    let provider: String
    var alteration: SIPAlteration
    var alteredCount = 1
    var cleanCount = 0
  }

  /// So many altered answers are a finding, and so many that were left alone end it.
  private static let enough = 2
  /// How long those who disagreed have to agree until that is believed.
  private static let settling = Duration.seconds(10)
  /// How long a disagreement has to look like another one until that is told in its place.
  private static let supersession = Duration.seconds(600)
  /// Of more witnesses than this nobody is heard.
  private static let mostWitnesses = 64

  /// In the order in which they spoke first.
  package private(set) var testimonies: [Testimony] = []
  private var echoes: [Echo] = []
  private var cases: [Case] = []

  package init() {}

  /// When ``judge(now:into:)`` is due; `nil` while nothing is open.
  package private(set) var nextDeadline: MonotonicInstant?
  /// Whether somebody contradicts somebody, or did: the STUN servers shall speak again.
  package var wantsWitnesses: Bool {
    cases.contains {
      !$0.isTold && $0.judgement.cause != .sipALG && patience($0) < Self.supersession || $0.refutedSince != nil
    }
  }
  /// What was told and has not ended.
  package var open: [Judgement] { cases.filter(\.isTold).map(\.judgement) }

  // MARK: What is said

  package mutating func heard(_ witness: Witness, sees address: IPAddress, now: MonotonicInstant) {
    if let index = testimonies.firstIndex(where: { $0.witness == witness }) {
      testimonies[index].sees = address
      testimonies[index].at = now
    } else if testimonies.count < Self.mostWitnesses {
      testimonies.append(Testimony(witness: witness, sees: address, at: now))
    }
  }

  /// It is asked no more, or cannot be believed any more.
  package mutating func forget(_ witness: Witness) { testimonies.removeAll { $0.witness == witness } }

  /// Everybody but these has left the configuration.
  package mutating func keep(_ witnesses: [Witness]) {
    testimonies.removeAll { !witnesses.contains($0.witness) }
    echoes.removeAll { !witnesses.contains(.provider($0.provider)) }
  }

  /// An answer of a provider showed what becomes of our messages on the way; `nil` where they were left alone.
  package mutating func answered(_ provider: String, _ alteration: SIPAlteration?) {
    guard let index = echoes.firstIndex(where: { $0.provider == provider }) else {
      if let alteration, echoes.count < Self.mostWitnesses {
        echoes.append(Echo(provider: provider, alteration: alteration))
      }
      return
    }
    if let alteration {
      echoes[index].alteration = alteration
      echoes[index].alteredCount = min(echoes[index].alteredCount + 1, Self.enough)
      echoes[index].cleanCount = 0
    } else {
      echoes[index].cleanCount += 1
      if echoes[index].cleanCount >= Self.enough { echoes.remove(at: index) }
    }
  }

  /// The address may be another one now: what was said of the one before counts no more.
  ///
  /// - Parameters:
  ///   - old: where that one is known, who has seen another one speaks of the present.
  ///   - since: what was said from then on is of the present.
  package mutating func addressChanging(from old: IPAddress? = nil, since: MonotonicInstant? = nil) {
    testimonies.removeAll { testimony in
      (old.map { testimony.sees == $0 } ?? true) && (since.map { testimony.at < $0 } ?? true)
    }
    cases.removeAll { !$0.isTold && $0.judgement.cause != .sipALG }
    for index in cases.indices { cases[index].refutedSince = nil }
    if cases.isEmpty { nextDeadline = nil }
  }

  // MARK: Judging

  /// Compares, and tells what has lasted long enough.
  ///
  /// - Parameter isConfigured: whether a witness is still one that can speak.
  package mutating func judge(
    now: MonotonicInstant, isConfigured: (Witness) -> Bool, into news: inout [News]
  ) {
    let found = judgements
    for judgement in found {
      guard let index = cases.firstIndex(where: { $0.judgement.cause == judgement.cause }) else {
        cases.append(Case(judgement: judgement, since: now))
        continue
      }
      if cases[index].isTold, cases[index].judgement.suspect != judgement.suspect {
        // It is another one now who is wrong.
        news.append(.ended(cases[index].judgement))
        cases[index] = Case(judgement: judgement, since: now)
        continue
      }
      if !cases[index].isTold { cases[index].judgement = judgement }
      cases[index].refutedSince = nil
    }
    for index in cases.indices {
      if found.contains(where: { $0.cause == cases[index].judgement.cause }) {
        guard !cases[index].isTold, now - cases[index].since >= patience(cases[index]), isRepeated(cases[index]) else {
          continue
        }
        supersede(cases[index].judgement.cause, into: &news)
        cases[index].isTold = true
        news.append(.found(cases[index].judgement))
      } else if cases[index].isTold, isRefuted(cases[index], isConfigured, found) {
        cases[index].refutedSince = cases[index].refutedSince ?? now
      }
    }
    cases.removeAll(where: \.isSuperseded)
    let isFound = { (each: Case) in found.contains { $0.cause == each.judgement.cause } }
    cases.removeAll { each in
      guard !isFound(each) else { return false }
      guard each.isTold else { return true }
      guard let since = each.refutedSince, each.judgement.cause == .sipALG || now - since >= Self.settling else {
        return false
      }
      news.append(.ended(each.judgement))
      return true
    }
    nextDeadline =
      cases.compactMap { each in
        if let since = each.refutedSince { return since + Self.settling }
        guard !each.isTold, isFound(each) else { return nil }
        // Where a server has not repeated itself, it is waited for.
        let due = each.since + patience(each)
        return due > now ? due : now + .seconds(1)
      }.min()
  }

  private func patience(_ each: Case) -> Duration {
    let isKnownOtherwise = cases.contains { other in
      other.isTold && other.judgement.cause.isDisagreement && other.judgement.cause != .stunServersDisagree
        && other.judgement.cause != each.judgement.cause
    }
    return each.judgement.cause.isDisagreement && isKnownOtherwise ? Self.supersession : each.judgement.cause.patience
  }

  private mutating func supersede(_ cause: Cause, into news: inout [News]) {
    guard cause.isDisagreement else { return }
    for index in cases.indices where cases[index].isTold && cases[index].judgement.cause.isDisagreement {
      cases[index].isSuperseded = true
      news.append(.ended(cases[index].judgement))
    }
  }

  /// Whether every STUN server in it has spoken since it was noticed.
  private func isRepeated(_ each: Case) -> Bool {
    each.judgement.witnesses.allSatisfy { witness in
      guard case .stunServer = witness else { return true }
      return testimonies.contains { $0.witness == witness && $0.at > each.since }
    }
  }

  /// Whether those who contradicted each other have all spoken again, or cannot any more.
  private func isRefuted(_ each: Case, _ isConfigured: (Witness) -> Bool, _ found: [Judgement]) -> Bool {
    if each.judgement.cause == .sipALG { return true }
    if each.judgement.cause.isDisagreement, found.contains(where: \.cause.isDisagreement) { return false }
    return each.judgement.witnesses.allSatisfy { witness in
      !isConfigured(witness) || testimonies.contains { $0.witness == witness }
    }
  }

  /// What the testimonies amount to now, at most one of each cause.
  package var judgements: [Judgement] {
    var found: [Judgement] = []
    if let echo = echoes.first(where: { $0.alteredCount >= Self.enough }) {
      found.append(
        Judgement(
          cause: .sipALG, witnesses: [.provider(echo.provider)],
          evidence: "\(echo.alteration.sentence) (provider of trunk \(echo.provider))"))
    }
    let world = testimonies.filter { $0.witness.isOutside && $0.sees.isPublic }
    if let judgement = translations(world) { found.append(judgement) }
    for isV4 in [true, false] {
      if let judgement = disagreement(world.filter { $0.sees.isV4 == isV4 }) {
        found.append(judgement)
        break
      }
    }
    if !found.contains(where: { [.twoLines, .lyingServer, .stunServersDisagree].contains($0.cause) }),
      let router = word(of: .router), router.sees.isPublic,
      let other = world.first(where: { $0.sees.isV4 == router.sees.isV4 }), other.sees != router.sees
    {
      found.append(
        Judgement(
          cause: .routerAddressDiffers, witnesses: [.router, other.witness], suspect: .router,
          evidence: "\(router.sentence), \(other.sentence)"))
    }
    return found
  }

  private func word(of witness: Witness) -> Testimony? { testimonies.first { $0.witness == witness } }

  /// A NAT beyond the router, by the router's own address or, where there is none, by ours.
  private func translations(_ world: [Testimony]) -> Judgement? {
    let other = world.first { $0.sees.isV4 }
    // An office in an office, and a laboratory, may have private addresses on both sides of everything.
    guard other != nil || !testimonies.contains(where: { $0.witness.isOutside && $0.sees.isV4 }) else { return nil }
    let seen = other.map { ", \($0.sentence)" } ?? ""
    for witness in [Witness.router, .host] {
      guard let inside = word(of: witness), inside.sees.isV4, !inside.sees.isPublic, inside.sees != other?.sees else {
        continue
      }
      let witnesses = [witness] + (other.map { [$0.witness] } ?? [])
      if inside.sees.isSharedAddressSpace, witness == .router || other != nil {
        return Judgement(cause: .carrierNAT, witnesses: witnesses, evidence: inside.sentence + seen)
      }
      guard witness == .router, inside.sees.isPrivate else { continue }
      return Judgement(cause: .doubleNAT, witnesses: witnesses, evidence: inside.sentence + seen)
    }
    return nil
  }

  /// STUN servers and providers that see different public addresses.
  private func disagreement(_ world: [Testimony]) -> Judgement? {
    var groups: [(address: IPAddress, members: [Testimony])] = []
    for testimony in world {
      if let index = groups.firstIndex(where: { $0.address == testimony.sees }) {
        groups[index].members.append(testimony)
      } else {
        groups.append((testimony.sees, [testimony]))
      }
    }
    guard groups.count > 1 else { return nil }
    let ends = groups.map(\.members[0])
    let evidence = ends.prefix(4).map(\.sentence).joined(separator: ", ")
    func judgement(_ cause: Cause, suspect: Witness? = nil) -> Judgement {
      Judgement(cause: cause, witnesses: ends.map(\.witness), suspect: suspect, evidence: evidence)
    }
    let lone = groups.filter { $0.members.count == 1 && $0.members[0].witness.isSTUNServer }
    guard groups.count == 2, let liar = lone.first else { return judgement(.twoLines) }
    let others = groups.first { $0.address != liar.address }?.members ?? []
    // The router's word counts for those who see the same; a second server alone is no majority.
    let isBacked = word(of: .router).map { $0.sees == others.first?.sees } ?? false
    if others.count + (isBacked ? 1 : 0) > 1 {
      var found = judgement(.lyingServer, suspect: liar.members[0].witness)
      found.evidence = "\(liar.members[0].sentence), " + others.prefix(4).map(\.sentence).joined(separator: ", ")
      return found
    }
    return judgement(others.first?.witness.isSTUNServer == true ? .stunServersDisagree : .twoLines)
  }
}

extension AddressTribunal.Witness {
  var isSTUNServer: Bool { if case .stunServer = self { true } else { false } }

  /// Whether it sees us from the other side of whatever translates.
  var isOutside: Bool {
    switch self {
    case .stunServer, .provider: true
    case .router, .host: false
    }
  }
}

extension AddressTribunal.Testimony {
  /// As the part of a sentence.
  var sentence: String {
    switch witness {
    case .stunServer(let server): "STUN server \(server) sees \(sees)"
    case .provider(let trunk): "the provider of trunk \(trunk) sees \(sees)"
    case .router: "the router says that its address outside is \(sees)"
    case .host: "this machine's own address is \(sees)"
    }
  }
}
