import MediaRelay
import NetworkTypes
import OrderedCollections
import SIPDialog
import SIPSyntax
import SIPTransaction

/// A SIP user agent with its calls: what a provider's far ends and a telephone have in common. Registering, and deciding
/// who may call, is its owner's part.
struct UserAgent: Sendable {
  enum Timer: Hashable, Sendable {
    case ring(AgentCallID)
    case finish(AgentCallID)
    case hangUp(AgentCallID)
  }

  var configuration: AgentConfiguration
  var layer = TransactionLayer()
  var random: RandomSource
  var calls: OrderedDictionary<AgentCallID, AgentCall> = [:]
  var timers = TimerTable<Timer>()
  private var lastCall = 0
  private var portNumbers: MediaPortNumbers
  private var ledger: PortLedger
  private var mediaOwners: [MediaPortID: AgentCallID] = [:]
  /// Ports of calls that are over whose recording has not come yet.
  private var recordings: OrderedDictionary<MediaPortID, AgentCallID> = [:]
  private var clientOwners: [ClientTransactionID: (call: AgentCallID, method: SIPMethod)] = [:]
  private var serverOwners: [ServerTransactionID: AgentCallID] = [:]

  init(configuration: AgentConfiguration, random: RandomSource) {
    self.configuration = configuration
    self.random = random
    portNumbers = MediaPortNumbers(base: configuration.mediaBase)
    ledger = PortLedger(configuration.mediaPorts)
  }

  var nextDeadline: MonotonicInstant? { [timers.nextDeadline, layer.nextDeadline].compactMap { $0 }.min() }
  var callIDs: [AgentCallID] { Array(calls.keys) }
  /// Media ports in use, and transactions that are not over: zero some time after the last call. OPTIONS that come again
  /// and again are not counted.
  var portsInUse: Int { ledger.inUse }
  var transactionCount: Int { layer.clientCount + layer.serverCount - layer.recurringCount }

  // MARK: Inputs

  /// Calls that `isIgnored` is true of are dropped before a transaction of theirs would send 100.
  mutating func datagramReceived(
    _ bytes: Span<UInt8>, from source: Endpoint, now: MonotonicInstant, into notices: inout [AgentNotice],
    isIgnored: (SIPMessage) -> Bool
  ) {
    // RFC 5626 §3.5.1 keepalives, and whatever else no message is.
    guard bytes.count > 4 else { return }
    let message: SIPMessage
    do { message = try SIPMessage(parsing: bytes) } catch {
      return notices.append(.log("discarded a packet from \(source): \(error.reason)"))
    }
    if message.isRequest, message.method == .invite || message.method == .cancel, message.toTag == nil,
      isIgnored(message)
    {
      return
    }
    var events: [TransactionEvent] = []
    layer.messageReceived(
      message, path: SIPPath(socket: configuration.socket, remote: source), now: now, into: &events)
    handle(events, now: now, into: &notices)
  }

  mutating func timerFired(now: MonotonicInstant, into notices: inout [AgentNotice]) {
    var events: [TransactionEvent] = []
    layer.timerFired(now: now, into: &events)
    handle(events, now: now, into: &notices)
    while let timer = timers.popDue(now: now) {
      switch timer {
      case .ring(let id): ring(id, now: now, into: &notices)
      case .finish(let id): finish(id, now: now, into: &notices)
      case .hangUp(let id): hangUp(id, now: now, into: &notices)
      }
    }
  }

  mutating func mediaEventReceived(
    _ event: MediaEvent, now: MonotonicInstant, into notices: inout [AgentNotice]
  ) {
    switch event {
    case .opened(let port):
      guard let id = mediaOwners[port], calls[id]?.isMediaOpen == false else { return }
      calls[id]?.isMediaOpen = true
      mediaOpened(id, now: now, into: &notices)
    case .openFailed(let port, let reason):
      guard let id = mediaOwners.removeValue(forKey: port) else { return }
      notices.append(.log("media port refused: \(reason)"))
      openAnotherPort(id, now: now, into: &notices)
    case .recorded(let port, let samples):
      guard let id = recordings.removeValue(forKey: port) ?? mediaOwners[port] else { return }
      notices.append(.recorded(id, samples))
    case .mapped, .latched, .silent, .heard, .counted: break
    }
  }

  // MARK: Requests of the owner

  /// Sends a request that is the owner's, not a call's.
  mutating func send(
    _ request: SIPMessage, to remote: Endpoint, now: MonotonicInstant, into notices: inout [AgentNotice]
  ) -> ClientTransactionID {
    var events: [TransactionEvent] = []
    let id = layer.send(
      request, sentBy: configuration.sentBy, path: SIPPath(socket: configuration.socket, remote: remote), now: now,
      random: &random, into: &events)
    handle(events, now: now, into: &notices)
    return id
  }

  /// Responds to a request that the owner was handed.
  mutating func respond(
    _ id: ServerTransactionID, _ response: SIPMessage, now: MonotonicInstant, into notices: inout [AgentNotice]
  ) {
    var events: [TransactionEvent] = []
    layer.respond(id, response, now: now, into: &events)
    handle(events, now: now, into: &notices)
  }

