import DatagramSockets
import EmbeddedProvider
import LinkManager
import MediaEngine
import MediaRelay
import NetworkTypes
import STUN

/// What happens in the embedded default, for whoever watches.
enum EmbeddedNotice: Sendable {
  /// The line was cut, or is back with this public address.
  case lineChanged(isUp: Bool, IPAddress)
  /// A SIP message passed the router, from the link to the provider or back; `isDropped`: it would have, had the line been up.
  case messagePassed([UInt8], isOutward: Bool, isDropped: Bool)
  /// A STUN message, likewise, on the port that carries SIP.
  case bindingPassed(isOutward: Bool, isDropped: Bool)
  case provider(ProviderEvent)
  case phone(PhoneEvent)
  /// What the far end, or else the phone, hears or ceases to hear.
  case media(MediaEvent, isFarEnd: Bool)
}

/// The embedded provider, its STUN server, the router before them and the built-in phone, beside the link on the signalling
/// thread.
extension SignallingHost {
  static func openEmbedded(
    _ embedded: EmbeddedDefault, _ loop: DatagramLoop
  ) throws(DatagramSocketError) -> EmbeddedParts {
    var router = LoopbackRouter(embedded.site, random: SystemRandom.source())
    let stun = try openBehind(&router, embedded.site, loop)
    let provider = try openBehind(&router, embedded.site, loop)
    let phone = try loop.open(local: Endpoint(embedded.site.phone, port: 0))
    let endpoints = [stun, provider, phone].compactMap { loop.localEndpoint($0) }
    return EmbeddedParts(
      embedded, router: router, stun: endpoints[0], provider: endpoints[1], phone: endpoints[2],
      sockets: [stun, provider, phone])
  }

  /// A socket at the address behind the router, on a port that is free before it too.
  private static func openBehind(
    _ router: inout LoopbackRouter, _ site: LoopbackSite, _ loop: DatagramLoop
  ) throws(DatagramSocketError) -> Int {
    for _ in 0..<10 {
      let socket = try loop.open(local: Endpoint(site.providerBehind, port: 0))
      guard let port = loop.localEndpoint(socket)?.port else { continue }
      if (try? router.standIn(for: port, loop)) != nil { return socket }
      loop.close(socket)
    }
    let socket = try loop.open(local: Endpoint(site.providerBehind, port: 0))
    _ = try router.standIn(for: loop.localEndpoint(socket)?.port ?? 0, loop)
    return socket
  }

  func setRouterOwners() {
    for (endpoint, socket) in embedded?.router.standIns ?? [] { setOwner(.router(.inside(endpoint)), of: socket) }
  }

  func startEmbedded() {
    guard embedded != nil else { return }
    let now = SystemClock.now()
    var providerActions: [ProviderAction] = []
    embedded?.provider.start(now: now, into: &providerActions)
    perform(providerActions, now: now)
    var phoneActions: [PhoneAction] = []
    embedded?.phone.start(now: now, into: &phoneActions)
    perform(phoneActions, now: now)
    updateWakeUp()
  }

  func embeddedReceived(
    _ bytes: Span<UInt8>, from source: Endpoint, to local: Endpoint, _ owner: Owner, _ socket: Int,
    now: MonotonicInstant
  ) {
    switch owner {
    case .stun:
      if let answer = embedded?.responder.respond(to: bytes, from: source, local: local) {
        loop.send(answer, on: socket, to: source)
      }
    case .provider:
      var actions: [ProviderAction] = []
      embedded?.provider.datagramReceived(bytes, from: source, on: 0, now: now, into: &actions)
      perform(actions, now: now)
    case .phone:
      var actions: [PhoneAction] = []
      embedded?.phone.datagramReceived(bytes, from: source, on: 0, now: now, into: &actions)
      perform(actions, now: now)
    case .router(let side): route(bytes, from: source, side, now: now)
    case .link: break
    }
  }

  func embeddedTimerFired(now: MonotonicInstant) {
    if let deadline = embedded?.provider.nextDeadline, deadline <= now {
      var actions: [ProviderAction] = []
      embedded?.provider.timerFired(now: now, into: &actions)
      perform(actions, now: now)
    }
    if let deadline = embedded?.phone.nextDeadline, deadline <= now {
      var actions: [PhoneAction] = []
      embedded?.phone.timerFired(now: now, into: &actions)
      perform(actions, now: now)
    }
  }

  /// Answers whether the event was for the provider or the phone.
  func embeddedMediaEventReceived(_ event: MediaEvent, now: MonotonicInstant) -> Bool {
    guard embedded != nil else { return false }
    switch event.port.rawValue / EmbeddedParts.mediaNumbers {
    case 0: return false
    // The doctor's telephone is within the link.
    case 4: return false
    case 1:
      embeddedObserver?(.media(event, isFarEnd: true), now)
      var actions: [ProviderAction] = []
      embedded?.provider.mediaEventReceived(event, now: now, into: &actions)
      perform(actions, now: now)
    default:
      embeddedObserver?(.media(event, isFarEnd: false), now)
      var actions: [PhoneAction] = []
      embedded?.phone.mediaEventReceived(event, now: now, into: &actions)
      perform(actions, now: now)
    }
    return true
  }

  // MARK: The line

  func cutLine() {
    guard let address = embedded?.router.publicAddress else { return }
    embedded?.router.cut()
    embeddedObserver?(.lineChanged(isUp: false, address), SystemClock.now())
  }

