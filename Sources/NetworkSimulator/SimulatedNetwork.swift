public import NetworkTypes

/// A small internet in virtual time: nodes on subnets, routers between them, one name server, one seed.
///
/// Every packet, look-up and timer is an event of one queue, so that a year passes as fast as its events can be worked
/// off, and the same seed gives the same events in every process. Nothing here knows SIP or STUN.
public struct SimulatedNetwork: Sendable {
  struct Subnet: Sendable {
    let name: String
    let networks: [IPNetwork]
    /// The way to everywhere else; `nil` for the internet.
    var gateway: NATID?
  }

  struct Interface: Sendable {
    let subnet: SubnetID
    let addresses: [IPAddress]
    var link: SimulatedLink
  }

  struct Socket: Sendable {
    let id: Int
    let local: Endpoint
  }

  struct Node: Sendable {
    let name: String
    var interfaces: [Interface]
    var sockets: [Socket] = []
    var deadline: MonotonicInstant?
    var isDeaf = false
    var filters: [PacketFilter] = []
    /// Ports that other programs on it have.
    var takenPorts: ClosedRange<UInt16>?
    var isStarted = false
    /// Wake-ups in a row that moved no deadline forward.
    var idleWakeUps = 0
    var lastEphemeralPort: UInt16 = 0
  }

  struct Gateway: Sendable {
    let name: String
    let inside: SubnetID
    let outside: SubnetID
    var box: NATBox
    /// Between the router and the outside; the way inside costs nothing.
    var line: SimulatedLink
    var filters: [PacketFilter] = []
    var rewriter: PayloadRewriter?
  }

  enum Event: Sendable {
    case arrivedAtNode(NodeID, Datagram)
    case arrivedInside(NATID, Datagram)
    case arrivedOutside(NATID, Datagram)
    case leftOnto(SubnetID, Datagram, from: NATID?)
    case resolved(NodeID, String, [IPAddress])
    case serviceResolved(NodeID, String, [ServiceRecord]?)
    case changed(NetworkChange)
    case started(NodeID)
  }

  /// The present moment. Starts at a thousand seconds, so that code which takes zero for "never" shows it.
  public private(set) var now = MonotonicInstant(nanoseconds: 1_000_000_000_000)
  /// When the network began; traces and scenarios count from here.
  public let beginning = MonotonicInstant(nanoseconds: 1_000_000_000_000)
  public var nameServer = NameServer()
  public var trace = NetworkTrace()
  /// What a host did that no host may do: a socket number used twice, a deadline that stays in the past. Empty in a good
  /// run.
  public var faults: [String] = []
  /// Sockets that one host may have open; further ones are refused.
  public var socketLimit = 4096
  /// Whether an RTP packet stands for a stretch of its stream (``RelayPace/flow``): it is then lost only with its line.
  public var mediaAreFlows = false
  var random: RandomSource
  var subnets = [Subnet(name: "internet", networks: [], gateway: nil)]
  var nodes: [Node] = []
  /// What lives on each node; apart from it, so that looking at a node never copies its host.
  var hosts: [any SimulatedHost] = []
  var gateways: [Gateway] = []
  var queue = EventQueue<Event>()
  var captures: [PacketCapture] = []
  /// Packets that the queue holds at most; further ones are lost, as in a full router.
  static let queueLimit = 1_000_000

  public init(seed: UInt64) { random = RandomSource(seed: seed) }

  // MARK: Building

  /// A subnet behind a router that is added with ``addGateway(_:from:to:behavior:outsideAddress:line:)``.
  public mutating func addSubnet(_ name: String, _ networks: [IPNetwork]) -> SubnetID {
    subnets.append(Subnet(name: name, networks: networks))
    return SubnetID(index: subnets.count - 1)
  }

  /// A router that is the way out of `inside`. Give each subnet one at most; the last one counts.
  public mutating func addGateway(
    _ name: String, from inside: SubnetID, to outside: SubnetID = .internet, behavior: NATBehavior,
    outsideAddress: IPAddress, line: LinkQuality = .dsl
  ) -> NATID {
    gateways.append(
      Gateway(
        name: name, inside: inside, outside: outside,
        box: NATBox(behavior: behavior, outsideAddress: outsideAddress), line: SimulatedLink(line)))
    let id = NATID(index: gateways.count - 1)
    subnets[inside.index].gateway = id
    return id
  }

  /// A node with `host` on it, which starts when the network next runs.
  public mutating func addNode(
    _ name: String, on subnet: SubnetID, addresses: [IPAddress], link: LinkQuality = .ethernet,
    host: any SimulatedHost
  ) -> NodeID {
    let interface = Interface(subnet: subnet, addresses: addresses, link: SimulatedLink(link))
    nodes.append(Node(name: name, interfaces: [interface]))
    hosts.append(host)
    let id = NodeID(index: nodes.count - 1)
    queue.insert(.started(id), at: now)
    return id
  }

