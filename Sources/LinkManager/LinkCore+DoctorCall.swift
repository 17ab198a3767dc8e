import CallControl
import EmbeddedProvider
import MediaRelay
import NATDiscovery
import NetworkTypes
import OrderedCollections
import SDP
import SIPSyntax
import SIPTransaction

/// A trunk that calls its own number: out to the provider, in again, and both ends are one telephone within the link.
struct DoctorCall: Sendable {
  enum Stage: Sendable, Equatable {
    /// The trunk is not registered yet.
    case waiting
    case dialling
    case talking
    /// Hung up; what was heard is still to come.
    case ending
    case over
  }

  static let callerTone = 600
  static let calleeTone = 1000
  static let registering = Duration.seconds(10)
  static let setUp = Duration.seconds(15)
  static let talk = Duration.seconds(3)
  static let farewell = Duration.seconds(3)
  /// From the beginning of the run on: whoever waits for the report does not wait for ever.
  static let lastBegin = Duration.seconds(40)

  /// The place in the run's `trunks`.
  let trunk: Int
  let number: String
  var stage = Stage.waiting
  var deadline: MonotonicInstant
  var phone: PhoneCore?
  var outgoing: AgentCallID?
  var incoming: AgentCallID?
  var isAnswered = false
  /// How the call out ended before it was answered.
  var refusal: CallEnding?
  /// Why it was not even tried.
  var obstacle: String?
  /// Seconds of the caller's tone at the callee's end, and of the callee's at the caller's.
  var heardThere: Double?
  var heardHere: Double?
  /// RTP packets that came in from the provider on the call that went out, and on the one that came in.
  var packetsOfOutgoing: UInt64 = 0
  var packetsOfIncoming: UInt64 = 0
  /// Whether the router turns packets round (RFC 4787 §6), where the provider lets both ends send to each other.
  var hairpin: NATFinding?
  /// The telephone's ports that are open.
  var mediaPorts: [MediaPortID] = []

  var nextDeadline: MonotonicInstant? {
    stage == .over ? nil : [deadline, phone?.nextDeadline].compactMap { $0 }.min()
  }
}

/// The telephone speaks to the link by a socket that is none: what the link sends there is put into an inbox, and read when
/// the link is done with what it does. Everything else is as in any call.
extension LinkCore {
  /// Where the link's side of that socket and the telephone are; nothing is ever bound there.
  private static let doctorHere = Endpoint(.loopbackV4, port: 1)
  private static let doctorThere = Endpoint(.loopbackV4, port: 2)
  private static let mostInbox = 64

  /// What the link sends to the telephone.
  mutating func sendToDoctor(_ bytes: [UInt8], now: MonotonicInstant) {
    guard doctor != nil, doctorInbox.count < Self.mostInbox else { return }
    doctorInbox.append(bytes)
    timers.set(.doctor, at: now)
  }

  mutating func advanceDoctorCalls(now: MonotonicInstant, into actions: inout [LinkAction]) {
    guard let run = doctor else { return }
    if run.calls.allSatisfy({ $0.stage == .over }), let next = run.waitingCalls.first, isReadyToCall(run, now: now) {
      doctor?.waitingCalls.removeFirst()
      beginCall(next, now: now, into: &actions)
    }
    for _ in 0..<Self.mostInbox where !doctorInbox.isEmpty {
      let bytes = doctorInbox.removeFirst()
      withPhone(now: now, into: &actions) {
        $0.datagramReceived(bytes.span, from: Self.doctorHere, on: 0, now: $1, into: &$2)
      }
    }
    if let deadline = doctor?.calls.last?.phone?.nextDeadline, deadline <= now {
      withPhone(now: now, into: &actions) { $0.timerFired(now: $1, into: &$2) }
    }
    moveCallOn(now: now, into: &actions)
  }

  /// The other questions are answered, so that the call's packets are not among theirs.
  private func isReadyToCall(_ run: DoctorRun, now: MonotonicInstant) -> Bool {
    now - run.startedAt >= DoctorRun.limit || run.waitingFor(now: now).allSatisfy { $0 == .call }
  }

  private mutating func beginCall(_ place: Int, now: MonotonicInstant, into actions: inout [LinkAction]) {
    guard let trunk = doctor?.trunks[place] else { return }
    var call = DoctorCall(trunk: place, number: trunk.number ?? "", deadline: now + DoctorCall.registering)
    doctor?.name(trunk.number)
    let most = trunks[trunk.index].configuration.maxCalls ?? .max
    if trunk.number == nil {
      call.obstacle = "The trunk has no number of its own in `numbers`."
    } else if most < 2 + callCount(trunk: trunk.index) {
      call.obstacle = "maxCalls of the trunk leaves no room for a call out and in again."
    } else if now - (doctor?.startedAt ?? now) > DoctorCall.lastBegin {
      call.obstacle = "The calls of other trunks have left no time for it."
    } else if !trunks[trunk.index].configuration.enabled {
      call.obstacle = "The trunk is switched off."
    }
    if call.obstacle != nil { call.stage = .over }
    doctor?.calls.append(call)
  }

