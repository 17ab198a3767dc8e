import CDatagramSockets
import Glibc
public import NetworkTypes

/// What became of a datagram that was to leave.
public enum DatagramSendOutcome: Sendable, Hashable {
  case sent
  /// The send buffer is full; the datagram is gone.
  case full
  /// There is no way to that address, or a firewall of this machine is in it; the kernel's errno.
  case unreachable(Int32)
  /// Anything else that the kernel refused; its errno.
  case failed(Int32)

  init(_ code: Int32) {
    self =
      switch code {
      case 0: .sent
      case EAGAIN, ENOBUFS: .full
      case ENETUNREACH, EHOSTUNREACH, ENETDOWN, EHOSTDOWN, EPERM, EACCES, ECONNREFUSED: .unreachable(code)
      default: .failed(code)
      }
  }
}

/// A UDP socket that never blocks: a name for a descriptor, as cheap to copy as one.
///
/// Whoever opened it closes it, once; all copies are dead then. It may be used from any thread, but is meant for one.
///
/// A socket on a wildcard address (`0.0.0.0`, `::`) learns for each datagram which address of this machine it was sent to, so
/// that an answer can leave from that one. A socket on an IPv6 address hears IPv6 only.
public struct DatagramSocket: Sendable, Hashable {
  /// The system's number for it, for tables that are indexed by it.
  public let descriptor: Int32
  /// Where it is bound, with the port that the system chose where 0 was asked for.
  public private(set) var localEndpoint: Endpoint
  /// Where it is connected to; `nil` for a socket that hears everyone.
  public private(set) var remoteEndpoint: Endpoint?

  /// Opens a socket.
  ///
  /// - Parameters:
  ///   - local: the address and port to be bound; port 0 lets the system choose.
  ///   - reuseAddress: whether several sockets of this machine may have the port, all of which then have to say so. Of them a
  ///     connected one gets what its peer sends, and the unconnected one that was bound last gets the rest.
  ///   - receiveBuffer: how many bytes the kernel is asked to keep while nobody reads; it may grant fewer.
  public static func open(
    local: Endpoint, reuseAddress: Bool = false, receiveBuffer: Int? = nil
  ) throws(DatagramSocketError) -> DatagramSocket {
    let size = Int32(clamping: receiveBuffer ?? 0)
    let descriptor = tl_socket_open(tl_endpoint(local), reuseAddress ? 1 : 0, size)
    guard descriptor >= 0 else { throw DatagramSocketError(descriptor, opening: local) }
    var socket = DatagramSocket(descriptor: descriptor, localEndpoint: local, remoteEndpoint: nil)
    do throws(DatagramSocketError) {
      try socket.readLocalEndpoint()
    } catch {
      socket.close()
      throw error
    }
    return socket
  }

  /// Opens `count` sockets on one address and port, for as many threads. The kernel deals the senders out among them: what
  /// comes from one address and port always comes to the same socket.
  ///
  /// The first one is opened alone, so that a port which another program has is an error, even where that one shares it.
  public static func openShared(
    local: Endpoint, count: Int, receiveBuffer: Int? = nil
  ) throws(DatagramSocketError) -> [DatagramSocket] {
    let first = try open(local: local, receiveBuffer: receiveBuffer)
    var sockets = [first]
    do throws(DatagramSocketError) {
      if count > 1 {
        let result = tl_socket_share(first.descriptor)
        guard result == 0 else { throw DatagramSocketError(result, to: "share UDP port \(first.localEndpoint.port)") }
      }
      while sockets.count < count {
        let descriptor = tl_socket_open_beside(tl_endpoint(first.localEndpoint), Int32(clamping: receiveBuffer ?? 0))
        guard descriptor >= 0 else { throw DatagramSocketError(descriptor, opening: first.localEndpoint) }
        sockets.append(
          DatagramSocket(descriptor: descriptor, localEndpoint: first.localEndpoint, remoteEndpoint: nil))
      }
    } catch {
      for socket in sockets { socket.close() }
      throw error
    }
    return sockets
  }

  /// Hears and sends to `remote` only from now on. What others sent before stays in the queue: its source tells.
  public mutating func connect(to remote: Endpoint) throws(DatagramSocketError) {
    let result = tl_socket_connect(descriptor, tl_endpoint(remote))
    guard result == 0 else { throw DatagramSocketError(result, to: "connect a UDP socket to \(remote)") }
    remoteEndpoint = remote
    try readLocalEndpoint()
  }

  /// Hears everyone again.
  public mutating func disconnect() throws(DatagramSocketError) {
    let result = tl_socket_disconnect(descriptor)
    guard result == 0 else { throw DatagramSocketError(result, to: "disconnect a UDP socket") }
    remoteEndpoint = nil
  }

  /// Gives the descriptor back. Copies of this value must not be used any more.
  public func close() { tl_socket_close(descriptor) }

  /// Reads what is there, without waiting.
  ///
  /// An ICMP refusal of something sent earlier is not an error of this socket: it is counted in
  /// ``DatagramReceiver/refusals`` and reading goes on.
  ///
  /// - Parameters:
  ///   - receiver: the buffers, which may be shared by all sockets of one thread.
  ///   - limit: how many datagrams at most, up to ``DatagramReceiver/capacity``.
  ///   - body: is given each datagram's bytes, which are overwritten by the next read; where it came from; and the address
  ///     and port of this machine that it was sent to.
  /// - Returns: how many there were. Fewer than `limit`: there are no more.
  @discardableResult
  public func receive(
    into receiver: DatagramReceiver, limit: Int = DatagramReceiver.capacity,
    _ body: (_ bytes: Span<UInt8>, _ source: Endpoint, _ local: Endpoint) -> Void
  ) throws(DatagramSocketError) -> Int {
    let count = receiver.read(descriptor, limit: limit)
    guard count >= 0 else { throw DatagramSocketError(Int32(count), to: "read from UDP port \(localEndpoint.port)") }
    for index in 0..<count { receiver.withDatagram(index, boundTo: localEndpoint, body) }
    return count
  }

  /// Sends one datagram.
  ///
  /// - Parameters:
  ///   - remote: where to; `nil` for where the socket is connected.
  ///   - local: which address of this machine it leaves from; `nil` or a wildcard lets the kernel choose. Its port does not
  ///     matter.
  @discardableResult
  public func send(_ bytes: Span<UInt8>, to remote: Endpoint? = nil, from local: Endpoint? = nil) -> DatagramSendOutcome
  {
    let result = unsafe bytes.withUnsafeBufferPointer { buffer in
      // The shim reads exactly these bytes, and only during the call.
      unsafe tl_socket_send(
        descriptor, buffer.baseAddress, buffer.count, tl_endpoint(remote), tl_endpoint(local))
    }
    return DatagramSendOutcome(-result)
  }

  /// Waits until there is something to read. For programs and tests with one socket; a loop waits for many.
  ///
  /// - Returns: false when `timeout` passed and nothing came.
  public func waitReadable(timeout: Duration) -> Bool {
    tl_socket_wait(descriptor, Int32(clamping: timeout.nanoseconds / 1_000_000)) > 0
  }

  private mutating func readLocalEndpoint() throws(DatagramSocketError) {
    var local = tl_endpoint()
    // The shim fills the structure during the call.
    let result = unsafe tl_socket_local(descriptor, &local)
    guard result == 0, let endpoint = local.endpoint else {
      throw DatagramSocketError(result, to: "name the port of a UDP socket")
    }
    localEndpoint = endpoint
  }
}
