public import NetworkTypes
import PortMapping
import STUN

/// Finds out what stands between this machine and the internet: RFC 3489 §10.1, RFC 5780 §4.
///
/// The tests that do not disturb each other run side by side: each has ports of its own, since a port that once talked
/// to the server's second address says nothing about filtering any more. Where something answers the report is there
/// within about three seconds, where nothing does after six; the lifetime of a binding, if it is asked for, takes as
/// long as it lives.
///
/// The shell calls ``start(now:into:)`` once, does what the actions say, and tells what came of it.
public struct DiscoveryCore: Sendable {
  private enum Phase: Sendable {
    case idle
    /// All servers are asked; `settlesAt` is set once the first has answered.
    case asking(settlesAt: MonotonicInstant?)
    case examining
    case predicting
    /// Only the routers on the way have still to answer.
    case awaitingHops(until: MonotonicInstant)
    case ageing
    case ended
  }

  /// The sockets, by their number.
  private enum Port {
    static let examined = 0
    static let filter = 1
    static let hairpin = [2, 3]
    static let prediction = 4
    static let samples = 5...9
    static let router = 10
    static let all = 0...10
  }

  /// A server that answers nothing is asked so often; the last moment is when it is given up.
  private static let patience: [Duration] = [.milliseconds(500), .milliseconds(1500), .milliseconds(3500), .seconds(6)]
  /// What may never be answered is asked four times, so that loss is not taken for a firewall.
  private static let quick: [Duration] = [.milliseconds(250), .milliseconds(750), .milliseconds(1250), .seconds(2)]
  private static let hopLimit = 4
  /// RFC 6886 §3.
  private static let routerPort: UInt16 = 5351
  /// Longer than a packet of an Ethernet, so that it is cut, both ways.
  private static let paddingCount = 1600

  private let settings: DiscoverySettings
  private let servers: [Endpoint]
  private var random: RandomSource
  private var phase = Phase.idle
  private var probes = ProbeTable()
  private var locals: [Int: Endpoint] = [:]
  private var pendingSockets = 0
  private var seen: Observations
  private var tracedAt: MonotonicInstant?
  private var predictionTargets: [Endpoint] = []
  private var hasTriedHairpin = false
  private var lifetime: LifetimeSearch?

  public init(settings: DiscoverySettings, random: RandomSource) {
    self.settings = settings
    self.random = random
    var servers: [Endpoint] = []
    for server in settings.servers where !servers.contains(server) && servers.count < DiscoverySettings.mostServers {
      servers.append(server)
    }
    self.servers = servers
    seen = Observations(local: settings.local, askedCount: servers.count)
  }

  /// When ``timerFired(now:into:)`` is to be called; read it after every other call.
  public var nextDeadline: MonotonicInstant? {
    let own: MonotonicInstant?
    switch phase {
    case .asking(let settlesAt): own = settlesAt
    case .awaitingHops(let end): own = end
    case .examining: own = hairpinIsPending ? hairpinDeadline : nil
    case .idle, .predicting, .ended: own = nil
    case .ageing: own = lifetime?.nextDeadline
    }
    return [own, probes.nextDeadline].compactMap { $0 }.min()
  }

  public var isFinished: Bool { if case .ended = phase { true } else { false } }

  // MARK: Inputs

  public mutating func start(now: MonotonicInstant, into actions: inout [DiscoveryAction]) {
    guard case .idle = phase else { return }
    phase = .asking(settlesAt: nil)
    guard !servers.isEmpty else { return finish(into: &actions) }
    actions.append(.progress("asking \(servers.count == 1 ? "\(servers[0])" : "\(servers.count) servers")"))
    let numbers = Port.all.filter { $0 != Port.router || settings.router != nil }
    pendingSockets = numbers.count
    for number in numbers {
      let port = number == Port.examined ? settings.local.port : 0
      actions.append(.openSocket(number, local: Endpoint(settings.local.address, port: port)))
    }
  }