  private mutating func moveCallOn(now: MonotonicInstant, into actions: inout [LinkAction]) {
    guard let place = doctor?.calls.indices.last, let call = doctor?.calls[place],
      let trunk = doctor?.trunks[call.trunk]
    else { return }
    let isDue = call.deadline <= now
    switch call.stage {
    case .over: break
    case .waiting:
      if trunks[trunk.index].isUsable {
        dial(place, now: now, into: &actions)
      } else if isDue {
        doctor?.calls[place].obstacle = "The trunk is not registered."
        doctor?.calls[place].stage = .over
      }
    case .dialling:
      if call.isAnswered, call.incoming != nil {
        doctor?.calls[place].stage = .talking
        doctor?.calls[place].deadline = now + DoctorCall.talk
      } else if call.refusal != nil {
        doctor?.calls[place].stage = .over
      } else if isDue {
        hangUpDoctor(place, now: now, into: &actions)
      }
    case .talking: if isDue { hangUpDoctor(place, now: now, into: &actions) }
    case .ending:
      if isDue || call.heardHere != nil && call.heardThere != nil { doctor?.calls[place].stage = .over }
    }
  }

  private mutating func dial(_ place: Int, now: MonotonicInstant, into actions: inout [LinkAction]) {
    guard let call = doctor?.calls[place] else { return }
    let socket: Int
    if let known = doctorSocket {
      socket = known
    } else {
      socket = sockets.count
      doctorSocket = socket
      sockets.append(SocketState(id: LinkSocket(socket), side: .lan, configured: Self.doctorHere))
    }
    sockets[socket].local = Self.doctorHere
    var profile = PhoneProfile(
      bind: Self.doctorThere, registrar: Self.doctorHere, domain: configuration.lan.domain, username: "doctor")
    profile.registers = false
    profile.mediaPorts = 31000...31039
    profile.mediaBase = Self.doctorMedia
    profile.incoming = AnswerPlan(
      .answer(after: .milliseconds(300)), script: CallScript(sound: .tone(hertz: DoctorCall.calleeTone), records: true))
    doctor?.calls[place].phone = PhoneCore(profile: profile, random: RandomSource(seed: random.next()))
    doctor?.calls[place].stage = .dialling
    doctor?.calls[place].deadline = now + DoctorCall.setUp
    doctor?.note("INVITE to the own number", now: now)
    withPhone(now: now, into: &actions) { phone, now, actions in
      _ = phone.dial(
        call.number, script: CallScript(sound: .tone(hertz: DoctorCall.callerTone), records: true), now: now,
        into: &actions)
    }
  }

  /// The first media port number of the telephone; others begin at one, two and three million.
  static let doctorMedia: UInt32 = 4_000_000

  mutating func doctorCallReceived(
    _ event: MediaEvent, now: MonotonicInstant, into actions: inout [LinkAction]
  ) -> Bool {
    guard event.port.rawValue >= Self.doctorMedia else { return false }
    withPhone(now: now, into: &actions) { $0.mediaEventReceived(event, now: $1, into: &$2) }
    if doctor != nil { timers.set(.doctor, at: now) }
    return true
  }

  private mutating func withPhone(
    now: MonotonicInstant, into actions: inout [LinkAction],
    _ body: (inout PhoneCore, MonotonicInstant, inout [PhoneAction]) -> Void
  ) {
    guard let place = doctor?.calls.indices.last, var phone = doctor?.calls[place].phone else { return }
    var wanted: [PhoneAction] = []
    body(&phone, now, &wanted)
    doctor?.calls[place].phone = phone
    for action in wanted {
      switch action {
      case .openSocket, .log: break
      case .send(let bytes, _, _):
        guard let socket = doctorSocket else { break }
        signallingReceived(
          bytes.span, SIPPath(socket: socket, remote: Self.doctorThere), now: now, into: &actions)
      case .media(let command):
        if case .open(let port, _, _) = command { doctor?.calls[place].mediaPorts.append(port) }
        if case .close(let port) = command { doctor?.calls[place].mediaPorts.removeAll { $0 == port } }
        actions.append(.media(command))
      case .event(let event): phoneTold(event, place, now: now)
      }
    }
  }

