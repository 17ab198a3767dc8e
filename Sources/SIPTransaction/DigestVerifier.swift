import Crypto
public import NetworkTypes
public import SIPSyntax

/// The server's side of digest authentication, for phones that register with us.
///
/// A nonce carries its time and number, signed with a key of this verifier, so that nothing is kept for a challenge that
/// nobody answers. Only nonces that came back with the right password are remembered, for their nonce count, and of those
/// a bounded number.
public struct DigestVerifier: Sendable {
  public enum Verdict: Sendable, Equatable {
    case ok(username: String)
    /// No credentials for our realm: challenge.
    case noCredentials
    /// Right password, but the nonce is too old, was used before or is not from here: challenge with `stale`.
    case stale
    /// An unknown user or a wrong password; which of them is not told.
    case wrong(username: String)
  }

  private struct Nonce {
    let issued: MonotonicInstant
    let serial: UInt64
  }

  public let realm: String
  /// The key of our nonces, 256 bits.
  private let secret: [UInt64]
  private let lifetime: Duration
  private let memory: Int
  private var lastSerial: UInt64 = 0
  /// The highest nonce count of each nonce that was used.
  private var counts: [UInt64: UInt32] = [:]
  /// The remembered nonces in the order of their first use, in a ring.
  private var ring: [UInt64] = []
  private var ringPosition = 0
  /// Nonces up to this number that are not remembered may have been used.
  private var forgottenSerial: UInt64 = 0

  /// `lifetime`: how long a nonce is good for; `memory`: how many used nonces are remembered.
  public init(
    realm: String, random: inout RandomSource, lifetime: Duration = .seconds(300), memory: Int = 4096
  ) {
    self.realm = realm
    self.lifetime = lifetime
    self.memory = max(memory, 1)
    secret = (0..<4).map { _ in random.next() }
  }

  /// The value of WWW-Authenticate or Proxy-Authenticate. MD5, since phones understand nothing else reliably.
  public mutating func challenge(now: MonotonicInstant, stale: Bool = false) -> String {
    lastSerial += 1
    var parameters: [(name: String, value: String, quoted: Bool)] = [
      ("realm", realm, true), ("nonce", makeNonce(issued: now, serial: lastSerial), true),
    ]
    if stale { parameters.append(("stale", "true", false)) }
    parameters += [("algorithm", "MD5", false), ("qop", "auth", true)]
    return AuthParameters(scheme: "Digest", parameters).description
  }

  /// Judges the credentials of `request` in `header`. `password` gives a user's password; for an unknown user the same
  /// work is done as for a known one.
  public mutating func verify(
    _ request: SIPMessage, header: HeaderName = .authorization, password: (String) -> Redacted<String>?,
    now: MonotonicInstant
  ) -> Verdict {
    let credentials = request.values(header).prefix(8).compactMap { try? AuthParameters(parsing: $0) }
    guard let given = credentials.first(where: { $0.scheme.lowercased() == "digest" && $0["realm"] == realm }),
      let username = given["username"], let nonceText = given["nonce"], let uri = given["uri"],
      let response = given["response"], let algorithm = DigestAlgorithm(given["algorithm"])
    else { return .noCredentials }
    var quality: (nonceCount: String, cnonce: String)?
    var count: UInt32?
    if let qop = given["qop"] {
      guard qop.lowercased() == "auth", let countText = given["nc"], let cnonce = given["cnonce"],
        countText.utf8.count == 8, let number = UInt32(countText, radix: 16)
      else { return .noCredentials }
      quality = (countText, cnonce)
      count = number
    }
    let known = password(username)
    let computation = DigestComputation(
      algorithm: algorithm, username: username, realm: realm, nonce: nonceText, method: request.method.name, uri: uri,
      quality: quality, sessionCnonce: given["cnonce"] ?? "")
    let expected = computation.response(password: known ?? Redacted("no such user"))
    let isRight = DigestHash.constantTimeEqual(expected, response.lowercased())
    // A digest for another user part is one for another call (RFC 7616 §3.4.6); host and port are not compared, since
    // phones and the servers before us write them differently.
    let isForThis = Self.agree(uri, request)
    guard isRight, known != nil, isForThis else { return .wrong(username: username) }
    guard let nonce = readNonce(nonceText), nonce.issued + lifetime >= now, nonce.issued <= now else { return .stale }
    return take(nonce, count: count) ? .ok(username: username) : .stale
  }

