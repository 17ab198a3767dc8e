import DatagramSockets
import EmbeddedProvider
import MediaEngine
import MediaRelay
import NetworkTypes
import STUN

/// The embedded provider, its STUN server and the built-in phone, beside the link on the signalling thread.
extension SignallingHost {
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
    case 1:
      var actions: [ProviderAction] = []
      embedded?.provider.mediaEventReceived(event, now: now, into: &actions)
      perform(actions, now: now)
    default:
      var actions: [PhoneAction] = []
      embedded?.phone.mediaEventReceived(event, now: now, into: &actions)
      perform(actions, now: now)
    }
    return true
  }

  // MARK: The dashboard's phone

  /// The built-in phone calls `number`, plays a tone for `duration` and keeps what it hears; answers the recording's name,
  /// or `nil` without an embedded default or a free line.
  func dial(_ number: String, for duration: Duration) -> String? {
    let now = SystemClock.now()
    var actions: [PhoneAction] = []
    let script = CallScript(sound: .tone(hertz: 440), records: true, hangUpAfter: duration)
    guard let id = embedded?.phone.dial(number, script: script, now: now, into: &actions) else { return nil }
    perform(actions, now: now)
    updateWakeUp()
    return "call-\(id.rawValue)"
  }

  private func perform(_ actions: [ProviderAction], now: MonotonicInstant) {
    for action in actions {
      switch action {
      case .openSocket, .event, .log: break
      case .send(let bytes, _, let remote):
        if let socket = embedded?.sockets[1] { loop.send(bytes, on: socket, to: remote) }
      case .media(let command): engine?.send(command)
      }
    }
  }

  private func perform(_ actions: [PhoneAction], now: MonotonicInstant) {
    for action in actions {
      switch action {
      case .openSocket, .log: break
      case .send(let bytes, _, let remote):
        if let socket = embedded?.sockets[2] { loop.send(bytes, on: socket, to: remote) }
      case .media(let command): engine?.send(command)
      case .event(.recorded(let id, let samples)): keepRecording("call-\(id.rawValue)", samples)
      case .event: break
      }
    }
  }

  private func keepRecording(_ name: String, _ samples: [Int16]) {
    recordings[name] = samples
    recordingOrder.append(name)
    if recordingOrder.count > 8 { recordings.removeValue(forKey: recordingOrder.removeFirst()) }
  }
}

extension MediaEvent {
  /// The port that the event is about.
  var port: MediaPortID {
    switch self {
    case .opened(let port), .openFailed(let port, _), .mapped(let port, _, _), .latched(let port, _), .silent(let port),
      .heard(let port, _), .counted(let port, _), .recorded(let port, _):
      port
    }
  }
}
