import NATDiscovery
import NetworkSimulator
import NetworkTypes
import PortMapping
import STUN
import Testing

/// A discovery on a node of the simulated internet.
struct DiscoveryHost: SimulatedHost {
  var core: DiscoveryCore
  /// What the routers on the way say; `nil` refuses to ask them.
  var hops: [IPAddress?]?
  var report: NATReport?
  var finishedAt: MonotonicInstant?
  var progress: [String] = []
  var nextPort: UInt16 = 20_000

  var nextDeadline: MonotonicInstant? { core.nextDeadline }

  mutating func start(now: MonotonicInstant, into actions: inout [HostAction]) {
    run(now, &actions) { $0.start(now: now, into: &$1) }
  }

  mutating func datagramReceived(
    _ bytes: [UInt8], from source: Endpoint, on socket: Int, now: MonotonicInstant, into actions: inout [HostAction]
  ) {
    run(now, &actions) { $0.datagramReceived(bytes.span, from: source, on: socket, now: now, into: &$1) }
  }

  mutating func timerFired(now: MonotonicInstant, into actions: inout [HostAction]) {
    run(now, &actions) { $0.timerFired(now: now, into: &$1) }
  }

  mutating func socketOpened(_ socket: Int, local: Endpoint, now: MonotonicInstant, into actions: inout [HostAction]) {
    run(now, &actions) { $0.socketOpened(socket, local: local, now: now, into: &$1) }
  }

  mutating func socketFailed(_ socket: Int, reason: String, now: MonotonicInstant, into actions: inout [HostAction]) {
    run(now, &actions) { $0.socketFailed(socket, reason: reason, now: now, into: &$1) }
  }

  private mutating func run(
    _ now: MonotonicInstant, _ actions: inout [HostAction],
    _ body: (inout DiscoveryCore, inout [DiscoveryAction]) -> Void
  ) {
    var asked: [DiscoveryAction] = []
    body(&core, &asked)
    for action in asked {
      switch action {
      case .openSocket(let socket, var local):
        if local.port == 0 {
          local.port = nextPort
          // Odd and even ones.
          nextPort += 3
        }
        actions.append(.openSocket(socket, local: local))
      case .closeSocket(let socket): actions.append(.closeSocket(socket))
      case .send(let bytes, let socket, let destination): actions.append(.send(bytes, socket: socket, to: destination))
      case .traceHops:
        run(now, &actions) { [hops] core, asked in
          if let hops {
            core.hopsTraced(hops, now: now, into: &asked)
          } else {
            core.hopsRefused("this system does not let us", now: now, into: &asked)
          }
        }
      case .progress(let line): progress.append(line)
      case .finished(let report):
        self.report = report
        finishedAt = now
      }
    }
  }
}

/// A STUN server with two addresses and two ports, or with what is left of them.
struct TwoAddressServer: SimulatedHost {
  enum Kind {
    /// RFC 5780.
    case behavior
    /// RFC 3489: no XOR-MAPPED-ADDRESS, CHANGED-ADDRESS, RESPONSE-ADDRESS.
    case classic
    /// Names a second address and answers from the first, whatever it is asked for.
    case stubborn
    /// Names a second address at which nobody is.
    case halfDead
    /// Answers at its second address, and never from there to what came to the first.
    case mute
  }

  let addresses: STUNServerAddresses
  let kind: Kind
  private let responder = BindingResponder()

  init(_ addresses: STUNServerAddresses, _ kind: Kind = .behavior) {
    self.addresses = addresses
    self.kind = kind
  }

  mutating func start(now: MonotonicInstant, into actions: inout [HostAction]) {
    for (index, endpoint) in addresses.all.enumerated() { actions.append(.openSocket(index, local: endpoint)) }
  }

  mutating func datagramReceived(
    _ bytes: [UInt8], from source: Endpoint, on socket: Int, now: MonotonicInstant, into actions: inout [HostAction]
  ) {
    let all = addresses.all
    if kind == .halfDead, socket >= 2 { return }
    if kind == .classic { return answerClassic(bytes, source, socket, &actions) }
    var answer: [UInt8] = []
    guard
      let reply = responder.reply(
        to: bytes.span, from: source, local: all[socket], other: all[socket ^ 3], into: &answer)
    else { return }
    let turned = (reply.change.changeIP ? 2 : 0) | (reply.change.changePort ? 1 : 0)
    if kind == .halfDead || kind == .mute, turned & 2 != 0 { return }
    actions.append(.send(answer, socket: kind == .stubborn ? socket : socket ^ turned, to: reply.destination))
  }

