import NetworkTypes
import SIPSyntax
import SIPTransaction
import Testing

/// One layer with a clock of its own and everything it said.
struct LayerBench {
  static let path = SIPPath(socket: 1, remote: Endpoint("192.0.2.1:5060")!)
  var layer: TransactionLayer
  var random = RandomSource(seed: 1)
  var now = MonotonicInstant(nanoseconds: 0)
  var events: [TransactionEvent] = []

  init(serverLimit: Int = 20_000) { layer = TransactionLayer(serverLimit: serverLimit) }

  /// What was sent since the last call, read again.
  mutating func takeSent() -> [SIPMessage] {
    var sent: [SIPMessage] = []
    events.removeAll { event in
      guard case .send(let bytes, _) = event else { return false }
      if let message = try? SIPMessage(parsing: bytes.span) { sent.append(message) }
      return true
    }
    return sent
  }

  mutating func takeEvents() -> [TransactionEvent] {
    defer { events = [] }
    return events
  }

  mutating func receive(_ message: SIPMessage, path: SIPPath = path) {
    layer.messageReceived(message, path: path, now: now, into: &events)
  }

  mutating func send(_ request: SIPMessage, path: SIPPath = path) -> ClientTransactionID {
    layer.send(request, sentBy: "203.0.113.5:65002", path: path, now: now, random: &random, into: &events)
  }

  mutating func respond(_ id: ServerTransactionID, _ status: Int, tag: String = "local") throws {
    let found = layer.request(of: id)
    let request = try #require(found)
    layer.respond(id, SIPMessage(responding: request, status: status, toTag: tag), now: now, into: &events)
  }

  /// Lets time pass, a deadline at a time.
  mutating func advance(_ duration: Duration) {
    let end = now + duration
    while let deadline = layer.nextDeadline, deadline <= end {
      now = max(now, deadline)
      layer.timerFired(now: now, into: &events)
    }
    now = end
  }

  /// The one transaction that was reported as new.
  mutating func takeRequest() throws -> ServerTransactionID {
    var found: ServerTransactionID?
    events.removeAll { event in
      guard case .requestReceived(let id, _, _) = event else { return false }
      found = id
      return true
    }
    return try #require(found)
  }

  var isIdle: Bool {
    layer.clientCount == 0 && layer.serverCount == 0 && layer.timerCount == 0 && layer.nextDeadline == nil
  }
}

func message(_ lines: String...) throws -> SIPMessage {
  let bytes = Array((lines.joined(separator: "\r\n") + "\r\nContent-Length: 0\r\n\r\n").utf8)
  return try SIPMessage(parsing: bytes.span)
}

func makeRequest(
  _ method: String, branch: String = "z9hG4bKabc", sequence: Int = 1, cSeqMethod: String? = nil, toTag: String? = nil,
  via: String? = nil, uri: String = "sip:20@office.example", callID: String = "call-1"
) throws -> SIPMessage {
  try message(
    "\(method) \(uri) SIP/2.0", "Via: \(via ?? "SIP/2.0/UDP 192.0.2.1:5060;branch=\(branch)")", "Max-Forwards: 70",
    "From: <sip:10@office.example>;tag=remote", "To: <sip:20@office.example>\(toTag.map { ";tag=\($0)" } ?? "")",
    "Call-ID: \(callID)", "CSeq: \(sequence) \(cSeqMethod ?? method)", "Contact: <sip:10@192.0.2.1:5060>")
}

func outgoing(_ method: SIPMethod) throws -> SIPMessage {
  var request = SIPMessage(method: method, requestURI: try SIPURI(parsing: "sip:+4930123@example.org"))
  request.set(.maxForwards, "70")
  request.set(.from, "<sip:us@example.org>;tag=us")
  request.set(.to, "<sip:+4930123@example.org>")
  request.set(.callID, "out-1")
  request.set(.cSeq, "7 \(method.name)")
  request.set(.route, "<sip:proxy.example.org;lr>")
  request.set(.contact, "<sip:us@203.0.113.5:65002>")
  return request
}

func answer(_ request: SIPMessage, _ status: Int, tag: String = "them") -> SIPMessage {
  var response = SIPMessage(responding: request, status: status, toTag: tag)
  if status >= 200 && status < 300 { response.set(.contact, "<sip:them@192.0.2.1>") }
  return response
}