  /// - Parameter local: where it is bound, with the port that the system chose. A wildcard is taken for the address of
  ///   the settings.
  public mutating func socketOpened(
    _ socket: Int, local: Endpoint, now: MonotonicInstant, into actions: inout [DiscoveryAction]
  ) {
    let address = local.address.isUnspecified ? settings.local.address : local.address
    locals[socket] = Endpoint(address, port: local.port)
    if socket > Port.all.upperBound {
      lifetime?.socketOpened(socket, now: now, random: &random, into: &actions)
      return endLifetimeIfDone(now: now, into: &actions)
    }
    pendingSockets -= 1
    if socket == Port.router { return askRouter(into: &actions) }
    guard socket == Port.examined, case .asking = phase else { return }
    seen.local = locals[socket] ?? local
    for (index, server) in servers.enumerated() {
      ask(.server(index), from: socket, server, schedule: Self.patience, now: now, into: &actions)
    }
  }

  public mutating func socketFailed(
    _ socket: Int, reason: String, now: MonotonicInstant, into actions: inout [DiscoveryAction]
  ) {
    if socket > Port.all.upperBound {
      lifetime?.socketFailed(socket, reason: reason)
      return endLifetimeIfDone(now: now, into: &actions)
    }
    pendingSockets -= 1
    seen.socketProblem = reason
    if socket == Port.examined { finish(into: &actions) }
  }

  public mutating func datagramReceived(
    _ bytes: Span<UInt8>, from source: Endpoint, on socket: Int, now: MonotonicInstant,
    into actions: inout [DiscoveryAction]
  ) {
    if socket == Port.router { return routerAnswered(bytes, from: source) }
    guard let message = try? STUNMessage(decoding: bytes) else { return }
    if case .ageing = phase {
      lifetime?.received(message, from: source, on: socket, now: now, random: &random, into: &actions)
      return endLifetimeIfDone(now: now, into: &actions)
    }
    guard let (probe, result) = probes.receive(message, from: source, on: socket) else { return }
    ended(probe.name, result, began: probe.began, now: now, into: &actions)
    goOn(now: now, into: &actions)
  }

  public mutating func timerFired(now: MonotonicInstant, into actions: inout [DiscoveryAction]) {
    if case .ageing = phase {
      lifetime?.timerFired(now: now, random: &random, into: &actions)
      return endLifetimeIfDone(now: now, into: &actions)
    }
    for name in probes.fire(now: now, into: &actions) {
      ended(name, .silent, began: now, now: now, into: &actions)
    }
    goOn(now: now, into: &actions)
  }

  /// The routers on the way, nearest first; `nil` for one that did not answer.
  public mutating func hopsTraced(
    _ routers: [IPAddress?], now: MonotonicInstant, into actions: inout [DiscoveryAction]
  ) {
    seen.hops = Array(routers.prefix(Self.hopLimit))
    goOn(now: now, into: &actions)
  }

  /// The shell cannot send packets with few hops; `reason` is the end of a sentence.
  public mutating func hopsRefused(
    _ reason: String, now: MonotonicInstant, into actions: inout [DiscoveryAction]
  ) {
    seen.hops = []
    seen.hopProblem = reason
    goOn(now: now, into: &actions)
  }

  // MARK: The router's own word

  /// Asked once: it is near, and where it does not answer nothing is concluded from that.
  private func askRouter(into actions: inout [DiscoveryAction]) {
    guard let router = settings.router else { return }
    let request = NATPMPRequest.externalAddress.encoded()
    actions.append(.send(request, socket: Port.router, to: Endpoint(router, port: Self.routerPort)))
  }

  private mutating func routerAnswered(_ bytes: Span<UInt8>, from source: Endpoint) {
    guard let router = settings.router, source == Endpoint(router, port: Self.routerPort),
      let response = try? NATPMPResponse(decoding: bytes), case .externalAddress(let address) = response.content,
      response.resultCode == .success
    else { return }
    seen.routerAddress = address
  }

