import CallControl
import EmbeddedProvider
import LinkManager
import LinkScenario
import NetworkSimulator
import NetworkTypes
import Testing

/// What breaks is named, exactly that is named, and what the next step says mends it.
@Suite struct FaultScenarios {
  private static func broken(_ faults: [Fault]) -> Scene {
    let scene = Scene { plan in for fault in faults { fault.plan(&plan) } }
    for fault in faults { fault.begins?(scene) }
    scene.run(20)
    for fault in faults { fault.breaks(scene) }
    for fault in faults { fault.shows(scene) }
    return scene
  }

  @Test func thereAreThirtyFaultsAtLeast() {
    #expect(Fault.table.count >= 30)
    #expect(Set(Fault.table.map(\.name)).count == Fault.table.count)
    let shown = Set(Fault.table.map(\.code))
    #expect(shown.count >= 28)
    let elsewhere = Fault.elsewhere.flatMap(\.codes)
    #expect(shown.isDisjoint(with: elsewhere))
    #expect(shown.union(elsewhere) == Set(VerdictCode.allCases))
  }

  @Test(arguments: Fault.table) func oneFaultIsNamedAndMended(_ fault: Fault) {
    let scene = Self.broken([fault])
    #expect(scene.verdicts.map(\.code) == [fault.code.rawValue], "\(scene.logs)")
    for verdict in scene.verdicts { Self.check(verdict) }
    fault.repairs(scene)
    scene.run(fault.heals)
    #expect(scene.shortcomings() == [])
    #expect(scene.verdicts.count == 1, "\(scene.verdicts.map(\.code))")
    LogScenarios.check(scene)
  }

  /// A sentence that a person can act on.
  private static func check(_ verdict: Verdict) {
    let texts = [verdict.sentence, verdict.nextStep]
    #expect(texts.allSatisfy { $0.hasSuffix(".") && $0.first?.isUppercase == true && $0.count < 400 })
    #expect(!verdict.evidence.isEmpty && !verdict.subject.isEmpty)
    #expect((verdict.callID != nil) == verdict.subject.hasPrefix("call "))
  }

  private static func pairs(with fault: Fault) -> [(Fault, Fault)] {
    guard let index = Fault.table.firstIndex(where: { $0.name == fault.name }) else { return [] }
    return Fault.table[(index + 1)...].filter { fault.goes(with: $0) }.map { (fault, $0) }
  }

  @Test(arguments: Fault.table) func twoFaultsAreBothNamed(_ fault: Fault) {
    for (first, second) in Self.pairs(with: fault) {
      let scene = Self.broken([first, second])
      let codes = Set(scene.verdicts.compactMap { VerdictCode(rawValue: $0.code) })
      let comment = Comment(rawValue: "\(first.name); \(second.name): \(codes.map(\.rawValue).sorted())")
      if let merged = first.merges(with: second) {
        #expect(codes.subtracting([.noTrunk]) == merged, comment)
        continue
      }
      // A provider that fell silent may be asked by REGISTER before it is by OPTIONS.
      let silence: Set = [VerdictCode.noAnswer, .providerSilent]
      var said = codes
      if !said.isDisjoint(with: silence) { said.formUnion(silence) }
      // Who is refused because no trunk is registered is told that as well.
      var expected: Set = [first.code, second.code, .noTrunk]
      if !expected.isDisjoint(with: silence) { expected.formUnion(silence) }
      #expect(codes.subtracting(expected).isEmpty, comment)
      #expect(said.contains(first.code) || first.isHidden(by: second), comment)
      #expect(said.contains(second.code) || second.isHidden(by: first), comment)
      if codes.contains(.noTrunk) { #expect(first.downsTrunk || second.downsTrunk, comment) }
    }
  }

  /// Thirty days with calls, renewals and keepalives, and nothing that breaks: nobody is told anything.
  @Test func aMonthWithoutFaultsGivesNoVerdict() {
    let script = CallScript(sound: .tone(hertz: Scene.farTone), hangUpAfter: .seconds(10))
    let scene = Scene {
      $0.hasBehaviorServer = true
      $0.nat.lifetime = .seconds(120)
      $0.network = { $0.trace.limit = 0 }
      $0.phone = { $0.incoming.script.records = false }
      $0.provider = {
        $0.clock = WallTime(nanoseconds: 1_794_999_000_000_000_000)
        $0.farEnds.append(
          FarEnd(
            NumberPattern("+49304444"),
            AnswerPlan(.answer(after: .seconds(1)), script: CallScript(sound: .tone(hertz: Scene.farTone)))))
      }
    }
    #expect(scene.runUntilRegistered())
    for day in 0..<30 {
      for _ in 0..<4 {
        _ = scene.withProvider { $0.placeCall(to: Scene.number, from: "+49301111", script: script, now: $1, into: &$2) }
        scene.run(60)
        _ = scene.withPhone(1) { $0.dial("+49304444", script: script, now: $1, into: &$2) }
        scene.run(60)
        // Who changes his mind is no fault.
        let given = scene.withPhone(1) { $0.dial("+49303333", script: script, now: $1, into: &$2) } ?? nil
        scene.run(8)
        if let given { scene.hangUpPhone(given, 1) }
        scene.run(21_600 - 128)
      }
      #expect(scene.verdicts.isEmpty, "day \(day): \(scene.verdicts.map(\.code))")
      if !scene.verdicts.isEmpty { return }
    }
    #expect(scene.trunk?.state == .registered)
    #expect(scene.records.count == 360)
    #expect(scene.records.count { $0.result == "answered" } == 240)
  }
}
