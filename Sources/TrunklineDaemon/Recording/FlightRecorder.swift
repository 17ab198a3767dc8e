package import ControlAPI
import DatagramSockets
import Dispatch
import Foundation
package import LinkManager
import LinkRecording
package import NetworkTypes
import Synchronization

/// Keeps on disk what the link is told, and which moments of it somebody may want to see again: a ring of recordings, the
/// first of which begins with the link, and each other one with what the link was at a quiet moment.
///
/// The signalling thread hands over values and goes on; a queue of its own puts them into pseudonyms and writes them. A full
/// disk or a slow one ends the recording, and nothing else. `docs/replay.md` says what is in the files.
package final class FlightRecorder: Sendable {
  package struct Limits: Sendable {
    /// So long, or so old, another recording is begun as soon as the link is quiet. In bytes.
    package var segment = 16 << 20
    package var age = Duration.seconds(86_400)
    /// The longest recording, of a link that is never quiet, and all that is kept together, in bytes.
    package var longest = 256 << 20
    package var total = 512 << 20
    /// The part of the free space that a recording may take at most.
    package var shareOfFree = 0.05
    package var incidents = 100
    /// How many inputs may wait for the disk, and how many bytes in them.
    package var waiting = 20_000
    package var waitingBytes = 16 << 20
    /// What comes after an incident and still belongs to it.
    package var aftermath = Duration.seconds(20)

    package init() {}
  }

  private struct Entry: Sendable {
    let input: LinkInput
    let now: MonotonicInstant
    let shape: UInt32
    let incident: IncidentStatus?
  }

  /// The link was replaced by what this makes: where a recording can begin.
  private struct Beginning: Sendable {
    let handover: LinkHandover
    let seed: LinkSeed
    let now: MonotonicInstant
    let wallTime: WallTime
  }

  private enum Work: Sendable {
    case input(Entry)
    case beginning(Beginning)

    var now: MonotonicInstant {
      switch self {
      case .input(let entry): entry.now
      case .beginning(let beginning): beginning.now
      }
    }
  }

  private struct Pending {
    var entries: [Work] = []
    var bytes = 0
    var isEnded = false
    /// Whether a handover is wished for, and whether it has been for long.
    var wantsHandover = false
    var isHandoverOverdue = false
    /// One was given, and its recording has not begun.
    var hasHandover = false
    var saidFull = false
  }

  /// What the queue owns.
  private struct Writer {
    var recorder: LinkRecorder
    /// `nil` where the file has reached its limit, until another one begins.
    var file: FileHandle?
    var name: String
    var size = 0
    var limit: Int
    var beganAt: MonotonicInstant
    var open: (incident: IncidentStatus, until: MonotonicInstant)?
  }

  private let folder: IncidentFolder
  private let limits: Limits
  private let warn: @Sendable (String) -> Void
  /// An incident's recording is complete: whoever reads it knows the random numbers until then.
  private let closed: @Sendable () -> Void
  private let work = DispatchQueue(label: "trunkline.recording")
  private let pending = Mutex(Pending())
  private let writer = Mutex<Writer?>(nil)

  /// - Parameter warn: is told, once, why the recording ended.
  package init(
    folder: String, limits: Limits = Limits(), warn: @escaping @Sendable (String) -> Void,
    closed: @escaping @Sendable () -> Void
  ) {
    self.folder = IncidentFolder(path: folder)
    self.limits = limits
    self.warn = warn
    self.closed = closed
  }

  /// A link begins.
  package func begin(_ configuration: LinkConfiguration, _ seed: LinkSeed, now: MonotonicInstant, wallTime: WallTime) {
    work.async { [self] in
      do {
        let limit = try folder.prepare(limits, wallTime: wallTime)
        var random = SystemRandom.source()
        var lines: [String] = []
        let recorder = LinkRecorder(
          configuration: configuration, seed: seed, now: now, wallTime: wallTime, random: &random, lines: &lines)
        let (name, file) = try folder.create(wallTime)
        var new = Writer(recorder: recorder, file: file, name: name, limit: limit, beganAt: now)
        try Self.write(lines, to: &new)
        writer.withLock { $0 = new }
      } catch {
        end("nothing is recorded: \(folder.path) cannot be written")
      }
    }
  }

  /// The link was told something, and decided.
  package func took(_ input: LinkInput, now: MonotonicInstant, actions: [LinkAction], wallTime: WallTime) {
    let entry = Entry(
      input: input, now: now, shape: DecisionShape.of(actions), incident: IncidentStatus(actions, at: wallTime))
    let isFirst = pending.withLock { pending -> Bool? in
      if pending.isEnded { return nil }
      pending.bytes += input.size
      if pending.entries.count >= limits.waiting || pending.bytes > limits.waitingBytes { return nil }
      pending.entries.append(.input(entry))
      // The incident stays in one recording with what comes after it.
      if entry.incident != nil { pending.wantsHandover = false }
      return pending.entries.count == 1
    }
    switch isFirst {
    case true?: work.async { [self] in writePending() }
    case false?: break
    case nil: end("the recording ends here: the disk is too slow for it")
    }
  }

  /// Whether another recording is to begin, with the handover that the link gives at its next quiet moment.
  package var wantsHandover: Bool { pending.withLock { $0.wantsHandover && !$0.isEnded } }
  /// Whether it has grown so long that another one should begin in the middle of a story.
  package var isHandoverOverdue: Bool { pending.withLock { $0.isHandoverOverdue } }

  /// The link was replaced by what `handover` makes, with random numbers from `seed`: the next recording begins here.
  package func handedOver(_ handover: LinkHandover, _ seed: LinkSeed, now: MonotonicInstant, wallTime: WallTime) {
    pending.withLock { pending in
      guard !pending.isEnded else { return }
      pending.wantsHandover = false
      pending.hasHandover = true
      pending.entries.append(
        .beginning(Beginning(handover: handover, seed: seed, now: now, wallTime: wallTime)))
    }
    work.async { [self] in writePending() }
  }

  /// Waits until what was told so far is written, for as long as a second.
  package func flush() {
    let isDone = DispatchSemaphore(value: 0)
    work.async { [self] in
      writePending()
      isDone.signal()
    }
    _ = isDone.wait(timeout: .now() + .seconds(1))
  }

  package func incidents() -> [IncidentStatus] { folder.incidents() }

  /// The recording up to the end of the incident.
  package func incident(_ id: String) -> IncidentDocument? {
    flush()
    return folder.document(id)
  }

  // MARK: On the queue

  private func writePending() {
    let entries = pending.withLock { pending in
      defer {
        pending.entries = []
        pending.bytes = 0
      }
      return pending.entries
    }
    guard !entries.isEmpty else { return }
    var problem: String?
    var hasClosed = false
    var wantsHandover = false
    var isHandoverOverdue = false
    writer.withLock { current in
      guard var writer = current else { return }
      do {
        var lines: [String] = []
        for work in entries {
          let entry: Entry
          switch work {
          case .beginning(let beginning):
            try Self.write(lines, to: &writer)
            lines = []
            if try begin(beginning, &writer) { hasClosed = true }
            continue
          case .input(let input): entry = input
          }
          if let open = writer.open, entry.now >= open.until {
            try Self.write(lines, to: &writer)
            lines = []
            try folder.write(open.incident, recording: writer.name, bytes: writer.size)
            writer.open = nil
            hasClosed = true
          }
          guard writer.file != nil else { continue }
          lines.append(writer.recorder.line(entry.input, now: entry.now, shape: entry.shape))
          if let incident = entry.incident {
            lines.append(LinkRecorder.note("incident \(incident.id): \(incident.code), \(incident.subject)"))
            if writer.open == nil {
              writer.open = (incident, entry.now + limits.aftermath)
              // From now on it is one, whatever becomes of this process.
              try folder.write(incident, recording: writer.name, bytes: 0)
            }
          }
        }
        try Self.write(lines, to: &writer)
        if writer.file != nil, writer.size >= writer.limit {
          try writer.file?.close()
          writer.file = nil
          sayFull(writer.limit)
        }
        let age = entries.last.map { $0.now - writer.beganAt } ?? .zero
        let isDue = writer.size >= limits.segment || age >= limits.age
        wantsHandover = writer.open == nil && isDue || writer.file == nil
        isHandoverOverdue = writer.file == nil || writer.size >= 2 * limits.segment
        current = writer
      } catch {
        current = nil
        problem = "the recording ends here: the disk takes no more of it"
      }
    }
    if let problem { end(problem) }
    if hasClosed { closed() }
    pending.withLock { pending in
      if wantsHandover { pending.wantsHandover = !pending.hasHandover }
      pending.isHandoverOverdue = isHandoverOverdue
    }
  }

  /// Ends the recording and begins another one. Answers whether an incident ended with it.
  private func begin(_ beginning: Beginning, _ writer: inout Writer) throws -> Bool {
    let ended = writer.open
    if let ended { try folder.write(ended.incident, recording: writer.name, bytes: writer.size) }
    try writer.file?.close()
    writer.limit = try folder.prepare(limits, wallTime: beginning.wallTime)
    let (name, file) = try folder.create(beginning.wallTime)
    writer.name = name
    writer.file = file
    writer.size = 0
    writer.beganAt = beginning.now
    writer.open = nil
    pending.withLock { $0.hasHandover = false }
    let lines = writer.recorder.begin(
      with: beginning.handover, seed: beginning.seed, now: beginning.now, wallTime: beginning.wallTime)
    try Self.write(lines, to: &writer)
    return ended != nil
  }

  private static func write(_ lines: [String], to writer: inout Writer) throws {
    guard !lines.isEmpty, let file = writer.file else { return }
    let data = Data((lines.joined(separator: "\n") + "\n").utf8)
    try file.write(contentsOf: data)
    writer.size += data.count
  }

  /// The link was not quiet for so long that the recording is full.
  private func sayFull(_ limit: Int) {
    let isFirst = pending.withLock { pending in
      defer { pending.saidFull = true }
      return !pending.saidFull
    }
    guard isFirst else { return }
    warn("the recording has reached its limit of \(limit >> 20) MB; it begins anew when no call is up")
  }

  private func end(_ sentence: String) {
    let isFirst = pending.withLock { pending in
      defer {
        pending.isEnded = true
        pending.entries = []
      }
      return !pending.isEnded
    }
    if isFirst { warn(sentence) }
  }
}

