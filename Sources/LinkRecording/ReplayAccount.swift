import LinkManager
import MediaRelay
import NATDiscovery
import NetworkTypes
import SIPSyntax
import STUN

/// A replay for people: when, what came, what the link did about it, and why, a line each.
public struct ReplayAccount {
  public struct Outcome: Sendable, Equatable {
    public var inputs = 0
    /// The first input after which this version decides otherwise than the link that was recorded did.
    public var differsAt: Int?
    public var verdicts = 0
  }

  /// Whether what happens all the time is told too: keepalives, counters, timers without a decision.
  public var tellsAll = false
  /// The lines before this many seconds from the beginning are left out.
  public var from = 0.0
  private let write: (String) -> Void

  public init(_ write: @escaping (String) -> Void) { self.write = write }

  /// Replays a recording from its beginning to its end.
  public func play(_ recording: RecordedRun) -> Outcome {
    var outcome = Outcome()
    var replay = LinkReplay(recording)
    var notes = recording.notes[...]
    while let step = replay.step() {
      while let note = notes.first, note.place <= outcome.inputs {
        write("\(Self.time(step.entry.at - recording.beginning))  ## \(note.text)")
        notes = notes.dropFirst()
      }
      outcome.inputs += 1
      if !step.isSame, outcome.differsAt == nil {
        outcome.differsAt = outcome.inputs
        write("\(Self.time(step.entry.at - recording.beginning))  ## from here on this version decides otherwise")
      }
      for action in step.actions { if case .verdict = action { outcome.verdicts += 1 } }
      tell(step, at: step.entry.at - recording.beginning)
    }
    for note in notes { write("          ## \(note.text)") }
    return outcome
  }

  private func tell(_ step: LinkReplay.Step, at: Duration) {
    guard at.inSeconds >= from else { return }
    let told = step.actions.compactMap { words($0) }
    let what = words(step.entry.input)
    if what == nil, told.isEmpty { return }
    write("\(Self.time(at))  \(what ?? cause(step.entry.input))")
    for line in told { write("            \(line)") }
  }

  // MARK: Words

  private func words(_ input: LinkInput) -> String? {
    switch input {
    case .started: "· the link begins"
    case .socketOpened(let socket, let local): "· socket \(socket.rawValue) is open at \(local)"
    case .socketFailed(let socket, let reason): "· socket \(socket.rawValue) could not be opened: \(reason)"
    case .serviceResolved(let name, let records):
      "· \(name) has \(records.map { "\($0.count) servers" } ?? "no answer")"
    case .hostChanged: "· the addresses or routes of this machine have changed"
    case .routerTold: tellsAll ? "· the router tells something" : nil
    case .changeAnnounced(let uplink): "· a change is announced for uplink \(uplink)"
    case .cutsRemembered(let diary, let uplink): "· \(diary.cuts.count) cuts of uplink \(uplink) are remembered"
    case .contactsRemembered(let known, let user): "· \(known.count) contacts of \(user) are remembered"
    case .datagramReceived(let bytes, let source, _): arrival(bytes, "\(source)")
    case .streamOpened(let connection, _, let remote): "· connection \(connection) from \(remote)"
    case .streamMessageReceived(let bytes, let connection): arrival(bytes, "connection \(connection)")
    case .streamClosed(let connection): "· connection \(connection) has ended"
    case .nameResolved(let host, let addresses):
      addresses.isEmpty
        ? "· the name server has nothing for \(host)"
        : "· \(host) is \(addresses.map(\.description).joined(separator: ", "))"
    case .mediaEventReceived(let event): words(event)
    case .natDiscovered(let findings, _):
      "· the NAT: \(findings.map { "\($0.natType.rawValue)" } ?? "could not be examined")"
    case .timerFired: nil
    case .wallTimeChanged(let time): "· the clock was set to \(time)"
    case .reconfigured: "· the configuration was read again"
    case .trunkSwitched(let name, let enabled): "· someone switches trunk \(name) \(enabled ? "on" : "off")"
    case .registrationAsked(let name): "· someone wants trunk \(name) registered"
    case .hangUpAsked(let call): "· someone ends call \(call)"
    case .examinationAsked: "· someone has the link examined"
    case .shutDownAsked: "· someone ends the link"
    case .reseeded: tellsAll ? "· new random numbers" : nil
    }
  }

  /// What is told only where something came of it.
  private func cause(_ input: LinkInput) -> String {
    switch input {
    case .datagramReceived(let bytes, let source, _):
      "← \(Self.stun(bytes) ?? "\(bytes.count) bytes")  from \(source)"
    case .mediaEventReceived: "· the media ports tell"
    default: "· its time has come"
    }
  }

  private static func stun(_ bytes: [UInt8]) -> String? {
    guard STUNMessage.isSTUN(bytes.span), let message = try? STUNMessage(decoding: bytes.span) else { return nil }
    return "STUN \(message.messageClass)\(message.mappedAddress.map { ": you are \($0)" } ?? "")"
  }

