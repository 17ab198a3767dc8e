public import Foundation
import Glibc

/// How the command line finds the running daemon: a file that only its user can read, with the address of the API and the
/// token.
public struct ControlFile: Codable, Sendable, Equatable {
  public var url: String
  public var token: String
  public var processID: Int32

  public init(url: String, token: String, processID: Int32) {
    self.url = url
    self.token = token
    self.processID = processID
  }

  /// `/run/trunkline/control.json` for root, else in the user's runtime folder, else in a folder of the user's own below the
  /// temporary one.
  public static func path(environment: [String: String] = ProcessInfo.processInfo.environment) -> String {
    if let folder = environment["TRUNKLINE_RUNTIME_DIR"] { return folder + "/control.json" }
    if getuid() == 0 { return "/run/trunkline/control.json" }
    if let folder = environment["XDG_RUNTIME_DIR"] { return folder + "/trunkline/control.json" }
    return "/tmp/trunkline-\(getuid())/control.json"
  }

  /// Writes the file with mode 0600 in a folder of mode 0700.
  public func write(to path: String = path()) throws {
    let folder = (path as NSString).deletingLastPathComponent
    try FileManager.default.createDirectory(
      atPath: folder, withIntermediateDirectories: true, attributes: [.posixPermissions: 0o700])
    guard Self.isOwn(folder) else { throw ForeignFolder(path: folder) }
    let data = try JSONEncoder().encode(self)
    let temporary = "\(path).\(processID)"
    guard
      FileManager.default.createFile(atPath: temporary, contents: data, attributes: [.posixPermissions: 0o600])
    else { throw CocoaError(.fileWriteUnknown) }
    try? FileManager.default.removeItem(atPath: path)
    try FileManager.default.moveItem(atPath: temporary, toPath: path)
  }

  /// The file, where there is one that can be read.
  public static func read(from path: String = path()) -> ControlFile? {
    guard isOwn((path as NSString).deletingLastPathComponent), let data = FileManager.default.contents(atPath: path)
    else { return nil }
    return try? JSONDecoder().decode(ControlFile.self, from: data)
  }

  /// Whether a folder below /tmp is this user's: anyone may have made it first there, to forge what is in it.
  private static func isOwn(_ folder: String) -> Bool {
    guard folder.hasPrefix("/tmp/trunkline-") else { return true }
    // Of a link these are its own attributes.
    let owner = try? FileManager.default.attributesOfItem(atPath: folder)[.ownerAccountID] as? NSNumber
    return owner?.uint32Value == getuid()
  }

  private struct ForeignFolder: Error, CustomStringConvertible {
    let path: String
    var description: String { "\(path) belongs to someone else" }
  }

  /// Removes the file where it is this process's.
  public func remove(at path: String = path()) {
    if Self.read(from: path)?.processID == processID { try? FileManager.default.removeItem(atPath: path) }
  }
}
