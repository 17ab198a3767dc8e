public import NetworkTypes

/// Names a subnet of a ``SimulatedNetwork``.
public struct SubnetID: Hashable, Sendable {
  let index: Int
  /// The middle of the network: every public address that is nobody's own subnet.
  public static let internet = SubnetID(index: 0)
}

/// Names a node of a ``SimulatedNetwork``.
public struct NodeID: Hashable, Sendable {
  let index: Int
}

/// Names a router of a ``SimulatedNetwork``.
public struct NATID: Hashable, Sendable {
  let index: Int
}

/// Something that happens to the network itself, now or at a planned moment.
public enum NetworkChange: Sendable, Hashable {
  /// The router's line to the outside is cut: nothing passes either way.
  case lineCut(NATID)
  case lineRestored(NATID)
  case addressChanged(NATID, IPAddress)
  /// The router forgets every mapping.
  case rebooted(NATID)
  /// The router's present mappings turn into black holes (``NATBox/stateDied()``).
  case stateDied(NATID)
  case behaviorChanged(NATID, NATBehavior)
  case forwardsChanged(NATID, [PortForward])
  /// Quality of the line between the router and the outside.
  case lineQualityChanged(NATID, LinkQuality)
  /// A node's cable is pulled or put back.
  case nodeDisconnected(NodeID)
  case nodeConnected(NodeID)
  case nodeQualityChanged(NodeID, LinkQuality)
  /// The node lets in nothing, or again everything; it still sends. What a server that has hung looks like.
  case nodeDeafened(NodeID)
  case nodeHears(NodeID)
  case nameServerDied
  case nameServerRevived
  case nameChanged(String, [IPAddress])
}
