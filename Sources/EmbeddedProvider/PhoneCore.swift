public import MediaRelay
public import NetworkTypes
import SDP
import SIPDialog
import SIPSyntax
import SIPTransaction

public typealias PhoneAction = AgentAction<PhoneEvent>

/// What happened at a telephone.
public enum PhoneEvent: Sendable, Equatable {
  case registered(expires: Duration)
  /// In the words of the registration: a code and a sentence.
  case registrationFailed(code: String, sentence: String)
  case unregistered
  /// A call began; `isInbound`: someone calls us.
  case called(AgentCallID, number: String, isInbound: Bool)
  case ringing(AgentCallID)
  case answered(AgentCallID)
  case ended(AgentCallID, CallEnding)
  /// What we heard, 16-bit samples at 8 kHz.
  case recorded(AgentCallID, samples: [Int16])
}

/// Everything a ``PhoneCore`` needs to know.
public struct PhoneProfile: Sendable {
  public var bind: Endpoint
  /// What it calls itself in Via, Contact and SDP; `nil` where that is `bind`.
  public var advertised: Endpoint?
  /// Where it registers and calls.
  public var registrar: Endpoint
  /// The host of its address of record.
  public var domain: String
  public var username: String
  public var password: Redacted<String>?
  /// Without it the phone calls and is called, but never registers.
  public var registers = true
  public var expires: Duration = .seconds(300)
  /// What it does with calls that come in.
  public var incoming = AnswerPlan(.answer(after: .seconds(2)))
  public var mediaPorts: ClosedRange<UInt16> = 30000...30099
  /// The number of its first media port: a million belong to it.
  public var mediaBase: UInt32 = 2_000_000
  /// The number of its socket, as its driver knows it.
  public var socket = 0
  /// What it answers to OPTIONS.
  public var optionsStatus = 200
  /// What it offers, by payload type, though it only speaks G.711; `nil` stands for that and telephone events.
  public var codecs: [(UInt8, String)]?

  public init(
    bind: Endpoint, registrar: Endpoint, domain: String, username: String, password: Redacted<String>? = nil
  ) {
    self.bind = bind
    self.registrar = registrar
    self.domain = domain
    self.username = username
    self.password = password
  }

  var agent: AgentConfiguration {
    let advertised = advertised ?? bind
    return AgentConfiguration(
      socket: socket, bind: bind, advertised: advertised, mediaBind: bind.address,
      mediaAdvertised: advertised.address, mediaPorts: mediaPorts, mediaBase: mediaBase, latchesMedia: true,
      followsSource: false, userAgent: "Trunkline phone", codecs: codecs)
  }
}

/// A telephone that does as it is told: it registers, dials, answers, plays, records and hangs up. The built-in phone of
/// the dashboard, and the phones of the simulator.
public struct PhoneCore: Sendable {
  public private(set) var profile: PhoneProfile
  public private(set) var isRegistered = false
  private var agent: UserAgent
  private var registration: Registration?
  private var registerTransaction: ClientTransactionID?

  public init(profile: PhoneProfile, random: RandomSource) {
    self.profile = profile
    var random = random
    if profile.registers {
      registration = Registration(
        RegistrationConfiguration(
          aor: SIPURI(user: profile.username, host: profile.domain), registrar: SIPURI(user: nil, host: profile.domain),
          username: profile.username, password: profile.password, realm: nil, expires: profile.expires,
          userAgent: "Trunkline phone"), random: &random)
    }
    agent = UserAgent(configuration: profile.agent, random: random)
  }

  public var nextDeadline: MonotonicInstant? {
    [agent.nextDeadline, registration?.nextDeadline].compactMap { $0 }.min()
  }

  // MARK: Inputs

  public mutating func start(now: MonotonicInstant, into actions: inout [PhoneAction]) {
    actions.append(.openSocket(profile.socket, profile.bind))
    let local = profile.agent.advertised
    let contact = SIPURI(user: profile.username, host: local.address.description, port: local.port)
    register(now: now, into: &actions) { $0.start(contact: contact, now: $1, random: &$2, into: &$3) }
  }

  public mutating func datagramReceived(
    _ bytes: Span<UInt8>, from source: Endpoint, on socket: Int, now: MonotonicInstant,
    into actions: inout [PhoneAction]
  ) {
    var notices: [AgentNotice] = []
    let outcome = profile.incoming.outcome
    agent.datagramReceived(bytes, from: source, now: now, into: &notices) { _ in outcome == .ignore }
    handle(notices, now: now, into: &actions)
  }

  public mutating func mediaEventReceived(
    _ event: MediaEvent, now: MonotonicInstant, into actions: inout [PhoneAction]
  ) {
    var notices: [AgentNotice] = []
    agent.mediaEventReceived(event, now: now, into: &notices)
    handle(notices, now: now, into: &actions)
  }

  public mutating func timerFired(now: MonotonicInstant, into actions: inout [PhoneAction]) {
    var notices: [AgentNotice] = []
    agent.timerFired(now: now, into: &notices)
    handle(notices, now: now, into: &actions)
    if let deadline = registration?.nextDeadline, deadline <= now {
      register(now: now, into: &actions) { $0.timerFired(now: $1, random: &$2, into: &$3) }
    }
  }

  // MARK: Commands

