/// Tells how much of what was heard is a tone: what a scenario and the demo judge audio by.
public struct ToneMeter: Sendable {
  private let coefficient: Double
  /// Windows of 100 ms, so that gaps and jumps of phase between packets do not cancel the tone.
  private static let window = 800

  /// A meter for a tone of `hertz`, 0 to 4000, in samples at 8 kHz.
  public init(hertz: Double) { coefficient = 2 * Self.cosine(2 * Double.pi * hertz / 8000) }

  /// The share of the samples' power that is the tone's, 0 to 1 (Goertzel's algorithm, window by window).
  public func share(in samples: some Collection<Int16>) -> Double {
    let samples = Array(samples)
    var atTone = 0.0
    var total = 0.0
    for start in stride(from: 0, through: samples.count - Self.window, by: Self.window) {
      let (tone, all) = power(samples[start..<start + Self.window])
      atTone += tone
      total += all
    }
    return total > 0 ? atTone / total : 0
  }

  /// The seconds during which at least half of the power was the tone's, and there was power.
  public func seconds(in samples: some Collection<Int16>) -> Double {
    let samples = Array(samples)
    var windows = 0
    for start in stride(from: 0, through: samples.count - Self.window, by: Self.window) {
      let (tone, all) = power(samples[start..<start + Self.window])
      // Louder than −50 dBm0 or so: a silent line's idle noise has no pitch worth telling.
      if all > 100 * 100 * Double(Self.window), tone > all / 2 { windows += 1 }
    }
    return Double(windows * Self.window) / 8000
  }

  private func power(_ samples: ArraySlice<Int16>) -> (tone: Double, all: Double) {
    var s1 = 0.0
    var s2 = 0.0
    var all = 0.0
    for sample in samples {
      let s0 = Double(sample) + coefficient * s1 - s2
      s2 = s1
      s1 = s0
      all += Double(sample) * Double(sample)
    }
    return ((s1 * s1 + s2 * s2 - coefficient * s1 * s2) / Double(Self.window / 2), all)
  }

  /// cos(x) for 0 ≤ x ≤ π, by its series: a core imports no C library.
  private static func cosine(_ x: Double) -> Double {
    var term = 1.0
    var sum = 1.0
    for n in 1...20 {
      term *= -x * x / Double((2 * n - 1) * (2 * n))
      sum += term
    }
    return sum
  }
}
