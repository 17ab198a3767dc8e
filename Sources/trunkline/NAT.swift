import ArgumentParser
import DatagramSockets
import Foundation
import LinkManager
import NATDiscovery
import NIOTransport
import NetworkTypes
import RouterControl
import STUN
import TrunklineDaemon

struct NAT: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "nat",
    abstract: "Finds out which NAT or firewall stands between this machine and the internet.",
    discussion: """
      Asks STUN servers, from ports of its own, and says what the answers mean for telephony. With no server named, those of
      the configuration file are asked. A server with two addresses (RFC 5780 or RFC 3489) shows everything; of those with
      one address two are needed to see how ports are mapped.

      What a router does with UDP shows only over UDP. A server that is asked by TLS (stuns:), by TCP or with a name and a
      password tells the public address, and so do those that do not answer over UDP but by TCP.

      Exit code 0, 69 when no server answered (over UDP, where that was asked), 71 when the port of --bind cannot be opened, 78 for a file that cannot be used.

      Examples: trunkline nat stun.example.org:3478 --lifetime
                trunkline nat stuns:stun.example.org
                trunkline nat stun:stun.example.org --username me --password env:STUN_PASSWORD
      """)

  @Argument(
    help: ArgumentHelp(
      "STUN servers: HOST, HOST:PORT, or a stun: or stuns: URI. A host without a port may be a domain that names its "
        + "servers in DNS (SRV); else port 3478 is asked, 5349 with TLS.", valueName: "server"))
  var servers: [String] = []
  @Flag(help: "Print one JSON document.") var json = false
  @Option(help: ArgumentHelp("The port to examine; port 0 lets the system choose.", valueName: "addr:port"))
  var bind: String?
  @Flag(help: "Measure how long a port stays open without traffic; takes as long as that, ten minutes at most.")
  var lifetime = false
  @Flag(help: "Ask by TCP; stuns: servers are asked by TLS in any case.") var tcp = false
  @Option(help: ArgumentHelp("The name for servers that want one.", valueName: "name")) var username: String?
  @Option(help: ArgumentHelp("Its password, from where nobody else sees it.", valueName: "env:name|file:path"))
  var password: String?
  @Flag(help: "Name and password are short-term credentials, which every request carries (RFC 8489 section 9.1).")
  var shortTerm = false
  @Option(help: ArgumentHelp("Who may vouch for stuns: servers, instead of the system's list; PEM.", valueName: "file"))
  var trust: String?
  @OptionGroup var configuration: ConfigurationOption

  func validate() throws {
    for server in servers where NamedServer(server) == nil {
      throw ValidationError(
        "“\(server)” is not HOST, HOST:PORT, ADDRESS:PORT, [ADDRESS]:PORT, stun:HOST or stuns:HOST.")
    }
    if let bind, Endpoint(bind) == nil { throw ValidationError("--bind takes ADDRESS:PORT, [ADDRESS]:PORT for IPv6.") }
    guard (username == nil) == (password == nil), username != nil || !shortTerm else {
      throw ValidationError("--username and --password go together.")
    }
    if let password, !["env:", "file:"].contains(where: { password.hasPrefix($0) && password != $0 }) {
      throw ValidationError(
        "--password takes env:NAME or file:PATH, so that the password is in nobody's list of commands.")
    }
  }

  func run() async throws {
    let credentials = try credentials()
    let named = servers.isEmpty ? try configuredServers() : servers.compactMap { NamedServer($0) }
    let wanted = bind.flatMap { Endpoint($0) }
    let targets = await NamedServer.targets(of: named, byTCP: tcp, isV4: wanted.map(\.address.isV4))
    guard let first = targets.first else {
      let all = named.map(\.description).joined(separator: ", ")
      guard let wanted, await !NamedServer.targets(of: named, byTCP: tcp, isV4: nil).isEmpty else {
        throw try nobodyAsked("no address is known for \(all)", wanted ?? Endpoint(.anyV4, port: 0))
      }
      throw try nobodyAsked(
        "no \(wanted.address.isV4 ? "IPv4" : "IPv6") address is known for \(all), and --bind is one", wanted)
    }
    var local = wanted ?? Endpoint(first.endpoint.address.isV4 ? .anyV4 : .anyV6, port: 0)
    if local.address.isUnspecified {
      guard let address = HostInterfaces.sourceAddress(towards: first.endpoint.address) else {
        throw try nobodyAsked("there is no route to \(first.endpoint.address)", local)
      }
      local.address = address
    }
    let reachable = targets.filter { $0.endpoint.address.isV4 == local.address.isV4 }
    let report = try await report(on: reachable, local, credentials)
    if json {
      try printDocument(report)
    } else {
      Console.print(report.text)
    }
    // Of a server that is asked by TCP only because none answers over UDP no script takes the line for a good one.
    if report.server == nil || report.natType == .blocked { throw ExitCode(69) }
  }

  private func printDocument(_ report: NATReport) throws {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
    Console.print(String(decoding: try encoder.encode(report), as: UTF8.self))
  }

  /// Says why, also in the document that was wanted.
  private func nobodyAsked(_ why: String, _ local: Endpoint) throws -> ExitCode {
    Console.error("trunkline: \(why)")
    if json { try printDocument(NATReport(localAddress: local, unasked: why)) }
    return ExitCode(69)
  }

  /// What the servers show over UDP; where none of them can, what one of them tells by other means.
  private func report(
    on targets: [STUNTarget], _ local: Endpoint, _ credentials: STUNCredentials?
  ) async throws -> NATReport {
    let datagrams = targets.filter { $0.transport == .udp && credentials == nil }
    let others = targets.filter { !datagrams.contains($0) }
    var found = NATReport(localAddress: local)
    if !datagrams.isEmpty {
      let settings = DiscoverySettings(
        servers: datagrams.map(\.endpoint), local: local, measuresLifetime: lifetime,
        router: DefaultRouter.find(boundTo: local.address)?.address)
      found = try await Self.discover(settings)
      if found.server != nil { return found }
    }
    // Whoever does not answer over UDP may do so by TCP, at the same port.
    let asked = others.isEmpty ? datagrams.map { STUNTarget($0.endpoint, transport: .tcp, domain: $0.domain) } : others
    do throws(BindingQuery.Failure) {
      let answer = try await BindingQuery.ask(
        asked, credentials: credentials, from: bind != nil || asked.contains { $0.transport == .udp } ? local : nil,
        trust: trust.map { .file($0) } ?? .system, limit: datagrams.isEmpty ? .seconds(9) : .seconds(3),
        random: SystemRandom.source(), now: { SystemClock.now() })
      var own = answer.local
      if own.address.isUnspecified { own.address = local.address }
      return NATReport(
        publicAddress: answer.mapping.mapped, localAddress: own, server: answer.mapping.server.endpoint,
        transport: answer.mapping.server.transport, isUDPSilent: !datagrams.isEmpty)
    } catch {
      // Of those that were asked by TCP only because they are silent nothing more has to be said.
      for (target, problem) in zip(asked, error.problems) where !others.isEmpty {
        Console.error("trunkline: \(problem.sentence(about: target))")
      }
      return datagrams.isEmpty ? NATReport(localAddress: local, silentTransports: others.map(\.transport)) : found
    }
  }

  /// On a terminal one line that changes, elsewhere a line each.
  private static func discover(_ settings: DiscoverySettings) async throws -> NATReport {
    let isTerminal = isatty(STDERR_FILENO) == 1
    do throws(DatagramSocketError) {
      let report = try await DiscoveryRunner.run(settings) { line in
        let text = isTerminal ? "\r\u{1b}[K\(line)" : "\(line)\n"
        try? FileHandle.standardError.write(contentsOf: Data(text.utf8))
      }
      if isTerminal { try? FileHandle.standardError.write(contentsOf: Data("\r\u{1b}[K".utf8)) }
      return report
    } catch {
      Console.error("trunkline: \(error.sentence)")
      throw ExitCode(71)
    }
  }

  private func configuredServers() throws -> [NamedServer] {
    guard let path = configuration.file else {
      Console.error(
        "trunkline: name a STUN server, as in `trunkline nat stun.example.org`: there is no "
          + "\(ConfigurationFile.standardPath) to take one from")
      throw ExitCode(64)
    }
    let read = try ConfigurationOption.read(path)
    var found: [NamedServer] = []
    for server in read.link.uplinks.flatMap(\.stunServers).map({ NamedServer($0.host, $0.port) })
    where !found.contains(server) { found.append(server) }
    guard !found.isEmpty else {
      Console.error("trunkline: \(path) names no STUN server; name one, as in `trunkline nat stun.example.org`")
      throw ExitCode(64)
    }
    return found
  }

  private func credentials() throws -> STUNCredentials? {
    guard let username, let password else { return nil }
    let secret: String?
    if password.hasPrefix("env:") {
      secret = ProcessInfo.processInfo.environment[String(password.dropFirst(4))]
    } else {
      secret = try? String(contentsOfFile: String(password.dropFirst(5)), encoding: .utf8)
    }
    guard let secret, case let word = secret.trimmingCharacters(in: .newlines), !word.isEmpty else {
      Console.error("trunkline: there is no password in \(password)")
      throw ExitCode(78)
    }
    return shortTerm
      ? .shortTerm(username: username, password: Redacted(word))
      : .longTerm(username: username, password: Redacted(word))
  }
}
