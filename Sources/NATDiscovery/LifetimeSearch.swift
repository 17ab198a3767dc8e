import NetworkTypes
import STUN

/// Measures how long a binding lives without traffic (RFC 5780 §4.6, RFC 3489 §10.2).
///
/// Many spare ports learn their mapping at about the same time and then keep silent. Each is tried once, at an age of
/// its own, by an answer that another port asks the server to send there: so no try makes a binding live longer, and
/// the search is over as soon as the binding is. Ages are a second apart up to 40 s and two up to 200 s; beyond that
/// only minutes tell.
struct LifetimeSearch: Sendable {
  private static let ages: [Int] =
    Array(1...40) + Array(stride(from: 42, through: 200, by: 2)) + [
      210, 220, 230, 240, 255, 270, 285, 300, 360, 420, 480, 540, 600,
    ]
  private static let opening: [Duration] = [.milliseconds(400), .milliseconds(900), .milliseconds(1500)]
  private static let trying: [Duration] = [.milliseconds(200), .milliseconds(450), .milliseconds(900)]
  /// Ports are opened one after the other, so that neither router nor server takes it for a flood.
  private static let pace = Duration.milliseconds(25)

  private enum Method: Sendable {
    /// RESPONSE-PORT of RFC 5780.
    case port
    /// RESPONSE-ADDRESS of RFC 3489.
    case address
  }

  private struct Subject: Sendable {
    var mapped: Endpoint
    var born: MonotonicInstant
    var isAlive: Bool?
    var isTried = false
  }

  private let server: Endpoint
  private let local: Endpoint
  private let asker: Int
  private var methods: [Method]
  private var probes = ProbeTable()
  private var subjects: [Subject?] = Array(repeating: nil, count: Self.ages.count)
  private var isOpen: Set<Int> = []
  private var askerMapped: Endpoint?
  private var opened = 0
  private var nextOpening: MonotonicInstant?
  private var nextProgress: MonotonicInstant?
  private var began: MonotonicInstant
  private(set) var result: Observations.Lifetime?

  init(server: Endpoint, isClassic: Bool, local: Endpoint, firstSocket: Int) {
    self.server = server
    self.local = local
    asker = firstSocket
    methods = isClassic ? [.address, .port] : [.port, .address]
    began = MonotonicInstant(nanoseconds: 0)
  }

  var nextDeadline: MonotonicInstant? {
    var next = [probes.nextDeadline, nextOpening, nextProgress].compactMap { $0 }
    for (index, subject) in subjects.enumerated() {
      if let subject, !subject.isTried, isReady { next.append(subject.born + .seconds(Self.ages[index])) }
    }
    return next.min()
  }

  /// Whether the first subject has shown that the method works; then the others are born.
  private var isReady: Bool { nextOpening != nil || opened > 1 }

  /// The socket of the subject at `index`.
  private func socket(_ index: Int) -> Int { asker + 1 + index }

  mutating func start(now: MonotonicInstant, into actions: inout [DiscoveryAction]) {
    began = now
    actions.append(.openSocket(asker, local: local))
  }

  mutating func socketOpened(
    _ socket: Int, now: MonotonicInstant, random: inout RandomSource, into actions: inout [DiscoveryAction]
  ) {
    isOpen.insert(socket)
    let index = socket - asker - 1
    ask(.ageing(index), from: socket, listener: socket, schedule: Self.opening, now, &random, &actions)
  }

  mutating func socketFailed(_ socket: Int, reason: String) {
    if socket <= asker + 1 { result = .notChecked(reason) }
  }

  mutating func close(into actions: inout [DiscoveryAction]) {
    for socket in isOpen.sorted() { actions.append(.closeSocket(socket)) }
    isOpen = []
    probes.removeAll()
  }

  mutating func received(
    _ message: STUNMessage, from source: Endpoint, on socket: Int, now: MonotonicInstant, random: inout RandomSource,
    into actions: inout [DiscoveryAction]
  ) {
    guard let (probe, result) = probes.receive(message, from: source, on: socket) else { return }
    ended(probe.name, result, now, &random, &actions)
  }

