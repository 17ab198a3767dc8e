public import NetworkTypes

/// The name and password that a client has for a server (RFC 8489 §9). Printing it gives a mask.
public enum STUNCredentials: Sendable, Hashable {
  /// For one session, agreed upon elsewhere (§9.1): every request carries them.
  case shortTerm(username: String, password: Redacted<String>)
  /// As for a log-in (§9.2): the server asks for them, with a realm and a nonce.
  case longTerm(username: String, password: Redacted<String>)
}

/// What a client knows of one server's demand for credentials: it dresses requests and judges answers (RFC 8489 §9).
///
/// Every request leaves with ``attributes`` and ``integrity``; every answer to it goes through ``judge(_:bytes:)`` first. One of
/// these is kept for as long as the server is asked, since a nonce that was taken once saves a round trip later.
public struct STUNAuthentication: Sendable {
  /// What an answer is worth.
  public enum Verdict: Sendable, Equatable {
    /// It may be acted on.
    case accepted
    /// The server asks for credentials, or has a new nonce: the request leaves again, dressed anew, in a new transaction.
    case retry
    /// As if it had never come: it is not signed, or wrongly.
    case discarded
    /// The server asks for credentials, and there are none.
    case credentialsNeeded
    /// The server does not take name and password.
    case credentialsRefused
    /// The server's demand cannot be met; why, as the end of a sentence.
    case unusable(String)
  }

  private struct Challenge: Sendable {
    let realm: [UInt8]
    var nonce: [UInt8]
    var algorithms: [STUNPasswordAlgorithm]?
    var algorithm: STUNPasswordAlgorithm?
    let isAnonymous: Bool
    let key: STUNKey
    /// The server has answered to it.
    var isProven = false
  }

  /// In a row; a server that never has enough is given up.
  private static let mostRetries = 3
  /// RFC 8489 §14.9, §14.10: fewer than 128 characters, and so at most 763 bytes.
  private static let longestText = 763

  private let credentials: STUNCredentials?
  private var challenge: Challenge?
  /// Which integrity the server signs with, once it has shown it (§9.1.5).
  private var isSHA256: Bool?
  private var retries = 0

  public init(_ credentials: STUNCredentials? = nil) { self.credentials = credentials }

  /// What a request carries beside its own attributes, before its integrity.
  public var attributes: [STUNAttribute] {
    switch credentials {
    case nil: return []
    case .shortTerm(let username, _)?: return [.username(Array(username.utf8))]
    case .longTerm(let username, _)?:
      guard let challenge else { return [] }
      let realm = String(decoding: challenge.realm, as: UTF8.self)
      var list: [STUNAttribute] = [
        challenge.isAnonymous
          ? .userhash(STUNKey.userhash(username: username, realm: realm)) : .username(Array(username.utf8)),
        .realm(challenge.realm), .nonce(challenge.nonce),
      ]
      if let algorithms = challenge.algorithms { list.append(.passwordAlgorithms(algorithms)) }
      if let algorithm = challenge.algorithm { list.append(.passwordAlgorithm(algorithm)) }
      return list
    }
  }

  /// What signs a request; `nil` where none does.
  public var integrity: STUNIntegrity? {
    switch credentials {
    case nil: return nil
    case .shortTerm(_, let password)?:
      let key = STUNKey.shortTerm(password: password.value)
      return isSHA256.map { $0 ? .sha256(key) : .sha1(key) } ?? .both(key)
    case .longTerm?:
      return challenge.map { $0.algorithms != nil ? .sha256($0.key) : .sha1($0.key) }
    }
  }

  /// Another server is asked, or the same one afresh: what was learned is forgotten.
  public mutating func serverChanged() { self = STUNAuthentication(credentials) }

  /// Judges an answer to the request that left last.
  ///
  /// - Parameters:
  ///   - message: the answer, whose sender and transaction ID have been found right.
  ///   - bytes: the answer as it came.
  public mutating func judge(_ message: STUNMessage, bytes: Span<UInt8>) -> Verdict {
    let code = message.messageClass == .error ? message.errorCode?.code : nil
    if case .shortTerm? = credentials { return judgeShortTerm(message, bytes) }
    // The demands themselves are not signed: whoever makes them does not know yet whom to sign for.
    if code == 401 || code == 438 { return judgeDemand(message, isStale: code == 438) }
    guard challenge != nil else { return .accepted }
    let features = STUNSecurityFeatures(nonce: message.nonce ?? [])
    if features?.hasPasswordAlgorithms == true, message.passwordAlgorithms == nil { return .discarded }
    guard isSigned(message, bytes) else { return .discarded }
    retries = 0
    challenge?.isProven = true
    return .accepted
  }