  /// The line comes back with another public address.
  func restoreLine() {
    guard let address = embedded?.router.restore(loop) else { return }
    embeddedObserver?(.lineChanged(isUp: true, address), SystemClock.now())
  }

  private func route(_ bytes: Span<UInt8>, from source: Endpoint, _ side: LoopbackRouter.Side, now: MonotonicInstant) {
    var owned: [UInt8] = []
    owned.reserveCapacity(bytes.count)
    for index in bytes.indices { owned.append(bytes[index]) }
    switch side {
    case .inside(let endpoint):
      let dropped = embedded?.router.isUp == false
      if let opened = embedded?.router.sentFromInside(owned, from: source, to: endpoint, now: now, loop) {
        setOwner(.router(.outside(opened.outside)), of: opened.socket)
      }
      tell(owned, isOutward: true, isDropped: dropped, isSignalling: isUplink(source), now: now)
    case .outside(let endpoint):
      let passed = embedded?.router.sentFromOutside(owned, from: source, to: endpoint, now: now, loop) ?? false
      tell(owned, isOutward: false, isDropped: !passed, isSignalling: true, now: now)
    }
  }

  private func isUplink(_ source: Endpoint) -> Bool {
    embedded?.configuration.uplinks.first?.bind.contains(source) ?? false
  }

  private func tell(
    _ bytes: [UInt8], isOutward: Bool, isDropped: Bool, isSignalling: Bool, now: MonotonicInstant
  ) {
    guard let embeddedObserver, let first = bytes.first, isSignalling else { return }
    switch first {
    case UInt8(ascii: "A")...UInt8(ascii: "Z"):
      embeddedObserver(.messagePassed(bytes, isOutward: isOutward, isDropped: isDropped), now)
    case 0...3: embeddedObserver(.bindingPassed(isOutward: isOutward, isDropped: isDropped), now)
    default: break
    }
  }

  // MARK: The dashboard's phone

  /// The built-in phone calls `number`, plays a tone for `duration` and keeps what it hears; answers the recording's name,
  /// or `nil` without an embedded default or a free line.
  func dial(_ number: String, for duration: Duration?, sound: CallSound = .tone(hertz: 440)) -> AgentCallID? {
    let now = SystemClock.now()
    var actions: [PhoneAction] = []
    let script = CallScript(sound: sound, records: true, hangUpAfter: duration)
    guard let id = embedded?.phone.dial(number, script: script, now: now, into: &actions) else { return nil }
    perform(actions, now: now)
    updateWakeUp()
    return id
  }

  func hangUpPhone(_ id: AgentCallID) {
    let now = SystemClock.now()
    var actions: [PhoneAction] = []
    embedded?.phone.hangUp(id, now: now, into: &actions)
    perform(actions, now: now)
    updateWakeUp()
  }

  /// Someone out in the world calls; answers whether the provider knew where.
  func callFromOutside(to number: String, from caller: String, for duration: Duration, sound: CallSound) -> Bool {
    let now = SystemClock.now()
    var actions: [ProviderAction] = []
    let script = CallScript(sound: sound, hangUpAfter: duration)
    let id = embedded?.provider.placeCall(to: number, from: caller, script: script, now: now, into: &actions)
    perform(actions, now: now)
    updateWakeUp()
    return id != nil
  }

  private func perform(_ actions: [ProviderAction], now: MonotonicInstant) {
    for action in actions {
      switch action {
      case .openSocket, .log: break
      case .send(let bytes, _, let remote):
        if let socket = embedded?.sockets[1] { loop.send(bytes, on: socket, to: remote) }
      case .media(let command):
        preparePath(for: command)
        engine?.send(command)
      case .event(let event): embeddedObserver?(.provider(event), now)
      }
    }
  }

  /// The link must reach the provider's media ports before it hears of them.
  private func preparePath(for command: MediaCommand) {
    switch command {
    case .open(let id, let local, _):
      embedded?.mediaPorts.append((id, local.port))
      for port in [local.port, local.port &+ 1] {
        // A port that is taken at the router's address stays unreachable: the call will be silent, nothing worse.
        guard let socket = try? embedded?.router.standIn(for: port, loop) else { continue }
        setOwner(.router(.inside(Endpoint(embedded?.router.site.provider ?? .loopbackV4, port: port))), of: socket)
      }
    case .close(let id):
      guard let index = embedded?.mediaPorts.firstIndex(where: { $0.id == id }),
        let port = embedded?.mediaPorts.remove(at: index).port
      else { return }
      for port in [port, port &+ 1] {
        if let socket = embedded?.router.removeStandIn(for: port, loop) { setOwner(nil, of: socket) }
      }
    case .couple, .setPeer, .setSTUN, .play, .record: break
    }
  }

  private func perform(_ actions: [PhoneAction], now: MonotonicInstant) {
    for action in actions {
      switch action {
      case .openSocket, .log: break
      case .send(let bytes, _, let remote):
        if let socket = embedded?.sockets[2] { loop.send(bytes, on: socket, to: remote) }
      case .media(let command): engine?.send(command)
      case .event(let event):
        embeddedObserver?(.phone(event), now)
        if case .recorded(let id, let samples) = event { keepRecording("call-\(id.rawValue)", samples) }
      }
    }
  }

  private func keepRecording(_ name: String, _ samples: [Int16]) {
    recordings[name] = samples
    recordingOrder.append(name)
    if recordingOrder.count > 8 { recordings.removeValue(forKey: recordingOrder.removeFirst()) }
  }
}
