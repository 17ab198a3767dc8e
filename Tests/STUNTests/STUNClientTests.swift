import NetworkTypes
import STUN
import Testing

@Suite("STUN client: servers and answers")
struct STUNClientTests {
  typealias Desk = STUNClientDesk

  @Test("an answer from the server that was asked is the address; the question is over")
  func answered() throws {
    var desk = Desk([Desk.a])
    desk.ask()
    let request = try desk.request()
    #expect(request.to == Desk.a.endpoint)
    #expect(request.message.attributes.isEmpty)
    desk.receive(Desk.success(request.message), from: Desk.a.endpoint)
    #expect(desk.outcome() == .mapped(Desk.mapped, by: Desk.a))
    #expect(desk.client.nextDeadline == nil && !desk.client.isAsking)
  }

  @Test("a request leaves at 0, 0.5, 1.5, 3.5, 7.5, 15.5 and 31.5 s, and is given up at 39.5 s")
  func schedule() throws {
    var desk = Desk([Desk.a])
    let began = desk.now
    desk.ask()
    var times: [Int64] = []
    var ended: Int64?
    for _ in 0..<500 {
      for action in desk.take() {
        let time = (desk.now - began).nanoseconds / 1_000_000
        switch action {
        case .send: times.append(time)
        case .failed(let problems):
          #expect(problems == [.silent])
          ended = time
        default: Issue.record("\(action)")
        }
      }
      desk.pass(.milliseconds(100))
    }
    #expect(times == [0, 500, 1500, 3500, 7500, 15_500, 31_500])
    #expect(ended == 39_500)
  }

  @Test("forged: from elsewhere, with a guessed ID, as a request, late, twice; nothing moves")
  func forged() throws {
    var desk = Desk([Desk.a])
    desk.ask()
    let request = try desk.request()
    let forgery = Desk.success(request.message, Desk.forged)
    let asked = Desk.a.endpoint
    let elsewhere = [
      Endpoint(asked.address, port: 3479), Endpoint(Desk.b.endpoint.address, port: asked.port),
      Endpoint(.v6(0xffff_c000_0201), port: asked.port), Endpoint(.loopbackV4, port: asked.port),
    ]
    for source in elsewhere { desk.receive(forgery, from: source) }
    for bit in 0..<96 {
      var guessed = request.message
      guessed.transactionID ^= 1 << UInt128(bit)
      desk.receive(Desk.success(guessed, Desk.forged), from: asked)
    }
    var withoutCookie = request.message
    withoutCookie.hasMagicCookie = false
    desk.receive(Desk.success(withoutCookie, Desk.forged), from: asked)
    for messageClass in [STUNMessageClass.request, .indication] {
      desk.receive(Desk.reply(request.message, messageClass, [.xorMappedAddress(Desk.forged)]), from: asked)
    }
    #expect(desk.take().isEmpty)
    #expect(desk.client.isAsking)
    desk.receive(Desk.success(request.message), from: asked)
    #expect(desk.outcome() == .mapped(Desk.mapped, by: Desk.a))
    // Twice, and late: with the right ID from the right place, after it is over.
    desk.receive(forgery, from: asked)
    desk.pass(.seconds(60))
    desk.receive(forgery, from: asked)
    #expect(desk.take().isEmpty)
    // And into the next question, which has another ID.
    desk.ask()
    let next = try desk.request()
    #expect(next.message.transactionID != request.message.transactionID)
    desk.receive(forgery, from: asked)
    #expect(desk.take().isEmpty)
  }

  @Test("after the question has failed a late answer does nothing")
  func late() throws {
    var desk = Desk([Desk.a])
    desk.ask()
    let request = try desk.request()
    desk.pass(.seconds(40))
    #expect(desk.outcome() == .failed([.silent]))
    desk.receive(Desk.success(request.message), from: Desk.a.endpoint)
    #expect(desk.take().isEmpty)
  }

  @Test("transaction IDs differ in every question and every seed")
  func unpredictable() throws {
    var seen: Set<UInt128> = []
    for seed in 0..<50 as Range<UInt64> {
      var desk = Desk([Desk.a], seed: seed)
      for _ in 0..<20 {
        desk.ask()
        seen.insert(try desk.request().message.transactionID)
        desk.client.cancel(into: &desk.actions)
      }
    }
    #expect(seen.count == 1000)
  }

  @Test("the next server is asked after 3 s of silence, and the first one still counts")
  func fallBack() throws {
    var desk = Desk([Desk.a, Desk.b])
    desk.ask()
    let first = try desk.request()
    desk.pass(.milliseconds(2999))
    #expect(!desk.take().contains { if case .send(_, Desk.b.endpoint) = $0 { true } else { false } })
    desk.pass(.milliseconds(1))
    let second = try desk.request()
    #expect(second.to == Desk.b.endpoint)
    #expect(second.message.transactionID != first.message.transactionID)
    // The one's answer from the other's address counts for neither.
    desk.receive(Desk.success(first.message, Desk.forged), from: Desk.b.endpoint)
    desk.receive(Desk.success(second.message, Desk.forged), from: Desk.a.endpoint)
    #expect(desk.take().isEmpty)
    desk.receive(Desk.success(first.message), from: Desk.a.endpoint)
    #expect(desk.outcome() == .mapped(Desk.mapped, by: Desk.a))
    desk.receive(Desk.success(second.message, Desk.forged), from: Desk.b.endpoint)
    #expect(desk.take().isEmpty)
  }

