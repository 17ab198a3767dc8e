import NetworkTypes
import SIPSyntax
import SIPTransaction
import Testing

/// Operations in any order, with messages cut, mixed up and repeated: nothing traps, and in the end nothing is left.
@Suite struct LayerSequenceTests {
  @Test(arguments: 1...20) func anyOrderOfOperations(seed: UInt64) throws {
    var dice = RandomSource(seed: seed)
    var bench = LayerBench(serverLimit: 40)
    var clients: [ClientTransactionID] = []
    var servers: [ServerTransactionID] = []
    var sent: [SIPMessage] = []
    let methods = ["INVITE", "INVITE", "ACK", "CANCEL", "BYE", "OPTIONS", "REGISTER"]
    let statuses = [100, 180, 183, 200, 200, 202, 302, 404, 487, 503, 603]
    for _ in 0..<600 {
      var path = LayerBench.path
      path.isReliable = dice.next() % 4 == 0
      let status = statuses[Int(dice.next() % UInt64(statuses.count))]
      switch dice.next() % 12 {
      case 0...3:
        let method = methods[Int(dice.next() % UInt64(methods.count))]
        let via = dice.next() % 8 == 0 ? "SIP/2.0/UDP 192.0.2.1;branch=old" : nil
        var request = try makeRequest(
          method, branch: "z9hG4bK\(dice.next() % 30)", sequence: Int(dice.next() % 2),
          toTag: dice.next() % 2 == 0 ? "local" : nil, via: via)
        if dice.next() % 10 == 0 { request.remove([.via, .from, .to, .callID, .cSeq][Int(dice.next() % 5)]) }
        bench.receive(request, path: path)
      case 4: clients.append(bench.send(try outgoing(dice.next() % 2 == 0 ? .invite : .options), path: path))
      case 5...6:
        guard !sent.isEmpty else { break }
        var response = answer(sent[Int(dice.next() % UInt64(sent.count))], status, tag: "t\(dice.next() % 3)")
        if dice.next() % 10 == 0 { response.remove([.via, .from, .to, .callID, .cSeq][Int(dice.next() % 5)]) }
        bench.receive(response, path: path)
      case 7:
        guard !servers.isEmpty else { break }
        let id = servers[Int(dice.next() % UInt64(servers.count))]
        if bench.layer.request(of: id) != nil { try bench.respond(id, status) }
      case 8:
        guard !clients.isEmpty else { break }
        let id = clients[Int(dice.next() % UInt64(clients.count))]
        switch dice.next() % 3 {
        case 0: bench.layer.cancel(id, now: bench.now, into: &bench.events)
        case 1: bench.layer.forget(id)
        default:
          bench.layer.acknowledge(
            id, try outgoing(.ack), sentBy: "203.0.113.5", path: path, now: bench.now, random: &bench.random,
            into: &bench.events)
        }
      default: bench.advance(.milliseconds(Int(dice.next() % 3000)))
      }
      for event in bench.takeEvents() {
        switch event {
        case .send(let bytes, _):
          let message = try SIPMessage(parsing: bytes.span)
          if message.isRequest { sent.append(message) }
        case .requestReceived(let id, _, _): servers.append(id)
        default: break
        }
      }
      #expect(bench.layer.serverCount <= 40)
    }
    for id in servers where bench.layer.isPending(id) { try bench.respond(id, 500) }
    bench.advance(.seconds(800))
    #expect(bench.isIdle)
  }
}
