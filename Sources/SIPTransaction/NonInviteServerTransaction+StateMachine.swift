extension NonInviteServerTransaction {
  /// RFC 3261 Figure 8.
  package struct StateMachine: Sendable, Equatable {
    package enum State: Sendable, Equatable {
      case trying
      /// A provisional response is out, and repeated when the request is.
      case proceeding
      /// The final response is out, and repeated when the request is.
      case completed
      case terminated
    }

    package private(set) var state: State
    private let timing: TransactionTiming

    package init(timing: TransactionTiming) {
      self.timing = timing
      state = .trying
    }

    /// What happens first, beside the user being told.
    package var firstActions: [TransactionAction] { timing.start(.answer) }

    /// The request again.
    package mutating func requestReceived() -> [TransactionAction] {
      let next: State
      let actions: [TransactionAction]
      switch state {
      case .trying, .terminated:
        next = state
        actions = []
      case .proceeding, .completed:
        next = state
        actions = [.sendResponse]
      }
      state = next
      return actions
    }

    /// The user answers.
    package mutating func responded(status: Int) -> [TransactionAction] {
      let next: State
      let actions: [TransactionAction]
      switch (state, status) {
      case (.trying, 100..<200), (.proceeding, 100..<200):
        next = .proceeding
        actions = [.sendResponse]
      case (.trying, 200...), (.proceeding, 200...):
        next = timing.lingers(.j) ? .completed : .terminated
        actions = [.sendResponse] + (timing.lingers(.j) ? [.stop(.answer)] + timing.start(.j) : [.terminate])
      case (.trying, _), (.proceeding, _), (.completed, _), (.terminated, _):
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
      case (.trying, .answer), (.proceeding, .answer), (.completed, .j):
        next = .terminated
        actions = [.terminate]
      case (.trying, _), (.proceeding, _), (.completed, _), (.terminated, _):
        next = state
        actions = []
      }
      state = next
      return actions
    }
  }
}
