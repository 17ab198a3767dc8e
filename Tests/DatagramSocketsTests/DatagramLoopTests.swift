import DatagramSockets
import NetworkTypes
import Synchronization
import Testing

/// Hands what a loop tells over to a test.
final class RecordingHandler: DatagramLoopHandler {
  enum Event: Equatable {
    case datagram([UInt8], from: Endpoint, to: Endpoint, socket: Int)
    case wakeUp(MonotonicInstant)
    case sendFailed(Int, Endpoint?, DatagramSendOutcome)
  }

  let events: AsyncStream<Event>
  private let continuation: AsyncStream<Event>.Continuation
  private let echo = Mutex<DatagramLoop?>(nil)

  init() { (events, continuation) = AsyncStream.makeStream() }

  /// From now on every datagram is sent back.
  func echo(on loop: DatagramLoop?) { echo.withLock { $0 = loop } }

  func datagramReceived(
    _ bytes: Span<UInt8>, from source: Endpoint, to local: Endpoint, on socket: Int, now: MonotonicInstant
  ) {
    continuation.yield(.datagram(bytes.indices.map { bytes[$0] }, from: source, to: local, socket: socket))
    echo.withLock { $0 }?.send(bytes, on: socket, to: source, from: local)
  }

  func wakeUp(now: MonotonicInstant) { continuation.yield(.wakeUp(now)) }

  func sendFailed(on socket: Int, to remote: Endpoint?, _ outcome: DatagramSendOutcome, now: MonotonicInstant) {
    continuation.yield(.sendFailed(socket, remote, outcome))
  }
}

/// Lives on a loop's thread.
actor LoopActor: DatagramLoopHandler {
  nonisolated let loop: DatagramLoop
  nonisolated var unownedExecutor: UnownedSerialExecutor { unsafe loop.asUnownedSerialExecutor() }
  private var heard = 0
  private var waiting: CheckedContinuation<Int, Never>?

  init(loop: DatagramLoop) { self.loop = loop }

  nonisolated func datagramReceived(
    _ bytes: Span<UInt8>, from source: Endpoint, to local: Endpoint, on socket: Int, now: MonotonicInstant
  ) {
    let count = bytes.count
    assumeIsolated { actor in
      actor.heard += count
      actor.waiting?.resume(returning: actor.heard)
      actor.waiting = nil
    }
  }

  nonisolated func wakeUp(now: MonotonicInstant) {}

  func openSocket() throws -> Endpoint? { loop.localEndpoint(try loop.open(local: Endpoint(.loopbackV4, port: 0))) }

  func nextCount() async -> Int { heard > 0 ? heard : await withCheckedContinuation { waiting = $0 } }
}

@Suite("Datagram loop", .timeLimit(.minutes(1)))
struct DatagramLoopTests {
  let handler = RecordingHandler()

  /// Runs `job` on the loop's thread and waits for what it gives.
  func onLoop<Value: Sendable>(_ loop: DatagramLoop, _ job: @escaping @Sendable () -> Value) async -> Value {
    await withCheckedContinuation { continuation in loop.post { continuation.resume(returning: job()) } }
  }

  @Test("it reads, and answers from the address that was asked")
  func echo() async throws {
    let loop = try DatagramLoop(name: "test")
    let id = try loop.open(local: Endpoint(.anyV4, port: 0))
    let port = try #require(loop.localEndpoint(id)?.port)
    handler.echo(on: loop)
    try loop.start(handler: handler)
    defer { loop.stop() }
    let client = try DatagramSocket.open(local: Endpoint(.loopbackV4, port: 0))
    defer { client.close() }
    let receiver = DatagramReceiver()
    let asked = Endpoint(.v4(0x7f00_0003), port: port)
    for number in UInt8(0)..<200 {
      client.send([number].span, to: asked)
      let answers = try DatagramSocketTests.receive(client, count: 1, into: receiver)
      #expect(answers == [.init(bytes: [number], source: asked, local: client.localEndpoint)])
    }
    var events = handler.events.makeAsyncIterator()
    #expect(await events.next() == .datagram([0], from: client.localEndpoint, to: asked, socket: id))
  }

