import Foundation
import Glibc

/// Standard output and standard error, at once: what is printed is seen even where it goes into a pipe.
enum Console {
  /// Answers whether anybody still takes what is printed.
  @discardableResult static func print(_ text: String) -> Bool { write(text, .standardOutput) }
  @discardableResult static func error(_ text: String) -> Bool { write(text, .standardError) }

  private static func write(_ text: String, _ file: FileHandle) -> Bool {
    (try? file.write(contentsOf: Data((text + "\n").utf8))) != nil
  }

  /// For the daemon: a reader of its output who goes does not end it, and where it was started without one of the standard
  /// streams, no socket takes that stream's number and then the log.
  static func prepareForDaemon() {
    signal(SIGPIPE, SIG_IGN)
    for descriptor in Int32(0)...2 where fcntl(descriptor, F_GETFD) == -1 {
      // The lowest free number is taken, which is this one; the path is a string of ours.
      _ = unsafe open("/dev/null", descriptor == 0 ? O_RDONLY : O_WRONLY)
    }
  }
}

enum FileProbe {
  static func exists(_ path: String) -> Bool { FileManager.default.fileExists(atPath: path) }
}
