import MediaRelay
import NetworkTypes
import STUN
import Testing

@Suite struct ProbeTests {
  typealias Bench = RelayBench
  let plan = MediaSTUNPlan(server: Bench.server, keepalive: .seconds(10))

  @Test func learnsBothMappingsAtOnce() throws {
    var bench = Bench()
    bench.publicAddress = .v4(0xcb00_7101)
    bench.open(Bench.a, stun: plan)
    #expect(
      bench.events == [
        .opened(Bench.a),
        .mapped(Bench.a, rtp: try #require(Endpoint("203.0.113.1:41002")), rtcp: Endpoint("203.0.113.1:41003")),
      ])
    #expect(bench.probes.map(\.component) == [.rtp, .rtcp])
  }

  @Test func tellsRTPAloneAfterAMoment() {
    var bench = Bench()
    bench.publicAddress = .v4(0xcb00_7101)
    bench.answersRTCP = false
    bench.open(Bench.a, stun: plan)
    bench.advance(.milliseconds(59))
    #expect(bench.events == [.opened(Bench.a)])
    bench.advance(.milliseconds(1))
    #expect(bench.events.last == .mapped(Bench.a, rtp: Endpoint(.v4(0xcb00_7101), port: 41_002), rtcp: nil))
  }

  @Test func repeatsFastUntilAnswered() {
    var bench = Bench()
    bench.open(Bench.a, stun: plan)
    bench.advance(.milliseconds(1600))
    let times = bench.probes.filter { $0.component == .rtp }.map {
      ($0.at - bench.probes[0].at).nanoseconds / 1_000_000
    }
    #expect(times == [0, 100, 300, 700, 1500])
  }

  @Test func onlyTheServersAnswerToOurQuestionCounts() {
    var bench = Bench()
    bench.open(Bench.a, stun: plan)
    let request = bench.sent[0].bytes
    let forged = Endpoint(.v4(0x0808_0808), port: 1)
    bench.receive(stunAnswer(request, forged), from: Bench.stranger, on: Bench.a)
    var other = request
    other[15] ^= 1
    bench.receive(stunAnswer(other, forged), from: Bench.server, on: Bench.a)
    bench.receive(stunAnswer(request, forged), from: Bench.server, on: Bench.a, .rtcp)
    bench.advance(.seconds(1))
    #expect(!bench.events.contains { if case .mapped = $0 { true } else { false } })
  }

  @Test func anAnswerFromElsewhereCountsOnlyFromThere() throws {
    var bench = Bench()
    bench.open(Bench.a, stun: plan)
    let first = try #require(bench.sent.first).bytes
    bench.forget()
    bench.perform(
      .setSTUN(Bench.a, MediaSTUNPlan(server: Bench.server, keepalive: .seconds(10), isFromElsewhere: true)))
    let request = try #require(bench.sent.first).bytes
    let asked = try STUNMessage(decoding: request.span)
    #expect(asked.attributes == [.changeRequest(STUNChangeRequest(changeIP: true, changePort: true))])
    let seen = Endpoint(.v4(0xcb00_7101), port: 41_002)
    let answer = STUNMessage(
      messageClass: .success, method: .binding, transactionID: asked.transactionID,
      attributes: [.xorMappedAddress(seen)]
    ).encoded()
    bench.receive(answer, from: Bench.server, on: Bench.a)
    bench.receive(stunAnswer(first, seen), from: Bench.stranger, on: Bench.a)
    bench.advance(.milliseconds(650))
    #expect(bench.events.isEmpty)
    // The request left again at 100, 300 and 700 ms; any of them may be answered.
    #expect(bench.probes.filter { $0.component == .rtp }.count == 3)
    bench.receive(answer, from: Bench.stranger, on: Bench.a)
    bench.advance(.milliseconds(60))
    #expect(bench.events == [.mapped(Bench.a, rtp: seen, rtcp: nil)])
  }

