public import NetworkTypes
import OrderedCollections
import SIPSyntax
import SIPTransaction
import STUN

/// The doctor: it asks every question that shows whether the link has what it needs, from the link's own ports, and leaves
/// everything as it is. Its questions are no transactions of the link, and their answers never reach it.
extension LinkCore {
  /// Begins a run; false while one lasts, or where the link is about to end. Told by ``LinkAction/examined(_:_:)``.
  public mutating func examine(
    _ request: DoctorRequest, now: MonotonicInstant, into actions: inout [LinkAction]
  ) -> Bool {
    guard doctor == nil, !isStopping else { return false }
    var run = DoctorRun(
      request, mediaPorts: configuration.media.ports, startedAt: now, wallTime: wallTime(now))
    for index in uplinks.indices { run.uplinks.append(examined(uplink: index)) }
    for index in trunks.indices where !trunks[index].isRemoved {
      guard trunks[index].configuration.enabled || request.isStandalone else { continue }
      let configuration = trunks[index].configuration
      run.trunks.append(
        DoctorTrunk(
          index: index, name: trunks[index].name, host: trunks[index].host, registers: configuration.register,
          hasPassword: configuration.password != nil, number: Self.ownNumber(configuration)))
      for name in [configuration.domain, configuration.username, configuration.authUsername, configuration.realm] {
        run.name(name)
      }
    }
    if !request.isStandalone {
      run.ports = sockets.filter { $0.local != nil && $0.isInUse && $0.id.rawValue != doctorSocket }.map { socket in
        let subject: String
        switch socket.side {
        case .lan: subject = "office side"
        case .uplink(let uplink): subject = run.uplinks[uplink].subject
        }
        return .init(subject: subject, endpoint: (socket.local ?? socket.configured).description)
      }
    }
    if request.calls { run.waitingCalls = Array(run.trunks.indices) }
    doctor = run
    for uplink in run.uplinks {
      for server in uplink.servers {
        lookUp(server.host, for: uplink.subject, now: now, into: &actions)
        resolveServer(server, now: now, into: &actions)
      }
    }
    for trunk in run.trunks { lookUp(trunk.host.host, for: trunk.subject, now: now, into: &actions) }
    advanceDoctor(now: now, into: &actions)
    return true
  }

  private func examined(uplink index: Int) -> DoctorUplink {
    let configuration = uplinks[index].configuration
    let used = sockets.filter { $0.side == .uplink(index) && $0.isInUse && $0.local != nil }
    return DoctorUplink(
      index: index, name: configuration.name,
      sockets: used.map { ($0.id.rawValue, $0.local ?? $0.configured) }, servers: configuration.stunServers,
      incoming: configuration.incoming)
  }

  /// The first number that a trunk is called by; where any digits may stand, zeros do.
  private static func ownNumber(_ trunk: TrunkConfiguration) -> String? {
    trunk.numbers.first.map { number in
      let open = number.reversed().prefix { $0 == "x" }.count
      return String(number.dropLast(open)) + String(repeating: "0", count: open)
    }
  }

  private mutating func lookUp(
    _ host: String, for subject: String, now: MonotonicInstant, into actions: inout [LinkAction]
  ) {
    doctor?.name(host)
    guard IPAddress(host) == nil, doctor?.lookup(host) == nil else { return }
    doctor?.lookups.append(DoctorLookup(host: host, subject: subject))
    actions.append(.resolve(host))
  }

  /// How far the run is that lasts.
  public func examination(now: MonotonicInstant) -> DoctorProgress? { doctor?.progress(now: now) }

  // MARK: What comes in

  /// The answer to a look-up: true where the doctor alone asked, so that the link's own knowledge and pace stay as they are.
  mutating func doctorNamed(_ host: String, _ addresses: [IPAddress], now: MonotonicInstant) -> Bool {
    guard let place = doctor?.lookups.firstIndex(where: { $0.host == host && $0.answer == nil }), let run = doctor
    else {
      return false
    }
    doctor?.lookups[place].answer = addresses
    doctor?.lookups[place].took = now - run.startedAt
    doctor?.note("\(host) has \(addresses.count) addresses", now: now)
    for address in addresses { doctor?.name(address.description) }
    timers.set(.doctor, at: now)
    return names[host] != nil && timers.isSet(.resolve(host: host))
  }

