/// When an uplink's line was cut of late, and when it is therefore expected to be cut next: many DSL lines are, every 24 hours.
public struct CutDiary: Sendable, Hashable, Codable {
  /// One cut, in seconds of civil time since 1970 and seconds of length.
  public struct Cut: Sendable, Hashable, Codable {
    public var at: Int64
    public var seconds: Int64

    public init(at: Int64, seconds: Int64) {
      self.at = at
      self.seconds = seconds
    }
  }

  /// When a cut is expected: from shortly before until it should be over.
  public struct Expectation: Sendable, Hashable {
    public var begins: Int64
    public var ends: Int64
    /// How long cuts at this time last, usually.
    public var seconds: Int64
  }

  private static let mostCuts = 40
  private static let day: Int64 = 86_400
  /// Cuts so far apart, by the time of day, are the same habit.
  private static let tolerance: Int64 = 300
  /// So many days in a row of the last week make a habit.
  private static let leastDays = 3
  /// What is noted within so many seconds is the same cut.
  private static let sameCut: Int64 = 30
  private static let memory: Int64 = 8 * day
  /// What is done because of it begins so long before the earliest of the habit.
  private static let lead: Int64 = 60
  /// Shorter ones are loss, and longer ones a fault.
  private static let lengths: ClosedRange<Int64> = 0...1800

  /// The oldest first.
  public private(set) var cuts: [Cut] = []

  public init() {}

  /// - Parameter cuts: the oldest first.
  public init(_ cuts: [Cut]) { for cut in cuts { add(cut) } }

  public mutating func add(_ cut: Cut) {
    guard Self.lengths.contains(cut.seconds), cut.at >= 0, cut.at < 1 << 40 else { return }
    if let place = cuts.firstIndex(where: { abs($0.at - cut.at) < Self.sameCut }) {
      // One cut, of which the loss and the new address were noticed.
      cuts[place] = Cut(at: min(cuts[place].at, cut.at), seconds: max(cuts[place].seconds, cut.seconds))
      return
    }
    cuts.append(cut)
    cuts.sort { $0.at < $1.at }
    if cuts.count > Self.mostCuts { cuts.removeFirst(cuts.count - Self.mostCuts) }
  }

  /// The next expected cut that is not over at `now`, seconds since 1970; `nil` without a habit. Of several habits the next.
  public func expectation(now: Int64) -> Expectation? {
    let recent = cuts.filter { now - $0.at < Self.memory && $0.at <= now }
    var best: Expectation?
    for cut in recent {
      let habit = recent.filter { abs(Self.distance($0.at, cut.at)) <= Self.tolerance }
      let days = habit.map { ($0.at - cut.at + Self.day / 2 + 1000 * Self.day) / Self.day }
      var distinct: [Int64] = []
      for day in days where !distinct.contains(day) { distinct.append(day) }
      guard distinct.count >= Self.leastDays, let last = habit.last, now - last.at < 3 * Self.day else { continue }
      let offsets = habit.map { Self.distance($0.at, last.at) }
      let lengths = habit.map(\.seconds).sorted()
      let length = lengths[lengths.count / 2]
      guard let earliest = offsets.min(), let latest = offsets.max() else { continue }
      var next = last.at + Self.day
      while next + latest + length + Self.lead <= now { next += Self.day }
      let found = Expectation(
        begins: next + earliest - Self.lead, ends: next + latest + length + Self.lead, seconds: length)
      if best.map({ found.begins < $0.begins }) ?? true { best = found }
    }
    return best
  }

  /// How much later in the day the first is, −12 to 12 hours.
  private static func distance(_ first: Int64, _ second: Int64) -> Int64 {
    var result = (first - second) % day
    if result > day / 2 { result -= day }
    if result < -day / 2 { result += day }
    return result
  }
}
