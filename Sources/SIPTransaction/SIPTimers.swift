/// The basic times from which all timers of RFC 3261 Table 4 are made.
public struct SIPTimers: Sendable, Equatable {
  /// An estimate of the round trip.
  public var t1: Duration
  /// The longest interval between repetitions of a non-INVITE request and of an INVITE response.
  public var t2: Duration
  /// The longest time a message stays in the network.
  public var t4: Duration
  /// How long an INVITE may ring without a new provisional response before it is cancelled (timer C; RFC 3261 §16.6 asks
  /// for more than three minutes).
  public var ringing: Duration

  public init(
    t1: Duration = .milliseconds(500), t2: Duration = .seconds(4), t4: Duration = .seconds(5),
    ringing: Duration = .seconds(300)
  ) {
    self.t1 = t1
    self.t2 = t2
    self.t4 = t4
    self.ringing = ringing
  }
}

/// The timers of the four transaction machines, named as in RFC 3261 Table 4 and RFC 6026 §7.
package enum TransactionTimer: Hashable, Sendable, CaseIterable {
  /// Repeats an INVITE.
  case a
  /// Ends an INVITE without any response.
  case b
  /// Ends an INVITE that rings for too long.
  case c
  /// Absorbs repeated final responses to an INVITE.
  case d
  /// Repeats a non-INVITE request.
  case e
  /// Ends a non-INVITE request without a final response.
  case f
  /// Repeats a final response to an INVITE.
  case g
  /// Ends the wait for the ACK to it.
  case h
  /// Absorbs repeated ACKs.
  case i
  /// Absorbs repeated non-INVITE requests.
  case j
  /// Absorbs repeated responses to a non-INVITE request.
  case k
  /// Absorbs repeated INVITEs after a 2xx, and ends the wait for its ACK (RFC 6026 §7.1).
  case l
  /// Absorbs repeated 2xx responses and those of other forks (RFC 6026 §7.2).
  case m
  /// The time in which the user may answer an INVITE before the layer says 100 (RFC 3261 §17.2.1).
  case trying
  /// Repeats a 2xx to an INVITE until its ACK (RFC 3261 §13.3.1.4).
  case acceptance
  /// Ends an INVITE whose CANCEL changed nothing (RFC 3261 §9.1).
  case cancellation
  /// Ends a non-INVITE request that the user does not answer: its client has given up by then.
  case answer
}

extension SIPTimers {
  private enum Length {
    case t1(Int)
    case t4
    case ringing
    case fixed(Duration)
  }

  private enum OnReliable {
    /// The same on every transport.
    case same
    /// Not started: there is nothing to repeat or to absorb.
    case none
  }

  /// RFC 3261 Table 4 with RFC 6026, a row a timer: its first length, and what becomes of it on a reliable transport.
  private static func row(_ timer: TransactionTimer) -> (length: Length, onReliable: OnReliable) {
    switch timer {
    case .a: (.t1(1), .none)
    case .b: (.t1(64), .same)
    case .c: (.ringing, .same)
    case .d: (.t1(64), .none)
    case .e: (.t1(1), .none)
    case .f: (.t1(64), .same)
    case .g: (.t1(1), .none)
    case .h: (.t1(64), .same)
    case .i: (.t4, .none)
    case .j: (.t1(64), .none)
    case .k: (.t4, .none)
    case .l: (.t1(64), .same)
    case .m: (.t1(64), .same)
    case .trying: (.fixed(.milliseconds(200)), .same)
    case .acceptance: (.t1(1), .same)
    case .cancellation: (.t1(64), .same)
    case .answer: (.t1(64), .same)
    }
  }

  /// The first length of `timer`; `nil` where it is not started on such a transport.
  package func duration(_ timer: TransactionTimer, isReliable: Bool) -> Duration? {
    let row = Self.row(timer)
    if isReliable, row.onReliable == .none { return nil }
    return switch row.length {
    case .t1(let multiple): t1 * multiple
    case .t4: t4
    case .ringing: ringing
    case .fixed(let duration): duration
    }
  }
}
