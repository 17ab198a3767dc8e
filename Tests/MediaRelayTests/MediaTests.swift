import MediaRelay
import NetworkTypes
import RTP
import Testing

@Suite struct MediaTests {
  typealias Bench = RelayBench

  func header(_ bytes: [UInt8]) throws -> RTPHeader {
    let header = RTPHeader.decode(bytes.span)
    return try #require(header)
  }

  @Test func opensAWayForThePeersPackets() throws {
    var bench = Bench()
    bench.open(Bench.a)
    bench.setPeer(Bench.a, Bench.alice)
    #expect(bench.sent.map(\.to) == [Bench.alice, Endpoint(Bench.alice.address, port: 4001)])
    let opening = try header(bench.sent[0].bytes)
    #expect(opening.payloadType == 20 && opening.payloadLength == 0)
    let bytes = bench.sent[1].bytes
    let report = RTCPReport.decode(bytes.span)
    #expect(report?.blocks.isEmpty == true && report?.ssrc == opening.ssrc)
  }

  @Test func aPeerSetBeforeTheSocketsAreBoundIsGreetedWhenTheyAre() {
    var core = RelayCore(random: RandomSource(seed: 1))
    var actions: [RelayAction] = []
    let now = MonotonicInstant(nanoseconds: 0)
    core.apply(.open(Bench.a, local: Endpoint(.loopbackV4, port: 4000), stun: nil), now: now, into: &actions)
    core.apply(.setPeer(Bench.a, MediaPeer(rtp: Bench.alice), openingPayloadType: 0), now: now, into: &actions)
    #expect(actions.count == 2)
    core.socketOpened(Bench.a, .rtp, now: now, into: &actions)
    core.socketOpened(Bench.a, .rtcp, now: now, into: &actions)
    #expect(actions.count == 5 && actions[2] == .event(.opened(Bench.a)))
  }

  @Test func aRefusedSocketGivesUpThePort() {
    var core = RelayCore(random: RandomSource(seed: 1))
    var actions: [RelayAction] = []
    let now = MonotonicInstant(nanoseconds: 0)
    core.apply(.open(Bench.a, local: Endpoint(.loopbackV4, port: 4000), stun: nil), now: now, into: &actions)
    core.socketOpened(Bench.a, .rtp, now: now, into: &actions)
    actions = []
    core.openFailed(Bench.a, .rtcp, reason: "in use", into: &actions)
    #expect(actions == [.closeSocket(Bench.a, .rtp), .event(.openFailed(Bench.a, reason: "in use"))])
    #expect(core.portCount == 0 && core.nextDeadline == nil)
    actions = []
    core.apply(.open(Bench.a, local: Endpoint(.loopbackV4, port: .max), stun: nil), now: now, into: &actions)
    #expect(actions.count == 1 && core.portCount == 0)
  }

