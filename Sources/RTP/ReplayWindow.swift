/// Which packet indices have been seen (RFC 3711 §3.3.2): a window of 128 that slides with the highest one.
public struct ReplayWindow: Hashable, Sendable {
  /// The highest index marked so far; `nil` before the first.
  public private(set) var highest: UInt64?
  /// Bit n stands for the index `highest` − n.
  private var seen: UInt128 = 0

  public init() {}

  /// Whether a packet with that index may still be accepted: not seen, and not older than the window.
  public func isFresh(_ index: UInt64) -> Bool {
    guard let highest, index <= highest else { return true }
    let age = highest - index
    return age < 128 && seen >> UInt128(age) & 1 == 0
  }

  /// Marks an index as seen: only after the packet proved authentic, so that a forged one moves nothing.
  public mutating func mark(_ index: UInt64) {
    guard let highest else {
      self.highest = index
      seen = 1
      return
    }
    if index > highest {
      let step = index - highest
      seen = step < 128 ? seen << UInt128(step) | 1 : 1
      self.highest = index
    } else if highest - index < 128 {
      seen |= 1 << UInt128(highest - index)
    }
  }
}
