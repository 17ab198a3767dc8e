import Dispatch
import Foundation
import Logging
import Synchronization

/// Carries the lines of the log to standard error on a thread of its own: whoever reads them may be slow, or stopped in a
/// pager, and calls go on meanwhile. What does not fit into the queue then is counted and said later.
final class LogWriter: Sendable {
  private struct Queue {
    var lines = 0
    var dropped = 0
  }

  /// How many lines wait at most.
  static let limit = 2000
  static let standardError = LogWriter(.standardError)

  private let work = DispatchQueue(label: "trunkline.log")
  private let state = Mutex(Queue())
  private let file: FileHandle

  init(_ file: FileHandle) { self.file = file }

  func write(_ line: String) {
    let isTaken = state.withLock { queue in
      guard queue.lines < Self.limit else {
        queue.dropped += 1
        return false
      }
      queue.lines += 1
      return true
    }
    guard isTaken else { return }
    work.async { [self] in
      try? file.write(contentsOf: Data(line.utf8))
      let dropped = state.withLock { queue in
        queue.lines -= 1
        guard queue.lines == 0 else { return 0 }
        defer { queue.dropped = 0 }
        return queue.dropped
      }
      if dropped > 0 {
        let logger = Logger(label: "log") { LineLogHandler(label: $0, level: .warning, isJSON: line.hasPrefix("{")) }
        logger.warning("\(dropped) lines were lost here: nobody read them in time")
      }
    }
  }

  /// Waits until what was written so far is out, but not for a reader who has stopped.
  func flush() {
    let isDone = DispatchSemaphore(value: 0)
    work.async { isDone.signal() }
    _ = isDone.wait(timeout: .now() + .milliseconds(200))
  }
}

/// The least important level that is shown; a configuration that is read again changes it.
final class LogThreshold: Sendable {
  private let current: Mutex<Logger.Level>

  init(_ level: Logger.Level) { current = Mutex(level) }

  var level: Logger.Level {
    get { current.withLock { $0 } }
    set { current.withLock { $0 = newValue } }
  }
}
