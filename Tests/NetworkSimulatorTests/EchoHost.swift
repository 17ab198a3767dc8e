import NetworkSimulator
import NetworkTypes

/// A host that keeps what it hears, and sends it back when told to.
struct EchoHost: SimulatedHost {
  struct Heard: Equatable {
    var at: MonotonicInstant
    var source: Endpoint
    var socket: Int
    var bytes: [UInt8]
  }

  var local: [Endpoint]
  var echoes = false
  var heard: [Heard] = []
  var opened: [Int] = []
  var failed: [String] = []
  var resolved: [[IPAddress]] = []
  /// Sends to the first of these endpoints again and again, every `interval`.
  var target: Endpoint?
  var interval: Duration = .seconds(1)
  var nextDeadline: MonotonicInstant?

  init(_ local: String..., echoes: Bool = false) {
    self.local = local.compactMap { Endpoint($0) }
    self.echoes = echoes
  }

  mutating func start(now: MonotonicInstant, into actions: inout [HostAction]) {
    for (index, endpoint) in local.enumerated() { actions.append(.openSocket(index, local: endpoint)) }
    if target != nil { nextDeadline = now + interval }
  }

  mutating func datagramReceived(
    _ bytes: [UInt8], from source: Endpoint, on socket: Int, now: MonotonicInstant, into actions: inout [HostAction]
  ) {
    heard.append(Heard(at: now, source: source, socket: socket, bytes: bytes))
    if echoes { actions.append(.send(bytes, socket: socket, to: source)) }
  }

  mutating func timerFired(now: MonotonicInstant, into actions: inout [HostAction]) {
    guard let target else { return }
    actions.append(.send([0x40, 1], socket: 0, to: target))
    nextDeadline = now + interval
  }

  mutating func nameResolved(
    _ name: String, addresses: [IPAddress], now: MonotonicInstant, into actions: inout [HostAction]
  ) { resolved.append(addresses) }

  mutating func socketOpened(
    _ socket: Int, local: Endpoint, now: MonotonicInstant, into actions: inout [HostAction]
  ) { opened.append(socket) }

  mutating func socketFailed(
    _ socket: Int, reason: String, now: MonotonicInstant, into actions: inout [HostAction]
  ) { failed.append(reason) }
}

func address(_ text: String) -> IPAddress { IPAddress(text) ?? .anyV4 }
func endpoint(_ text: String) -> Endpoint { Endpoint(text) ?? Endpoint(.anyV4, port: 0) }
func network(_ text: String) -> IPNetwork { IPNetwork(text) ?? IPNetwork.sharedAddressSpace }

extension SimulatedNetwork {
  mutating func send(_ bytes: [UInt8], from node: NodeID, socket: Int = 0, to destination: String) {
    withHost(node, as: EchoHost.self) { _, _, actions in
      actions.append(.send(bytes, socket: socket, to: endpoint(destination)))
    }
  }

  func heard(_ node: NodeID) -> [EchoHost.Heard] { host(node, as: EchoHost.self)?.heard ?? [] }
}

/// An office of one node (192.168.1.2:5000 and :5001) behind a router (203.0.113.1), and two servers outside with two
/// ports each.
final class Office {
  var net: SimulatedNetwork
  let inside: NodeID
  let other: NodeID
  let one: NodeID
  let two: NodeID
  let router: NATID

  init(_ behavior: NATBehavior, seed: UInt64 = 1, insideNetwork: String = "192.168.1") {
    var net = SimulatedNetwork(seed: seed)
    let office = net.addSubnet("office", [network("\(insideNetwork).0/24")])
    router = net.addGateway(
      "router", from: office, behavior: behavior, outsideAddress: address("203.0.113.1"))
    inside = net.addNode(
      "inside", on: office, addresses: [address("\(insideNetwork).2")],
      host: EchoHost("\(insideNetwork).2:5000", "0.0.0.0:5001"))
    other = net.addNode(
      "other", on: office, addresses: [address("\(insideNetwork).3")], host: EchoHost("0.0.0.0:5000"))
    one = net.addNode(
      "one", on: .internet, addresses: [address("198.51.100.1")], host: EchoHost("0.0.0.0:3478", "0.0.0.0:3479"))
    two = net.addNode(
      "two", on: .internet, addresses: [address("198.51.100.2")], host: EchoHost("0.0.0.0:3478", "0.0.0.0:3479"))
    net.run(for: .seconds(1))
    self.net = net
  }

  /// Sends from the inside node and returns the source that `server` then saw, `nil` where nothing came.
  func seen(by server: NodeID, from socket: Int = 0, to destination: String) -> Endpoint? {
    let before = net.heard(server).count
    net.send([0x50], from: inside, socket: socket, to: destination)
    net.run(for: .seconds(1))
    let heard = net.heard(server)
    return heard.count > before ? heard.last?.source : nil
  }

  /// Whether a packet from a server's socket to `outside` comes to the inside node.
  func letsIn(from server: NodeID, socket: Int, to outside: Endpoint) -> Bool {
    let before = net.heard(inside).count
    net.send([0x51], from: server, socket: socket, to: "\(outside)")
    net.run(for: .seconds(1))
    return net.heard(inside).count > before
  }
}