  /// The process on a node is killed, without a last word, and `host` begins in its place.
  public mutating func replaceHost(_ id: NodeID, with host: any SimulatedHost) {
    for socket in nodes[id.index].sockets {
      trace.add(.closed, at: now, place: nodes[id.index].name, note: "\(socket.local)")
    }
    nodes[id.index].sockets = []
    nodes[id.index].isStarted = false
    nodes[id.index].deadline = nil
    hosts[id.index] = host
    queue.insert(.started(id), at: now)
  }

  /// Another way into the network for a node that is already there: a second line, or a second address of its own.
  public mutating func addInterface(
    to node: NodeID, on subnet: SubnetID, addresses: [IPAddress], link: LinkQuality = .ethernet
  ) {
    nodes[node.index].interfaces.append(
      Interface(subnet: subnet, addresses: addresses, link: SimulatedLink(link)))
  }

  /// Plans a change for the moment `delay` from now.
  public mutating func plan(_ change: NetworkChange, after delay: Duration) {
    queue.insert(.changed(change), at: now + delay)
  }

  /// What a router does to the contents of packets; `nil` leaves them alone.
  public mutating func setRewriter(_ rewriter: PayloadRewriter?, of router: NATID) {
    gateways[router.index].rewriter = rewriter
  }

  // MARK: Looking in

  /// The router's table and settings.
  public func box(_ id: NATID) -> NATBox { gateways[id.index].box }

  /// The host on a node; `nil` where it is not a `Host`.
  public func host<Host: SimulatedHost>(_ id: NodeID, as type: Host.Type = Host.self) -> Host? {
    hosts[id.index] as? Host
  }

  /// Lets a test or a scenario do something to a host: place a call, hang up. What the host then asks for happens at
  /// once. `nil` where it is not a `Host`.
  @discardableResult public mutating func withHost<Host: SimulatedHost, Result>(
    _ id: NodeID, as type: Host.Type = Host.self,
    _ body: (inout Host, MonotonicInstant, inout [HostAction]) -> Result
  ) -> Result? {
    guard var host = hosts[id.index] as? Host else { return nil }
    hosts[id.index] = NoHost()
    var actions: [HostAction] = []
    let result = body(&host, now, &actions)
    hosts[id.index] = host
    perform(actions, of: id)
    return result
  }

  /// Packets, look-ups and changes that are still to come.
  public var pendingCount: Int { queue.count }

  // MARK: Running

  /// Works off everything up to and including `moment`, which is then the present.
  public mutating func run(until moment: MonotonicInstant) {
    while step(by: moment) {}
    now = max(now, moment)
  }

  public mutating func run(for duration: Duration) { run(until: now + duration) }

  /// Runs until `condition` holds, looking after every event; false where `limit` passed without.
  public mutating func run(
    atMost limit: Duration, until condition: (inout SimulatedNetwork) -> Bool
  ) -> Bool {
    let end = now + limit
    while true {
      if condition(&self) { return true }
      guard step(by: end) else {
        now = max(now, end)
        return condition(&self)
      }
    }
  }

  /// Works off one event or wake-up that is due by `limit`; false where there is none. Events go before wake-ups of the
  /// same moment, wake-ups in the order of nodes.
  private mutating func step(by limit: MonotonicInstant) -> Bool {
    var wake: (node: Int, at: MonotonicInstant)?
    for index in nodes.indices {
      guard let deadline = nodes[index].deadline, deadline <= limit else { continue }
      if wake.map({ deadline < $0.at }) ?? true { wake = (index, deadline) }
    }
    if let wake, queue.nextTime.map({ wake.at < $0 }) ?? true {
      wakeUp(wake.node, at: wake.at)
      return true
    }
    guard let (time, event) = queue.pop(by: limit) else { return false }
    now = max(now, time)
    switch event {
    case .arrivedAtNode(let id, let packet): deliver(packet, to: id)
    case .arrivedInside(let id, let packet): passOutward(packet, id)
    case .arrivedOutside(let id, let packet): passInward(packet, id)
    case .leftOnto(let subnet, let packet, let gateway): route(packet, in: subnet, from: gateway)
    case .resolved(let id, let name, let addresses):
      trace.add(.resolved, at: now, place: nodes[id.index].name, note: "\(name) \(addresses)")
      call(id) { $0.nameResolved(name, addresses: addresses, now: $1, into: &$2) }
    case .serviceResolved(let id, let service, let records):
      trace.add(.resolved, at: now, place: nodes[id.index].name, note: "\(service) \(records?.count ?? 0) servers")
      call(id) { $0.serviceResolved(service, records: records, now: $1, into: &$2) }
    case .changed(let change): apply(change)
    case .started(let id):
      nodes[id.index].isStarted = true
      call(id) { $0.start(now: $1, into: &$2) }
    }
    return true
  }