  /// Calls a number; `nil` where no line is left.
  public mutating func dial(
    _ number: String, script: CallScript, now: MonotonicInstant, into actions: inout [PhoneAction]
  ) -> AgentCallID? {
    var notices: [AgentNotice] = []
    let target = SIPURI(user: number, host: profile.domain)
    let id = agent.placeCall(
      target: target, from: NameAddress(uri: SIPURI(user: profile.username, host: profile.domain)),
      to: NameAddress(uri: target), path: SIPPath(socket: profile.socket, remote: profile.registrar), script: script,
      digest: DigestSession(username: profile.username, password: profile.password), now: now,
      into: &notices)
    if let id { actions.append(.event(.called(id, number: number, isInbound: false))) }
    handle(notices, now: now, into: &actions)
    return id
  }

  /// Ends a call, answered or not.
  public mutating func hangUp(_ id: AgentCallID, now: MonotonicInstant, into actions: inout [PhoneAction]) {
    var notices: [AgentNotice] = []
    agent.hangUp(id, now: now, into: &notices)
    handle(notices, now: now, into: &actions)
  }

  /// Holds the other side of a call that is up, or takes it back.
  public mutating func setHold(
    _ id: AgentCallID, _ isHeld: Bool, now: MonotonicInstant, into actions: inout [PhoneAction]
  ) {
    var notices: [AgentNotice] = []
    agent.reinvite(id, direction: isHeld ? .sendonly : .sendrecv, now: now, into: &notices)
    handle(notices, now: now, into: &actions)
  }

  /// What is done with calls from now on.
  public mutating func setIncoming(_ plan: AnswerPlan) { profile.incoming = plan }

  /// What is offered from now on; `nil` stands for G.711 and telephone events.
  public mutating func setCodecs(_ codecs: [(UInt8, String)]?) {
    profile.codecs = codecs
    agent.configuration.codecs = codecs
  }

  /// Removes the registration.
  public mutating func unregister(now: MonotonicInstant, into actions: inout [PhoneAction]) {
    register(now: now, into: &actions) { $0.stop(now: $1, random: &$2, into: &$3) }
  }

  // MARK: Looking in

  public var callIDs: [AgentCallID] { agent.callIDs }
  public var mediaPortsInUse: Int { agent.portsInUse }
  public var transactionCount: Int { agent.transactionCount }

  // MARK: Registration

  private mutating func register(
    now: MonotonicInstant, into actions: inout [PhoneAction],
    _ body: (inout Registration, MonotonicInstant, inout RandomSource, inout [RegistrationAction]) -> Void
  ) {
    guard var current = registration else { return }
    var wanted: [RegistrationAction] = []
    body(&current, now, &agent.random, &wanted)
    registration = current
    for action in wanted {
      switch action {
      case .send(let request):
        var notices: [AgentNotice] = []
        registerTransaction = agent.send(request, to: profile.registrar, now: now, into: &notices)
        handle(notices, now: now, into: &actions)
      case .registered(let expires, _):
        isRegistered = true
        actions.append(.event(.registered(expires: expires)))
      case .failed(let code, let sentence, _):
        isRegistered = false
        actions.append(.event(.registrationFailed(code: code, sentence: sentence)))
      case .removed:
        isRegistered = false
        actions.append(.event(.unregistered))
      case .stateChanged: break
      }
    }
  }

  // MARK: What the user agent tells

  private mutating func handle(_ notices: [AgentNotice], now: MonotonicInstant, into actions: inout [PhoneAction]) {
    for notice in notices {
      switch notice {
      case .send(let bytes, let socket, let remote): actions.append(.send(bytes, socket: socket, to: remote))
      case .media(let command): actions.append(.media(command))
      case .log(let text): actions.append(.log(text))
      case .request(let id, let request, let path):
        requestReceived(id, request, path, now: now, into: &actions)
      case .response(let id, let response):
        guard id == registerTransaction else { break }
        register(now: now, into: &actions) { $0.responseReceived(response, now: $1, random: &$2, into: &$3) }
      case .timedOut(let id):
        guard id == registerTransaction else { break }
        register(now: now, into: &actions) { $0.requestTimedOut(now: $1, random: &$2, into: &$3) }
      case .ringing(let id): actions.append(.event(.ringing(id)))
      case .answered(let id): actions.append(.event(.answered(id)))
      case .ended(let id, let ending): actions.append(.event(.ended(id, ending)))
      case .recorded(let id, let samples): actions.append(.event(.recorded(id, samples: samples)))
      }
    }
  }

  private mutating func requestReceived(
    _ id: ServerTransactionID, _ request: SIPMessage, _ path: SIPPath, now: MonotonicInstant,
    into actions: inout [PhoneAction]
  ) {
    var notices: [AgentNotice] = []
    switch request.method {
    case .invite:
      let caller = (try? request.from())?.uri.user ?? ""
      if let call = agent.takeCall(id, request, path, plan: profile.incoming, now: now, into: &notices) {
        actions.append(.event(.called(call, number: caller, isInbound: true)))
      }
    case .options:
      agent.respond(id, SIPMessage(responding: request, status: profile.optionsStatus), now: now, into: &notices)
    case .info, .notify, .message:
      agent.respond(id, SIPMessage(responding: request, status: 200), now: now, into: &notices)
    default: agent.respond(id, SIPMessage(responding: request, status: 405), now: now, into: &notices)
    }
    handle(notices, now: now, into: &actions)
  }
}
