import CRouterControl
import DatagramSockets
import Dispatch
public import NetworkTypes
import Synchronization

/// The two sockets by which a router is talked to: one that asks its port 5351, and one that hears what it announces to
/// 224.0.0.1:5350 (RFC 6886 §3.2.1, RFC 6887 §14.1).
///
/// Both listen on the address towards the router only. Who sent a datagram is told with it; what is believed of that is the
/// core's to decide, which takes only the router's own port 5351.
public final class RouterSockets: @unchecked Sendable {
  // Everything but `queue` belongs to the queue.
  private let queue = DispatchQueue(label: "trunkline.router")
  private let onDatagram: @Sendable ([UInt8], Endpoint) -> Void
  private let receiver = DatagramReceiver()
  private var open: [(socket: DatagramSocket, source: any DispatchSourceRead)] = []
  private var local: IPAddress?

  /// RFC 6886 §3.2.1.
  public static let announcementPort: UInt16 = 5350
  private static let group: UInt32 = 0xe000_0001

  /// - Parameter onDatagram: is called on a thread of the sockets', one call at a time.
  public init(onDatagram: @escaping @Sendable ([UInt8], Endpoint) -> Void) { self.onDatagram = onDatagram }

  /// Listens on this address from now on, and on no other. `nil`: on none.
  ///
  /// - Parameter failed: is told why announcements cannot be heard, where another program keeps the port for itself.
  public func listen(on local: IPAddress?, failed: @escaping @Sendable (String) -> Void) {
    queue.async { [self] in
      guard local != self.local else { return }
      close()
      self.local = local
      guard let local, case .v4(let address) = local else { return }
      do throws(DatagramSocketError) {
        add(try DatagramSocket.open(local: Endpoint(local, port: 0), receiveBuffer: nil))
        // A group's datagrams come to a wildcard, and to as many programs as share the port.
        let listener = try DatagramSocket.open(
          local: Endpoint(.anyV4, port: Self.announcementPort), reuseAddress: true, receiveBuffer: nil)
        let result = tl_multicast_join(listener.descriptor, Self.group, address)
        // It is a member of 224.0.0.1 anyway, as every host is (RFC 1112); joining says on which interface.
        if result < 0 { failed("the group of announcements cannot be joined (error \(-result))") }
        add(listener)
      } catch {
        // The next change of this host's network tries again.
        if open.isEmpty { self.local = nil }
        failed(error.sentence)
      }
    }
  }

  /// Sends to the router.
  public func send(_ bytes: [UInt8], to destination: Endpoint) {
    queue.async { [self] in _ = open.first?.socket.send(bytes.span, to: destination) }
  }

  /// Closes both sockets, when what was to be sent has left.
  public func stop() {
    queue.sync { close() }
  }

  private func add(_ socket: DatagramSocket) {
    let source = DispatchSource.makeReadSource(fileDescriptor: socket.descriptor, queue: queue)
    source.setEventHandler { [weak self] in self?.read(socket) }
    source.setCancelHandler { socket.close() }
    source.activate()
    open.append((socket, source))
  }

  private func close() {
    for (_, source) in open { source.cancel() }
    open = []
  }

  private func read(_ socket: DatagramSocket) {
    _ = try? socket.receive(into: receiver) { bytes, source, _ in
      // RFC 6887 §7: nothing of a router's is longer.
      guard bytes.count <= 1100 else { return }
      var owned: [UInt8] = []
      owned.reserveCapacity(bytes.count)
      for index in bytes.indices { owned.append(bytes[index]) }
      onDatagram(owned, source)
    }
  }
}
