import Foundation
import GRDB
public import LinkManager
import Synchronization

/// What a store tells of itself.
public enum StoreTrouble: Sendable, Equatable {
  /// The store cannot be written, for this reason; `isDiskFull`: there is no room left.
  case began(reason: String, isDiskFull: Bool)
  /// It works again, and what waited is in it.
  case ended
}

/// One thing that a store keeps.
public enum StoreItem: Sendable {
  /// A finished call. One with an id that is known replaces it.
  case call(CallRecord)
  /// A call that was answered, in case this process does not live to see its end.
  case answered(CallRecord)
  case verdict(Verdict)
  /// A text for the next run, in the place of an earlier one with that key.
  case note(key: String, text: String)
}

/// Finished calls and verdicts, kept in an SQLite file.
///
/// What an `append` that returned has stored survives the end of the process and of the machine: write-ahead log with a
/// sync at every commit. A store that cannot be written is not a reason to stop making calls: the trouble is reported
/// once, the newest entries are kept in memory, and they are written as soon as that works again.
public actor CallStore {
  /// How many entries wait in memory at most.
  public static let memoryLimit = 2000

  private let path: String?
  private let rowLimit: Int
  private let pageLimit: Int?
  private let report: @Sendable (StoreTrouble) -> Void
  private var database: DatabaseQueue?
  /// What was put in, in the order in which it was, whoever gets his turn first.
  private let inbox = Mutex<[StoreItem]>([])
  /// Not written yet, oldest first.
  private var waiting: [StoreItem] = []
  /// How many of the oldest entries were dropped while a write of them was under way.
  private var droppedDuringWrite = 0
  private var isWriting = false
  private var isInTrouble = false
  /// Calls that were answered and are not over.
  private var answered: Set<String> = []
  /// Signs of life while a call was up.
  private var beats = 0

  /// - Parameters:
  ///   - path: the file, made with its folder where it does not exist; `nil` keeps everything in memory.
  ///   - rowLimit: how many calls, and how many verdicts, are kept; the oldest go first.
  ///   - report: is told once when the store stops working, and once when it works again.
  public init(path: String?, rowLimit: Int = 100_000, report: @escaping @Sendable (StoreTrouble) -> Void) {
    self.init(path: path, rowLimit: rowLimit, pageLimit: nil, report: report)
  }

  /// - Parameter pageLimit: how many pages the file may have, for tests of a full disk.
  package init(
    path: String?, rowLimit: Int = 100_000, pageLimit: Int?, report: @escaping @Sendable (StoreTrouble) -> Void
  ) {
    self.path = path
    self.pageLimit = pageLimit
    self.rowLimit = max(1, rowLimit)
    self.report = report
  }

  /// Opens the file, so that trouble is known at the start rather than at the first call's end.
  public func open() {
    guard let path, database == nil else { return }
    do {
      // That it opens is not yet a recovery: a full disk shows when something is written.
      database = try StoreSchema.open(path, pageLimit: pageLimit)
    } catch {
      noteTrouble(error)
    }
  }

  /// Takes something in, from any thread; it is written with the next `append` or ``write()``.
  public nonisolated func put(_ item: StoreItem) {
    inbox.withLock { inbox in
      if inbox.count >= Self.memoryLimit { inbox.removeFirst() }
      inbox.append(item)
    }
  }

  public func append(_ record: CallRecord) async {
    put(.call(record))
    await write()
  }

  public func append(_ verdict: Verdict) async {
    put(.verdict(verdict))
    await write()
  }

  public func append(note text: String, key: String) async {
    put(.note(key: key, text: text))
    await write()
  }

  /// A sign of life, `now` in RFC 3339, which is to be given every 5 s: each third is written while a call is up.
  public func noteAlive(at now: String) async {
    takeIn()
    guard !answered.isEmpty else { return }
    beats += 1
    if beats % 3 == 1 { await append(note: now, key: StoreSchema.aliveKey) }
  }

  /// Calls that were up when the last run ended without a word get their records, and end at its last sign of life. Answers
  /// how many there were.
  public func endTornCalls() async -> Int {
    open()
    guard let database else { return 0 }
    do {
      return try await database.write { connection in try StoreSchema.endTornCalls(connection) }
    } catch {
      self.database = nil
      noteTrouble(error)
      return 0
    }
  }

  /// The text that was kept last with that key; `nil` where none was.
  public func note(_ key: String) async -> String? {
    takeIn()
    for case .note(key, let text) in waiting.reversed() { return text }
    return await read { connection in try StoreSchema.note(connection, key: key).map { [$0] } ?? [] }.first
  }

  /// The name of this machine, which was made at random once and is kept. `fresh` is kept where there is none yet, and is the
  /// answer where the store cannot be used: then it is not written later either, since the one that is kept may come back.
  public func machine(or fresh: String) async -> String {
    open()
    guard let database else { return fresh }
    do {
      if let known = try await database.read({ try StoreSchema.machine($0) }) { return known }
      return try await database.write { connection in
        if let known = try StoreSchema.machine(connection) { return known }
        try StoreSchema.insertNote(fresh, key: StoreSchema.machineKey, connection)
        return fresh
      }
    } catch {
      self.database = nil
      noteTrouble(error)
      return fresh
    }
  }

  private func takeIn() {
    let new = inbox.withLock { inbox in
      defer { inbox = [] }
      return inbox
    }
    for item in new {
      switch item {
      case .call(let record): answered.remove(record.id)
      case .answered(let record):
        guard path != nil else { continue }
        answered.insert(record.id)
      case .note(let key, _):
        guard !isWriting else { break }
        waiting.removeAll { if case .note(key, _) = $0 { true } else { false } }
      case .verdict: break
      }
      if waiting.count >= Self.memoryLimit {
        waiting.removeFirst()
        if isWriting { droppedDuringWrite += 1 }
      }
      waiting.append(item)
    }
  }

  /// Writes what was put in.
  public func write() async {
    takeIn()
    guard path != nil, !isWriting else { return }
    open()
    guard let database else { return }
    isWriting = true
    defer { isWriting = false }
    while !waiting.isEmpty {
      let batch = waiting
      let rowLimit = rowLimit
      droppedDuringWrite = 0
      do {
        try await database.write { connection in
          for item in batch {
            switch item {
            case .call(let record): try StoreSchema.insert(record, connection)
            case .answered(let record): try StoreSchema.insertAnswered(record, connection)
            case .verdict(let verdict): try StoreSchema.insert(verdict, connection)
            case .note(let key, let text): try StoreSchema.insertNote(text, key: key, connection)
            }
          }
          try StoreSchema.prune(to: rowLimit, connection)
        }
        waiting.removeFirst(max(0, batch.count - droppedDuringWrite))
        noteRecovery()
      } catch {
        // A file that was replaced or a disk that came back is found by opening it anew.
        self.database = nil
        noteTrouble(error)
        return
      }
    }
  }

  /// The newest calls first.
  ///
  /// - Parameters:
  ///   - limit: how many at most, 1 to 1000.
  ///   - before: the id of a call, or a time in RFC 3339: only calls that ended before it.
  public func history(limit: Int = 100, before: String? = nil) async -> [CallRecord] {
    takeIn()
    let limit = min(max(limit, 1), 1000)
    var unsaved: [CallRecord] = []
    for case .call(let record) in waiting {
      unsaved.removeAll { $0.id == record.id }
      unsaved.append(record)
    }
    unsaved.reverse()
    var cut = unsaved[...]
    var isBeforeUnsaved = true
    if let before {
      if let index = unsaved.firstIndex(where: { $0.id == before }) {
        cut = unsaved[(index + 1)...]
        isBeforeUnsaved = false
      } else {
        cut = unsaved.filter { $0.endedAt < before }[...]
      }
    }
    let storedBefore = isBeforeUnsaved ? before : nil
    let known = unsaved.map(\.id)
    let stored = await read { connection in
      try StoreSchema.calls(connection, limit: limit, before: storedBefore)
    }
    return Array((cut + stored.filter { !known.contains($0.id) }).prefix(limit))
  }

  /// One finished call.
  public func call(id: String) async -> CallRecord? {
    takeIn()
    for case .call(let record) in waiting.reversed() where record.id == id { return record }
    return await read { connection in try StoreSchema.call(connection, id: id).map { [$0] } ?? [] }.first
  }

  /// The newest verdicts first, `limit` at most.
  public func verdicts(limit: Int = 100) async -> [Verdict] {
    takeIn()
    let limit = min(max(limit, 1), 1000)
    var unsaved: [Verdict] = []
    for case .verdict(let verdict) in waiting.reversed() { unsaved.append(verdict) }
    let stored = await read { connection in try StoreSchema.verdicts(connection, limit: limit) }
    return Array((unsaved + stored.filter { !unsaved.contains($0) }).prefix(limit))
  }

  private func read<Row: Sendable>(_ query: @escaping @Sendable (Database) throws -> [Row]) async -> [Row] {
    open()
    guard let database else { return [] }
    do {
      return try await database.read(query)
    } catch {
      noteTrouble(error)
      return []
    }
  }

  private func noteTrouble(_ error: any Error) {
    guard !isInTrouble else { return }
    isInTrouble = true
    let failure = error as? DatabaseError
    let reason = failure?.message ?? error.localizedDescription
    report(.began(reason: "\(path ?? ""): \(reason)", isDiskFull: failure?.resultCode == .SQLITE_FULL))
  }

  private func noteRecovery() {
    guard isInTrouble else { return }
    isInTrouble = false
    report(.ended)
  }
}
