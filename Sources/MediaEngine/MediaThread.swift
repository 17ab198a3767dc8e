import DatagramSockets
import Glibc
import MediaRelay

/// Starts the thread on which a ``MediaLoop`` runs.
enum MediaThread {
  /// What the thread is given: it is the only one that keeps these alive.
  private final class Start: Sendable {
    let queue: CommandQueue
    let onEvent: @Sendable (MediaEvent) -> Void

    init(_ queue: CommandQueue, _ onEvent: @escaping @Sendable (MediaEvent) -> Void) {
      self.queue = queue
      self.onEvent = onEvent
    }
  }

  static func start(
    _ queue: CommandQueue, onEvent: @escaping @Sendable (MediaEvent) -> Void
  ) throws(RelayEngineError) {
    // Signals are for the main thread: a thread inherits the mask of the one that makes it.
    var all = sigset_t()
    var before = sigset_t()
    unsafe sigfillset(&all)
    unsafe pthread_sigmask(SIG_SETMASK, &all, &before)
    // Taken over by the thread's function, or given back below.
    let context = unsafe Unmanaged.passRetained(Start(queue, onEvent))
    var thread = pthread_t()
    let result = unsafe pthread_create(
      &thread, nil,
      { context in
        // pthread_create passes on what it was given.
        let start = unsafe Unmanaged<Start>.fromOpaque(context!).takeRetainedValue()
        var loop = MediaLoop(start.queue, onEvent: start.onEvent)
        loop.run()
        return nil
      }, context.toOpaque())
    unsafe pthread_sigmask(SIG_SETMASK, &before, nil)
    guard result == 0 else {
      unsafe context.release()
      throw RelayEngineError(
        sentence: "The system refused to start the media thread: \(DatagramSocketError.words(result))")
    }
    queue.started(thread)
  }
}
