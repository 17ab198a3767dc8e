import Foundation

/// Standard output and standard error, at once: what is printed is seen even where it goes into a pipe.
enum Console {
  /// Answers whether anybody still takes what is printed.
  @discardableResult static func print(_ text: String) -> Bool { write(text, .standardOutput) }
  @discardableResult static func error(_ text: String) -> Bool { write(text, .standardError) }

  private static func write(_ text: String, _ file: FileHandle) -> Bool {
    (try? file.write(contentsOf: Data((text + "\n").utf8))) != nil
  }
}

enum FileProbe {
  static func exists(_ path: String) -> Bool { FileManager.default.fileExists(atPath: path) }
}