  // MARK: Requests

  private mutating func ask(
    _ name: ProbeName, from socket: Int, _ destination: Endpoint, listener: Int? = nil, answerFrom: Endpoint? = nil,
    attributes: [STUNAttribute] = [], schedule: [Duration] = quick, now: MonotonicInstant,
    into actions: inout [DiscoveryAction]
  ) {
    guard locals[socket] != nil else { return }
    let message = STUNMessage(
      messageClass: .request, transactionID: STUNMessage.randomTransactionID(&random), attributes: attributes)
    let probe = Probe(
      name: name, socket: socket, destination: destination, listener: listener ?? socket,
      answerFrom: answerFrom ?? destination, wireID: message.wireID, request: message.encoded(), began: now,
      schedule: schedule)
    probes.insert(probe)
    actions.append(.send(probe.request, socket: socket, to: destination))
  }

  private mutating func ended(
    _ name: ProbeName, _ result: ProbeResult, began: MonotonicInstant, now: MonotonicInstant,
    into actions: inout [DiscoveryAction]
  ) {
    seen.results[name] = result
    switch (name, result) {
    case (.server(let index), .answered(let mapped, let message)):
      answered(index, mapped, message, roundTrip: now - began)
    case (.filterOpening, .answered(let mapped, _)):
      addSample(Port.filter, mapped)
      guard let chosen = seen.chosen, let other = chosen.other else { return }
      askChanged(
        .filterBoth, from: Port.filter, chosen.endpoint, other, port: true, address: true, now: now, into: &actions)
      askChanged(
        .filterPort, from: Port.filter, chosen.endpoint, other, port: true, address: false, now: now, into: &actions)
    case (.secondAddressAndPort, .answered(let mapped, _)):
      guard let chosen = seen.chosen, let other = chosen.other, mapped == chosen.mapped else { return }
      askChanged(
        .control, from: Port.examined, chosen.endpoint, other, port: true, address: true, now: now, into: &actions)
    case (.hairpinOpening(let index), .answered(let mapped, _)):
      addSample(Port.hairpin[index], mapped)
    case (.hairpin(let index), .answered): probes.remove(.hairpin(1 - index))
    case (.sample(let socket), .answered(let mapped, _)): addSample(socket, mapped)
    case (.prediction, .answered(let mapped, _)): seen.predictions.append(mapped)
    default: break
    }
  }

  private mutating func askChanged(
    _ name: ProbeName, from socket: Int, _ server: Endpoint, _ other: Endpoint, port: Bool, address: Bool,
    now: MonotonicInstant, into actions: inout [DiscoveryAction]
  ) {
    let change = STUNChangeRequest(changeIP: address, changePort: port)
    ask(
      name, from: socket, server,
      answerFrom: Endpoint(address ? other.address : server.address, port: port ? other.port : server.port),
      attributes: [.changeRequest(change)], now: now, into: &actions)
  }

  private mutating func addSample(_ socket: Int, _ mapped: Endpoint) {
    guard let local = locals[socket] else { return }
    seen.samples.append(Observations.Sample(local: local, mapped: mapped))
  }

  // MARK: Servers

  private mutating func answered(_ index: Int, _ mapped: Endpoint, _ message: STUNMessage, roundTrip: Duration) {
    let endpoint = servers[index]
    var other = message.otherAddress
    // A second address is where we send to next: it has to be one, and no inside address that a server outside names.
    if let found = other {
      let isOutside = !endpoint.address.isPublic || found.address.isPublic
      let isUsable =
        found.port != 0 && !found.address.isUnspecified && !found.address.isMulticast
        && found.address.isV4 == endpoint.address.isV4 && found.address.isLoopback == endpoint.address.isLoopback
      if found.address == endpoint.address || found.port == endpoint.port || !isOutside || !isUsable { other = nil }
    }
    let isBehaviorServer = message.attributes.contains { if case .otherAddress = $0 { true } else { false } }
    seen.servers.append(
      Observations.Server(
        index: index, endpoint: endpoint, mapped: mapped, roundTrip: roundTrip, other: other,
        isBehaviorServer: isBehaviorServer))
    seen.servers.sort { $0.index < $1.index }
  }