  @Test("jobs run on its thread, in order, and not on others")
  func jobs() async throws {
    let loop = try DatagramLoop(name: "test")
    try loop.start(handler: handler)
    defer { loop.stop() }
    let order = Mutex<[Int]>([])
    for number in 0..<1000 { loop.post { order.withLock { $0.append(number) } } }
    #expect(await onLoop(loop) { loop.isCurrent })
    #expect(!loop.isCurrent)
    #expect(order.withLock { $0 } == Array(0..<1000))
  }

  @Test("it wakes at the deadline, once, and at the one that was set last")
  func wakeUp() async throws {
    let loop = try DatagramLoop(name: "test")
    let start = DatagramLoop.now()
    loop.setWakeUp(start + .seconds(3600))
    try loop.start(handler: handler)
    defer { loop.stop() }
    let deadline = start + .milliseconds(30)
    await onLoop(loop) { loop.setWakeUp(deadline) }
    var events = handler.events.makeAsyncIterator()
    guard case .wakeUp(let now) = await events.next() else {
      Issue.record("no wake-up")
      return
    }
    #expect(now >= deadline)
    // A deadline in the past is met at once, and none that was met comes again: the next event is of another kind.
    let past = now
    let id = try await onLoop(loop) { Result { try loop.open(local: Endpoint(.loopbackV4, port: 0)) } }.get()
    await onLoop(loop) { loop.setWakeUp(past) }
    guard case .wakeUp = await events.next() else {
      Issue.record("no second wake-up")
      return
    }
    let port0 = Endpoint(.loopbackV4, port: 0)
    await onLoop(loop) { loop.send([1], on: id, to: port0) }
    #expect(await events.next() == .sendFailed(id, port0, .failed(22)))
  }

  @Test("sockets open, close and come again while it runs")
  func openAndClose() async throws {
    let loop = try DatagramLoop(name: "test")
    try loop.start(handler: handler)
    defer { loop.stop() }
    let client = try DatagramSocket.open(local: Endpoint(.loopbackV4, port: 0))
    defer { client.close() }
    let open: @Sendable () -> Result<Int, any Error> = {
      Result { try loop.open(local: Endpoint(.loopbackV4, port: 0)) }
    }
    let first = try await onLoop(loop, open).get()
    let second = try await onLoop(loop, open).get()
    #expect(first != second)
    await onLoop(loop) { loop.close(first) }
    #expect(await onLoop(loop) { loop.localEndpoint(first) } == nil)
    let third = try await onLoop(loop, open).get()
    #expect(third != second)
    var events = handler.events.makeAsyncIterator()
    for id in [second, third] {
      let local = try #require(await onLoop(loop) { loop.localEndpoint(id) })
      client.send([UInt8(id)].span, to: local)
      #expect(await events.next() == .datagram([UInt8(id)], from: client.localEndpoint, to: local, socket: id))
    }
    // What names no socket does nothing.
    await onLoop(loop) {
      loop.close(99)
      loop.send([1], on: 99, to: Endpoint(.loopbackV4, port: 9))
    }
    let taken = client.localEndpoint
    let refused = await onLoop(loop) { Result { try loop.open(local: taken) } }
    #expect(throws: DatagramSocketError.self) { try refused.get() }
  }

  @Test("stopping sends what waits and gives the ports back")
  func stop() throws {
    let client = try DatagramSocket.open(local: Endpoint(.loopbackV4, port: 0))
    defer { client.close() }
    let remote = client.localEndpoint
    let loop = try DatagramLoop(name: "test")
    let id = try loop.open(local: Endpoint(.loopbackV4, port: 0))
    let local = try #require(loop.localEndpoint(id))
    try loop.start(handler: handler)
    loop.post { for number in UInt8(0)..<100 { loop.send([number], on: id, to: remote) } }
    loop.stop()
    loop.post { Issue.record("ran after the end") }
    let receiver = DatagramReceiver()
    #expect(try DatagramSocketTests.receive(client, count: 100, into: receiver).map(\.bytes) == (0..<100).map { [$0] })
    let again = try DatagramSocket.open(local: local)
    again.close()
  }

  @Test("an actor lives on the loop's thread")
  func executor() async throws {
    let loop = try DatagramLoop(name: "test")
    let actor = LoopActor(loop: loop)
    try loop.start(handler: actor)
    defer { loop.stop() }
    let client = try DatagramSocket.open(local: Endpoint(.loopbackV4, port: 0))
    defer { client.close() }
    let local = try #require(try await actor.openSocket())
    client.send([1, 2, 3].span, to: local)
    #expect(await actor.nextCount() == 3)
  }
}
