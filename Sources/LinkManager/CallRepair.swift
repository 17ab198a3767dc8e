package import NetworkTypes

/// How the provider's side of one call follows a change of our address: one re-INVITE as soon as the way is clear, again
/// where the answer is "later" or stays away, and an end where the provider does not know the call any more.
///
/// RFC 3261 §12.2.1.2 and §14.1 would have 408 and silence end the dialog. Here they are what a line that comes and goes
/// looks like, so that the request is repeated, with a higher CSeq, for ``patience`` before the dialog is given up.
package struct CallRepair: Sendable, Equatable {
  package enum State: Sendable, Equatable {
    /// For the media ports' mappings, the trunk's registration, and the dialog's turn.
    case waiting
    /// The request is out; no final response until then counts as none at all.
    case offering(until: MonotonicInstant)
    /// The provider said "later", or nothing.
    case backingOff(until: MonotonicInstant)
    /// The provider refused the new description, and the dialog stands as it was (RFC 3261 §14.1): whether its packets
    /// find us all the same decides. `packets` had come until the refusal.
    case watching(packets: UInt64, status: Int, until: MonotonicInstant)
  }

  /// What a final response, or its absence (408), means.
  package enum Outcome: Sendable, Equatable {
    /// The far side has the new addresses.
    case moved
    /// The same once more, later.
    case again
    /// The dialog stands, the description was refused.
    case refused
    /// The far side has no such call.
    case gone
    /// It said "later" for too long.
    case exhausted
  }

  /// How long 408, 491, 500 and their like are met with another attempt.
  package static let patience = Duration.seconds(90)
  /// How long the way may stay barred, by a provider that does not register us.
  package static let waitingLimit = Duration.seconds(180)
  /// How long a refused call is given to show that it is heard.
  package static let watchTime = Duration.seconds(3)
  /// How long one request waits for its final response.
  package static let answerTime = Duration.seconds(32)
  private static let firstBackOff = Duration.milliseconds(500)
  private static let longestBackOff = Duration.seconds(8)

  /// So many times a far side that may not have got our 2xx may say that it knows no such call.
  private static let mostBeforeACK = 2

  private enum Meaning { case later, refusal, noSuchCall }

  /// RFC 5057 §5.1 says which responses end a dialog; a row that comes first counts.
  private static let meanings: [(statuses: ClosedRange<Int>, meaning: Meaning)] = [
    (404...404, .noSuchCall), (410...410, .noSuchCall), (481...482, .noSuchCall), (604...604, .noSuchCall),
    (403...403, .later),  // A proxy that has not yet heard of our new registration.
    (408...408, .later), (429...429, .later), (480...480, .later), (491...491, .later), (500...599, .later),
    (300...699, .refusal),
  ]

  package private(set) var state = State.waiting
  /// When the address changed, the last time.
  package private(set) var startedAt: MonotonicInstant
  /// When the first request of this change left.
  private var offeredAt: MonotonicInstant?
  private var attempts = 0
  /// The last request left while our 2xx had no ACK: a far side that has not got that one knows no such call, yet.
  private var isBeforeACK = false
  /// Whether anything was tried since the change.
  package var hasOffered: Bool { offeredAt != nil }

  /// - Parameter delay: nothing is sent before it is over.
  package init(now: MonotonicInstant, delay: Duration = .zero) {
    startedAt = now
    if delay > .zero { state = .backingOff(until: now + delay) }
  }

  /// When ``timerFired(now:)`` wants to be called.
  package var nextDeadline: MonotonicInstant? {
    switch state {
    case .waiting: startedAt + Self.waitingLimit
    case .offering(let until), .backingOff(let until), .watching(_, _, let until): until
    }
  }

  /// Whether nothing else may be offered: the dialog's turn is ours, or soon will be.
  package var isUnderWay: Bool {
    switch state {
    case .waiting, .offering: true
    case .backingOff, .watching: false
    }
  }

  /// Whether a request may leave now, as far as earlier ones say.
  package func mayOffer(now: MonotonicInstant) -> Bool {
    switch state {
    case .waiting: true
    case .backingOff(let until): until <= now
    case .offering, .watching: false
    }
  }

  /// Whether nothing came of it for so long that it is given up.
  package func isOverdue(now: MonotonicInstant) -> Bool {
    state == .waiting && now - startedAt >= Self.waitingLimit
  }

  package mutating func offered(now: MonotonicInstant, beforeACK: Bool = false) {
    isBeforeACK = beforeACK
    offeredAt = offeredAt ?? now
    attempts += 1
    state = .offering(until: now + Self.answerTime)
  }

  /// - Parameters:
  ///   - status: of the final response; 408 where none came.
  ///   - isCaller: whether we made the Call-ID, by which RFC 3261 §14.1 lets the two sides of a glare differ.
  ///   - packets: how many have come from the far side so far.
  package mutating func answered(
    _ status: Int, retryAfter: Duration?, isCaller: Bool, packets: UInt64, now: MonotonicInstant,
    random: inout RandomSource
  ) -> Outcome {
    if (200..<300).contains(status) { return .moved }
    var meaning = Self.meanings.first { $0.statuses.contains(status) }?.meaning ?? .refusal
    if isBeforeACK, meaning == .noSuchCall, attempts <= Self.mostBeforeACK { meaning = .later }
    switch meaning {
    case .noSuchCall: return .gone
    case .refusal:
      state = .watching(packets: packets, status: status, until: now + Self.watchTime)
      return .refused
    case .later:
      var delay = min(Self.firstBackOff * (1 << min(max(attempts - 1, 0), 5)), Self.longestBackOff)
      if status == 491 {
        // Multiples of 10 ms: 2.1 s to 4 s for who made the Call-ID, up to 2 s for the other one.
        delay = .milliseconds(10 * Int64.random(in: isCaller ? 210...400 : 0...200, using: &random))
      }
      if let retryAfter { delay = max(delay, retryAfter) }
      guard now + delay - (offeredAt ?? now) < Self.patience else { return .exhausted }
      state = .backingOff(until: now + delay)
      return .again
    }
  }
}