@Suite struct ClientLayerTests {
  @Test func addsViaAndMatchesTheAnswer() throws {
    var bench = LayerBench()
    let id = bench.send(try outgoing(.options))
    let sent = try #require(bench.takeSent().first)
    let via = try sent.topVia()
    #expect(via.host == "203.0.113.5" && via.port == 65002 && via.hasRport && via.transport == "UDP")
    let branch = try #require(via.branch)
    #expect(branch.hasPrefix("z9hG4bK") && branch.utf8.count == 7 + 32)
    #expect(bench.layer.isPending(id))
    bench.receive(answer(sent, 200))
    guard case .responseReceived(id, let response, LayerBench.path) = bench.takeEvents().first else {
      Issue.record("no response")
      return
    }
    #expect(response.status == 200)
    #expect(!bench.layer.isPending(id))
    bench.receive(answer(sent, 200))
    #expect(bench.takeEvents().isEmpty, "absorbed")
    bench.advance(.seconds(5))
    #expect(bench.isIdle)
    bench.receive(answer(sent, 200))
    guard case .strayResponse = bench.takeEvents().first else {
      Issue.record("a late response is a stray one")
      return
    }
  }

  @Test func repeatsARequestAndTimesOut() throws {
    var bench = LayerBench()
    let id = bench.send(try outgoing(.register))
    bench.advance(.seconds(32))
    // At 0, 0.5, 1.5, 3.5 and then every 4 s up to 31.5: RFC 3261 §17.1.2.1 counts eleven.
    #expect(bench.takeSent().count == 11)
    guard case .timedOut(id) = bench.takeEvents().first else {
      Issue.record("no timeout")
      return
    }
    #expect(bench.isIdle)
  }

  @Test func repeatsAnInviteSevenTimes() throws {
    var bench = LayerBench()
    let id = bench.send(try outgoing(.invite))
    bench.advance(.seconds(32))
    #expect(bench.takeSent().count == 7)
    guard case .timedOut(id) = bench.takeEvents().first else {
      Issue.record("no timeout")
      return
    }
    bench.advance(.seconds(32))
    #expect(bench.isIdle)
  }

  @Test func reliablePathSendsOnce() throws {
    var bench = LayerBench()
    var path = LayerBench.path
    path.isReliable = true
    _ = bench.send(try outgoing(.register), path: path)
    bench.advance(.seconds(31))
    let sent = bench.takeSent()
    #expect(sent.count == 1)
    #expect(try sent[0].topVia().transport == "TCP")
    bench.receive(answer(sent[0], 200), path: path)
    #expect(bench.isIdle, "nothing lingers on a stream")
  }

  @Test func acknowledgesARefusalByItself() throws {
    var bench = LayerBench()
    let id = bench.send(try outgoing(.invite))
    let invite = try #require(bench.takeSent().first)
    bench.receive(answer(invite, 486))
    let ack = try #require(bench.takeSent().first)
    #expect(ack.method == .ack)
    #expect(ack.requestURIText == invite.requestURIText)
    #expect(ack.values(.via) == invite.values(.via))
    #expect(ack.toTag == "them")
    #expect(try ack.cSeq() == CSeq(number: 7, method: .ack))
    #expect(ack.values(.route) == invite.values(.route))
    #expect(ack.problem() == nil)
    #expect(bench.takeEvents().count == 1)
    bench.receive(answer(invite, 486))
    #expect(bench.takeSent().map(\.method) == [.ack])
    #expect(bench.takeEvents().isEmpty)
    _ = id
    bench.advance(.seconds(32))
    #expect(bench.isIdle)
  }

