import NetworkTypes
import OrderedCollections

/// Names that cannot be resolved: whether it is the name or the name server.
extension LinkCore {
  /// How long further look-ups are waited for, which tell the two apart.
  private static let patience = Duration.seconds(3)

  /// Somebody waits for a name that nobody knows.
  mutating func judgeNamesSoon(now: MonotonicInstant) {
    guard !timers.isSet(.names) else { return }
    timers.set(.names, at: now + Self.patience)
  }

  mutating func judgeNames(now: MonotonicInstant, into actions: inout [LinkAction]) {
    // What has not been told yet may tell the two apart.
    if names.isEmpty, configuredHosts.contains(where: { !unresolved.contains($0) }) { return judgeNamesSoon(now: now) }
    // Two names at least, and none of them was ever resolved: that is no misspelling.
    if names.isEmpty, unresolved.count > 1 {
      return tell(
        .nameServerSilent, of: .machine, evidence: "none of \(unresolved.count) names has an address", now: now,
        into: &actions)
    }
    for index in trunks.indices where trunks[index].configuration.enabled && trunks[index].targets.isEmpty {
      let host = trunks[index].host.host
      guard unresolved.contains(host), !trunks[index].isRemoved else { continue }
      tell(
        .nameUnknown, of: .trunk(index), "The name \(host) of the provider cannot be resolved.",
        evidence: "the name server gave no address", now: now, into: &actions)
    }
    for index in uplinks.indices {
      let servers = uplinks[index].configuration.stunServers
      guard !servers.isEmpty, servers.allSatisfy({ isUnknown($0) }) else { continue }
      tell(
        .stunServersUnresolved, of: .uplink(index),
        evidence: "the name server gave no address for any of \(servers.count)", now: now, into: &actions)
    }
  }

  /// The names of providers and STUN servers.
  private var configuredHosts: [String] {
    let hosts =
      trunks.filter { $0.configuration.enabled && !$0.isRemoved }.map(\.host)
      + uplinks.flatMap(\.configuration.stunServers)
    return hosts.filter { $0.address == nil }.map(\.host)
  }
}
