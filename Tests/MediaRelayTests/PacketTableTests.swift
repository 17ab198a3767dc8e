import MediaRelay
import NetworkTypes
import Testing

@Suite struct PacketTableTests {
  typealias Bench = RelayBench

  /// Every kind of packet on both sockets, from the latched source.
  @Test(arguments: [
    (audio(9), MediaComponent.rtp, true), (audio(9), .rtcp, false), (control(), .rtp, false), (control(), .rtcp, true),
    ([22, 0xfe, 0xfd] + [UInt8](repeating: 0, count: 40), .rtp, true),
    ([22, 0xfe, 0xfd] + [UInt8](repeating: 0, count: 40), .rtcp, false),
    ([0, 1, 0, 0, 0x21, 0x12, 0xa4, 0x42] + [UInt8](repeating: 7, count: 12), .rtp, false),
    ([0, 1, 0, 0, 0x21, 0x12, 0xa4, 0x42] + [UInt8](repeating: 7, count: 12), .rtcp, false),
    ([UInt8](repeating: 100, count: 40), .rtp, false), ([], .rtp, false), ([0x80], .rtcp, false),
    ([0x8f] + audio(9).dropFirst(), .rtp, true), ([0x90, 8] + [UInt8](repeating: 0xff, count: 16), .rtp, false),
  ])
  func whatPasses(_ packet: [UInt8], _ component: MediaComponent, _ passes: Bool) {
    var bench = Bench.coupled()
    bench.receive(audio(1), from: Bench.alice, on: Bench.a)
    bench.receive(control(), from: Endpoint(Bench.alice.address, port: 4001), on: Bench.a, .rtcp)
    bench.forget()
    let port: UInt16 = component == .rtp ? 4000 : 4001
    bench.receive(packet, from: Endpoint(Bench.alice.address, port: port), on: Bench.a, component)
    #expect(bench.sent.map(\.bytes) == (passes ? [packet] : []))
    #expect(bench.counters(Bench.a)?.discarded == (passes ? 0 : 1))
  }

  @Test func dtlsOfAStrangerDoesNotPass() {
    var bench = Bench.coupled()
    bench.receive([22, 0xfe, 0xfd] + [UInt8](repeating: 0, count: 40), from: Bench.stranger, on: Bench.a)
    #expect(bench.sent.isEmpty)
  }

  @Test func survivesAnything() {
    var bench = Bench.coupled()
    bench.perform(.record(Bench.a, true))
    bench.perform(.setSTUN(Bench.a, MediaSTUNPlan(server: Bench.server, keepalive: .seconds(1))))
    var random = RandomSource(seed: 11)
    for _ in 0..<20_000 {
      var bytes = (0..<Int.random(in: 0...80, using: &random)).map { _ in UInt8.random(in: 0...255, using: &random) }
      if !bytes.isEmpty { bytes[0] = [bytes[0], 0x80, 0x90, 0xa0, 1, 22].randomElement(using: &random) ?? 0 }
      let source = [Bench.alice, Bench.stranger, Bench.server].randomElement(using: &random) ?? Bench.alice
      bench.receive(bytes, from: source, on: Bench.a, Bool.random(using: &random) ? .rtp : .rtcp)
      bench.advance(.milliseconds(Int.random(in: 0...30, using: &random)))
      if bench.sent.count > 1000 { bench.forget() }
    }
    #expect(bench.counters(Bench.a) != nil)
  }
}
