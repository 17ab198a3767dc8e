import NIOCore
import NIOPosix
public import NetworkTypes
public import STUN

/// One question to STUN servers by UDP, TCP and TLS: ``STUNClient`` on sockets of this machine.
///
/// The client decides whom to ask, when the next one is asked and which answer counts; this opens ports and connections as it
/// says, and checks the certificates of those who answer by TLS.
public enum BindingQuery {
  /// Whose signature under a server's certificate counts.
  public enum Trust: Sendable, Hashable {
    /// Those of the system.
    case system
    /// Those in a file in PEM form, and no others.
    case file(String)
  }

  public struct Answer: Sendable, Equatable {
    public var mapping: STUNMapping
    /// Our end, whose public side the server has told; a wildcard address where the port was opened with one.
    public var local: Endpoint
  }

  /// Nobody gave an address: why not, for each server in their order.
  public struct Failure: Error, Sendable, Equatable {
    public var problems: [STUNClientProblem]
  }

  /// Asks the servers in their order.
  ///
  /// - Parameters:
  ///   - local: where requests leave from by UDP; by TCP and TLS from the same address, and a port of the system's choosing.
  ///     `nil` leaves both to the system.
  ///   - limit: for everything.
  ///   - random: for transaction IDs, which nobody may guess.
  ///   - now: the clock that deadlines are measured by.
  public static func ask(
    _ servers: [STUNTarget], credentials: STUNCredentials? = nil, from local: Endpoint? = nil, trust: Trust = .system,
    limit: Duration = .seconds(10), random: RandomSource, now: @escaping @Sendable () -> MonotonicInstant
  ) async throws(Failure) -> Answer {
    let client = STUNClient(servers: servers, credentials: credentials, random: random)
    // Reading all of the system's certificates takes a while, and is no work for an event loop.
    let security = servers.contains { $0.transport == .tls } ? Result { try BindingQueryRun.context(trust) } : nil
    let loop = MultiThreadedEventLoopGroup.singleton.next()
    let outcome = loop.makePromise(of: Result<Answer, Failure>.self)
    loop.execute {
      let run = BindingQueryRun(
        client: client, local: local, security: security, loop: loop, now: now, outcome: outcome)
      run.begin(limit: limit)
    }
    // The promise is kept with a result and never fails.
    guard let result = try? await outcome.futureResult.get() else {
      throw Failure(problems: servers.map { _ in .silent })
    }
    return try result.get()
  }
}
