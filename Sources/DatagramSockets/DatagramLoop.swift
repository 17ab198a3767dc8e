import CDatagramSockets
import Glibc
public import NetworkTypes
import Synchronization

/// What a ``DatagramLoop`` tells. Everything is called on the loop's thread, one call at a time.
public protocol DatagramLoopHandler: AnyObject, Sendable {
  /// A datagram came.
  ///
  /// - Parameters:
  ///   - bytes: valid during the call.
  ///   - local: the address and port of this machine that it was sent to; to be given to `send` as `from`.
  ///   - socket: the id that `open` gave.
  func datagramReceived(
    _ bytes: Span<UInt8>, from source: Endpoint, to local: Endpoint, on socket: Int, now: MonotonicInstant)

  /// The moment that ``DatagramLoop/setWakeUp(_:)`` named has come. It is forgotten before this is called.
  func wakeUp(now: MonotonicInstant)

  /// A datagram could not leave.
  func sendFailed(on socket: Int, to remote: Endpoint?, _ outcome: DatagramSendOutcome, now: MonotonicInstant)
}

extension DatagramLoopHandler {
  public func sendFailed(on socket: Int, to remote: Endpoint?, _ outcome: DatagramSendOutcome, now: MonotonicInstant) {}
}

/// A thread that owns UDP sockets: it reads them in batches, runs what other threads post, and wakes at a deadline.
///
/// ``open(local:reuseAddress:receiveBuffer:)``, ``close(_:)``, ``send(_:on:to:from:)`` and ``setWakeUp(_:)`` belong to the
/// loop's thread: to the handler's callbacks and to posted jobs. Before ``start(handler:)`` the thread that made the loop may
/// call them, so that a port that cannot be opened is known at once. ``post(_:)``, ``start(handler:)`` and ``stop()`` are for
/// any thread.
///
/// What is sent leaves together at the end of each turn, at the latest.
public final class DatagramLoop: @unchecked Sendable {
  // Everything but `shared`, `poller` and `threadID` is touched only by the thread that owns the loop, as described above;
  // the entrances check it.
  private struct Shared {
    var jobs: [@Sendable () -> Void] = []
    var isStopping = false
    var isStarted = false
  }

  private struct Failure {
    let socket: Int
    let remote: Endpoint?
    let outcome: DatagramSendOutcome
  }

  public let name: String
  private let poller: DatagramPoller
  private let shared = Mutex(Shared())
  /// The loop's thread, 0 while there is none.
  private let threadID = Atomic<UInt64>(0)
  private var sockets: [DatagramSocket?] = []
  private let receiver = DatagramReceiver()
  private let sender = DatagramSender()
  /// The socket whose datagrams wait in `sender`.
  private var senderSocket = 0
  /// What could not leave, to be told when nothing else is going on.
  private var failures: [Failure] = []
  private var wakeUp: MonotonicInstant?
  private var handler: (any DatagramLoopHandler)?

  /// - Parameter name: what the thread is called in `top` and debuggers, 15 bytes of it.
  public init(name: String) throws(DatagramSocketError) {
    self.name = name
    poller = try DatagramPoller()
  }

  deinit {
    for case let socket? in sockets { socket.close() }
  }

  /// The loop's clock, the same as ``SystemClock/now()``.
  public static func now() -> MonotonicInstant { SystemClock.now() }

  /// Whether the caller is on the loop's thread.
  public var isCurrent: Bool { threadID.load(ordering: .acquiring) == tl_thread_self() }

  /// How many ICMP refusals of something sent earlier were met while reading. Belongs to the loop's thread.
  public var refusals: Int { receiver.refusals }
}

// MARK: - For any thread

extension DatagramLoop {
  /// Starts the thread. The loop keeps itself and the handler alive until ``stop()``. A second start does nothing.
  public func start(handler: any DatagramLoopHandler) throws(DatagramSocketError) {
    let isFirst = shared.withLock { shared in
      defer { shared.isStarted = true }
      return !shared.isStarted
    }
    guard isFirst else { return }
    self.handler = handler
    var thread: UInt64 = 0
    // The thread's function takes the reference over that is passed here; it is given back only where no thread began.
    let context = unsafe Unmanaged.passRetained(self)
    let result = unsafe tl_thread_start(
      name, { context in unsafe Unmanaged<DatagramLoop>.fromOpaque(context!).takeRetainedValue().run() },
      context.toOpaque(), &thread)
    guard result == 0 else {
      unsafe context.release()
      self.handler = nil
      throw DatagramSocketError(result, to: "start the thread \(name)")
    }
    // The thread may have stored it already: the same number.
    threadID.store(thread, ordering: .releasing)
  }

  /// Runs `job` on the loop's thread, in the order of posting. After ``stop()`` it is dropped.
  public func post(_ job: @escaping @Sendable () -> Void) {
    let isFirst = shared.withLock { shared -> Bool in
      if shared.isStopping { return false }
      shared.jobs.append(job)
      return shared.jobs.count == 1
    }
    if isFirst { poller.wake() }
  }

  /// Ends the thread after what was posted before has run and what was sent has left; the sockets are closed. Returns when it
  /// has ended, or at once when the loop's own thread asks for it.
  public func stop() {
    let (isFirst, isStarted) = shared.withLock { shared in
      defer { shared.isStopping = true }
      return (!shared.isStopping, shared.isStarted)
    }
    guard isFirst, isStarted else { return }
    poller.wake()
    let thread = threadID.load(ordering: .acquiring)
    if thread != 0, thread != tl_thread_self() { tl_thread_join(thread) }
  }
}

