import ArgumentParser

struct Reload: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Lets the running daemon read its configuration again, as SIGHUP does.",
    discussion: """
      What did not change is not touched, and no call is dropped; a file with a mistake changes nothing. Exit code 0, 78 for
      a bad configuration, 69 without a daemon.

      Example: trunkline reload
      """)

  @OptionGroup var configuration: ConfigurationOption

  func run() async throws {
    do {
      _ = try await ControlClient(configurationPath: configuration.file).send("POST", "api/v1/reload")
    } catch let failure as ControlClient.Failure {
      Console.error("trunkline: \(failure)")
      if case .refused(422, _) = failure { throw ExitCode(78) }
      throw ExitCode(69)
    }
  }
}
