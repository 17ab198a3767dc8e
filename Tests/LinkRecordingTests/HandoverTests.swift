import Foundation
import LinkManager
import LinkRecording
import LinkScenario
import NetworkSimulator
import NetworkTypes
import PortMapping
import Synchronization
import Testing

/// A core that is made of another one's handover is that one.
@Suite struct HandoverTests {
  /// Puts a core of its own handover in the place of a link's, whenever the moment allows it.
  final class Relay: Sendable {
    struct Count {
      var handovers = 0
      var last: MonotonicInstant?
      var differences: [String] = []
    }

    let count = Mutex(Count())
    let pause: Duration
    /// Whether each core is compared with the one that takes its place.
    let compares: Bool

    init(pause: Duration, compares: Bool = false) {
      self.pause = pause
      self.compares = compares
    }

    func attach(to scene: Scene) {
      scene.net.withHost(scene.link, as: LinkHost.self) { host, _, _ in
        host.replace = { [self] link, taken in handOver(&link, taken.at) }
      }
    }

    private func handOver(_ link: inout LinkCore, _ now: MonotonicInstant) {
      count.withLock { count in
        if let last = count.last, now - last < pause { return }
        guard let handover = link.handover else { return }
        count.last = now
        count.handovers += 1
        guard let text = try? HandoverTests.text(handover),
          let read = try? JSONDecoder().decode(LinkHandover.self, from: Data(text.utf8)), read.isSound
        else {
          count.differences.append("a handover that cannot be read")
          return
        }
        let before = compares ? Portrait.lines(link) : []
        link.replace(with: read)
        guard compares else { return }
        let after = Portrait.lines(link)
        for (one, other) in zip(before, after) where one != other { count.differences.append("\(one) | \(other)") }
        if before.count != after.count { count.differences.append("\(before.count) lines, then \(after.count)") }
      }
    }
  }

  static func text(_ handover: LinkHandover) throws -> String {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
    if let key = Redacted<String>.holdsPseudonyms { encoder.userInfo[key] = true }
    return String(decoding: try encoder.encode(handover), as: UTF8.self)
  }

  static func stretch(_ seed: UInt64) -> YearStretch {
    var plan = YearStretch.Plan()
    plan.nights = 2
    plan.callsPerDay = 6
    return YearStretch(seed: seed, plan: plan)
  }

  /// Offices of the year, once as they are and once with another core at each quiet moment, as it is read from a file: every
  /// packet that passes the network is the same.
  @Test(arguments: 1...10 as ClosedRange<UInt64>) func anotherCoreDoesTheSame(seed: UInt64) {
    let usual = Self.stretch(seed)
    usual.run()
    let relay = Relay(pause: .milliseconds(1))
    let other = Self.stretch(seed)
    relay.attach(to: other.scene)
    other.run()
    let count = relay.count.withLock { $0 }
    #expect(count.handovers > 20)
    #expect(count.differences.isEmpty)
    #expect(other.digest == usual.digest, "seed \(seed)")
    #expect(other.calls == usual.calls)
    #expect(other.failures.map(\.description) == usual.failures.map(\.description))
  }

  /// Whatever a core consists of, the one that takes its place has it too.
  @Test(arguments: [3, 8, 21] as [UInt64]) func nothingIsForgotten(seed: UInt64) {
    let relay = Relay(pause: .seconds(5), compares: true)
    let stretch = Self.stretch(seed)
    relay.attach(to: stretch.scene)
    stretch.run()
    let count = relay.count.withLock { $0 }
    #expect(count.handovers > 5)
    #expect(count.differences.isEmpty, "\(count.differences.prefix(5))")
  }

