package import NetworkTypes
package import STUN

/// The STUN side of one uplink socket: it keeps the NAT's binding for the SIP port alive and watches the public address.
///
/// A Binding request leaves the port when nothing but keepalives left it for `keepalive`. When one goes unanswered, or SIP
/// does, the port is *suspect*: it probes every 250 ms for a minute and every second after that, server after server,
/// until an answer comes. The first address found is believed; a different one is believed when a second answer agrees, and a
/// server that could speak against it had its time.
package struct UplinkPort: Sendable, Codable {
  package enum Action: Sendable, Equatable {
    case send([UInt8], to: Endpoint)
    /// The public endpoint is now this; `before` is `nil` for the first one.
    case mapped(Endpoint, before: Endpoint?)
    /// Two servers that both answer see different addresses. What was known stays; said once until they agree again.
    case disagreed(UplinkDisagreement)
    /// Nothing is answered any more, since that moment.
    case lineLost(MonotonicInstant)
    /// No server answered for ``patience``; said once until one answers again.
    case serversSilent
    /// The first server has not answered for some time, while another one does; said once until it answers again.
    case firstServerSilent(Endpoint)
    /// A server answered after they were silent.
    case serversBack
    /// Something went unanswered since `lost`; the first answer came at `back`, and the address is confirmed. Where it is
    /// another one, ``mapped(_:before:)`` was said before.
    case lineReturned(lost: MonotonicInstant, back: MonotonicInstant)
  }

  private enum Timer: Hashable, Sendable, Codable { case keepalive, probe, firstServer, judge }

  /// A mapping that differs from what is known, and is not believed yet.
  private struct Candidate: Sendable, Codable {
    var endpoint: Endpoint
    let server: Endpoint
    let at: MonotonicInstant
    /// How many answers said so.
    var answers = 1
    /// How many said something else each time.
    var changes = 0
    /// Whether the server that speaks for the known mapping was asked a second time, or is not going to be.
    var isDefenceRepeated = false

    /// Whether that is the same word: of another address the port does not count, and never that of another server, since
    /// there are NATs that give each destination, or each packet, another one.
    func isSame(as seen: Endpoint, by other: Endpoint, known: Endpoint?) -> Bool {
      seen == endpoint || seen.address == endpoint.address && (other != server || seen.address != known?.address)
    }
  }

  private struct Outstanding: Sendable, Codable {
    @Limbs var transactionID: UInt128
    let server: Endpoint
    let sentAt: MonotonicInstant
  }

  /// How long a server may be silent before the next one is asked.
  package static let patience = Duration.seconds(3)
  private static let answerTime = Duration.milliseconds(500)
  private static let fastProbe = Duration.milliseconds(250)
  private static let slowProbe = Duration.seconds(1)
  private static let fastProbing = Duration.seconds(60)
  private static let firstServerRetry = Duration.seconds(30)
  /// So many times in a row the first server is asked in vain until it is called dead.
  private static let mostMisses = 4
  /// So many different answers in a row are asked about at once.
  private static let mostChanges = 4
  /// An answer that takes longer does not count.
  private static let answerValidity = Duration.seconds(10)
  /// How long an answer of a provider shows that the line is up.
  private static let proofLasts = Duration.seconds(60)
  /// How long the server that showed the known mapping has to speak for it, twice, when another one sees another address.
  private static let defence = Duration.milliseconds(500)
  /// The same, once, for one that has been silent itself: a line is back, and whoever was asked first need not be right.
  private static let lateDefence = Duration.milliseconds(200)

  /// The longest silence; ``setKeepalive(_:now:)`` changes it.
  package private(set) var keepalive: Duration
  package private(set) var mapping: Endpoint?
  package private(set) var sent: UInt64 = 0
  package private(set) var answered: UInt64 = 0
  /// Whether no server has answered for so long that the link goes on without.
  package private(set) var isSilent = false
  /// Whether the NAT gives each destination a mapping of its own: then another server's answer is no change of address.
  package var dependsOnDestination = false
  private var servers: [Endpoint] = []
  private var current = 0
  private var candidate: Candidate?
  /// Who showed the known mapping.
  private var mappingServer: Endpoint?
  /// Who gave its last answer within ``patience``, and when: a server that does not is no witness.
  private var witnessAt: MonotonicInstant?
  /// How often the first server was asked beside another one and did not answer, since it last did.
  private var misses = 0
  /// Who was found to say otherwise than the others.
  private var distrusted: [Endpoint] = []
  /// What is known was shown by one of them, and another one is being asked.
  private var isReplacing = false
  /// Nothing leaves the port: what a router knows of it shall die.
  package private(set) var isResting = false
  /// How often an unanswered request is repeated where it is not this port's turn to look for the line.
  private var isPatient = false
  private var outstanding: [Outstanding] = []
  private var suspectSince: MonotonicInstant?
  private var serverSince: MonotonicInstant?
  private var provenAt: MonotonicInstant?
  /// Since when it has been proven again and again.
  private var provenSince: MonotonicInstant?
  /// Since when nothing has been answered; `nil` while the line is up, as far as is known.
  package private(set) var lostSince: MonotonicInstant?
  /// When the first answer after that came, whose address is not confirmed yet.
  private var backAt: MonotonicInstant?
  private var doubtedAddress: IPAddress?
  private var timers = TimerTable<Timer>()

  package init(keepalive: Duration) { self.keepalive = keepalive }

  package var nextDeadline: MonotonicInstant? { timers.nextDeadline }

  /// Whether it can be what it was read as.
  var isSound: Bool { (servers.isEmpty || servers.indices.contains(current)) && keepalive < .seconds(3600) }

  /// The server that is asked now.
  package var currentServer: Endpoint? { servers.isEmpty || isSilent ? nil : servers[current] }

  /// The servers, in the order of preference; the first request leaves at once.
  package mutating func serversChanged(
    _ new: [Endpoint], now: MonotonicInstant, random: inout RandomSource, into actions: inout [Action]
  ) {
    guard new != servers else { return }
    servers = new
    current = 0
    misses = 0
    distrusted = distrusted.filter { new.contains($0) }
    guard !isResting else { return }
    serverSince = now
    guard !new.isEmpty else {
      timers.cancel(.keepalive)
      timers.cancel(.probe)
      return
    }
    request(now: now, random: &random, into: &actions)
  }

  /// The NAT forgets sooner than was thought, or later.
  package mutating func setKeepalive(_ new: Duration, now: MonotonicInstant) {
    guard new != keepalive else { return }
    keepalive = new
    guard let next = timers.deadline(of: .keepalive) else { return }
    // What left last left at the old pace: the port shall not be silent for both.
    timers.set(.keepalive, at: min(next, now + interval))
  }

  /// A packet that is no keepalive left the port: the NAT has been reminded, unless it keeps a row for each destination.
  package mutating func otherPacketSent(now: MonotonicInstant) {
    guard !servers.isEmpty, !isResting, !dependsOnDestination else { return }
    timers.set(.keepalive, at: now + interval)
  }

  /// SIP or RTP of this uplink went unanswered: look at once.
  package mutating func suspected(now: MonotonicInstant, random: inout RandomSource, into actions: inout [Action]) {
    guard suspectSince == nil, !servers.isEmpty, !isResting else { return }
    suspectSince = now
    // What proved the line is older than what puts it in doubt.
    provenAt = nil
    serverSince = now
    request(now: now, random: &random, into: &actions)
  }

  /// A provider answered: the line is up, whatever the STUN servers do.
  package mutating func lineProven(now: MonotonicInstant, into actions: inout [Action]) {
    if provenAt.map({ now - $0 >= Self.proofLasts }) ?? true { provenSince = now }
    provenAt = now
    lineSettled(now: now, into: &actions)
  }

  private mutating func lineSettled(now: MonotonicInstant, into actions: inout [Action]) {
    if let lostSince { actions.append(.lineReturned(lost: lostSince, back: backAt ?? now)) }
    lostSince = nil
    backAt = nil
  }

  /// The address that a provider saw our packets come from (`received`, `rport`). It counts where no STUN server tells;
  /// where it is another one than is known, the servers are asked at once.
  package mutating func observed(
    _ endpoint: Endpoint, now: MonotonicInstant, random: inout RandomSource, into actions: inout [Action]
  ) {
    guard endpoint != mapping else {
      // Two see the same, and one does not.
      if candidate?.endpoint.address != endpoint.address { candidate = nil }
      return
    }
    guard isSilent || servers.isEmpty else {
      guard let known = mapping, known.address != endpoint.address,
        known.address.isPublic == endpoint.address.isPublic, endpoint.address != doubtedAddress
      else { return }
      // Once for each address: where a provider is reached another way than the servers, it stays so.
      doubtedAddress = endpoint.address
      return suspected(now: now, random: &random, into: &actions)
    }
    let before = mapping
    mapping = endpoint
    mappingServer = nil
    actions.append(.mapped(endpoint, before: before))
  }

  /// Something says that the line may be another one now: the servers are asked at once.
  package mutating func changeAnnounced(
    now: MonotonicInstant, random: inout RandomSource, into actions: inout [Action]
  ) {
    guard suspectSince == nil else { return request(now: now, random: &random, into: &actions) }
    suspected(now: now, random: &random, into: &actions)
  }

  /// Nothing leaves the port from now on, until ``wake(patiently:now:random:into:)``.
  package mutating func rest() {
    isResting = true
    outstanding = []
    candidate = nil
    suspectSince = nil
    lostSince = nil
    backAt = nil
    isSilent = false
    for timer in [Timer.keepalive, .probe, .firstServer, .judge] { timers.cancel(timer) }
  }

  /// The port is used again; what it knew of its mapping is void.
  ///
  /// - Parameter patiently: it looks once a second, beside another port that looks for the line.
  package mutating func wake(
    patiently: Bool, now: MonotonicInstant, random: inout RandomSource, into actions: inout [Action]
  ) {
    isPatient = patiently
    guard isResting else { return }
    isResting = false
    isReplacing = false
    mapping = nil
    mappingServer = nil
    provenAt = nil
    serverSince = now
    current = 0
    request(now: now, random: &random, into: &actions)
    // A port that has little time asks them all.
    guard patiently else { return }
    for server in servers.dropFirst().prefix(3) { send(to: server, now: now, random: &random, into: &actions) }
  }

  /// A STUN answer came in on this port. It counts from the server that was asked and with the ID that was sent, once.
  package mutating func answerReceived(
    _ message: STUNMessage, from: Endpoint, now: MonotonicInstant, random: inout RandomSource,
    into actions: inout [Action]
  ) -> Bool {
    guard
      let index = outstanding.firstIndex(where: { $0.transactionID == message.transactionID && $0.server == from })
    else { return false }
    let sentAt = outstanding.remove(at: index).sentAt
    // What is so old tells of the past, if it is not somebody's recording.
    guard now - sentAt < Self.answerValidity else { return true }
    guard message.messageClass == .success, let seen = message.mappedAddress else { return true }
    // Older requests to it were answered later than this one, or never: their answers tell the past.
    let older = outstanding[..<index].filter { $0.server != from }
    outstanding.replaceSubrange(..<index, with: older)
    answered += 1
    if isSilent { actions.append(.serversBack) }
    isSilent = false
    suspectSince = nil
    serverSince = now
    // The keepalive stays as it is: what came in reminds no NAT.
    timers.cancel(.probe)
    if lostSince != nil { backAt = backAt ?? now }
    if from == mappingServer { witnessAt = now }
    if dependsOnDestination, from != mappingServer, seen.address == mapping?.address { mapping = seen }
    if isReplacing, distrusted.contains(from) { return true }
    if distrusted.contains(from), seen != mapping, let witnessAt, now - witnessAt < keepalive + Self.patience {
      // It has been heard, and the one that contradicts it is heard too: asking both again would never end.
      return true
    }
    if from == servers.first { misses = 0 }
    if current != 0, from == servers.first {
      current = 0
      timers.cancel(.firstServer)
    }
    if seen == mapping {
      // What was asked before somebody saw something else does not speak against that.
      if candidate.map({ sentAt >= $0.at }) ?? true { agreed(from, now: now, into: &actions) }
    } else if mapping == nil {
      adopt(seen, from, now: now, into: &actions)
    } else if let candidate, candidate.isSame(as: seen, by: from, known: mapping), isConfirmed(by: from, now: now) {
      // Where each destination has another port, that of the server which is asked is kept open.
      let isAsked = servers.indices.contains(current) && servers[current] == from
      adopt(isAsked ? seen : candidate.endpoint, isAsked ? from : candidate.server, now: now, into: &actions)
    } else {
      doubt(seen, from, now: now, random: &random, into: &actions)
    }
    return true
  }

  /// Everybody else contradicts this server: another one is asked as long as there is one, and what it showed is believed no
  /// longer than until that one has answered.
  package mutating func distrust(
    _ server: Endpoint, now: MonotonicInstant, random: inout RandomSource, into actions: inout [Action]
  ) {
    guard servers.contains(server), !isResting else { return }
    if !distrusted.contains(server) { distrusted.append(server) }
    // Where everybody is, it was this one that the others contradicted.
    if servers.allSatisfy({ distrusted.contains($0) }) { distrusted = [server] }
    guard let next = servers.firstIndex(where: { !distrusted.contains($0) }) else { return }
    guard servers[current] == server || mappingServer == server else { return }
    if mappingServer == server {
      mappingServer = nil
      isReplacing = true
    }
    current = next
    if current != 0 { timers.set(.firstServer, at: now + Self.firstServerRetry) }
    request(now: now, random: &random, into: &actions)
  }

  // MARK: What is believed

  /// A server sees what is known.
  private mutating func agreed(_ server: Endpoint, now: MonotonicInstant, into actions: inout [Action]) {
    if let other = candidate, other.server != server, let mapping, server == mappingServer,
      other.endpoint.address != mapping.address
    {
      disagreed(other, with: server, mapping, now: now, into: &actions)
    }
    candidate = nil
    timers.cancel(.judge)
    distrusted.removeAll { $0 == server }
    mappingServer = server
    witnessAt = now
    lineSettled(now: now, into: &actions)
  }

  /// Who may speak for the known mapping where `other` sees another one: whoever showed it, or another server where a provider
  /// did.
  private func defender(against other: Endpoint) -> Endpoint? {
    if let mappingServer, servers.contains(mappingServer) { return mappingServer == other ? nil : mappingServer }
    return servers.first { $0 != other && !distrusted.contains($0) }
  }

  private func isWitnessSilent(now: MonotonicInstant) -> Bool { witnessAt.map { now - $0 >= Self.patience } ?? true }

  /// Whether a second answer that says the same settles it: that of the server which could speak against it, or of a third one
  /// while that one is silent. The same server once more settles it only where there is nobody else to be heard.
  private func isConfirmed(by server: Endpoint, now: MonotonicInstant) -> Bool {
    guard let candidate, let defender = defender(against: candidate.server), server != defender else { return true }
    return server != candidate.server && isWitnessSilent(now: now)
  }

  private mutating func adopt(_ seen: Endpoint, _ server: Endpoint, now: MonotonicInstant, into actions: inout [Action])
  {
    let before = mapping
    mapping = seen
    mappingServer = server
    isReplacing = false
    witnessAt = now
    candidate = nil
    timers.cancel(.judge)
    distrusted.removeAll { $0 == server }
    actions.append(.mapped(seen, before: before))
    lineSettled(now: now, into: &actions)
  }

  /// One odd answer moves nothing. It is asked again, and where the known mapping was shown by another server, that one too.
  private mutating func doubt(
    _ seen: Endpoint, _ server: Endpoint, now: MonotonicInstant, random: inout RandomSource,
    into actions: inout [Action]
  ) {
    if let candidate, timers.isSet(.judge), server != candidate.server, server != mappingServer {
      // Who is asked for what he sees has spoken against both; the judgement is near, and he is heard again after it.
      return
    }
    if let known = candidate, known.server == server, known.isSame(as: seen, by: server, known: mapping) {
      candidate?.endpoint = seen
      candidate?.answers += 1
      // The other one has been asked, and has until the judgement.
      if timers.isSet(.judge) { return }
    } else {
      let changes = candidate.map { $0.changes + 1 } ?? 0
      candidate = Candidate(endpoint: seen, server: server, at: now, changes: changes)
    }
    // Who says something else each time is asked again when it is his turn.
    guard let candidate, candidate.changes < Self.mostChanges else { return }
    if let defender = defender(against: server) {
      let isLate = isWitnessSilent(now: now)
      self.candidate?.isDefenceRepeated = isLate
      send(to: defender, now: now, random: &random, into: &actions)
      timers.set(.judge, at: now + (isLate ? Self.lateDefence : Self.defence))
    }
    send(to: server, now: now, random: &random, into: &actions)
    timers.set(.probe, at: now + Self.answerTime)
  }

  /// The server that showed the known mapping had its time and has not spoken for it.
  private mutating func judge(now: MonotonicInstant, random: inout RandomSource, into actions: inout [Action]) {
    guard let candidate else { return }
    if !candidate.isDefenceRepeated, let defender = defender(against: candidate.server) {
      self.candidate?.isDefenceRepeated = true
      for server in [defender, candidate.server] { send(to: server, now: now, random: &random, into: &actions) }
      return timers.set(.judge, at: now + Self.defence)
    }
    guard candidate.answers > 1 else { return request(now: now, random: &random, into: &actions) }
    adopt(candidate.endpoint, candidate.server, now: now, into: &actions)
  }

  private mutating func disagreed(
    _ other: Candidate, with server: Endpoint, _ mapping: Endpoint, now: MonotonicInstant,
    into actions: inout [Action]
  ) {
    current = servers.firstIndex(of: server) ?? current
    if current != 0, !timers.isSet(.firstServer) { timers.set(.firstServer, at: now + Self.firstServerRetry) }
    guard !distrusted.contains(other.server) else { return }
    distrusted.append(other.server)
    actions.append(
      .disagreed(
        UplinkDisagreement(server: server, sees: mapping, other: other.server, otherSees: other.endpoint)))
  }

  package mutating func timerFired(now: MonotonicInstant, random: inout RandomSource, into actions: inout [Action]) {
    while let timer = timers.popDue(now: now) {
      switch timer {
      case .keepalive: request(now: now, random: &random, into: &actions)
      case .probe: unanswered(now: now, random: &random, into: &actions)
      case .judge: judge(now: now, random: &random, into: &actions)
      case .firstServer:
        guard current != 0, servers.indices.contains(current) else { continue }
        // It is asked beside the current one: its answer makes it current again, and its silence means nothing. Where all
        // are silent they are asked in turn.
        timers.set(.firstServer, at: now + Self.firstServerRetry)
        guard suspectSince == nil, !isSilent else { continue }
        // Who contradicts the others is told as that.
        if !distrusted.contains(servers[0]) {
          if misses == Self.mostMisses { actions.append(.firstServerSilent(servers[0])) }
          misses += 1
        }
        send(to: servers[0], now: now, random: &random, into: &actions)
      }
    }
  }

  /// Keepalives leave a little early, so that a late wake-up does not make the silence longer than was promised.
  private var interval: Duration { keepalive - min(keepalive / 20, .milliseconds(500)) }

  private mutating func unanswered(now: MonotonicInstant, random: inout RandomSource, into actions: inout [Action]) {
    if isSilent, let provenAt, now - provenAt < Self.proofLasts {
      // The line is up and only the servers are dead: the next one is asked with the next keepalive.
      suspectSince = nil
      current = (current + 1) % servers.count
      // Not at once: when a line returns, somebody is the first to be heard, and tells no address if it is a provider.
      if let provenSince, now - provenSince < Self.patience {
        send(to: servers[current], now: now, random: &random, into: &actions)
        timers.set(.probe, at: now + Self.fastProbe)
      }
      return
    }
    // What proved the line before its servers fell silent is older than what puts it in doubt.
    if suspectSince == nil, !isSilent { provenAt = nil }
    if suspectSince == nil { suspectSince = now }
    if lostSince == nil, let since = suspectSince {
      lostSince = since
      actions.append(.lineLost(since))
    }
    backAt = nil
    if let serverSince, now - serverSince >= Self.patience {
      current += 1
      // Who contradicts the others is asked only where nobody else is left.
      while current < servers.count, distrusted.contains(servers[current]), distrusted.count < servers.count {
        current += 1
      }
      self.serverSince = now
      if current == servers.count {
        current = 0
        isReplacing = false
        if !isSilent {
          isSilent = true
          actions.append(.serversSilent)
        }
      } else if !timers.isSet(.firstServer) {
        timers.set(.firstServer, at: now + Self.firstServerRetry)
      }
    }
    request(now: now, random: &random, into: &actions)
  }

  private mutating func request(now: MonotonicInstant, random: inout RandomSource, into actions: inout [Action]) {
    guard !servers.isEmpty, !isResting else { return }
    if suspectSince == nil { serverSince = now }
    send(to: servers[current], now: now, random: &random, into: &actions)
    timers.set(.keepalive, at: now + interval)
    let wait =
      suspectSince.map { now - $0 < Self.fastProbing && !isPatient ? Self.fastProbe : Self.slowProbe }
      ?? Self.answerTime
    timers.set(.probe, at: now + wait)
  }

  private mutating func send(
    to server: Endpoint, now: MonotonicInstant, random: inout RandomSource, into actions: inout [Action]
  ) {
    let message = STUNMessage(
      messageClass: .request, method: .binding, transactionID: STUNMessage.randomTransactionID(&random))
    outstanding.append(Outstanding(transactionID: message.transactionID, server: server, sentAt: now))
    if outstanding.count > 32 { outstanding.removeFirst() }
    sent += 1
    actions.append(.send(message.encoded(), to: server))
  }
}

/// Two STUN servers that see our packets come from different addresses, at the same time and from the same port.
package struct UplinkDisagreement: Sendable, Equatable {
  /// The one that showed what is known.
  package let server: Endpoint
  package let sees: Endpoint
  package let other: Endpoint
  package let otherSees: Endpoint
}
