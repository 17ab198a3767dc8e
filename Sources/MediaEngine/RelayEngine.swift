import DatagramSockets
public import MediaRelay

/// The relay in user space: one thread that owns the sockets of all media ports and carries packets between them.
///
/// What is decided is decided by ``MediaRelay/RelayCore``. A packet of a known source goes from a connected socket into one
/// buffer and out through another connected socket; on that way nothing is allocated and no reference counted.
///
/// The engine lives until ``stop()``, also without anyone holding it.
public final class RelayEngine: Sendable {
  private let queue: CommandQueue

  /// Starts the thread.
  ///
  /// - Parameter onEvent: called on the media thread, which carries no packets meanwhile: it hands the event on and returns.
  /// - Throws: when the system refuses the thread or the descriptors for waiting.
  public init(onEvent: @escaping @Sendable (MediaEvent) -> Void) throws(RelayEngineError) {
    do throws(DatagramSocketError) {
      queue = CommandQueue(poller: try DatagramPoller())
    } catch {
      throw RelayEngineError(sentence: error.sentence)
    }
    try MediaThread.start(queue, onEvent: onEvent)
  }

  /// Hands a command to the media thread; for any thread. Commands are carried out in their order.
  ///
  /// - Returns: false when the command was dropped: the engine has been stopped, or ``commandLimit`` commands wait, so that
  ///   the media thread must be stuck.
  @discardableResult
  public func send(_ command: MediaCommand) -> Bool { queue.append(command) }

  /// How many commands may wait.
  public static let commandLimit = CommandQueue.limit

  /// Closes all ports, without telling each, after what was sent before is carried out. Returns when the thread has ended,
  /// or at once when the media thread itself asks for it. No event comes afterwards.
  public func stop() { queue.stop() }
}

/// Why no engine could be started, for people.
public struct RelayEngineError: Error, Sendable, Hashable, CustomStringConvertible {
  public let sentence: String

  public var description: String { sentence }
}
