import NetworkTypes
import SIPSyntax
import SIPTransaction
import Testing

@Suite struct ServerLayerTests {
  @Test func repetitionsAreAbsorbedAndAnswered() throws {
    var bench = LayerBench()
    bench.receive(try makeRequest("OPTIONS"))
    let id = try bench.takeRequest()
    bench.receive(try makeRequest("OPTIONS"))
    #expect(bench.takeEvents().isEmpty)
    try bench.respond(id, 200)
    let first = bench.takeSent()
    #expect(first.map(\.status) == [200])
    bench.receive(try makeRequest("OPTIONS"))
    #expect(bench.takeSent() == first)
    bench.advance(.seconds(32))
    #expect(bench.isIdle)
  }

  @Test(arguments: ["z9hG4bKother", "z9hG4bKABC"]) func anotherBranchIsAnotherTransaction(branch: String) throws {
    var bench = LayerBench()
    bench.receive(try makeRequest("OPTIONS"))
    bench.receive(try makeRequest("OPTIONS", branch: branch))
    #expect(bench.layer.serverCount == 2)
  }

  @Test func matchingUsesSentByMethodAndSequence() throws {
    var bench = LayerBench()
    bench.receive(try makeRequest("OPTIONS"))
    bench.receive(try makeRequest("INFO"))
    bench.receive(try makeRequest("OPTIONS", via: "SIP/2.0/UDP 192.0.2.9:5060;branch=z9hG4bKabc"))
    bench.receive(try makeRequest("OPTIONS", sequence: 2))
    #expect(bench.layer.serverCount == 4)
    bench.receive(try makeRequest("OPTIONS", via: "SIP/2.0/UDP 192.0.2.1 : 5060;x=y;branch=z9hG4bKabc"))
    #expect(bench.layer.serverCount == 4)
  }

  @Test func requestsWithoutMagicCookieMatchByTheirFields() throws {
    var bench = LayerBench()
    let via = "SIP/2.0/UDP 192.0.2.1:5060;branch=1"
    bench.receive(try makeRequest("INVITE", via: via))
    let id = try bench.takeRequest()
    bench.receive(try makeRequest("INVITE", via: via))
    #expect(bench.layer.serverCount == 1)
    bench.receive(try makeRequest("INVITE", via: via, callID: "call-2"))
    #expect(bench.layer.serverCount == 2)
    try bench.respond(id, 486)
    _ = bench.takeEvents()
    bench.receive(try makeRequest("ACK", toTag: "stranger", via: via))
    guard case .discarded = bench.takeEvents().last else {
      Issue.record("the To tag of an ACK counts")
      return
    }
    bench.receive(try makeRequest("ACK", toTag: "local", via: via))
    #expect(bench.takeEvents().isEmpty)
    bench.advance(.seconds(6))
    #expect(bench.layer.serverCount == 1)
  }

  @Test func marksWhereARequestCameFrom() throws {
    var bench = LayerBench()
    let source = SIPPath(socket: 1, remote: Endpoint("198.51.100.7:40000")!)
    bench.receive(try makeRequest("OPTIONS", via: "SIP/2.0/UDP 10.0.0.1:5060;rport;branch=z9hG4bK1"), path: source)
    guard case .requestReceived(let id, let request, source) = bench.events[0] else {
      Issue.record("no request")
      return
    }
    #expect(request.value(.via) == "SIP/2.0/UDP 10.0.0.1:5060;rport=40000;branch=z9hG4bK1;received=198.51.100.7")
    _ = bench.takeEvents()
    try bench.respond(id, 200)
    guard case .send(let bytes, source) = bench.events[0] else {
      Issue.record("not sent to the source")
      return
    }
    #expect(try SIPMessage(parsing: bytes.span).value(.via) == request.value(.via))
  }