  // MARK: Phases

  private mutating func goOn(now: MonotonicInstant, into actions: inout [DiscoveryAction]) {
    switch phase {
    case .asking(let settlesAt): settle(settlesAt, now: now, into: &actions)
    case .examining:
      if hairpinIsPending, seen.hops != nil || now >= hairpinDeadline { tryHairpin(now: now, into: &actions) }
      if probes.isEmpty, !hairpinIsPending { predict(now: now, into: &actions) }
    case .predicting: predictNext(now: now, into: &actions)
    case .awaitingHops(let end):
      if seen.hops != nil || now >= end { measureLifetime(now: now, into: &actions) }
    case .idle, .ageing, .ended: break
    }
  }

  private mutating func settle(
    _ settlesAt: MonotonicInstant?, now: MonotonicInstant, into actions: inout [DiscoveryAction]
  ) {
    guard let first = seen.servers.first else {
      if probes.isEmpty, locals[Port.examined] != nil { finish(into: &actions) }
      return
    }
    let isComplete = probes.isEmpty || first.index == 0 && first.other != nil
    if !isComplete {
      guard let settlesAt else {
        // A better server may answer a little later, and without one a second server is needed anyway.
        let wait = seen.servers.contains { $0.other != nil } ? Duration.milliseconds(300) : .seconds(1)
        return phase = .asking(settlesAt: now + wait)
      }
      guard now >= settlesAt else { return }
    }
    probes.removeAll()
    let chosen = seen.servers.first { $0.other != nil } ?? first
    seen.chosen = chosen
    addSample(Port.examined, chosen.mapped)
    phase = .examining
    examine(chosen, now: now, into: &actions)
    // Without spare ports there may be nothing to wait for.
    goOn(now: now, into: &actions)
  }

  private mutating func examine(
    _ chosen: Observations.Server, now: MonotonicInstant, into actions: inout [DiscoveryAction]
  ) {
    actions.append(.progress("\(chosen.endpoint) sees \(chosen.mapped); trying what the router lets through"))
    if let other = chosen.other {
      let sameSecondPort = Endpoint(other.address, port: chosen.endpoint.port)
      ask(.secondAddress, from: Port.examined, sameSecondPort, now: now, into: &actions)
      ask(.secondAddressAndPort, from: Port.examined, other, now: now, into: &actions)
      ask(.filterOpening, from: Port.filter, chosen.endpoint, now: now, into: &actions)
    }
    if chosen.isBehaviorServer {
      let padding = STUNAttribute.padding([UInt8](repeating: 0, count: Self.paddingCount))
      ask(.padded, from: Port.examined, chosen.endpoint, attributes: [padding], now: now, into: &actions)
    }
    if !seen.isUntranslated {
      for (index, socket) in Port.hairpin.enumerated() {
        ask(.hairpinOpening(index), from: socket, chosen.endpoint, now: now, into: &actions)
      }
    }
    for socket in Port.samples { ask(.sample(socket), from: socket, chosen.endpoint, now: now, into: &actions) }
    tracedAt = now
    if seen.isUntranslated { return seen.hops = [] }
    let bytes = STUNMessage(messageClass: .request, transactionID: STUNMessage.randomTransactionID(&random)).encoded()
    actions.append(.traceHops(bytes, to: chosen.endpoint, limit: Self.hopLimit))
  }

  /// A router refuses what it does not turn round, and refusals use up what many allow themselves to say in a second: those
  /// on the way are asked first.
  private var hairpinIsPending: Bool {
    !hasTriedHairpin && seen.mapped(.hairpinOpening(0)) != nil && seen.mapped(.hairpinOpening(1)) != nil
  }

