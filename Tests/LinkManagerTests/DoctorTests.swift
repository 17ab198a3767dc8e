import Foundation
import LinkManager
import MediaRelay
import NetworkTypes
import SIPSyntax
import Testing

/// The doctor's questions and what it makes of the answers, one by one.
@Suite struct DoctorTests {
  static let number = "+492111000"

  static func begin(
    calls: Bool = false, _ change: @escaping (inout LinkConfiguration) -> Void = { _ in }
  ) -> LinkBench {
    let bench = LinkBench(change)
    bench.step { core, now, actions in
      let isBegun = core.examine(DoctorRequest(calls: calls), now: now, into: &actions)
      #expect(isBegun)
    }
    return bench
  }

  static func finding(_ bench: LinkBench, _ need: DoctorFinding.Need) throws -> DoctorFinding {
    try #require(bench.reports.last?.findings.first { $0.need == need })
  }

  // MARK: Answers

  @Test func anAnswerProvesAndNothingElseOfTheLinkSeesIt() throws {
    let bench = Self.begin()
    let options = try #require(bench.next(LinkBench.provider, "OPTIONS"))
    bench.answer(options, 200, from: LinkBench.provider)
    let long = try #require(bench.next(LinkBench.provider, "OPTIONS"))
    #expect(long.serialized().count == 1600)
    bench.answer(long, 200, from: LinkBench.provider)
    bench.wait(.seconds(1))
    #expect(try Self.finding(bench, .sip).result == .proven)
    #expect(try Self.finding(bench, .fragments).result == .proven)
    #expect(bench.core.metrics(now: bench.now).transactions == 0)
    // A trunk that is known by its address registers nothing.
    #expect(bench.reports.last?.findings.contains { $0.need == .registration } == false)
    #expect(bench.left(LinkBench.provider).isEmpty)
  }

  @Test func whatSomebodyElseSendsIsNoAnswer() throws {
    let bench = Self.begin()
    let options = try #require(bench.next(LinkBench.provider, "OPTIONS"))
    bench.answer(options, 200, from: endpoint("203.0.113.66:5060"))
    bench.answer(options, 100, from: LinkBench.provider)
    bench.wait(.seconds(6))
    let sip = try Self.finding(bench, .sip)
    #expect(sip.result == .refuted && sip.evidence.contains("4 requests"), "\(sip)")
    #expect(sip.nextStep?.contains("check the line") == true)
    // The first and three repetitions.
    #expect(bench.left(LinkBench.provider) == ["OPTIONS", "OPTIONS", "OPTIONS"])
  }

  @Test func aLongMessageThatIsLostIsToldFromASilentProvider() throws {
    let bench = Self.begin()
    let options = try #require(bench.next(LinkBench.provider, "OPTIONS"))
    bench.answer(options, 404, from: LinkBench.provider)
    bench.wait(.seconds(15))
    #expect(try Self.finding(bench, .sip).result == .proven)
    let fragments = try Self.finding(bench, .fragments)
    #expect(fragments.result == .refuted && fragments.nextStep?.contains("MTU") == true)
  }

  @Test func theClockIsComparedWithDate() throws {
    for (date, result) in [
      ("Thu, 01 Jan 1970 00:00:59 GMT", DoctorFinding.Result.proven), ("Thu, 01 Jan 1970 00:01:02 GMT", .refuted),
      ("yesterday", .unprovable),
    ] {
      let bench = Self.begin()
      let options = try #require(bench.next(LinkBench.provider, "OPTIONS"))
      bench.answer(options, 200, from: LinkBench.provider) { $0.set(.date, date) }
      bench.wait(.seconds(15))
      #expect(try Self.finding(bench, .clock).result == result, "\(date)")
    }
  }

  @Test func withoutServersSTUNCannotBeProven() throws {
    let bench = Self.begin()
    bench.wait(.seconds(15))
    #expect(try Self.finding(bench, .stun).result == .unprovable)
    #expect(try Self.finding(bench, .forward).result == .unprovable)
    #expect(try Self.finding(bench, .media).result == .unprovable)
    #expect(bench.mediaPorts.isEmpty)
  }

  @Test func mediaPortsThatNobodyGetsAreNamed() throws {
    let bench = LinkBench()
    bench.refusesMedia = true
    bench.step { _ = $0.examine(DoctorRequest(), now: $1, into: &$2) }
    bench.wait(.seconds(15))
    let media = try Self.finding(bench, .media)
    #expect(media.result == .refuted && media.evidence.contains("in use"), "\(media)")
    #expect(bench.core.metrics(now: bench.now).mediaPorts == 0)
  }

