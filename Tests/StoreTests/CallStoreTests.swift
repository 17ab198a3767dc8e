import Foundation
import LinkManager
import Store
import Synchronization
import Testing

private struct Unexpected: Error {}

@Suite struct CallStoreTests {
  @Test func whatWasStoredIsReadByAnotherStore() async throws {
    try await withFolder { folder in
      let path = "\(folder)/deep/er/trunkline.sqlite"
      let first = CallStore(path: path) { Issue.record("\($0)") }
      for number in 1...5 { await first.append(record(number)) }
      await first.append(verdict(1))
      // The first store is still open, as after a crash: nothing was closed or checkpointed.
      let second = CallStore(path: path) { Issue.record("\($0)") }
      #expect(await second.history() == (1...5).reversed().map(record))
      #expect(await second.verdicts() == [verdict(1)])
      #expect(await second.call(id: "call-3") == record(3))
      #expect(await second.call(id: "call-9") == nil)
      let attributes = try FileManager.default.attributesOfItem(atPath: path)
      #expect(attributes[.posixPermissions] as? Int == 0o600)
      _ = await first.history()
    }
  }

  @Test func callsThatWereUpAtAKillGetTheirRecords() async throws {
    try await withFolder { folder in
      let path = "\(folder)/a.sqlite"
      let first = CallStore(path: path) { Issue.record("\($0)") }
      #expect(await first.endTornCalls() == 0)
      await first.noteAlive(at: "2026-11-23T23:00:00.000Z")
      for number in 1...3 { first.put(.answered(record(number))) }
      first.put(.call(record(2)))
      await first.write()
      for second in 0..<10 { await first.noteAlive(at: "2026-11-24T00:00:0\(second).000Z") }
      // Killed: another process comes.
      let second = CallStore(path: path) { Issue.record("\($0)") }
      #expect(await second.endTornCalls() == 2)
      let history = await second.history()
      #expect(history.map(\.id) == ["call-3", "call-1", "call-2"])
      #expect(history[2] == record(2), "it had ended before")
      for torn in history.prefix(2) {
        #expect(torn.endedAt == "2026-11-24T00:00:09.000Z", "the last sign of life that was written")
        #expect(torn.sentence?.contains("without a word") == true)
      }
      #expect(await second.endTornCalls() == 0)
      #expect(await second.history() == history)
    }
  }

  @Test func historyIsReadInPages() async throws {
    try await withFolder { folder in
      let store = CallStore(path: "\(folder)/a.sqlite") { Issue.record("\($0)") }
      for number in 1...9 { await store.append(record(number)) }
      let first = await store.history(limit: 4)
      #expect(first.map(\.id) == ["call-9", "call-8", "call-7", "call-6"])
      #expect(await store.history(limit: 4, before: "call-6").map(\.id) == ["call-5", "call-4", "call-3", "call-2"])
      #expect(await store.history(limit: 4, before: record(3).endedAt).map(\.id) == ["call-2", "call-1"])
      #expect(await store.history(limit: 0).count == 1)
    }
  }

  @Test func oneIdIsOneCall() async throws {
    try await withFolder { folder in
      let store = CallStore(path: "\(folder)/a.sqlite") { Issue.record("\($0)") }
      await store.append(record(1))
      var changed = record(1)
      changed.result = "failed"
      changed.status = 486
      await store.append(changed)
      #expect(await store.history() == [changed])
    }
  }

  @Test func oldestRowsArePruned() async throws {
    try await withFolder { folder in
      let store = CallStore(path: "\(folder)/a.sqlite", rowLimit: 3) { Issue.record("\($0)") }
      for number in 1...10 {
        await store.append(record(number))
        await store.append(verdict(number))
      }
      #expect(await store.history().map(\.id) == ["call-10", "call-9", "call-8"])
      #expect(await store.verdicts() == [verdict(10), verdict(9), verdict(8)])
    }
  }

  @Test func troubleIsReportedOnceAndCallsWaitInMemory() async throws {
    try await withFolder { folder in
      // A file where the folder should be: the store cannot be made, whoever runs this test.
      let blocker = "\(folder)/blocked"
      try "x".write(toFile: blocker, atomically: true, encoding: .utf8)
      let reports = Mutex<[StoreTrouble]>([])
      let store = CallStore(path: "\(blocker)/a.sqlite") { trouble in reports.withLock { $0.append(trouble) } }
      await store.open()
      for number in 1...3 { await store.append(record(number)) }
      await store.append(verdict(1))
      #expect(reports.withLock { $0.count } == 1)
      guard case .began(let reason, false)? = reports.withLock({ $0.first }) else { throw Unexpected() }
      #expect(reason.contains(blocker))
      #expect(await store.history().map(\.id) == ["call-3", "call-2", "call-1"])
      #expect(await store.history(before: "call-3").map(\.id) == ["call-2", "call-1"])
      #expect(await store.verdicts() == [verdict(1)])
      #expect(await store.call(id: "call-2") == record(2))

      try FileManager.default.removeItem(atPath: blocker)
      await store.append(record(4))
      #expect(reports.withLock { $0.last } == .ended)
      let other = CallStore(path: "\(blocker)/a.sqlite") { Issue.record("\($0)") }
      #expect(await other.history().map(\.id) == ["call-4", "call-3", "call-2", "call-1"])
      #expect(await other.verdicts() == [verdict(1)])
    }
  }