  /// §9.1.4: whatever is not signed by the password that both know is no answer, refusals included.
  private mutating func judgeShortTerm(_ message: STUNMessage, _ bytes: Span<UInt8>) -> Verdict {
    guard isSigned(message, bytes) else { return .discarded }
    isSHA256 = message.attributes.contains { $0.type == .messageIntegritySHA256 }
    return .accepted
  }

  /// Whether it bears the integrity that the request bore, by the same key.
  private func isSigned(_ message: STUNMessage, _ bytes: Span<UInt8>) -> Bool {
    let types = message.attributes.map(\.type)
    switch integrity {
    case .sha1(let key)?:
      return types.contains(.messageIntegrity) && STUNIntegrity.verdict(on: bytes, key: key) == .right
    case .sha256(let key)?:
      // Nobody on the way may take the stronger one off.
      return types.contains(.messageIntegritySHA256) && STUNIntegrity.verdict(on: bytes, key: key) == .right
    case .both(let key)?: return STUNIntegrity.verdict(on: bytes, key: key) == .right
    case nil: return false
    }
  }

  /// §9.2.5: 401 and 438.
  private mutating func judgeDemand(_ message: STUNMessage, isStale: Bool) -> Verdict {
    guard case .longTerm(let username, let password)? = credentials else { return .credentialsNeeded }
    guard let realm = message.realm ?? (isStale ? challenge?.realm : nil), let nonce = message.nonce else {
      return challenge == nil ? .unusable("it names no realm and no nonce") : .credentialsRefused
    }
    guard realm.count <= Self.longestText, nonce.count <= Self.longestText else {
      return .unusable("its realm or its nonce is longer than RFC 8489 allows")
    }
    // The same question once more would be answered alike; but that an old nonce is refused by 401 instead of 438 is seen.
    if !isStale, let challenge, challenge.realm == realm, !challenge.isProven { return .credentialsRefused }
    retries += 1
    guard retries <= Self.mostRetries else { return .unusable("it takes no nonce, not even its own") }
    let features = STUNSecurityFeatures(nonce: nonce)
    if features?.hasPasswordAlgorithms == true, message.passwordAlgorithms == nil {
      return .unusable("somebody on the way has taken out its choice of password algorithms")
    }
    var algorithm: STUNPasswordAlgorithm?
    if let offered = message.passwordAlgorithms {
      guard let known = offered.first(where: { $0 == .md5 || $0 == .sha256 }) else {
        return .unusable("it wants passwords hashed in a way that is not known here")
      }
      algorithm = known
    }
    guard
      let key = STUNKey.longTerm(
        username: username, realm: String(decoding: realm, as: UTF8.self), password: password.value,
        algorithm: algorithm ?? .md5)
    else { return .unusable("it wants passwords hashed in a way that is not known here") }
    challenge = Challenge(
      realm: realm, nonce: nonce, algorithms: message.passwordAlgorithms, algorithm: algorithm,
      isAnonymous: features?.hasUsernameAnonymity ?? false, key: key)
    return .retry
  }
}

/// What a server says in the first 13 characters of its nonce, where nobody can take it out unnoticed (RFC 8489 §9.2, §18.1).
struct STUNSecurityFeatures: Hashable, Sendable {
  let hasPasswordAlgorithms: Bool
  let hasUsernameAnonymity: Bool

  private static let cookie = Array("obMatJos2".utf8)

  /// `nil` for a nonce that does not begin with the cookie.
  init?(nonce: [UInt8]) {
    guard nonce.count >= Self.cookie.count + 4, nonce.starts(with: Self.cookie) else { return nil }
    var bits: UInt32 = 0
    for byte in nonce[Self.cookie.count..<Self.cookie.count + 4] {
      guard let value = Self.value(byte) else { return nil }
      bits = bits << 6 | UInt32(value)
    }
    // RFC 8489 §18.1 counts bits from the left; its own example in B.1 and an erratum count from the right. Both kinds of
    // servers exist, and no other bit has a meaning.
    hasPasswordAlgorithms = bits & 0x80_0001 != 0
    hasUsernameAnonymity = bits & 0x40_0002 != 0
  }

  /// Base64 (RFC 4648 §4).
  private static func value(_ byte: UInt8) -> UInt8? {
    switch byte {
    case UInt8(ascii: "A")...UInt8(ascii: "Z"): byte - UInt8(ascii: "A")
    case UInt8(ascii: "a")...UInt8(ascii: "z"): byte - UInt8(ascii: "a") + 26
    case UInt8(ascii: "0")...UInt8(ascii: "9"): byte - UInt8(ascii: "0") + 52
    case UInt8(ascii: "+"): 62
    case UInt8(ascii: "/"): 63
    default: nil
    }
  }
}
