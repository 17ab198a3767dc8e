import ArgumentParser
import TrunklineDaemon

@main struct Trunkline: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "trunkline",
    abstract:
      "A SIP link manager: it sits between telephones and SIP providers, behind a NAT router, and keeps the line up.",
    discussion: """
      Without a configuration file `trunkline run` starts a provider of its own, so that there is something to call:

        trunkline run

      Exit codes are those of sysexits.h: 69 unavailable, 71 a port cannot be opened, 78 bad configuration.
      """,
    version: DaemonControl.version,
    subcommands: [
      Run.self, Check.self, Status.self, Doctor.self, Reload.self, NAT.self, ServeSTUN.self, Firewall.self, Demo.self,
      Replay.self,
    ])
}

/// The configuration file of a verb.
struct ConfigurationOption: ParsableArguments {
  @Option(name: .customLong("config"), help: ArgumentHelp("The configuration file.", valueName: "file"))
  var path: String?

  /// The file that is named, or the one in the usual place; `nil` where there is neither.
  var file: String? {
    if let path { return path }
    return FileProbe.exists(ConfigurationFile.standardPath) ? ConfigurationFile.standardPath : nil
  }

  /// Reads a configuration; where it has mistakes they are printed, and the verb ends with 78.
  static func read(_ path: String) throws -> TrunklineConfiguration {
    let loaded = ConfigurationFile.load(path)
    for diagnostic in loaded.errors { Console.error("\(diagnostic)") }
    guard let read = loaded.configuration else { throw ExitCode(78) }
    return read
  }
}
