extension InviteClientTransaction {
  /// RFC 3261 Figure 5 with the accepted state of RFC 6026 §7.2, the rules of RFC 3261 §9.1 for CANCEL, and a state for
  /// what is given up: a server that wakes up too late shall not ring for nobody.
  package struct StateMachine: Sendable, Equatable {
    package enum State: Sendable, Equatable {
      /// The INVITE is out, and repeated after ever longer intervals. A CANCEL has to wait for a provisional response.
      case calling(interval: Duration, isCancelWanted: Bool)
      case proceeding(isCancelled: Bool)
      /// A 2xx came: those of other forks may follow.
      case accepted
      /// A 3xx–6xx came and has its ACK, which is repeated when it is.
      case completed
      /// Nothing came in time, and that was told. Who answers all the same is cancelled, or gets an ACK and a BYE.
      case givenUp
      case terminated
    }

    package private(set) var state: State
    private let timing: TransactionTiming

    package init(timing: TransactionTiming) {
      self.timing = timing
      state = .calling(interval: timing.timers.t1, isCancelWanted: false)
    }

    /// What happens first.
    package var firstActions: [TransactionAction] { [.sendRequest] + timing.start(.a, .b) }

    package mutating func responseReceived(status: Int) -> [TransactionAction] {
      let next: State
      let actions: [TransactionAction]
      let stopAll: [TransactionAction] = [.stop(.a), .stop(.b), .stop(.c), .stop(.cancellation)]
      switch (state, status) {
      case (.calling(_, let isCancelWanted), 100..<200):
        next = .proceeding(isCancelled: isCancelWanted)
        let cancel = isCancelWanted ? [.sendCancel] + timing.start(.cancellation) : timing.start(.c)
        actions = [.deliverResponse, .stop(.a), .stop(.b)] + cancel
      case (.proceeding(isCancelled: false), 101..<200):
        next = state
        actions = [.deliverResponse] + timing.start(.c)
      case (.proceeding, 100..<200):
        next = state
        actions = [.deliverResponse]
      case (.givenUp, 100..<200):
        next = .proceeding(isCancelled: true)
        actions = [.sendCancel, .stop(.m)] + timing.start(.cancellation)
      case (.calling, 200..<300), (.proceeding, 200..<300), (.givenUp, 200..<300):
        next = .accepted
        actions = [.deliverResponse] + stopAll + timing.start(.m)
      case (.calling, 300...), (.proceeding, 300...), (.givenUp, 300...):
        next = timing.lingers(.d) ? .completed : .terminated
        actions =
          [.sendACK, .deliverResponse] + (timing.lingers(.d) ? stopAll + timing.start(.d) : [.terminate])
      case (.accepted, 200..<300):
        next = state
        actions = [.deliverResponse]
      case (.completed, 300...):
        next = state
        actions = [.sendACK]
      case (.calling, _), (.proceeding, _), (.accepted, _), (.completed, _), (.givenUp, _), (.terminated, _):
        next = state
        actions = []
      }
      state = next
      return actions
    }

    /// The user wants the INVITE to end.
    package mutating func cancelled() -> [TransactionAction] {
      let next: State
      let actions: [TransactionAction]
      switch state {
      case .calling(let interval, _):
        next = .calling(interval: interval, isCancelWanted: true)
        actions = []
      case .proceeding(isCancelled: false):
        next = .proceeding(isCancelled: true)
        actions = [.sendCancel, .stop(.c)] + timing.start(.cancellation)
      case .proceeding(isCancelled: true), .accepted, .completed, .givenUp, .terminated:
        next = state
        actions = []
      }
      state = next
      return actions
    }

    /// Another request takes its place: it is not repeated any more.
    package mutating func abandoned(cancels: Bool) -> [TransactionAction] {
      let next: State
      let actions: [TransactionAction]
      switch (state, cancels) {
      case (.calling, true), (.proceeding(isCancelled: false), _):
        next = .proceeding(isCancelled: true)
        actions = [.sendCancel, .stop(.a), .stop(.b), .stop(.c)] + timing.start(.cancellation)
      case (.calling(let interval, _), false):
        next = .calling(interval: interval, isCancelWanted: true)
        actions = [.stop(.a)]
      case (.proceeding(isCancelled: true), _), (.accepted, _), (.completed, _), (.givenUp, _), (.terminated, _):
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
      case (.calling(let interval, let isCancelWanted), .a):
        next = .calling(interval: interval * 2, isCancelWanted: isCancelWanted)
        actions = [.sendRequest, .start(.a, interval * 2)]
      case (.calling, .b):
        next = .givenUp
        actions = [.reportTimeout, .stop(.a)] + timing.start(.m)
      case (.proceeding, .cancellation):
        next = .terminated
        actions = [.reportTimeout, .terminate]
      case (.proceeding(isCancelled: false), .c):
        next = .proceeding(isCancelled: true)
        actions = [.sendCancel] + timing.start(.cancellation)
      case (.accepted, .m), (.givenUp, .m), (.completed, .d):
        next = .terminated
        actions = [.terminate]
      case (.calling, _), (.proceeding, _), (.accepted, _), (.completed, _), (.givenUp, _), (.terminated, _):
        next = state
        actions = []
      }
      state = next
      return actions
    }
  }
}
