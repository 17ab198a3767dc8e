import DatagramSockets
import MediaEngine
import MediaRelay
import NetworkTypes
import RTP
import STUN
import Synchronization
import Testing

@Suite(.timeLimit(.minutes(1))) struct MediaEngineTests {
  let a = MediaPortID(1)
  let b = MediaPortID(2)

  @Test(arguments: [IPAddress.loopbackV4, .loopbackV6])
  func relaysBothWays(_ address: IPAddress) async throws {
    let bench = try EngineBench()
    let alice = try Peer(address)
    let bob = try Peer(address)
    let portA = try await bench.open(a, on: address)
    let portB = try await bench.open(b, on: address)
    bench.engine.send(.couple(a, b))
    bench.engine.send(.setPeer(a, MediaPeer(rtp: alice.endpoint), openingPayloadType: 20))
    bench.engine.send(.setPeer(b, MediaPeer(rtp: bob.endpoint), openingPayloadType: 20))
    try bob.receiveOpening()
    for sequence: UInt16 in 0..<50 {
      alice.send(audio(sequence), to: portA)
      let heard = try bob.receive()
      #expect(heard.bytes == audio(sequence) && heard.source == portB)
      bob.send(audio(sequence, ssrc: 8), to: portB)
      let answered = try alice.receive()
      #expect(answered.bytes == audio(sequence, ssrc: 8) && answered.source == portA)
    }
    #expect(await bench.next() == .latched(a, alice.endpoint))
    #expect(await bench.next() == .latched(b, bob.endpoint))
    bench.engine.send(.close(a))
    let counters = try #require(await bench.counters(of: a))
    #expect(counters.packetsIn == 50 && counters.packetsOut == 50 && counters.octetsIn == 50 * 172)
    #expect(counters.lostIn == 0 && counters.discarded == 0)
  }

  /// What a connected socket never hears: the named endpoint, after another source was latched and connected.
  @Test func hearsNewSourcesBesideTheConnectedOne() async throws {
    let bench = try EngineBench()
    let alice = try Peer()
    let other = try Peer()
    let portA = try await bench.open(a)
    bench.engine.send(.couple(a, a))
    bench.engine.send(.setPeer(a, MediaPeer(rtp: alice.endpoint), openingPayloadType: 20))
    try alice.receiveOpening()
    for sequence: UInt16 in 0..<3 {
      other.send(audio(sequence), to: portA)
      #expect(try other.receive().bytes == audio(sequence))
    }
    for sequence: UInt16 in 0..<3 {
      alice.send(audio(sequence, ssrc: 9), to: portA)
      #expect(try alice.receive().bytes == audio(sequence, ssrc: 9))
    }
    #expect(await bench.next() == .latched(a, other.endpoint))
    #expect(await bench.next() == .latched(a, alice.endpoint))
  }

  @Test func learnsItsMappingWhileConnected() async throws {
    let bench = try EngineBench()
    let alice = try Peer()
    let server = try Peer()
    let portA = try await bench.open(a)
    bench.engine.send(.couple(a, a))
    bench.engine.send(.setPeer(a, MediaPeer(rtp: alice.endpoint), openingPayloadType: 20))
    try alice.receiveOpening()
    alice.send(audio(1), to: portA)
    #expect(try alice.receive().bytes == audio(1))
    #expect(await bench.next() == .latched(a, alice.endpoint))
    bench.engine.send(.setSTUN(a, MediaSTUNPlan(server: server.endpoint, keepalive: .seconds(10))))
    for _ in 0..<2 {
      let request = try server.receive()
      let answer = BindingResponder().respond(to: request.bytes.span, from: request.source, local: server.endpoint)
      server.send(try #require(answer), to: request.source)
    }
    #expect(await bench.next() == .mapped(a, rtp: portA, rtcp: Endpoint(portA.address, port: portA.port + 1)))
  }

  @Test(arguments: [false, true], [0, 1])
  func saysWhenAPortIsTaken(_ reuseAddress: Bool, _ offset: UInt16) async throws {
    let bench = try EngineBench()
    let local = try await bench.open(a)
    bench.engine.send(.close(a))
    _ = await bench.counters(of: a)
    let taken = try DatagramSocket.open(
      local: Endpoint(local.address, port: local.port + offset), reuseAddress: reuseAddress)
    defer { taken.close() }
    bench.engine.send(.open(b, local: local, stun: nil))
    guard case .openFailed(b, let reason) = await bench.next() else {
      Issue.record("the port was opened")
      return
    }
    #expect(reason.contains("\(local.port + offset)"))
  }

  @Test func relaysRTCP() async throws {
    let bench = try EngineBench()
    let alice = try Peer()
    let bob = try Peer()
    let portA = try await bench.open(a)
    let portB = try await bench.open(b)
    bench.engine.send(.couple(a, b))
    bench.engine.send(.setPeer(a, MediaPeer(rtp: nil, rtcp: alice.endpoint), openingPayloadType: 20))
    bench.engine.send(.setPeer(b, MediaPeer(rtp: nil, rtcp: bob.endpoint), openingPayloadType: 20))
    try bob.receiveOpening()
    let report = RTCPReport(
      ssrc: 4,
      blocks: [
        RTCPReportBlock(ssrc: 1, fractionLost: 0, cumulativeLost: 0, extendedHighestSequence: 5, jitter: 0)
      ]
    ).encoded()
    for _ in 0..<3 {
      alice.send(report, to: Endpoint(portA.address, port: portA.port + 1))
      let heard = try bob.receive()
      #expect(heard.bytes == report && heard.source == Endpoint(portB.address, port: portB.port + 1))
    }
  }

  @Test func playsAndRecords() async throws {
    let bench = try EngineBench()
    let portA = try await bench.open(a)
    let portB = try await bench.open(b)
    bench.engine.send(.setPeer(a, MediaPeer(rtp: portB), openingPayloadType: 20))
    bench.engine.send(.setPeer(b, MediaPeer(rtp: portA), openingPayloadType: 20))
    bench.engine.send(.record(b, true))
    bench.engine.send(.play(a, .tone(hertz: 1000), payloadType: 8))
    // The opening packets latch too.
    var latched: [MediaEvent] = []
    for _ in 0..<2 { if let event = await bench.next() { latched.append(event) } }
    #expect(latched.contains(.latched(b, portA)))
    while let counters = await bench.counters(of: b), counters.packetsIn < 20 {}
    bench.engine.send(.record(b, false))
    guard case .recorded(b, let samples) = await bench.next() else {
      Issue.record("no recording")
      return
    }
    #expect(samples.count >= 19 * 160 && samples.contains { $0 > 6500 } && samples.contains { $0 < -6500 })
  }

  @Test func stopsOnceAndTakesNothingAfterwards() async throws {
    let bench = try EngineBench()
    let local = try await bench.open(a)
    bench.engine.stop()
    bench.engine.stop()
    #expect(!bench.engine.send(.close(a)))
    // Its ports are free again.
    try DatagramSocket.open(local: local).close()
    try DatagramSocket.open(local: Endpoint(local.address, port: local.port + 1)).close()
  }

  @Test func mayBeStoppedByItsOwnThread() async throws {
    let box = Box()
    let (ended, end) = AsyncStream<Void>.makeStream()
    let engine = try RelayEngine { _ in
      box.engine.withLock { $0 }?.stop()
      end.finish()
    }
    box.engine.withLock { $0 = engine }
    engine.send(.open(a, local: Endpoint(.loopbackV4, port: .max), stun: nil))
    for await _ in ended {}
    #expect(!engine.send(.close(a)))
  }

  private final class Box: Sendable {
    let engine = Mutex<RelayEngine?>(nil)
  }
}
