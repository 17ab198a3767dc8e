import ArgumentParser
import DatagramSockets
import EmbeddedProvider
import NetworkTypes
import TrunklineDaemon

struct Run: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Runs the link until SIGTERM or SIGINT.",
    discussion: """
      With no file named and no \(ConfigurationFile.standardPath), the embedded default runs: a provider and a STUN server
      on loopback, a trunk there, two phone accounts, an echo service to dial (*43) and a tone (*44).

      SIGHUP reads the configuration again. Exit code 0 after SIGTERM or SIGINT, 71 when a port cannot be opened, 78 for a
      bad configuration.

      Example: trunkline run --config /etc/trunkline/trunkline.yaml
      """)

  @OptionGroup var configuration: ConfigurationOption

  func run() async throws {
    ProcessSetup.prepareForDaemon()
    let daemon: Daemon
    var embedded: EmbeddedDefault?
    if let path = configuration.file {
      let loaded = ConfigurationFile.load(path)
      for diagnostic in loaded.diagnostics { Console.error("\(diagnostic)") }
      guard let read = loaded.configuration else { throw ExitCode(78) }
      daemon = Daemon(configuration: read, path: path)
    } else {
      var random = SystemRandom.source()
      let standard = EmbeddedDefault(interfaces: Daemon.interfaces(), random: &random)
      embedded = standard
      daemon = Daemon(embedded: standard)
    }
    do {
      try await daemon.run { [embedded] url, token, link in
        if let embedded {
          Console.print(Self.welcome(embedded, url: url, token: token, link: link))
        } else {
          Console.print("Dashboard: \(link)\n(the link works once, within an hour)")
        }
      }
    } catch let failure as DaemonFailure {
      Console.error("trunkline: \(failure)")
      throw ExitCode(failure.exitCode)
    }
  }

  private static func welcome(_ embedded: EmbeddedDefault, url: String, token: String, link: String) -> String {
    let accounts = embedded.accounts.map { "  \($0.extensionNumber)   password \($0.password.value)   \($0.name)" }
    let addresses = embedded.phoneAddresses.map { "  \(Endpoint($0, port: embedded.lanPort))" }
    return """

      Trunkline runs with its embedded default: a provider of its own, on this machine only.

      Phone accounts (user name, password):
      \(accounts.joined(separator: "\n"))

      Registrar to enter in a phone (UDP), whichever it can reach:
      \(addresses.joined(separator: "\n"))

      Dial *43 to hear yourself (echo), *44 for a tone, 10 or 20 for the other phone.

      Dashboard: \(link)
      (the link works once, within an hour; no phone at hand? press Call there)
      API token: \(token)

      For a real provider write \(ConfigurationFile.standardPath); README has a first one.
      Ctrl-C ends it.

      """
  }
}