extension LinkInput {
  /// The bytes that it holds, where they may be many.
  fileprivate var size: Int {
    switch self {
    case .datagramReceived(let bytes, _, _), .streamMessageReceived(let bytes, _): bytes.count
    default: 0
    }
  }
}

extension IncidentStatus {
  /// What of the link's decisions is an incident: a verdict, a call that ended as none should, a change of the address.
  init?(_ actions: [LinkAction], at wallTime: WallTime) {
    for action in actions {
      switch action {
      // A number that is busy is no incident.
      case .verdict(let verdict) where VerdictCode(rawValue: verdict.code)?.isOrdinary != true:
        self.init(
          id: verdict.callID ?? Self.identifier(wallTime), at: verdict.at, subject: verdict.subject,
          callID: verdict.callID, code: verdict.code, sentence: verdict.sentence)
        return
      case .record(let record)
      where record.endedBy == "trunkline" && record.sentence != nil && record.answeredAt != nil:
        self.init(
          id: record.id, at: record.endedAt, subject: "call \(record.id)", callID: record.id, code: "callEnded",
          sentence: record.sentence ?? "")
        return
      case .measured(.recovery(let uplink, _)):
        self.init(
          id: Self.identifier(wallTime), at: wallTime.description, subject: "uplink \(uplink)", callID: nil,
          code: "addressChanged", sentence: "The public address changed, and every trunk was registered anew.")
        return
      default: break
      }
    }
    return nil
  }

  private static func identifier(_ wallTime: WallTime) -> String { String(wallTime.nanoseconds / 1_000_000, radix: 16) }
}
