public import NetworkTypes

/// Packets seen at one place, kept for a test or a picture.
public struct PacketCapture: Sendable {
  public enum Place: Sendable, Hashable {
    /// What the node's own sockets send and receive.
    case node(NodeID)
    /// What passes between a router and the outside, as it looks there.
    case line(NATID)
  }

  public struct Packet: Sendable, Hashable {
    public var at: MonotonicInstant
    /// Away from the node, or out of the router.
    public var isOutward: Bool
    public var datagram: Datagram
  }

  public let place: Place
  public internal(set) var packets: [Packet] = []
  /// Packets beyond this are not kept.
  public let limit: Int
}

extension SimulatedNetwork {
  /// Begins to keep the packets seen at `place`; the number names the capture in ``capture(_:)``.
  public mutating func startCapture(at place: PacketCapture.Place, limit: Int = 200_000) -> Int {
    captures.append(PacketCapture(place: place, limit: limit))
    return captures.count - 1
  }

  public func capture(_ id: Int) -> PacketCapture { captures[id] }

  private mutating func capture(_ packet: Datagram, at place: PacketCapture.Place, isOutward: Bool) {
    for index in captures.indices where captures[index].place == place {
      guard captures[index].packets.count < captures[index].limit else { continue }
      captures[index].packets.append(.init(at: now, isOutward: isOutward, datagram: packet))
    }
  }

  // MARK: From a node

  mutating func send(_ bytes: [UInt8], _ socket: Int, _ destination: Endpoint, of id: NodeID) {
    let node = nodes[id.index]
    guard let local = node.sockets.first(where: { $0.id == socket })?.local else {
      trace.add(.dropped, at: now, place: node.name, note: "to \(destination) from socket \(socket), which is closed")
      return
    }
    guard let (interface, address) = wayOut(of: node, local: local.address, to: destination.address) else {
      trace.add(.dropped, at: now, place: node.name, note: "to \(destination): no route")
      return
    }
    let packet = Datagram(
      source: Endpoint(address, port: local.port), destination: destination, bytes: bytes)
    trace.add(.sent, at: now, place: node.name, packet: packet)
    capture(packet, at: .node(id), isOutward: true)
    if node.filters.contains(where: { $0.drops(packet, isOutward: true) }) { return drop(packet, node.name, "filter") }
    if destination.address.isLoopback || node.interfaces.contains(where: { $0.addresses.contains(destination.address) })
    {
      queue.insert(.arrivedAtNode(id, packet), at: now + .microseconds(10))
      return
    }
    let arrivals = nodes[id.index].interfaces[interface].link.outward.transmit(
      now: now, size: packet.bytes.count, isFlow: isFlow(packet), random: &random)
    if arrivals.isEmpty { drop(packet, node.name, "lost on the link") }
    for arrival in arrivals {
      enqueue(.leftOnto(node.interfaces[interface].subnet, packet, from: nil), at: arrival)
    }
  }

  /// The interface and source address by which a node's packets leave: the socket's own address where it has one, else
  /// the interface on the destination's subnet, else the first one of that family.
  private func wayOut(of node: Node, local: IPAddress, to destination: IPAddress) -> (Int, IPAddress)? {
    if destination.isLoopback {
      return local.isUnspecified || local.isLoopback ? (0, destination) : (0, local)
    }
    if local.isLoopback { return nil }
    if !local.isUnspecified {
      return node.interfaces.firstIndex { $0.addresses.contains(local) }.map { ($0, local) }
    }
    let candidates = node.interfaces.indices.compactMap { index in
      node.interfaces[index].addresses.first { $0.isV6 == destination.isV6 }.map { (index, $0) }
    }
    return candidates.first { index, _ in
      subnets[node.interfaces[index].subnet.index].networks.contains { $0.contains(destination) }
    } ?? candidates.first
  }

  private func isFlow(_ packet: Datagram) -> Bool { mediaAreFlows && packet.content == .rtp }

  private mutating func enqueue(_ event: Event, at time: MonotonicInstant) {
    guard queue.count < Self.queueLimit else { return fault("network", "too many packets on their way") }
    queue.insert(event, at: time)
  }

  private mutating func drop(_ packet: Datagram, _ place: String, _ note: String) {
    trace.add(.dropped, at: now, place: place, packet: packet, note: note)
  }

  // MARK: On a subnet

