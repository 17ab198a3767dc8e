/// An INVITE of ours (RFC 3261 §17.1.1, RFC 6026 §7.2).
package struct InviteClientTransaction: Sendable {
  /// One fork's 2xx, and the ACK that it had.
  private struct Acceptance: Sendable {
    let toTag: String
    var ack: [UInt8]?
    var path: SIPPath?
  }

  /// What a 2xx is.
  package enum AcceptanceVerdict: Sendable, Equatable {
    case new
    /// The same again: its ACK was lost, or is not yet made.
    case repeated(ack: [UInt8]?, path: SIPPath?)
    /// More forks answer than any proxy makes.
    case excessive
  }

  private static let acceptanceLimit = 16

  package var sent: SentRequest
  package var machine: StateMachine
  private var acceptances: [Acceptance] = []

  package init(_ sent: SentRequest, timing: TransactionTiming) {
    self.sent = sent
    machine = StateMachine(timing: timing)
  }

  /// Takes note of a 2xx, which is told from those of other forks by its To tag.
  package mutating func acceptanceReceived(toTag: String) -> AcceptanceVerdict {
    if let known = acceptances.first(where: { $0.toTag == toTag }) {
      return .repeated(ack: known.ack, path: known.path)
    }
    if acceptances.count == Self.acceptanceLimit { return .excessive }
    acceptances.append(Acceptance(toTag: toTag))
    return .new
  }

  /// The ACKs that left, and where to.
  package var sentACKs: [(ack: [UInt8], path: SIPPath)] {
    acceptances.compactMap { acceptance in
      guard let ack = acceptance.ack, let path = acceptance.path else { return nil }
      return (ack, path)
    }
  }

  mutating func move(toSocket socket: Int) {
    sent.path.socket = socket
    for index in acceptances.indices { acceptances[index].path?.socket = socket }
  }

  /// Keeps the ACK to the 2xx of that tag.
  package mutating func acknowledged(toTag: String, ack: [UInt8], path: SIPPath) {
    guard let index = acceptances.firstIndex(where: { $0.toTag == toTag }) else { return }
    acceptances[index].ack = ack
    acceptances[index].path = path
  }
}