  private mutating func wakeUp(_ index: Int, at moment: MonotonicInstant) {
    now = max(now, moment)
    let id = NodeID(index: index)
    call(id) { $0.timerFired(now: $1, into: &$2) }
    guard let next = nodes[index].deadline, next <= now else {
      nodes[index].idleWakeUps = 0
      return
    }
    // A host whose deadline does not move would hold the clock forever.
    nodes[index].idleWakeUps += 1
    if nodes[index].idleWakeUps > 1000 {
      fault(nodes[index].name, "wants to be woken again and again at the same moment")
      nodes[index].deadline = now + .milliseconds(1)
      nodes[index].idleWakeUps = 0
    }
  }

  mutating func fault(_ place: String, _ note: String) {
    trace.add(.fault, at: now, place: place, note: note)
    if faults.count < 100 { faults.append("\(place): \(note)") }
  }

  // MARK: Hosts

  /// Calls a host and does what it asks for.
  mutating func call(
    _ id: NodeID, _ body: (inout any SimulatedHost, MonotonicInstant, inout [HostAction]) -> Void
  ) {
    var actions: [HostAction] = []
    body(&hosts[id.index], now, &actions)
    perform(actions, of: id)
  }

  private mutating func perform(_ actions: [HostAction], of id: NodeID) {
    for action in actions {
      switch action {
      case .openSocket(let socket, let local): open(socket, local, of: id)
      case .closeSocket(let socket):
        guard let place = nodes[id.index].sockets.firstIndex(where: { $0.id == socket }) else { break }
        let local = nodes[id.index].sockets.remove(at: place).local
        trace.add(.closed, at: now, place: nodes[id.index].name, note: "\(local)")
      case .send(let bytes, let socket, let destination): send(bytes, socket, destination, of: id)
      case .resolve(let name): resolve(name, of: id)
      case .resolveService(let service): resolveService(service, of: id)
      case .log(let text): trace.add(.logged, at: now, place: nodes[id.index].name, note: text)
      }
    }
    nodes[id.index].deadline = nodes[id.index].isStarted ? hosts[id.index].nextDeadline : nil
  }

  private mutating func open(_ socket: Int, _ wanted: Endpoint, of id: NodeID) {
    var local = wanted
    if wanted.port == 0 {
      // The system's choice, which does not come back soon.
      nodes[id.index].lastEphemeralPort = nodes[id.index].lastEphemeralPort % 16_384 + 1
      local.port = 49_151 + nodes[id.index].lastEphemeralPort
    }
    let node = nodes[id.index]
    let reason: String?
    if node.sockets.contains(where: { $0.id == socket }) {
      fault(node.name, "opens socket \(socket) twice")
      reason = "socket number in use"
    } else if node.sockets.count >= socketLimit {
      reason = "too many open files"
    } else if !local.address.isUnspecified, !local.address.isLoopback,
      !node.interfaces.contains(where: { $0.addresses.contains(local.address) })
    {
      reason = "cannot assign requested address"
    } else if node.takenPorts?.contains(local.port) == true {
      reason = "address already in use"
    } else if node.sockets.contains(where: {
      $0.local.port == local.port && $0.local.address.isV6 == local.address.isV6
        && ($0.local.address == local.address || $0.local.address.isUnspecified || local.address.isUnspecified)
    }) {
      reason = "address already in use"
    } else {
      reason = nil
    }
    if let reason {
      trace.add(.fault, at: now, place: node.name, note: "\(local) \(reason)")
      call(id) { $0.socketFailed(socket, reason: reason, now: $1, into: &$2) }
    } else {
      nodes[id.index].sockets.append(Socket(id: socket, local: local))
      trace.add(.opened, at: now, place: node.name, note: "\(local)")
      call(id) { $0.socketOpened(socket, local: local, now: $1, into: &$2) }
    }
  }

  private func hearsNameServer(_ id: NodeID) -> Bool {
    !nameServer.isDead && nameServer.address.map { hasWay(from: id, to: $0) } ?? true
  }

  private mutating func resolveService(_ service: String, of id: NodeID) {
    if hearsNameServer(id) && !random.happens(nameServer.failures) {
      queue.insert(.serviceResolved(id, service, nameServer.records(of: service)), at: now + nameServer.delay)
    } else {
      queue.insert(.serviceResolved(id, service, nil), at: now + nameServer.patience)
    }
  }

  private mutating func resolve(_ name: String, of id: NodeID) {
    let isHeard = hearsNameServer(id)
    if isHeard && !random.happens(nameServer.failures) {
      queue.insert(.resolved(id, name, nameServer.addresses(of: name)), at: now + nameServer.delay)
    } else if IPAddress(name) != nil {
      queue.insert(.resolved(id, name, nameServer.addresses(of: name)), at: now)
    } else {
      queue.insert(.resolved(id, name, []), at: now + nameServer.patience)
    }
  }
}

/// Stands in for a host while a test works on it.
private struct NoHost: SimulatedHost {
  mutating func start(now: MonotonicInstant, into actions: inout [HostAction]) {}
  mutating func datagramReceived(
    _ bytes: [UInt8], from source: Endpoint, on socket: Int, now: MonotonicInstant, into actions: inout [HostAction]
  ) {}
}
