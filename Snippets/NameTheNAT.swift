// Finds out which NAT stands in the way. The discovery is a value: it asks for ports and packets, and is told what came of them.
// Here a router of the full-cone kind and a server with two addresses are functions beside it.

import NATDiscovery
import NetworkTypes
import STUN

let addresses = try STUNServerAddresses(
  primary: Endpoint(.v4(0xc633_6401), port: 3478), alternate: Endpoint(.v4(0xc633_6402), port: 3479))
let settings = DiscoverySettings(
  servers: [addresses.primary], local: Endpoint(.v4(0xc0a8_0102), port: 5000))  // 192.168.1.2:5000
var discovery = DiscoveryCore(settings: settings, random: RandomSource(seed: 1))

var now = MonotonicInstant(nanoseconds: 0)
var actions: [DiscoveryAction] = []
discovery.start(now: now, into: &actions)

while !discovery.isFinished || !actions.isEmpty {
  guard !actions.isEmpty else {
    // Nothing is to be done before the next deadline.
    now = max(now, discovery.nextDeadline ?? now)
    discovery.timerFired(now: now, into: &actions)
    continue
  }
  switch actions.removeFirst() {
  case .openSocket(let socket, var local):
    if local.port == 0 { local.port = UInt16(40_000 + socket) }
    discovery.socketOpened(socket, local: local, now: now, into: &actions)
  case .send(let request, let socket, let destination):
    // The router: each port inside has one port outside, 203.0.113.1:60000 and up, open for everybody.
    let outside = Endpoint(.v4(0xcb00_7101), port: UInt16(60_000 + socket))
    // The server: it is asked at one of its four endpoints, and answers from that one or from another.
    guard let index = addresses.all.firstIndex(of: destination) else { continue }
    var answer: [UInt8] = []
    guard
      let reply = BindingResponder().reply(
        to: request.span, from: outside, local: destination, other: addresses.all[index ^ 3], into: &answer)
    else { continue }
    let turned = (reply.change.changeIP ? 2 : 0) | (reply.change.changePort ? 1 : 0)
    discovery.datagramReceived(
      answer.span, from: addresses.all[index ^ turned], on: socket, now: now, into: &actions)
  case .traceHops: discovery.hopsRefused("there are no routers in this example", now: now, into: &actions)
  case .progress(let line): print(line)
  case .finished(let report): print(report.text)
  case .closeSocket: break
  }
}
