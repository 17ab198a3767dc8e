import CDatagramSockets
public import NetworkTypes

/// Datagrams that leave one socket together, by one system call for up to 64 of them.
///
/// One is enough for all sockets of a thread; it must not be used by two threads at a time.
@safe  // The pointer is made in init and freed in deinit, and handed to nobody.
public final class DatagramSender {
  private let pointer: OpaquePointer

  public init() {
    guard let pointer = unsafe tl_sender_make() else { fatalError("no memory for datagram buffers") }
    unsafe self.pointer = unsafe pointer
  }

  deinit { unsafe tl_sender_free(pointer) }

  /// How many datagrams wait.
  public var count: Int { Int(unsafe tl_sender_count(pointer)) }

  /// Copies a datagram into the batch; the parameters are those of ``DatagramSocket/send(_:to:from:)``.
  ///
  /// - Returns: false where there is no room: ``flush(through:_:)`` first. An empty batch has room for any datagram.
  public func add(_ bytes: Span<UInt8>, to remote: Endpoint? = nil, from local: Endpoint? = nil) -> Bool {
    unsafe bytes.withUnsafeBufferPointer { buffer in
      // The shim copies exactly these bytes, and only during the call.
      unsafe tl_sender_add(pointer, buffer.baseAddress, buffer.count, tl_endpoint(remote), tl_endpoint(local)) == 1
    }
  }

  /// Sends what waits, and forgets it.
  ///
  /// - Parameter failed: is told of each datagram that could not leave; the others do. It must not add to this batch.
  public func flush(
    through socket: DatagramSocket, _ failed: (_ remote: Endpoint?, _ outcome: DatagramSendOutcome) -> Void
  ) {
    var next = 0
    let total = count
    while next < total {
      var error: Int32 = 0
      // The shim fills the error during the call.
      next += Int(unsafe tl_sender_send(pointer, socket.descriptor, Int32(truncatingIfNeeded: next), &error))
      if next < total {
        let remote = unsafe tl_sender_remote(pointer, Int32(truncatingIfNeeded: next)).endpoint
        failed(remote, DatagramSendOutcome(error))
        next += 1
      }
    }
    unsafe tl_sender_clear(pointer)
  }
}
