import NATDiscovery
import NetworkTypes
import STUN
import Testing

/// A discovery between a router and a server with two addresses that are functions: for what the simulated routers do not do.
struct FunctionRouter {
  static let local = endpoint("192.168.1.2:5000")

  /// What is seen of a port inside, by where it writes to; the number is that of the packets before.
  var mapped: (_ local: Endpoint, _ destination: Endpoint, _ number: Int) -> Endpoint = { local, _, _ in
    endpoint("203.0.113.1:\(local.port)")
  }
  /// Whether a packet of so many bytes passes, either way.
  var passes: (_ count: Int) -> Bool = { _ in true }
  /// Whether the server answers PADDING by PADDING.
  var pads = true
  var local = Self.local
  var hops: [IPAddress?] = [address("192.168.1.1"), address("203.0.113.254")]
  /// The port that the system gives to a spare socket.
  var port: (_ socket: Int) -> UInt16 = { UInt16(20_000 + 3 * $0) }

  func discover() throws -> NATReport {
    let addresses = try STUNServerAddresses(
      primary: endpoint("198.51.100.1:3478"), alternate: endpoint("198.51.100.2:3479"))
    var core = DiscoveryCore(
      settings: DiscoverySettings(servers: [addresses.primary], local: local), random: RandomSource(seed: 3))
    var now = MonotonicInstant(nanoseconds: 1_000_000_000_000)
    var actions: [DiscoveryAction] = []
    var locals: [Int: Endpoint] = [:]
    /// The mapping of a port towards a destination stays as it was first seen.
    var rows: [(local: Endpoint, destination: Endpoint, outside: Endpoint)] = []
    core.start(now: now, into: &actions)
    for _ in 0..<20_000 {
      guard !actions.isEmpty else {
        now = max(now, core.nextDeadline ?? now)
        core.timerFired(now: now, into: &actions)
        continue
      }
      switch actions.removeFirst() {
      case .openSocket(let socket, var place):
        if place.port == 0 { place.port = port(socket) }
        locals[socket] = place
        core.socketOpened(socket, local: place, now: now, into: &actions)
      case .send(let request, let socket, let destination):
        guard passes(request.count), let inside = locals[socket],
          let index = addresses.all.firstIndex(of: destination)
        else { continue }
        let known = rows.first { $0.local == inside && $0.destination == destination }?.outside
        let outside = known ?? mapped(inside, destination, rows.count)
        if known == nil { rows.append((inside, destination, outside)) }
        var answer: [UInt8] = []
        guard
          let reply = BindingResponder().reply(
            to: request.span, from: outside, local: destination, other: addresses.all[index ^ 3], into: &answer)
        else { continue }
        if !pads, let message = try? STUNMessage(decoding: answer.span) {
          let plain = message.attributes.filter { if case .padding = $0 { false } else { true } }
          answer =
            STUNMessage(
              messageClass: message.messageClass, transactionID: message.transactionID, attributes: plain
            ).encoded()
        }
        guard passes(answer.count) else { continue }
        let turned = (reply.change.changeIP ? 2 : 0) | (reply.change.changePort ? 1 : 0)
        core.datagramReceived(answer.span, from: addresses.all[index ^ turned], on: socket, now: now, into: &actions)
      case .traceHops: core.hopsTraced(hops, now: now, into: &actions)
      case .finished(let report): return report
      case .closeSocket, .progress: break
      }
    }
    Issue.record("the discovery does not end")
    return NATReport(localAddress: local)
  }
}