  /// A datagram came in: true where it answers a question of the doctor's.
  mutating func doctorReceived(
    _ bytes: Span<UInt8>, from source: Endpoint, on socket: Int, now: MonotonicInstant, into actions: inout [LinkAction]
  ) -> Bool {
    guard let run = doctor else { return false }
    let place: Int
    let answer: DoctorProbe.Answer
    let words: String
    if STUNMessage.isSTUN(bytes) {
      guard let message = try? STUNMessage(decoding: bytes), let found = run.probe(.stun(message.transactionID)) else {
        return false
      }
      let probe = run.probes[found]
      if probe.isAnsweredThere, source != probe.remote { return true }
      place = found
      answer = .stun(message, from: source)
      words =
        "STUN \(message.messageClass) from \(source)"
        + (message.mappedAddress.map { ", which sees \($0)" } ?? "")
    } else {
      guard let message = try? SIPMessage(parsing: bytes), !message.isRequest,
        let branch = (try? message.topVia())?.branch, let found = run.probe(.sip(branch)),
        run.probes[found].remote.address == source.address
      else { return false }
      counters.responses.count("\(message.status / 100)xx", "in")
      guard message.status >= 200 else { return true }
      place = found
      answer = .sip(message)
      words = "\(message.status) from \(source), \(bytes.count) bytes"
    }
    guard run.probes[place].socket == socket, !run.probes[place].isOver else { return true }
    doctor?.probes[place].answer = answer
    doctor?.probes[place].took = now - run.probes[place].sentAt
    doctor?.note(words, now: now)
    doctor?.name(source.address.description)
    if case .stun(let message, _) = answer { doctor?.name(message.mappedAddress?.address.description) }
    answered(place, now: now, into: &actions)
    advanceDoctor(now: now, into: &actions)
    return true
  }

  /// What follows from an answer of a provider.
  private mutating func answered(_ place: Int, now: MonotonicInstant, into actions: inout [LinkAction]) {
    guard let probe = doctor?.probes[place], let response = probe.response else { return }
    let path = SIPPath(socket: probe.socket, remote: probe.remote)
    switch probe.purpose {
    case .stun, .forward, .long, .padded: return
    case .options, .query:
      if doctor?.trunks[probe.owner].isLongBegun == false {
        doctor?.trunks[probe.owner].isLongBegun = true
        ask(.long, probe.owner, path, method: probe.purpose == .query ? .register : .options, now: now, into: &actions)
      }
    case .credentials: break
    }
    guard probe.purpose == .query || probe.purpose == .credentials, [401, 407].contains(response.status),
      let trunk = doctor?.trunks[probe.owner], trunk.hasPassword
    else { return }
    var digest = trunk.digest ?? digestSession(.trunk(trunk.index))
    let verdict = digest?.challenged(by: response)
    doctor?.trunks[probe.owner].verdict = verdict
    doctor?.trunks[probe.owner].digest = digest
    guard verdict == .answerable, trunk.credentialTries < 3 else { return }
    doctor?.trunks[probe.owner].credentialTries += 1
    ask(.credentials, probe.owner, path, method: .register, now: now, into: &actions)
  }

  // MARK: The run

  mutating func advanceDoctor(now: MonotonicInstant, into actions: inout [LinkAction]) {
    guard let startedAt = doctor?.startedAt else { return }
    let isLate = now - startedAt >= DoctorRun.limit
    beginServers(now: now, into: &actions)
    beginTrunks(now: now, into: &actions)
    repeatProbes(isLate: isLate, now: now, into: &actions)
    beginForwards(now: now, into: &actions)
    beginPadded(now: now, into: &actions)
    advanceMedia(isLate: isLate, now: now, into: &actions)
    advanceDoctorCalls(now: now, into: &actions)
    guard let run = doctor else { return }
    let waiting = run.waitingFor(now: now)
    if isLate ? !waiting.contains(.call) : waiting.isEmpty { return finishDoctor(now: now, into: &actions) }
    var deadlines = run.probes.compactMap(\.deadline) + run.media.filter { $0.stage != .over }.map(\.deadline)
    deadlines += [startedAt + DoctorRun.namePatience, startedAt + DoctorRun.limit].filter { $0 > now }
    deadlines += run.calls.compactMap(\.nextDeadline)
    if !doctorInbox.isEmpty { deadlines.append(now) }
    if let next = deadlines.min() { timers.set(.doctor, at: max(next, now)) }
  }

