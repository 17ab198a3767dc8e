public import NetworkTypes

/// The value of a Date header field (RFC 3261 §20.17): RFC 1123 with GMT, `Sat, 13 Nov 2010 23:29:00 GMT`.
public enum SIPDate {
  private static let months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]
  private static let weekdays = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"]

  /// The moment that `text` names; `nil` where it is no such date. The day of the week is not looked at.
  public static func parse(_ text: String) -> WallTime? {
    let words = text.split { $0 == " " || $0 == "," || $0 == ":" }
    guard words.count == 8, words[7] == "GMT", let day = Int64(words[1]), (1...31).contains(day),
      let month = months.firstIndex(where: { $0 == words[2] }), let year = Int64(words[3]),
      (1970...2200).contains(year),
      let hour = Int64(words[4]), (0...23).contains(hour), let minute = Int64(words[5]), (0...59).contains(minute),
      let second = Int64(words[6]), (0...60).contains(second)
    else { return nil }
    let seconds = days(year: year, month: Int64(month) + 1, day: day) * 86_400 + hour * 3600 + minute * 60 + second
    return WallTime(nanoseconds: seconds * 1_000_000_000)
  }

  /// A moment since 1970 as the value of the header field.
  public static func text(_ time: WallTime) -> String {
    // 2026-11-22T10:00:00.000Z has all but the day of the week.
    let written = Array(time.description)
    let part = { (from: Int, count: Int) in String(written[from..<from + count]) }
    let month = months[(Int(part(5, 2)) ?? 1) - 1]
    let weekday = weekdays[Int(time.nanoseconds / 86_400_000_000_000 % 7)]
    return "\(weekday), \(part(8, 2)) \(month) \(part(0, 4)) \(part(11, 8)) GMT"
  }

  /// Days from 1 January 1970 in the Gregorian calendar; years begin on 1 March here, so that leap days come last.
  private static func days(year: Int64, month: Int64, day: Int64) -> Int64 {
    let year = month <= 2 ? year - 1 : year
    let monthsSinceMarch = (month + 9) % 12
    let dayOfYear = (153 * monthsSinceMarch + 2) / 5 + day - 1
    return year * 365 + year / 4 - year / 100 + year / 400 + dayOfYear - 719_468
  }
}
