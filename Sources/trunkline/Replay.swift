import ArgumentParser
import Foundation
import LinkRecording
import LinkScenario
import NetworkTypes

struct Replay: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Feeds a recorded incident through the link again, and prints what it decides and why.",
    discussion: """
      FILE is a recording from the daemon's folder, or what GET /api/v1/incidents/ID answers; - stands for standard input.
      Nothing is sent: the link's core is told what it was told then, at the same moments. Names, numbers and addresses are
      pseudonyms.

      With --seed it is an office of the simulated year instead, as the scenario tests run it: a test that fails names the
      number.

      Exit code 0 when the replay decided as the recorded link did, 1 when this version decides otherwise or the simulated
      office broke a promise, 65 when FILE is no recording, 66 when it cannot be read.

      Example: trunkline replay incident.recording --last 60
      """)

  @Argument(help: "The recording.") var file: String?
  @Option(help: "Replay the simulated office of this seed.") var seed: UInt64?
  @Option(help: "With --seed: how many nights.") var nights = 5
  @Option(help: "With --seed: how many calls a day.") var callsPerDay = 40
  @Option(help: "Print only the last so many seconds; all of it is replayed.") var last: Double?
  @Flag(help: "Print keepalives, counters and media commands too.") var all = false

  func validate() throws {
    guard (file == nil) != (seed == nil) else { throw ValidationError("Name a recording, or a seed.") }
    guard (1...400).contains(nights) else { throw ValidationError("--nights takes 1 to 400.") }
    guard (1...10_000).contains(callsPerDay) else { throw ValidationError("--calls-per-day takes 1 to 10000.") }
  }

  func run() throws {
    if let seed { return try replay(seed: seed) }
    let recording = try read(file ?? "-")
    var account = ReplayAccount { Console.print($0) }
    account.tellsAll = all
    if let last, let end = recording.entries.last?.at {
      account.from = (end - recording.beginning).inSeconds - last
    }
    Console.print(
      "A link that began at \(recording.wallTime); seconds since then, names and addresses are pseudonyms.\n")
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
    var plan = YearStretch.Plan()
    plan.nights = nights
    plan.callsPerDay = callsPerDay
    let stretch = YearStretch(seed: seed, plan: plan)
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
}
