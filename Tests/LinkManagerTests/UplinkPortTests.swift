import LinkManager
import NetworkTypes
import STUN
import Testing

/// The STUN side of an uplink socket, driven by hand.
@Suite struct UplinkPortTests {
  static let first = Endpoint(.v4(0xc000_0201), port: 3478)
  static let second = Endpoint(.v4(0xc000_0202), port: 10000)
  static let home = Endpoint(.v4(0xcb00_710a), port: 65002)
  static let moved = Endpoint(.v4(0xcb00_714d), port: 65002)
  static let elsewhere = Endpoint(.v4(0xc000_0263), port: 1234)

  /// A port with its network: requests that left, and the answers a server would give.
  struct Bench {
    var port = UplinkPort(keepalive: .seconds(10))
    var random = RandomSource(seed: 7)
    var now = MonotonicInstant(nanoseconds: 0)
    var sent: [(at: Double, id: UInt128, server: Endpoint)] = []
    var others: [UplinkPort.Action] = []

    init(servers: [Endpoint] = [first]) {
      var actions: [UplinkPort.Action] = []
      port.serversChanged(servers, now: now, random: &random, into: &actions)
      take(actions)
    }

    mutating func take(_ actions: [UplinkPort.Action]) {
      for action in actions {
        if case .send(let bytes, let server) = action, let message = try? STUNMessage(decoding: bytes.span) {
          sent.append((Double(now.nanoseconds) / 1e9, message.transactionID, server))
        } else {
          others.append(action)
        }
      }
    }

    /// Runs for so many seconds; servers in `answering` answer at once that our packets come from `seen`.
    mutating func run(_ seconds: Double, answering: [Endpoint] = [], seen: Endpoint = home) {
      run(seconds) { answering.contains($0.server) ? seen : nil }
    }

    /// Runs for so many seconds; each request is answered at once by what `answer` says, where it says something.
    mutating func run(_ seconds: Double, _ seen: ((at: Double, id: UInt128, server: Endpoint)) -> Endpoint?) {
      let end = now + .nanoseconds(Int64(seconds * 1e9))
      var answered = sent.count
      while true {
        while answered < sent.count {
          let request = sent[answered]
          answered += 1
          if let seen = seen(request) { answer(request.id, from: request.server, seen: seen) }
        }
        guard let deadline = port.nextDeadline, deadline <= end else { break }
        now = max(now, deadline)
        var actions: [UplinkPort.Action] = []
        port.timerFired(now: now, random: &random, into: &actions)
        take(actions)
      }
      now = end
    }

    @discardableResult mutating func answer(_ id: UInt128, from: Endpoint, seen: Endpoint) -> Bool {
      let message = STUNMessage(
        messageClass: .success, method: .binding, transactionID: id, attributes: [.xorMappedAddress(seen)])
      var actions: [UplinkPort.Action] = []
      let isOurs = port.answerReceived(message, from: from, now: now, random: &random, into: &actions)
      take(actions)
      return isOurs
    }
  }

  @Test func theFirstAnswerIsBelievedAndTheNextRequestWaitsForTheKeepalive() {
    var bench = Bench()
    bench.answer(bench.sent[0].id, from: Self.first, seen: Self.home)
    #expect(bench.others == [.mapped(Self.home, before: nil)])
    bench.run(100, answering: [Self.first])
    let gaps = zip(bench.sent.dropFirst(), bench.sent).map { $0.at - $1.at }
    #expect(gaps.count >= 9)
    #expect(gaps.allSatisfy { $0 <= 10 && $0 >= 9 })
  }

  @Test func otherPacketsPutTheKeepaliveOff() {
    var bench = Bench()
    bench.run(0, answering: [Self.first])
    bench.answer(bench.sent[0].id, from: Self.first, seen: Self.home)
    for _ in 0..<20 {
      bench.port.otherPacketSent(now: bench.now)
      bench.run(4, answering: [Self.first])
    }
    #expect(bench.sent.count == 1)
    bench.run(10, answering: [Self.first])
    #expect(bench.sent.count == 2)
  }

