// Asks a STUN server where our packets come from. The client is a value: it says what is to be sent, and is told what came. Here
// the server is a function beside it, so that nothing leaves this machine; with sockets in its place nothing else changes.

import NetworkTypes
import STUN

let server = STUNTarget(Endpoint(.v4(0xc000_0201), port: 3478))  // 192.0.2.1
var client = STUNClient(servers: [server], random: RandomSource(seed: 1))

let now = MonotonicInstant(nanoseconds: 0)
var actions: [STUNClient.Action] = []
client.ask(now: now, into: &actions)

// What a router makes of our port, 203.0.113.5:65002.
let outside = Endpoint(.v4(0xcb00_7105), port: 65_002)
let responder = BindingResponder()

while !actions.isEmpty {
  switch actions.removeFirst() {
  case .send(let request, let destination):
    guard let answer = responder.respond(to: request.span, from: outside, local: destination) else { continue }
    client.datagramReceived(answer.span, from: destination, now: now, into: &actions)
  case .mapped(let mapping): print("The world sees us at \(mapping.mapped).")
  case .failed(let problems):
    for (target, problem) in zip(client.servers, problems) { print(problem.sentence(about: target)) }
  case .connect, .sendOnConnection, .disconnect: break  // TCP and TLS
  }
}