  @Test("a server that refuses is passed at once; each one's problem is told")
  func refusals() throws {
    var desk = Desk([Desk.a, Desk.b, Desk.c])
    desk.ask()
    let first = try desk.request()
    desk.receive(Desk.refusal(first.message, 500), from: Desk.a.endpoint)
    let second = try desk.request()
    #expect(second.to == Desk.b.endpoint)
    let types = [STUNAttributeType(rawValue: 0x7fff)]
    desk.receive(Desk.refusal(second.message, 420, [.unknownAttributes(types)]), from: Desk.b.endpoint)
    let third = try desk.request()
    #expect(third.to == Desk.c.endpoint)
    desk.receive(Desk.refusal(third.message, 401, [.realm([65]), .nonce([66])]), from: Desk.c.endpoint)
    #expect(
      desk.outcome()
        == .failed([.refused(code: 500, reason: "x"), .notUnderstood(types), .credentialsNeeded]))
  }

  @Test("who answered is asked first; the first one has its chance again after 30 s")
  func firstAgain() throws {
    var desk = Desk([Desk.a, Desk.b])
    desk.ask()
    desk.pass(.seconds(3))
    var request = try desk.request()
    #expect(request.to == Desk.b.endpoint)
    desk.receive(Desk.success(request.message), from: Desk.b.endpoint)
    #expect(desk.outcome() == .mapped(Desk.mapped, by: Desk.b))
    desk.pass(.seconds(29))
    desk.ask()
    request = try desk.request()
    #expect(request.to == Desk.b.endpoint)
    desk.receive(Desk.success(request.message), from: Desk.b.endpoint)
    desk.pass(.seconds(1))
    desk.ask()
    request = try desk.request()
    #expect(request.to == Desk.a.endpoint)
    // Still dead: the second is there three seconds later.
    desk.pass(.seconds(3))
    request = try desk.request()
    #expect(request.to == Desk.b.endpoint)
  }

  @Test("servers of RFC 3489 give MAPPED-ADDRESS, those of its drafts a masked one by another number")
  func classic() throws {
    let classic: [[STUNAttribute]] = [
      [.mappedAddress(Desk.mapped), .sourceAddress(Desk.a.endpoint), .changedAddress(Desk.b.endpoint)],
      [.mappedAddress(Desk.forged), .draftXORMappedAddress(Desk.mapped)],
    ]
    for attributes in classic {
      var desk = Desk([Desk.a])
      desk.ask()
      let request = try desk.request()
      desk.receive(Desk.reply(request.message, .success, attributes), from: Desk.a.endpoint)
      #expect(desk.outcome() == .mapped(Desk.mapped, by: Desk.a))
    }
  }

  @Test("IPv6, and an answer of the other family is none")
  func families() throws {
    let server = STUNTarget(Endpoint(.v6(0x2001_0db8 << 96 | 1), port: 3478))
    let mapped = Endpoint(.v6(0x2001_0db8 << 96 | 0xffff), port: 65_002)
    var desk = Desk([server])
    desk.ask()
    var request = try desk.request()
    desk.receive(Desk.success(request.message, mapped), from: server.endpoint)
    #expect(desk.outcome() == .mapped(mapped, by: server))
    desk.ask()
    request = try desk.request()
    desk.receive(Desk.success(request.message), from: server.endpoint)
    guard case .failed(let problems)? = desk.outcome(), case .refused(0, _)? = problems.first else {
      Issue.record("an IPv4 address was believed")
      return
    }
  }

  @Test("an address that nobody can have is no answer", arguments: ["0.0.0.0:1", "203.0.113.1:0", "224.0.0.1:5"])
  func impossible(_ text: String) throws {
    var desk = Desk([Desk.a])
    desk.ask()
    let request = try desk.request()
    desk.receive(Desk.success(request.message, try #require(Endpoint(text))), from: Desk.a.endpoint)
    guard case .failed? = desk.outcome() else {
      Issue.record("\(text) was believed")
      return
    }
  }

  @Test("no server at all fails at once, and asking twice is asking once")
  func none() throws {
    var desk = Desk([])
    desk.ask()
    #expect(desk.outcome() == .failed([]))
    var two = Desk([Desk.a, Desk.a])
    #expect(two.client.servers.count == 1)
    two.ask()
    two.ask()
    #expect(two.take().count == 1)
  }

  @Test("every problem is one sentence, with nothing of the network in it that could hurt a terminal")
  func sentences() {
    let problems: [STUNClientProblem] = [
      .silent, .connection("Connection refused"), .notSTUN, .credentialsNeeded, .credentialsRefused,
      .integrityViolated, .unusableDemand("x"), .notUnderstood([.realm]), .unusableRedirect("x"),
      .refused(code: 0, reason: "\u{1b}[2J"), .refused(code: 500, reason: "Server\nError"),
    ]
    for problem in problems {
      let sentence = problem.sentence(about: STUNTarget(Desk.a.endpoint, domain: "stun.example.org"))
      #expect(sentence.hasSuffix(".") && sentence.contains("stun.example.org"))
      #expect(!sentence.unicodeScalars.contains { $0.value < 32 })
    }
  }
}
