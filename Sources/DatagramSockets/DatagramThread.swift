import CDatagramSockets
import Synchronization

/// A thread for work that waits on sockets of its own, beside ``DatagramLoop``: signals never come to it, and it has a name in
/// `top` and debuggers.
public final class DatagramThread: Sendable {
  private let body: Mutex<(@Sendable () -> Void)?>
  private let id = Atomic<UInt64>(0)

  /// Starts it.
  ///
  /// - Parameter name: 15 bytes of it are kept.
  public init(name: String, _ body: @escaping @Sendable () -> Void) throws(DatagramSocketError) {
    self.body = Mutex(body)
    var thread: UInt64 = 0
    // The thread's function takes the reference over that is passed here; it is given back only where no thread began.
    let context = unsafe Unmanaged.passRetained(self)
    let result = unsafe tl_thread_start(
      name, { context in unsafe Unmanaged<DatagramThread>.fromOpaque(context!).takeRetainedValue().run() },
      context.toOpaque(), &thread)
    guard result == 0 else {
      unsafe context.release()
      throw DatagramSocketError(result, to: "start the thread \(name)")
    }
    id.store(thread, ordering: .releasing)
  }

  /// Waits until its body has returned. To be called once, and not from the thread itself.
  public func join() {
    let thread = id.exchange(0, ordering: .acquiringAndReleasing)
    if thread != 0 { tl_thread_join(thread) }
  }

  /// How many processors this program may use: as many threads can work at a time.
  public static var processorCount: Int { max(1, Int(tl_processor_count())) }

  private func run() {
    let body = self.body.withLock { body in
      defer { body = nil }
      return body
    }
    body?()
  }
}
