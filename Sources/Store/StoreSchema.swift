import Foundation
import GRDB
import LinkManager

/// Tables, their migrations, and the statements on them. A migration that was released is never changed.
enum StoreSchema {
  static func open(_ path: String, pageLimit: Int?) throws -> DatabaseQueue {
    let folder = URL(filePath: path).deletingLastPathComponent().path
    try FileManager.default.createDirectory(
      atPath: folder, withIntermediateDirectories: true, attributes: [.posixPermissions: 0o700])
    var configuration = Configuration()
    configuration.journalMode = .wal
    configuration.busyMode = .timeout(5)
    let database = try DatabaseQueue(path: path, configuration: configuration)
    // Whom an office calls is nobody else's business.
    try? FileManager.default.setAttributes([.posixPermissions: 0o600], ofItemAtPath: path)
    // WAL alone syncs at checkpoints only: a power cut would take the last calls.
    try database.inDatabase { try $0.execute(sql: "PRAGMA synchronous = FULL") }
    try migrator.migrate(database)
    if let pageLimit { try database.inDatabase { try $0.execute(sql: "PRAGMA max_page_count = \(pageLimit)") } }
    return database
  }

  static var migrator: DatabaseMigrator {
    var migrator = DatabaseMigrator()
    migrator.registerMigration("1: calls and verdicts") { connection in
      try connection.execute(
        sql: """
          CREATE TABLE call (
            position INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, direction TEXT NOT NULL,
            caller TEXT NOT NULL, callee TEXT NOT NULL, trunk TEXT, startedAt TEXT NOT NULL, answeredAt TEXT,
            endedAt TEXT NOT NULL, result TEXT NOT NULL, status INTEGER, endedBy TEXT NOT NULL, sentence TEXT);
          CREATE INDEX callEndedAt ON call (endedAt);
          CREATE TABLE verdict (
            position INTEGER PRIMARY KEY AUTOINCREMENT, at TEXT NOT NULL, subject TEXT NOT NULL, callID TEXT,
            code TEXT NOT NULL, sentence TEXT NOT NULL, evidence TEXT NOT NULL, nextStep TEXT NOT NULL);
          """)
    }
    migrator.registerMigration("2: notes for the next run") { connection in
      try connection.execute(sql: "CREATE TABLE note (key TEXT PRIMARY KEY NOT NULL, text TEXT NOT NULL)")
    }
    return migrator
  }

  static func insert(_ record: CallRecord, _ connection: Database) throws {
    try connection.execute(
      sql: """
        INSERT OR REPLACE INTO call
          (id, direction, caller, callee, trunk, startedAt, answeredAt, endedAt, result, status, endedBy, sentence)
        VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
        """,
      arguments: [
        record.id, record.direction, record.from, record.to, record.trunk, record.startedAt, record.answeredAt,
        record.endedAt, record.result, record.status, record.endedBy, record.sentence,
      ])
    try connection.execute(sql: "DELETE FROM note WHERE key = ?", arguments: [answeredKey + record.id])
  }

  /// In the place of a record that is not there yet.
  static func insertAnswered(_ record: CallRecord, _ connection: Database) throws {
    let text = String(decoding: try JSONEncoder().encode(record), as: UTF8.self)
    try insertNote(text, key: answeredKey + record.id, connection)
  }

  /// - Returns: how many calls had none.
  static func endTornCalls(_ connection: Database) throws -> Int {
    let aliveAt = try note(connection, key: aliveKey) ?? ""
    let texts = try String.fetchAll(
      connection, sql: "SELECT text FROM note WHERE key GLOB ? ORDER BY rowid", arguments: [answeredKey + "*"])
    var count = 0
    for text in texts {
      guard var record = try? JSONDecoder().decode(CallRecord.self, from: Data(text.utf8)) else { continue }
      record.endedAt = max(record.endedAt, aliveAt)
      record.sentence = "Trunkline ended without a word during this call, which may have lasted a little longer."
      try insert(record, connection)
      count += 1
    }
    try connection.execute(sql: "DELETE FROM note WHERE key GLOB ?", arguments: [answeredKey + "*"])
    return count
  }

  static func insert(_ verdict: Verdict, _ connection: Database) throws {
    try connection.execute(
      sql: "INSERT INTO verdict (at, subject, callID, code, sentence, evidence, nextStep) VALUES (?, ?, ?, ?, ?, ?, ?)",
      arguments: [
        verdict.at, verdict.subject, verdict.callID, verdict.code, verdict.sentence, verdict.evidence,
        verdict.nextStep,
      ])
  }

  static func insertNote(_ text: String, key: String, _ connection: Database) throws {
    try connection.execute(sql: "INSERT OR REPLACE INTO note (key, text) VALUES (?, ?)", arguments: [key, text])
  }

  static func note(_ connection: Database, key: String) throws -> String? {
    try String.fetchOne(connection, sql: "SELECT text FROM note WHERE key = ?", arguments: [key])
  }

  static let machineKey = "machine"
  /// When the process that writes was last known to live.
  static let aliveKey = "alive"
  private static let answeredKey = "answered "

  /// What somebody else has written there is no name.
  static func machine(_ connection: Database) throws -> String? {
    try note(connection, key: machineKey).flatMap { text in
      text.utf8.count == 32 && text.utf8.allSatisfy { (48...57).contains($0) || (97...102).contains($0) } ? text : nil
    }
  }

  static func prune(to limit: Int, _ connection: Database) throws {
    for table in ["call", "verdict"] {
      try connection.execute(
        sql: "DELETE FROM \(table) WHERE position <= (SELECT max(position) FROM \(table)) - ?", arguments: [limit])
    }
  }

  static func calls(_ connection: Database, limit: Int, before: String?) throws -> [CallRecord] {
    let rows: [Row]
    if let before {
      rows = try Row.fetchAll(
        connection,
        sql: """
          SELECT * FROM call WHERE CASE WHEN EXISTS (SELECT 1 FROM call WHERE id = :before)
            THEN position < (SELECT position FROM call WHERE id = :before) ELSE endedAt < :before END
          ORDER BY position DESC LIMIT :limit
          """, arguments: ["before": before, "limit": limit])
    } else {
      rows = try Row.fetchAll(
        connection, sql: "SELECT * FROM call ORDER BY position DESC LIMIT ?", arguments: [limit])
    }
    return rows.map(record)
  }

  static func call(_ connection: Database, id: String) throws -> CallRecord? {
    try Row.fetchOne(connection, sql: "SELECT * FROM call WHERE id = ?", arguments: [id]).map(record)
  }

  static func verdicts(_ connection: Database, limit: Int) throws -> [Verdict] {
    try Row.fetchAll(
      connection, sql: "SELECT * FROM verdict ORDER BY position DESC LIMIT ?", arguments: [limit]
    ).map { row in
      Verdict(
        at: row["at"], subject: row["subject"], callID: row["callID"], code: row["code"], sentence: row["sentence"],
        evidence: row["evidence"], nextStep: row["nextStep"])
    }
  }

  private static func record(_ row: Row) -> CallRecord {
    CallRecord(
      id: row["id"], direction: row["direction"], from: row["caller"], to: row["callee"], trunk: row["trunk"],
      startedAt: row["startedAt"], answeredAt: row["answeredAt"], endedAt: row["endedAt"], result: row["result"],
      status: row["status"], endedBy: row["endedBy"], sentence: row["sentence"])
  }
}
