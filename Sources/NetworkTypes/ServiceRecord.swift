/// A row of DNS that names a server of a service (SRV, RFC 2782).
public struct ServiceRecord: Sendable, Hashable, Codable {
  /// Servers of the lowest number are asked first.
  public var priority: UInt16
  /// Among those of one priority, the share of clients that ask this one first; 0 for hardly any.
  public var weight: UInt16
  public var port: UInt16
  /// A host name without its last dot. `.` says that the service decidedly is not there.
  public var target: String

  public init(priority: UInt16 = 0, weight: UInt16 = 0, port: UInt16, target: String) {
    self.priority = priority
    self.weight = weight
    self.port = port
    self.target = target
  }

  /// The order in which a client asks (RFC 2782, "Usage rules"): by priority, and within one by lot, in which the weight counts.
  /// Records that lead nowhere (target `.`, port 0) are left out.
  public static func ordered(_ records: [ServiceRecord], random: inout RandomSource) -> [ServiceRecord] {
    // Rows come in any order; sorted first, one seed gives one result.
    var left = records.filter { $0.target != "." && !$0.target.isEmpty && $0.port != 0 }.sorted { first, second in
      (first.priority, first.weight, first.target, first.port)
        < (second.priority, second.weight, second.target, second.port)
    }
    var result: [ServiceRecord] = []
    while let first = left.first {
      // Of the lowest priority, those of weight 0 stand in front.
      let count = left.prefix { $0.priority == first.priority }.count
      let sum = left[..<count].reduce(UInt64(0)) { $0 + UInt64($1.weight) }
      let lot = UInt64.random(in: 0...sum, using: &random)
      var running: UInt64 = 0
      let chosen =
        left[..<count].firstIndex { record in
          running += UInt64(record.weight)
          return running >= lot
        } ?? 0
      result.append(left.remove(at: chosen))
    }
    return result
  }
}
