public import NetworkTypes

/// How many answers a source may have: so many a second, and as many at once as in a quarter of one, in a memory that does
/// not grow with the number of sources.
///
/// A source is an IPv4 address, or the first 64 bits of an IPv6 address: a customer has all the others. Each is counted in two
/// cells, chosen by secret numbers, and refused only where both are full: so no source ever has more than its share, and one that
/// shares a cell with a busy neighbour keeps its other one. A cell is the moment at which everything that it admitted would
/// have been due at the even rate (the virtual scheduling of ITU-T I.371).
public struct SourceRateLimit: Sendable {
  /// Cells in each of the two rows.
  public static let rowSize = 8192

  private let interval: Int64
  private let tolerance: Int64
  private let key: (UInt64, UInt64)
  private var cells: [Int64]

  /// - Parameter perSecond: answers a second; 0 for no limit.
  public init(perSecond: Int, random: inout RandomSource) {
    interval = perSecond > 0 ? max(1, 1_000_000_000 / Int64(perSecond)) : 0
    tolerance = max(0, 250_000_000 - interval)
    key = (random.next(), random.next() | 1)
    cells = interval > 0 ? [Int64](repeating: .min, count: 2 * Self.rowSize) : []
  }

  /// Whether a source may have an answer now; if so, it is counted.
  public mutating func admits(_ source: IPAddress, now: MonotonicInstant) -> Bool {
    guard interval > 0 else { return true }
    let (first, second) = places(source)
    let now = now.nanoseconds
    let due = max(now, min(cells[first], cells[second]))
    guard due &- now <= tolerance else { return false }
    let next = due &+ interval
    // A cell that a neighbour has filled further stays as it is.
    cells[first] = max(cells[first], next)
    cells[second] = max(cells[second], next)
    return true
  }

  private func places(_ source: IPAddress) -> (Int, Int) {
    let number: UInt64 =
      switch source {
      case .v4(let value): UInt64(value) | 1 << 63
      case .v6(let value): UInt64(truncatingIfNeeded: value >> 64)
      }
    var hash = (number ^ key.0) &* key.1
    hash = (hash ^ hash >> 32) &* 0x9e37_79b9_7f4a_7c15
    hash ^= hash >> 29
    let mask = UInt64(Self.rowSize - 1)
    return (Int(hash & mask), Self.rowSize + Int(hash >> 40 & mask))
  }
}