  /// A packet is on the wire of `subnet`: it goes to whoever has its address there, to the router it is behind, or up.
  mutating func route(_ packet: Datagram, in subnet: SubnetID, from origin: NATID?) {
    guard packet.hopLimit > 0 else { return drop(packet, subnets[subnet.index].name, "hop limit") }
    for node in nodes.indices {
      for interface in nodes[node].interfaces.indices
      where nodes[node].interfaces[interface].subnet == subnet
        && nodes[node].interfaces[interface].addresses.contains(packet.destination.address)
      {
        let arrivals = nodes[node].interfaces[interface].link.inward.transmit(
          now: now, size: packet.bytes.count, isFlow: isFlow(packet), random: &random)
        if arrivals.isEmpty { drop(packet, nodes[node].name, "lost on the link") }
        for arrival in arrivals { enqueue(.arrivedAtNode(NodeID(index: node), packet), at: arrival) }
        return
      }
    }
    for index in gateways.indices where gateways[index].outside == subnet && origin != NATID(index: index) {
      guard isBehind(packet.destination.address, index) else { continue }
      let arrivals = gateways[index].line.inward.transmit(
        now: now, size: packet.bytes.count, isFlow: isFlow(packet), random: &random)
      if arrivals.isEmpty { drop(packet, gateways[index].name, "lost on the line") }
      for arrival in arrivals { enqueue(.arrivedOutside(NATID(index: index), packet), at: arrival) }
      return
    }
    guard let gateway = subnets[subnet.index].gateway, gateway != origin else {
      return drop(packet, subnets[subnet.index].name, "no such address")
    }
    enqueue(.arrivedInside(gateway, packet), at: now)
  }

  /// Whether packets for `address` go to this router: its own address, or one behind it that it does not translate.
  private func isBehind(_ address: IPAddress, _ gateway: Int) -> Bool {
    let box = gateways[gateway].box
    if box.outsideAddress == address { return true }
    let isTranslated = box.behavior.kind == .translating && address.isV4
    return !isTranslated
      && subnets[gateways[gateway].inside.index].networks.contains { $0.contains(address) }
  }

  // MARK: At a router

  mutating func passOutward(_ packet: Datagram, _ id: NATID) {
    var packet = packet
    packet.hopLimit -= 1
    let gateway = gateways[id.index]
    if gateway.filters.contains(where: { $0.drops(packet, isOutward: true) }) {
      return drop(packet, gateway.name, "filter")
    }
    switch gateways[id.index].box.sentFromInside(packet, now: now, random: &random) {
    case .outward(var translated):
      if let rewriter = gateway.rewriter { translated.bytes = rewriter.outward(packet, translated) }
      trace.add(.translated, at: now, place: gateway.name, packet: translated)
      capture(translated, at: .line(id), isOutward: true)
      let arrivals = gateways[id.index].line.outward.transmit(
        now: now, size: packet.bytes.count, isFlow: isFlow(packet), random: &random)
      if arrivals.isEmpty { drop(translated, gateway.name, "lost on the line") }
      for arrival in arrivals { enqueue(.leftOnto(gateway.outside, translated, from: id), at: arrival) }
    case .inward(let translated):
      trace.add(.translated, at: now, place: gateway.name, packet: translated, note: "hairpin")
      enqueue(.leftOnto(gateway.inside, translated, from: id), at: now)
    case .refused(let refusal): drop(packet, gateway.name, refusal.rawValue)
    }
  }

  mutating func passInward(_ packet: Datagram, _ id: NATID) {
    var packet = packet
    packet.hopLimit -= 1
    capture(packet, at: .line(id), isOutward: false)
    let gateway = gateways[id.index]
    if gateway.filters.contains(where: { $0.drops(packet, isOutward: false) }) {
      return drop(packet, gateway.name, "filter")
    }
    switch gateways[id.index].box.sentFromOutside(packet, now: now) {
    case .inward(var translated), .outward(var translated):
      if let rewriter = gateway.rewriter { translated.bytes = rewriter.inward(packet, translated) }
      trace.add(.translated, at: now, place: gateway.name, packet: translated)
      enqueue(.leftOnto(gateway.inside, translated, from: id), at: now)
    case .refused(let refusal): drop(packet, gateway.name, refusal.rawValue)
    }
  }

  // MARK: To a node

  mutating func deliver(_ packet: Datagram, to id: NodeID) {
    if nodes[id.index].isDeaf { return drop(packet, nodes[id.index].name, "deaf") }
    if nodes[id.index].filters.contains(where: { $0.drops(packet, isOutward: false) }) {
      return drop(packet, nodes[id.index].name, "filter")
    }
    guard let socket = socket(for: packet.destination, of: id) else {
      return drop(packet, nodes[id.index].name, "port closed")
    }
    trace.add(.arrived, at: now, place: nodes[id.index].name, packet: packet)
    capture(packet, at: .node(id), isOutward: false)
    call(id) { $0.datagramReceived(packet.bytes, from: packet.source, on: socket, now: $1, into: &$2) }
  }

  /// The socket that hears what is sent to `destination`: the one of that very address before one of all addresses.
  private func socket(for destination: Endpoint, of id: NodeID) -> Int? {
    var general: Int?
    for socket in nodes[id.index].sockets
    where socket.local.port == destination.port && socket.local.address.isV6 == destination.address.isV6 {
      if socket.local.address == destination.address { return socket.id }
      if general == nil, socket.local.address.isUnspecified { general = socket.id }
    }
    return general
  }