  @Test func forgedAnswersMoveNothing() {
    var bench = Bench()
    let id = bench.sent[0].id
    let verdicts = [
      bench.answer(id, from: Self.second, seen: Self.moved),  // from elsewhere
      bench.answer(id, from: Endpoint(Self.first.address, port: 3479), seen: Self.moved),  // from another port
      bench.answer(id &+ 1, from: Self.first, seen: Self.moved),  // with a guessed ID
      bench.answer(id, from: Self.first, seen: Self.home),
      bench.answer(id, from: Self.first, seen: Self.moved),  // a second time
    ]
    #expect(verdicts == [false, false, false, true, false])
    #expect(bench.port.mapping == Self.home)
  }

  @Test func aChangeIsBelievedWhenASecondAnswerAgrees() {
    var bench = Bench()
    bench.answer(bench.sent[0].id, from: Self.first, seen: Self.home)
    bench.run(10)
    let before = bench.sent.count
    bench.answer(bench.sent[before - 1].id, from: Self.first, seen: Self.moved)
    #expect(bench.port.mapping == Self.home, "one odd answer moves nothing")
    #expect(bench.sent.count == before + 1, "it is asked again at once")
    bench.answer(bench.sent[before].id, from: Self.first, seen: Self.home)
    #expect(bench.port.mapping == Self.home)
    bench.run(20, answering: [Self.first], seen: Self.moved)
    #expect(bench.others.last == .mapped(Self.moved, before: Self.home))
  }

  @Test func anUnansweredRequestIsFollowedByProbesEvery250msAndTheNextServer() {
    var bench = Bench(servers: [Self.first, Self.second])
    bench.run(0.4)
    #expect(bench.sent.count == 1)
    bench.run(5)
    let gaps = zip(bench.sent.dropFirst(2), bench.sent.dropFirst()).map { $0.at - $1.at }
    #expect(gaps.allSatisfy { abs($0 - 0.25) < 0.001 })
    let change = bench.sent.first { $0.server == Self.second }
    #expect(change.map { (3.0...3.5).contains($0.at) } ?? false)
    #expect(!bench.others.contains(.serversSilent), "the second has not been silent long enough")
    bench.run(2)
    #expect(bench.others == [.lineLost(MonotonicInstant(nanoseconds: 500_000_000)), .serversSilent])
    bench.run(90)
    let late = bench.sent.filter { $0.at > 62 }
    #expect(zip(late.dropFirst(), late).allSatisfy { abs($0.at - $1.at - 1) < 0.001 }, "after a minute, every second")
    bench.run(1.1, answering: [Self.second])
    bench.run(3, answering: [Self.second])
    #expect(bench.others.contains(.serversBack))
    #expect(bench.port.mapping == Self.home)
  }

  /// A provider answered shortly before the cut: that says nothing of the line when the servers have been silent since.
  @Test func aProofFromBeforeTheCutStopsNoProbes() {
    var bench = Bench()
    bench.run(9, answering: [Self.first])
    var actions: [UplinkPort.Action] = []
    bench.port.lineProven(now: bench.now, into: &actions)
    bench.run(6)
    #expect(bench.others.contains(.serversSilent))
    let before = bench.sent.count
    bench.run(2)
    #expect(bench.sent.count == before + 8, "every 250 ms still")
    bench.run(0.5, answering: [Self.first], seen: Self.moved)
    #expect(bench.port.mapping == Self.moved)
  }

  /// After a long outage the provider may be the first to be heard, and need not say what it saw.
  @Test func aProviderThatIsHeardFirstDoesNotEndTheProbing() {
    var bench = Bench()
    bench.run(15, answering: [Self.first])
    bench.run(60)
    #expect(bench.port.isSilent)
    var actions: [UplinkPort.Action] = []
    bench.port.lineProven(now: bench.now, into: &actions)
    bench.run(1.2, answering: [Self.first], seen: Self.moved)
    #expect(bench.port.mapping == Self.moved)
  }

