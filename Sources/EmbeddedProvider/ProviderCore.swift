import CallControl
public import MediaRelay
public import NetworkTypes
import OrderedCollections
import SDP
import SIPSyntax
import SIPTransaction

public typealias ProviderAction = AgentAction<ProviderEvent>

/// What happened at a provider.
public enum ProviderEvent: Sendable, Equatable {
  /// A REGISTER came in, before anything was decided about it.
  case registerReceived(username: String, from: Endpoint)
  /// `contact` as it will be called, and for how many seconds.
  case registered(username: String, contact: String, from: Endpoint, expires: Int)
  case unregistered(username: String)
  /// A REGISTER was refused with this status, other than by a first challenge.
  case registrationRefused(username: String, status: Int)
  /// A call began. `isInbound`: it came from an account to us; else we call an account.
  case called(AgentCallID, number: String, caller: String, isInbound: Bool)
  case ringing(AgentCallID)
  case answered(AgentCallID)
  case ended(AgentCallID, CallEnding)
  /// What our end of the call heard, 16-bit samples at 8 kHz.
  case recorded(AgentCallID, samples: [Int16])
}

/// A provider with its far ends, as one value: registrar, digest, calls out to numbers and in from numbers. Embedded
/// default, demo, simulator and tests all run this one; what differs is ``ProviderQuirks``.
public struct ProviderCore: Sendable {
  public private(set) var configuration: ProviderConfiguration
  private var agent: UserAgent
  private var registrar: ProviderRegistrar
  /// Calls of one customer to another: the one that we took, and the one that we made for it.
  private var joined: [(taken: AgentCallID, placed: AgentCallID)] = []

  public init(configuration: ProviderConfiguration, random: RandomSource) {
    self.configuration = configuration
    var random = random
    registrar = ProviderRegistrar(configuration: configuration, random: &random)
    agent = UserAgent(configuration: configuration.agent, random: random)
  }

  /// When ``timerFired(now:into:)`` is due; `nil` while nothing is.
  public var nextDeadline: MonotonicInstant? { agent.nextDeadline }

  // MARK: Inputs

  public mutating func start(now: MonotonicInstant, into actions: inout [ProviderAction]) {
    actions.append(.openSocket(configuration.socket, configuration.bind))
  }

  public mutating func datagramReceived(
    _ bytes: Span<UInt8>, from source: Endpoint, on socket: Int, now: MonotonicInstant,
    into actions: inout [ProviderAction]
  ) {
    var notices: [AgentNotice] = []
    let farEnds = configuration.farEnds
    agent.datagramReceived(bytes, from: source, now: now, into: &notices) { invite in
      let number = (try? invite.requestURI())?.user ?? ""
      return farEnds.first { $0.number.matches(number) }?.plan.outcome == .ignore
    }
    handle(notices, now: now, into: &actions)
  }

  public mutating func mediaEventReceived(
    _ event: MediaEvent, now: MonotonicInstant, into actions: inout [ProviderAction]
  ) {
    var notices: [AgentNotice] = []
    agent.mediaEventReceived(event, now: now, into: &notices)
    handle(notices, now: now, into: &actions)
  }

  public mutating func timerFired(now: MonotonicInstant, into actions: inout [ProviderAction]) {
    var notices: [AgentNotice] = []
    agent.timerFired(now: now, into: &notices)
    handle(notices, now: now, into: &actions)
  }

  // MARK: Commands

  /// Calls the account that `number` belongs to, from `caller` out in the world. `nil` where no account has the number,
  /// or none of its contacts is registered.
  public mutating func placeCall(
    to number: String, from caller: String, script: CallScript, now: MonotonicInstant,
    into actions: inout [ProviderAction]
  ) -> AgentCallID? {
    guard let account = registrar.account(number: number),
      let binding = registrar.bindings(of: account.username, now: now).first
    else { return nil }
    var target = binding.uri
    if configuration.quirks.numberInRequestURI { target.user = number }
    let remote: Endpoint
    if configuration.quirks.latching {
      remote = binding.path.remote
    } else if let address = binding.uri.address {
      remote = Endpoint(address, port: binding.uri.port ?? 5060)
    } else {
      return nil
    }
    var notices: [AgentNotice] = []
    let id = agent.placeCall(
      target: target, from: NameAddress(uri: SIPURI(user: caller, host: configuration.domain)),
      to: NameAddress(uri: SIPURI(user: number, host: configuration.domain)),
      path: SIPPath(socket: configuration.socket, remote: remote), script: script, digest: nil, now: now,
      into: &notices)
    if let id { actions.append(.event(.called(id, number: number, caller: caller, isInbound: false))) }
    handle(notices, now: now, into: &actions)
    return id
  }

