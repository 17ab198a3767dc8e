public import NetworkTypes
public import SIPSyntax
import SIPTransaction

/// The registration of one address of record (RFC 3261 §10), which never gives up on what passes by itself and never
/// hammers on what does not.
///
/// - It is renewed well before its end: 60 s, of a short one a fifth of its time.
/// - No answer, 408, 480 and 5xx: tried again after 1 s, then twice as long each time up to 60 s; Retry-After is obeyed.
/// - Refused: at most four REGISTERs in the first minute, then one attempt in five minutes. An attempt is a REGISTER
///   without credentials and its repetition with them, so that the nonce is fresh.
/// - A new contact is registered at once; the old one is removed in a REGISTER of its own when the registrar's answer
///   still lists it, and not before its calls have moved (``keepsOldContacts``). So is what an earlier process has left
///   there, which bears our instance.
///
/// One timer, ``nextDeadline``, is all that ever runs.
public struct Registration: Sendable, Codable {
  public enum State: Sendable, Hashable, Codable {
    case unregistered
    /// The first REGISTER is out.
    case registering
    case registered(until: MonotonicInstant)
    /// Refused: somebody has to change something.
    case rejected
    /// No answer, or one that says "later".
    case unreachable
    /// Our binding is being removed.
    case removing
  }

  /// A REGISTER that is out.
  struct Pending: Sendable, Codable {
    /// The contacts in it, the first being what it is about.
    let contacts: [SIPURI]
    let sequence: UInt32
    let sentAt: MonotonicInstant
    /// REGISTERs of this attempt, this one included.
    let count: Int
    /// The last answer was 423, and this one asks for what it said.
    var isLonger = false

    var contact: SIPURI? { contacts.first }
  }

  /// What a registrar has, and until when.
  struct Binding: Sendable, Codable {
    let contact: SIPURI
    let until: MonotonicInstant
  }

  enum Phase: Sendable, Codable {
    case idle
    /// Our contact is being registered, for the first time or again.
    case binding(Pending)
    case bound
    /// Bound; an old contact of ours is being removed.
    case clearing(Pending)
    /// The last attempt failed; the timer starts the next.
    case waiting
    /// The binding is being removed, and nothing comes after that.
    case removing(Pending)
  }

  public let configuration: RegistrationConfiguration
  public internal(set) var state: State = .unregistered
  /// When ``timerFired(now:random:into:)`` has something to do; `nil` when nothing runs.
  public internal(set) var nextDeadline: MonotonicInstant?
  /// What is, or shall be, registered.
  public internal(set) var contact: SIPURI?
  /// How many REGISTERs have been sent.
  public internal(set) var sentCount = 0
  /// While true, old contacts that the registrar lists stay there: carriers may release calls with their binding.
  public var keepsOldContacts = false

  var phase: Phase = .idle
  let callID: String
  let fromTag: String
  /// A UUID (RFC 5626 §4.1) by which we know our binding where the registrar writes the contact otherwise, and those of
  /// earlier processes.
  let instance: String
  var sequence: UInt32 = 0
  var digest: DigestSession
  /// Seconds, as configured or as a 423 made it.
  var expires: Int
  /// What the registrar has, and until when.
  var binding: Binding?
  /// Former contacts of ours that the registrar may have, the newest last.
  var oldContacts: [SIPURI] = []
  /// Those of them that it listed last.
  var listedContacts: [SIPURI] = []
  /// How many contacts of earlier processes have been found.
  var leftoverCount = 0
  /// A removal took our present binding with it, as of a registrar that writes contacts as it sees them: none is sent to
  /// it any more, and old contacts end by themselves.
  var isRemovalHarmful = false
  /// Transient failures since the last success.
  var failures = 0
  /// Refusals since the last success.
  var refusals = 0
  /// Until when the registrar wants no REGISTER (Retry-After).
  var notBefore: MonotonicInstant?
  /// When the last few REGISTERs left.
  var recent: [MonotonicInstant] = []
  /// A REGISTER was given up while unanswered: until then its timeout may be reported.
  var supersededUntil: MonotonicInstant?

  /// Call-ID and tag are taken from `random`, once for all (RFC 3261 §10.2.4).
  public init(_ configuration: RegistrationConfiguration, random: inout RandomSource) {
    self.configuration = configuration
    callID = random.hexDigits(32)
    fromTag = random.hexDigits(16)
    // Drawn in any case: what comes after it is the same with an instance and without.
    let made = Self.makeInstance(&random)
    instance = configuration.instance ?? made
    digest = DigestSession(
      username: configuration.username, password: configuration.password, realm: configuration.realm)
    let seconds = configuration.expires.nanoseconds / 1_000_000_000
    expires = Int(min(max(seconds, Int64(RegistrationPolicy.shortestExpiry)), Int64(RegistrationPolicy.longestExpiry)))
  }

