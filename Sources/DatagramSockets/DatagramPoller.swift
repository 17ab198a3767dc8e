import CDatagramSockets
public import NetworkTypes

/// Waits for many sockets at once (epoll), until a moment, or until another thread wakes it (eventfd).
///
/// One thread waits; adding, removing and waking are allowed from any thread.
@safe  // The pointer is made in init and freed in deinit, and handed to nobody.
public final class DatagramPoller: @unchecked Sendable {
  // The kernel serialises epoll_ctl, epoll_wait and the eventfd; only the waiting thread touches the event array.
  private let pointer: OpaquePointer

  public init() throws(DatagramSocketError) {
    var error: Int32 = 0
    // The shim fills the error during the call.
    guard let pointer = unsafe tl_poller_make(&error) else {
      throw DatagramSocketError(-error, to: "make an epoll descriptor")
    }
    unsafe self.pointer = unsafe pointer
  }

  deinit { unsafe tl_poller_free(pointer) }

  /// Watches `socket`: while it has something to read, every wait names `token`.
  ///
  /// - Parameter token: any number below 2³¹ − 1.
  public func add(_ socket: DatagramSocket, token: UInt32) throws(DatagramSocketError) {
    let result = unsafe tl_poller_add(pointer, socket.descriptor, token)
    guard result == 0 else { throw DatagramSocketError(result, to: "watch a UDP socket") }
  }

  /// Watches it no longer; to be called before the socket is closed.
  public func remove(_ socket: DatagramSocket) {
    _ = unsafe tl_poller_remove(pointer, socket.descriptor)
  }

  /// Ends the wait of the waiting thread, or the next one if it does not wait just now.
  public func wake() { unsafe tl_poller_wake(pointer) }

  /// Waits.
  ///
  /// - Parameters:
  ///   - deadline: until when; `nil` for ever. A deadline that has passed looks once and returns.
  ///   - ready: is given the token of each socket with something to read.
  /// - Returns: whether ``wake()`` was called.
  @discardableResult
  public func wait(until deadline: MonotonicInstant?, _ ready: (UInt32) -> Void) throws(DatagramSocketError) -> Bool {
    let timeout = deadline.map { max(0, (($0 - SystemClock.now()).nanoseconds)) } ?? -1
    let count = unsafe tl_poller_wait(pointer, timeout)
    guard count >= 0 else { throw DatagramSocketError(count, to: "wait for UDP sockets") }
    var isWoken = false
    for index in 0..<count {
      let token = unsafe tl_poller_token(pointer, index)
      if token == UInt32(TL_POLLER_WOKEN) { isWoken = true } else { ready(token) }
    }
    return isWoken
  }
}