  /// Via, source → Via as passed on, port that the answer goes to.
  @Test(arguments: [
    ("192.0.2.1:5060", "192.0.2.1:5060", "192.0.2.1:5060", 5060),
    ("192.0.2.1:5070", "192.0.2.1:40000", "192.0.2.1:5070", 5070),
    ("192.0.2.1", "192.0.2.1:40000", "192.0.2.1", 5060),
    ("phone.example:5070", "192.0.2.1:40000", "phone.example:5070;received=192.0.2.1", 40000),
    ("10.0.0.1:5070", "192.0.2.1:40000", "10.0.0.1:5070;received=192.0.2.1", 40000),
    ("[2001:db8::1]:5070", "[2001:db8::2]:5070", "[2001:db8::1]:5070;received=2001:db8::2", 5070),
  ]) func answersWithoutRport(sentBy: String, source: String, marked: String, port: Int) throws {
    var bench = LayerBench()
    let path = SIPPath(socket: 1, remote: try #require(Endpoint(source)))
    let parts = marked.split(separator: ";", maxSplits: 1)
    bench.receive(try makeRequest("OPTIONS", via: "SIP/2.0/UDP \(sentBy);branch=z9hG4bK1"), path: path)
    let id = try bench.takeRequest()
    try bench.respond(id, 200)
    guard case .send(let bytes, let answerPath) = bench.events[0] else {
      Issue.record("nothing sent")
      return
    }
    #expect(answerPath.remote.port == UInt16(port))
    #expect(answerPath.remote.address == path.remote.address)
    let via = "SIP/2.0/UDP \(parts[0]);branch=z9hG4bK1" + (parts.count > 1 ? ";\(parts[1])" : "")
    #expect(try SIPMessage(parsing: bytes.span).value(.via) == via)
  }

  @Test func says100ByItself() throws {
    var bench = LayerBench()
    bench.receive(try makeRequest("INVITE"))
    bench.advance(.milliseconds(199))
    #expect(bench.takeSent().isEmpty)
    bench.advance(.milliseconds(1))
    let trying = bench.takeSent()
    #expect(trying.map(\.status) == [100])
    #expect(trying[0].toTag == nil)
    bench.receive(try makeRequest("INVITE"))
    #expect(bench.takeSent().map(\.status) == [100])
  }

  @Test func repeatsA2xxUntilItsACK() throws {
    var bench = LayerBench()
    bench.receive(try makeRequest("INVITE"))
    let id = try bench.takeRequest()
    try bench.respond(id, 180)
    try bench.respond(id, 200)
    bench.advance(.milliseconds(3600))
    // At 0, 0.5, 1.5 and 3.5 s.
    #expect(bench.takeSent().map(\.status) == [180, 200, 200, 200, 200])
    bench.receive(try makeRequest("ACK", branch: "z9hG4bKack", toTag: "other"))
    guard case .discarded = bench.takeEvents().last else {
      Issue.record("an ACK of another dialog was taken")
      return
    }
    bench.receive(try makeRequest("ACK", branch: "z9hG4bKack", toTag: "local"))
    guard case .acknowledged(id, _) = bench.takeEvents().last else {
      Issue.record("ACK not taken")
      return
    }
    bench.receive(try makeRequest("ACK", branch: "z9hG4bKack", toTag: "local"))
    #expect(bench.takeEvents().isEmpty)
    bench.advance(.seconds(40))
    #expect(bench.takeSent().isEmpty)
    #expect(bench.isIdle)
  }

  @Test func missingACKIsTold() throws {
    var bench = LayerBench()
    bench.receive(try makeRequest("INVITE"))
    let id = try bench.takeRequest()
    try bench.respond(id, 200)
    bench.advance(.seconds(32))
    #expect(bench.takeSent().count == 11)
    guard case .unacknowledged(id) = bench.takeEvents().last else {
      Issue.record("not told")
      return
    }
    #expect(bench.isIdle)
  }

  @Test func refusalUntilItsACK() throws {
    var bench = LayerBench()
    bench.receive(try makeRequest("INVITE"))
    let id = try bench.takeRequest()
    try bench.respond(id, 486)
    bench.advance(.milliseconds(1600))
    #expect(bench.takeSent().map(\.status) == [486, 486, 486])
    bench.receive(try makeRequest("ACK", toTag: "local"))
    #expect(bench.takeEvents().isEmpty, "the ACK to a refusal is the layer's own")
    bench.advance(.seconds(5))
    #expect(bench.takeSent().isEmpty)
    #expect(bench.isIdle)
  }

  @Test func cancelIsAnsweredAndTold() throws {
    var bench = LayerBench()
    bench.receive(try makeRequest("INVITE"))
    let id = try bench.takeRequest()
    try bench.respond(id, 180)
    _ = bench.takeEvents()
    bench.receive(try makeRequest("CANCEL"))
    let sent = bench.takeSent()
    #expect(sent.map(\.status) == [200])
    #expect(sent[0].toTag == "local", "the tag of the INVITE's answers")
    guard case .cancelReceived(id, _) = bench.takeEvents().first else {
      Issue.record("not told")
      return
    }
    bench.receive(try makeRequest("CANCEL"))
    #expect(bench.takeSent() == sent)
    #expect(bench.takeEvents().isEmpty)
    try bench.respond(id, 487)
    bench.receive(try makeRequest("ACK", toTag: "local"))
    bench.advance(.seconds(32))
    #expect(bench.isIdle)
  }

  @Test func cancelThatComesTooLateOrForNothing() throws {
    var bench = LayerBench()
    bench.receive(try makeRequest("INVITE"))
    let id = try bench.takeRequest()
    try bench.respond(id, 200)
    _ = bench.takeEvents()
    bench.receive(try makeRequest("CANCEL"))
    #expect(bench.takeSent().map(\.status) == [200])
    #expect(bench.takeEvents().isEmpty)
    bench.receive(try makeRequest("CANCEL", branch: "z9hG4bKnone"))
    let refused = bench.takeSent()
    #expect(refused.map(\.status) == [481])
    #expect(refused[0].toTag != nil)
  }

  @Test func tooManyTransactionsGet503() throws {
    var bench = LayerBench(serverLimit: 3)
    for number in 0..<5 { bench.receive(try makeRequest("OPTIONS", branch: "z9hG4bK\(number)")) }
    let sent = bench.takeSent()
    #expect(sent.map(\.status) == [503, 503])
    #expect(sent.allSatisfy { $0.value(.retryAfter) != nil && $0.toTag != nil })
    #expect(bench.layer.serverCount == 3)
    bench.advance(.seconds(32))
    #expect(bench.isIdle, "what nobody answers is forgotten")
  }

  @Test func malformedRequestsAreRefusedWithoutState() throws {
    var bench = LayerBench()
    var request = try makeRequest("OPTIONS")
    request.remove(.cSeq)
    bench.receive(request)
    #expect(bench.takeSent().map(\.status) == [400])
    var ack = try makeRequest("ACK")
    ack.remove(.callID)
    bench.receive(ack)
    #expect(bench.takeSent().isEmpty)
    var viaLess = try makeRequest("OPTIONS")
    viaLess.remove(.via)
    bench.receive(viaLess)
    #expect(bench.takeSent().isEmpty)
    #expect(bench.isIdle)
  }

  @Test func oneFinalAnswer() throws {
    var bench = LayerBench()
    bench.receive(try makeRequest("BYE", toTag: "local"))
    let id = try bench.takeRequest()
    #expect(bench.layer.isPending(id))
    try bench.respond(id, 200)
    #expect(!bench.layer.isPending(id))
    try bench.respond(id, 500)
    #expect(bench.takeSent().map(\.status) == [200])
  }

  /// Two layers and a network that loses every third packet: calls are set up, acknowledged and ended, and nothing stays.
  @Test(arguments: 1...5) func twoLayersOverALossyLine(seed: UInt64) throws {
    var left = LayerBench()
    var right = LayerBench()
    left.random = RandomSource(seed: seed)
    let toRight = SIPPath(socket: 1, remote: Endpoint("192.0.2.2:5060")!)
    let toLeft = SIPPath(socket: 1, remote: Endpoint("203.0.113.5:65002")!)
    var losses = RandomSource(seed: seed)
    var accepted = 0
    var acknowledged = 0
    for number in 0..<20 {
      var invite = try outgoing(.invite)
      invite.set(.callID, "call-\(number)")
      let id = left.send(invite, path: toRight)
      for _ in 0..<10_000 {
        var moved = false
        for event in left.takeEvents() {
          switch event {
          case .send(let bytes, _):
            moved = true
            if losses.next() % 3 != 0 { right.receive(try SIPMessage(parsing: bytes.span), path: toLeft) }
          case .responseReceived(id, let response, _) where response.status == 200:
            accepted += 1
            var ack = try outgoing(.ack)
            ack.set(.callID, "call-\(number)")
            ack.set(.to, try #require(response.value(.to)))
            left.layer.acknowledge(
              id, ack, sentBy: "203.0.113.5:65002", path: toRight, now: left.now, random: &left.random,
              into: &left.events)
            moved = true
          default: break
          }
        }
        for event in right.takeEvents() {
          switch event {
          case .send(let bytes, _):
            moved = true
            if losses.next() % 3 != 0 { left.receive(try SIPMessage(parsing: bytes.span), path: toRight) }
          case .requestReceived(let id, _, _):
            try right.respond(id, 200)
            moved = true
          case .acknowledged: acknowledged += 1
          default: break
          }
        }
        if moved { continue }
        guard let next = [left.layer.nextDeadline, right.layer.nextDeadline].compactMap({ $0 }).min() else { break }
        left.now = next
        right.now = next
        left.layer.timerFired(now: next, into: &left.events)
        right.layer.timerFired(now: next, into: &right.events)
      }
      #expect(left.isIdle && right.isIdle)
    }
    #expect(accepted >= 19)
    #expect(acknowledged >= 19)
  }
}
