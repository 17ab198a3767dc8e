import NetworkTypes
import Testing

@Suite struct TimerTableTests {
  enum Name: Hashable { case a, b, c }
  func at(_ seconds: Int64) -> MonotonicInstant { MonotonicInstant(nanoseconds: seconds * 1_000_000_000) }

  @Test func firesInTheOrderOfDeadlinesThenOfSetting() {
    var timers = TimerTable<Name>()
    timers.set(.c, at: at(2))
    timers.set(.b, at: at(1))
    timers.set(.a, at: at(2))
    #expect(timers.nextDeadline == at(1))
    #expect(timers.popDue(now: at(0)) == nil)
    #expect(timers.popDue(now: at(2)) == .b)
    #expect(timers.popDue(now: at(2)) == .c)
    #expect(timers.popDue(now: at(2)) == .a)
    #expect(timers.isEmpty && timers.nextDeadline == nil)
  }

  @Test func settingAgainMovesAndCancellingRemoves() {
    var timers = TimerTable<Name>()
    timers.set(.a, at: at(1))
    timers.set(.a, at: at(5))
    timers.set(.b, at: at(3))
    #expect(timers.nextDeadline == at(3))
    timers.cancel(.b)
    #expect(timers.nextDeadline == at(5))
    #expect(timers.popDue(now: at(4)) == nil)
    #expect(timers.popDue(now: at(5)) == .a)
  }

  /// Against a plain list, over random operations; and the heap must not keep what was replaced.
  @Test(arguments: 1...20) func agreesWithAList(seed: Int) {
    var random = RandomSource(seed: UInt64(seed))
    var timers = TimerTable<Int>()
    var model: [(name: Int, deadline: Int64)] = []
    for _ in 0..<2000 {
      let name = Int.random(in: 0..<10, using: &random)
      switch Int.random(in: 0..<4, using: &random) {
      case 0, 1:
        let deadline = Int64.random(in: 0..<50, using: &random)
        timers.set(name, at: at(deadline))
        model.removeAll { $0.name == name }
        model.append((name, deadline))
      case 2:
        timers.cancel(name)
        model.removeAll { $0.name == name }
      default:
        let now = Int64.random(in: 0..<50, using: &random)
        let due = model.enumerated().min { ($0.element.deadline, $0.offset) < ($1.element.deadline, $1.offset) }
        if let due, due.element.deadline <= now {
          #expect(timers.popDue(now: at(now)) == due.element.name)
          model.remove(at: due.offset)
        } else {
          #expect(timers.popDue(now: at(now)) == nil)
        }
      }
      #expect(timers.count == model.count)
      #expect(timers.nextDeadline == model.map { at($0.deadline) }.min())
    }
  }
}