// MARK: - For the loop's thread

extension DatagramLoop {
  /// Opens a socket; the parameters are those of ``DatagramSocket/open(local:reuseAddress:receiveBuffer:)``.
  ///
  /// - Returns: its id, which may be given again after ``close(_:)``.
  public func open(
    local: Endpoint, reuseAddress: Bool = false, receiveBuffer: Int? = 1 << 20
  ) throws(DatagramSocketError) -> Int {
    checkOwner()
    let socket = try DatagramSocket.open(local: local, reuseAddress: reuseAddress, receiveBuffer: receiveBuffer)
    let id = sockets.firstIndex { $0 == nil } ?? sockets.count
    do throws(DatagramSocketError) {
      try poller.add(socket, token: UInt32(id))
    } catch {
      socket.close()
      throw error
    }
    if id == sockets.count { sockets.append(socket) } else { sockets[id] = socket }
    return id
  }

  /// Sends what waits in it and closes the socket. An id that is not open is passed over.
  public func close(_ id: Int) {
    checkOwner()
    guard let socket = socket(id) else { return }
    if senderSocket == id { flush() }
    poller.remove(socket)
    socket.close()
    sockets[id] = nil
  }

  /// Where a socket is bound, with the port that the system chose; `nil` for an id that is not open.
  public func localEndpoint(_ id: Int) -> Endpoint? {
    checkOwner()
    return socket(id)?.localEndpoint
  }

  /// Sends a datagram, at the latest when this turn of the loop ends.
  ///
  /// - Parameters:
  ///   - id: the socket; for one that is not open nothing is sent.
  ///   - local: which address of this machine it leaves from, for a socket on a wildcard address; `nil` lets the kernel
  ///     choose.
  public func send(_ bytes: Span<UInt8>, on id: Int, to remote: Endpoint, from local: Endpoint? = nil) {
    checkOwner()
    guard let socket = socket(id) else { return }
    if senderSocket != id { flush() }
    senderSocket = id
    // A bound address is the source anyway, and naming it again would cost the kernel a look-up.
    let source = socket.localEndpoint.address.isUnspecified ? local : nil
    if sender.add(bytes, to: remote, from: source) { return }
    flush()
    if !sender.add(bytes, to: remote, from: source) {
      failures.append(Failure(socket: id, remote: remote, outcome: .failed(EMSGSIZE)))
    }
  }

  /// As ``send(_:on:to:from:)``, for bytes in an array.
  public func send(_ bytes: [UInt8], on id: Int, to remote: Endpoint, from local: Endpoint? = nil) {
    send(bytes.span, on: id, to: remote, from: local)
  }

  /// When ``DatagramLoopHandler/wakeUp(now:)`` is to be called next; `nil` for never. It replaces what was set before.
  public func setWakeUp(_ deadline: MonotonicInstant?) {
    checkOwner()
    wakeUp = deadline
  }

  private func socket(_ id: Int) -> DatagramSocket? { sockets.indices.contains(id) ? sockets[id] : nil }

  private func checkOwner() {
    let thread = threadID.load(ordering: .acquiring)
    precondition(thread == 0 || thread == tl_thread_self(), "\(name): called off the loop's thread; use post")
  }
}

// MARK: - The thread

extension DatagramLoop {
  /// A busy socket gives way to the others after so many batches.
  private static let batchesPerTurn = 4

  private func run() {
    threadID.store(tl_thread_self(), ordering: .releasing)
    while true {
      do throws(DatagramSocketError) {
        try poller.wait(until: wakeUp) { read(Int($0)) }
      } catch {
        fatalError("\(name): \(error.sentence)")
      }
      let isStopping = runJobs()
      if let deadline = wakeUp {
        let now = SystemClock.now()
        if deadline <= now {
          wakeUp = nil
          handler?.wakeUp(now: now)
        }
      }
      finishTurn()
      if isStopping { break }
    }
    for id in sockets.indices { close(id) }
    handler = nil
  }

  private func read(_ id: Int) {
    for _ in 0..<Self.batchesPerTurn {
      // The handler may have closed it.
      guard let socket = socket(id) else { return }
      let now = SystemClock.now()
      let count = try? socket.receive(into: receiver) { bytes, source, local in
        if self.socket(id) == socket {
          handler?.datagramReceived(bytes, from: source, to: local, on: id, now: now)
        }
      }
      guard count == DatagramReceiver.capacity else { return }
    }
  }

  /// Runs what was posted. Returns whether the loop is to stop; then nothing can be posted any more.
  private func runJobs() -> Bool {
    let (jobs, isStopping) = shared.withLock { shared in
      defer { shared.jobs.removeAll(keepingCapacity: false) }
      return (shared.jobs, shared.isStopping)
    }
    for job in jobs { job() }
    return isStopping
  }

  private func flush() {
    guard sender.count > 0, let socket = socket(senderSocket) else { return }
    sender.flush(through: socket) { remote, outcome in
      failures.append(Failure(socket: senderSocket, remote: remote, outcome: outcome))
    }
  }

  /// Sends what waits and tells what could not leave; whatever the handler then sends leaves too. A handler that answers each
  /// failure with the next one gives way to the sockets after some rounds.
  private func finishTurn() {
    for _ in 0..<8 {
      flush()
      if failures.isEmpty { return }
      let told = failures
      failures.removeAll(keepingCapacity: true)
      let now = SystemClock.now()
      for failure in told {
        handler?.sendFailed(on: failure.socket, to: failure.remote, failure.outcome, now: now)
      }
    }
    poller.wake()
  }
}
