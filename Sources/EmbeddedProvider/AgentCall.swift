import MediaRelay
import NetworkTypes
import SIPDialog
import SIPSyntax
import SIPTransaction

/// One call of a ``UserAgent``.
struct AgentCall: Sendable {
  enum State: Sendable {
    /// Waiting for the media port; then the INVITE leaves, or the timers of the answer plan run.
    case opening
    /// Our INVITE is out.
    case calling
    /// Their INVITE is in and not answered yet.
    case ringing
    case answered
    /// We took our INVITE back; its final response is still to come.
    case cancelling
  }

  let id: AgentCallID
  let isIncoming: Bool
  var state = State.opening
  /// The INVITE that began the call, without Via when it is ours.
  var invite: SIPMessage
  /// Whom an event names: the other side's number as its URI has it.
  let remoteNumber: String
  let localNumber: String
  let localTag: String
  var plan: AnswerPlan
  var client: ClientTransactionID?
  var server: ServerTransactionID?
  /// A re-INVITE of theirs that waits for its ACK, when it came without an offer.
  var reinvite: ServerTransactionID?
  var dialog: Dialog?
  /// Where the last packet of this call came from, or where the first one goes.
  var path: SIPPath
  var session: AgentSession
  var media: MediaPortID
  var port: UInt16
  var isMediaOpen = false
  /// Our re-INVITE that has no final response yet.
  var pendingReinvite: (client: ClientTransactionID, request: SIPMessage)?
  /// Whether the answer to our offer is still to come in an ACK.
  var awaitsAnswer = false
  /// The moment for an answer came before the media port was open.
  var answersWhenOpen = false
  /// What answers those who challenge our INVITE.
  var digest: DigestSession?
  /// Ports that were refused before this one.
  var portsTried = 1
}

/// What a ``UserAgent`` tells its owner, in order.
enum AgentNotice: Sendable {
  case send([UInt8], socket: Int, to: Endpoint)
  case media(MediaCommand)
  case log(String)
  /// A request outside every dialog that the owner answers.
  case request(ServerTransactionID, SIPMessage, SIPPath)
  /// A response to, or the end of, a request that the owner sent.
  case response(ClientTransactionID, SIPMessage)
  case timedOut(ClientTransactionID)
  case ringing(AgentCallID)
  case answered(AgentCallID)
  case ended(AgentCallID, CallEnding)
  case recorded(AgentCallID, [Int16])
}
