import ArgumentParser
import TrunklineDaemon

struct Check: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Reads the configuration as `run` would and prints every mistake.",
    discussion: """
      Each mistake is a line FILE:LINE:COLUMN: error: …; notes name keys that have no effect yet. Exit code 0, or 78.

      Example: trunkline check --config trunkline.yaml --print
      """)

  @OptionGroup var configuration: ConfigurationOption
  @Flag(name: .customLong("print"), help: "Print every key with the value in force; secrets are masked.")
  var prints = false

  func run() throws {
    guard let path = configuration.file else {
      Console.error("There is no \(ConfigurationFile.standardPath); `trunkline run` would run the embedded default.")
      return
    }
    let loaded = ConfigurationFile.load(path)
    for diagnostic in loaded.diagnostics { Console.error("\(diagnostic)") }
    guard loaded.configuration != nil else { throw ExitCode(78) }
    if prints { Console.print(loaded.printed()) }
  }
}
