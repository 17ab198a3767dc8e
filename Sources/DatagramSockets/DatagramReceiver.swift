import CDatagramSockets
import Glibc
import NetworkTypes

/// The buffers that datagrams are read into: 64 of 65,535 bytes or fewer, of which only what was ever filled takes memory.
///
/// One is enough for all sockets of a thread; it must not be used by two threads at a time.
@safe  // The pointer is made in init and freed in deinit, and handed to nobody.
public final class DatagramReceiver {
  /// The datagrams that one read takes at most.
  public static let capacity = Int(TL_BATCH)

  private let pointer: OpaquePointer
  /// How many ICMP refusals of something sent earlier were met and passed over while reading.
  public private(set) var refusals = 0

  /// - Parameter longest: the longest datagram that is of interest. One that is longer comes cut, and still longer than this.
  public init(longest: Int = 65_535) {
    guard let pointer = unsafe tl_receiver_make(max(0, longest)) else { fatalError("no memory for datagram buffers") }
    unsafe self.pointer = unsafe pointer
  }

  deinit { unsafe tl_receiver_free(pointer) }

  /// The count of a read, or a negative errno.
  func read(_ descriptor: Int32, limit: Int) -> Int {
    // A connected socket tells each refusal once. A peer that refuses everything may not keep us here.
    for _ in 0..<16 {
      let count = unsafe tl_receiver_read(pointer, descriptor, Int32(clamping: limit))
      switch -count {
      case ECONNREFUSED, EHOSTUNREACH, ENETUNREACH, ENETDOWN, EHOSTDOWN, EPROTO, ENOPROTOOPT, EMSGSIZE:
        refusals += 1
      case EINTR: continue
      default: return Int(count)
      }
    }
    return 0
  }

  func withDatagram(
    _ index: Int, boundTo bound: Endpoint, _ body: (Span<UInt8>, Endpoint, Endpoint) -> Void
  ) {
    let datagram = unsafe tl_receiver_get(pointer, Int32(truncatingIfNeeded: index))
    guard let source = unsafe datagram.source.endpoint else { return }
    let local = unsafe datagram.local.endpoint.map { Endpoint($0.address, port: bound.port) } ?? bound
    // The buffer belongs to the receiver, is not written before the next read, and the count is what the kernel wrote.
    let bytes = unsafe UnsafeBufferPointer(start: datagram.bytes, count: datagram.count)
    body(unsafe bytes.span, source, local)
  }
}
