import ArgumentParser
import DatagramSockets
import Dispatch
import Glibc
import NIOTransport
import NetworkTypes
import STUN
import STUNServer
import TrunklineDaemon

struct ServeSTUN: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "stun-server",
    abstract:
      "A STUN server on UDP, TCP and TLS: tells clients where their packets come from, and what their NAT does.",
    discussion: """
      RFC 8489, RFC 3489, and with a second address and port RFC 5780. Without --listen it answers on port 3478 of every
      address of this machine, by UDP and TCP. Each --alternate goes with the first --listen of its family; clients then find
      mapping, filtering and the RFC 3489 class. With --tls-certificate it answers by TLS as well, on port 5349 of the same
      addresses where no --tls-listen is given; SIGHUP reads the certificate again. Ends with SIGTERM or Ctrl-C.

      Exit code 0, 64 for addresses that do not go together, 71 where a port cannot be opened, 78 for a certificate that
      cannot be used.

      Example: trunkline stun-server --listen 203.0.113.1:3478 --alternate 203.0.113.2:3479
      """)

  @Option(help: ArgumentHelp("Where to answer; may be given several times.", valueName: "a:p"))
  var listen: [String] = []
  @Option(
    help: ArgumentHelp(
      "A second address with a second port, one for each family.", valueName: "a:p"))
  var alternate: [String] = []
  @Option(help: ArgumentHelp("Where to answer by TLS; may be given several times.", valueName: "a:p"))
  var tlsListen: [String] = []
  @Option(help: ArgumentHelp("The certificate, with what leads to a root; PEM.", valueName: "file"))
  var tlsCertificate: String?
  @Option(help: ArgumentHelp("Its private key, where that is not in the same file; PEM.", valueName: "file"))
  var tlsKey: String?
  @Option(help: "How many threads answer by UDP; one for each processor where it is not given.")
  var threads: Int?
  @Option(
    help: "How many answers one source may have in a second from each thread, and on connections; 0 for no limit.")
  var rate = BindingServerConfiguration.usualAnswersPerSecond

  func validate() throws {
    guard (1...256).contains(threads ?? 1) else {
      throw ValidationError("--threads takes 1 to 256.")
    }
    guard rate >= 0 else { throw ValidationError("--rate takes 0 or more.") }
    guard tlsCertificate != nil || tlsListen.isEmpty && tlsKey == nil else {
      throw ValidationError("TLS needs a certificate: --tls-certificate FILE.")
    }
  }

  func run() async throws {
    var addresses = try listen.map(Self.endpoint)
    if addresses.isEmpty {
      addresses = [Endpoint(.anyV4, port: 3478)]
      if HostInterfaces.addresses().contains(where: { $0.address.isV6 }) {
        addresses.append(Endpoint(.anyV6, port: 3478))
      }
    }
    let plan: BindingServerPlan
    do {
      plan = try BindingServerPlan(listen: addresses, alternate: try alternate.map(Self.endpoint))
    } catch let mistake as BindingServerPlan.Mistake {
      throw ValidationError("\(mistake.sentence).")
    }
    let secure = try tlsAddresses(addresses)
    var certificate: ServerCertificate?
    do throws(ServerCertificate.Mistake) {
      certificate = try readCertificate()
    } catch {
      Console.error("trunkline: \(error.sentence).")
      throw ExitCode(78)
    }
    let (signals, sources) = Self.signals(reloads: certificate != nil)
    let (datagrams, streams, bound) = try open(plan, secure, certificate)
    for pair in plan.pairs {
      Console.print(
        "Answering on \(pair.primary) and \(pair.alternate), with both ports on both addresses, by UDP and TCP.")
    }
    for endpoint in datagrams.endpoints.dropFirst(4 * plan.pairs.count) {
      Console.print("Answering on \(endpoint), by UDP and TCP.")
    }
    for endpoint in bound { Console.print("Answering on \(endpoint), by TLS.") }
    for sentence in plan.limitations { Console.print(sentence) }
    for await number in signals {
      guard number == SIGHUP else { break }
      reloadCertificate(streams)
    }
    for source in sources { source.cancel() }
    streams.stop()
    datagrams.stop()
    Console.print(
      "\(datagrams.answerCount) answers by UDP, \(streams.answerCount) by TCP and TLS; "
        + "\(datagrams.limitedCount) requests beyond the limit of their source.")
  }

  /// Opens every port, or none.
  private func open(
    _ plan: BindingServerPlan, _ secure: [Endpoint], _ certificate: ServerCertificate?
  ) throws -> (BindingServer, BindingStreamServer, secure: [Endpoint]) {
    let software = "Trunkline \(DaemonControl.version)"
    let datagrams: BindingServer
    do throws(DatagramSocketError) {
      datagrams = try BindingServer(
        BindingServerConfiguration(
          endpoints: plan.endpoints, pairs: plan.pairs, threads: threads ?? DatagramThread.processorCount,
          answersPerSecond: rate, software: software))
    } catch {
      Console.error("trunkline: \(error.sentence).")
      throw ExitCode(71)
    }
    var limits = BindingStreamServer.Limits()
    limits.requestsPerSecond = rate
    if rate == 0 { limits.newConnectionsPerSecond = 0 }
    var random = SystemRandom.source()
    let streams = BindingStreamServer(limits: limits, software: software, random: &random, now: SystemClock.now)
    var bound: [Endpoint] = []
    do throws(SIPStreamServerError) {
      // The same ports that UDP has. Of a pair, the fourth is the one that differs from the first in both.
      for (index, endpoint) in datagrams.endpoints.enumerated() {
        let other = index < 4 * plan.pairs.count ? datagrams.endpoints[index ^ 3] : nil
        try streams.listen(at: endpoint, other: other)
      }
      if let certificate { streams.setCertificate(certificate) }
      for endpoint in secure { bound.append(try streams.listen(at: endpoint, isTLS: true)) }
    } catch {
      streams.stop()
      datagrams.stop()
      Console.error("trunkline: \(error.sentence).")
      throw ExitCode(71)
    }
    return (datagrams, streams, bound)
  }

  /// Where TLS is served: what was named, or port 5349 (RFC 7064) of the other addresses.
  private func tlsAddresses(_ addresses: [Endpoint]) throws -> [Endpoint] {
    guard tlsCertificate != nil else { return [] }
    guard tlsListen.isEmpty else { return try tlsListen.map(Self.endpoint) }
    var found: [Endpoint] = []
    for endpoint in addresses.map({ Endpoint($0.address, port: 5349) }) where !found.contains(endpoint) {
      found.append(endpoint)
    }
    return found
  }

  private func readCertificate() throws(ServerCertificate.Mistake) -> ServerCertificate? {
    guard let tlsCertificate else { return nil }
    // RFC 7443 has the name of this use of STUN.
    return try ServerCertificate(
      chain: tlsCertificate, key: tlsKey, protocols: ["stun.nat-discovery"], now: SystemClock.wallTime())
  }

  /// A mistake changes nothing.
  private func reloadCertificate(_ streams: BindingStreamServer) {
    do throws(ServerCertificate.Mistake) {
      guard let certificate = try readCertificate() else { return }
      streams.setCertificate(certificate)
      Console.print("The certificate has been read again.")
    } catch {
      Console.error("trunkline: \(error.sentence). The former one stays in use.")
    }
  }

  private static func endpoint(_ text: String) throws -> Endpoint {
    guard let endpoint = Endpoint(text) else {
      throw ValidationError(
        "\(text) is no address with a port, such as 203.0.113.1:3478 or [2001:db8::1]:3478.")
    }
    return endpoint
  }

  /// Gives SIGTERM, SIGINT and, where the certificate can be read again, SIGHUP, as long as the sources are held.
  private static func signals(reloads: Bool) -> (AsyncStream<Int32>, [any DispatchSourceSignal]) {
    let (stream, continuation) = AsyncStream.makeStream(of: Int32.self)
    let sources = ([SIGTERM, SIGINT] + (reloads ? [SIGHUP] : [])).map { number in
      // The source takes the signal's place.
      signal(number, SIG_IGN)
      let source = DispatchSource.makeSignalSource(signal: number)
      source.setEventHandler { continuation.yield(number) }
      source.resume()
      return source
    }
    return (stream, sources)
  }
}
