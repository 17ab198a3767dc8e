public import NetworkTypes

/// The Date header field (RFC 3261 §20.17): `Sat, 13 Nov 2010 23:29:00 GMT`.
extension WallTime {
  private static let months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]
  private static let days = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"]
  private static let nanosecondsInDay: Int64 = 86_400_000_000_000

  /// Reads a Date header field; `nil` where it is none. The day of the week is not looked at.
  public init?(sipDate text: some StringProtocol) {
    guard text.utf8.count <= 40 else { return nil }
    let words = text.split(whereSeparator: { $0 == " " || $0 == "," })
    guard words.count == 6, words[5].uppercased() == "GMT", let day = Self.number(words[1], 1...31),
      let month = Self.months.firstIndex(where: { $0.lowercased() == words[2].lowercased() }),
      let year = Self.number(words[3], 1970...2200)
    else { return nil }
    let clock = words[4].split(separator: ":", omittingEmptySubsequences: false)
    guard clock.count == 3, let hour = Self.number(clock[0], 0...23), let minute = Self.number(clock[1], 0...59),
      let second = Self.number(clock[2], 0...60)
    else { return nil }
    // Days since 1 March of the year 0, in which years end with February.
    let shiftedMonth = Int64((month + 10) % 12)
    let shiftedYear = year - (month < 2 ? 1 : 0)
    let leaps = shiftedYear / 4 - shiftedYear / 100 + shiftedYear / 400
    let date = shiftedYear * 365 + leaps + (153 * shiftedMonth + 2) / 5 + day - 1 - 719_468
    self.init(nanoseconds: date * Self.nanosecondsInDay + ((hour * 60 + minute) * 60 + second) * 1_000_000_000)
  }

  private static func number(_ text: some StringProtocol, _ range: ClosedRange<Int64>) -> Int64? {
    guard text.utf8.allSatisfy({ (0x30...0x39).contains($0) }), let number = Int64(text), range.contains(number) else {
      return nil
    }
    return number
  }

  /// The moment as a Date header field has it, whole seconds; from 1970 on.
  public var sipDate: String {
    let words = description.split(whereSeparator: { "-T:.Z".contains($0) })
    guard words.count == 7, nanoseconds >= 0, let month = Int(words[1]) else { return "" }
    let day = Self.days[Int(nanoseconds / Self.nanosecondsInDay % 7)]
    return "\(day), \(words[2]) \(Self.months[month - 1]) \(words[0]) \(words[3]):\(words[4]):\(words[5]) GMT"
  }
}
