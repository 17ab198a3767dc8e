public import DatagramSockets
public import NetworkTypes
import STUN
import Synchronization

/// A STUN server on UDP: ``BindingResponder`` on sockets of its own, a set of them for each thread.
///
/// Each answer leaves from the address that was asked, also where a wildcard is bound, or from the one that CHANGE-REQUEST
/// names. No answer takes memory of its own.
public final class BindingServer: Sendable {
  private let workers: [Worker]
  private let threads: Mutex<[DatagramThread]>
  /// Where it listens, with the ports that the system chose where 0 was asked for: of each pair all
  /// four, then those that stand for themselves.
  public let endpoints: [Endpoint]

  /// Opens the sockets and starts the server's threads.
  ///
  /// - Throws: the sentence that names the port which could not be opened; nothing is left open then.
  public init(_ configuration: BindingServerConfiguration) throws(DatagramSocketError) {
    let count = max(1, configuration.threads)
    var random = SystemRandom.source()
    var workers: [Worker] = []
    for _ in 0..<count {
      workers.append(
        try Worker(
          responder: BindingResponder(software: configuration.software),
          limit: SourceRateLimit(perSecond: configuration.answersPerSecond, random: &random)))
    }
    var bound: [Endpoint] = []
    do throws(DatagramSocketError) {
      // First, so that the place of a socket among a worker's tells where it is in its pair.
      for pair in configuration.pairs {
        let all = pair.all
        for index in all.indices { bound.append(try Self.open(all[index], other: all[index ^ 3], workers)) }
      }
      for endpoint in configuration.endpoints {
        bound.append(try Self.open(endpoint, other: nil, workers))
      }
      endpoints = bound
      self.workers = workers
      var threads: [DatagramThread] = []
      for worker in workers {
        do throws(DatagramSocketError) {
          threads.append(try DatagramThread(name: "stun-server") { worker.run() })
        } catch {
          for worker in workers { worker.stop() }
          for thread in threads { thread.join() }
          throw error
        }
      }
      self.threads = Mutex(threads)
    } catch {
      for worker in workers { worker.closeSockets() }
      throw error
    }
  }

  deinit { stop() }

  /// Ends it and closes its ports, as letting go of it does. Returns when they are closed.
  public func stop() {
    let threads = self.threads.withLock { threads in
      defer { threads = [] }
      return threads
    }
    for worker in workers { worker.stop() }
    for thread in threads { thread.join() }
    if !threads.isEmpty { for worker in workers { worker.closeSockets() } }
  }

  /// How many requests were answered, refusals included.
  public var answerCount: UInt64 { workers.reduce(0) { $0 + $1.answerCount.load(ordering: .relaxed) } }

  /// How many datagrams were left unanswered because their source had asked too much.
  public var limitedCount: UInt64 { workers.reduce(0) { $0 + $1.limitedCount.load(ordering: .relaxed) } }

  /// A socket for each worker on one endpoint. Returns the endpoint with its port.
  private static func open(
    _ endpoint: Endpoint, other: Endpoint?, _ workers: [Worker]
  ) throws(DatagramSocketError) -> Endpoint {
    let sockets = try DatagramSocket.openShared(local: endpoint, count: workers.count, receiveBuffer: 4 << 20)
    var failure: DatagramSocketError?
    for (worker, socket) in zip(workers, sockets) {
      do throws(DatagramSocketError) { try worker.add(socket, other: other) } catch { failure = error }
    }
    if let failure { throw failure }
    return sockets[0].localEndpoint
  }
}
