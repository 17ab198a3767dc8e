import ArgumentParser
import DatagramSockets
import Dispatch
import Glibc
import NetworkTypes
import STUN
import STUNServer
import TrunklineDaemon

struct ServeSTUN: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "stun-server",
    abstract:
      "A STUN server on UDP: tells clients where their packets come from, and helps to find out what a NAT does.",
    discussion: """
      RFC 8489, RFC 3489, and with a second address and port RFC 5780. Without --listen it answers on port 3478 of every
      address of this machine. Each --alternate goes with the first --listen of its family; clients then find mapping,
      filtering and the RFC 3489 class. Ends with SIGTERM or Ctrl-C.

      Exit code 0, 64 for addresses that do not go together, 71 where a port cannot be opened.

      Example: trunkline stun-server --listen 203.0.113.1:3478 --alternate 203.0.113.2:3479
      """)

  @Option(help: ArgumentHelp("Where to answer; may be given several times.", valueName: "a:p"))
  var listen: [String] = []
  @Option(
    help: ArgumentHelp(
      "A second address with a second port, one for each family.", valueName: "a:p"))
  var alternate: [String] = []
  @Option(help: "How many threads answer; one for each processor where it is not given.")
  var threads: Int?
  @Option(
    help: "How many answers one source may have in a second from each thread; 0 for no limit.")
  var rate = BindingServerConfiguration.usualAnswersPerSecond

  func validate() throws {
    guard (1...256).contains(threads ?? 1) else {
      throw ValidationError("--threads takes 1 to 256.")
    }
    guard rate >= 0 else { throw ValidationError("--rate takes 0 or more.") }
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
    let (signals, sources) = Self.endSignals()
    let server: BindingServer
    do throws(DatagramSocketError) {
      server = try BindingServer(
        BindingServerConfiguration(
          endpoints: plan.endpoints, pairs: plan.pairs,
          threads: threads ?? DatagramThread.processorCount,
          answersPerSecond: rate, software: "Trunkline \(DaemonControl.version)"))
    } catch {
      Console.error("trunkline: \(error.sentence).")
      throw ExitCode(71)
    }
    for pair in plan.pairs {
      Console.print(
        "Answering on \(pair.primary) and \(pair.alternate), with both ports on both addresses.")
    }
    for endpoint in plan.endpoints { Console.print("Answering on \(endpoint).") }
    for sentence in plan.limitations { Console.print(sentence) }
    for await _ in signals { break }
    for source in sources { source.cancel() }
    server.stop()
    Console.print(
      "\(server.answerCount) answers; \(server.limitedCount) requests beyond the limit of their source."
    )
  }

  private static func endpoint(_ text: String) throws -> Endpoint {
    guard let endpoint = Endpoint(text) else {
      throw ValidationError(
        "\(text) is no address with a port, such as 203.0.113.1:3478 or [2001:db8::1]:3478.")
    }
    return endpoint
  }

  /// Gives an element when the process is asked to end, as long as the sources are held.
  private static func endSignals() -> (AsyncStream<Void>, [any DispatchSourceSignal]) {
    let (stream, continuation) = AsyncStream.makeStream(of: Void.self)
    let sources = [SIGTERM, SIGINT].map { number in
      // The source takes the signal's place.
      signal(number, SIG_IGN)
      let source = DispatchSource.makeSignalSource(signal: number)
      source.setEventHandler { continuation.yield() }
      source.resume()
      return source
    }
    return (stream, sources)
  }
}
