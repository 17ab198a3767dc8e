/// What runs now, in the words of the HTTP API: property names are the JSON keys of the contract. Times are RFC 3339 text,
/// endpoints `{ip, port}`.
public struct LinkStatus: Sendable, Equatable, Codable {
  public var uplinks: [UplinkStatus] = []
  public var trunks: [TrunkStatus] = []
  public var phones: [PhoneStatus] = []
  public var calls: [CallStatus] = []

  public init() {}
}

public struct EndpointStatus: Sendable, Equatable, Codable {
  public var ip: String
  public var port: UInt16

  public init(ip: String, port: UInt16) {
    self.ip = ip
    self.port = port
  }
}

public struct UplinkStatus: Sendable, Equatable, Codable {
  public struct PreviousAddress: Sendable, Equatable, Codable {
    public var ip: String
    public var port: UInt16
    public var until: String
  }

  public struct PortMapping: Sendable, Equatable, Codable {
    public var `protocol`: String
    public var externalPort: UInt16?
    public var state: String

    public init(protocol: String, externalPort: UInt16?, state: String) {
      self.protocol = `protocol`
      self.externalPort = externalPort
      self.state = state
    }
  }

  public var name: String
  public var publicAddress: EndpointStatus?
  public var previousAddresses: [PreviousAddress] = []
  public var natType = "unknown"
  public var mapping = "notChecked"
  public var filtering = "notChecked"
  public var hairpin = "notChecked"
  public var bindingLifetimeSeconds: Double?
  public var portMapping: PortMapping?
  public var lastChangeAt: String?
  public var keepalives: UInt64 = 0
  /// What is wrong with this uplink, one sentence; `nil` when nothing is.
  public var lastError: ErrorStatus?

  public init(name: String) { self.name = name }
}

public struct ErrorStatus: Sendable, Equatable, Codable {
  public var code: String
  public var sentence: String

  public init(code: String, sentence: String) {
    self.code = code
    self.sentence = sentence
  }
}

public struct TrunkStatus: Sendable, Equatable, Codable {
  public enum State: String, Sendable, Codable, CaseIterable {
    case starting, registered, `static`, unregistered, rejected, unreachable, disabled
  }

  public var name: String
  public var state: State
  public var uplink: String?
  public var contact: String?
  public var registrar: String
  public var expiresAt: String?
  public var calls: Int
  public var lastError: ErrorStatus?

  public init(name: String, state: State, registrar: String, calls: Int = 0) {
    self.name = name
    self.state = state
    self.registrar = registrar
    self.calls = calls
  }
}

public struct PhoneStatus: Sendable, Equatable, Codable {
  public struct ContactStatus: Sendable, Equatable, Codable {
    public var address: String
    public var userAgent: String?
    public var expiresAt: String?
    public var lastSeenAt: String?

    public init(address: String, userAgent: String? = nil, expiresAt: String? = nil, lastSeenAt: String? = nil) {
      self.address = address
      self.userAgent = userAgent
      self.expiresAt = expiresAt
      self.lastSeenAt = lastSeenAt
    }
  }

  public var `extension`: String
  public var name: String
  public var contacts: [ContactStatus] = []

  public init(extension: String, name: String) {
    self.extension = `extension`
    self.name = name
  }
}

public struct CallStatus: Sendable, Equatable, Codable {
  public struct LegStatus: Sendable, Equatable, Codable {
    public var callID: String
    public var remote: String
    public var codec: String?
    public var srtp = false
    public var packetsIn: UInt64 = 0
    public var packetsOut: UInt64 = 0
    public var lostIn: UInt64 = 0
    public var jitterMs: Double = 0
    public var mos: Double?
    public var lastAudioGapMs: Double = 0

    public init(callID: String, remote: String) {
      self.callID = callID
      self.remote = remote
    }
  }

  public var id: String
  /// `inbound`, `outbound` or `internal`.
  public var direction: String
  public var from: String
  public var to: String
  public var trunk: String?
  /// `setup`, `ringing`, `answered` or `ending`.
  public var state: String
  public var startedAt: String
  public var answeredAt: String?
  public var legs: [LegStatus] = []

  public init(id: String, direction: String, from: String, to: String, state: String, startedAt: String) {
    self.id = id
    self.direction = direction
    self.from = from
    self.to = to
    self.state = state
    self.startedAt = startedAt
  }
}

/// One finished call, as it is stored and as `GET /api/v1/history` shows it.
public struct CallRecord: Sendable, Equatable, Codable {
  public var id: String
  public var direction: String
  public var from: String
  public var to: String
  public var trunk: String?
  public var startedAt: String
  public var answeredAt: String?
  public var endedAt: String
  /// `answered`, `cancelled`, `refused`, `failed`.
  public var result: String
  /// The SIP status that ended the set-up; `nil` when the call was answered.
  public var status: Int?
  /// Who hung up: `caller`, `callee` or `trunkline`.
  public var endedBy: String
  /// Why, as one sentence, where it was not an ordinary hang-up.
  public var sentence: String?

  public init(
    id: String, direction: String, from: String, to: String, trunk: String?, startedAt: String, answeredAt: String?,
    endedAt: String, result: String, status: Int?, endedBy: String, sentence: String?
  ) {
    self.id = id
    self.direction = direction
    self.from = from
    self.to = to
    self.trunk = trunk
    self.startedAt = startedAt
    self.answeredAt = answeredAt
    self.endedAt = endedAt
    self.result = result
    self.status = status
    self.endedBy = endedBy
    self.sentence = sentence
  }
}

/// What went wrong, for a person to act on.
public struct Verdict: Sendable, Equatable, Codable {
  public var at: String
  /// `trunk sipgate`, `uplink dsl`, `call 1f…`.
  public var subject: String
  public var callID: String?
  public var code: String
  public var sentence: String
  public var evidence: String
  public var nextStep: String

  public init(
    at: String, subject: String, callID: String? = nil, code: String, sentence: String, evidence: String,
    nextStep: String
  ) {
    self.at = at
    self.subject = subject
    self.callID = callID
    self.code = code
    self.sentence = sentence
    self.evidence = evidence
    self.nextStep = nextStep
  }
}