  private func answerClassic(_ bytes: [UInt8], _ source: Endpoint, _ socket: Int, _ actions: inout [HostAction]) {
    guard let request = try? STUNMessage(decoding: bytes.span), request.messageClass == .request else { return }
    let all = addresses.all
    var destination = source
    for case .responseAddress(let target) in request.attributes { destination = target }
    let change = request.changeRequest
    let from = socket ^ ((change?.changeIP == true ? 2 : 0) | (change?.changePort == true ? 1 : 0))
    let answer = STUNMessage(
      messageClass: .success, transactionID: request.transactionID, hasMagicCookie: request.hasMagicCookie,
      attributes: [.mappedAddress(source), .sourceAddress(all[from]), .changedAddress(all[socket ^ 3])])
    actions.append(.send(answer.encoded(), socket: from, to: destination))
  }
}

/// A router that tells its outside address by NAT-PMP.
struct RouterWord: SimulatedHost {
  let address: IPAddress

  init(_ address: IPAddress) { self.address = address }

  mutating func start(now: MonotonicInstant, into actions: inout [HostAction]) {
    actions.append(.openSocket(0, local: endpoint("192.168.1.1:5351")))
  }

  mutating func datagramReceived(
    _ bytes: [UInt8], from source: Endpoint, on socket: Int, now: MonotonicInstant, into actions: inout [HostAction]
  ) {
    let answer = NATPMPResponse(epoch: 100, .externalAddress(address))
    actions.append(.send(answer.encoded(), socket: 0, to: source))
  }
}

func address(_ text: String) -> IPAddress { IPAddress(text) ?? .anyV4 }
func endpoint(_ text: String) -> Endpoint { Endpoint(text) ?? Endpoint(.anyV4, port: 0) }

/// An office node behind a router, a server with two addresses (198.51.100.1 and .2, ports 3478 and 3479), and two with
/// one address each (198.51.100.3 and .4, port 3478).
struct DiscoveryWorld {
  static let twoAddresses = endpoint("198.51.100.1:3478")
  static let single = endpoint("198.51.100.3:3478")
  static let anotherSingle = endpoint("198.51.100.4:3478")

  var net: SimulatedNetwork
  let node: NodeID

  init(
    _ behavior: NATBehavior, servers: [Endpoint] = [twoAddresses], kind: TwoAddressServer.Kind = .behavior,
    hops: [IPAddress?]? = [address("192.168.1.1"), address("203.0.113.254")], measuresLifetime: Bool = false,
    line: LinkQuality = .dsl, routerAddress: IPAddress? = nil, seed: UInt64 = 1
  ) throws {
    var net = SimulatedNetwork(seed: seed)
    let office = net.addSubnet("office", [try #require(IPNetwork("192.168.1.0/24"))])
    _ = net.addGateway(
      "router", from: office, behavior: behavior, outsideAddress: address("203.0.113.1"), line: line)
    let addresses = try STUNServerAddresses(primary: Self.twoAddresses, alternate: endpoint("198.51.100.2:3479"))
    _ = net.addNode(
      "two", on: .internet, addresses: [address("198.51.100.1"), address("198.51.100.2")],
      host: TwoAddressServer(addresses, kind))
    for (name, single) in [("three", Self.single), ("four", Self.anotherSingle)] {
      _ = net.addNode(name, on: .internet, addresses: [single.address], host: STUNServerHost([single]))
    }
    var settings = DiscoverySettings(
      servers: servers, local: endpoint("192.168.1.2:5000"), measuresLifetime: measuresLifetime)
    if let routerAddress {
      settings.router = address("192.168.1.1")
      _ = net.addNode(
        "the router's own ports", on: office, addresses: [address("192.168.1.1")], host: RouterWord(routerAddress))
    }
    node = net.addNode(
      "office", on: office, addresses: [address("192.168.1.2")],
      host: DiscoveryHost(core: DiscoveryCore(settings: settings, random: RandomSource(seed: seed)), hops: hops))
    self.net = net
  }

  var host: DiscoveryHost? { net.host(node, as: DiscoveryHost.self) }

  /// Runs for at most `limit`; the report and how long it took.
  mutating func discover(within limit: Duration = .seconds(10)) throws -> (NATReport, Duration) {
    net.run(for: limit)
    let report = try #require(host?.report)
    let ended = try #require(host?.finishedAt)
    return (report, ended - net.beginning)
  }
}
