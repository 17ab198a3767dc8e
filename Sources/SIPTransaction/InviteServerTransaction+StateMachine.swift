extension InviteServerTransaction {
  /// RFC 3261 Figure 7 with the accepted state of RFC 6026 §7.1, and the repetition of a 2xx that RFC 3261 §13.3.1.4 asks
  /// of the user.
  package struct StateMachine: Sendable, Equatable {
    package enum State: Sendable, Equatable {
      /// The user has not decided yet.
      case proceeding(hasResponse: Bool, isCancelled: Bool)
      /// A 3xx–6xx is out, and repeated until its ACK comes.
      case completed(interval: Duration)
      /// Its ACK came; further ones are absorbed.
      case confirmed
      /// A 2xx is out, and repeated until its ACK comes.
      case accepted(interval: Duration, isAcknowledged: Bool)
      case terminated
    }

    package private(set) var state: State
    private let timing: TransactionTiming

    package init(timing: TransactionTiming) {
      self.timing = timing
      state = .proceeding(hasResponse: false, isCancelled: false)
    }

    /// What happens first, beside the user being told.
    package var firstActions: [TransactionAction] { timing.start(.trying) }

    /// The INVITE again.
    package mutating func requestReceived() -> [TransactionAction] {
      let next: State
      let actions: [TransactionAction]
      switch state {
      case .proceeding(hasResponse: false, let isCancelled):
        next = .proceeding(hasResponse: true, isCancelled: isCancelled)
        actions = [.sendTrying, .stop(.trying)]
      case .proceeding(hasResponse: true, _), .completed:
        next = state
        actions = [.sendResponse]
      case .confirmed, .accepted, .terminated:
        next = state
        actions = []
      }
      state = next
      return actions
    }

    package mutating func ackReceived() -> [TransactionAction] {
      let next: State
      let actions: [TransactionAction]
      switch state {
      case .completed:
        next = timing.lingers(.i) ? .confirmed : .terminated
        actions = timing.lingers(.i) ? [.stop(.g), .stop(.h)] + timing.start(.i) : [.terminate]
      case .accepted(let interval, isAcknowledged: false):
        next = .accepted(interval: interval, isAcknowledged: true)
        actions = [.reportACK, .stop(.acceptance)]
      case .proceeding, .confirmed, .accepted, .terminated:
        next = state
        actions = []
      }
      state = next
      return actions
    }

    /// A CANCEL of this INVITE; it has its own answer.
    package mutating func cancelReceived() -> [TransactionAction] {
      let next: State
      let actions: [TransactionAction]
      switch state {
      case .proceeding(let hasResponse, isCancelled: false):
        next = .proceeding(hasResponse: hasResponse, isCancelled: true)
        actions = [.reportCancel]
      case .proceeding, .completed, .confirmed, .accepted, .terminated:
        next = state
        actions = []
      }
      state = next
      return actions
    }

    /// The user answers.
    package mutating func responded(status: Int) -> [TransactionAction] {
      let next: State
      let actions: [TransactionAction]
      switch (state, status) {
      case (.proceeding(_, let isCancelled), 100..<200):
        next = .proceeding(hasResponse: true, isCancelled: isCancelled)
        actions = [.sendResponse, .stop(.trying)]
      case (.proceeding, 200..<300):
        next = .accepted(interval: timing.timers.t1, isAcknowledged: false)
        actions = [.sendResponse, .stop(.trying)] + timing.start(.acceptance, .l)
      case (.proceeding, 300...):
        next = .completed(interval: timing.timers.t1)
        actions = [.sendResponse, .stop(.trying)] + timing.start(.g, .h)
      case (.proceeding, _), (.completed, _), (.confirmed, _), (.accepted, _), (.terminated, _):
        next = state
        actions = []
      }
      state = next
      return actions
    }

    package mutating func timerFired(_ timer: TransactionTimer) -> [TransactionAction] {
      let next: State
      let actions: [TransactionAction]
      switch (state, timer) {
      case (.proceeding(hasResponse: false, let isCancelled), .trying):
        next = .proceeding(hasResponse: true, isCancelled: isCancelled)
        actions = [.sendTrying]
      case (.completed(let interval), .g):
        let longer = min(interval * 2, timing.timers.t2)
        next = .completed(interval: longer)
        actions = [.sendResponse, .start(.g, longer)]
      case (.accepted(let interval, isAcknowledged: false), .acceptance):
        let longer = min(interval * 2, timing.timers.t2)
        next = .accepted(interval: longer, isAcknowledged: false)
        actions = [.sendResponse, .start(.acceptance, longer)]
      case (.accepted(_, isAcknowledged: false), .l):
        next = .terminated
        actions = [.reportUnacknowledged, .terminate]
      case (.accepted, .l), (.completed, .h), (.confirmed, .i):
        next = .terminated
        actions = [.terminate]
      case (.proceeding, _), (.completed, _), (.confirmed, _), (.accepted, _), (.terminated, _):
        next = state
        actions = []
      }
      state = next
      return actions
    }
  }
}
