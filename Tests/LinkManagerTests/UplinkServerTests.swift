import LinkManager
import NetworkTypes
import STUN
import Testing

/// Several servers of an uplink: which one is asked, and what an answer that is late, old or of another server is worth.
@Suite struct UplinkServerTests {
  typealias Bench = UplinkPortTests.Bench
  static let first = UplinkPortTests.first
  static let second = UplinkPortTests.second
  static let third = Endpoint(.v4(0xc000_0203), port: 3478)
  static let home = UplinkPortTests.home
  static let moved = UplinkPortTests.moved

  @Test func eachServerIsLeftWithinThreeSecondsOfItsSilence() throws {
    var bench = Bench(servers: [Self.first, Self.second, Self.third])
    bench.run(12, answering: [Self.third])
    let asked = [Self.first, Self.second, Self.third].map { server in bench.sent.first { $0.server == server }?.at }
    let times = try #require(asked.allSatisfy { $0 != nil } ? asked.compactMap { $0 } : nil)
    #expect(times[1] - times[0] <= 3.3)
    #expect(times[2] - times[1] <= 3.3)
    #expect(bench.port.currentServer == Self.third)
    #expect(!bench.others.contains(.serversSilent))
  }

  /// The first server stays dead: that it is tried does not put the line in doubt.
  @Test func theFirstServersSilenceMeansNothingWhileAnotherOneAnswers() {
    var bench = Bench(servers: [Self.first, Self.second])
    bench.run(20, answering: [Self.second])
    #expect(bench.port.currentServer == Self.second)
    let before = bench.sent.count
    bench.others = []
    bench.run(120, answering: [Self.second])
    #expect(bench.port.currentServer == Self.second)
    #expect(bench.port.lostSince == nil)
    #expect(bench.others.isEmpty)
    let tries = bench.sent[before...].filter { $0.server == Self.first }
    #expect((3...4).contains(tries.count), "every 30 s")
    let rest = bench.sent[before...].filter { $0.server == Self.second }
    #expect(zip(rest.dropFirst(), rest).allSatisfy { (9...10).contains($0.at - $1.at) }, "no probes")
    bench.run(35, answering: [Self.first, Self.second])
    #expect(bench.port.currentServer == Self.first)
    let after = bench.sent.count
    bench.run(60, answering: [Self.first, Self.second])
    #expect(bench.sent[after...].allSatisfy { $0.server == Self.first })
  }

  @Test func anAnswerThatIsOldTellsNothing() {
    var bench = Bench()
    bench.answer(bench.sent[0].id, from: Self.first, seen: Self.home)
    bench.run(9.6)
    let request = bench.sent[bench.sent.count - 1]
    bench.run(30)
    // Both requests are unanswered; a recording of their answers is played now.
    for _ in 0..<2 { bench.answer(request.id, from: Self.first, seen: Self.moved) }
    #expect(bench.port.mapping == Self.home)
    #expect(!bench.others.contains(.mapped(Self.moved, before: Self.home)))
  }

  /// Late answers come in another order than their requests left: what an older request shows is the past.
  @Test func anOlderRequestsAnswerDoesNotUndoANewerOnes() {
    var bench = Bench()
    bench.answer(bench.sent[0].id, from: Self.first, seen: Self.home)
    bench.run(11.2)
    let late = bench.sent.suffix(4).map(\.id)
    #expect(late.count == 4)
    for id in late.suffix(2) { bench.answer(id, from: Self.first, seen: Self.moved) }
    #expect(bench.port.mapping == Self.moved)
    for id in late.prefix(2) {
      let isOurs = bench.answer(id, from: Self.first, seen: Self.home)
      #expect(!isOurs)
    }
    #expect(bench.port.mapping == Self.moved)
  }

  @Test func behindADestinationDependentMappingAnotherServersViewIsNoChange() {
    let other = Endpoint(Self.home.address, port: 40_001)
    for isKnown in [true, false] {
      var bench = Bench(servers: [Self.first, Self.second])
      bench.port.dependsOnDestination = isKnown
      bench.answer(bench.sent[0].id, from: Self.first, seen: Self.home)
      bench.others = []
      bench.run(20, answering: [Self.second], seen: other)
      #expect(bench.port.currentServer == Self.second)
      #expect(bench.port.mapping == other)
      let isMoved = bench.others.contains(.mapped(other, before: Self.home))
      #expect(isMoved == !isKnown)
      // Another address is a change all the same.
      bench.run(40, answering: [Self.second], seen: Self.moved)
      #expect(bench.others.contains { if case .mapped(Self.moved, _) = $0 { true } else { false } })
    }
  }
}
