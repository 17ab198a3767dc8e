import CallControl
import EmbeddedProvider
import LinkManager
import LinkRecording
import LinkScenario
import NetworkSimulator
import NetworkTypes
import Testing

/// A recording in pseudonyms makes the same cores decide the same.
@Suite struct ReplayTests {
  /// Whatever of the scene must not stand in a recording: numbers, names, addresses, secrets.
  static let secrets = [
    "211123450", "49301111", "49302222", "192.168.1.2", "198.51.100.", "203.0.113.", "provider.example",
    "office.example", "secret",
    "phone10", "phone20", "Phone 10", "wrong-one", "sip:1000", "\"1000\"",
  ]

  /// Registrations, calls both ways, a refused one, a held one, and two cuts with a call up.
  static func story(_ change: (inout Scene.Plan) -> Void = { _ in }) -> RecordedScene {
    let recorded = RecordedScene(change)
    let scene = recorded.scene
    _ = scene.runUntilRegistered()
    scene.run(2)
    _ = scene.dial("+49302222", from: 1)
    _ = scene.callFromOutside(for: .seconds(4))
    scene.run(8)
    let call = scene.dial(Scene.farNumber)
    scene.run(4)
    for address in ["198.51.100.77", "198.51.100.8"] {
      scene.net.apply(.lineCut(scene.router))
      scene.run(5)
      scene.net.apply(.addressChanged(scene.router, LinkScenario.address(address)))
      scene.net.apply(.lineRestored(scene.router))
      scene.run(6)
    }
    if let call {
      _ = scene.withPhone { $0.setHold(call, true, now: $1, into: &$2) }
      scene.run(2)
      scene.hangUpPhone(call)
    }
    scene.run(40)
    return recorded
  }

  @Test(arguments: [1, 2, 3] as [UInt64]) func everyDecisionIsMadeAgain(key: UInt64) throws {
    let recorded = Self.story { $0.seed = key }
    let (text, random) = try recorded.recording(key: key)
    let recording = try RecordedRun(parsing: Array(text.utf8))
    #expect(recording.ending == nil)
    #expect(recording.entries.count == recorded.taken.count)
    #expect(recording.entries.count > 200)
    var replay = LinkReplay(recording, random: random)
    var place = 0
    while let step = replay.step() {
      let then = recorded.taken[place]
      #expect(step.entry.at == then.at)
      guard step.isSame, outcome(step.actions) == outcome(then.actions) else {
        Testing.Issue.record("\(place): \(then.input)\nthen \(then.actions)\nnow \(step.actions)")
        return
      }
      place += 1
    }
    #expect(place == recorded.taken.count)
    let records = recorded.taken.flatMap(\.actions).filter { if case .record = $0 { true } else { false } }
    #expect(records.count == 3)
  }

  /// The instances by which registrars know this machine for years are others in a recording, and mean the same.
  @Test func ourInstancesArePseudonyms() throws {
    var named = LinkConfiguration()
    named.trunks = [
      TrunkConfiguration(
        name: "main", domain: "provider.example", registrar: HostPort(host: "sip.provider.example"), username: "1000")
    ]
    named.nameInstances(ofMachine: "machine")
    let instance = try #require(named.trunks.first?.instance)
    let leftover = "<sip:1000@198.51.100.9:65002>;expires=200;+sip.instance=\"<urn:uuid:\(instance.uppercased())>\""
    let recorded = RecordedScene { plan in
      plan.link = { $0.nameInstances(ofMachine: "machine") }
      plan.provider = { $0.quirks.foreignContacts = [leftover] }
    }
    #expect(recorded.scene.runUntilRegistered())
    recorded.scene.run(900)
    let (text, random) = try recorded.recording(key: 4)
    #expect(!text.lowercased().contains(instance))
    let sent = recorded.taken.flatMap(\.actions).compactMap { action -> String? in
      if case .send(let bytes, _, _) = action { String(decoding: bytes, as: UTF8.self) } else { nil }
    }
    #expect(sent.contains { $0.contains("<sip:1000@198.51.100.9:65002>;expires=0;") && $0.contains(instance) })
    let recording = try RecordedRun(parsing: Array(text.utf8))
    var replay = LinkReplay(recording, random: random)
    var place = 0
    while let step = replay.step() {
      let then = recorded.taken[place]
      guard step.isSame else {
        Testing.Issue.record("\(place): \(then.input)\nthen \(then.actions)\nnow \(step.actions)")
        return
      }
      place += 1
    }
    #expect(place == recorded.taken.count && place > 20)
  }

