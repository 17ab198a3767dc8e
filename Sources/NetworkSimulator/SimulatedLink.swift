import NetworkTypes

/// What one direction of a link does to packets.
public struct LinkQuality: Sendable, Hashable {
  public var delay: Duration
  /// Up to this much more delay, evenly distributed.
  public var jitter: Duration
  /// The share of packets that is lost, 0 to 1.
  public var loss: Double
  /// The share of packets that arrives twice, 0 to 1.
  public var duplication: Double
  /// Whether jitter may let packets overtake each other; without it a link is a queue.
  public var reorders: Bool
  /// Longer packets, which would go in pieces, do not arrive; bytes of UDP payload.
  public var longest: Int?

  public init(
    delay: Duration = .milliseconds(1), jitter: Duration = .zero, loss: Double = 0, duplication: Double = 0,
    reorders: Bool = false
  ) {
    self.delay = delay
    self.jitter = jitter
    self.loss = loss
    self.duplication = duplication
    self.reorders = reorders
  }

  /// An office network: 1 ms, no loss.
  public static let ethernet = LinkQuality()
  /// A household's line: 10 ms, up to 5 ms of jitter.
  public static let dsl = LinkQuality(delay: .milliseconds(10), jitter: .milliseconds(5))
}

/// Both directions of a link, as seen from the thing that is attached by it.
struct SimulatedLink: Sendable {
  struct Direction: Sendable {
    var quality: LinkQuality
    var isUp = true
    private var lastArrival = MonotonicInstant(nanoseconds: .min)

    init(_ quality: LinkQuality) { self.quality = quality }

    /// When copies of a packet that enters at `now` come out: none, one or two moments.
    ///
    /// - Parameters:
    ///   - size: bytes of UDP payload.
    ///   - isFlow: the packet stands for a stretch of a stream, which is never lost whole while the link is up.
    mutating func transmit(
      now: MonotonicInstant, size: Int, isFlow: Bool, random: inout RandomSource
    ) -> [MonotonicInstant] {
      guard isUp, quality.longest.map({ size <= $0 }) ?? true, isFlow || !random.happens(quality.loss) else {
        return []
      }
      let copies = !isFlow && random.happens(quality.duplication) ? 2 : 1
      return (0..<copies).map { _ in
        var arrival = now + quality.delay + random.duration(upTo: quality.jitter)
        if !quality.reorders {
          arrival = max(arrival, lastArrival)
          lastArrival = arrival
        }
        return arrival
      }
    }
  }

  var outward: Direction
  var inward: Direction

  init(_ quality: LinkQuality) {
    outward = Direction(quality)
    inward = Direction(quality)
  }

  var isUp: Bool {
    get { outward.isUp && inward.isUp }
    set {
      outward.isUp = newValue
      inward.isUp = newValue
    }
  }
}

extension RandomSource {
  /// True with the given probability. Nothing is drawn where the outcome is certain.
  mutating func happens(_ probability: Double) -> Bool {
    if probability <= 0 { return false }
    if probability >= 1 { return true }
    return Double(next() >> 11) * 0x1p-53 < probability
  }

  /// An evenly distributed duration from zero to `limit`.
  mutating func duration(upTo limit: Duration) -> Duration {
    guard limit > .zero else { return .zero }
    return .nanoseconds(Int64.random(in: 0...limit.nanoseconds, using: &self))
  }
}
