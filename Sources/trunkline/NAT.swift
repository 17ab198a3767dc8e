import ArgumentParser
import DatagramSockets
import Foundation
import LinkManager
import NATDiscovery
import NameResolver
import NetworkTypes
import TrunklineDaemon

struct NAT: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "nat",
    abstract: "Finds out which NAT or firewall stands between this machine and the internet.",
    discussion: """
      Asks STUN servers, from ports of its own, and says what the answers mean for telephony. With no server named, those of
      the configuration file are asked. A server with two addresses (RFC 5780 or RFC 3489) shows everything; of those with
      one address two are needed to see how ports are mapped.

      Exit code 0, 69 when no server answered, 71 when the port of --bind cannot be opened.

      Example: trunkline nat stun.example.org:3478 --lifetime
      """)

  @Argument(
    help: ArgumentHelp(
      "STUN servers, HOST, HOST:PORT or stun:HOST:PORT; port 3478 where none is given.", valueName: "server"))
  var servers: [String] = []
  @Flag(help: "Print one JSON document.") var json = false
  @Option(help: ArgumentHelp("The port to examine; port 0 lets the system choose.", valueName: "addr:port"))
  var bind: String?
  @Flag(help: "Measure how long a port stays open without traffic; takes as long as that, ten minutes at most.")
  var lifetime = false
  @OptionGroup var configuration: ConfigurationOption

  func validate() throws {
    for server in servers where Self.hostPort(server) == nil {
      throw ValidationError("“\(server)” is not HOST, HOST:PORT, ADDRESS:PORT or [ADDRESS]:PORT.")
    }
    if let bind, Endpoint(bind) == nil { throw ValidationError("--bind takes ADDRESS:PORT, [ADDRESS]:PORT for IPv6.") }
  }

  func run() async throws {
    let named = servers.isEmpty ? try configuredServers() : servers.compactMap(Self.hostPort)
    let wanted = bind.flatMap { Endpoint($0) }
    let endpoints = await Self.resolve(named, isV4: wanted.map(\.address.isV4))
    guard let first = endpoints.first else {
      Console.error("trunkline: no address is known for \(named.map(\.description).joined(separator: ", "))")
      throw ExitCode(69)
    }
    var local = wanted ?? Endpoint(first.address.isV4 ? .anyV4 : .anyV6, port: 0)
    if local.address.isUnspecified {
      guard let address = HostInterfaces.sourceAddress(towards: first.address) else {
        Console.error("trunkline: there is no route to \(first.address)")
        throw ExitCode(69)
      }
      local.address = address
    }
    let settings = DiscoverySettings(
      servers: endpoints.filter { $0.address.isV4 == local.address.isV4 }, local: local, measuresLifetime: lifetime)
    let report = try await Self.discover(settings)
    if json {
      let encoder = JSONEncoder()
      encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
      Console.print(String(decoding: try encoder.encode(report), as: UTF8.self))
    } else {
      Console.print(report.text)
    }
    if report.server == nil { throw ExitCode(69) }
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

  private func configuredServers() throws -> [HostPort] {
    guard let path = configuration.file else {
      Console.error(
        "trunkline: name a STUN server, as in `trunkline nat stun.example.org`: there is no "
          + "\(ConfigurationFile.standardPath) to take one from")
      throw ExitCode(64)
    }
    let loaded = ConfigurationFile.load(path)
    for diagnostic in loaded.errors { Console.error("\(diagnostic)") }
    guard let read = loaded.configuration else { throw ExitCode(78) }
    var found: [HostPort] = []
    for server in read.link.uplinks.flatMap(\.stunServers) where !found.contains(server) { found.append(server) }
    guard !found.isEmpty else {
      Console.error("trunkline: \(path) names no STUN server; name one, as in `trunkline nat stun.example.org`")
      throw ExitCode(64)
    }
    return found
  }

  private static func hostPort(_ written: String) -> HostPort? {
    // RFC 7064 writes a server as a URI.
    let text = written.hasPrefix("stun:") ? String(written.dropFirst(5)) : written
    if let endpoint = Endpoint(text) { return HostPort(host: endpoint.address.description, port: endpoint.port) }
    if IPAddress(text) != nil { return HostPort(host: text) }
    let parts = text.split(separator: ":", omittingEmptySubsequences: false)
    guard let host = parts.first, !host.isEmpty, parts.count <= 2, !host.contains(where: { " /[]".contains($0) }) else {
      return nil
    }
    guard parts.count == 2 else { return HostPort(host: String(host)) }
    return UInt16(parts[1]).flatMap { $0 == 0 ? nil : HostPort(host: String(host), port: $0) }
  }

  /// The addresses of the servers in their order; of the family that is wanted, else of the first one's.
  private static func resolve(_ servers: [HostPort], isV4: Bool?) async -> [Endpoint] {
    let resolver = SystemResolver()
    var found: [Endpoint] = []
    for server in servers {
      let addresses: [IPAddress]
      if let address = server.address {
        addresses = [address]
      } else {
        addresses = await withCheckedContinuation { continuation in
          resolver.resolve(server.host) { continuation.resume(returning: $0) }
        }
      }
      let family = isV4 ?? found.first?.address.isV4
      // NAT is about IPv4: where a server has both, and nothing else was asked for, that is examined.
      let suitable = addresses.filter { family == nil || $0.isV4 == family }
      if let address = suitable.first(where: \.isV4) ?? suitable.first {
        found.append(Endpoint(address, port: server.port ?? 3478))
      }
    }
    return found
  }
}
