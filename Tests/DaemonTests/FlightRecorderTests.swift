import ControlAPI
import Foundation
import LinkManager
import LinkRecording
import LinkScenario
import NetworkSimulator
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
        $0.longest = 4000
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

  /// A link that is recorded as the daemon does it.
  static func record(_ scene: Scene, with recorder: FlightRecorder) {
    scene.net.withHost(scene.link, as: LinkHost.self) { host, _, _ in
      let beginning = host.beginning
      recorder.begin(
        beginning.configuration, LinkSeed([1]), now: beginning.now, wallTime: beginning.wallTime)
      let handovers = Mutex<UInt64>(0)
      host.replace = { link, taken in
        let wallTime = link.wallTime(taken.at)
        recorder.took(taken.input, now: taken.at, actions: taken.actions, wallTime: wallTime)
        recorder.flush()
        guard recorder.wantsHandover else { return }
        let number = handovers.withLock { count in
          count += 1
          return count
        }
        let seed = LinkSeed([number, 7])
        guard let handover = link.handOver(random: seed.source) else { return }
        recorder.handedOver(handover, seed, now: taken.at, wallTime: wallTime)
      }
    }
  }

  static func sizes(_ folder: String) throws -> [(name: String, size: Int)] {
    try FileManager.default.contentsOfDirectory(atPath: folder).filter { $0.hasSuffix(".recording") }.sorted().map {
      ($0, (try FileManager.default.attributesOfItem(atPath: folder + "/" + $0)[.size] as? Int) ?? 0)
    }
  }

  /// Weeks with small limits: the oldest recordings go, nothing pauses, and each that is there stands for itself.
  @Test(arguments: [2, 9] as [UInt64]) func recordingsAreARing(seed: UInt64) throws {
    let bench = Bench()
    let recorder = bench.recorder {
      $0.segment = 40_000
      $0.longest = 300_000
      $0.total = 600_000
      $0.shareOfFree = 1
    }
    var plan = YearStretch.Plan()
    plan.nights = 3
    plan.callsPerDay = 12
    let stretch = YearStretch(seed: seed, plan: plan)
    Self.record(stretch.scene, with: recorder)
    stretch.run()
    recorder.flush()
    let files = try Self.sizes(bench.folder)
    #expect(files.count > 3)
    #expect(files.reduce(0) { $0 + $1.size } <= 600_000)
    #expect(bench.warnings.withLock { $0 }.isEmpty)
    for file in files {
      let bytes = Array(try #require(FileManager.default.contents(atPath: bench.folder + "/" + file.name)))
      let recording = try RecordedRun(parsing: bytes)
      #expect(recording.ending == nil && recording.handover != nil, "\(file.name)")
      #expect(ReplayAccount { _ in }.play(recording).differsAt == nil, "\(file.name)")
      // What a crash leaves.
      let torn = try RecordedRun(parsing: Array(bytes.dropLast(7)))
      #expect(torn.entries.count >= recording.entries.count - 1)
      #expect(ReplayAccount { _ in }.play(torn).differsAt == nil, "\(file.name)")
    }
    let incidents = recorder.incidents()
    #expect(!incidents.isEmpty)
    for incident in incidents {
      let recording = try Self.read(recorder.incident(incident.id))
      #expect(ReplayAccount { _ in }.play(recording).differsAt == nil, "\(incident.id)")
    }
  }

  /// A link that is never quiet fills its recording, which is said once; at the next quiet moment another one begins.
  @Test func aFullRecordingGoesOnWithTheNext() throws {
    let bench = Bench()
    let recorder = bench.recorder {
      $0.longest = 8000
      $0.shareOfFree = 1
    }
    Self.begin(recorder)
    for round in 0..<3 {
      for second in 0..<300 {
        Self.take(recorder, second: Int64(round * 1000 + second))
        if second % 20 == 0 { recorder.flush() }
      }
      #expect(recorder.wantsHandover)
      let now = MonotonicInstant(nanoseconds: Int64(round * 1000 + 300) * 1_000_000_000)
      var link = LinkCore(
        configuration: LinkConfiguration(), random: RandomSource(seed: 1), now: now, wallTime: WallTime(nanoseconds: 0))
      let given = link.handOver(random: LinkSeed([3]).source)
      let handover = try #require(given)
      // The clock was set back: the name is a later one all the same.
      recorder.handedOver(handover, LinkSeed([3]), now: now, wallTime: WallTime(nanoseconds: 0))
      recorder.flush()
      #expect(!recorder.wantsHandover)
      #expect(try Self.sizes(bench.folder).count == round + 2)
      #expect(bench.warnings.withLock { $0.count } == 1)
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
