import NetworkTypes
import RTP
import Testing

@Suite struct ReceptionStatisticsTests {
  var statistics = ReceptionStatistics()
  var now = MonotonicInstant(nanoseconds: 1_000_000_000)
  var timestamp: UInt32 = 0xffff_ff00

  mutating func receive(
    _ sequence: UInt16, after: Duration = .milliseconds(20), ticks: UInt32 = 160, type: UInt8 = 8, ssrc: UInt32 = 1
  ) {
    now = now + after
    timestamp &+= ticks
    statistics.packetReceived(
      RTPHeader(payloadType: type, sequence: sequence, timestamp: timestamp, ssrc: ssrc), arrival: now)
  }

  @Test mutating func countsLossAcrossTheWrap() {
    for sequence: UInt16 in [65533, 65534, 0, 1, 65535, 4] { receive(sequence) }
    // 2 and 3 are missing; 65535 came late.
    #expect(statistics.lost == 2 && statistics.received == 6)
    #expect(statistics.extendedHighestSequence == 0x1_0004)
  }

  @Test mutating func duplicatesNeverMakeLossNegative() {
    for _ in 0..<10 { receive(100) }
    #expect(statistics.lost == 0)
  }

  @Test mutating func aJumpCountsOnlyWhenItGoesOn() {
    for sequence: UInt16 in [10, 11, 30_000, 12, 13] { receive(sequence) }
    #expect(statistics.lost == 0 && statistics.received == 4)
    for sequence: UInt16 in [40_000, 40_001, 40_003] { receive(sequence) }
    #expect(statistics.lost == 1)
  }

  @Test mutating func aNewSourceKeepsWhatWasLost() {
    for sequence: UInt16 in [1, 3] { receive(sequence) }
    for sequence: UInt16 in [500, 502] { receive(sequence, ssrc: 2) }
    #expect(statistics.lost == 2 && statistics.ssrc == 2)
  }

  @Test mutating func steadyArrivalHasNoJitter() {
    for sequence in 0..<200 { receive(UInt16(sequence)) }
    #expect(statistics.jitterMilliseconds == 0)
  }

  /// A packet 10 ms late and the next in time: |D| is 10 ms each time, to which J converges (RFC 3550 §A.8).
  @Test mutating func jitterFollowsTheDifferenceOfTransit() {
    for sequence in 0..<400 { receive(UInt16(sequence), after: .milliseconds(sequence % 2 == 0 ? 30 : 10)) }
    #expect(abs(statistics.jitterMilliseconds - 10) < 0.1)
  }

  @Test mutating func measuresTheClockOfDynamicTypes() {
    for sequence in 0..<100 { receive(UInt16(sequence), ticks: 960, type: 111) }
    #expect(statistics.clockRate == 48_000)
    #expect(statistics.jitterMilliseconds < 0.01)
  }

  @Test mutating func aJumpOfTheTimestampIsNoJitter() {
    for sequence in 0..<50 { receive(UInt16(sequence)) }
    receive(50, ticks: 0x7000_0000)
    for sequence in 51..<100 { receive(UInt16(sequence)) }
    #expect(statistics.jitterMilliseconds < 0.01)
  }

  @Test func theReplayWindowSlides() {
    var window = ReplayWindow()
    for index: UInt64 in [5, 3, 200] {
      #expect(window.isFresh(index))
      window.mark(index)
      #expect(!window.isFresh(index))
    }
    #expect(!window.isFresh(5) && !window.isFresh(72) && window.isFresh(73) && window.isFresh(201))
    window.mark(73)
    #expect(!window.isFresh(73))
    window.mark(328)
    #expect(!window.isFresh(200) && window.isFresh(201))
  }
}