  private mutating func beginServers(now: MonotonicInstant, into actions: inout [LinkAction]) {
    guard let run = doctor else { return }
    let isLast = now - run.startedAt >= DoctorRun.namePatience
    for (place, uplink) in run.uplinks.enumerated() {
      for server in uplink.servers where !uplink.begun.contains(server) {
        guard run.isOver(run.lookup(server.host), now: now), isLast || isLookedUp(server) else { continue }
        doctor?.uplinks[place].begun.append(server)
        for (socket, local) in uplink.sockets {
          let targets = endpoints(of: server, isV4: local.address.isV4)
          guard let target = targets.first else { continue }
          if let found = run.lookups.firstIndex(where: { $0.host == server.host }), server.port == nil {
            doctor?.lookups[found].isServed = true
          }
          sendBinding(.stun(server: server), place, socket, to: target, now: now, into: &actions)
        }
      }
    }
  }

  private mutating func sendBinding(
    _ purpose: DoctorProbe.Purpose, _ uplink: Int, _ socket: Int, to server: Endpoint,
    attributes: [STUNAttribute] = [], now: MonotonicInstant, into actions: inout [LinkAction]
  ) {
    let message = STUNMessage(
      messageClass: .request, method: .binding, transactionID: STUNMessage.randomTransactionID(&random),
      attributes: attributes)
    let probe = DoctorProbe(
      purpose: purpose, owner: uplink, key: .stun(message.transactionID), socket: socket, remote: server,
      bytes: message.encoded(), sentAt: now)
    begin(
      probe, "STUN request\(probe.isAnsweredThere ? "" : " for an answer from elsewhere")", now: now, into: &actions)
  }

  private mutating func begin(
    _ probe: DoctorProbe, _ words: String, now: MonotonicInstant, into actions: inout [LinkAction]
  ) {
    doctor?.probes.append(probe)
    doctor?.name(probe.remote.address.description)
    doctor?.note("\(words) to \(probe.remote), \(probe.bytes.count) bytes", now: now)
    actions.append(.send(probe.bytes, LinkSocket(probe.socket), to: probe.remote))
  }

  private mutating func beginTrunks(now: MonotonicInstant, into actions: inout [LinkAction]) {
    guard let run = doctor else { return }
    for (place, trunk) in run.trunks.enumerated() where !trunk.isBegun {
      guard run.isOver(run.lookup(trunk.host.host), now: now) else { continue }
      doctor?.trunks[place].isBegun = true
      let fresh = run.lookup(trunk.host.host)?.answer ?? []
      let known = fresh.isEmpty ? addresses(of: trunk.host) : fresh
      let paths = known.compactMap { path(ofTrunk: trunk.index, to: Endpoint($0, port: trunks[trunk.index].port)) }
      doctor?.trunks[place].isUnreachable = paths.isEmpty && !known.isEmpty
      guard let first = paths.first else { continue }
      for path in paths.prefix(DoctorRun.mostTargets) {
        ask(.options, place, path, method: .options, now: now, into: &actions)
      }
      guard trunk.registers else { continue }
      let current = route(ofTrunk: trunk.index)
      ask(.query, place, paths.first { $0 == current } ?? first, method: .register, now: now, into: &actions)
    }
  }

  private mutating func ask(
    _ purpose: DoctorProbe.Purpose, _ place: Int, _ path: SIPPath, method: SIPMethod, now: MonotonicInstant,
    into actions: inout [LinkAction]
  ) {
    guard let index = doctor?.trunks[place].index else { return }
    let branch = "z9hG4bK" + random.hexDigits(24)
    var request = providerQuestion(method, index, path, branch: branch, sequence: 1)
    if purpose == .credentials, var digest = doctor?.trunks[place].digest {
      digest.authorize(&request, random: &random)
      doctor?.trunks[place].digest = digest
    }
    if purpose == .long {
      let name = HeaderName("X-Padding")
      let missing = DoctorRun.longMessage - request.serialized().count - name.description.utf8.count - 4
      request.set(name, String(repeating: "x", count: max(1, missing)))
    }
    counters.requests.count(method.name, "out")
    begin(
      DoctorProbe(
        purpose: purpose, owner: place, key: .sip(branch), socket: path.socket, remote: path.remote,
        bytes: request.serialized(), sentAt: now), method.name, now: now, into: &actions)
  }