  /// What `LinkCore` has and a handover has not is named here: what is empty at such a moment, and what is given beside it.
  @Test func everyPartOfACoreIsHandedOver() throws {
    let core = LinkCore(
      configuration: LinkConfiguration(), random: RandomSource(seed: 1), now: MonotonicInstant(nanoseconds: 0),
      wallTime: WallTime(nanoseconds: 0))
    let parts = Set(Mirror(reflecting: core).children.compactMap(\.label))
    let given = Set(Mirror(reflecting: try #require(core.handover)).children.compactMap(\.label))
    let empty: Set = [
      "calls", "dialogs", "mediaOwners", "clientOwners", "serverOwners", "farewells", "isStopping", "isStopped",
      "doctor", "doctorInbox",
    ]
    // `connections` are `streams` the other way round; random numbers come from elsewhere.
    #expect(parts.subtracting(given).subtracting(empty) == ["random", "connections"])
    #expect(given.subtracting(parts).isEmpty)
  }

  /// Idle hours with cuts, another core with each packet that comes: during an outage, while a new address is not believed
  /// yet, while the contact moves.
  @Test(arguments: [NATBehavior.portRestrictedCone, .symmetric, .fullCone], [1, 2, 3] as [UInt64])
  func anotherCoreDoesTheSameInIdleHours(nat: NATBehavior, seed: UInt64) {
    let relay = Relay(pause: .milliseconds(1))
    func night(_ prepare: (Scene) -> Void) -> Scene {
      let scene = Scene { plan in
        plan.seed = seed
        plan.nat = nat
        plan.hasBehaviorServer = true
        plan.line.loss = 0.02
        plan.link = { $0.uplinks[0].sparePort = 65003 }
      }
      prepare(scene)
      scene.run(200)
      for (round, length) in [0.3, 4, 70].enumerated() {
        scene.net.apply(.lineCut(scene.router))
        scene.run(length)
        scene.net.apply(.addressChanged(scene.router, LinkScenario.address("198.51.100.\(20 + round)")))
        scene.net.apply(.lineRestored(scene.router))
        scene.run(120)
      }
      let call = scene.dial(Scene.farNumber)
      scene.run(8)
      if let call { scene.hangUpPhone(call) }
      scene.run(400)
      return scene
    }
    let usual = night { _ in }
    let other = night { relay.attach(to: $0) }
    let count = relay.count.withLock { $0 }
    #expect(count.handovers > 200)
    #expect(count.differences.isEmpty)
    #expect(other.net.trace.digest == usual.net.trace.digest)
    #expect(other.records.count == usual.records.count)
  }

  @Test func noHandoverWhileACallIsUp() {
    let relay = Relay(pause: .milliseconds(1))
    let scene = Scene()
    relay.attach(to: scene)
    _ = scene.runUntilRegistered()
    scene.run(10)
    let call = scene.dial(Scene.farNumber)
    scene.run(1)
    let before = relay.count.withLock { $0.handovers }
    scene.run(20)
    #expect(relay.count.withLock { $0.handovers } == before)
    if let call { scene.hangUpPhone(call) }
    scene.run(60)
    #expect(relay.count.withLock { $0.handovers } > before + 10)
  }

  // MARK: Recordings

  /// A ring of recordings in memory: each begins with a handover as soon as the one before has some lines.
  final class Ring: Sendable {
    struct State {
      var recorder: LinkRecorder
      var recordings: [[String]]
    }

    let state: Mutex<State>
    let length: Int

    init(_ scene: Scene, key: UInt64, length: Int = 40) {
      self.length = length
      var random = RandomSource(seed: key)
      var lines: [String] = []
      let host = scene.net.host(scene.link, as: LinkHost.self)
      let recorder = LinkRecorder(
        configuration: host?.beginning.configuration ?? LinkConfiguration(), seed: LinkSeed([1]),
        now: host?.beginning.now ?? MonotonicInstant(nanoseconds: 0),
        wallTime: host?.beginning.wallTime ?? WallTime(nanoseconds: 0), random: &random, lines: &lines)
      state = Mutex(State(recorder: recorder, recordings: [lines]))
      scene.net.withHost(scene.link, as: LinkHost.self) { host, _, _ in
        host.replace = { [self] link, taken in take(&link, taken) }
      }
    }

    private func take(_ link: inout LinkCore, _ taken: LinkHost.Taken) {
      state.withLock { state in
        let shape = DecisionShape.of(taken.actions)
        let line = state.recorder.line(taken.input, now: taken.at, shape: shape)
        state.recordings[state.recordings.count - 1].append(line)
        guard state.recordings[state.recordings.count - 1].count > length else { return }
        let seed = LinkSeed([UInt64(state.recordings.count), 9])
        guard let handover = link.handOver(random: seed.source) else { return }
        let lines = state.recorder.begin(
          with: handover, seed: seed, now: taken.at, wallTime: link.wallTime(taken.at))
        state.recordings.append(lines)
      }
    }

    var texts: [String] { state.withLock { $0.recordings.map { $0.joined(separator: "\n") + "\n" } } }
  }

  static func check(_ texts: [String]) throws {
    // The first one began with random numbers that the recording does not name.
    for (place, text) in texts.enumerated().dropFirst() {
      var lines: [String] = []
      let recording = try RecordedRun(parsing: Array(text.utf8))
      #expect(recording.ending == nil && recording.handover != nil)
      let outcome = ReplayAccount { lines.append($0) }.play(recording)
      guard outcome.differsAt == nil else {
        Testing.Issue.record("recording \(place): \(outcome) \(lines.joined(separator: "\n").prefix(3000))")
        return
      }
      for secret in ReplayTests.secrets {
        #expect(!text.contains(secret), "recording \(place): \(secret)")
        // Nor as a list of numbers.
        #expect(!text.contains(secret.utf8.map { "\($0)" }.joined(separator: ",")), "recording \(place): \(secret)")
      }
    }
  }

  /// Each recording of a ring stands for itself, and nothing is in it that must not be there.
  @Test(arguments: 1...12 as ClosedRange<UInt64>) func aRecordingBeginsInTheMiddle(seed: UInt64) throws {
    let stretch = Self.stretch(seed)
    let ring = Ring(stretch.scene, key: seed)
    stretch.run()
    let texts = ring.texts
    #expect(texts.count > 3)
    try Self.check(texts)
  }

  /// With port mappings and a spare port there is more to hand over.
  @Test func aRecordingOfManyPartsBeginsInTheMiddle() throws {
    let scene = Scene { plan in
      plan.hasBehaviorServer = true
      plan.nat = .symmetric
      plan.link = {
        $0.uplinks[0].sparePort = 65003
        $0.uplinks[0].incoming = .mapped(.pcp)
        $0.nameInstances(ofMachine: "machine")
      }
    }
    let router = MappingRouter(externalAddress: LinkScenario.address("198.51.100.1"), now: scene.net.now)
    scene.net.withHost(scene.link, as: LinkHost.self) { link, _, _ in
      link.routerPlace = RouterPlace(
        router, at: LinkScenario.address("192.168.1.1"), local: LinkScenario.address("192.168.1.2"))
    }
    let ring = Ring(scene, key: 5, length: 12)
    _ = scene.runUntilRegistered()
    scene.run(120)
    if let call = scene.dial(Scene.farNumber) {
      scene.run(5)
      scene.hangUpPhone(call)
    }
    scene.net.apply(.lineCut(scene.router))
    scene.run(30)
    scene.net.apply(.lineRestored(scene.router))
    scene.run(300)
    #expect(ring.texts.count > 8)
    try Self.check(ring.texts)
    let instance = try #require(
      scene.net.host(scene.link, as: LinkHost.self)?.configured.trunks.first?.instance)
    #expect(ring.texts.allSatisfy { !$0.contains(instance) })
  }

  /// A file may come from anybody: what its beginning says is refused, or replayed without a trap.
  @Test func beginningsOfStrangersAreReadOrRefused() throws {
    let stretch = Self.stretch(4)
    let ring = Ring(stretch.scene, key: 4)
    stretch.run()
    let texts = ring.texts
    var random = RandomSource(seed: 17)
    var refused = 0
    var read = 0
    for round in 0..<1500 {
      let text = texts[1 + round % min(texts.count - 1, 12)]
      let lines = text.split(separator: "\n").map { Array($0.utf8.dropFirst(9)) }
      var altered: [UInt8] = []
      for (place, line) in lines.enumerated() {
        var line = line
        if place == 1 { Self.alter(&line, &random) }
        altered += Array(LinkRecorder.checked(String(decoding: line, as: UTF8.self)).utf8) + [10]
      }
      do {
        var replay = LinkReplay(try RecordedRun(parsing: altered))
        while replay.step() != nil {}
        read += 1
      } catch { refused += 1 }
    }
    #expect(refused > 100 && read > 100, "\(refused) refused, \(read) read")
  }

  /// Changes a few bytes, numbers for the most part. The configuration stays: what a mistaken one does to a link is not a
  /// matter of recordings.
  private static func alter(_ line: inout [UInt8], _ random: inout RandomSource) {
    let digits = line.indices.filter { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(line[$0]) }
    let begin = line.firstIndex(of: UInt8(ascii: "{")) ?? 0
    let configuration = Array("\"configuration\":{".utf8)
    let inside = ranges(of: configuration, in: line)
    for _ in 0...random.next() % 3 {
      let isNumber = random.next() % 4 != 0
      let place =
        isNumber ? digits[Int(random.next() % UInt64(digits.count))] : Int(random.next() % UInt64(line.count))
      guard place > begin, place < line.count, !inside.contains(where: { $0.contains(place) }) else { continue }
      switch random.next() % 4 {
      case 0: line[place] = Array("0123456789-\"[{".utf8)[Int(random.next() % 14)]
      case 1: line[place] = UInt8(ascii: "9")
      case 2: line.replaceSubrange(place...place, with: Array("4294899999".utf8))
      default: line.replaceSubrange(place...place, with: Array("-1".utf8))
      }
    }
    line.removeAll { $0 == 10 }
  }

  /// From each mark to the end of the object that follows it.
  private static func ranges(of mark: [UInt8], in line: [UInt8]) -> [Range<Int>] {
    var result: [Range<Int>] = []
    var start = 0
    while start + mark.count <= line.count {
      guard line[start] == mark[0], line[start..<start + mark.count].elementsEqual(mark) else {
        start += 1
        continue
      }
      var depth = 1
      var end = start + mark.count
      while end < line.count, depth > 0 {
        if line[end] == UInt8(ascii: "{") { depth += 1 }
        if line[end] == UInt8(ascii: "}") { depth -= 1 }
        end += 1
      }
      result.append(start..<end)
      start = end
    }
    return result
  }

  @Test func aBeginningWithoutSenseIsRefused() throws {
    let scene = Scene()
    let ring = Ring(scene, key: 2, length: 8)
    _ = scene.runUntilRegistered()
    scene.run(60)
    let lines = try #require(ring.texts.last).split(separator: "\n").map { String($0.dropFirst(9)) }
    func refused(_ change: (String) -> String) -> Bool {
      let text = [lines[0], change(lines[1])].map { LinkRecorder.checked($0) + "\n" }.joined()
      return (try? RecordedRun(parsing: Array(text.utf8))) == nil
    }
    #expect(!refused { $0 })
    #expect(refused { String($0.dropLast(1)) })
    #expect(refused { $0.replacing("\"nextCall\":1", with: "\"nextCall\":99999999999999999999") })
    #expect(refused { $0.replacing("\"nextCall\":1", with: "\"nextCall\":9999999999999") })
    #expect(refused { $0.replacing("\"rawValue\":0", with: "\"rawValue\":7") })
    #expect(refused { $0.replacing("\"side\":{\"uplink\":{\"_0\":0}}", with: "\"side\":{\"uplink\":{\"_0\":3}}") })
    #expect(refused { $0.replacing("handover ", with: "start ") })
    #expect(refused { _ in "handover 1 2 3 {}" })
  }
}

/// All that a value is made of, a line for each leaf.
enum Portrait {
  static func lines(_ value: Any) -> [String] {
    var lines: [String] = []
    add(value, "", &lines)
    return lines
  }

