import NetworkTypes
import SIPSyntax
import SIPTransaction
import STUN

/// One run of the doctor: what is to be asked, and what was answered. ``findings(_:)`` judges it.
struct DoctorRun: Sendable {
  /// How long a name may take.
  static let namePatience = Duration.seconds(5)
  /// When a question is sent again, and when it is given up, from the first time on.
  static let repetitions: [Duration] = [.milliseconds(500), .milliseconds(1500), .milliseconds(3000)]
  static let patience = Duration.milliseconds(4000)
  static let forwardPatience = Duration.milliseconds(3000)
  static let mediaPatience = Duration.milliseconds(3500)
  /// How long a media port waits for the packet of a stranger.
  static let strangerPatience = Duration.milliseconds(1000)
  /// How many media ports are tried on an uplink, and how many in the place of one that the system refuses.
  static let mostMediaPorts = 8
  static let mostRefusals = 2
  /// Whatever is not answered then stays so; calls have their own time.
  static let limit = Duration.seconds(15)
  /// SIP over UDP that no network takes whole.
  static let longMessage = 1600
  static let mostTargets = 4
  private static let mostExchanges = 400

  let request: DoctorRequest
  let startedAt: MonotonicInstant
  let wallTime: WallTime
  /// `media.ports`.
  let mediaPorts: ClosedRange<UInt16>
  var uplinks: [DoctorUplink] = []
  var trunks: [DoctorTrunk] = []
  var ports: [DoctorRequest.PortCheck]
  var lookups: [DoctorLookup] = []
  var probes: [DoctorProbe] = []
  var media: [DoctorMedia] = []
  /// Trunks, by their place in `trunks`, that have not called yet.
  var waitingCalls: [Int] = []
  var calls: [DoctorCall] = []
  var exchanges: [String] = []
  var names: [String] = []

  init(
    _ request: DoctorRequest, mediaPorts: ClosedRange<UInt16>, startedAt: MonotonicInstant, wallTime: WallTime
  ) {
    self.request = request
    self.startedAt = startedAt
    self.wallTime = wallTime
    self.mediaPorts = mediaPorts
    ports = request.ports
  }

  mutating func note(_ text: String, now: MonotonicInstant) {
    guard exchanges.count < Self.mostExchanges else { return }
    exchanges.append("\((now - startedAt).milliseconds) ms: \(text)")
  }

  mutating func name(_ text: String?) {
    guard let text, !text.isEmpty, !names.contains(text) else { return }
    names.append(text)
  }

  /// The place of the question with this ID or branch.
  func probe(_ key: DoctorProbe.Key) -> Int? { probes.firstIndex { $0.key == key } }

  func lookup(_ host: String) -> DoctorLookup? { lookups.first { $0.host == host } }

  /// Whether a name is answered or given up; none is needed where it is `nil`.
  func isOver(_ lookup: DoctorLookup?, now: MonotonicInstant) -> Bool {
    lookup == nil || lookup?.answer != nil || now - startedAt >= Self.namePatience
  }

  // MARK: Progress

  /// The needs of which something may still be answered.
  func waitingFor(now: MonotonicInstant) -> [DoctorFinding.Need] {
    DoctorFinding.Need.allCases.filter { isWaiting(for: $0, now: now) }
  }

  private func isWaiting(for need: DoctorFinding.Need, now: MonotonicInstant) -> Bool {
    switch need {
    case .ports: false
    case .name: !lookups.allSatisfy { isOver($0, now: now) }
    case .stun: uplinks.contains { $0.begun.count < $0.servers.count } || isOpen(\.isBinding)
    case .sip, .clock: trunks.contains { !$0.isBegun } || isOpen { [.options, .query].contains($0.purpose) }
    case .registration:
      trunks.contains { !$0.isBegun && $0.registers } || isOpen { [.query, .credentials].contains($0.purpose) }
    case .forward: isWaiting(for: .stun, now: now) || isOpen { !$0.isAnsweredThere }
    case .media: !isMediaOver
    case .fragments: isWaiting(for: .sip, now: now) || isOpen { [.long, .padded].contains($0.purpose) }
    case .call: !waitingCalls.isEmpty || calls.contains { $0.stage != .over }
    }
  }

  private func isOpen(_ isOne: (DoctorProbe) -> Bool) -> Bool { probes.contains { !$0.isOver && isOne($0) } }

