public import DatagramSockets
public import NetworkTypes
public import STUN
import Synchronization

/// A STUN server on UDP: ``BindingResponder`` on sockets of a ``DatagramLoop``.
///
/// Each answer leaves from the address that was asked, also where a wildcard is bound. No answer takes memory of its own.
public final class BindingServer: Sendable {
  private let loop: DatagramLoop
  private let shell: Shell
  /// Where it listens, with the ports that the system chose where 0 was asked for.
  public let endpoints: [Endpoint]

  /// Opens the sockets and starts the server's thread.
  ///
  /// - Parameters:
  ///   - endpoints: the addresses and ports to listen on.
  ///   - responder: what answers.
  /// - Throws: the sentence that names the port which could not be opened; nothing is left open then.
  public init(listeningOn endpoints: [Endpoint], responder: BindingResponder) throws(DatagramSocketError) {
    let loop = try DatagramLoop(name: "stun-server")
    var bound: [Endpoint] = []
    for endpoint in endpoints {
      let id = try loop.open(local: endpoint)
      bound.append(loop.localEndpoint(id) ?? endpoint)
    }
    self.endpoints = bound
    self.loop = loop
    shell = Shell(loop: loop, responder: responder)
    try loop.start(handler: shell)
  }

  deinit { loop.stop() }

  /// Ends it and closes its ports, as letting go of it does.
  public func stop() { loop.stop() }

  /// How many requests were answered, refusals included.
  public var answerCount: UInt64 { shell.answerCount.load(ordering: .relaxed) }
}