  /// SQLite says the same of a disk without room and of a file that may not grow.
  @Test func aFullDiskIsToldAsThat() async throws {
    try await withFolder { folder in
      let path = "\(folder)/a.sqlite"
      let reports = Mutex<[StoreTrouble]>([])
      let store = CallStore(path: path, pageLimit: 12) { trouble in reports.withLock { $0.append(trouble) } }
      for number in 1...200 { await store.append(record(number)) }
      // SQLite lets a file that was opened anew grow a little: then it works again for a while.
      for (place, trouble) in reports.withLock({ $0 }).enumerated() {
        switch trouble {
        case .began(_, let isDiskFull): #expect(isDiskFull && place % 2 == 0)
        case .ended: #expect(place % 2 == 1)
        }
      }
      guard case .began? = reports.withLock({ $0.last }) else { throw Unexpected() }
      #expect(await store.history(limit: 1).map(\.id) == ["call-200"])
    }
  }

  @Test func fileThatIsNoDatabaseIsLeftAlone() async throws {
    try await withFolder { folder in
      let path = "\(folder)/a.sqlite"
      let text = String(repeating: "not a database ", count: 1000)
      try text.write(toFile: path, atomically: true, encoding: .utf8)
      let reports = Mutex<[StoreTrouble]>([])
      let store = CallStore(path: path) { trouble in reports.withLock { $0.append(trouble) } }
      await store.append(record(1))
      #expect(reports.withLock { $0.count } == 1)
      #expect(await store.history() == [record(1)])
      #expect(try String(contentsOfFile: path, encoding: .utf8) == text)
    }
  }

  @Test func theMachinesNameIsMadeOnceAndStays() async throws {
    try await withFolder { folder in
      let path = "\(folder)/a.sqlite"
      let (first, second) = (String(repeating: "0a", count: 16), String(repeating: "1b", count: 16))
      let store = CallStore(path: path) { Issue.record("\($0)") }
      #expect(await store.machine(or: first) == first)
      #expect(await store.machine(or: second) == first)
      // The first store is still open, as after a crash.
      let other = CallStore(path: path) { Issue.record("\($0)") }
      #expect(await other.machine(or: second) == first)
      // What somebody wrote over it is no name.
      await other.append(note: "'); DROP", key: "machine")
      let third = CallStore(path: path) { Issue.record("\($0)") }
      #expect(await third.machine(or: second) == second)
      _ = await store.history()
    }
  }

  @Test func aBrokenStoreGivesAFreshNameAndDoesNotKeepIt() async throws {
    try await withFolder { folder in
      let (first, second) = (String(repeating: "0a", count: 16), String(repeating: "1b", count: 16))
      let memory = CallStore(path: nil) { Issue.record("\($0)") }
      #expect(await memory.machine(or: first) == first)
      let path = "\(folder)/b.sqlite"
      try String(repeating: "not a database ", count: 1000).write(toFile: path, atomically: true, encoding: .utf8)
      let reports = Mutex<[StoreTrouble]>([])
      let store = CallStore(path: path) { trouble in reports.withLock { $0.append(trouble) } }
      #expect(await store.machine(or: first) == first)
      #expect(await store.machine(or: second) == second)
      #expect(reports.withLock { $0.count } == 1)
      // It works again, and the name of the time before is what counts.
      try FileManager.default.removeItem(atPath: path)
      let other = CallStore(path: path) { Issue.record("\($0)") }
      #expect(await other.machine(or: second) == second)
      await store.append(record(1))
      #expect(await store.machine(or: first) == second)
    }
  }

  @Test func memoryIsBounded() async {
    let store = CallStore(path: nil) { Issue.record("\($0)") }
    for number in 1...(CallStore.memoryLimit + 10) { await store.append(record(number)) }
    let history = await store.history(limit: 1000)
    #expect(history.count == 1000)
    #expect(history.first?.id == "call-\(CallStore.memoryLimit + 10)")
    #expect(await store.call(id: "call-10") == nil)
    #expect(await store.call(id: "call-11") != nil)
  }

  @Test func appendsFromManyTasksAreAllStored() async throws {
    try await withFolder { folder in
      let path = "\(folder)/a.sqlite"
      let store = CallStore(path: path) { Issue.record("\($0)") }
      await withTaskGroup(of: Void.self) { group in
        for number in 1...200 { group.addTask { await store.append(record(number)) } }
      }
      // An append that found another one writing left its entry to that one.
      await store.append(record(201))
      #expect(Set(await store.history(limit: 1000).map(\.id)).count == 201)
    }
  }

  private func withFolder(_ body: (String) async throws -> Void) async throws {
    let folder = FileManager.default.temporaryDirectory.appending(path: "trunkline-store-\(UUID().uuidString)").path
    try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(atPath: folder) }
    try await body(folder)
  }
}

private func record(_ number: Int) -> CallRecord {
  let minute = number < 10 ? "0\(number)" : "\(number % 60)"
  return CallRecord(
    id: "call-\(number)", direction: "outbound", from: "10", to: "+4921112\(number)", trunk: "t",
    startedAt: "2026-01-01T10:00:00.000Z", answeredAt: number % 2 == 0 ? nil : "2026-01-01T10:00:02.000Z",
    endedAt: "2026-01-01T10:\(minute):00.000Z", result: number % 2 == 0 ? "failed" : "answered",
    status: number % 2 == 0 ? 486 : nil, endedBy: "caller", sentence: number % 2 == 0 ? "busy" : nil)
}

private func verdict(_ number: Int) -> Verdict {
  Verdict(
    at: "2026-01-01T10:00:00.000Z", subject: "trunk t", callID: nil, code: "wrongPassword",
    sentence: "The provider refuses the password (\(number))", evidence: "403", nextStep: "Check the password")
}