  private func arrival(_ bytes: [UInt8], _ source: String) -> String? {
    if let message = summary(bytes) { return "← \(message)  from \(source)" }
    return tellsAll ? "← \(bytes.count) bytes from \(source)" : nil
  }

  private func words(_ event: MediaEvent) -> String? {
    switch event {
    case .opened(let port): tellsAll ? "· media port \(port.rawValue) is open" : nil
    case .openFailed(let port, _): "· media port \(port.rawValue) could not be opened"
    case .mapped(let port, let rtp, _): "· media port \(port.rawValue) is seen at \(rtp)"
    case .latched(let port, let source): "· audio on media port \(port.rawValue) comes from \(source)"
    case .silent(let port): "· silence on media port \(port.rawValue)"
    case .heard(let port, let gap):
      "· audio again on media port \(port.rawValue), after \(Self.milliseconds(gap)) ms"
    case .counted, .recorded: tellsAll ? "· counters" : nil
    }
  }

  private func words(_ action: LinkAction) -> String? {
    switch action {
    case .openSocket(let socket, let local): return "opens socket \(socket.rawValue) at \(local)"
    case .closeSocket(let socket): return "closes socket \(socket.rawValue)"
    case .resolveService(let name): return "asks for the servers of \(name)"
    case .rememberCuts, .rememberContacts, .answered: return nil
    case .router: return tellsAll ? "asks the router" : nil
    case .send(let bytes, _, let remote): return summary(bytes).map { "→ \($0)  to \(remote)" }
    case .sendStream(let bytes, let connection): return summary(bytes).map { "→ \($0)  on connection \(connection)" }
    case .listen(_, let local): return "takes connections at \(local)"
    case .closeStream(let connection): return "closes connection \(connection)"
    case .media(let command): return tellsAll ? "media: \(Self.words(command))" : nil
    case .resolve(let host): return "asks for the address of \(host)"
    case .discoverNAT: return "examines the NAT"
    case .record(let record):
      return
        "# call \(record.id) is over: \(record.result), ended by \(record.endedBy)\(record.sentence.map { ": \($0)" } ?? "")"
    case .verdict(let verdict): return "! \(verdict.subject): \(verdict.sentence) (\(verdict.evidence))"
    case .log(let level, let sentence): return level == .debug && !tellsAll ? nil : "“\(sentence)”"
    case .measured(let measurement):
      switch measurement {
      case .registration(let trunk, let took): return "# trunk \(trunk) registered in \(Self.milliseconds(took)) ms"
      case .recovery(let uplink, let took):
        return
          "# every trunk of uplink \(uplink) is registered again, \(Self.milliseconds(took)) ms after the line's return"
      case .audioGap(let direction, let gap):
        return "# audio \(direction.rawValue): \(Self.milliseconds(gap)) ms of silence"
      }
    case .examined(let report, _): return "# the doctor's report: \(report.result.rawValue)"
    case .statusChanged: return nil
    case .stopped: return "# the link has ended"
    }
  }

  private static func words(_ command: MediaCommand) -> String {
    switch command {
    case .open(let port, let local, _): "opens \(port.rawValue) at \(local)"
    case .couple(let left, let right): "couples \(left.rawValue) and \(right.rawValue)"
    case .setPeer(let port, let peer, _): "\(port.rawValue) sends to \(peer.rtp.map { "\($0)" } ?? "nobody")"
    case .setSTUN(let port, _): "\(port.rawValue) asks the STUN server"
    case .play(let port, _, _): "\(port.rawValue) plays"
    case .record(let port, _): "\(port.rawValue) records"
    case .close(let port): "closes \(port.rawValue)"
    }
  }

  /// A message in a few words; `nil` for what is not told.
  private func summary(_ bytes: [UInt8]) -> String? {
    if STUNMessage.isSTUN(bytes.span) {
      return tellsAll ? Self.stun(bytes) : nil
    }
    guard let message = try? SIPMessage(taking: bytes) else { return nil }
    let sequence = (try? message.cSeq()).map { " (\($0.number) \($0.method.name))" } ?? ""
    let sdp = message.body.isEmpty ? "" : " with a body"
    return message.isRequest
      ? "\(message.method.name) \(message.requestURIText)\(sdp)"
      : "\(message.status) \(message.reason)\(sequence)\(sdp)"
  }

  static func milliseconds(_ duration: Duration) -> Int64 { duration.nanoseconds / 1_000_000 }

  static func time(_ duration: Duration) -> String {
    let milliseconds = milliseconds(duration)
    let text = "\(milliseconds / 1000)"
    let rest = "\(milliseconds % 1000)"
    return String(repeating: " ", count: max(0, 6 - text.count)) + text + "."
      + String(repeating: "0", count: max(0, 3 - rest.count)) + rest
  }
}
