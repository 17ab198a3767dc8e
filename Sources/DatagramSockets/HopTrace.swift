import CDatagramSockets
import Glibc
public import NetworkTypes

/// Asks the routers on the way who they are, by packets that may pass one of them, two, three.
public enum HopTrace {
  /// Sends and waits, at most for about a second: not for a loop's thread.
  ///
  /// - Parameters:
  ///   - local: the address that the packets leave from, each from a port of its own.
  ///   - remote: where they would go; it may get one that had hops enough.
  ///   - bytes: what they carry.
  ///   - limit: how many routers are asked for at most.
  /// - Returns: the routers, nearest first, up to where the way ended; `nil` for one that did not answer.
  /// - Throws: where the system does not let us.
  public static func routers(
    from local: IPAddress, towards remote: Endpoint, sending bytes: [UInt8], limit: Int
  ) throws(DatagramSocketError) -> [IPAddress?] {
    var descriptors: [Int32] = []
    defer { for descriptor in descriptors { tl_socket_close(descriptor) } }
    for hops in 1...max(1, min(limit, 30)) {
      let opened = tl_path_open(tl_endpoint(Endpoint(local, port: 0)), tl_endpoint(remote), Int32(hops))
      guard opened >= 0 else { throw DatagramSocketError(opened, to: "send packets with few hops") }
      descriptors.append(opened)
    }
    var found = [IPAddress?](repeating: nil, count: descriptors.count)
    var isOver = [Bool](repeating: false, count: descriptors.count)
    // Half of the routers of the world answer only some of the packets that they end.
    for round in 0..<3 where isOver.contains(false) {
      for index in descriptors.indices where !isOver[index] { send(bytes, descriptors[index]) }
      let end = SystemClock.now() + .milliseconds(round == 2 ? 500 : 250)
      while SystemClock.now() < end, isOver.contains(false) {
        for index in descriptors.indices where !isOver[index] {
          var router = tl_endpoint()
          // The shim fills the structure during the call.
          switch unsafe tl_path_router(descriptors[index], &router) {
          case 1:
            found[index] = router.endpoint?.address
            isOver[index] = true
          case 0:
            // An answer of the server itself: this many hops were enough.
            if tl_socket_wait(descriptors[index], 0) > 0 { isOver[index] = hasAnswer(descriptors[index]) }
          default: isOver[index] = true
          }
        }
        if isOver.contains(false) { _ = tl_socket_wait(descriptors[isOver.firstIndex(of: false) ?? 0], 20) }
      }
    }
    while let last = found.last, last == nil, let over = isOver.last, over {
      found.removeLast()
      isOver.removeLast()
    }
    return found
  }

  private static func send(_ bytes: [UInt8], _ descriptor: Int32) {
    // The shim reads exactly these bytes, and only during the call.
    unsafe bytes.withUnsafeBufferPointer {
      _ = unsafe tl_socket_send(descriptor, $0.baseAddress, $0.count, .none, .none)
    }
  }

  private static func hasAnswer(_ descriptor: Int32) -> Bool {
    let receiver = DatagramReceiver()
    return receiver.read(descriptor, limit: 1) > 0
  }
}
