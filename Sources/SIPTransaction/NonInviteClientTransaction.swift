/// A request of ours other than INVITE and ACK (RFC 3261 §17.1.2).
package struct NonInviteClientTransaction: Sendable {
  package var sent: SentRequest
  package var machine: StateMachine

  package init(_ sent: SentRequest, timing: TransactionTiming) {
    self.sent = sent
    machine = StateMachine(timing: timing)
  }
}
