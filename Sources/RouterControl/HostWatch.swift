import CRouterControl
import Dispatch
import Glibc
import Synchronization

/// Tells at once when addresses, routes or links of this host change, by the kernel's own news (NETLINK_ROUTE).
///
/// A change comes as a shower of news: the carrier goes, then routes, then addresses. They are told once, when nothing more
/// came for 20 ms, and after 200 ms at the latest.
///
/// What the network looks like now is not told: whoever hears of a change looks.
public final class HostWatch: @unchecked Sendable {
  // `source` is set once and may be cancelled from any thread; what changes is behind `state`.
  /// Why it cannot watch.
  public struct Failure: Error, Sendable, Equatable {
    /// The kernel's errno.
    public let code: Int32
  }

  /// How long nothing may come until what came is told.
  private static let quiet = DispatchTimeInterval.milliseconds(20)
  private static let longest = DispatchTimeInterval.milliseconds(200)

  private struct State: Sendable {
    var news = HostNews()
    var pending: HostChange = []
    var firstAt: DispatchTime?
    var lastAt: DispatchTime?
    var isStopped = false
  }

  private let queue = DispatchQueue(label: "trunkline.hostwatch")
  private let source: any DispatchSourceRead
  private let state = Mutex(State())
  private let descriptor: Int32
  private let onChange: @Sendable (HostChange) -> Void

  /// Watches from now on.
  ///
  /// - Parameter onChange: is called on a thread of the watch's, one call at a time, until ``stop()``.
  public init(onChange: @escaping @Sendable (HostChange) -> Void) throws(Failure) {
    let descriptor = tl_netlink_open()
    guard descriptor >= 0 else { throw Failure(code: -descriptor) }
    self.descriptor = descriptor
    self.onChange = onChange
    source = DispatchSource.makeReadSource(fileDescriptor: descriptor, queue: queue)
    source.setEventHandler { [weak self] in self?.read() }
    source.setCancelHandler { tl_netlink_close(descriptor) }
    source.activate()
  }

  deinit { source.cancel() }

  /// Ends the watch; nothing is told any more once this returns, unless it is being told now.
  public func stop() {
    state.withLock { $0.isStopped = true }
    source.cancel()
  }

  private func read() {
    var buffer = [UInt8](repeating: 0, count: 32_768)
    var change: HostChange = []
    // Bounded, so that a storm of news does not keep the queue from telling.
    for _ in 0..<64 {
      let count = unsafe buffer.withUnsafeMutableBufferPointer {
        // The shim writes at most this many bytes, during the call.
        unsafe tl_netlink_read(descriptor, $0.baseAddress, $0.count)
      }
      if count == 0 { break }
      if count < 0 {
        // ENOBUFS: some of the news were lost, so anything may have changed.
        if count == Int(-ENOBUFS) {
          change = .all
          continue
        }
        break
      }
      let read = state.withLock { $0.news.read(buffer.span.extracting(0..<min(count, buffer.count))) }
      change.formUnion(read)
    }
    guard !change.isEmpty else { return }
    let now = DispatchTime.now()
    let isFirst = state.withLock { state in
      defer { state.pending.formUnion(change) }
      state.lastAt = now
      guard state.pending.isEmpty else { return false }
      state.firstAt = now
      return true
    }
    if isFirst { queue.asyncAfter(deadline: now + Self.quiet) { [weak self] in self?.settle() } }
  }

  /// Tells what came where it has been quiet for long enough, and waits again where not.
  private func settle() {
    let now = DispatchTime.now()
    let (change, next): (HostChange, DispatchTime?) = state.withLock { state in
      guard let first = state.firstAt, let last = state.lastAt, !state.isStopped else { return ([], nil) }
      let due = min(last + Self.quiet, first + Self.longest)
      guard due <= now else { return ([], due) }
      defer { state.pending = [] }
      return (state.pending, nil)
    }
    if let next { return queue.asyncAfter(deadline: next) { [weak self] in self?.settle() } }
    if !change.isEmpty { onChange(change) }
  }
}
