public import NetworkTypes

/// What arrived of one RTP stream: loss by sequence number (RFC 3550 §A.1, §A.3) and jitter (§A.8).
///
/// A new synchronisation source, or a jump of the sequence that goes on, begins a new count; what was lost before stays
/// in the sum. Nothing here allocates.
public struct ReceptionStatistics: Hashable, Sendable {
  public private(set) var ssrc: UInt32?
  /// RTP packets that counted, over all sources.
  public private(set) var received: UInt64 = 0
  /// Ticks a second of the timestamps; `nil` until it is known by the payload type or measured.
  public private(set) var clockRate: Int?

  private var baseSequence: UInt32 = 0
  private var highestSequence: UInt16 = 0
  private var cycles: UInt32 = 0
  private var receivedOfSource: UInt64 = 0
  private var lostBefore: UInt64 = 0
  /// The sequence number that would confirm a jump; beyond 16 bits when there is none.
  private var expectedAfterJump: UInt32 = .max
  private var transit: Int64?
  /// Jitter in nanoseconds, times 16.
  private var scaledJitter: Int64 = 0
  private var first: (timestamp: UInt32, arrival: MonotonicInstant)?

  /// A jump forward of fewer packets is loss; a step back of fewer is a late packet (RFC 3550 §A.1).
  private static let maximumDropout: UInt16 = 3000
  private static let maximumMisorder: UInt16 = 100
  /// A jump of the transit time beyond this is a new beginning, not jitter.
  private static let maximumTransitStep: Int64 = 5_000_000_000

  public init() {}

  public static func == (left: Self, right: Self) -> Bool {
    left.ssrc == right.ssrc && left.received == right.received && left.lost == right.lost
      && left.scaledJitter == right.scaledJitter
  }

  public func hash(into hasher: inout Hasher) {
    hasher.combine(ssrc)
    hasher.combine(received)
  }

  /// Counts a packet that arrived at `arrival`.
  public mutating func packetReceived(_ header: RTPHeader, arrival: MonotonicInstant) {
    packetReceived(
      payloadType: header.payloadType, sequence: header.sequence, timestamp: header.timestamp, ssrc: header.ssrc,
      arrival: arrival)
  }

  public mutating func packetReceived(
    payloadType: UInt8, sequence: UInt16, timestamp: UInt32, ssrc source: UInt32, arrival: MonotonicInstant
  ) {
    if ssrc != source {
      begin(sequence)
      ssrc = source
      first = nil
      clockRate = nil
      scaledJitter = 0
    } else if !advance(to: sequence) {
      return
    }
    received &+= 1
    receivedOfSource &+= 1
    measure(payloadType: payloadType, timestamp: timestamp, arrival: arrival)
  }

  /// Packets that never came, over all sources. Duplicates can make it too low, never negative.
  public var lost: UInt64 { lostBefore &+ lostOfSource }

  /// Interarrival jitter in milliseconds.
  public var jitterMilliseconds: Double { Double(scaledJitter) / 16e6 }

  /// The highest sequence number with the number of wraps before it, as in a report block.
  public var extendedHighestSequence: UInt32 { cycles &+ UInt32(highestSequence) }

  private var lostOfSource: UInt64 {
    guard ssrc != nil else { return 0 }
    let expected = UInt64(extendedHighestSequence &- baseSequence) + 1
    return expected > receivedOfSource ? expected - receivedOfSource : 0
  }

  private mutating func begin(_ sequence: UInt16) {
    lostBefore = lost
    baseSequence = UInt32(sequence)
    highestSequence = sequence
    cycles = 0
    receivedOfSource = 0
    expectedAfterJump = .max
    transit = nil
  }

  /// Whether the packet counts.
  private mutating func advance(to sequence: UInt16) -> Bool {
    let step = sequence &- highestSequence
    if step < Self.maximumDropout {
      if sequence < highestSequence { cycles &+= 0x1_0000 }
      highestSequence = sequence
      expectedAfterJump = .max
    } else if step <= UInt16.max - Self.maximumMisorder {
      // Two packets in a row far away: the sender began anew. One alone does not count.
      guard UInt32(sequence) == expectedAfterJump else {
        expectedAfterJump = UInt32(sequence &+ 1)
        return false
      }
      begin(sequence)
    }
    return true
  }

  private mutating func measure(payloadType: UInt8, timestamp: UInt32, arrival: MonotonicInstant) {
    guard let rate = knownRate(payloadType, timestamp, arrival), rate > 0 else { return }
    // Against a reference of the stream's own, so that 32 bits of timestamp never overflow the nanoseconds.
    guard let first else { return }
    let ticks = Int64(Int32(bitPattern: timestamp &- first.timestamp))
    let now = (arrival - first.arrival).nanoseconds &- ticks &* 1_000_000_000 / Int64(rate)
    guard let last = transit else {
      transit = now
      return
    }
    let step = abs(now &- last)
    transit = now
    if step < Self.maximumTransitStep {
      scaledJitter += step - (scaledJitter + 8) >> 4
    } else {
      rebase(timestamp, arrival)
    }
    if abs(ticks) > 1 << 30 { rebase(timestamp, arrival) }
  }

  private mutating func rebase(_ timestamp: UInt32, _ arrival: MonotonicInstant) {
    first = (timestamp, arrival)
    transit = 0
  }

  /// The static payload types of telephony run at 8 kHz (RFC 3551); the rate of others is measured over half a second and
  /// taken as the nearest usual one.
  private mutating func knownRate(_ payloadType: UInt8, _ timestamp: UInt32, _ arrival: MonotonicInstant) -> Int? {
    guard let first else {
      self.first = (timestamp, arrival)
      if [0, 3, 4, 8, 9, 13, 15, 18].contains(payloadType) { clockRate = 8000 }
      return clockRate
    }
    if let clockRate { return clockRate }
    let elapsed = (arrival - first.arrival).nanoseconds
    guard elapsed >= 500_000_000, elapsed < 60_000_000_000 else { return nil }
    let measured = Int(Int64(timestamp &- first.timestamp) &* 1_000_000_000 / elapsed)
    let nearest = [8000, 16_000, 32_000, 44_100, 48_000, 90_000].min { abs($0 - measured) < abs($1 - measured) }
    clockRate = nearest
    rebase(timestamp, arrival)
    return nearest
  }
}
