import DatagramSockets
import Glibc
import MediaEngine

/// All peers of all calls.
@safe  // The buffers are made in init and live as long as the process.
struct Driver {
  static let packetSize = 172
  private let descriptors: [Int32]
  private let outgoing: UnsafeMutableBufferPointer<UInt8>
  private let incoming: UnsafeMutableBufferPointer<UInt8>

  init(_ peers: [DatagramSocket]) {
    descriptors = peers.map(\.descriptor)
    unsafe outgoing = .allocate(capacity: Self.packetSize)
    unsafe incoming = .allocate(capacity: 2048)
    unsafe outgoing.initialize(repeating: 0xd5)
    unsafe incoming.initialize(repeating: 0)
    for index in 0..<12 { unsafe outgoing[index] = 0 }
    unsafe outgoing[0] = 0x80
    unsafe outgoing[1] = 8
  }

  /// Takes in whatever has come so far.
  func drain() {
    for descriptor in descriptors {
      // The buffer is as long as it says.
      while unsafe recv(descriptor, incoming.baseAddress, incoming.count, Int32(MSG_DONTWAIT)) >= 0 {}
    }
  }

  /// A packet from every peer, and then every peer waits for the one of its counterpart.
  func relay(rounds: Int) {
    for round in 0..<rounds {
      unsafe outgoing[2] = UInt8(truncatingIfNeeded: round >> 8)
      unsafe outgoing[3] = UInt8(truncatingIfNeeded: round)
      let timestamp = UInt32(truncatingIfNeeded: round * 160)
      for index in 0..<4 { unsafe outgoing[4 + index] = UInt8(truncatingIfNeeded: timestamp >> (24 - 8 * index)) }
      for descriptor in descriptors {
        guard unsafe send(descriptor, outgoing.baseAddress, outgoing.count, 0) == Self.packetSize else {
          fail("a peer could not send: \(errno)")
        }
      }
      for descriptor in descriptors { take(descriptor) }
    }
  }

  private func take(_ descriptor: Int32) {
    while true {
      let count = unsafe recv(descriptor, incoming.baseAddress, incoming.count, Int32(MSG_DONTWAIT))
      if count == Self.packetSize { return }
      // Opening packets are shorter.
      if count >= 0 { continue }
      guard errno == EAGAIN || errno == EINTR else { fail("a peer could not receive: \(errno)") }
      var wanted = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
      guard unsafe poll(&wanted, 1, 60_000) == 1 else { fail("a packet was lost") }
    }
  }

  /// The CPU nanoseconds of this process without those of the calling thread.
  static func otherThreadsCPU() -> Double { clock(CLOCK_PROCESS_CPUTIME_ID) - clock(CLOCK_THREAD_CPUTIME_ID) }

  private static func clock(_ id: Int32) -> Double {
    var time = timespec()
    unsafe clock_gettime(id, &time)
    return Double(time.tv_sec) * 1e9 + Double(time.tv_nsec)
  }
}