  /// A random UUID (RFC 9562 §5.4).
  private static func makeInstance(_ random: inout RandomSource) -> String {
    var digits = Array(random.hexDigits(32))
    digits[12] = "4"
    digits[16] = "8"
    for place in [20, 16, 12, 8] { digits.insert("-", at: place) }
    return String(digits)
  }

  /// Nothing is out and nothing runs.
  public var isStopped: Bool { if case .idle = phase { true } else { false } }

  /// Begins to register `contact`. Where it has begun before, this is ``contactChanged(_:now:random:into:)``.
  public mutating func start(
    contact: SIPURI, now: MonotonicInstant, random: inout RandomSource, into actions: inout [RegistrationAction]
  ) {
    switch phase {
    case .idle, .removing:
      if case .removing(let pending) = phase { supersede(pending) }
      noteOld(self.contact, unless: contact)
      self.contact = contact
      failures = 0
      setState(.registering, into: &actions)
      register(now: now, random: &random, into: &actions)
    case .binding, .bound, .clearing, .waiting:
      contactChanged(contact, now: now, random: &random, into: &actions)
    }
  }

  /// Our address is another one. It is registered at once, unless the registrar refuses us: then with the next attempt.
  public mutating func contactChanged(
    _ contact: SIPURI, now: MonotonicInstant, random: inout RandomSource, into actions: inout [RegistrationAction]
  ) {
    guard contact != self.contact else { return }
    noteOld(self.contact, unless: contact)
    self.contact = contact
    switch phase {
    case .idle, .removing: break
    case .binding(let pending):
      // RFC 3261 §10.2 would have us wait for the answer, which was asked to come to an address that is gone.
      guard !isFlooding(now: now), refusals == 0 else { return }
      supersede(pending)
      register(now: now, random: &random, into: &actions)
    case .clearing(let pending):
      supersede(pending)
      register(now: now, random: &random, into: &actions)
    case .bound: register(now: now, random: &random, into: &actions)
    case .waiting:
      // Where the registrar did not answer, the new address is likely to be why it now does.
      guard refusals == 0, !isPutOff(now: now) else { return }
      failures = 0
      register(now: now, random: &random, into: &actions)
    }
  }

  /// Our address as a challenge shows it that is about to be taken: the REGISTER with credentials names it, and nothing is
  /// sent for its sake alone.
  ///
  /// - Returns: whether such a REGISTER is out; where none is, or one that removes, nothing will name the contact.
  public mutating func contactLearned(_ contact: SIPURI) -> Bool {
    guard case .binding = phase else { return false }
    noteOld(self.contact, unless: contact)
    self.contact = contact
    return true
  }

  /// The line was gone and is back: what went unanswered is sent anew, and the back-off starts from its beginning.
  ///
  /// - Parameter isBindingInDoubt: a contact that is registered is registered anew.
  public mutating func lineReturned(
    isBindingInDoubt: Bool = false, now: MonotonicInstant, random: inout RandomSource,
    into actions: inout [RegistrationAction]
  ) {
    guard refusals == 0, !isFlooding(now: now) else { return }
    switch phase {
    case .bound: if isBindingInDoubt { register(now: now, random: &random, into: &actions) }
    case .idle, .clearing, .removing: break
    case .binding(let pending):
      // A REGISTER that has only just left has been sent into a line that was up.
      guard now >= pending.sentAt + RegistrationPolicy.answerTime else { return }
      supersede(pending)
      failures = 0
      register(now: now, random: &random, into: &actions)
    case .waiting:
      guard !isPutOff(now: now) else { return }
      failures = 0
      register(now: now, random: &random, into: &actions)
    }
  }

  /// Registers now. After a refusal only when a person asks, and not within a minute of the last attempt.
  public mutating func refresh(
    isAskedByPerson: Bool = false, now: MonotonicInstant, random: inout RandomSource,
    into actions: inout [RegistrationAction]
  ) {
    switch phase {
    case .idle, .binding, .clearing, .removing: break
    case .bound: register(now: now, random: &random, into: &actions)
    case .waiting:
      guard refusals > 0 else {
        register(now: now, random: &random, into: &actions)
        return
      }
      guard isAskedByPerson, let deadline = nextDeadline, let last = recent.last else { return }
      nextDeadline = min(deadline, max(now, last + RegistrationPolicy.askedInterval))
      if let nextDeadline, nextDeadline <= now { timerFired(now: now, random: &random, into: &actions) }
    }
  }

