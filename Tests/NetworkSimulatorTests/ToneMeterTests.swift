import EmbeddedProvider
import NetworkSimulator
import Testing

@Suite struct ToneMeterTests {
  /// A square wave whose first harmonic is at 8000 / `period` Hz and holds 8/π² of its power.
  static func square(period: Int, count: Int, level: Int16 = 8000) -> [Int16] {
    (0..<count).map { $0 % period < period / 2 ? level : -level }
  }

  @Test func findsItsToneAndNoOther() {
    let samples = Self.square(period: 16, count: 16_000)
    #expect(abs(ToneMeter(hertz: 500).share(in: samples) - 0.81) < 0.03)
    #expect(ToneMeter(hertz: 700).share(in: samples) < 0.01)
    #expect(ToneMeter(hertz: 500).seconds(in: samples) == 2)
    #expect(ToneMeter(hertz: 700).seconds(in: samples) == 0)
  }

  @Test func silenceIsNoTone() {
    let quiet = [Int16](repeating: 0, count: 8000) + Self.square(period: 16, count: 8000, level: 8)
    #expect(ToneMeter(hertz: 500).seconds(in: quiet) == 0)
    #expect(ToneMeter(hertz: 500).share(in: [Int16](repeating: 0, count: 8000)) == 0)
    #expect(ToneMeter(hertz: 500).share(in: [Int16]()) == 0)
  }

  @Test func gapsAreLeftOut() {
    let samples =
      Self.square(period: 16, count: 8000) + [Int16](repeating: 0, count: 4000) + Self.square(period: 16, count: 8000)
    #expect(ToneMeter(hertz: 500).seconds(in: samples) == 2)
  }
}
