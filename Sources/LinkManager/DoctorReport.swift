/// What somebody wants to have examined.
public struct DoctorRequest: Sendable, Equatable, Codable {
  /// A port of the configuration that was tried before the run.
  public struct PortCheck: Sendable, Equatable, Codable {
    /// `uplink dsl`, `office side`.
    public var subject: String
    /// `0.0.0.0:65002`.
    public var endpoint: String
    /// The system's word where it refused the port, for people.
    public var refusal: String?

    public init(subject: String, endpoint: String, refusal: String? = nil) {
      self.subject = subject
      self.endpoint = endpoint
      self.refusal = refusal
    }
  }

  /// Whether each trunk calls its own number.
  public var calls: Bool
  /// No daemon runs: the ports were opened for this run alone, and trunks are examined although they are switched off.
  public var isStandalone = false
  /// Empty where the daemon itself runs it, which has its ports open.
  public var ports: [PortCheck] = []

  public init(calls: Bool = false) { self.calls = calls }
}

/// One thing that the link needs, and whether it has it.
public struct DoctorFinding: Sendable, Equatable, Codable {
  /// What is needed; docs/doctor.md says how each is proven.
  public enum Need: String, Sendable, Codable, CaseIterable {
    case ports, name, stun, sip, registration, forward, media, fragments, clock, call
  }

  public enum Result: String, Sendable, Codable, CaseIterable { case proven, refuted, unprovable }

  public var need: Need
  /// Whose: `uplink dsl`, `trunk sipgate`, a host.
  public var subject: String
  public var result: Result
  /// What was seen, one sentence.
  public var evidence: String
  /// What a person does about it; `nil` where it is proven.
  public var nextStep: String?

  public init(need: Need, subject: String, result: Result, evidence: String, nextStep: String? = nil) {
    self.need = need
    self.subject = subject
    self.result = result
    self.evidence = evidence
    self.nextStep = nextStep
  }
}

/// Everything that one run of the doctor has found.
public struct DoctorReport: Sendable, Equatable, Codable {
  /// Refuted where one finding is; proven where all are.
  public var result: DoctorFinding.Result
  public var findings: [DoctorFinding]
  /// When it began, RFC 3339.
  public var at: String
  /// How long it took.
  public var seconds: Double
  /// Whether it ran in the daemon, from the daemon's own ports.
  public var isFromDaemon: Bool
  /// What was sent and what came, a line each.
  public var exchanges: [String]
  /// The hosts, addresses, users and numbers in the sentences above: what a report for others replaces.
  public var names: [String]

  public init(
    findings: [DoctorFinding], at: String, seconds: Double, isFromDaemon: Bool, exchanges: [String] = [],
    names: [String] = []
  ) {
    let results = findings.map(\.result)
    result = results.contains(.refuted) ? .refuted : results.contains(.unprovable) ? .unprovable : .proven
    self.findings = findings
    self.at = at
    self.seconds = seconds
    self.isFromDaemon = isFromDaemon
    self.exchanges = exchanges
    self.names = names
  }
}

/// How far a run of the doctor is, or how the last one ended.
public struct DoctorProgress: Sendable, Equatable, Codable {
  public var isRunning = false
  /// Since it began; how long it took where it is over.
  public var elapsedSeconds = 0.0
  /// Names, questions to STUN servers and providers, media ports and calls.
  public var asked = 0
  public var answered = 0
  /// The needs of which something may still be answered, in the order of the findings.
  public var waitingFor: [DoctorFinding.Need] = []
  /// What is known of all other needs.
  public var findings: [DoctorFinding] = []

  public init() {}

  /// For a display of one line: `1 s: 9 of 12 questions answered, waiting for media, fragments`.
  public var line: String {
    let waiting = waitingFor.map(\.rawValue).joined(separator: ", ")
    return "\(Int(elapsedSeconds)) s: \(answered) of \(asked) questions answered"
      + (waiting.isEmpty ? "" : ", waiting for \(waiting)")
  }
}
