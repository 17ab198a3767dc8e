import ControlAPI
import Foundation
import LinkManager
import LinkRecording
import NetworkTypes
import Synchronization
import Testing
import TrunklineDaemon

/// Recordings on disk: what is there after a crash, when the disk is full, and when there are many.
@Suite struct FlightRecorderTests {
  final class Bench: Sendable {
    let folder = FileManager.default.temporaryDirectory.path + "/recordings-\(UUID().uuidString)"
    let warnings = Mutex<[String]>([])
    let closings = Mutex(0)

    deinit { try? FileManager.default.removeItem(atPath: folder) }

    func recorder(_ change: (inout FlightRecorder.Limits) -> Void = { _ in }, at path: String? = nil) -> FlightRecorder
    {
      var limits = FlightRecorder.Limits()
      change(&limits)
      return FlightRecorder(folder: path ?? folder, limits: limits) { [self] sentence in
        warnings.withLock { $0.append(sentence) }
      } closed: { [self] in
        closings.withLock { $0 += 1 }
      }
    }
  }

  static func begin(_ recorder: FlightRecorder, wall: Int64 = 1_800_000_000_000_000_000) {
    recorder.begin(
      LinkConfiguration(), LinkSeed([5]), now: MonotonicInstant(nanoseconds: 0), wallTime: WallTime(nanoseconds: wall))
  }

  static func take(_ recorder: FlightRecorder, second: Int64, _ actions: [LinkAction] = []) {
    recorder.took(
      .timerFired, now: MonotonicInstant(nanoseconds: second * 1_000_000_000), actions: actions,
      wallTime: WallTime(nanoseconds: 1_800_000_000_000_000_000 + second * 1_000_000_000))
  }

  static let verdict = LinkAction.verdict(
    Verdict(
      at: "2027-01-15T08:00:05.000Z", subject: "trunk main", callID: "ab12", code: "lost", sentence: "s", evidence: "e",
      nextStep: "n"))

  static func read(_ document: IncidentDocument?) throws -> RecordedRun {
    let document = try #require(document)
    var rest = document.length
    var bytes: [UInt8] = []
    while let piece = document.next(&rest) { bytes += piece }
    #expect(bytes.count == document.length)
    return try RecordedRun(parsing: bytes)
  }

  @Test func anIncidentIsTheRecordingUpToItsEnd() throws {
    let bench = Bench()
    let recorder = bench.recorder()
    Self.begin(recorder)
    for second in 0..<5 { Self.take(recorder, second: Int64(second)) }
    Self.take(recorder, second: 5, [Self.verdict])
    #expect(recorder.incidents().isEmpty)
    recorder.flush()
    #expect(recorder.incidents().map(\.id) == ["ab12"])
    #expect(try Self.read(recorder.incident("ab12")).entries.count == 6)
    for second in 6..<60 { Self.take(recorder, second: Int64(second)) }
    recorder.flush()
    let recording = try Self.read(recorder.incident("ab12"))
    #expect(recording.entries.count == 25)
    #expect(recording.notes.map(\.text) == ["incident ab12: lost, trunk main"])
    #expect(bench.closings.withLock { $0 } == 1)
    #expect(recorder.incident("nobody") == nil)
    #expect(bench.warnings.withLock { $0 }.isEmpty)
  }

  @Test func whatWasKilledIsThereAfterwards() throws {
    let bench = Bench()
    let first = bench.recorder()
    Self.begin(first)
    Self.take(first, second: 1, [Self.verdict])
    first.flush()
    // A crash in the middle of a line.
    let name = try #require(
      try FileManager.default.contentsOfDirectory(atPath: bench.folder).first { $0.hasSuffix(".recording") })
    let file = try #require(FileHandle(forWritingAtPath: bench.folder + "/" + name))
    try file.seekToEnd()
    try file.write(contentsOf: Data("12ab34cd +5 0 datagr".utf8))
    try file.close()
    let second = bench.recorder()
    Self.begin(second, wall: 1_800_000_900_000_000_000)
    second.flush()
    #expect(second.incidents().map(\.id) == ["ab12"])
    let recording = try Self.read(second.incident("ab12"))
    #expect(recording.entries.count == 1)
    #expect(recording.ending != nil)
  }

  @Test func aRecordingEndsAtItsLimitAndOldOnesMakeRoom() throws {
    let bench = Bench()
    for run in 0..<6 {
      let recorder = bench.recorder {
        $0.run = 4000
        $0.total = 12_000
        $0.shareOfFree = 1
      }
      Self.begin(recorder, wall: Int64(1_800_000_000 + run) * 1_000_000_000)
      Self.take(recorder, second: 1, [Self.verdict])
      for second in 2..<400 {
        Self.take(recorder, second: Int64(second))
        if second % 20 == 0 { recorder.flush() }
      }
      recorder.flush()
      #expect(bench.warnings.withLock { $0.count } == run + 1)
      let files = try FileManager.default.contentsOfDirectory(atPath: bench.folder)
      let sizes = files.filter { $0.hasSuffix(".recording") }.map {
        (try? FileManager.default.attributesOfItem(atPath: bench.folder + "/" + $0)[.size] as? Int) ?? 0
      }
      #expect(sizes.reduce(0, +) < 16_000)
      #expect(files.count { $0.hasSuffix(".incident") } == sizes.count)
    }
  }

  @Test func aFolderThatCannotBeWrittenIsSaidOnceAndHurtsNobody() {
    let bench = Bench()
    let recorder = bench.recorder(at: "/proc/nowhere/recordings")
    Self.begin(recorder)
    for second in 0..<100 { Self.take(recorder, second: Int64(second)) }
    recorder.flush()
    #expect(bench.warnings.withLock { $0.count } == 1)
    #expect(recorder.incidents().isEmpty)
  }
}