  @Test func portsThatWereTriedBeforeAreFindings() throws {
    let bench = LinkBench()
    var request = DoctorRequest()
    request.isStandalone = true
    request.ports = [
      .init(subject: "uplink dsl", endpoint: "0.0.0.0:65002", refusal: "address\nin use"),
      .init(subject: "office side", endpoint: "0.0.0.0:5060"),
    ]
    bench.step { _ = $0.examine(request, now: $1, into: &$2) }
    bench.wait(.seconds(15))
    let ports = try #require(bench.reports.last).findings.filter { $0.need == .ports }
    #expect(ports.map(\.result) == [.refuted, .proven])
    #expect(ports[0].evidence.contains("65002") && !ports[0].evidence.contains("\n"))
    #expect(bench.reports.last?.isFromDaemon == false)
  }

  // MARK: Progress

  @Test func progressNamesWhatIsWaitedFor() throws {
    let bench = Self.begin()
    let begun = try #require(bench.core.examination(now: bench.now))
    #expect(begun.line == "0 s: 0 of 1 questions answered, waiting for sip, fragments, clock")
    bench.answer(try #require(bench.next(LinkBench.provider, "OPTIONS")), 200, from: LinkBench.provider)
    bench.wait(.milliseconds(1200))
    let midway = try #require(bench.core.examination(now: bench.now))
    #expect(midway.line == "1 s: 1 of 2 questions answered, waiting for fragments")
    #expect(midway.isRunning && midway.findings.contains { $0.need == .sip && $0.result == .proven })
    #expect(!midway.findings.contains { $0.need == .fragments })
    bench.wait(.seconds(5))
    #expect(bench.core.examination(now: bench.now) == nil)
    let report = try #require(bench.reports.last)
    #expect(!bench.lastProgress.isRunning && bench.lastProgress.waitingFor.isEmpty)
    #expect(bench.lastProgress.findings == report.findings)
    #expect(bench.lastProgress.elapsedSeconds == report.seconds)
    #expect(bench.lastProgress.line == "4 s: 1 of 2 questions answered")
  }

  // MARK: Names

  @Test func namesAreAskedAnewAndTheLinkKeepsWhatItKnows() throws {
    let bench = LinkBench {
      $0.trunks = [LinkBench.trunk("main", username: "1000", at: "sip.provider.example")]
    }
    bench.step { $0.nameResolved("sip.provider.example", [LinkBench.provider.address], now: $1, into: &$2) }
    let before = bench.lookups.count
    bench.step { _ = $0.examine(DoctorRequest(), now: $1, into: &$2) }
    #expect(bench.lookups.count == before + 1)
    // Another address than the link knows: asked there, and the trunk stays where it is.
    bench.step { $0.nameResolved("sip.provider.example", [endpoint("203.0.113.20:0").address], now: $1, into: &$2) }
    bench.wait(.milliseconds(100))
    #expect(bench.next(endpoint("203.0.113.20:5060"), "OPTIONS") != nil)
    #expect(bench.left(LinkBench.provider).filter { $0 == "OPTIONS" }.isEmpty)
    bench.wait(.seconds(15))
    #expect(try Self.finding(bench, .name).result == .proven)
    _ = try bench.invite("+493012345", from: LinkBench.phones[0], callID: "a")
    #expect(bench.next(LinkBench.provider, "INVITE") != nil)
  }

  @Test func silentNameServersAreToldFromUnknownNames() throws {
    for answer in [nil, [IPAddress]()] {
      let bench = Self.begin {
        $0.trunks = [LinkBench.trunk("main", username: "1000", at: "sip.provider.example")]
      }
      if let answer {
        bench.step { $0.nameResolved("sip.provider.example", answer, now: $1, into: &$2) }
      }
      bench.wait(.seconds(15))
      let name = try Self.finding(bench, .name)
      #expect(name.result == .refuted)
      #expect(name.evidence.contains("No name server") == (answer == nil), "\(name)")
      #expect(try Self.finding(bench, .sip).result == .unprovable)
    }
  }

  // MARK: The call

  /// Seconds of a tone as the telephone records it.
  static func tone(_ hertz: Double, seconds: Int = 3) -> [Int16] {
    (0..<8000 * seconds).map { Int16(8000 * sin(2 * Double.pi * hertz * Double($0) / 8000)) }
  }

  /// The call out and in again by hand: what each end hears is given to it at the end.
  static func call(heardThere: [Int16], heardHere: [Int16]) throws -> (bench: LinkBench, finding: DoctorFinding) {
    let bench = begin(calls: true)
    let options = try #require(bench.next(LinkBench.provider, "OPTIONS"))
    bench.answer(options, 200, from: LinkBench.provider)
    bench.answer(try #require(bench.next(LinkBench.provider, "OPTIONS")), 200, from: LinkBench.provider)
    bench.wait(.seconds(6))
    let outgoing = try #require(bench.next(LinkBench.provider, "INVITE"))
    #expect(outgoing.requestURIText.contains(number) && outgoing.value(.from)?.contains(number) == true)
    // Another caller's call at the same time is not the doctor's.
    _ = try bench.invite(number, from: LinkBench.provider, callID: "stranger") {
      $0.set(.from, "<sip:+49301111@provider.example>;tag=s")
    }
    #expect(bench.next(LinkBench.phones[0], "INVITE") != nil)
    let incoming = try bench.invite(number, from: LinkBench.provider, callID: "loop") {
      $0.set(.from, "<sip:\(number)@provider.example>;tag=l")
    }
    bench.wait(.seconds(1))
    #expect(bench.next(LinkBench.phones[1], "INVITE") != nil)
    let answered = try #require(bench.next(LinkBench.provider, "200"))
    #expect(answered.callID == "loop")
    bench.answer(
      outgoing, 200, from: LinkBench.provider, description: LinkBench.description(LinkBench.provider, port: 5000))
    #expect(bench.next(LinkBench.provider, "ACK") != nil)
    _ = try bench.within(.ack, incoming, answered, from: LinkBench.provider, sequence: 1)
    let ports = bench.mediaPorts.keys.filter { $0.rawValue >= 4_000_000 }.sorted()
    try #require(ports.count == 2)
    bench.wait(.milliseconds(3500))
    // It hung up the call out; the provider ends the other one.
    let bye = try #require(bench.next(LinkBench.provider, "BYE"))
    bench.answer(bye, 200, from: LinkBench.provider)
    _ = try bench.within(.bye, incoming, answered, from: LinkBench.provider, sequence: 2)
    bench.wait(.milliseconds(10))
    for (port, samples) in zip(ports, [heardHere, heardThere]) {
      bench.step { $0.mediaEventReceived(.recorded(port, samples: samples), now: $1, into: &$2) }
    }
    bench.wait(.seconds(5))
    let found = try finding(bench, .call)
    #expect(bench.mediaPorts.keys.allSatisfy { $0.rawValue < 4_000_000 }, "media ports of the telephone are left")
    return (bench, found)
  }

  @Test func audioBothWaysIsProven() throws {
    let (bench, call) = try Self.call(heardThere: Self.tone(600), heardHere: Self.tone(1000))
    #expect(call.result == .proven, "\(call)")
    #expect(bench.records.count { $0.result == "answered" } == 2)
  }

  @Test func oneWayAudioIsNamedByItsDirection() throws {
    let silence = [Int16](repeating: 0, count: 24_000)
    let here = try Self.call(heardThere: silence, heardHere: Self.tone(1000)).finding
    #expect(
      here.result == .refuted && here.evidence.hasPrefix("One-way audio: what the calling end says is not heard."))
    let there = try Self.call(heardThere: Self.tone(600), heardHere: silence).finding
    #expect(
      there.result == .refuted && there.evidence.hasPrefix("One-way audio: what the called end says is not heard."))
    let none = try Self.call(heardThere: silence, heardHere: silence).finding
    #expect(none.result == .refuted && none.evidence.hasPrefix("No audio either way."))
    // What each end hears of itself is no proof.
    let echo = try Self.call(heardThere: Self.tone(1000), heardHere: Self.tone(600)).finding
    #expect(echo.result == .refuted && echo.evidence.hasPrefix("No audio either way."))
  }

  @Test func aRefusalIsToldWithItsStatus() throws {
    let bench = Self.begin(calls: true)
    bench.answer(try #require(bench.next(LinkBench.provider, "OPTIONS")), 200, from: LinkBench.provider)
    bench.wait(.seconds(6))
    bench.answer(try #require(bench.next(LinkBench.provider, "INVITE")), 486, from: LinkBench.provider)
    bench.wait(.seconds(2))
    let call = try Self.finding(bench, .call)
    #expect(call.result == .refuted && call.evidence.contains("486"), "\(call)")
  }

  @Test func aTrunkWithoutNumberCallsNobody() throws {
    let bench = Self.begin(calls: true) { $0.trunks[0].numbers = [] }
    bench.wait(.seconds(16))
    let call = try Self.finding(bench, .call)
    #expect(call.result == .unprovable && call.evidence.contains("numbers"))
  }
}
