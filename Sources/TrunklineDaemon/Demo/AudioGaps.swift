/// Where a recording holds nothing: the recorder leaves zeros where no packet came, and no code of G.711 A-law decodes to
/// zero.
public enum AudioGaps {
  /// Seconds from the beginning.
  public struct Gap: Sendable, Equatable {
    public var from: Double
    public var to: Double

    public init(from: Double, to: Double) {
      self.from = from
      self.to = to
    }
  }

  /// Runs of nothing of at least `shortest` seconds, in samples at 8 kHz.
  public static func find(in samples: [Int16], shortest: Double = 0.15) -> [Gap] {
    var gaps: [Gap] = []
    var begin: Int?
    for index in 0...samples.count {
      if index < samples.count, samples[index] == 0 {
        begin = begin ?? index
      } else if let first = begin {
        begin = nil
        let gap = Gap(from: Double(first) / 8000, to: Double(index) / 8000)
        if gap.to - gap.from >= shortest { gaps.append(gap) }
      }
    }
    return gaps
  }

  /// The loudest of each 40 ms, 0 to 1 by the loudest of all.
  public static func peaks(of samples: [Int16]) -> [Double] {
    let size = Int(TimelinePicture.peakSeconds * 8000)
    var peaks: [Double] = []
    for begin in stride(from: 0, to: samples.count, by: size) {
      var peak = 0.0
      for sample in samples[begin..<min(begin + size, samples.count)] { peak = max(peak, abs(Double(sample))) }
      peaks.append(peak)
    }
    let loudest = max(peaks.max() ?? 1, 1)
    return peaks.map { $0 / loudest }
  }
}