  func progress(now: MonotonicInstant) -> DoctorProgress {
    var progress = DoctorProgress()
    progress.isRunning = true
    progress.elapsedSeconds = (now - startedAt).inSeconds
    progress.asked = lookups.count + probes.count + media.count { $0.server != nil } + calls.count
    progress.answered =
      lookups.count { $0.answer != nil } + probes.count { $0.answer != nil } + media.count { $0.mapped != nil }
      + calls.count { $0.stage == .over }
    progress.waitingFor = waitingFor(now: now)
    progress.findings = findings().filter { !progress.waitingFor.contains($0.need) }
    return progress
  }
}

/// A name that is looked up anew.
struct DoctorLookup: Sendable {
  let host: String
  /// `trunk sipgate`, `uplink dsl`: who needs it.
  let subject: String
  /// `nil` until the name server, or nobody, has answered; empty where there is none.
  var answer: [IPAddress]?
  var took: Duration?
  /// Other names lead to where it stands for (SRV), so that it needs no address of its own.
  var isServed = false
}

/// An uplink as it is examined.
struct DoctorUplink: Sendable {
  let index: Int
  let name: String
  /// Those that carry SIP now, one a family.
  let sockets: [(socket: Int, local: Endpoint)]
  let servers: [HostPort]
  let incoming: IncomingWay
  /// The port by which the world is told to reach that of SIP, where one is mapped or forwarded to it.
  var external: UInt16?
  /// Servers whose addresses were asked, or have none.
  var begun: [HostPort] = []
  var isForwardBegun = false
  /// A server that can send from an address which nothing was sent to, and that address.
  var stranger: (server: Endpoint, other: Endpoint)?
  var isMediaBegun = false
  /// The place in `media` of the port that waits for the stranger's packet.
  var witness: Int?

  var subject: String { "uplink \(name)" }
}

/// A trunk as it is examined.
struct DoctorTrunk: Sendable {
  let index: Int
  let name: String
  let host: HostPort
  let registers: Bool
  let hasPassword: Bool
  /// The number that it calls itself by, where it has one.
  let number: String?
  var isBegun = false
  var isLongBegun = false
  /// There is no socket of any of its addresses' families.
  var isUnreachable = false
  var digest: DigestSession?
  var credentialTries = 0
  /// What the last challenge meant.
  var verdict: DigestSession.Verdict?

  var subject: String { "trunk \(name)" }
}

/// One question over UDP, and its answer.
struct DoctorProbe: Sendable {
  enum Purpose: Sendable, Equatable {
    /// Out and back to a server of the configuration.
    case stun(server: HostPort)
    /// An answer from an address that nothing was sent to; `port` is the one that it has to come in by, where that is not
    /// the one that asks.
    case forward(port: UInt16?)
    case options
    /// REGISTER without a contact: asks what is registered and changes nothing (RFC 3261 §10.2.3).
    case query
    /// The same with credentials.
    case credentials
    /// A message that has to go in pieces.
    case long
    /// A STUN request as long as that (PADDING, RFC 5780 §7.6): whether pieces pass the line at all.
    case padded
  }

  enum Key: Sendable, Equatable {
    case stun(UInt128)
    case sip(String)
  }

  enum Answer: Sendable {
    case stun(STUNMessage, from: Endpoint)
    case sip(SIPMessage)
  }

  let purpose: Purpose
  /// The place in `uplinks` of a question to a STUN server, that in `trunks` of one to a provider.
  let owner: Int
  let key: Key
  let socket: Int
  let remote: Endpoint
  let bytes: [UInt8]
  let sentAt: MonotonicInstant
  var repeated = 0
  var answer: Answer?
  var took: Duration?
  var isGivenUp = false

  var isOver: Bool { answer != nil || isGivenUp }
  /// Whether only the endpoint that it went to may answer it.
  var isAnsweredThere: Bool { if case .forward = purpose { false } else { true } }
  /// Whether it is a question to a STUN server for our address.
  var isBinding: Bool { if case .stun = purpose { true } else { false } }
  var patience: Duration {
    if case .forward = purpose { return DoctorRun.forwardPatience }
    return DoctorRun.patience
  }
  /// When it is sent again or given up.
  var deadline: MonotonicInstant? {
    guard !isOver else { return nil }
    let next = DoctorRun.repetitions.indices.contains(repeated) ? DoctorRun.repetitions[repeated] : patience
    return sentAt + min(next, patience)
  }
  var response: SIPMessage? { if case .sip(let message)? = answer { message } else { nil } }
  var binding: STUNMessage? { if case .stun(let message, _)? = answer { message } else { nil } }
}

extension Duration {
  var milliseconds: Int64 { nanoseconds / 1_000_000 }
}
