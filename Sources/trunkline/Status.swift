import ArgumentParser
import ControlAPI
import Foundation
import LinkManager
import NetworkTypes

struct Status: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Shows the running daemon: uplinks, trunks, phones, calls, and what went wrong lately.",
    discussion: """
      Exit code 0, 1 when a trunk that should be registered is not, 69 without a daemon.

      Example: trunkline status --watch
      """)

  @OptionGroup var configuration: ConfigurationOption
  @Flag(help: "Print the JSON document of the API.") var json = false
  @Flag(help: "Show it again every second, until Ctrl-C.") var watch = false

  func run() async throws {
    do {
      let client = try ControlClient(configurationPath: configuration.file)
      while true {
        let data = try await client.send("GET", "api/v1/status")
        let status = try JSONDecoder().decode(ControlStatus.self, from: data)
        let isRead: Bool
        if json {
          isRead = Console.print(String(decoding: data, as: UTF8.self))
        } else {
          let told = try await client.send("GET", "api/v1/verdicts")
          let verdicts = try JSONDecoder().decode([Verdict].self, from: told)
          isRead = Console.print((watch ? "\u{1b}[H\u{1b}[2J" : "") + Self.text(status, verdicts))
        }
        if !isRead { return }
        if !watch {
          if !json, let link = try? await client.dashboardLink() {
            Console.print("Dashboard: \(link) (works once, within an hour)")
          }
          if !status.trunksNotReady.isEmpty { throw ExitCode(1) }
          return
        }
        try await Task.sleep(for: .seconds(1))
      }
    } catch let failure as ControlClient.Failure {
      Console.error("trunkline: \(failure)")
      throw ExitCode(69)
    }
  }

  /// How many verdicts are shown, the newest first.
  private static let verdictLimit = 5

  private static func text(_ status: ControlStatus, _ verdicts: [Verdict]) -> String {
    var lines = ["trunkline \(status.version), up for \(Int(status.uptimeSeconds)) s"]
    for uplink in status.uplinks {
      let address = uplink.publicAddress.map { "\($0.ip) port \($0.port)" } ?? "not known"
      lines.append("uplink \(uplink.name): public address \(address)")
      if let mapping = uplink.portMapping {
        let port = mapping.externalPort.map { "port \($0), " } ?? ""
        lines.append("  port mapping by \(mapping.protocol): \(port)\(mapping.state)")
      }
      if let error = uplink.lastError { lines.append("  \(error.sentence.escapedForLog())") }
    }
    for trunk in status.trunks {
      lines.append("trunk \(trunk.name): \(trunk.state.rawValue), \(trunk.calls) calls, registrar \(trunk.registrar)")
      if let error = trunk.lastError { lines.append("  \(error.sentence.escapedForLog())") }
    }
    for phone in status.phones {
      let contacts = phone.contacts.map { $0.address.escapedForLog() }.joined(separator: ", ")
      lines.append("phone \(phone.extension) \(phone.name): \(contacts.isEmpty ? "not registered" : contacts)")
    }
    for call in status.calls {
      lines.append(
        "call \(call.id): \(call.direction), \(call.from.escapedForLog()) → \(call.to.escapedForLog()), \(call.state)")
    }
    for verdict in verdicts.prefix(verdictLimit) {
      lines.append("\(verdict.at) \(verdict.subject.escapedForLog()): \(verdict.sentence.escapedForLog(limit: 400))")
      lines.append("  \(verdict.evidence.escapedForLog(limit: 400))")
      lines.append("  \(verdict.nextStep.escapedForLog(limit: 400))")
    }
    return lines.joined(separator: "\n")
  }
}
