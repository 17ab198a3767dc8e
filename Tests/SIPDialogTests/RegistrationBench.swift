import NetworkTypes
import SIPDialog
import SIPSyntax
import Testing

/// A registration, its clock, and a registrar that is a closure.
struct RegistrationBench {
  /// What the registrar does with a REGISTER.
  enum Reply {
    case silence
    case status(Int, [(HeaderName, String)] = [])
  }

  static let contact = SIPURI(user: "10", host: "203.0.113.5", port: 65002)
  static let moved = SIPURI(user: "10", host: "203.0.113.99", port: 65002)

  var registration: Registration
  var random = RandomSource(seed: 3)
  var now = MonotonicInstant(nanoseconds: 0)
  /// When each REGISTER left, in seconds, and the message.
  var sent: [(at: Double, message: SIPMessage)] = []
  var failures: [(code: String, sentence: String)] = []
  var registeredCount = 0
  var removedCount = 0
  private var waiting: [SIPMessage] = []

  init(
    expires: Int = 300, password: String? = "secret", realm: String? = nil, instance: String? = nil
  ) {
    registration = Registration(
      RegistrationConfiguration(
        aor: SIPURI(user: "10", host: "example.org"), registrar: SIPURI(user: nil, host: "example.org"),
        username: "10", password: password.map { Redacted($0) }, realm: realm, expires: .seconds(expires),
        userAgent: "test", instance: instance), random: &random)
  }

  mutating func start(contact: SIPURI = contact) {
    call { $0.start(contact: contact, now: $1, random: &$2, into: &$3) }
  }

  /// Calls an input and keeps what it answers.
  mutating func call(
    _ input: (inout Registration, MonotonicInstant, inout RandomSource, inout [RegistrationAction]) -> Void
  ) {
    var actions: [RegistrationAction] = []
    input(&registration, now, &random, &actions)
    for action in actions {
      switch action {
      case .send(let message):
        sent.append(((now - MonotonicInstant(nanoseconds: 0)).inSeconds, message))
        waiting = [message]
      case .stateChanged: break
      case .failed(let code, let sentence, let retryAt):
        failures.append((code, sentence))
        #expect(retryAt == registration.nextDeadline)
      case .registered: registeredCount += 1
      case .removed: removedCount += 1
      }
    }
  }

  /// Answers the last unanswered REGISTER; `false` where there is none.
  @discardableResult
  mutating func reply(_ status: Int, _ fields: [(HeaderName, String)] = []) -> Bool {
    guard let request = waiting.popLast() else { return false }
    var response = SIPMessage(responding: request, status: status, toTag: "r")
    for field in fields { response.add(field.0, field.1) }
    call { $0.responseReceived(response, now: $1, random: &$2, into: &$3) }
    return true
  }

  /// Lets time pass; each REGISTER is answered at once, or times out after 32 s.
  mutating func run(for duration: Duration, _ registrar: (SIPMessage) -> Reply) {
    let end = now + duration
    for _ in 0..<100_000 {
      if let request = waiting.last {
        switch registrar(request) {
        case .silence:
          waiting = []
          guard now + .seconds(32) <= end else {
            now = end
            return
          }
          now = now + .seconds(32)
          call { $0.requestTimedOut(now: $1, random: &$2, into: &$3) }
        case .status(let status, let fields): reply(status, fields)
        }
        continue
      }
      guard let deadline = registration.nextDeadline, deadline <= end else { break }
      now = max(now, deadline)
      call { $0.timerFired(now: $1, random: &$2, into: &$3) }
    }
    now = end
  }

  /// A registrar that challenges once and then keeps the contacts as asked.
  static func friendly(_ request: SIPMessage) -> Reply {
    guard request.contains(.authorization) else { return challenge() }
    return accept(request)
  }

  static func challenge(_ nonce: String = "n", realm: String = "example.org", stale: Bool = false) -> Reply {
    .status(
      401,
      [(.wwwAuthenticate, "Digest realm=\"\(realm)\", nonce=\"\(nonce)\", qop=\"auth\"\(stale ? ", stale=true" : "")")])
  }

  static func accept(_ request: SIPMessage) -> Reply {
    .status(200, request.values(.contact).map { (.contact, $0) })
  }

  /// REGISTERs that left in that time.
  func count(from: Double = 0, to: Double) -> Int { sent.count { $0.at >= from && $0.at < to } }
}
