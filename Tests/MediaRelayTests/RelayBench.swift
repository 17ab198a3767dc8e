import MediaRelay
import NetworkTypes
import RTP
import STUN

/// A relay at virtual time with all its actions collected.
struct RelayBench {
  var core: RelayCore
  var now = MonotonicInstant(nanoseconds: 1_000_000_000_000)
  var actions: [RelayAction] = []
  /// What was sent at which moment.
  var sent: [(at: MonotonicInstant, bytes: [UInt8], port: MediaPortID, component: MediaComponent, to: Endpoint)] = []
  var events: [MediaEvent] = []
  /// Answers STUN at once with this address and the port's own number + `portShift`; `nil`: nobody answers.
  var publicAddress: IPAddress?
  var answersRTCP = true
  var portShift: UInt16 = 1000

  static let a = MediaPortID(1)
  static let b = MediaPortID(2)
  static let server = Endpoint(.v4(0xc000_0201), port: 3478)
  /// The peers of the ports `a` and `b`.
  static let alice = Endpoint(.v4(0x0a00_0001), port: 4000)
  static let bob = Endpoint(.v4(0xcb00_7109), port: 6000)
  static let stranger = Endpoint(.v4(0x0808_0808), port: 9999)

  init(seed: UInt64 = 1) { core = RelayCore(random: RandomSource(seed: seed)) }

  mutating func perform(_ command: MediaCommand) {
    core.apply(command, now: now, into: &actions)
    drain()
  }

  mutating func open(_ id: MediaPortID, stun: MediaSTUNPlan? = nil) {
    perform(.open(id, local: Endpoint(.loopbackV4, port: UInt16(40_000 + 2 * id.rawValue)), stun: stun))
  }

  mutating func setPeer(_ id: MediaPortID, _ rtp: Endpoint?, latching: Bool = true) {
    perform(.setPeer(id, MediaPeer(rtp: rtp, latching: latching), openingPayloadType: 20))
  }

  /// Two open ports, coupled, each with its peer; the opening packets are forgotten.
  static func coupled(latching: Bool = true) -> RelayBench {
    var bench = RelayBench()
    bench.open(a)
    bench.open(b)
    bench.setPeer(a, alice, latching: latching)
    bench.setPeer(b, bob, latching: latching)
    bench.perform(.couple(a, b))
    bench.forget()
    return bench
  }

  mutating func forget() {
    sent = []
    events = []
    actions = []
  }

  private mutating func drain() {
    while !actions.isEmpty {
      let batch = actions
      actions = []
      for action in batch { carryOut(action) }
    }
  }

  var connected: [String: Endpoint?] = [:]
  var closed: [MediaComponent] = []

  private mutating func carryOut(_ action: RelayAction) {
    switch action {
    case .openSocket(let id, let component, _): core.socketOpened(id, component, now: now, into: &actions)
    case .closeSocket(_, let component): closed.append(component)
    case .send(let bytes, let id, let component, let target):
      sent.append((now, bytes, id, component, target))
      if let publicAddress, target == Self.server, component == .rtp || answersRTCP {
        let port = UInt16(40_000 + 2 * id.rawValue) + UInt16(component.rawValue) + portShift
        receive(stunAnswer(bytes, Endpoint(publicAddress, port: port)), from: Self.server, on: id, component)
      }
    case .connect(let id, let component, let endpoint): connected["\(id.rawValue) \(component)"] = endpoint
    case .event(let event): events.append(event)
    }
  }

  mutating func receive(
    _ bytes: [UInt8], from source: Endpoint, on id: MediaPortID, _ component: MediaComponent = .rtp
  ) {
    core.packetReceived(bytes.span, from: source, on: id, component: component, now: now, into: &actions)
    drain()
  }

  /// Lets time pass, firing the timer exactly when asked for.
  mutating func advance(_ duration: Duration) {
    let end = now + duration
    while let next = core.nextDeadline, next <= end {
      now = max(now, next)
      core.timerFired(now: now, into: &actions)
      drain()
    }
    now = end
  }

  /// A stream of `count` packets, 20 ms apart, the first at once.
  mutating func stream(
    _ count: Int, from source: Endpoint, on id: MediaPortID, ssrc: UInt32 = 7, startingAt sequence: UInt16 = 0
  ) {
    for index in 0..<count {
      receive(audio(sequence &+ UInt16(index), ssrc: ssrc), from: source, on: id)
      advance(.milliseconds(20))
    }
  }

  /// Sent packets that are RTP with a payload, and not probes, opening packets or control.
  var audioSent: [(at: MonotonicInstant, bytes: [UInt8], port: MediaPortID, component: MediaComponent, to: Endpoint)] {
    sent.filter { $0.component == .rtp && $0.bytes[0] == 0x80 && $0.bytes.count > 12 }
  }

  var probes: [(at: MonotonicInstant, component: MediaComponent)] {
    sent.filter { $0.to == Self.server }.map { ($0.at, $0.component) }
  }

  mutating func counters(_ id: MediaPortID) -> MediaCounters? {
    events = []
    advance(.seconds(1))
    for case .counted(id, let counters) in events { return counters }
    return nil
  }
}

func audio(_ sequence: UInt16, ssrc: UInt32 = 7, type: UInt8 = 8, fill: UInt8 = 0xd5) -> [UInt8] {
  RTPHeader(payloadType: type, sequence: sequence, timestamp: UInt32(sequence) &* 160, ssrc: ssrc).encoded()
    + [UInt8](repeating: fill, count: 160)
}

func control(ssrc: UInt32 = 7) -> [UInt8] { RTCPReport(ssrc: ssrc).encoded() }

func stunAnswer(_ request: [UInt8], _ mapped: Endpoint) -> [UInt8] {
  BindingResponder().respond(to: request.span, from: mapped, local: RelayBench.server) ?? []
}
