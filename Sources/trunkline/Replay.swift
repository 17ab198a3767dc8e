import ArgumentParser
import Dispatch
import Foundation
import Glibc
import LinkRecording
import LinkScenario
import NetworkTypes
import Synchronization

struct Replay: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Feeds a recorded incident through the link again, and prints what it decides and why.",
    discussion: """
      FILE is a recording from the daemon's folder, or what GET /api/v1/incidents/ID answers; - stands for standard input.
      Nothing is sent: the link's core is told what it was told then, at the same moments. Names, numbers and addresses are
      pseudonyms.

      With --seed it is an office of the simulated year instead, as the scenario tests run it: a test that fails names the
      number. With --year it is the whole year, 73 offices of five nights, over all processors.

      Exit code 0 when the replay decided as the recorded link did, 1 when this version decides otherwise or the simulated
      office broke a promise, 65 when FILE is no recording, 66 when it cannot be read.

      Example: trunkline replay incident.recording --last 60
      """)

  @Argument(help: "The recording.") var file: String?
  @Option(help: "Replay the simulated office of this seed.") var seed: UInt64?
  @Flag(help: "Run all offices of a simulated year.") var year = false
  @Option(help: "With --year: the first office's seed.") var from: UInt64 = 1
  @Option(help: "With --seed and --year: how many nights an office.") var nights = 5
  @Option(help: "With --seed and --year: how many calls a day.") var callsPerDay = 40
  @Option(help: "Print only the last so many seconds; all of it is replayed.") var last: Double?
  @Flag(help: "Print keepalives, counters and media commands too.") var all = false

  func validate() throws {
    guard [file != nil, seed != nil, year].count(where: { $0 }) == 1 else {
      throw ValidationError("Name a recording, or a seed, or the year.")
    }
    guard (1...400).contains(nights) else { throw ValidationError("--nights takes 1 to 400.") }
    guard (1...10_000).contains(callsPerDay) else { throw ValidationError("--calls-per-day takes 1 to 10000.") }
  }

  func run() throws {
    if let seed { return try replay(seed: seed) }
    if year { return try replayYear() }
    let recording = try read(file ?? "-")
    var account = ReplayAccount { Console.print($0) }
    account.tellsAll = all
    if let last, let end = recording.entries.last?.at {
      account.from = (end - recording.beginning).inSeconds - last
    }
    Console.print(
      "A link \(recording.handover == nil ? "that began" : "as it was") at \(recording.wallTime); "
        + "seconds since then, names and addresses are pseudonyms.\n")
    let outcome = account.play(recording)
    Console.print("")
    if let ending = recording.ending { Console.print("The recording ends early: \(ending).") }
    guard let place = outcome.differsAt else {
      Console.print("\(outcome.inputs) inputs; every decision is the one that was recorded.")
      return
    }
    Console.print(
      "\(outcome.inputs) inputs; from number \(place) on this version decides otherwise than the recorded one did.")
    throw ExitCode(1)
  }

  private func read(_ path: String) throws -> RecordedRun {
    let data: Data?
    if path == "-" {
      data = try? FileHandle.standardInput.readToEnd()
    } else {
      data = FileManager.default.contents(atPath: path)
    }
    guard let data else {
      Console.error("trunkline: \(path) cannot be read")
      throw ExitCode(66)
    }
    do { return try RecordedRun(parsing: Array(data)) } catch {
      Console.error("trunkline: \(path): \(error)")
      throw ExitCode(65)
    }
  }

  private func replay(seed: UInt64) throws {
    let stretch = YearStretch(seed: seed, plan: plan, capturesLine: all)
    stretch.run()
    for line in all ? stretch.accountWithLog : stretch.account { Console.print(line) }
    let digest = String(stretch.digest, radix: 16)
    Console.print("\nSeed \(seed): \(stretch.night) nights, \(stretch.calls) calls, trace \(digest).")
    guard !stretch.failures.isEmpty else {
      Console.print("Every promise held.")
      return
    }
    for failure in stretch.failures { Console.print("Broken: \(failure)") }
    throw ExitCode(1)
  }

  private var plan: YearStretch.Plan {
    var plan = YearStretch.Plan()
    plan.nights = nights
    plan.callsPerDay = callsPerDay
    return plan
  }

  /// What the offices of a year came to.
  private struct Totals {
    var offices = 0
    var nights = 0
    var calls = 0
    var broken: [(seed: UInt64, failure: YearStretch.Failure)] = []

    var sentence: String {
      "\(nights) nights, \(calls) calls, " + (broken.isEmpty ? "no promise broken" : "\(broken.count) promises broken")
    }
  }

  private static let offices = 73

  private func replayYear() throws {
    let totals = Mutex(Totals())
    let (plan, from) = (plan, from)
    // XSI has it count microseconds of all processors.
    let before = clock()
    DispatchQueue.concurrentPerform(iterations: Self.offices) { index in
      let seed = from &+ UInt64(index)
      let stretch = YearStretch(seed: seed, plan: plan)
      stretch.run()
      totals.withLock {
        $0.offices += 1
        $0.nights += stretch.night
        $0.calls += stretch.calls
        $0.broken += stretch.failures.map { (seed, $0) }
        if $0.offices % 5 == 0 { Console.print("\($0.offices) of \(Self.offices) offices: \($0.sentence).") }
      }
    }
    let seconds = Double(clock() - before) / 1e6
    let result = totals.withLock { $0 }
    let time = String(
      format: "%.1f min of processors, %.2f ms a call", seconds / 60, seconds * 1000 / Double(max(result.calls, 1)))
    Console.print("The year from seed \(from): \(result.sentence); \(time).")
    guard !result.broken.isEmpty else { return }
    let options =
      (nights == 5 ? "" : " --nights \(nights)") + (callsPerDay == 40 ? "" : " --calls-per-day \(callsPerDay)")
    for (seed, failure) in result.broken.sorted(by: { $0.seed < $1.seed }) {
      Console.print("Broken: \(failure). Again by: trunkline replay --seed \(seed)\(options)")
    }
    throw ExitCode(1)
  }
}
