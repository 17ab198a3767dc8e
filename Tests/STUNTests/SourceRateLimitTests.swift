import NetworkTypes
import STUN
import Testing

@Suite("Rate limit per source")
struct SourceRateLimitTests {
  static func limit(_ perSecond: Int, seed: UInt64 = 1) -> SourceRateLimit {
    var random = RandomSource(seed: seed)
    return SourceRateLimit(perSecond: perSecond, random: &random)
  }

  static func at(_ milliseconds: Int64) -> MonotonicInstant {
    // Boot time may be anything.
    MonotonicInstant(nanoseconds: 5_000_000_000 + milliseconds * 1_000_000)
  }

  /// How many of `count` requests are admitted at one moment.
  static func admitted(_ limit: inout SourceRateLimit, _ count: Int, _ source: IPAddress, at milliseconds: Int64) -> Int
  {
    var admitted = 0
    for _ in 0..<count where limit.admits(source, now: at(milliseconds)) { admitted += 1 }
    return admitted
  }

  @Test("a quarter of a second at once, and the rate from then on")
  func oneSource() {
    var limit = Self.limit(100)
    let source = IPAddress.v4(7)
    let burst = Self.admitted(&limit, 1000, source, at: 0)
    #expect(burst == 25)
    // Ten times the rate for ten seconds.
    let admitted = (1...10_000).reduce(0) { $0 + Self.admitted(&limit, 1, source, at: $1) }
    #expect((990...1000).contains(admitted))
    // Silence restores no more than the first quarter.
    let later = Self.admitted(&limit, 1000, source, at: 1_000_000)
    #expect(later == 25)
  }

  @Test("sources do not pay for each other, while far fewer are busy than there are cells")
  func manySources() {
    var limit = Self.limit(100)
    for source in UInt32(0)..<200 {
      for _ in 0..<100 { _ = limit.admits(.v4(source), now: Self.at(0)) }
    }
    let others = (UInt32(1000)..<2000).reduce(0) { $0 + Self.admitted(&limit, 1, .v4($1), at: 0) }
    #expect(others > 995)
  }

  @Test("other sources never win a busy one more than its share", arguments: [UInt64(1), 2, 3])
  func flood(_ seed: UInt64) {
    var limit = Self.limit(100, seed: seed)
    var admitted = 0
    for source in UInt32(0)..<20_000 {
      _ = limit.admits(.v4(source | 1 << 24), now: Self.at(0))
      if limit.admits(.v4(7), now: Self.at(0)) { admitted += 1 }
    }
    #expect(admitted <= 25)
  }

  @Test("an IPv6 customer is one source, and two are two")
  func prefixes() {
    var limit = Self.limit(4)
    let prefix: UInt128 = 0x2001_0db8_0000_0001 << 64
    let steps: [(UInt128, Int64)] = [(prefix | 1, 0), (prefix | 2, 0), (prefix + (1 << 64), 0), (prefix | 3, 250)]
    let admitted = steps.map { Self.admitted(&limit, 1, .v6($0.0), at: $0.1) }
    #expect(admitted == [1, 0, 1, 1])
  }

  @Test("0 is no limit, and extreme rates do not trap")
  func extremes() {
    var none = Self.limit(0)
    let unlimited = Self.admitted(&none, 10_000, .v4(1), at: 0)
    #expect(unlimited == 10_000)
    for rate in [-1, 1, .max] {
      var limit = Self.limit(rate)
      let first = limit.admits(.v4(1), now: MonotonicInstant(nanoseconds: 0))
      #expect(first)
      _ = limit.admits(.v4(1), now: MonotonicInstant(nanoseconds: .max))
      _ = limit.admits(.v4(1), now: MonotonicInstant(nanoseconds: .min))
    }
  }
}
