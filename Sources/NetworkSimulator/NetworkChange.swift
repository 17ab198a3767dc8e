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

/// What a firewall drops.
public struct PacketFilter: Sendable, Hashable {
  /// `nil` for whatever is in it.
  public var content: Datagram.Content?
  /// Away from the node, or out of the router; `nil` for both ways.
  public var isOutward: Bool?
  /// The ports of the node, or those inside and outside of the router, that it is about; `nil` for all.
  public var ports: ClosedRange<UInt16>?

  public init(_ content: Datagram.Content? = nil, isOutward: Bool? = nil, ports: ClosedRange<UInt16>? = nil) {
    self.content = content
    self.isOutward = isOutward
    self.ports = ports
  }

  func drops(_ packet: Datagram, isOutward way: Bool) -> Bool {
    (isOutward ?? way) == way && (content ?? packet.content) == packet.content
      && ports?.contains(way ? packet.source.port : packet.destination.port) ?? true
  }
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
  /// What a firewall in the router drops from now on.
  case filtersChanged(NATID, [PacketFilter])
  /// What a firewall on the node, or before it, drops from now on.
  case nodeFiltersChanged(NodeID, [PacketFilter])
  /// Other programs on the node have these UDP ports from now on, and no others.
  case portsTaken(NodeID, ClosedRange<UInt16>?)
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
