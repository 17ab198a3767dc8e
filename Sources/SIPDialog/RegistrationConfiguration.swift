public import NetworkTypes
public import SIPSyntax

/// One account at a registrar.
public struct RegistrationConfiguration: Sendable, Equatable, Codable {
  /// The address of record: what is registered.
  public var aor: SIPURI
  /// The request URI, without a user part.
  public var registrar: SIPURI
  /// For the digest.
  public var username: String
  public var password: Redacted<String>?
  /// The only realm that the password is used for; `nil` for any.
  public var realm: String?
  /// How long a registration shall hold.
  public var expires: Duration
  public var userAgent: String
  /// The UUID of this device at this account, in lower case, which every process of ours has had (RFC 5626 §4.1); `nil` for
  /// one that is made at random.
  public var instance: String?

  public init(
    aor: SIPURI, registrar: SIPURI, username: String, password: Redacted<String>? = nil, realm: String? = nil,
    expires: Duration = .seconds(300), userAgent: String = "", instance: String? = nil
  ) {
    self.aor = aor
    self.registrar = registrar
    self.username = username
    self.password = password
    self.realm = realm
    self.expires = expires
    self.userAgent = userAgent
    self.instance = instance
  }
}

/// What a ``Registration`` asks of its owner, or tells it.
public enum RegistrationAction: Sendable {
  /// A REGISTER without Via has to leave. It takes the place of one that is still unanswered: the transaction of that one
  /// is to be forgotten.
  case send(SIPMessage)
  /// ``Registration/state`` is another one.
  case stateChanged
  /// An attempt failed: a code for programs, a sentence for people, and when the next one is.
  case failed(code: String, sentence: String, retryAt: MonotonicInstant?)
  /// The registrar keeps our contact for that long; `bindings` are all contacts that it listed.
  case registered(expires: Duration, bindings: [NameAddress])
  /// Nothing is registered any more, as far as can be known, and nothing runs.
  case removed
}

/// The times of the registration policy.
enum RegistrationPolicy {
  /// Between attempts after a refusal, from the last one to the next.
  static let refusedInterval = Duration.seconds(300)
  /// The one earlier attempt after the first refusal: registrars refuse for a moment while they restart.
  static let secondChance = Duration.seconds(30)
  /// How soon a person may ask again after a refusal.
  static let askedInterval = Duration.seconds(60)
  static let firstBackOff = Duration.seconds(1)
  static let longestBackOff = Duration.seconds(60)
  /// An unanswered REGISTER counts as lost after this even when nobody says so; transactions end after 32 s.
  static let watchdog = Duration.seconds(40)
  /// A timeout within this time of a REGISTER is that of the REGISTER before it.
  static let shortestTimeout = Duration.seconds(30)
  /// REGISTERs in a minute, from which on nothing is sent that can wait.
  static let busyCount = 3
  /// REGISTERs in this time, from which on not even a new contact is sent at once.
  static let floodCount = 6
  static let floodTime = Duration.seconds(10)
  /// An answer may take so long on a line that is up.
  static let answerTime = Duration.milliseconds(400)
  /// REGISTERs in one attempt: two challenges, one stale, one 423, and some.
  static let attemptLimit = 6
  static let shortestExpiry = 1
  static let longestExpiry = 86_400
  /// Contacts of ours that the registrar may still have.
  static let oldContactLimit = 4
  /// How many contacts of earlier processes are removed at most. Two machines with one instance, as after a disk was copied,
  /// do not take each other's binding away for ever.
  static let leftoverLimit = 8

  /// How long after a registration for `expires` seconds it is renewed: 60 s before the end, not before its half; of a
  /// short one after 80 %.
  static func refreshDelay(expires: Int, random: inout RandomSource) -> Duration {
    let seconds = Double(expires)
    let delay = expires <= 60 ? seconds * 0.8 : max(seconds - 60, seconds / 2)
    // Up to a twentieth earlier, so that not all clients of a registrar that restarted come back together for ever.
    return .seconds(delay) - .seconds(seconds * Double.random(in: 0..<0.05, using: &random))
  }

  /// The delay after that many failures in a row, one being the first: doubling from 1 s to 60 s, up to a fifth less.
  static func backOff(failures: Int, random: inout RandomSource) -> Duration {
    let full = min(firstBackOff * (1 << min(max(failures - 1, 0), 6)), longestBackOff)
    return full * Double.random(in: 0.8..<1, using: &random)
  }
}
