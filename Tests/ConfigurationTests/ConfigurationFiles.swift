import Foundation
import TrunklineDaemon

/// The files of this folder, and a world for them in which four secrets exist.
enum ConfigurationFiles {
  static let folder = URL(filePath: #filePath).deletingLastPathComponent()

  static func names(in folder: String) -> [String] {
    let all = (try? FileManager.default.contentsOfDirectory(atPath: Self.folder.appending(path: folder).path)) ?? []
    return all.filter { $0.hasSuffix(".yaml") }.sorted()
  }

  static func text(_ path: String) throws -> String {
    try String(contentsOf: folder.appending(path: path), encoding: .utf8)
  }

  static func load(_ text: String) -> LoadedConfiguration { load(Array(text.utf8)) }

  static func load(_ bytes: [UInt8]) -> LoadedConfiguration {
    let environment = [
      "PHONE_10": "secret-a", "PHONE_40": "secret-b", "PBX1": "secret-c", "SIPGATE": "secret-d",
      "TRUNKLINE_TOKEN": "secret-e", "EMPTY": "",
    ]
    return ConfigurationLoader.load(path: "/etc/trunkline.yaml", environment: environment) {
      (path) throws(UnreadableFile) in
      switch path {
      case "/etc/trunkline.yaml": return bytes
      case "/run/secrets/fax", "/etc/secrets/fax": return Array("secret-f\n".utf8)
      default: throw UnreadableFile("no such file")
      }
    }
  }
}