  private var hairpinDeadline: MonotonicInstant { (tracedAt ?? MonotonicInstant(nanoseconds: 0)) + .milliseconds(1500) }

  private mutating func tryHairpin(now: MonotonicInstant, into actions: inout [DiscoveryAction]) {
    hasTriedHairpin = true
    guard let first = seen.mapped(.hairpinOpening(0)), let second = seen.mapped(.hairpinOpening(1)) else { return }
    // Each writes to the other, so that filters on both ways are open.
    for (index, target) in [second, first].enumerated() {
      ask(
        .hairpin(index), from: Port.hairpin[index], target, listener: Port.hairpin[1 - index],
        schedule: [.milliseconds(300), .milliseconds(700), .milliseconds(1200)], now: now, into: &actions)
    }
  }

  /// One new mapping after another and nothing else meanwhile: only so do steps show.
  private mutating func predict(now: MonotonicInstant, into actions: inout [DiscoveryAction]) {
    phase = .predicting
    if let chosen = seen.chosen {
      let mapping = NATReport(seen).mapping
      var targets = [chosen.endpoint]
      if let other = chosen.other {
        targets += [Endpoint(other.address, port: chosen.endpoint.port), other]
        targets.append(Endpoint(chosen.endpoint.address, port: other.port))
      }
      targets += seen.servers.map(\.endpoint).filter { !targets.contains($0) }
      var distinct: [Endpoint] = []
      for target in targets
      where mapping == .addressAndPortDependent || !distinct.contains(where: { $0.address == target.address }) {
        distinct.append(target)
      }
      let isDependent = mapping == .addressDependent || mapping == .addressAndPortDependent
      predictionTargets = isDependent && distinct.count >= 3 ? Array(distinct.prefix(5)) : []
    }
    predictNext(now: now, into: &actions)
  }

  private mutating func predictNext(now: MonotonicInstant, into actions: inout [DiscoveryAction]) {
    guard probes.isEmpty else { return }
    guard !predictionTargets.isEmpty, locals[Port.prediction] != nil else {
      phase = .awaitingHops(until: (tracedAt ?? now) + .seconds(2))
      return goOn(now: now, into: &actions)
    }
    let target = predictionTargets.removeFirst()
    let wait: [Duration] = [.milliseconds(300), .milliseconds(700)]
    ask(
      .prediction(predictionTargets.count), from: Port.prediction, target, schedule: wait, now: now, into: &actions)
  }

  private mutating func measureLifetime(now: MonotonicInstant, into actions: inout [DiscoveryAction]) {
    if seen.hops == nil { seen.hops = [] }
    guard settings.measuresLifetime, let chosen = seen.chosen else { return finish(into: &actions) }
    let report = NATReport(seen)
    if report.natType == .open {
      seen.lifetime = .notChecked("nothing stands in the way that could forget")
      return finish(into: &actions)
    }
    let address = settings.local.address
    for socket in Port.all where locals.removeValue(forKey: socket) != nil { actions.append(.closeSocket(socket)) }
    phase = .ageing
    lifetime = LifetimeSearch(
      server: chosen.endpoint, isClassic: !chosen.isBehaviorServer, local: Endpoint(address, port: 0),
      firstSocket: Port.all.upperBound + 1)
    lifetime?.start(now: now, into: &actions)
  }

  private mutating func endLifetimeIfDone(now: MonotonicInstant, into actions: inout [DiscoveryAction]) {
    guard case .ageing = phase, let result = lifetime?.result else { return }
    seen.lifetime = result
    lifetime?.close(into: &actions)
    finish(into: &actions)
  }

  private mutating func finish(into actions: inout [DiscoveryAction]) {
    probes.removeAll()
    phase = .ended
    for socket in Port.all where locals.removeValue(forKey: socket) != nil { actions.append(.closeSocket(socket)) }
    actions.append(.finished(NATReport(seen)))
  }
}