  /// The contact that the registrar keeps now, as far as is known.
  public func boundContact(now: MonotonicInstant) -> SIPURI? {
    binding.flatMap { $0.until > now ? $0.contact : nil }
  }

  /// The calls of old contacts have moved: what the registrar listed of them last is removed now.
  public mutating func releaseOldContacts(
    now: MonotonicInstant, random: inout RandomSource, into actions: inout [RegistrationAction]
  ) {
    keepsOldContacts = false
    guard case .bound = phase else { return }
    clearListed(now: now, random: &random, into: &actions)
  }

  /// Removes our binding where the registrar may have one; ``RegistrationAction/removed`` follows in any case.
  public mutating func stop(
    now: MonotonicInstant, random: inout RandomSource, into actions: inout [RegistrationAction]
  ) {
    switch phase {
    case .idle: end(into: &actions)
    case .removing: break
    case .binding(let pending):
      supersede(pending)
      remove(now: now, random: &random, into: &actions)
    case .clearing(let pending):
      supersede(pending)
      remove(now: now, random: &random, into: &actions)
    case .bound: remove(now: now, random: &random, into: &actions)
    case .waiting:
      if let binding, binding.until > now, refusals == 0 {
        remove(now: now, random: &random, into: &actions)
      } else {
        end(into: &actions)
      }
    }
  }

  /// The moment of ``nextDeadline`` has come, or passed.
  public mutating func timerFired(
    now: MonotonicInstant, random: inout RandomSource, into actions: inout [RegistrationAction]
  ) {
    guard let deadline = nextDeadline, deadline <= now else { return }
    nextDeadline = nil
    switch phase {
    case .idle: break
    case .bound: register(now: now, random: &random, into: &actions)
    case .clearing(let pending):
      supersede(pending)
      register(now: now, random: &random, into: &actions)
    case .waiting:
      // The nonce at hand is as old as the last attempt: with it a refusal would say nothing about the password.
      if refusals > 1 { digest.reset() }
      register(now: now, random: &random, into: &actions)
    case .binding, .removing: lost(now: now, random: &random, into: &actions)
    }
  }

  /// The REGISTER had no final response in time, or could not be sent.
  public mutating func requestTimedOut(
    now: MonotonicInstant, random: inout RandomSource, into actions: inout [RegistrationAction]
  ) {
    switch phase {
    case .idle, .bound, .waiting: break
    case .binding(let pending), .clearing(let pending), .removing(let pending):
      // Which request timed out is not said; one that has only just left cannot have.
      if let supersededUntil, now < supersededUntil, now < pending.sentAt + RegistrationPolicy.shortestTimeout {
        return
      }
      lost(now: now, random: &random, into: &actions)
    }
  }

  /// A response to a REGISTER. One to a REGISTER that was superseded is ignored.
  public mutating func responseReceived(
    _ response: SIPMessage, now: MonotonicInstant, random: inout RandomSource,
    into actions: inout [RegistrationAction]
  ) {
    guard response.status >= 200, let number = try? response.cSeq().number else { return }
    switch phase {
    case .idle, .bound, .waiting: break
    case .binding(let pending):
      guard pending.sequence == number else { return }
      answered(pending, response, now: now, random: &random, into: &actions)
    case .clearing(let pending):
      guard pending.sequence == number else { return }
      if canAnswer(response, pending) {
        phase = .clearing(removal(pending.contacts, after: pending, now: now, random: &random, into: &actions))
      } else {
        // Whatever the answer: the old contact ends by itself, and ours is registered.
        cleared(pending.contacts, response, now: now, random: &random, into: &actions)
      }
    case .removing(let pending):
      guard pending.sequence == number else { return }
      if canAnswer(response, pending) {
        phase = .removing(removal(pending.contacts, after: pending, now: now, random: &random, into: &actions))
        nextDeadline = now + RegistrationPolicy.watchdog
      } else {
        end(into: &actions)
      }
    }
  }
}

extension Registration {
  /// Every code that ``RegistrationAction/failed(code:sentence:retryAt:)`` can bear.
  package static var failureCodes: [String] { RegistrationFailure.codes }
}
