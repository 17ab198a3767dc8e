import Testing
import TrunklineDaemon

/// Each file begins with what is expected: `# LINE:COLUMN: error: FRAGMENT`, one line for each message, and there are no
/// others.
@Suite struct MistakeTests {
  @Test(arguments: ConfigurationFiles.names(in: "Mistakes")) func mistakeIsRefusedAtItsPlace(_ name: String) throws {
    let (loaded, expected) = try load("Mistakes/\(name)")
    try #require(!expected.isEmpty)
    #expect(loaded.configuration == nil)
    #expect(loaded.printed().isEmpty)
    let errors = loaded.errors.map(\.description)
    #expect(errors.count == expected.count, "\(errors)")
    for (error, wanted) in zip(errors, expected) {
      let start = "/etc/trunkline.yaml:\(wanted.place): error: "
      #expect(error.hasPrefix(start), "\(error) instead of \(start)")
      #expect(error.contains(wanted.fragment), "\(error) instead of \(wanted.fragment)")
    }
  }

  @Test(arguments: ConfigurationFiles.names(in: "Notes")) func whatHasNoEffectIsSaid(_ name: String) throws {
    let (loaded, expected) = try load("Notes/\(name)")
    try #require(!expected.isEmpty)
    #expect(loaded.configuration != nil, "\(loaded.diagnostics)")
    let notes = loaded.diagnostics.map(\.description)
    #expect(notes.count == expected.count, "\(notes)")
    for (note, wanted) in zip(notes, expected) {
      #expect(note.hasPrefix("/etc/trunkline.yaml:\(wanted.place): note: "), "\(note)")
      #expect(note.contains(wanted.fragment), "\(note) instead of \(wanted.fragment)")
    }
  }

  /// The kinds of mistake that must always have a file of their own.
  @Test(arguments: [
    "unknown-key", "wrong-type-list", "port-70000", "keepalive-60s", "two-trunks-of-one-name", "route-to-unknown-phone",
    "route-over-unknown-trunk", "secret-env-missing", "secret-file-missing", "broken-yaml-bracket",
  ]) func fileExists(_ name: String) {
    #expect(ConfigurationFiles.names(in: "Mistakes").contains("\(name).yaml"))
  }

  @Test func emptyAndUnreadableFilesAreRefused() {
    #expect(ConfigurationFiles.load("").errors.map(\.position) == [.start])
    #expect(ConfigurationFiles.load("# nothing\n").errors.count == 1)
    #expect(ConfigurationFiles.load([0xff, 0xfe, 0x41]).errors.first?.sentence == "is not UTF-8 text")
    #expect(ConfigurationFiles.load([UInt8](repeating: 0x20, count: 1_000_001)).errors.count == 1)
    let missing = ConfigurationLoader.load(path: "x", environment: [:]) { (_) throws(UnreadableFile) in
      throw UnreadableFile("no such file")
    }
    #expect(missing.diagnostics.map(\.description) == ["x:1:1: error: cannot be read: no such file"])
  }

  private func load(_ path: String) throws -> (LoadedConfiguration, [(place: String, fragment: String)]) {
    let text = try ConfigurationFiles.text(path)
    var expected: [(place: String, fragment: String)] = []
    for line in text.split(separator: "\n") where line.hasPrefix("# ") {
      let parts = line.dropFirst(2).split(separator: ": ", maxSplits: 2)
      guard parts.count == 3, parts[1] == "error" || parts[1] == "note" else { continue }
      expected.append((String(parts[0]), String(parts[2])))
    }
    return (ConfigurationFiles.load(text), expected)
  }
}