  @Test func withTheLineProvenDeadServersAreAskedNoMoreThanAKeepaliveNeeds() {
    var bench = Bench(servers: [Self.first, Self.second])
    bench.run(10)
    for _ in 0..<10 {
      var actions: [UplinkPort.Action] = []
      bench.port.lineProven(now: bench.now, into: &actions)
      bench.run(30)
    }
    let late = bench.sent.filter { $0.at > 20 }
    #expect(zip(late.dropFirst(), late).allSatisfy { (9...10).contains($0.at - $1.at) })
    #expect(Set(late.map(\.server)).count == 2, "each in turn")
  }

  @Test func whatAProviderSawCountsOnlyWhileSTUNIsSilent() {
    var bench = Bench()
    var actions: [UplinkPort.Action] = []
    bench.port.observed(Self.moved, now: bench.now, random: &bench.random, into: &actions)
    #expect(actions.isEmpty)
    bench.run(10)
    bench.port.observed(Self.moved, now: bench.now, random: &bench.random, into: &actions)
    #expect(actions == [.mapped(Self.moved, before: nil)])
  }

  @Test func theFirstServerIsTriedAgain() {
    var bench = Bench(servers: [Self.first, Self.second])
    bench.run(20, answering: [Self.second])
    #expect(bench.port.currentServer == Self.second)
    bench.run(60, answering: [Self.first, Self.second])
    #expect(bench.port.currentServer == Self.first)
  }

  @Test func aSecondServerThatSeesAnotherAddressIsAFinding() {
    var bench = Bench(servers: [Self.first, Self.second])
    bench.run(20, answering: [Self.second])
    #expect(bench.port.mapping == Self.home)
    // The first server lives again, and lies.
    bench.run(120) { request in request.server == Self.first ? Self.moved : Self.home }
    #expect(bench.port.mapping == Self.home)
    #expect(bench.others.count { if case .disagreed = $0 { true } else { false } } == 1)
    #expect(!bench.others.contains(.mapped(Self.moved, before: Self.home)))
  }

  @Test func aServerThatEverybodyContradictsIsReplaced() {
    var bench = Bench(servers: [Self.first, Self.second])
    let lie = { (request: (at: Double, id: UInt128, server: Endpoint)) -> Endpoint? in
      request.server == Self.first ? Self.moved : Self.home
    }
    bench.run(20, lie)
    #expect(bench.port.mapping == Self.moved, "nobody has said anything else")
    var actions: [UplinkPort.Action] = []
    bench.port.distrust(Self.first, now: bench.now, random: &bench.random, into: &actions)
    bench.take(actions)
    bench.run(300, lie)
    #expect(bench.port.mapping == Self.home)
    #expect(bench.port.currentServer == Self.second)
    let mapped = bench.others.filter { if case .mapped = $0 { true } else { false } }
    #expect(mapped == [.mapped(Self.moved, before: nil), .mapped(Self.home, before: Self.moved)])
    // Where there is no other, what it says is better than nothing.
    var alone = Bench()
    alone.run(20, lie)
    actions = []
    alone.port.distrust(Self.first, now: alone.now, random: &alone.random, into: &actions)
    alone.run(60, lie)
    #expect(actions.isEmpty && alone.port.mapping == Self.moved)
  }

  @Test func whoOnlyContradictedALiarIsBelievedInItsPlace() {
    var bench = Bench(servers: [Self.first, Self.second])
    bench.run(20) { request in request.server == Self.second ? Self.moved : nil }
    #expect(bench.port.mapping == Self.moved, "nobody has said anything else")
    let lie = { (request: (at: Double, id: UInt128, server: Endpoint)) -> Endpoint? in
      request.server == Self.second ? Self.moved : Self.home
    }
    bench.run(60, lie)
    #expect(bench.port.mapping == Self.moved, "one against one moves nothing")
    var actions: [UplinkPort.Action] = []
    bench.port.distrust(Self.second, now: bench.now, random: &bench.random, into: &actions)
    bench.take(actions)
    #expect(bench.port.currentServer == Self.first)
    bench.run(1, lie)
    #expect(bench.port.mapping == Self.home)
    bench.run(300, lie)
    #expect(bench.port.mapping == Self.home)
    #expect(bench.port.currentServer == Self.first)
  }