  // MARK: Rows

  /// A row for a call, with a media port that is being opened; `nil` where we have no room.
  mutating func addCall(
    isIncoming: Bool, invite: SIPMessage, remoteNumber: String, localNumber: String, localTag: String, path: SIPPath,
    plan: AnswerPlan, into notices: inout [AgentNotice]
  ) -> AgentCallID? {
    guard calls.count < configuration.mostCalls, let port = ledger.take() else { return nil }
    lastCall += 1
    let id = AgentCallID(lastCall)
    let media = portNumbers.take()
    calls[id] = AgentCall(
      id: id, isIncoming: isIncoming, invite: invite, remoteNumber: remoteNumber, localNumber: localNumber,
      localTag: localTag, plan: plan, path: path, session: newSession(port), media: media, port: port)
    mediaOwners[media] = id
    notices.append(.media(.open(media, local: Endpoint(configuration.mediaBind, port: port), stun: nil)))
    return id
  }

  private mutating func newSession(_ port: UInt16) -> AgentSession {
    AgentSession(
      sessionID: random.next() >> 2, local: Endpoint(configuration.mediaAdvertised, port: port),
      codecs: configuration.codecs)
  }

  private mutating func openAnotherPort(
    _ id: AgentCallID, now: MonotonicInstant, into notices: inout [AgentNotice]
  ) {
    guard var call = calls[id] else { return }
    ledger.markUnusable(call.port)
    guard call.portsTried < 10, let port = ledger.take() else {
      call.port = 0
      calls[id] = call
      return end(id, .failed("no media port"), now: now, into: &notices)
    }
    call.portsTried += 1
    call.port = port
    call.media = portNumbers.take()
    call.session = newSession(port)
    calls[id] = call
    mediaOwners[call.media] = id
    notices.append(.media(.open(call.media, local: Endpoint(configuration.mediaBind, port: port), stun: nil)))
  }

  mutating func own(_ client: ClientTransactionID, _ call: AgentCallID, _ method: SIPMethod) {
    clientOwners[client] = (call, method)
  }

  mutating func own(_ server: ServerTransactionID, _ call: AgentCallID) { serverOwners[server] = call }

  /// The call that a server transaction belongs to.
  func owner(of server: ServerTransactionID) -> AgentCallID? { serverOwners[server] }

  /// Takes a call off the table: media and timers end, its owner is told. Whatever transactions still run end by themselves.
  mutating func end(
    _ id: AgentCallID, _ ending: CallEnding, now: MonotonicInstant, into notices: inout [AgentNotice]
  ) {
    guard let call = calls.removeValue(forKey: id) else { return }
    for timer in [Timer.ring(id), .finish(id), .hangUp(id)] { timers.cancel(timer) }
    mediaOwners.removeValue(forKey: call.media)
    if call.port != 0 {
      if call.plan.script.records, call.state == .answered {
        recordings[call.media] = id
        if recordings.count > 1000 { recordings.removeFirst() }
        notices.append(.media(.record(call.media, false)))
      }
      notices.append(.media(.close(call.media)))
      ledger.giveBack(call.port)
    }
    for server in [call.server, call.reinvite] { if let server { serverOwners.removeValue(forKey: server) } }
    notices.append(.ended(id, ending))
  }

  // MARK: What transactions tell

  mutating func handle(
    _ events: [TransactionEvent], now: MonotonicInstant, into notices: inout [AgentNotice]
  ) {
    for event in events {
      switch event {
      case .send(let bytes, let path): notices.append(.send(bytes, socket: path.socket, to: path.remote))
      case .requestReceived(let id, let request, let path):
        requestReceived(id, request, path, now: now, into: &notices)
      case .cancelReceived(let id, _): cancelReceived(id, now: now, into: &notices)
      case .acknowledged(let id, let ack): acknowledged(id, ack, now: now, into: &notices)
      case .unacknowledged(let id):
        guard let call = serverOwners[id] else { break }
        hangUp(call, now: now, into: &notices, ending: .failed("no ACK came"))
      case .responseReceived(let id, let response, let path):
        guard let (call, method) = clientOwners[id] else {
          notices.append(.response(id, response))
          break
        }
        if response.status >= 200 && method != .invite { clientOwners.removeValue(forKey: id) }
        guard method == .invite else { break }
        if calls[call]?.pendingReinvite?.client == id {
          reinviteAnswered(call, id, response, path, now: now, into: &notices)
        } else {
          inviteAnswered(call, id, response, path, now: now, into: &notices)
        }
      case .timedOut(let id):
        guard let (call, method) = clientOwners.removeValue(forKey: id) else {
          notices.append(.timedOut(id))
          break
        }
        if calls[call]?.pendingReinvite?.client == id {
          hangUp(call, now: now, into: &notices, ending: .failed("a re-INVITE went unanswered"))
        } else if method == .invite {
          end(call, calls[call]?.state == .cancelling ? .byUs : .refused(408), now: now, into: &notices)
        }
      case .strayResponse, .discarded: break
      }
    }
  }

  /// Nothing further of a call's INVITE is wanted.
  mutating func disown(_ client: ClientTransactionID) { clientOwners.removeValue(forKey: client) }
}
