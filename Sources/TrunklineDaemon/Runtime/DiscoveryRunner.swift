public import DatagramSockets
import Dispatch
public import NATDiscovery
public import NetworkTypes
import Synchronization

/// Runs a discovery on sockets of this machine.
public final class DiscoveryRunner: DatagramLoopHandler, @unchecked Sendable {
  // Everything but `waiting` is touched by the loop's thread only.
  private let loop: DatagramLoop
  private let settings: DiscoverySettings
  private var core: DiscoveryCore
  private let progress: @Sendable (String) -> Void
  /// The loop's sockets by the core's numbers, and the way back.
  private var sockets: [Int: Int] = [:]
  private var numbers: [Int: Int] = [:]
  /// Why the port that is examined could not be opened.
  private var problem: DatagramSocketError?
  private let waiting = Mutex<CheckedContinuation<Result<NATReport, DatagramSocketError>, Never>?>(nil)

  private init(
    _ settings: DiscoverySettings, progress: @escaping @Sendable (String) -> Void
  ) throws(DatagramSocketError) {
    self.settings = settings
    self.progress = progress
    core = DiscoveryCore(settings: settings, random: SystemRandom.source())
    loop = try DatagramLoop(name: "nat")
  }

  /// Finds out what stands between this machine and the servers.
  ///
  /// - Parameter progress: is given a line now and then, on another thread.
  /// - Throws: where the port that is to be examined cannot be opened.
  public static func run(
    _ settings: DiscoverySettings, progress: @escaping @Sendable (String) -> Void
  ) async throws(DatagramSocketError) -> NATReport {
    let runner = try DiscoveryRunner(settings, progress: progress)
    try runner.loop.start(handler: runner)
    let result = await withCheckedContinuation { continuation in
      runner.waiting.withLock { $0 = continuation }
      runner.loop.post { runner.turn { $0.start(now: DatagramLoop.now(), into: &$1) } }
    }
    runner.loop.stop()
    return try result.get()
  }

  public func datagramReceived(
    _ bytes: Span<UInt8>, from source: Endpoint, to local: Endpoint, on socket: Int, now: MonotonicInstant
  ) {
    guard let number = numbers[socket] else { return }
    var actions: [DiscoveryAction] = []
    core.datagramReceived(bytes, from: source, on: number, now: now, into: &actions)
    perform(actions)
  }

  public func wakeUp(now: MonotonicInstant) { turn { $0.timerFired(now: now, into: &$1) } }

  private func turn(_ body: (inout DiscoveryCore, inout [DiscoveryAction]) -> Void) {
    var actions: [DiscoveryAction] = []
    body(&core, &actions)
    perform(actions)
  }

  private func perform(_ actions: [DiscoveryAction]) {
    for action in actions {
      switch action {
      case .openSocket(let number, let local): open(number, local)
      case .closeSocket(let number):
        guard let socket = sockets.removeValue(forKey: number) else { break }
        numbers.removeValue(forKey: socket)
        loop.close(socket)
      case .send(let bytes, let number, let destination):
        if let socket = sockets[number] { loop.send(bytes, on: socket, to: destination) }
      case .traceHops(let bytes, let destination, let limit): trace(bytes, destination, limit)
      case .progress(let line): progress(line)
      case .finished(let report): finish(report)
      }
    }
    loop.setWakeUp(core.nextDeadline)
  }

  private func open(_ number: Int, _ local: Endpoint) {
    let now = DatagramLoop.now()
    do throws(DatagramSocketError) {
      let socket = try loop.open(local: local, receiveBuffer: nil)
      sockets[number] = socket
      numbers[socket] = number
      let bound = loop.localEndpoint(socket) ?? local
      turn { $0.socketOpened(number, local: bound, now: now, into: &$1) }
    } catch {
      if number == 0 { problem = error }
      turn { $0.socketFailed(number, reason: error.sentence, now: now, into: &$1) }
    }
  }

  /// Waiting for routers would keep the loop from its sockets.
  private func trace(_ bytes: [UInt8], _ destination: Endpoint, _ limit: Int) {
    DispatchQueue.global().async { [self] in
      let result = Result { () throws(DatagramSocketError) in
        try HopTrace.routers(from: settings.local.address, towards: destination, sending: bytes, limit: limit)
      }
      loop.post { [self] in
        turn { core, actions in
          switch result {
          case .success(let routers): core.hopsTraced(routers, now: DatagramLoop.now(), into: &actions)
          case .failure(let error): core.hopsRefused(error.sentence, now: DatagramLoop.now(), into: &actions)
          }
        }
      }
    }
  }

  private func finish(_ report: NATReport) {
    let continuation = waiting.withLock { waiting in
      defer { waiting = nil }
      return waiting
    }
    continuation?.resume(returning: problem.map { .failure($0) } ?? .success(report))
  }
}
