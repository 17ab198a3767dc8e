/// The metrics of the contract. Their names, labels and meanings never change; further ones may follow.
public enum LinkMetric: String, Sendable, CaseIterable {
  case trunkRegistered = "trunkline_trunk_registered"
  case trunkUnreachableSeconds = "trunkline_trunk_unreachable_seconds_total"
  case registrationSeconds = "trunkline_registration_seconds"
  case publicAddressChanges = "trunkline_public_address_changes_total"
  case addressChangeRecoverySeconds = "trunkline_address_change_recovery_seconds"
  case callAudioGapSeconds = "trunkline_call_audio_gap_seconds"
  case stunKeepalives = "trunkline_stun_keepalives_total"
  case calls = "trunkline_calls_total"
  case callsActive = "trunkline_calls_active"
  case rtpPackets = "trunkline_rtp_packets_total"
  case rtpLost = "trunkline_rtp_lost_total"
  case sipRequests = "trunkline_sip_requests_total"
  case sipResponses = "trunkline_sip_responses_total"
  case sipDiscarded = "trunkline_sip_discarded_total"
  case transactions = "trunkline_sip_transactions"
  case dialogs = "trunkline_sip_dialogs"
  case mediaPorts = "trunkline_media_ports"
  case callTimers = "trunkline_call_timers"

  public enum Kind: String, Sendable { case counter, gauge, histogram }

  public struct Description: Sendable {
    public var kind: Kind
    public var labels: [String]
    public var help: String
    /// Upper bounds, ascending, for histograms.
    public var buckets: [Double] = []
  }

  public var description: Description {
    switch self {
    case .trunkRegistered:
      .init(kind: .gauge, labels: ["trunk"], help: "1 while the trunk is registered or needs no registration.")
    case .trunkUnreachableSeconds:
      .init(kind: .counter, labels: ["trunk"], help: "Time in which the provider did not answer, in seconds.")
    case .registrationSeconds:
      .init(
        kind: .histogram, labels: ["trunk"], help: "Time from the first REGISTER to its final answer, in seconds.",
        buckets: [0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 32])
    case .publicAddressChanges:
      .init(kind: .counter, labels: ["uplink"], help: "Confirmed changes of the public address.")
    case .addressChangeRecoverySeconds:
      .init(
        kind: .histogram, labels: ["uplink"],
        help: "Time from the line's return to the registration of every trunk, in seconds.",
        buckets: [0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300])
    case .callAudioGapSeconds:
      .init(
        kind: .histogram, labels: ["direction"], help: "Silence in a call at a change of address, in seconds.",
        buckets: [0.05, 0.1, 0.25, 0.5, 1, 2, 5, 10, 30])
    case .stunKeepalives:
      .init(
        kind: .counter, labels: ["uplink", "result"], help: "STUN Binding requests that kept the way open, by result.")
    case .calls: .init(kind: .counter, labels: ["trunk", "direction", "result"], help: "Finished calls.")
    case .callsActive: .init(kind: .gauge, labels: ["trunk"], help: "Calls that are up or being set up.")
    case .rtpPackets: .init(kind: .counter, labels: ["direction"], help: "RTP packets, in: received, out: sent.")
    case .rtpLost: .init(kind: .counter, labels: [], help: "RTP packets that were missing in what we received.")
    case .sipRequests: .init(kind: .counter, labels: ["method", "direction"], help: "SIP requests, in or out.")
    case .sipResponses:
      .init(kind: .counter, labels: ["class", "direction"], help: "SIP responses by class (1xx to 6xx), in or out.")
    case .sipDiscarded: .init(kind: .counter, labels: ["reason"], help: "SIP messages that were dropped unanswered.")
    case .transactions: .init(kind: .gauge, labels: [], help: "SIP transactions that are not over.")
    case .dialogs: .init(kind: .gauge, labels: [], help: "SIP dialogs that are up or being set up.")
    case .mediaPorts: .init(kind: .gauge, labels: [], help: "Media ports in use, RTP and RTCP counted as one.")
    case .callTimers: .init(kind: .gauge, labels: [], help: "Timers of calls that are set.")
    }
  }
}

