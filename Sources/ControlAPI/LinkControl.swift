public import LinkManager

/// What the HTTP side asks of the running daemon. Every answer is a copy; nothing here blocks the link.
public protocol LinkControl: Sendable {
  func status() async -> ControlStatus
  /// Finished calls, newest first; `before` is a call's id or an RFC 3339 time.
  func history(limit: Int, before: String?) async -> [CallRecord]
  /// Newest first.
  func verdicts(limit: Int) async -> [Verdict]
  func metrics() async -> MetricsTable
  func hangUp(callID: String) async throws(ControlFailure)
  func setTrunk(_ name: String, enabled: Bool) async throws(ControlFailure)
  func registerTrunk(_ name: String) async throws(ControlFailure)
  /// Reads the configuration again. One with mistakes changes nothing: ``ControlFailure/invalid(_:)`` with all of them.
  func reload() async throws(ControlFailure)
  /// Asks from the daemon's own ports whether the link has what it needs; with `calls` each trunk calls its own number.
  /// ``ControlFailure/conflict(_:)`` while that is being done.
  func doctor(calls: Bool) async throws(ControlFailure) -> DoctorReport
  /// How far that is, or how it ended last.
  func doctorProgress() async -> DoctorProgress
  /// Lets a built-in phone dial `*43`; returns the id of the recording that is being made of what comes back. Only with
  /// the embedded default: ``ControlFailure/conflict(_:)`` otherwise.
  func startDemoCall() async throws(ControlFailure) -> String
  func demoRecording(_ id: String) async -> DemoRecording
  /// Cuts the line of the embedded default for some seconds; it comes back with another public address.
  /// ``ControlFailure/conflict(_:)`` without an embedded default, or where the line is down already.
  func cutDemoLine() async throws(ControlFailure)
  /// Newest first.
  func incidents() async -> [IncidentStatus]
  func incident(_ id: String) async -> IncidentDocument?
  /// What changes from now on. The stream ends when the daemon stops.
  func events() async -> AsyncStream<ControlEvent>
}

/// The document of `GET /api/v1/status`.
public struct ControlStatus: Sendable, Equatable, Codable {
  public var version: String
  public var uptimeSeconds: Double
  /// Whether this is the embedded default, with a provider of its own and a built-in phone.
  public var embeddedDefault: Bool
  public var uplinks: [UplinkStatus]
  public var trunks: [TrunkStatus]
  public var phones: [PhoneStatus]
  public var calls: [CallStatus]

  public init(version: String, uptimeSeconds: Double, embeddedDefault: Bool, link: LinkStatus) {
    self.version = version
    self.uptimeSeconds = uptimeSeconds
    self.embeddedDefault = embeddedDefault
    uplinks = link.uplinks
    trunks = link.trunks
    phones = link.phones
    calls = link.calls
  }

  /// The trunks that should be registered and are not, in their order.
  public var trunksNotReady: [String] {
    trunks.filter { trunk in
      switch trunk.state {
      case .registered, .static, .disabled: false
      case .starting, .unregistered, .rejected, .unreachable: true
      }
    }.map(\.name)
  }
}

/// How far the recording of a demo call is.
public enum DemoRecording: Sendable, Equatable {
  case unknown
  case running
  /// A WAV file.
  case finished([UInt8])
  /// One sentence.
  case failed(String)
}

/// Something that changed, as `GET /api/v1/events` tells it.
public enum ControlEvent: Sendable, Equatable {
  /// Event `status`: the whole document, after any change of an uplink, trunk, phone or call.
  case status(ControlStatus)
  /// Event `history`: a call ended.
  case callEnded(CallRecord)
  /// Event `verdict`.
  case verdict(Verdict)
}

/// Why something that was asked for did not happen; each carries one sentence.
public enum ControlFailure: Error, Sendable, Equatable {
  /// 404.
  case notFound(String)
  /// 409: it makes no sense in the present state.
  case conflict(String)
  /// 503.
  case unavailable(String)
  /// 422: the configuration has these mistakes.
  case invalid([String])
}
