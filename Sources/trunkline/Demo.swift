import ArgumentParser
import DatagramSockets
import Foundation
import TrunklineDaemon

struct Demo: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Shows a call that outlives its line, on one machine and with no other software.",
    discussion: """
      A provider, a NAT router, a telephone and a far end live in this process, around the very link that `trunkline run`
      runs, and talk over real sockets at loopback addresses. A call is up; the line is cut, and comes back with another
      public address; the call goes on. Writes what the far end heard, and a picture of it all.

      Exit code 0 if every promise held, 1 with the one that broke, 71 when a port cannot be opened.

      Example: trunkline demo --seconds 30 --cut-every 10
      """)

  @Option(help: "How long the call is, 2 to 600 seconds.") var seconds = 20
  @Option(help: "Cut the line every so many seconds of the call, 3 to 600; 0 for never.") var cutEvery = 7
  @Option(help: "Where to write what the far end heard.") var output = "demo.wav"
  @Option(help: "Where to write the picture.") var picture = "demo.svg"
  @Flag(help: "A far end that follows our packets, instead of one that sends only where the SDP says.") var latching =
    false

  func validate() throws {
    guard (2...600).contains(seconds) else { throw ValidationError("--seconds takes 2 to 600.") }
    guard cutEvery == 0 || (3...600).contains(cutEvery) else {
      throw ValidationError("--cut-every takes 3 to 600, or 0.")
    }
  }

  func run() async throws {
    ProcessSetup.prepareForDaemon()
    var plan = DemoRun.Plan(seconds: Double(seconds), cutEvery: cutEvery == 0 ? 1e6 : Double(cutEvery))
    plan.isStrict = !latching
    let outcome: DemoRun.Outcome
    do { outcome = try await DemoRun(plan, print: { Console.print($0) }).run() } catch {
      Console.error("trunkline: \(error)")
      throw ExitCode(71)
    }
    try Data(WaveFile.encode(outcome.farHeard)).write(to: URL(fileURLWithPath: output))
    var written = "What the far end heard: \(output)"
    if let drawn = outcome.picture {
      try Data(drawn.svg().utf8).write(to: URL(fileURLWithPath: picture))
      written += "\nThe picture:            \(picture)"
    }
    Console.print("\n\(written)")
    guard let broken = outcome.broken else {
      Console.print("Every promise held.")
      return
    }
    Console.print("Broken: \(broken).")
    throw ExitCode(1)
  }
}