  public mutating func hangUp(_ id: AgentCallID, now: MonotonicInstant, into actions: inout [ProviderAction]) {
    var notices: [AgentNotice] = []
    agent.hangUp(id, now: now, into: &notices)
    handle(notices, now: now, into: &actions)
  }

  /// Holds the account's side of a call that is up, or takes it back, as the far end would.
  public mutating func setHold(
    _ id: AgentCallID, _ isHeld: Bool, now: MonotonicInstant, into actions: inout [ProviderAction]
  ) {
    var notices: [AgentNotice] = []
    agent.reinvite(id, direction: isHeld ? .sendonly : .sendrecv, now: now, into: &notices)
    handle(notices, now: now, into: &actions)
  }

  /// Changes what the provider does from now on; accounts, quirks of registration and far ends. Media and signalling
  /// ports stay as they are.
  public mutating func reconfigure(_ body: (inout ProviderConfiguration) -> Void) {
    body(&configuration)
    registrar.configuration = configuration
  }

  // MARK: Looking in

  /// The contacts that an account has now, as they will be called, newest first.
  public func contacts(of username: String, now: MonotonicInstant) -> [String] {
    registrar.bindings(of: username, now: now).map { "\($0.uri)" }
  }

  /// The calls that are up or being set up.
  public var callIDs: [AgentCallID] { agent.callIDs }
  public var mediaPortsInUse: Int { agent.portsInUse }
  /// Transactions that are not over: zero 32 s after the last packet.
  public var transactionCount: Int { agent.transactionCount }

  // MARK: What the user agent tells

  private mutating func handle(
    _ notices: [AgentNotice], now: MonotonicInstant, into actions: inout [ProviderAction]
  ) {
    for notice in notices {
      switch notice {
      case .send(let bytes, let socket, let remote): actions.append(.send(bytes, socket: socket, to: remote))
      case .media(let command): actions.append(.media(command))
      case .log(let text): actions.append(.log(text))
      case .request(let id, let request, let path):
        requestReceived(id, request, path, now: now, into: &actions)
      case .response, .timedOut: break
      case .ringing(let id): actions.append(.event(.ringing(id)))
      case .answered(let id):
        actions.append(.event(.answered(id)))
        joinedAnswered(id, now: now, into: &actions)
      case .ended(let id, let ending):
        actions.append(.event(.ended(id, ending)))
        joinedEnded(id, now: now, into: &actions)
      case .recorded(let id, let samples): actions.append(.event(.recorded(id, samples: samples)))
      }
    }
  }

  private mutating func requestReceived(
    _ id: ServerTransactionID, _ request: SIPMessage, _ path: SIPPath, now: MonotonicInstant,
    into actions: inout [ProviderAction]
  ) {
    let response: SIPMessage?
    switch request.method {
    case .register:
      var events: [ProviderEvent] = []
      response = registrar.register(request, path: path, now: now, into: &events)
      actions += events.map { .event($0) }
    case .invite where request.toTag != nil:
      guard let answer = offerAnswer(request, path, now: now) else {
        var notices: [AgentNotice] = []
        agent.takeOffer(id, request, now: now, into: &notices)
        return handle(notices, now: now, into: &actions)
      }
      response = answer.status < 200 ? nil : answer
    case .invite:
      switch registrar.authenticate(request, path: path, now: now) {
      case .answer(let refusal): response = refusal
      case .ignore: response = nil
      case .account(let account) where !mayCall(account, request):
        response = SIPMessage(responding: request, status: 403)
      case .account:
        inviteReceived(id, request, path, now: now, into: &actions)
        return
      }
    case .options:
      let status = request.toTag == nil ? 200 : configuration.quirks.optionsInCalls
      if configuration.quirks.ignoresOptions || status == 0 { return }
      var options = SIPMessage(responding: request, status: status)
      options.set(.allow, "INVITE, ACK, CANCEL, BYE, OPTIONS, UPDATE, INFO")
      response = options
    case .info, .notify, .message: response = SIPMessage(responding: request, status: 200)
    default: response = SIPMessage(responding: request, status: 405)
    }
    guard var response else { return }
    if let clock = configuration.clock {
      response.set(.date, WallTime(nanoseconds: clock.nanoseconds &+ now.nanoseconds).sipDate)
    }
    var notices: [AgentNotice] = []
    agent.respond(id, response, now: now, into: &notices)
    handle(notices, now: now, into: &actions)
  }

