/// What a transaction machine asks of the layer that holds it. The machine holds no message; "the" request and "the"
/// response are those the layer keeps for it or has just been given.
package enum TransactionAction: Sendable, Equatable {
  case sendRequest
  /// The ACK to a 3xx–6xx (RFC 3261 §17.1.1.3).
  case sendACK
  case sendCancel
  /// The user is given the response that has just arrived.
  case deliverResponse
  case reportTimeout
  /// The user's last response, again or for the first time.
  case sendResponse
  /// 100 Trying, made by the layer.
  case sendTrying
  case reportCancel
  case reportACK
  /// No ACK to our 2xx came.
  case reportUnacknowledged
  case start(TransactionTimer, Duration)
  case stop(TransactionTimer)
  /// The transaction is forgotten, and its timers with it.
  case terminate
}

/// The lengths of one machine's timers on its transport.
package struct TransactionTiming: Sendable, Equatable {
  package let timers: SIPTimers
  package let isReliable: Bool

  package init(timers: SIPTimers, isReliable: Bool) {
    self.timers = timers
    self.isReliable = isReliable
  }

  /// Starts those of `names` that exist on this transport.
  func start(_ names: TransactionTimer...) -> [TransactionAction] {
    names.compactMap { name in
      timers.duration(name, isReliable: isReliable).map { .start(name, $0) }
    }
  }

  /// Whether there is something to absorb for a while after the end.
  func lingers(_ timer: TransactionTimer) -> Bool { timers.duration(timer, isReliable: isReliable) != nil }
}
