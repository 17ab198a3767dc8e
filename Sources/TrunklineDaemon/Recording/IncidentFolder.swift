import ControlAPI
import Foundation
import NetworkTypes

/// The folder with the recordings of this run and the last ones, and a small file for each incident that names its part of
/// one of them: the recording from its beginning to the end of the incident. Nothing is copied, so an incident costs nothing.
struct IncidentFolder: Sendable {
  let path: String

  private struct IncidentFile: Codable {
    var incident: IncidentStatus
    var recording: String
    /// Where it ends; 0 while the incident goes on, or where the process ended before it did: then it is the whole file.
    var bytes: Int
  }

  static func name(_ wallTime: WallTime) -> String {
    // Names sort by age.
    let digits = String(wallTime.nanoseconds / 1_000_000)
    return "\(String(repeating: "0", count: max(0, 14 - digits.utf8.count)))\(digits).recording"
  }

  /// Makes the folder and room in it. Answers how long a new recording may become.
  func prepare(_ limits: FlightRecorder.Limits, wallTime: WallTime) throws -> Int {
    try FileManager.default.createDirectory(
      atPath: path, withIntermediateDirectories: true, attributes: [.posixPermissions: 0o700])
    let system = try FileManager.default.attributesOfFileSystem(forPath: path)
    let free = (system[.systemFreeSize] as? NSNumber)?.doubleValue ?? 0
    let limit = min(limits.longest, Int(free * limits.shareOfFree))
    var room = limits.total - limit
    for name in names(".recording").reversed() {
      let size = self.size(name)
      if size > room {
        try? FileManager.default.removeItem(atPath: file(name))
        room = 0
      } else {
        room -= size
      }
    }
    let kept = Set(names(".recording"))
    var incidents = 0
    for name in names(".incident").reversed() {
      incidents += 1
      guard let read = read(name), kept.contains(read.recording), incidents < limits.incidents else {
        try? FileManager.default.removeItem(atPath: file(name))
        continue
      }
    }
    return limit
  }

  /// A new file; its name is later than that of every other, whatever the clock says.
  func create(_ wallTime: WallTime) throws -> (name: String, file: FileHandle) {
    var wallTime = wallTime
    if let last = names(".recording").last, last >= Self.name(wallTime), let time = Int64(last.prefix { $0 != "." }) {
      wallTime = WallTime(nanoseconds: (time + 1) * 1_000_000)
    }
    let name = Self.name(wallTime)
    guard
      FileManager.default.createFile(atPath: file(name), contents: nil, attributes: [.posixPermissions: 0o600]),
      let handle = FileHandle(forWritingAtPath: file(name))
    else { throw CocoaError(.fileWriteUnknown) }
    return (name, handle)
  }

  /// Writes or rewrites an incident's file; it is there whole or not at all.
  func write(_ incident: IncidentStatus, recording: String, bytes: Int) throws {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys, .prettyPrinted]
    var incident = incident
    incident.bytes = bytes
    let data = try encoder.encode(IncidentFile(incident: incident, recording: recording, bytes: bytes))
    let name = "\(Self.name(recording, incident.id)).incident"
    try data.write(to: URL(fileURLWithPath: file(name)), options: .atomic)
    try? FileManager.default.setAttributes([.posixPermissions: 0o600], ofItemAtPath: file(name))
  }

  /// Newest first.
  func incidents() -> [IncidentStatus] {
    names(".incident").compactMap { name in
      guard let read = read(name) else { return nil }
      var incident = read.incident
      incident.bytes = read.bytes > 0 ? read.bytes : size(read.recording)
      return incident
    }.sorted { ($0.at, $0.id) > ($1.at, $1.id) }
  }

  func document(_ id: String) -> IncidentDocument? {
    for name in names(".incident").reversed() {
      guard let read = read(name), read.incident.id == id,
        let handle = FileHandle(forReadingAtPath: file(read.recording))
      else { continue }
      return IncidentDocument(length: read.bytes > 0 ? read.bytes : size(read.recording)) { count in
        (try? handle.read(upToCount: count)).map { Array($0) } ?? []
      }
    }
    return nil
  }

  private static func name(_ recording: String, _ id: String) -> String {
    "\(recording.prefix { $0 != "." })-\(id.filter { $0.isASCII && ($0.isLetter || $0.isNumber) }.prefix(40))"
  }

  private func file(_ name: String) -> String { path + "/" + name }

  private func names(_ ending: String) -> [String] {
    ((try? FileManager.default.contentsOfDirectory(atPath: path)) ?? []).filter { $0.hasSuffix(ending) }.sorted()
  }

  private func size(_ name: String) -> Int {
    ((try? FileManager.default.attributesOfItem(atPath: file(name)))?[.size] as? NSNumber)?.intValue ?? 0
  }

  private func read(_ name: String) -> IncidentFile? {
    guard let data = FileManager.default.contents(atPath: file(name)) else { return nil }
    return try? JSONDecoder().decode(IncidentFile.self, from: data)
  }
}