  /// Nothing leaves but keepalives: never more than 10 s apart, never much more often.
  @Test func keepsAlive() {
    var bench = Bench()
    bench.publicAddress = .v4(0xcb00_7101)
    bench.open(Bench.a, stun: plan)
    bench.advance(.seconds(65))
    for component in MediaComponent.allCases {
      let times = bench.probes.filter { $0.component == component }.map(\.at)
      #expect(times.count == 7)
      for (earlier, later) in zip(times, times.dropFirst()) {
        #expect(later - earlier <= .seconds(10) && later - earlier >= .milliseconds(9900))
      }
    }
  }

  /// Audio leaves every 4 s: no STUN from that socket; RTCP, silent, goes on with its own.
  @Test func otherTrafficTakesThePlaceOfKeepalives() {
    var bench = Bench.coupled()
    bench.publicAddress = .v4(0xcb00_7101)
    bench.perform(.setSTUN(Bench.a, plan))
    bench.forget()
    for sequence in 0..<16 {
      bench.receive(audio(UInt16(sequence)), from: Bench.bob, on: Bench.b)
      bench.advance(.seconds(4))
    }
    #expect(bench.probes.filter { $0.component == .rtp }.isEmpty)
    #expect(bench.probes.filter { $0.component == .rtcp }.count == 6)
  }

  /// Opening packets go to the peer with every keepalive: what filters by address must see them (RFC 6263).
  @Test func keepsThePeersWayOpenToo() {
    var bench = Bench()
    bench.publicAddress = .v4(0xcb00_7101)
    bench.open(Bench.a, stun: plan)
    bench.setPeer(Bench.a, Bench.alice)
    bench.forget()
    bench.advance(.seconds(31))
    #expect(bench.sent.filter { $0.to == Bench.alice }.map(\.bytes.count) == [12, 12, 12])
    #expect(bench.sent.filter { $0.to.port == 4001 }.count == 3)
  }

  @Test func tellsAChangedMapping() {
    var bench = Bench()
    bench.publicAddress = .v4(0xcb00_7101)
    bench.open(Bench.a, stun: plan)
    bench.forget()
    bench.advance(.seconds(25))
    #expect(!bench.events.contains { if case .mapped = $0 { true } else { false } })
    bench.publicAddress = .v4(0xcb00_7102)
    bench.advance(.seconds(10))
    let mapped = bench.events.filter { if case .mapped = $0 { true } else { false } }
    #expect(
      mapped == [
        .mapped(
          Bench.a, rtp: Endpoint(.v4(0xcb00_7102), port: 41_002), rtcp: Endpoint(.v4(0xcb00_7102), port: 41_003))
      ])
  }

  /// Audio goes on, so that only RTCP asks; and what RTP had before the address changed is told to nobody any more.
  @Test func whatOneSocketKnewOfAnotherLineIsNotTold() {
    var bench = Bench.coupled()
    bench.publicAddress = .v4(0xcb00_7101)
    bench.perform(.setSTUN(Bench.a, plan))
    bench.forget()
    bench.publicAddress = .v4(0xcb00_7102)
    for sequence in 0..<100 {
      bench.receive(audio(UInt16(sequence)), from: Bench.bob, on: Bench.b)
      bench.advance(.milliseconds(200))
    }
    let mapped = bench.events.filter { if case .mapped = $0 { true } else { false } }
    #expect(
      mapped == [
        .mapped(
          Bench.a, rtp: Endpoint(.v4(0xcb00_7102), port: 41_002), rtcp: Endpoint(.v4(0xcb00_7102), port: 41_003))
      ])
  }

  @Test func settingAPlanAgainTellsAgainAndRemovingItEndsIt() {
    var bench = Bench()
    bench.publicAddress = .v4(0xcb00_7101)
    bench.open(Bench.a, stun: plan)
    bench.forget()
    bench.perform(.setSTUN(Bench.a, plan))
    #expect(bench.events.count == 1)
    bench.perform(.setSTUN(Bench.a, nil))
    bench.forget()
    bench.advance(.seconds(60))
    #expect(bench.sent.isEmpty)
  }
}