  @Test func leavesTheACKToA2xxToTheUserAndRepeatsIt() throws {
    var bench = LayerBench()
    let id = bench.send(try outgoing(.invite))
    let invite = try #require(bench.takeSent().first)
    bench.receive(answer(invite, 200))
    #expect(bench.takeSent().isEmpty)
    #expect(bench.takeEvents().count == 1)
    bench.receive(answer(invite, 200))
    #expect(bench.takeSent().isEmpty, "there is no ACK yet")
    var ack = try outgoing(.ack)
    ack.set(.to, "<sip:+4930123@example.org>;tag=them")
    bench.layer.acknowledge(
      id, ack, sentBy: "203.0.113.5:65002", path: LayerBench.path, now: bench.now, random: &bench.random,
      into: &bench.events)
    let first = bench.takeSent()
    #expect(first.map(\.method) == [.ack])
    #expect(try first[0].topVia().branch != invite.topVia().branch)
    bench.receive(answer(invite, 200))
    #expect(bench.takeSent() == first)
    #expect(bench.takeEvents().isEmpty)
    bench.receive(answer(invite, 200, tag: "fork"))
    #expect(bench.takeEvents().count == 1, "another fork's 2xx is told once")
    bench.receive(answer(invite, 200, tag: "fork"))
    #expect(bench.takeEvents().isEmpty)
    for fork in 0..<40 { bench.receive(answer(invite, 200, tag: "f\(fork)")) }
    #expect(bench.takeEvents().count { if case .responseReceived = $0 { true } else { false } } == 14)
    bench.advance(.seconds(32))
    #expect(bench.isIdle)
  }

  @Test func cancelBeforeAndAfterProvisional() throws {
    var bench = LayerBench()
    let id = bench.send(try outgoing(.invite))
    let invite = try #require(bench.takeSent().first)
    bench.layer.cancel(id, now: bench.now, into: &bench.events)
    #expect(bench.takeSent().isEmpty)
    bench.receive(answer(invite, 180))
    let cancel = try #require(bench.takeSent().first)
    #expect(cancel.method == .cancel)
    #expect(cancel.values(.via) == invite.values(.via))
    #expect(try cancel.cSeq() == CSeq(number: 7, method: .cancel))
    #expect(cancel.toTag == nil && cancel.fromTag == "us")
    #expect(cancel.problem() == nil)
    _ = bench.takeEvents()
    bench.receive(answer(cancel, 200))
    #expect(bench.takeEvents().isEmpty, "the answer to CANCEL is the layer's own")
    bench.receive(answer(invite, 487))
    #expect(bench.takeSent().map(\.method) == [.ack])
    guard case .responseReceived(id, let response, _) = bench.takeEvents().first else {
      Issue.record("no 487")
      return
    }
    #expect(response.status == 487)
    bench.advance(.seconds(32))
    #expect(bench.isIdle)
  }

  @Test func cancelThatCrosses200() throws {
    var bench = LayerBench()
    let id = bench.send(try outgoing(.invite))
    let invite = try #require(bench.takeSent().first)
    bench.receive(answer(invite, 180))
    bench.layer.cancel(id, now: bench.now, into: &bench.events)
    _ = bench.takeEvents()
    bench.receive(answer(invite, 200))
    guard case .responseReceived(id, let response, _) = bench.takeEvents().first else {
      Issue.record("no 200")
      return
    }
    #expect(response.status == 200)
    bench.advance(.seconds(64))
    #expect(bench.isIdle)
  }

  @Test func cancelThatNobodyAnswers() throws {
    var bench = LayerBench()
    let id = bench.send(try outgoing(.invite))
    let invite = try #require(bench.takeSent().first)
    bench.receive(answer(invite, 180))
    bench.layer.cancel(id, now: bench.now, into: &bench.events)
    _ = bench.takeEvents()
    bench.advance(.seconds(32))
    let told = bench.takeEvents().filter { if case .send = $0 { false } else { true } }
    guard told.count == 1, case .timedOut(id) = told[0] else {
      Issue.record("expected one timeout, got \(told)")
      return
    }
    #expect(bench.isIdle)
  }

  @Test func forgottenTransactionsAreSilent() throws {
    var bench = LayerBench()
    let register = bench.send(try outgoing(.register))
    let invite = bench.send(try outgoing(.invite))
    let sent = bench.takeSent()
    bench.layer.forget(register)
    bench.layer.forget(invite)
    bench.advance(.seconds(2))
    #expect(bench.takeSent().isEmpty, "nothing is repeated")
    bench.receive(answer(sent[1], 486))
    #expect(bench.takeSent().map(\.method) == [.ack])
    #expect(bench.takeEvents().isEmpty)
    bench.advance(.seconds(32))
    #expect(bench.isIdle)
  }

  @Test func malformedResponsesAreDropped() throws {
    var bench = LayerBench()
    _ = bench.send(try outgoing(.options))
    var response = answer(try #require(bench.takeSent().first), 200)
    response.remove(.callID)
    bench.receive(response)
    guard case .discarded = bench.takeEvents().first else {
      Issue.record("taken")
      return
    }
  }
}