  mutating func timerFired(now: MonotonicInstant, random: inout RandomSource, into actions: inout [DiscoveryAction]) {
    for name in probes.fire(now: now, into: &actions) { ended(name, .silent, now, &random, &actions) }
    if let moment = nextOpening, moment <= now {
      nextOpening = opened + 1 < Self.ages.count ? now + Self.pace : nil
      actions.append(.openSocket(socket(opened), local: local))
      opened += 1
    }
    guard isReady, result == nil else { return }
    for index in subjects.indices {
      guard let subject = subjects[index], !subject.isTried, subject.born + .seconds(Self.ages[index]) <= now else {
        continue
      }
      subjects[index]?.isTried = true
      tryAlive(index, now, &random, &actions)
    }
    if let moment = nextProgress, moment <= now {
      let oldest = subjects.lastIndex { $0?.isAlive == true }.map { Self.ages[$0] } ?? 0
      let elapsed = Int((now - began).inSeconds)
      actions.append(.progress("binding lifetime: \(elapsed) s; open after \(oldest) s of silence"))
      nextProgress = now + .seconds(1)
    }
  }

  private mutating func tryAlive(
    _ index: Int, _ now: MonotonicInstant, _ random: inout RandomSource, _ actions: inout [DiscoveryAction]
  ) {
    guard let subject = subjects[index], let method = methods.first else { return }
    let attribute: STUNAttribute =
      method == .port ? .responsePort(subject.mapped.port) : .responseAddress(subject.mapped)
    ask(
      .alive(index), from: asker, listener: socket(index), attributes: [attribute], schedule: Self.trying,
      hasMagicCookie: method == .port, now, &random, &actions)
  }

  private mutating func ended(
    _ name: ProbeName, _ result: ProbeResult, _ now: MonotonicInstant, _ random: inout RandomSource,
    _ actions: inout [DiscoveryAction]
  ) {
    switch name {
    case .ageing(-1):
      guard case .answered(let mapped, _) = result else { return self.result = .notChecked("the server fell silent") }
      askerMapped = mapped
      actions.append(.openSocket(socket(0), local: local))
      opened = 1
    case .ageing(let index):
      guard case .answered(let mapped, _) = result, subjects.indices.contains(index) else {
        if index == 0 { self.result = .notChecked("the server fell silent") }
        return
      }
      guard mapped.address == askerMapped?.address else {
        return self.result = .notChecked("the router gives each port another public address")
      }
      subjects[index] = Subject(mapped: mapped, born: now)
      if index == 0 { tryAlive(0, now, &random, &actions) }
    case .alive(let index): tried(index, result, now, &random, &actions)
    default: break
    }
  }

  private mutating func tried(
    _ index: Int, _ result: ProbeResult, _ now: MonotonicInstant, _ random: inout RandomSource,
    _ actions: inout [DiscoveryAction]
  ) {
    var isAlive = false
    if case .answered = result { isAlive = true }
    if !isReady {
      // The first subject is a moment old: it only shows whether the server does as it is told.
      if isAlive {
        nextOpening = now
        nextProgress = now
        subjects[0]?.isTried = true
        subjects[0]?.isAlive = true
        return
      }
      methods.removeFirst()
      if !methods.isEmpty { return tryAlive(0, now, &random, &actions) }
      return self.result = .notChecked(
        "the server sends no answer to another port (RESPONSE-PORT of RFC 5780, RESPONSE-ADDRESS of RFC 3489)")
    }
    subjects[index]?.isAlive = isAlive
    judge()
  }

  /// Ends with the first age at which a binding is dead and the next one is too: one alone may be loss.
  private mutating func judge() {
    let known = zip(Self.ages, subjects).compactMap { age, subject in subject?.isAlive.map { (age, $0) } }
    if let last = known.last, last.0 == Self.ages.last {
      return result = last.1 ? .atLeast(last.0) : middle(known)
    }
    if known.suffix(2).count == 2, known.suffix(2).allSatisfy({ !$0.1 }) { result = middle(known) }
  }

  private func middle(_ known: [(Int, Bool)]) -> Observations.Lifetime {
    let alive = known.last { $0.1 }?.0 ?? 0
    let dead = known.first { $0.0 > alive }?.0 ?? alive
    return .measured((alive + dead + 1) / 2)
  }

  private mutating func ask(
    _ name: ProbeName, from socket: Int, listener: Int, attributes: [STUNAttribute] = [], schedule: [Duration],
    hasMagicCookie: Bool = true, _ now: MonotonicInstant, _ random: inout RandomSource,
    _ actions: inout [DiscoveryAction]
  ) {
    let id =
      hasMagicCookie ? STUNMessage.randomTransactionID(&random) : UInt128(random.next()) << 64 | UInt128(random.next())
    let message = STUNMessage(
      messageClass: .request, transactionID: id, hasMagicCookie: hasMagicCookie, attributes: attributes)
    probes.insert(
      Probe(
        name: name, socket: socket, destination: server, listener: listener, answerFrom: server, wireID: message.wireID,
        request: message.encoded(), began: now, schedule: schedule))
    actions.append(.send(message.encoded(), socket: socket, to: server))
  }
}
