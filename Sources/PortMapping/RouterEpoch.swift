public import NetworkTypes

/// A router's clock since it lost its mappings, as it told it, and ours at that moment: what shows that it lost them again.
public struct RouterEpoch: Sendable, Hashable, Codable {
  private var told: UInt32?
  private var toldAt = MonotonicInstant(nanoseconds: 0)

  public init() {}

  /// Nothing was told yet.
  public var isUnknown: Bool { told == nil }

  /// The router told its epoch in an answer of PCP. False where it has lost its mappings since it last did
  /// (RFC 6887 §8.5). The first one is always well.
  public mutating func told(pcp epoch: UInt32, now: MonotonicInstant) -> Bool {
    defer { (told, toldAt) = (epoch, now) }
    guard let told else { return true }
    // A packet that overtook another may be a second early.
    if Int64(epoch) < Int64(told) - 1 { return false }
    let client = Int64((now - toldAt).inSeconds)
    let server = Int64(epoch) - Int64(told)
    return client + 2 >= server - server / 16 && server + 2 >= client - client / 16
  }

  /// The same for NAT-PMP (RFC 6886 §3.6): it has to be at least seven eighths of what it would be by our clock, less
  /// two seconds.
  public mutating func told(natPMP epoch: UInt32, now: MonotonicInstant) -> Bool {
    defer { (told, toldAt) = (epoch, now) }
    guard let told else { return true }
    let elapsed = Int64((now - toldAt).inSeconds)
    return Int64(epoch) >= Int64(told) + elapsed * 7 / 8 - 2
  }
}
