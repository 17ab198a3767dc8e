public import NetworkTypes
public import SIPSyntax

/// Our side of digest authentication towards one provider: the challenges in force, their nonce counts, and whether a new
/// challenge can be answered or means that the password is wrong.
public struct DigestSession: Sendable, Codable {
  /// What a 401 or 407 means.
  public enum Verdict: Sendable, Equatable {
    /// ``authorize(_:random:)`` answers it: send the request again.
    case answerable
    /// Credentials for a fresh nonce were not accepted: user name or password are wrong.
    case refused
    /// The challenge is for this realm, for which the password is not.
    case wrongRealm(String)
    /// No challenge that can be answered here: another scheme or algorithm.
    case unsupported
  }

  private struct Slot: Sendable, Codable {
    let header: HeaderName
    var challenge: DigestChallenge
    var nonceCount: UInt32 = 0
  }

  /// More realms than any path has; the oldest goes.
  private static let slotLimit = 4
  /// So many challenges in a row are answered: a proxy's, the registrar's, and one stale.
  private static let challengeLimit = 3

  private let username: String
  private let password: Redacted<String>?
  private let realm: String?
  private var slots: [Slot] = []
  private var challengesInRow = 0
  /// Whether the last challenge was one too many of which none said that the credentials are wrong.
  public private(set) var isEndless = false

  /// `realm`: the only one that the password is used for; `nil` for any.
  public init(username: String, password: Redacted<String>?, realm: String? = nil) {
    self.username = username
    self.password = password
    self.realm = realm
  }

  /// Whether a nonce is at hand, so that the next request will carry credentials.
  public var hasChallenge: Bool { !slots.isEmpty }

  /// Takes a 401 or 407. What was learned from it is used by every later ``authorize(_:random:)``.
  public mutating func challenged(by response: SIPMessage) -> Verdict {
    let isProxy = response.status == 407
    let header: HeaderName = isProxy ? .proxyAuthorization : .authorization
    let texts = response.values(isProxy ? .proxyAuthenticate : .wwwAuthenticate)
    let offers = texts.prefix(16).compactMap { try? AuthParameters(parsing: $0) }
    var realms: [String] = []
    for offer in offers {
      if let realm = offer["realm"], !realms.contains(realm), DigestChallenge(offer) != nil { realms.append(realm) }
    }
    guard let first = realms.first, let password, !password.value.isEmpty else {
      return password == nil || password?.value.isEmpty == true ? .refused : .unsupported
    }
    let allowed = realms.filter { realm == nil || realm?.lowercased() == $0.lowercased() }
    guard !allowed.isEmpty else { return .wrongRealm(first) }
    challengesInRow += 1
    isEndless = challengesInRow > Self.challengeLimit
    guard !isEndless else {
      endAttempt()
      return .refused
    }
    var isRefused = false
    for realm in allowed {
      guard let challenge = DigestChallenge.best(of: offers.filter { $0["realm"] == realm }) else { continue }
      if let index = slots.firstIndex(where: { $0.header == header && $0.challenge.realm == realm }) {
        // Used once, a nonce was fresh, and the answer to it judged. Used often, it may have become too old, which not
        // every registrar says with `stale`.
        if slots[index].nonceCount == 1, !challenge.stale { isRefused = true }
        slots[index] = Slot(header: header, challenge: challenge)
      } else {
        if slots.count == Self.slotLimit { slots.removeFirst() }
        slots.append(Slot(header: header, challenge: challenge))
      }
    }
    if isRefused { challengesInRow = 0 }
    return isRefused ? .refused : .answerable
  }

  /// Any other final response came: the credentials were not what it was about.
  public mutating func accepted() { challengesInRow = 0 }

  /// Forgets all nonces: the next request goes out without credentials.
  public mutating func reset() {
    slots = []
    challengesInRow = 0
  }

  /// Adds the credentials for the challenges in force; those that the request has are replaced.
  public mutating func authorize(_ request: inout SIPMessage, random: inout RandomSource) {
    request.remove(.authorization)
    request.remove(.proxyAuthorization)
    guard let password else { return }
    for index in slots.indices {
      slots[index].nonceCount &+= 1
      request.add(
        slots[index].header,
        digestAuthorization(
          challenge: slots[index].challenge, username: username, password: password, method: request.method,
          uri: request.requestURIText, nonceCount: slots[index].nonceCount, cnonce: random.hexDigits(32)))
    }
  }

  private mutating func endAttempt() {
    slots = []
    challengesInRow = 0
  }
}
