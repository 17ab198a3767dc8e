/// Which pairs of media ports are taken. They are given out in turn, so that a port rests for as long as possible after
/// its call: late packets of one call must not reach the next.
public struct PortLedger: Sendable, Codable {
  private enum State: Int, Sendable, Codable { case free, taken, unusable }

  /// The RTP port of the first pair.
  private let base: Int
  private var states: [State]
  private var next = 0
  /// How many pairs are taken.
  public private(set) var inUse = 0

  /// Pairs of an even port and the one after it, as far as both lie in `range`.
  public init(_ range: ClosedRange<UInt16>) {
    base = (Int(range.lowerBound) + 1) / 2 * 2
    states = Array(repeating: .free, count: max(0, (Int(range.upperBound) - base + 1) / 2))
  }

  public init(from decoder: any Decoder) throws {
    let container = try decoder.container(keyedBy: CodingKeys.self)
    base = try container.decode(Int.self, forKey: .base)
    states = try container.decode([State].self, forKey: .states)
    next = try container.decode(Int.self, forKey: .next)
    inUse = states.count { $0 == .taken }
    guard base >= 0, base % 2 == 0, base + 2 * states.count <= 65_536, next == 0 || states.indices.contains(next) else {
      throw DecodingError.dataCorrupted(.init(codingPath: decoder.codingPath, debugDescription: "no port ledger"))
    }
  }

  /// How many pairs there are.
  public var capacity: Int { states.count }

  /// The RTP port of a pair that is free now; `nil` when all are taken. Pairs that the system once refused come only when
  /// no other is left.
  public mutating func take() -> UInt16? { take(.free) ?? take(.unusable) }

  /// Takes the pair nearest to `port` that nobody has, be it one that the system once refused, but none of `others`. Where
  /// ``take()`` goes on stays.
  public mutating func take(near port: UInt16, butNot others: [UInt16] = []) -> UInt16? {
    let wanted = (Int(port) - base) / 2
    let free = states.indices.filter { states[$0] != .taken && !others.contains(UInt16(base + 2 * $0)) }
    guard let index = free.min(by: { abs($0 - wanted) < abs($1 - wanted) }) else { return nil }
    states[index] = .taken
    inUse += 1
    return UInt16(base + 2 * index)
  }

  /// The RTP ports of `count` pairs, whoever has them: the first, the last and others evenly between; fewer where there are
  /// fewer.
  public func spread(_ count: Int) -> [UInt16] {
    let steps = min(count, states.count) - 1
    return (0..<(steps + 1)).map { UInt16(base + 2 * ($0 * (states.count - 1) / max(1, steps))) }
  }

  /// Whether a pair is free that the system did not refuse.
  public var hasFree: Bool { states.contains(.free) }

  /// Frees the pair of that RTP port.
  public mutating func giveBack(_ port: UInt16) { change(port, to: .free) }

  /// Frees a pair that could not be opened: something else on this host has it.
  public mutating func markUnusable(_ port: UInt16) { change(port, to: .unusable) }

  private mutating func take(_ wanted: State) -> UInt16? {
    for step in states.indices {
      let index = (next + step) % states.count
      guard states[index] == wanted else { continue }
      states[index] = .taken
      next = (index + 1) % states.count
      inUse += 1
      return UInt16(base + 2 * index)
    }
    return nil
  }

  private mutating func change(_ port: UInt16, to state: State) {
    let index = (Int(port) - base) / 2
    guard Int(port) >= base, port % 2 == 0, states.indices.contains(index), states[index] == .taken else { return }
    states[index] = state
    inUse -= 1
  }
}
