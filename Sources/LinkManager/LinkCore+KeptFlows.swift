import NetworkTypes
import PortMapping
import SIPTransaction

/// A flow of the SIP port to a provider that the router keeps for us (PCP's PEER, RFC 6887 §12).
struct KeptFlow: Sendable, Codable {
  let remote: Endpoint
  let lease: Int
}

/// What is had of a router that speaks PCP and gives no mapping for everybody: it says where the flows to the providers leave,
/// and keeps them. It is a witness as the provider's `received` and `rport` are, and the only one where those are missing.
///
/// A port that rests because the router holds dead state for it keeps no flow: what PEER keeps, silence does not end.
extension LinkCore {
  private static let mostKeptFlows = 8

  /// Asks for the flows that are wanted and not asked for, and gives back the others.
  mutating func updateKeptFlows(_ uplink: Int, now: MonotonicInstant, into actions: inout [LinkAction]) {
    guard let router = uplinks[uplink].router, let local = sockets[router.socket.rawValue].local, !isStopping else {
      return
    }
    let wanted = wantedFlows(uplink)
    for flow in router.flows where !wanted.contains(flow.remote) {
      uplinks[uplink].router?.flows.removeAll { $0.lease == flow.lease }
      withRouter(uplink, now: now, into: &actions) { $0.release(flow.lease, now: now, into: &$1, news: &$2) }
    }
    for remote in wanted where !router.flows.contains(where: { $0.remote == remote }) {
      let wish = MappingWish(internalPort: local.port, preferredPort: 0, remote: remote)
      var lease: Int?
      withRouter(uplink, now: now, into: &actions) { lease = $0.request(wish, now: now, into: &$1, news: &$2) }
      if let lease { uplinks[uplink].router?.flows.append(KeptFlow(remote: remote, lease: lease)) }
    }
  }

  private func wantedFlows(_ uplink: Int) -> [Endpoint] {
    guard wantsMappings(uplink), let router = uplinks[uplink].router, let mapping = router.sipLease,
      sockets[router.socket.rawValue].isInUse, router.client.isRefused(mapping, wasSo: !router.flows.isEmpty)
    else { return [] }
    var targets: [Endpoint] = []
    for index in trunks.indices where !trunks[index].isRemoved && trunks[index].configuration.enabled {
      guard trunks[index].socket == router.socket, let remote = route(ofTrunk: index)?.remote,
        !targets.contains(remote), targets.count < Self.mostKeptFlows
      else { continue }
      targets.append(remote)
    }
    return targets
  }

  /// Where a kept flow leaves, as the router says; `nil` where the mapping does not depend on the destination, since STUN
  /// tells it then.
  func keptFlow(_ path: SIPPath) -> Endpoint? {
    let socket = LinkSocket(path.socket)
    guard case .uplink(let uplink) = sockets[path.socket].side, findings(uplink).dependsOnDestination,
      let router = uplinks[uplink].router, router.socket == socket,
      let flow = router.flows.first(where: { $0.remote == path.remote })
    else { return nil }
    return router.client.endpoint(of: flow.lease)
  }
}
