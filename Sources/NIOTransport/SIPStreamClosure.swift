public import SIPSyntax

/// Why a connection is no more.
public enum SIPStreamClosure: Sendable, Hashable {
  /// The far side closed it.
  case remote
  /// We did: `close` or `stop` was called.
  case local
  /// Nothing was carried for too long, or a message did not go on.
  case idle
  /// The far side does not take what it is sent.
  case overflow
  /// What came cannot be cut into messages any more.
  case unreadable(SIPStreamFramer.Failure)
  /// The system says so; in its words.
  case failed(String)
}
