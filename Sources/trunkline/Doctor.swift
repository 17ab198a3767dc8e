import ArgumentParser
import DatagramSockets
import Foundation
import LinkManager
import LinkRecording
import NetworkTypes
import Synchronization
import TrunklineDaemon

struct Doctor: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    abstract:
      "Proves or refutes each thing that the link needs: ports, names, STUN, SIP, the forward, media, the clock.",
    discussion: """
      Beside a running daemon the questions leave the daemon's own ports and disturb nothing. Without one the configured ports
      are opened for as long as it takes, and nothing is registered. Standard error shows what is still waited for. Each finding is proven, refuted or unprovable, with what
      was seen and the next step.

      --call lets each trunk call its own number: the call goes out and comes in again, both ends are here, and a tone is
      measured both ways. Without a daemon the trunks register for that, and unregister after it.

      Exit code 0, 1 when something is refuted, 64 without a file and without a daemon, 69 when the daemon examines already,
      71 when no port can be opened at all, 73 when the report cannot be written, 78 for a file that cannot be used.

      Example: trunkline doctor --call --report doctor.json
      """)

  @OptionGroup var configuration: ConfigurationOption
  @Flag(help: "Print one JSON document.") var json = false
  @Flag(help: "Let each trunk call its own number, and measure audio both ways.") var call = false
  @Option(
    help: ArgumentHelp("Write the evidence, without names, numbers, addresses and passwords.", valueName: "file"))
  var report: String?

  func run() async throws {
    let read = try configuration.file.map(ConfigurationOption.read)
    let found: DoctorReport
    if let client = try? ControlClient(configurationPath: configuration.file), (try? await client.status()) != nil {
      found = try await ask(client)
    } else if let read {
      let progress = ProgressLine()
      do {
        found = try await DoctorRunner.run(read, calls: call) { progress.show($0) }
      } catch {
        progress.end()
        Console.error("trunkline: \(error)")
        throw ExitCode(71)
      }
      progress.end()
    } else {
      Console.error(
        "trunkline: no daemon runs, and there is no \(ConfigurationFile.standardPath); name a file with --config")
      throw ExitCode(64)
    }
    if json {
      Console.print(try Self.text(found))
    } else {
      Console.print(Self.lines(found, calls: call).joined(separator: "\n"))
    }
    if let report { try write(found, to: report) }
    if found.result == .refuted { throw ExitCode(1) }
  }

  private func ask(_ client: ControlClient) async throws -> DoctorReport {
    let progress = ProgressLine()
    progress.show("the running daemon asks from its own ports")
    let beginning = ContinuousClock.now
    let watch = Task {
      while true {
        try await Task.sleep(for: .milliseconds(250))
        if let progressed = try? await client.doctorProgress() {
          if progressed.isRunning { progress.show(progressed) }
        } else if progress.isTerminal, !Task.isCancelled {
          // A daemon of an earlier version does not tell.
          let seconds = (ContinuousClock.now - beginning).components.seconds
          progress.show("the running daemon asks from its own ports, \(seconds) s")
        }
      }
    }
    let answer: Result<Data, any Error>
    do {
      answer = .success(
        try await client.send(
          "POST", "api/v1/doctor", query: call ? [URLQueryItem(name: "call", value: "true")] : [], timeout: 90))
    } catch { answer = .failure(error) }
    watch.cancel()
    _ = await watch.result
    progress.end()
    do { return try JSONDecoder().decode(DoctorReport.self, from: try answer.get()) } catch let failure
      as ControlClient.Failure
    {
      Console.error("trunkline: \(failure)")
      throw ExitCode(69)
    }
  }

  private func write(_ found: DoctorReport, to path: String) throws {
    var random = SystemRandom.source()
    let redacted = found.redacted(random: &random)
    do {
      try Data((try Self.text(redacted) + "\n").utf8).write(to: URL(fileURLWithPath: path))
    } catch {
      Console.error("trunkline: \(path) cannot be written: \(error.localizedDescription)")
      throw ExitCode(73)
    }
    Console.error("The report is in \(path).")
  }

  private static func text(_ report: DoctorReport) throws -> String {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
    return String(decoding: try encoder.encode(report), as: UTF8.self)
  }

  /// One screen of text.
  private static func lines(_ report: DoctorReport, calls: Bool) -> [String] {
    let pad = { (text: String, width: Int) in text + String(repeating: " ", count: max(1, width - text.count)) }
    var lines: [String] = []
    for finding in report.findings {
      let head = pad(finding.result.rawValue, 11) + pad(finding.need.rawValue, 13)
      lines.append("\(head)\(finding.subject.escapedForLog()): \(finding.evidence.escapedForLog(limit: 1000))")
      if let step = finding.nextStep { lines.append("           → \(step.escapedForLog(limit: 1000))") }
    }
    let counts = DoctorFinding.Result.allCases.map { result in
      "\(report.findings.count { $0.result == result }) \(result.rawValue)"
    }
    lines.append("\(counts.joined(separator: ", ")), in \(Int(report.seconds.rounded(.up))) s.")
    if !calls { lines.append("No call was made: --call proves audio both ways.") }
    return lines
  }
}

/// What is being done, on standard error: on a terminal one line that changes, elsewhere a line whenever something else is
/// waited for.
private final class ProgressLine: Sendable {
  let isTerminal = isatty(STDERR_FILENO) == 1
  private let shown = Mutex<[DoctorFinding.Need]>([])

  func show(_ progress: DoctorProgress) {
    let isNew = shown.withLock { shown in
      defer { shown = progress.waitingFor }
      return shown != progress.waitingFor
    }
    if isTerminal || isNew { show(progress.line) }
  }

  /// A terminal cuts a line that is too long for it, else it could not be written over.
  func show(_ text: String) { write(isTerminal ? "\r\u{1b}[K\u{1b}[?7l\(text)\u{1b}[?7h" : "\(text)\n") }

  func end() { if isTerminal { write("\r\u{1b}[K") } }

  private func write(_ text: String) { try? FileHandle.standardError.write(contentsOf: Data(text.utf8)) }
}
