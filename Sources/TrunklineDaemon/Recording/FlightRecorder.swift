package import ControlAPI
import DatagramSockets
import Dispatch
import Foundation
package import LinkManager
import LinkRecording
package import NetworkTypes
import Synchronization

/// Keeps on disk what the link is told, from its beginning on, and which moments of it somebody may want to see again.
///
/// The signalling thread hands over values and goes on; a queue of its own puts them into pseudonyms and writes them. A full
/// disk, a slow one, or a recording that has grown to its limit ends the recording, and nothing else. `docs/replay.md` says
/// what is in the files.
package final class FlightRecorder: Sendable {
  package struct Limits: Sendable {
    /// The longest recording of one run, and all that is kept together, in bytes.
    package var run = 256 << 20
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

  private struct Pending {
    var entries: [Entry] = []
    var bytes = 0
    var isEnded = false
  }

  /// What the queue owns.
  private struct Writer {
    var recorder: LinkRecorder
    var file: FileHandle
    var name: String
    var size = 0
    var limit: Int
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
        let name = IncidentFolder.name(wallTime)
        let file = try folder.create(name)
        var new = Writer(recorder: recorder, file: file, name: name, limit: limit)
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
      pending.entries.append(entry)
      return pending.entries.count == 1
    }
    switch isFirst {
    case true?: work.async { [self] in writePending() }
    case false?: break
    case nil: end("the recording ends here: the disk is too slow for it")
    }
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
    writer.withLock { current in
      guard var writer = current else { return }
      do {
        var lines: [String] = []
        for entry in entries {
          if let open = writer.open, entry.now >= open.until {
            try Self.write(lines, to: &writer)
            lines = []
            try folder.write(open.incident, recording: writer.name, bytes: writer.size)
            writer.open = nil
            hasClosed = true
          }
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
        current = writer.size < writer.limit ? writer : nil
        if current == nil {
          problem =
            "the recording has reached its limit of \(writer.limit >> 20) MB; it begins anew with the next start"
        }
      } catch {
        current = nil
        problem = "the recording ends here: the disk takes no more of it"
      }
    }
    if let problem { end(problem) }
    if hasClosed { closed() }
  }

  private static func write(_ lines: [String], to writer: inout Writer) throws {
    guard !lines.isEmpty else { return }
    let data = Data((lines.joined(separator: "\n") + "\n").utf8)
    try writer.file.write(contentsOf: data)
    writer.size += data.count
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
      case .verdict(let verdict):
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