  private mutating func phoneTold(_ event: PhoneEvent, _ place: Int, now: MonotonicInstant) {
    guard let call = doctor?.calls[place] else { return }
    switch event {
    case .called(let id, _, let isInbound):
      if isInbound { doctor?.calls[place].incoming = id } else { doctor?.calls[place].outgoing = id }
    case .answered(let id): if id == call.outgoing { doctor?.calls[place].isAnswered = true }
    case .ended(let id, let ending):
      if id == call.outgoing, call.stage == .dialling { doctor?.calls[place].refusal = ending }
      // Somebody else hung up.
      if call.stage == .talking { doctor?.calls[place].deadline = now }
    case .recorded(let id, let samples):
      if id == call.outgoing {
        doctor?.calls[place].heardHere = ToneMeter(hertz: Double(DoctorCall.calleeTone)).seconds(in: samples)
      } else if id == call.incoming {
        doctor?.calls[place].heardThere = ToneMeter(hertz: Double(DoctorCall.callerTone)).seconds(in: samples)
      }
    case .registered, .registrationFailed, .unregistered, .ringing: break
    }
  }

  private mutating func hangUpDoctor(_ place: Int, now: MonotonicInstant, into actions: inout [LinkAction]) {
    guard let call = doctor?.calls[place] else { return }
    for state in calls.values where state.legs.contains(where: { $0.path.socket == doctorSocket }) {
      let outer = state.legs.filter { $0.path.socket != doctorSocket }
      let packets = outer.reduce(0) { $0 &+ $1.packetsIn }
      if let needed = outer.compactMap({ neededHairpin($0) }).first { doctor?.calls[place].hairpin = needed }
      if state.direction == .inbound {
        doctor?.calls[place].packetsOfIncoming = packets
      } else {
        doctor?.calls[place].packetsOfOutgoing = packets
      }
    }
    doctor?.calls[place].stage = .ending
    doctor?.calls[place].deadline = now + DoctorCall.farewell
    if let id = call.outgoing {
      withPhone(now: now, into: &actions) { $0.hangUp(id, now: $1, into: &$2) }
    }
  }

  /// Whether the router turns packets round, where the far side of a leg is at our own public address; `nil` elsewhere.
  private func neededHairpin(_ leg: Leg) -> NATFinding? {
    guard case .uplink(let uplink) = sockets[leg.path.socket].side,
      let own = sockets[leg.path.socket].stun?.mapping?.address, let description = leg.remoteDescription,
      let index = description.firstAudioIndex
    else { return nil }
    return description.rtpEndpoint(index)?.address == own ? findings(uplink).hairpin : nil
  }

  /// The telephone is taken away: whatever call it still has is ended.
  mutating func endDoctorCalls(now: MonotonicInstant, into actions: inout [LinkAction]) {
    guard let socket = doctorSocket else { return }
    let left = calls.values.filter { state in
      state.machine.phase != .ended && state.legs.contains { $0.path.socket == socket && !$0.isEnded }
    }
    for state in left {
      end(call: state.number, Refusal(status: 480, reason: "The examination is over"), now: now, into: &actions)
    }
    if let call = doctor?.calls.last, let phone = call.phone {
      for id in phone.callIDs { withPhone(now: now, into: &actions) { $0.hangUp(id, now: $1, into: &$2) } }
    }
    for port in doctor?.calls.flatMap(\.mediaPorts) ?? [] { actions.append(.media(.close(port))) }
    sockets[socket].local = nil
  }

  // MARK: In the link

  /// An INVITE of the telephone: it goes by the trunk that is examined, whatever the rules say.
  mutating func doctorCalls(
    _ request: SIPMessage, _ id: ServerTransactionID, _ path: SIPPath, now: MonotonicInstant,
    into actions: inout [LinkAction]
  ) {
    guard let call = doctor?.calls.last, let trunk = doctor?.trunks[call.trunk] else {
      return refuse(request, id, 480, now: now, into: &actions)
    }
    begin(
      request, id, path, side: .station("doctor"), direction: .outbound, called: call.number, trunk: trunk.name,
      stages: [DialStage(targets: [.trunk(trunk.name, number: call.number, callerID: call.number)])], now: now,
      into: &actions)
  }

  /// Whether a call that comes in is the one that went out: then the telephone takes it, whatever the rules say.
  func doctorStage(_ request: SIPMessage, trunk index: Int, called: String) -> DialStage? {
    guard let call = doctor?.calls.last, call.stage == .dialling, call.incoming == nil, let socket = doctorSocket,
      doctor?.trunks[call.trunk].index == index, Self.isSame(called, call.number),
      let caller = (try? request.from())?.uri.user,
      Self.isSame(caller, call.number) || caller == trunks[index].configuration.username
    else { return nil }
    let uri = SIPURI(user: "doctor", host: Self.doctorThere.address.description, port: Self.doctorThere.port)
    return DialStage(targets: [
      .station(name: "doctor", uri: uri, path: SIPPath(socket: socket, remote: Self.doctorThere))
    ])
  }

  /// Providers write a number with and without its country: the last digits tell.
  private static func isSame(_ text: String, _ number: String) -> Bool {
    let digits = { (text: String) in text.filter { $0.isASCII && $0.isNumber }.suffix(6) }
    return !digits(number).isEmpty && digits(text) == digits(number)
  }
}