  /// Whoever is asked when the line returns is heard first, and the other one has a moment to say what it sees.
  @Test(arguments: 4...16) func aLiarThatIsHeardFirstWhenTheLineReturnsIsNotBelieved(seconds: Int) {
    var bench = Bench(servers: [Self.first, Self.second])
    bench.run(20, answering: [Self.first])
    bench.run(Double(seconds)) { _ in nil }
    bench.run(60) { request in request.server == Self.second ? Self.elsewhere : Self.moved }
    let mapped = bench.others.filter { if case .mapped = $0 { true } else { false } }
    #expect(mapped == [.mapped(Self.home, before: nil), .mapped(Self.moved, before: Self.home)])
    #expect(bench.port.currentServer == Self.first)
  }

  /// A provider has shown the address, since no server answered; and now all of them see others, and never the same twice.
  @Test(arguments: [false, true]) func serversThatContradictEachOtherAreNotAskedWithoutEnd(isSymmetric: Bool) {
    var bench = Bench(servers: [Self.first, Self.second])
    bench.run(20, answering: [Self.first])
    bench.run(10) { _ in nil }
    var actions: [UplinkPort.Action] = []
    bench.port.observed(Self.home, now: bench.now, random: &bench.random, into: &actions)
    bench.port.observed(Endpoint(Self.home.address, port: 1), now: bench.now, random: &bench.random, into: &actions)
    bench.take(actions)
    let count = bench.sent.count
    var port: UInt16 = 2000
    bench.run(60) { request in
      port += 1
      if isSymmetric { return Endpoint(Self.moved.address, port: request.server == Self.first ? 5001 : 5002) }
      return Endpoint(request.server == Self.first ? Self.moved.address : Self.elsewhere.address, port: port)
    }
    #expect(bench.sent.count - count < 80)
    if isSymmetric { #expect(bench.port.mapping?.address == Self.moved.address) }
  }

  /// The servers are taken out of the configuration while answers of theirs are on their way.
  @Test func answersOfServersThatAreGoneAreMet() {
    var bench = Bench(servers: [Self.first, Self.second])
    bench.run(20, answering: [Self.first])
    var actions: [UplinkPort.Action] = []
    bench.port.changeAnnounced(now: bench.now, random: &bench.random, into: &actions)
    bench.port.changeAnnounced(now: bench.now, random: &bench.random, into: &actions)
    bench.take(actions)
    let open = bench.sent.suffix(2)
    actions = []
    bench.port.serversChanged([], now: bench.now, random: &bench.random, into: &actions)
    for request in open { bench.answer(request.id, from: request.server, seen: Self.moved) }
    #expect(bench.port.currentServer == nil)
  }

  @Test func restingPortsAreSilentAndWakeWithNothingKnown() {
    var bench = Bench()
    bench.run(5, answering: [Self.first])
    bench.port.rest()
    let count = bench.sent.count
    bench.run(200)
    bench.port.otherPacketSent(now: bench.now)
    bench.run(200)
    #expect(bench.sent.count == count)
    #expect(bench.port.nextDeadline == nil)
    var actions: [UplinkPort.Action] = []
    bench.port.wake(patiently: true, now: bench.now, random: &bench.random, into: &actions)
    bench.take(actions)
    bench.run(10)
    let gaps = zip(bench.sent.dropFirst(count + 2), bench.sent.dropFirst(count + 1)).map { $0.at - $1.at }
    #expect(gaps.allSatisfy { $0 >= 0.999 }, "once a second, \(gaps)")
    bench.run(2, answering: [Self.first], seen: Self.moved)
    #expect(bench.port.mapping == Self.moved)
  }

  @Test func aProvidersOtherViewIsLookedIntoOnce() {
    var bench = Bench()
    bench.run(5, answering: [Self.first])
    let before = bench.sent.count
    for _ in 0..<5 {
      var actions: [UplinkPort.Action] = []
      bench.port.observed(Self.moved, now: bench.now, random: &bench.random, into: &actions)
      bench.take(actions)
      bench.run(0.2, answering: [Self.first])
    }
    #expect(bench.sent.count == before + 2, "one look, and its repetition")
    #expect(bench.port.mapping == Self.home, "the servers know better")
  }
}