  /// Offices of the year: other providers, other routers, lost packets, dead servers, calls in every state.
  @Test(arguments: 1...12 as ClosedRange<UInt64>) func aNightOfTheYearIsDecidedAgain(seed: UInt64) throws {
    var plan = YearStretch.Plan()
    plan.nights = 1
    plan.callsPerDay = 8
    let stretch = YearStretch(seed: seed, plan: plan)
    let recorded = RecordedScene(stretch.scene)
    stretch.run()
    let (text, random) = try recorded.recording(key: seed)
    for secret in Self.secrets { #expect(!text.contains(secret), "\(secret)") }
    let recording = try RecordedRun(parsing: Array(text.utf8))
    #expect(recording.entries.count == recorded.taken.count)
    var replay = LinkReplay(recording, random: random)
    var place = 0
    while let step = replay.step() {
      let then = recorded.taken[place]
      guard step.isSame, outcome(step.actions) == outcome(then.actions) else {
        Testing.Issue.record("\(place): \(then.input)\nthen \(then.actions)\nnow \(step.actions)")
        return
      }
      place += 1
    }
    #expect(place > 200)
  }

  /// Logs and verdicts of the same story; what people are told may name trunks and uplinks, and nothing else.
  @Test func anExaminationIsDecidedAgain() throws {
    let recorded = RecordedScene { plan in
      plan.hasBehaviorServer = true
      plan.provider = { $0.quirks.connectsCustomers = true }
    }
    #expect(recorded.scene.runUntilRegistered())
    #expect(recorded.scene.apply(.examinationAsked(DoctorRequest(calls: true))))
    recorded.scene.run(40)
    let reports = recorded.taken.flatMap(\.actions).filter { if case .examined = $0 { true } else { false } }
    #expect(reports.count == 1)
    let (text, random) = try recorded.recording(key: 3)
    for secret in Self.secrets { #expect(!text.contains(secret), "\(secret)") }
    var replay = LinkReplay(try RecordedRun(parsing: Array(text.utf8)), random: random)
    var place = 0
    while let step = replay.step() {
      guard step.isSame else {
        Testing.Issue.record("\(place): \(recorded.taken[place].input)\nnow \(step.actions)")
        return
      }
      place += 1
    }
    #expect(place == recorded.taken.count)
  }

  @Test func nothingSlipsIntoTheLog() {
    let taken = Self.story().taken
    var told: [String] = []
    for action in taken.flatMap(\.actions) {
      if case .log(_, let sentence) = action { told.append(sentence) }
    }
    #expect(told.count >= 8)
    for sentence in told { for secret in Self.secrets { #expect(!sentence.contains(secret), "\(sentence)") } }
  }

  @Test func nothingSlipsIntoARecording() throws {
    let recorded = Self.story()
    let text = try recorded.recording(key: 7).text
    for secret in Self.secrets { #expect(!text.contains(secret), "\(secret)") }
    // And the account of the replay is made of nothing else.
    var lines: [String] = []
    var account = ReplayAccount { lines.append($0) }
    account.tellsAll = true
    _ = account.play(try RecordedRun(parsing: Array(text.utf8)))
    let told = lines.joined(separator: "\n")
    #expect(told.contains("REGISTER"))
    for secret in Self.secrets { #expect(!told.contains(secret), "\(secret)") }
  }

  @Test func wrongPasswordsStayWrong() throws {
    let recorded = RecordedScene { plan in
      plan.password = "wrong-one"
      plan.phone = { if $0.username == "20" { $0.password = Redacted("wrong-one") } }
    }
    recorded.scene.run(100)
    #expect(recorded.scene.trunk?.state == .rejected)
    let (text, random) = try recorded.recording(key: 3)
    var replay = LinkReplay(try RecordedRun(parsing: Array(text.utf8)), random: random)
    while let step = replay.step() { #expect(step.isSame) }
    #expect(replay.link.status(now: recorded.taken[recorded.taken.count - 1].at).trunks.first?.state == .rejected)
    #expect(!text.contains("wrong-one"))
  }

  @Test func aTornTailIsCutOff() throws {
    let recorded = RecordedScene()
    recorded.scene.run(20)
    let bytes = Array(try recorded.recording(key: 1).text.utf8)
    let whole = try RecordedRun(parsing: bytes)
    for cut in [1, 2, 40, 300] {
      let torn = try RecordedRun(parsing: Array(bytes.dropLast(cut)))
      #expect(torn.entries.count < whole.entries.count || cut == 1)
      #expect(torn.entries.count > whole.entries.count - 12)
    }
    var altered = bytes
    altered[bytes.count - 5] ^= 1
    #expect(try RecordedRun(parsing: altered).ending != nil)
  }

  /// A file may come from anybody: whatever it says after its beginning is read or refused, and replayed without a trap.
  @Test func linesOfStrangersAreReadOrRefused() throws {
    let recorded = Self.story()
    let lines = try recorded.recording(key: 1).text.split(separator: "\n").map { Array($0.utf8.dropFirst(9)) }
    var random = RandomSource(seed: 99)
    for _ in 0..<100 {
      var text: [UInt8] = []
      for (place, line) in lines.enumerated() {
        var line = line
        // The configuration stays: what a mistaken one does to a link is not a matter of recordings.
        if place > 1, random.next() % 40 == 0, !line.isEmpty {
          for _ in 0...random.next() % 3 {
            let at = Int(random.next() % UInt64(line.count))
            switch random.next() % 3 {
            case 0: line[at] = UInt8(truncatingIfNeeded: random.next())
            case 1: line[at] = Array("0123456789-+ .\"".utf8)[Int(random.next() % 15)]
            default: line.insert(UInt8(ascii: "9"), at: at)
            }
          }
          line.removeAll { $0 == 10 }
        }
        text += Array(LinkRecorder.checked(String(decoding: line, as: UTF8.self)).utf8) + [10]
      }
      let recording = try RecordedRun(parsing: text)
      var replay = LinkReplay(recording)
      while replay.step() != nil {}
    }
  }

  @Test func whatIsNoRecordingIsSaidToBeNone() {
    #expect(throws: RecordedRun.Failure.noRecording) { try RecordedRun(parsing: []) }
    #expect(throws: RecordedRun.Failure.noRecording) { try RecordedRun(parsing: Array("hello\nworld\n".utf8)) }
    #expect(throws: RecordedRun.Failure.noRecording) {
      try RecordedRun(parsing: [UInt8](repeating: 0xff, count: 5000))
    }
  }
}
