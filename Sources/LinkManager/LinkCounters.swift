public import OrderedCollections

/// What the link counted since it started, by the labels of the metrics.
public struct LinkCounters: Sendable, Equatable, Codable {
  public struct Key: Hashable, Sendable, Codable {
    public let labels: [String]
  }

  /// uplink, result (`answered`, `sent`).
  public var keepalives: OrderedDictionary<Key, UInt64> = [:]
  /// method, direction (`in`, `out`).
  public var requests: OrderedDictionary<Key, UInt64> = [:]
  /// class (`2xx`), direction.
  public var responses: OrderedDictionary<Key, UInt64> = [:]
  /// reason.
  public var discarded: OrderedDictionary<Key, UInt64> = [:]
  /// trunk, direction, result.
  public var calls: OrderedDictionary<Key, UInt64> = [:]
  /// uplink.
  public var addressChanges: OrderedDictionary<Key, UInt64> = [:]
  /// direction.
  public var rtpPackets: OrderedDictionary<Key, UInt64> = [:]
  public var rtpLost: UInt64 = 0
  /// What is alive now: open transactions, dialogs and media ports.
  public var transactions = 0
  public var dialogs = 0
  public var mediaPorts = 0
  public var callTimers = 0
  /// For how long each trunk was not registered although it should have been.
  public var unreachableSeconds: OrderedDictionary<String, Double> = [:]

  public init() {}
}

extension OrderedDictionary<LinkCounters.Key, UInt64> {
  /// The label values and the count of each series.
  public var rows: [(labels: [String], value: UInt64)] { elements.map { ($0.key.labels, $0.value) } }

  mutating func count(_ labels: String..., by amount: UInt64 = 1) {
    self[LinkCounters.Key(labels: labels), default: 0] &+= amount
  }
}