  private mutating func repeatProbes(isLate: Bool, now: MonotonicInstant, into actions: inout [LinkAction]) {
    guard let probes = doctor?.probes else { return }
    for (place, probe) in probes.enumerated() {
      guard let deadline = probe.deadline, isLate || deadline <= now else { continue }
      if isLate || now - probe.sentAt >= probe.patience {
        doctor?.probes[place].isGivenUp = true
        doctor?.note("no answer from \(probe.remote)", now: now)
      } else {
        doctor?.probes[place].repeated += 1
        actions.append(.send(probe.bytes, LinkSocket(probe.socket), to: probe.remote))
      }
    }
  }

  /// A server that answers with an address of another machine of its own can send us something from there.
  private mutating func beginForwards(now: MonotonicInstant, into actions: inout [LinkAction]) {
    guard let run = doctor else { return }
    for (place, uplink) in run.uplinks.enumerated() where !uplink.isForwardBegun {
      let own = run.probes.filter { $0.isBinding && $0.owner == place }
      // Every server was asked: their addresses are known ones.
      guard !own.isEmpty, own.allSatisfy(\.isOver), uplink.begun.count == uplink.servers.count else { continue }
      doctor?.uplinks[place].isForwardBegun = true
      let asked =
        run.probes.map(\.remote.address) + trunks.flatMap { $0.targets.map(\.address) }
        + stunServers(of: uplink.index, isV4: true).map(\.address)
      let mapped = uplink.sockets.compactMap { self.mappedEndpoint(of: LinkSocket($0.socket)) }.first?.port
      var external = mapped
      if case .forwarded(let port) = uplink.incoming { external = port }
      doctor?.uplinks[place].external = external
      let capable = own.first { probe in
        probe.remote.address.isV4 && probe.binding?.otherAddress.map { !asked.contains($0.address) } ?? false
      }
      guard let capable, let seen = capable.binding?.mappedAddress, let other = capable.binding?.otherAddress else {
        continue
      }
      doctor?.uplinks[place].stranger = (capable.remote, other)
      doctor?.name(other.address.description)
      let port = external == seen.port ? nil : external
      sendBinding(
        .forward(port: port), place, capable.socket, to: capable.remote,
        attributes: [.changeRequest(STUNChangeRequest(changeIP: true, changePort: true))]
          + (port.map { [.responsePort($0)] } ?? []), now: now, into: &actions)
    }
  }

  /// Where a provider leaves a long message unanswered, or every one, a server of RFC 5780 is sent one as long from the same
  /// port: that tells the line from the provider.
  private mutating func beginPadded(now: MonotonicInstant, into actions: inout [LinkAction]) {
    guard let run = doctor else { return }
    for probe in run.probes where run.isDoubtful(probe) {
      guard doctor?.padded(probe.socket) == nil,
        let server = run.probes.first(where: { $0.socket == probe.socket && $0.binding?.otherAddress != nil })
      else { continue }
      let header = 24
      sendBinding(
        .padded, server.owner, probe.socket, to: server.remote,
        attributes: [.padding([UInt8](repeating: 0, count: DoctorRun.longMessage - header))], now: now, into: &actions)
    }
  }

  // MARK: The end

  private mutating func finishDoctor(now: MonotonicInstant, into actions: inout [LinkAction]) {
    endDoctorCalls(now: now, into: &actions)
    yieldDoctorMedia(now: now, into: &actions)
    timers.cancel(.doctor)
    guard let run = doctor else { return }
    doctor = nil
    doctorInbox = []
    let report = DoctorReport(
      findings: run.findings(), at: run.wallTime.description, seconds: (now - run.startedAt).inSeconds,
      isFromDaemon: !run.request.isStandalone, exchanges: run.exchanges, names: run.names)
    var progress = run.progress(now: now)
    progress.isRunning = false
    progress.waitingFor = []
    progress.findings = report.findings
    actions.append(.examined(report, progress))
  }

  /// The link ends: so does the run, with what is known.
  mutating func stopDoctor(now: MonotonicInstant, into actions: inout [LinkAction]) {
    guard let run = doctor else { return }
    for place in run.probes.indices where !run.probes[place].isOver { doctor?.probes[place].isGivenUp = true }
    finishDoctor(now: now, into: &actions)
  }
}