  // MARK: Lines and routers

  /// Whether a packet from `node` could get to `address` now, as far as cables and lines are concerned.
  func hasWay(from node: NodeID, to address: IPAddress) -> Bool {
    nodes[node.index].interfaces.contains { interface in
      guard interface.link.isUp else { return false }
      var subnet = interface.subnet
      for _ in 0..<16 {
        if nodes.contains(where: { node in
          node.interfaces.contains { $0.subnet == subnet && $0.addresses.contains(address) && $0.link.isUp }
        }) {
          return true
        }
        guard let gateway = subnets[subnet.index].gateway else {
          // On the internet an address that is no node's stands for a server that nobody plays.
          return !nodes.contains { $0.interfaces.contains { $0.addresses.contains(address) } }
        }
        guard gateways[gateway.index].line.isUp else { return false }
        subnet = gateways[gateway.index].outside
      }
      return false
    }
  }

  /// Does now what ``plan(_:after:)`` does later.
  public mutating func apply(_ change: NetworkChange) {
    trace.add(.changed, at: now, place: "network", note: Self.describe(change))
    switch change {
    case .lineCut(let id): gateways[id.index].line.isUp = false
    case .lineRestored(let id): gateways[id.index].line.isUp = true
    case .addressChanged(let id, let address): gateways[id.index].box.addressChanged(to: address)
    case .rebooted(let id): gateways[id.index].box.reboot()
    case .stateDied(let id): gateways[id.index].box.stateDied()
    case .behaviorChanged(let id, let behavior): gateways[id.index].box.behavior = behavior
    case .forwardsChanged(let id, let forwards): gateways[id.index].box.forwards = forwards
    case .filtersChanged(let id, let filters): gateways[id.index].filters = filters
    case .nodeFiltersChanged(let id, let filters): nodes[id.index].filters = filters
    case .portsTaken(let id, let ports): nodes[id.index].takenPorts = ports
    case .lineQualityChanged(let id, let quality):
      gateways[id.index].line.outward.quality = quality
      gateways[id.index].line.inward.quality = quality
    case .nodeDisconnected(let id): setLinks(of: id) { $0.isUp = false }
    case .nodeConnected(let id): setLinks(of: id) { $0.isUp = true }
    case .nodeQualityChanged(let id, let quality):
      setLinks(of: id) {
        $0.outward.quality = quality
        $0.inward.quality = quality
      }
    case .nodeDeafened(let id): nodes[id.index].isDeaf = true
    case .nodeHears(let id): nodes[id.index].isDeaf = false
    case .nameServerDied: nameServer.isDead = true
    case .nameServerRevived: nameServer.isDead = false
    case .nameChanged(let name, let addresses): nameServer.set(name, addresses)
    }
  }

  private mutating func setLinks(of id: NodeID, _ body: (inout SimulatedLink) -> Void) {
    for index in nodes[id.index].interfaces.indices { body(&nodes[id.index].interfaces[index].link) }
  }

  /// A change in the words of the trace.
  private static func describe(_ change: NetworkChange) -> String {
    switch change {
    case .lineCut(let id): "lineCut \(id.index)"
    case .lineRestored(let id): "lineRestored \(id.index)"
    case .addressChanged(let id, let address): "addressChanged \(id.index) \(address)"
    case .rebooted(let id): "rebooted \(id.index)"
    case .stateDied(let id): "stateDied \(id.index)"
    case .behaviorChanged(let id, let behavior):
      "behaviorChanged \(id.index) \(behavior.kind.rawValue) \(behavior.mapping.rawValue) "
        + behavior.filtering.rawValue
    case .forwardsChanged(let id, let forwards): "forwardsChanged \(id.index) \(forwards.map(\.outsidePort))"
    case .filtersChanged(let id, let filters): "filtersChanged \(id.index) \(filters.count)"
    case .nodeFiltersChanged(let id, let filters): "nodeFiltersChanged \(id.index) \(filters.count)"
    case .portsTaken(let id, let ports): "portsTaken \(id.index) \(ports.map { "\($0)" } ?? "none")"
    case .lineQualityChanged(let id, _): "lineQualityChanged \(id.index)"
    case .nodeDisconnected(let id): "nodeDisconnected \(id.index)"
    case .nodeConnected(let id): "nodeConnected \(id.index)"
    case .nodeQualityChanged(let id, _): "nodeQualityChanged \(id.index)"
    case .nodeDeafened(let id): "nodeDeafened \(id.index)"
    case .nodeHears(let id): "nodeHears \(id.index)"
    case .nameServerDied: "nameServerDied"
    case .nameServerRevived: "nameServerRevived"
    case .nameChanged(let name, let addresses): "nameChanged \(name) \(addresses)"
    }
  }
}
