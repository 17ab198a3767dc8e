import LinkManager
import NetworkTypes
import Testing

@Suite struct CutDiaryTests {
  static let day: Int64 = 86_400
  static let base: Int64 = 1_795_000_000

  @Test func threeNightsMakeAHabit() throws {
    var diary = CutDiary()
    for night in 0..<3 {
      #expect(diary.expectation(now: Self.base + Int64(night) * Self.day) == nil)
      diary.add(.init(at: Self.base + Int64(night) * Self.day + Int64(night) * 20, seconds: 6))
    }
    let now = Self.base + 2 * Self.day + 3600
    let next = try #require(diary.expectation(now: now))
    #expect(next.begins > now)
    #expect((Self.base + 3 * Self.day - 120...Self.base + 3 * Self.day + 60).contains(next.begins))
    #expect(next.ends - next.begins < 300)
    #expect(next.seconds == 6)
  }

  @Test func severalCutsOfOneNightAreNone() {
    let diary = CutDiary((0..<6).map { CutDiary.Cut(at: Self.base + $0 * 50, seconds: 5) })
    #expect(diary.expectation(now: Self.base + 4000) == nil)
  }

  @Test func aHabitThatEndsIsForgotten() {
    let diary = CutDiary((0..<5).map { CutDiary.Cut(at: Self.base + $0 * Self.day, seconds: 5) })
    #expect(diary.expectation(now: Self.base + 5 * Self.day) != nil)
    #expect(diary.expectation(now: Self.base + 8 * Self.day) == nil)
  }

  @Test func midnightIsNoBorder() throws {
    let midnight = Self.base - Self.base % Self.day
    let diary = CutDiary(
      (0..<4).map { CutDiary.Cut(at: midnight + $0 * Self.day + ($0 % 2 == 0 ? -60 : 60), seconds: 5) })
    let next = try #require(diary.expectation(now: midnight + 3 * Self.day + 7200))
    #expect(next.begins < midnight + 4 * Self.day && next.ends > midnight + 4 * Self.day)
  }

  @Test func nonsenseIsNotKept() {
    var diary = CutDiary()
    diary.add(.init(at: -5, seconds: 5))
    diary.add(.init(at: .max, seconds: 5))
    diary.add(.init(at: Self.base, seconds: .max))
    #expect(diary.cuts.isEmpty)
    for number in 0..<200 { diary.add(.init(at: Self.base + Int64(number) * 60, seconds: 1)) }
    #expect(diary.cuts.count <= 40)
  }
}
