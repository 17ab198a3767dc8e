import DatagramSockets
import MediaEngine
import MediaRelay
import NetworkTypes
import RTP
import STUN
import Testing

/// An engine on loopback, its events in order.
final class EngineBench {
  let engine: RelayEngine
  private let events: AsyncStream<MediaEvent>
  private var iterator: AsyncStream<MediaEvent>.Iterator

  init() throws {
    let (events, continuation) = AsyncStream<MediaEvent>.makeStream()
    self.events = events
    iterator = events.makeAsyncIterator()
    engine = try RelayEngine { continuation.yield($0) }
  }

  deinit { engine.stop() }

  /// The next event that is no count.
  func next() async -> MediaEvent? {
    while let event = await iterator.next(isolation: #isolation) {
      if case .counted = event { continue }
      return event
    }
    return nil
  }

  func counters(of id: MediaPortID) async -> MediaCounters? {
    while let event = await iterator.next(isolation: #isolation) {
      if case .counted(id, let counters) = event { return counters }
    }
    return nil
  }

  /// Opens a port on two ports that nobody has; where it is bound.
  func open(_ id: MediaPortID, on address: IPAddress = .loopbackV4) async throws -> Endpoint {
    for _ in 0..<20 {
      let probe = try DatagramSocket.open(local: Endpoint(address, port: 0))
      let local = Endpoint(address, port: probe.localEndpoint.port & ~1)
      probe.close()
      engine.send(.open(id, local: local, stun: nil))
      if await next() == .opened(id) { return local }
    }
    throw EngineBenchError.noPort
  }
}

enum EngineBenchError: Error { case noPort, nothingCame }

/// A peer: one socket, or two for RTP and RTCP.
struct Peer: ~Copyable {
  let socket: DatagramSocket
  let receiver = DatagramReceiver()

  init(_ address: IPAddress = .loopbackV4, port: UInt16 = 0) throws {
    socket = try DatagramSocket.open(local: Endpoint(address, port: port))
  }

  deinit { socket.close() }

  var endpoint: Endpoint { socket.localEndpoint }

  func send(_ bytes: [UInt8], to target: Endpoint) { socket.send(bytes.span, to: target) }

  /// The next datagram that is no opening packet, and where it came from.
  func receive() throws -> (bytes: [UInt8], source: Endpoint) { try receive { !Self.isOpening($0) } }

  /// Waits for the opening packet, which tells that the engine knows its peer.
  func receiveOpening() throws { _ = try receive(Self.isOpening) }

  private static func isOpening(_ bytes: [UInt8]) -> Bool {
    bytes.count == 12 || bytes.count > 2 && bytes[1] == 201 && bytes[0] == 0x80
  }

  private func receive(_ isWanted: ([UInt8]) -> Bool) throws -> (bytes: [UInt8], source: Endpoint) {
    var found: (bytes: [UInt8], source: Endpoint)?
    while found == nil {
      guard socket.waitReadable(timeout: .seconds(20)) else { throw EngineBenchError.nothingCame }
      try socket.receive(into: receiver, limit: 1) { bytes, source, _ in
        var copy: [UInt8] = []
        for index in bytes.indices { copy.append(bytes[index]) }
        if isWanted(copy) { found = (copy, source) }
      }
    }
    guard let found else { throw EngineBenchError.nothingCame }
    return found
  }
}

func audio(_ sequence: UInt16, ssrc: UInt32 = 7) -> [UInt8] {
  RTPHeader(payloadType: 8, sequence: sequence, timestamp: UInt32(sequence) &* 160, ssrc: ssrc).encoded()
    + [UInt8](repeating: UInt8(truncatingIfNeeded: sequence), count: 160)
}