  @Test func relaysBothWaysUnchangedAndCounts() throws {
    var bench = Bench.coupled()
    for sequence in 0..<50 {
      bench.receive(audio(UInt16(sequence), fill: 1), from: Bench.alice, on: Bench.a)
      if sequence != 25 { bench.receive(audio(UInt16(sequence), fill: 2), from: Bench.bob, on: Bench.b) }
      bench.advance(.milliseconds(20))
    }
    #expect(
      bench.audioSent.filter { $0.port == Bench.b && $0.to == Bench.bob }.map(\.bytes)
        == (0..<50).map { audio($0, fill: 1) })
    #expect(bench.audioSent.filter { $0.port == Bench.a && $0.to == Bench.alice }.count == 49)
    let counteda = bench.counters(Bench.a)
    let a = try #require(counteda)
    #expect(a.packetsIn == 50 && a.packetsOut == 49 && a.octetsIn == 50 * 172 && a.lostIn == 0 && a.discarded == 0)
    let countedb = bench.counters(Bench.b)
    let b = try #require(countedb)
    #expect(b.packetsIn == 49 && b.packetsOut == 50 && b.lostIn == 1)
  }

  @Test func couplingAnewEndsTheOldCouple() {
    var bench = Bench.coupled()
    let c = MediaPortID(3)
    bench.open(c)
    bench.setPeer(c, Bench.stranger)
    bench.perform(.couple(Bench.a, c))
    bench.forget()
    bench.receive(audio(1), from: Bench.alice, on: Bench.a)
    bench.receive(audio(1), from: Bench.bob, on: Bench.b)
    #expect(bench.audioSent.map(\.to) == [Bench.stranger])
    bench.perform(.close(c))
    bench.receive(audio(2), from: Bench.alice, on: Bench.a)
    #expect(bench.audioSent.count == 1)
  }

  @Test func echoes() {
    var bench = Bench()
    bench.open(Bench.a)
    bench.setPeer(Bench.a, Bench.alice)
    bench.perform(.couple(Bench.a, Bench.a))
    bench.forget()
    bench.receive(audio(5), from: Bench.stranger, on: Bench.a)
    #expect(bench.audioSent.map(\.bytes) == [audio(5)] && bench.audioSent[0].to == Bench.stranger)
    bench.receive(Array(audio(6).prefix(12)), from: Bench.stranger, on: Bench.a)
    bench.receive(control(), from: Bench.stranger, on: Bench.a, .rtcp)
    #expect(bench.sent.count == 1)
  }

  @Test func noticesSilence() {
    var bench = Bench.coupled()
    bench.advance(.seconds(5))
    #expect(!bench.events.contains(.silent(Bench.a)))
    bench.stream(10, from: Bench.alice, on: Bench.a)
    bench.forget()
    bench.advance(.milliseconds(279))
    #expect(!bench.events.contains(.silent(Bench.a)))
    bench.advance(.milliseconds(1))
    #expect(bench.events.contains(.silent(Bench.a)))
    bench.forget()
    bench.advance(.milliseconds(700))
    bench.receive(Array(audio(10).prefix(12)), from: Bench.alice, on: Bench.a)
    #expect(!bench.events.contains { if case .heard = $0 { true } else { false } })
    bench.receive(audio(10), from: Bench.alice, on: Bench.a)
    // The empty packet was heard from the peer, at the same moment: the gap is counted to the last audio.
    #expect(bench.events.contains(.heard(Bench.a, gap: .seconds(1))))
    bench.stream(60, from: Bench.alice, on: Bench.a, startingAt: 11)
    let gaps = bench.events.compactMap {
      if case .counted(Bench.a, let counters) = $0 { counters.lastAudioGapMilliseconds } else { nil }
    }
    #expect(gaps.last == 1000)
  }

  /// A connected socket keeps the address that this machine had: after a silence, and when the line has another address, none
  /// is kept until the peer has been heard again. What is relayed goes on.
  @Test func looksForAWayAfterASilence() {
    var bench = Bench.coupled()
    bench.receive(control(), from: Bench.alice, on: Bench.a, .rtcp)
    bench.stream(10, from: Bench.alice, on: Bench.a)
    #expect(bench.connected == ["1 rtp": Bench.alice, "1 rtcp": Bench.alice])
    bench.advance(.milliseconds(280))
    #expect(bench.connected == ["1 rtp": nil, "1 rtcp": nil])
    bench.forget()
    bench.receive(audio(1), from: Bench.bob, on: Bench.b)
    #expect(bench.audioSent.map(\.to) == [Bench.alice])
    #expect(bench.connected["2 rtp"] == .some(Bench.bob))
    bench.perform(.setSTUN(Bench.b, MediaSTUNPlan(server: Bench.server, keepalive: .seconds(10))))
    #expect(bench.connected["2 rtp"] == .some(nil))
  }

  @Test func playsAToneOnTime() throws {
    var bench = Bench.coupled()
    bench.perform(.play(Bench.a, .tone(hertz: 400), payloadType: 8))
    bench.advance(.milliseconds(999))
    let packets = bench.audioSent
    #expect(packets.count == 50)
    let headers = try packets.map { try header($0.bytes) }
    #expect(headers.map(\.marker) == [true] + Array(repeating: false, count: 49))
    var samples: [Double] = []
    for (index, packet) in packets.enumerated() {
      #expect(headers[index].sequence == headers[0].sequence &+ UInt16(index))
      #expect(headers[index].timestamp == headers[0].timestamp &+ UInt32(160 * index))
      #expect(packet.at - packets[0].at == .milliseconds(20 * index))
      samples += packet.bytes.dropFirst(12).map { Double(G711.decodeALaw($0)) }
    }
    // 400 Hz at 8 kHz repeats every 20 samples; −10 dBm0 is an effective value of 5104.
    #expect(zip(samples, samples.dropFirst(20)).allSatisfy { $0 == $1 })
    #expect(samples.prefix(10).allSatisfy { $0 > 0 } == true && samples[11..<20].allSatisfy { $0 < 0 })
    let effective = (samples.map { $0 * $0 }.reduce(0, +) / Double(samples.count)).squareRoot()
    #expect(abs(effective - 5104) < 60)
  }

  @Test func whatPlaysIsNotMixedWithWhatIsRelayed() {
    var bench = Bench.coupled()
    bench.perform(.play(Bench.a, .silence, payloadType: 0))
    bench.forget()
    bench.stream(5, from: Bench.bob, on: Bench.b)
    #expect(
      bench.audioSent.count == 5 && bench.audioSent.allSatisfy { $0.bytes[1] & 0x7f == 0 && $0.bytes[12] == 0xff })
    bench.perform(.play(Bench.a, nil, payloadType: 0))
    bench.forget()
    bench.stream(5, from: Bench.bob, on: Bench.b, startingAt: 5)
    #expect(bench.audioSent.map(\.bytes) == (5..<10).map { audio($0) })
  }

  @Test func aLongSleepIsNotPlayedBack() {
    var bench = Bench.coupled()
    bench.perform(.play(Bench.a, .silence, payloadType: 8))
    bench.forget()
    bench.now = bench.now + .seconds(3600)
    bench.core.timerFired(now: bench.now, into: &bench.actions)
    #expect(bench.actions.filter { if case .send = $0 { true } else { false } }.count <= 2)
  }

  @Test func recordsInOrderWithGaps() throws {
    var bench = Bench.coupled()
    bench.perform(.record(Bench.a, true))
    for sequence: UInt16 in [0, 1, 3, 2, 2, 6] {
      bench.receive(audio(sequence, type: sequence == 6 ? 0 : 8, fill: UInt8(sequence)), from: Bench.alice, on: Bench.a)
      bench.advance(.milliseconds(20))
    }
    bench.receive(audio(4, type: 101), from: Bench.alice, on: Bench.a)
    bench.forget()
    bench.perform(.record(Bench.a, false))
    guard case .recorded(Bench.a, let samples) = try #require(bench.events.first) else {
      Issue.record("no recording")
      return
    }
    #expect(samples.count == 7 * 160)
    for index in 0..<4 { #expect(samples[index * 160 + 80] == G711.decodeALaw(UInt8(index))) }
    #expect(samples[4 * 160] == 0 && samples[6 * 160 - 1] == 0 && samples[6 * 160] == G711.decodeMuLaw(6))
  }

  @Test func aNewStreamIsRecordedWhereTheClockStands() throws {
    var bench = Bench.coupled()
    bench.perform(.record(Bench.a, true))
    bench.stream(5, from: Bench.alice, on: Bench.a)
    bench.advance(.milliseconds(900))
    bench.receive(audio(40_000, ssrc: 9, fill: 1), from: Bench.alice, on: Bench.a)
    bench.perform(.close(Bench.a))
    let recorded = bench.events.compactMap { if case .recorded(_, let samples) = $0 { samples } else { nil } }
    #expect(recorded.map(\.count) == [8160] && recorded[0][8000] == G711.decodeALaw(1))
  }

  @Test func closingCountsOnceMoreAndLeavesNothing() {
    var bench = Bench.coupled()
    bench.perform(.close(Bench.a))
    bench.perform(.close(Bench.b))
    #expect(bench.closed == [.rtp, .rtcp, .rtp, .rtcp])
    #expect(bench.events.count == 2 && bench.core.portCount == 0 && bench.core.nextDeadline == nil)
    bench.forget()
    bench.perform(.setPeer(Bench.a, MediaPeer(rtp: Bench.alice), openingPayloadType: 0))
    bench.perform(.couple(Bench.a, Bench.a))
    bench.perform(.play(Bench.a, .silence, payloadType: 8))
    bench.receive(audio(1), from: Bench.alice, on: Bench.a)
    bench.advance(.seconds(100))
    #expect(bench.sent.isEmpty && bench.events.isEmpty)
    bench.open(Bench.a)
    #expect(bench.events == [.opened(Bench.a)])
  }

  /// The short way decides as the long one does, and leaves the same behind.
  @Test func theShortWayAgreesWithTheLongOne() throws {
    var short = Bench.coupled()
    var long = short
    var taken = 0
    for sequence in 0..<100 {
      // The pause ends by a packet that is to be reported as heard: for the long way.
      if sequence == 50 {
        short.advance(.milliseconds(400))
        long.advance(.milliseconds(400))
      }
      let packet = audio(UInt16(sequence), ssrc: sequence < 80 ? 7 : 8)
      let found = short.core.lane(of: Bench.a, .rtp)
      let lane = try #require(found)
      let now = short.now
      if case .relay(let other) = short.core.relayVerdict(packet.span, lane: lane, now: now) {
        #expect(short.core.target(ofLane: other) == Bench.bob)
        short.core.packetRelayed(packet.count, lane: other, now: now)
        taken += 1
      } else {
        short.receive(packet, from: Bench.alice, on: Bench.a)
      }
      long.receive(packet, from: Bench.alice, on: Bench.a)
      short.advance(.milliseconds(20))
      long.advance(.milliseconds(20))
    }
    #expect(taken == 97)
    #expect(short.events == long.events)
    #expect(short.counters(Bench.a) == long.counters(Bench.a))
    #expect(short.counters(Bench.b) == long.counters(Bench.b))
  }
}
