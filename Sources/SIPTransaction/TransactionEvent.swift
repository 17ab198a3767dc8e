public import SIPSyntax

/// What a ``TransactionLayer`` answers with, in the order in which it is to be done.
public enum TransactionEvent: Sendable {
  /// A packet has to leave.
  case send([UInt8], SIPPath)
  /// A new request, neither ACK nor CANCEL. Its topmost Via already says where it came from (RFC 3261 §18.2.1, RFC 3581).
  /// The path is the one it came by; the answer's may differ in its port.
  case requestReceived(ServerTransactionID, SIPMessage, SIPPath)
  /// A CANCEL for that INVITE, which has not had a final response; the layer has answered the CANCEL, the user answers
  /// the INVITE with 487.
  case cancelReceived(ServerTransactionID, SIPMessage)
  /// The ACK to our 2xx; it may carry a session description. Once.
  case acknowledged(ServerTransactionID, SIPMessage)
  /// No ACK to our 2xx within 64*T1: the user ends the dialog with BYE (RFC 3261 §13.3.1.4).
  case unacknowledged(ServerTransactionID)
  /// A provisional or final response. 2xx to INVITE: once for each To tag.
  case responseReceived(ClientTransactionID, SIPMessage, SIPPath)
  /// No final response in time.
  case timedOut(ClientTransactionID)
  /// A response that belongs to no transaction: too late, or to a request that was forgotten.
  case strayResponse(SIPMessage, SIPPath)
  /// Something was dropped; the reason is one of a fixed few, for counting.
  case discarded(reason: String)
}