  private static func add(_ value: Any, _ path: String, _ lines: inout [String]) {
    let mirror = Mirror(reflecting: value)
    let type = String(describing: mirror.subjectType)
    if type.hasPrefix("TimerTable<") {
      // The order of rows that were set again and the numbers of rows decide nothing.
      lines.append("\(path) \(timers(mirror))")
    } else if type == "SIPMessage" {
      lines.append("\(path) \(value)")
    } else if mirror.displayStyle == .dictionary || mirror.displayStyle == .set {
      let rows = mirror.children.map { child -> String in
        var own: [String] = []
        add(child.value, "", &own)
        return own.joined(separator: " ")
      }
      lines.append("\(path) \(rows.sorted())")
    } else if mirror.children.isEmpty {
      lines.append("\(path) \(value)")
    } else {
      for (place, child) in mirror.children.enumerated() {
        add(child.value, "\(path).\(child.label ?? "\(place)")", &lines)
      }
    }
  }

  private static func timers(_ mirror: Mirror) -> [String] {
    var parts: [String: Any] = [:]
    for child in mirror.children { parts[child.label ?? ""] = child.value }
    let live = Mirror(reflecting: parts["current"] ?? 0).children.map { row -> UInt64 in
      Mirror(reflecting: row.value).children.compactMap { $0.value as? UInt64 }.first ?? 0
    }
    let rows = Mirror(reflecting: parts["heap"] ?? 0).children.compactMap { row -> (Int64, UInt64, String)? in
      var fields: [String: Any] = [:]
      for child in Mirror(reflecting: row.value).children { fields[child.label ?? ""] = child.value }
      guard let at = fields["deadline"] as? MonotonicInstant, let order = fields["order"] as? UInt64,
        let name = fields["name"], live.contains(order)
      else { return nil }
      return (at.nanoseconds, order, "\(name)")
    }
    return rows.sorted { ($0.0, $0.1) < ($1.0, $1.1) }.map { "\($0.2) at \($0.0)" }
  }
}