  /// Whether the number that a call says it comes from is the account's.
  private func mayCall(_ account: ProviderAccount, _ invite: SIPMessage) -> Bool {
    guard configuration.quirks.refusesForeignCallers, let caller = (try? invite.from())?.uri.user else { return true }
    return caller == account.username || account.numbers.contains { $0.matches(caller) }
  }

  /// What a re-INVITE is answered with by a quirk, 100 standing for silence; `nil` where it is let in.
  private mutating func offerAnswer(
    _ request: SIPMessage, _ path: SIPPath, now: MonotonicInstant
  ) -> SIPMessage? {
    let quirks = configuration.quirks
    if quirks.knowsRegisteredOnly, !registrar.isRegistered(from: path, now: now) {
      return SIPMessage(responding: request, status: 403)
    }
    if quirks.challengesReinvites, case .answer(let challenge) = registrar.authenticate(request, path: path, now: now) {
      return challenge
    }
    guard let status = quirks.reinviteAnswers.first else { return nil }
    configuration.quirks.reinviteAnswers.removeFirst()
    return SIPMessage(responding: request, status: status)
  }

  private mutating func inviteReceived(
    _ id: ServerTransactionID, _ invite: SIPMessage, _ path: SIPPath, now: MonotonicInstant,
    into actions: inout [ProviderAction]
  ) {
    let number = (try? invite.requestURI())?.user ?? ""
    let caller = (try? invite.from())?.uri.user ?? ""
    var notices: [AgentNotice] = []
    if let plan = configuration.farEnds.first(where: { $0.number.matches(number) })?.plan {
      if let call = agent.takeCall(id, invite, path, plan: plan, now: now, into: &notices) {
        actions.append(.event(.called(call, number: number, caller: caller, isInbound: true)))
      }
    } else if configuration.quirks.connectsCustomers, registrar.account(number: number) != nil {
      return connect(id, invite, path, number, caller, now: now, into: &actions)
    } else {
      agent.respond(id, SIPMessage(responding: invite, status: 404), now: now, into: &notices)
    }
    handle(notices, now: now, into: &actions)
  }

  // MARK: From customer to customer

  private mutating func connect(
    _ id: ServerTransactionID, _ invite: SIPMessage, _ path: SIPPath, _ number: String, _ caller: String,
    now: MonotonicInstant, into actions: inout [ProviderAction]
  ) {
    var notices: [AgentNotice] = []
    // Until the two are joined each hears itself.
    let script = CallScript(sound: .echo)
    let taken = agent.takeCall(id, invite, path, plan: AnswerPlan(.never, script: script), now: now, into: &notices)
    handle(notices, now: now, into: &actions)
    guard let taken else { return }
    if let placed = placeCall(to: number, from: caller, script: script, now: now, into: &actions) {
      joined.append((taken, placed))
    } else {
      notices = []
      agent.refuse(taken, 480, now: now, into: &notices)
      handle(notices, now: now, into: &actions)
    }
  }

  private mutating func joinedAnswered(
    _ id: AgentCallID, now: MonotonicInstant, into actions: inout [ProviderAction]
  ) {
    guard let pair = joined.first(where: { $0.taken == id || $0.placed == id }) else { return }
    if pair.placed == id {
      var notices: [AgentNotice] = []
      agent.finish(pair.taken, now: now, into: &notices)
      handle(notices, now: now, into: &actions)
    } else if let taken = agent.calls[pair.taken]?.media, let placed = agent.calls[pair.placed]?.media {
      actions.append(.media(.couple(taken, placed)))
    }
  }

  private mutating func joinedEnded(_ id: AgentCallID, now: MonotonicInstant, into actions: inout [ProviderAction]) {
    guard let place = joined.firstIndex(where: { $0.taken == id || $0.placed == id }) else { return }
    let pair = joined.remove(at: place)
    hangUp(pair.taken == id ? pair.placed : pair.taken, now: now, into: &actions)
  }
}
