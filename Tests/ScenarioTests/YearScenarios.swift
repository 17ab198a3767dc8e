import LinkScenario
import Testing

/// A year of nightly cuts: 73 offices of five nights, each with another router and provider, every night with another
/// trouble. `docs/replay.md` says what is simulated and what is left out.
@Suite struct YearScenarios {
  static let seeds: ClosedRange<UInt64> = 1...73

  /// A thousand calls a day, as in a busy office. All nights of the year at that rate take minutes: `make lab` runs them, by
  /// `trunkline replay --year --calls-per-day 1000`.
  @Test(arguments: [12, 29, 38, 59] as [UInt64]) func busyNights(seed: UInt64) {
    var plan = YearStretch.Plan()
    plan.nights = 2
    plan.callsPerDay = 1000
    let stretch = YearStretch(seed: seed, plan: plan)
    stretch.run()
    for failure in stretch.failures {
      Issue.record("\(failure). Again by: trunkline replay --seed \(seed) --nights 2 --calls-per-day 1000")
    }
    #expect(stretch.calls >= 2000)
  }

  @Test(arguments: seeds) func nights(seed: UInt64) {
    let stretch = YearStretch(seed: seed)
    stretch.run()
    for failure in stretch.failures {
      Testing.Issue.record("\(failure). Again by: trunkline replay --seed \(seed)")
    }
    #expect(stretch.night == 5)
    #expect(stretch.calls >= 5 * 30)
  }

  /// Quiet offices, of which many nights fit into a minute: those in which a promise was once broken, and another year.
  @Test(
    arguments: [6024, 7066, 8037, 9038, 11_049, 13_036, 15_055, 42_013, 46_033, 50_013, 69_043, 74_033, 106_002]
      + Array(101...173) as [UInt64])
  func quietNights(seed: UInt64) {
    var plan = YearStretch.Plan()
    plan.callsPerDay = 5
    let stretch = YearStretch(seed: seed, plan: plan)
    stretch.run()
    for failure in stretch.failures {
      Testing.Issue.record("\(failure). Again by: trunkline replay --seed \(seed) --calls-per-day 5")
    }
    #expect(stretch.calls >= 5 * 5)
  }

  static func digest(_ seed: UInt64) -> UInt64 {
    var plan = YearStretch.Plan()
    plan.nights = 2
    plan.callsPerDay = 8
    let stretch = YearStretch(seed: seed, plan: plan)
    stretch.run()
    return stretch.digest
  }

  @Test func oneSeedIsOneYearInEveryProcess() async {
    let digest = Self.digest(5)
    #expect(Self.digest(6) != digest)
    await #expect(processExitsWith: .success) { [digest = digest as UInt64] in
      precondition(YearScenarios.digest(5) == digest)
    }
  }
}
