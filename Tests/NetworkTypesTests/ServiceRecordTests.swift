import NetworkTypes
import Testing

@Suite struct ServiceRecordTests {
  static func record(_ priority: UInt16, _ weight: UInt16, _ target: String, port: UInt16 = 3478) -> ServiceRecord {
    ServiceRecord(priority: priority, weight: weight, port: port, target: target)
  }

  @Test func lowPrioritiesComeFirst() {
    for seed in UInt64(1)...50 {
      var random = RandomSource(seed: seed)
      let records = [Self.record(20, 900, "c"), Self.record(10, 1, "a"), Self.record(10, 60, "b")]
      let order = ServiceRecord.ordered(records, random: &random).map(\.target)
      #expect(Set(order.prefix(2)) == ["a", "b"])
      #expect(order.last == "c")
    }
  }

  /// RFC 2782: three of one priority by weight. Each share is within three standard deviations of a thousand draws.
  @Test func weightsAreShares() {
    var random = RandomSource(seed: 2782)
    var first: [String: Int] = [:]
    let records = [Self.record(1, 10, "a"), Self.record(1, 30, "b"), Self.record(1, 60, "c")]
    for _ in 0..<1000 {
      let order = ServiceRecord.ordered(records, random: &random)
      #expect(order.count == 3)
      first[order[0].target, default: 0] += 1
    }
    #expect((70...130).contains(first["a"] ?? 0))
    #expect((255...345).contains(first["b"] ?? 0))
    #expect((550...650).contains(first["c"] ?? 0))
  }

  @Test func weightZeroIsHardlyEverFirstAndNeverLost() {
    var random = RandomSource(seed: 7)
    var zeroFirst = 0
    for _ in 0..<2000 {
      let order = ServiceRecord.ordered([Self.record(1, 0, "a"), Self.record(1, 99, "b")], random: &random)
      #expect(order.count == 2)
      if order[0].target == "a" { zeroFirst += 1 }
    }
    #expect((1...60).contains(zeroFirst))
    let zeroes = ServiceRecord.ordered((0..<5).map { Self.record(1, 0, "h\($0)") }, random: &random)
    #expect(Set(zeroes.map(\.target)).count == 5)
  }

  @Test func theOrderOfTheRowsDoesNotCount() {
    let records = (0..<8).map { Self.record(UInt16($0 % 2), UInt16($0), "h\($0)") }
    var one = RandomSource(seed: 5)
    var other = RandomSource(seed: 5)
    #expect(
      ServiceRecord.ordered(records, random: &one) == ServiceRecord.ordered(records.reversed(), random: &other))
  }

  @Test func recordsThatLeadNowhereAreLeftOut() {
    var random = RandomSource(seed: 1)
    #expect(
      ServiceRecord.ordered([Self.record(0, 0, "."), Self.record(0, 0, "a", port: 0)], random: &random).isEmpty)
    #expect(ServiceRecord.ordered([], random: &random).isEmpty)
  }
}
