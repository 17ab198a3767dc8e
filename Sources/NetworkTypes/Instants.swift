/// A point on a clock that never steps: nanoseconds since an arbitrary start. Read by shells, given to cores.
public struct MonotonicInstant: InstantProtocol, Hashable, Sendable {
  public var nanoseconds: Int64

  public init(nanoseconds: Int64) { self.nanoseconds = nanoseconds }

  public func advanced(by duration: Duration) -> MonotonicInstant {
    MonotonicInstant(nanoseconds: nanoseconds &+ duration.nanoseconds)
  }

  public func duration(to other: MonotonicInstant) -> Duration { .nanoseconds(other.nanoseconds &- nanoseconds) }

  public static func < (left: MonotonicInstant, right: MonotonicInstant) -> Bool {
    left.nanoseconds < right.nanoseconds
  }

  public static func - (left: MonotonicInstant, right: MonotonicInstant) -> Duration { right.duration(to: left) }
  public static func + (left: MonotonicInstant, right: Duration) -> MonotonicInstant { left.advanced(by: right) }
}

/// A point in civil time: nanoseconds since 1970-01-01T00:00:00Z, as stored and shown.
public struct WallTime: Hashable, Comparable, Sendable {
  public var nanoseconds: Int64

  public init(nanoseconds: Int64) { self.nanoseconds = nanoseconds }

  public var seconds: Double { Double(nanoseconds) / 1e9 }

  public static func < (left: WallTime, right: WallTime) -> Bool { left.nanoseconds < right.nanoseconds }
}

extension WallTime: CustomStringConvertible {
  /// RFC 3339 in UTC with milliseconds, `2026-11-22T10:00:00.000Z`.
  public var description: String {
    let milliseconds = nanoseconds.quotient(flooredBy: 1_000_000)
    let days = milliseconds.quotient(flooredBy: 86_400_000)
    let inDay = milliseconds - days * 86_400_000
    // Days to year, month and day of the proleptic Gregorian calendar; eras of 400 years begin on 1 March.
    let shifted = days + 719_468
    let era = shifted.quotient(flooredBy: 146_097)
    let dayOfEra = shifted - era * 146_097
    let yearOfEra = (dayOfEra - dayOfEra / 1460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
    let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
    let shiftedMonth = (5 * dayOfYear + 2) / 153
    let day = dayOfYear - (153 * shiftedMonth + 2) / 5 + 1
    let month = shiftedMonth < 10 ? shiftedMonth + 3 : shiftedMonth - 9
    let year = yearOfEra + era * 400 + (month <= 2 ? 1 : 0)
    let pad = { (value: Int64, width: Int) in
      let text = String(value)
      return String(repeating: "0", count: max(0, width - text.count)) + text
    }
    return "\(pad(year, 4))-\(pad(month, 2))-\(pad(day, 2))T\(pad(inDay / 3_600_000, 2)):"
      + "\(pad(inDay / 60_000 % 60, 2)):\(pad(inDay / 1000 % 60, 2)).\(pad(inDay % 1000, 3))Z"
  }
}

extension Duration {
  /// The whole duration in nanoseconds, saturating beyond 292 years.
  public var nanoseconds: Int64 {
    let (seconds, attoseconds) = components
    let (product, overflow) = seconds.multipliedReportingOverflow(by: 1_000_000_000)
    return overflow ? (seconds < 0 ? .min : .max) : product &+ attoseconds / 1_000_000_000
  }

  /// The whole duration in seconds.
  public var inSeconds: Double { Double(nanoseconds) / 1e9 }
}

extension Int64 {
  fileprivate func quotient(flooredBy divisor: Int64) -> Int64 {
    self >= 0 ? self / divisor : -((-self + divisor - 1) / divisor)
  }
}
