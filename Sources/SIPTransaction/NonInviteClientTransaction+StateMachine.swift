extension NonInviteClientTransaction {
  /// RFC 3261 Figure 6.
  package struct StateMachine: Sendable, Equatable {
    package enum State: Sendable, Equatable {
      /// The request is out, and repeated after ever longer intervals, T2 at most.
      case trying(interval: Duration)
      /// A provisional response came: repeated every T2.
      case proceeding
      case completed
      case terminated
    }

    package private(set) var state: State
    private let timing: TransactionTiming

    package init(timing: TransactionTiming) {
      self.timing = timing
      state = .trying(interval: timing.timers.t1)
    }

    /// What happens first.
    package var firstActions: [TransactionAction] { [.sendRequest] + timing.start(.e, .f) }

    package mutating func responseReceived(status: Int) -> [TransactionAction] {
      let next: State
      let actions: [TransactionAction]
      switch (state, status) {
      case (.trying, 100..<200), (.proceeding, 100..<200):
        next = .proceeding
        actions = [.deliverResponse]
      case (.trying, 200...), (.proceeding, 200...):
        next = timing.lingers(.k) ? .completed : .terminated
        actions =
          [.deliverResponse]
          + (timing.lingers(.k) ? [.stop(.e), .stop(.f)] + timing.start(.k) : [.terminate])
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
      case (.trying(let interval), .e):
        let longer = min(interval * 2, timing.timers.t2)
        next = .trying(interval: longer)
        actions = [.sendRequest, .start(.e, longer)]
      case (.proceeding, .e):
        next = state
        actions = [.sendRequest, .start(.e, timing.timers.t2)]
      case (.trying, .f), (.proceeding, .f):
        next = .terminated
        actions = [.reportTimeout, .terminate]
      case (.completed, .k):
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
