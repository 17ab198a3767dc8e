public import NetworkTypes
public import SIPSyntax

/// A hash of digest authentication (RFC 7616 §3.3, RFC 8760), weakest first.
public enum DigestAlgorithm: Int, Hashable, Sendable, Comparable, CaseIterable, Codable {
  case md5
  case md5Session
  case sha256
  case sha256Session

  /// Reads the `algorithm` parameter, which stands for MD5 where it is absent.
  public init?(_ name: String?) {
    guard let name else {
      self = .md5
      return
    }
    guard let found = Self.allCases.first(where: { $0.name.lowercased() == name.lowercased() }) else { return nil }
    self = found
  }

  /// As it is written.
  public var name: String {
    switch self {
    case .md5: "MD5"
    case .md5Session: "MD5-sess"
    case .sha256: "SHA-256"
    case .sha256Session: "SHA-256-sess"
    }
  }

  var isSession: Bool { self == .md5Session || self == .sha256Session }

  func hash(_ text: String) -> String {
    switch self {
    case .md5, .md5Session: DigestHash.md5(text)
    case .sha256, .sha256Session: DigestHash.sha256(text)
    }
  }

  public static func < (left: Self, right: Self) -> Bool { left.rawValue < right.rawValue }
}

/// A challenge that we can answer: scheme Digest, an algorithm we know, and no `qop` or `qop=auth` among others.
public struct DigestChallenge: Sendable, Equatable, Codable {
  public let realm: String
  public let nonce: String
  public let opaque: String?
  public let algorithm: DigestAlgorithm
  /// `qop=auth` is offered, and then used; without it the answer is that of RFC 2069.
  public let qopAuth: Bool
  /// The credentials were right but for the nonce.
  public let stale: Bool
  let namesAlgorithm: Bool

  /// `nil` for a challenge that cannot be answered here.
  public init?(_ parameters: AuthParameters) {
    guard parameters.scheme.lowercased() == "digest", let realm = parameters["realm"], let nonce = parameters["nonce"],
      let algorithm = DigestAlgorithm(parameters["algorithm"])
    else { return nil }
    let offered = parameters["qop"].map { $0.split { $0 == "," || $0 == " " }.map { $0.lowercased() } }
    if let offered, !offered.isEmpty, !offered.contains("auth") { return nil }
    self.realm = realm
    self.nonce = nonce
    opaque = parameters["opaque"]
    self.algorithm = algorithm
    qopAuth = offered?.contains("auth") ?? false
    stale = parameters["stale"]?.lowercased() == "true"
    namesAlgorithm = parameters["algorithm"] != nil
  }

  /// The strongest of several challenges that can be answered; the first of equal ones.
  public static func best(of challenges: [AuthParameters]) -> DigestChallenge? {
    challenges.compactMap { DigestChallenge($0) }.reduce(nil) { best, next in
      guard let best else { return next }
      return next.algorithm > best.algorithm ? next : best
    }
  }
}

/// What both sides hash (RFC 7616 §3.4.1).
struct DigestComputation {
  var algorithm: DigestAlgorithm
  var username: String
  var realm: String
  var nonce: String
  var method: String
  var uri: String
  /// The `nc` and `cnonce` as written, where `qop=auth` is used.
  var quality: (nonceCount: String, cnonce: String)?
  /// The cnonce that a session algorithm needs even without `qop`.
  var sessionCnonce: String

  func response(password: Redacted<String>) -> String {
    var first = algorithm.hash("\(username):\(realm):\(password.value)")
    if algorithm.isSession { first = algorithm.hash("\(first):\(nonce):\(sessionCnonce)") }
    let second = algorithm.hash("\(method):\(uri)")
    guard let quality else { return algorithm.hash("\(first):\(nonce):\(second)") }
    return algorithm.hash("\(first):\(nonce):\(quality.nonceCount):\(quality.cnonce):auth:\(second)")
  }
}

/// The value of Authorization or Proxy-Authorization that answers `challenge` (RFC 7616 §3.4).
///
/// `uri` is the request URI as written; `nonceCount` the number of requests with this nonce, this one included; `cnonce`
/// random text of ours.
public func digestAuthorization(
  challenge: DigestChallenge, username: String, password: Redacted<String>, method: SIPMethod, uri: String,
  nonceCount: UInt32, cnonce: String
) -> String {
  let digits = String(nonceCount, radix: 16)
  let count = String(repeating: "0", count: max(0, 8 - digits.utf8.count)) + digits
  let computation = DigestComputation(
    algorithm: challenge.algorithm, username: username, realm: challenge.realm, nonce: challenge.nonce,
    method: method.name, uri: uri, quality: challenge.qopAuth ? (count, cnonce) : nil, sessionCnonce: cnonce)
  var parameters: [(name: String, value: String, quoted: Bool)] = [
    ("username", username, true), ("realm", challenge.realm, true), ("nonce", challenge.nonce, true),
    ("uri", uri, true), ("response", computation.response(password: password), true),
  ]
  // Named only when the challenge did: some old registrars refuse what they did not say.
  if challenge.namesAlgorithm { parameters.append(("algorithm", challenge.algorithm.name, false)) }
  if challenge.qopAuth || challenge.algorithm.isSession { parameters.append(("cnonce", cnonce, true)) }
  if let opaque = challenge.opaque { parameters.append(("opaque", opaque, true)) }
  if challenge.qopAuth {
    parameters.append(("qop", "auth", false))
    parameters.append(("nc", count, false))
  }
  return AuthParameters(scheme: "Digest", parameters).description
}
