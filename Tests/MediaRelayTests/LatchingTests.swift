import MediaRelay
import NetworkTypes
import Testing

@Suite struct LatchingTests {
  typealias Bench = RelayBench
  let otherPort = Endpoint(RelayBench.alice.address, port: 4444)

  @Test func discardsEverythingBeforeAPeerIsSet() {
    var bench = Bench()
    bench.open(Bench.a)
    bench.receive(audio(1), from: Bench.alice, on: Bench.a)
    #expect(!bench.events.contains(.latched(Bench.a, Bench.alice)))
    #expect(bench.counters(Bench.a)?.discarded == 1)
  }

  @Test func latchesTheFirstSourceAndSendsThere() {
    var bench = Bench.coupled()
    bench.receive(audio(1), from: Bench.stranger, on: Bench.a)
    #expect(bench.events == [.latched(Bench.a, Bench.stranger)])
    #expect(bench.connected["1 rtp"] == Bench.stranger)
    #expect(bench.audioSent.map(\.to) == [Bench.bob])
    bench.receive(audio(1), from: Bench.bob, on: Bench.b)
    #expect(bench.audioSent.map(\.to) == [Bench.bob, Bench.stranger])
  }

  @Test func withoutLatchingOnlyTheNamedAddressIsHeardFromAnyPort() {
    var bench = Bench.coupled(latching: false)
    bench.receive(audio(1), from: Bench.stranger, on: Bench.a)
    #expect(bench.audioSent.isEmpty)
    bench.receive(audio(2), from: otherPort, on: Bench.a)
    #expect(bench.audioSent.count == 1 && bench.events == [.latched(Bench.a, otherPort)])
  }

  /// A thousand sources spray the port while the stream flows: nothing of theirs passes and nothing moves.
  @Test func nobodyStealsAStreamThatFlows() {
    var bench = Bench.coupled()
    bench.stream(5, from: Bench.bob, on: Bench.b)
    for sequence in 0..<100 {
      bench.receive(audio(UInt16(sequence)), from: otherPort, on: Bench.a)
      for index in 0..<10 {
        let source = Endpoint(.v4(0x0800_0000 + UInt32(sequence * 10 + index)), port: 1024)
        bench.receive(audio(UInt16(sequence), ssrc: UInt32(index)), from: source, on: Bench.a)
        bench.receive(control(), from: source, on: Bench.a, .rtcp)
      }
      bench.advance(.milliseconds(20))
    }
    #expect(bench.events.filter { $0 == .latched(Bench.a, otherPort) }.count == 1)
    #expect(bench.audioSent.filter { $0.port == Bench.b }.count == 100)
    #expect(bench.connected["1 rtp"] == otherPort)
    #expect(bench.counters(Bench.a)?.discarded == 2000)
  }

  @Test(arguments: [(Duration.milliseconds(499), false), (.milliseconds(500), true)])
  func aStrangerTakesOverOnlyAfterSilence(_ silence: Duration, _ takesOver: Bool) {
    var bench = Bench.coupled()
    bench.receive(audio(1), from: otherPort, on: Bench.a)
    bench.advance(silence)
    bench.receive(audio(1, ssrc: 99), from: Bench.stranger, on: Bench.a)
    #expect(bench.events.contains(.latched(Bench.a, Bench.stranger)) == takesOver)
  }

  /// The same SSRC from elsewhere: the peer's NAT has a new mapping.
  @Test(arguments: [(Duration.milliseconds(99), false), (.milliseconds(100), true)])
  func theSameStreamFromElsewhereTakesOverSoon(_ silence: Duration, _ takesOver: Bool) {
    var bench = Bench.coupled()
    bench.receive(audio(1), from: otherPort, on: Bench.a)
    bench.advance(silence)
    bench.receive(audio(2), from: Bench.stranger, on: Bench.a)
    #expect(bench.events.contains(.latched(Bench.a, Bench.stranger)) == takesOver)
  }

  @Test func theNamedAddressTakesOverAtOnce() {
    var bench = Bench.coupled()
    bench.receive(audio(1), from: Bench.stranger, on: Bench.a)
    bench.receive(audio(1, ssrc: 8), from: otherPort, on: Bench.a)
    #expect(bench.events == [.latched(Bench.a, Bench.stranger), .latched(Bench.a, otherPort)])
    bench.receive(audio(1, ssrc: 8), from: Bench.alice, on: Bench.a)
    #expect(bench.events.last == .latched(Bench.a, Bench.alice))
    // And then neither of the others comes back.
    bench.receive(audio(2, ssrc: 8), from: otherPort, on: Bench.a)
    bench.receive(audio(2), from: Bench.stranger, on: Bench.a)
    #expect(bench.events.count == 3)
  }

  @Test func aPeerThatMovedIsLatchedAnewAndOneOnHoldIsNot() {
    var bench = Bench.coupled()
    bench.receive(audio(1), from: otherPort, on: Bench.a)
    bench.setPeer(Bench.a, nil)
    bench.forget()
    bench.receive(audio(1), from: Bench.bob, on: Bench.b)
    #expect(bench.audioSent.isEmpty)
    bench.setPeer(Bench.a, Bench.alice)
    bench.receive(audio(2), from: Bench.bob, on: Bench.b)
    #expect(bench.audioSent.map(\.to) == [otherPort])
    bench.setPeer(Bench.a, nil)
    bench.setPeer(Bench.a, Bench.stranger)
    bench.receive(audio(3), from: Bench.bob, on: Bench.b)
    #expect(bench.audioSent.map(\.to) == [otherPort, Bench.stranger])
    #expect(bench.connected["1 rtp"] == .some(nil))
  }

  @Test func rtcpFollowsTheAddressOfRTP() {
    var bench = Bench.coupled()
    let near = Endpoint(Bench.stranger.address, port: 10_000)
    bench.receive(audio(1), from: Bench.stranger, on: Bench.a)
    bench.receive(control(), from: Endpoint(.v4(0x0909_0909), port: 1), on: Bench.a, .rtcp)
    bench.forget()
    bench.receive(control(), from: near, on: Bench.a, .rtcp)
    bench.receive(control(), from: Endpoint(Bench.bob.address, port: Bench.bob.port + 1), on: Bench.b, .rtcp)
    #expect(bench.sent.map(\.to) == [Endpoint(Bench.bob.address, port: 6001), near])
    #expect(bench.sent.allSatisfy { $0.component == .rtcp && $0.bytes == control() })
  }
}
