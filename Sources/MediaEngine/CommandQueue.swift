import DatagramSockets
import Glibc
import MediaRelay
import Synchronization

/// The way from signalling to media: a bounded queue, and the wake-up of the thread that waits for sockets.
final class CommandQueue: Sendable {
  static let limit = 8192

  private struct State {
    var commands: [MediaCommand] = []
    var isStopping = false
    var thread: pthread_t?
  }

  private let state = Mutex(State())
  let poller: DatagramPoller

  init(poller: DatagramPoller) { self.poller = poller }

  func append(_ command: MediaCommand) -> Bool {
    let (isTaken, isFirst) = state.withLock { state in
      guard !state.isStopping, state.commands.count < Self.limit else { return (false, false) }
      state.commands.append(command)
      return (true, state.commands.count == 1)
    }
    if isFirst { poller.wake() }
    return isTaken
  }

  /// What waits, and whether nothing more will come. For the media thread, after a wake-up.
  func take() -> (commands: [MediaCommand], isStopping: Bool) {
    state.withLock { state in
      defer { state.commands = [] }
      return (state.commands, state.isStopping)
    }
  }

  func started(_ thread: pthread_t) { state.withLock { $0.thread = thread } }

  /// Asks the thread to end, and waits for it; a second call finds no thread to wait for.
  func stop() {
    let thread = state.withLock { state in
      defer { state.thread = nil }
      state.isStopping = true
      return state.thread
    }
    poller.wake()
    guard let thread else { return }
    if pthread_equal(thread, pthread_self()) != 0 {
      // Nobody can wait for itself: the system tidies up when it ends.
      pthread_detach(thread)
    } else {
      pthread_join(thread, nil)
    }
  }
}