/// Counters, gauges and histograms, and their text in the Prometheus exposition format 0.0.4.
///
/// Label values may come from the network, so their number is bounded: beyond ``seriesLimit`` a metric counts everything
/// new under `other`.
public struct MetricsTable: Sendable, Equatable {
  private struct Series: Sendable, Equatable {
    var value = 0.0
    /// Of histograms: how many observations fell into each bucket, the last one without bound.
    var buckets: [UInt64] = []
  }

  public static let seriesLimit = 200

  /// Only looked up and sorted, never iterated as it is.
  private var table: [LinkMetric: [[String]: Series]] = [:]

  public init() {}

  /// Sets a gauge, or a counter that is counted elsewhere. `labels` are values in the order of the description.
  public mutating func set(_ metric: LinkMetric, _ labels: [String] = [], to value: Double) {
    change(metric, labels) { $0.value = value }
  }

  public mutating func add(_ metric: LinkMetric, _ labels: [String] = [], _ amount: Double = 1) {
    change(metric, labels) { $0.value += amount }
  }

  /// Adds one observation to a histogram.
  public mutating func observe(_ metric: LinkMetric, _ labels: [String] = [], _ value: Double) {
    let bounds = metric.description.buckets
    change(metric, labels) { series in
      if series.buckets.isEmpty { series.buckets = [UInt64](repeating: 0, count: bounds.count + 1) }
      series.value += value
      series.buckets[bounds.firstIndex { value <= $0 } ?? bounds.count] += 1
    }
  }

  /// Takes away every series of a metric, for gauges of things that come and go.
  public mutating func removeAll(_ metric: LinkMetric) { table[metric] = nil }

  public func value(_ metric: LinkMetric, _ labels: [String] = []) -> Double? { table[metric]?[labels]?.value }

  private mutating func change(_ metric: LinkMetric, _ labels: [String], _ body: (inout Series) -> Void) {
    let wanted = metric.description.labels.count
    var key = Array(labels.prefix(wanted))
    while key.count < wanted { key.append("") }
    let known = table[metric] ?? [:]
    if known[key] == nil, known.count >= Self.seriesLimit { key = key.map { _ in "other" } }
    body(&table[metric, default: [:]][key, default: Series()])
  }
}

extension MetricsTable {
  /// The exposition text, in an order that does not depend on the process.
  public func prometheusText() -> String {
    var text = ""
    for metric in LinkMetric.allCases {
      let about = metric.description
      let name = metric.rawValue
      text += "# HELP \(name) \(Self.escapedHelp(about.help))\n# TYPE \(name) \(about.kind.rawValue)\n"
      let series = (table[metric] ?? [:]).sorted { $0.key.lexicographicallyPrecedes($1.key) }
      if series.isEmpty, about.labels.isEmpty, about.kind != .histogram { text += "\(name) 0\n" }
      for (values, series) in series {
        let labels = zip(about.labels, values).map { "\($0)=\"\(Self.escapedLabel($1))\"" }
        guard about.kind == .histogram else {
          text += "\(name)\(Self.braced(labels)) \(Self.number(series.value))\n"
          continue
        }
        var count: UInt64 = 0
        for (index, inBucket) in series.buckets.enumerated() {
          count += inBucket
          let bound = index < about.buckets.count ? Self.number(about.buckets[index]) : "+Inf"
          text += "\(name)_bucket\(Self.braced(labels + ["le=\"\(bound)\""])) \(count)\n"
        }
        text += "\(name)_sum\(Self.braced(labels)) \(Self.number(series.value))\n"
        text += "\(name)_count\(Self.braced(labels)) \(count)\n"
      }
    }
    return text
  }

  private static func braced(_ labels: [String]) -> String {
    labels.isEmpty ? "" : "{\(labels.joined(separator: ","))}"
  }

  private static func escapedHelp(_ text: String) -> String {
    text.replacing("\\", with: "\\\\").replacing("\n", with: "\\n")
  }

  private static func escapedLabel(_ text: String) -> String {
    escapedHelp(text).replacing("\"", with: "\\\"")
  }

  private static func number(_ value: Double) -> String {
    if value.isNaN { return "NaN" }
    if value.isInfinite { return value < 0 ? "-Inf" : "+Inf" }
    return value.rounded() == value && abs(value) < 1e15 ? String(Int64(value)) : String(value)
  }
}