  /// Whether this use of the nonce is the first with its count; without a count a nonce is good once.
  private mutating func take(_ nonce: Nonce, count: UInt32?) -> Bool {
    if let highest = counts[nonce.serial] {
      guard let count, count > highest else { return false }
      counts[nonce.serial] = count
      return true
    }
    guard nonce.serial > forgottenSerial else { return false }
    if ring.count < memory {
      ring.append(nonce.serial)
    } else {
      let evicted = ring[ringPosition]
      counts.removeValue(forKey: evicted)
      forgottenSerial = max(forgottenSerial, evicted)
      ring[ringPosition] = nonce.serial
      ringPosition = (ringPosition + 1) % memory
    }
    counts[nonce.serial] = count ?? .max
    return true
  }

  private func makeNonce(issued: MonotonicInstant, serial: UInt64) -> String {
    let text = "\(String(issued.nanoseconds, radix: 16)).\(String(serial, radix: 16))"
    return "\(text).\(signature(text))"
  }

  private func readNonce(_ text: String) -> Nonce? {
    let parts = text.split(separator: ".", maxSplits: 3, omittingEmptySubsequences: false)
    guard parts.count == 3, let issued = Int64(parts[0], radix: 16), let serial = UInt64(parts[1], radix: 16),
      DigestHash.constantTimeEqual(signature("\(parts[0]).\(parts[1])"), String(parts[2]))
    else { return nil }
    return Nonce(issued: MonotonicInstant(nanoseconds: issued), serial: serial)
  }

  /// 128 bits of HMAC-SHA256 (RFC 2104). The key is of this verifier, and with it of its realm; the realm's name is left out,
  /// so that a recording in which it is a pseudonym has the same nonces.
  private func signature(_ text: String) -> String {
    var bytes: [UInt8] = []
    for word in secret { bytes.append(bigEndian: word) }
    let code = HMAC<SHA256>.authenticationCode(for: Array(text.utf8), using: SymmetricKey(data: bytes))
    return String(DigestHash.hexadecimal(code).prefix(32))
  }

  private static func agree(_ uri: String, _ request: SIPMessage) -> Bool {
    guard let claimed = try? SIPURI(parsing: uri), let actual = try? request.requestURI() else {
      return uri == request.requestURIText
    }
    // Some name the server only, without a user part (seen on sipp): RFC 3261 §22.4 leaves the difference to us.
    return claimed.user == nil || claimed.user == actual.user
  }
}

extension DigestVerifier: Codable {
  private enum CodingKeys: String, CodingKey {
    case realm
    case secret = "key"
    case lifetime, memory, lastSerial, counts, ring, ringPosition, forgottenSerial
  }

  public init(from decoder: any Decoder) throws {
    let container = try decoder.container(keyedBy: CodingKeys.self)
    realm = try container.decode(String.self, forKey: .realm)
    secret = try container.decode([Limbs].self, forKey: .secret).map { UInt64(truncatingIfNeeded: $0.wrappedValue) }
    lifetime = .seconds(try container.decode(Double.self, forKey: .lifetime))
    memory = try container.decode(Int.self, forKey: .memory)
    lastSerial = try container.decode(UInt64.self, forKey: .lastSerial)
    ring = try container.decode([UInt64].self, forKey: .ring)
    ringPosition = try container.decode(Int.self, forKey: .ringPosition)
    forgottenSerial = try container.decode(UInt64.self, forKey: .forgottenSerial)
    let counts = try container.decode([UInt32?].self, forKey: .counts)
    guard secret.count == 4, memory > 0, ring.count <= memory, counts.count == ring.count,
      ringPosition == 0 || ring.indices.contains(ringPosition) && ring.count == memory
    else {
      throw DecodingError.dataCorrupted(.init(codingPath: decoder.codingPath, debugDescription: "no verifier"))
    }
    for (serial, count) in zip(ring, counts) { self.counts[serial] = count ?? .max }
  }

  public func encode(to encoder: any Encoder) throws {
    var container = encoder.container(keyedBy: CodingKeys.self)
    try container.encode(realm, forKey: .realm)
    try container.encode(secret.map { Limbs(wrappedValue: UInt128($0)) }, forKey: .secret)
    try container.encode(lifetime.inSeconds, forKey: .lifetime)
    try container.encode(memory, forKey: .memory)
    try container.encode(lastSerial, forKey: .lastSerial)
    try container.encode(ring, forKey: .ring)
    try container.encode(ringPosition, forKey: .ringPosition)
    try container.encode(forgottenSerial, forKey: .forgottenSerial)
    // The nonces that are remembered are those of the ring; one that was used without a count is used up.
    try container.encode(
      ring.map { counts[$0].flatMap { count in count == .max ? nil : count } }, forKey: .counts)
  }
}
