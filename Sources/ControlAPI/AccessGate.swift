import Synchronization

/// Who may use the API: those who know the token, and browsers that came by a link which only the console showed.
///
/// It holds the secrets and decides; it never sees a socket. Time comes from the clock that it is given.
public final class AccessGate: Sendable {
  private struct Secrets {
    /// One-time links that were not used yet, and when they end.
    var links: [(secret: String, until: ContinuousClock.Instant)] = []
    /// Cookies that were given out.
    var sessions: [(secret: String, until: ContinuousClock.Instant)] = []
  }

  public static let linkLifetime = Duration.seconds(3600)
  public static let sessionLifetime = Duration.seconds(30 * 86400)
  static let cookieName = "trunkline_session"
  private static let limit = 100

  private let token: String
  private let hosts: [String]
  private let allowsEveryAddress: Bool
  private let now: @Sendable () -> ContinuousClock.Instant
  private let makeSecret: @Sendable () -> String
  private let secrets = Mutex(Secrets())

  /// - Parameters:
  ///   - token: what scripts send as `Authorization: Bearer`.
  ///   - bindAddress: the address that the server listens on, as text without brackets.
  ///   - hostNames: names of this machine that a Host header may have besides.
  public init(
    token: String, bindAddress: String, hostNames: [String] = [],
    now: @escaping @Sendable () -> ContinuousClock.Instant = { .now },
    makeSecret: @escaping @Sendable () -> String = { AccessGate.randomSecret() }
  ) {
    self.token = token
    let own = bindAddress == "0.0.0.0" || bindAddress == "::" ? [] : [bindAddress]
    hosts = ["localhost", "127.0.0.1", "::1"] + own + hostNames.map { $0.lowercased() }
    allowsEveryAddress = own.isEmpty
    self.now = now
    self.makeSecret = makeSecret
  }

  /// 256 random bits of the system as hexadecimal digits.
  public static func randomSecret() -> String {
    var random = SystemRandomNumberGenerator()
    return (0..<4).map { _ in
      let digits = String(random.next(), radix: 16)
      return String(repeating: "0", count: 16 - digits.count) + digits
    }.joined()
  }

  /// The path and query of a link that works once within ``linkLifetime``.
  public func makeLink() -> String {
    let secret = makeSecret()
    let until = now() + Self.linkLifetime
    secrets.withLock { secrets in
      if secrets.links.count >= Self.limit { secrets.links.removeFirst() }
      secrets.links.append((secret, until))
    }
    return "/?link=\(secret)"
  }

  /// Uses up a link: the `Set-Cookie` value of a new session, or `nil` for one that is unknown, used or too old.
  func redeem(link: String) -> String? {
    let now = now()
    let isKnown = secrets.withLock { secrets in
      secrets.links.removeAll { $0.until <= now }
      // Every link is compared, so that the time taken tells nothing.
      var found: Int?
      for (index, known) in secrets.links.enumerated() where Self.isEqual(known.secret, link) { found = index }
      if let found { secrets.links.remove(at: found) }
      return found != nil
    }
    return isKnown ? startSession() : nil
  }

  /// The `Set-Cookie` value of a new session.
  func startSession() -> String {
    let secret = makeSecret()
    let until = now() + Self.sessionLifetime
    secrets.withLock { secrets in
      if secrets.sessions.count >= Self.limit { secrets.sessions.removeFirst() }
      secrets.sessions.append((secret, until))
    }
    return
      "\(Self.cookieName)=\(secret); Path=/; Max-Age=\(Self.sessionLifetime.components.seconds); HttpOnly; SameSite=Strict"
  }

  /// Whether the values of an `Authorization` and of `Cookie` headers let someone in.
  func admits(authorization: String?, cookies: [String]) -> Bool {
    if let authorization, isBearer(authorization) { return true }
    let now = now()
    let prefix = "\(Self.cookieName)="
    let offered = cookies.flatMap { $0.split(separator: ";") }.map { $0.drop { $0 == " " } }
      .filter { $0.hasPrefix(prefix) }.map { String($0.dropFirst(prefix.count)) }
    return secrets.withLock { secrets in
      secrets.sessions.removeAll { $0.until <= now }
      var admitted = false
      for secret in offered.prefix(4) {
        for session in secrets.sessions where Self.isEqual(session.secret, secret) { admitted = true }
      }
      return admitted
    }
  }

  func isBearer(_ authorization: String) -> Bool {
    let parts = authorization.split(separator: " ", maxSplits: 1)
    guard parts.count == 2, parts[0].lowercased() == "bearer" else { return false }
    return !token.isEmpty && Self.isEqual(token, String(parts[1]))
  }

  /// Whether a Host header names this machine. A name that someone else's name server points here (DNS rebinding) does
  /// not; an address in figures cannot be pointed.
  func isKnownHost(_ authority: String?) -> Bool {
    guard let authority, let host = Self.host(of: authority) else { return false }
    return hosts.contains(host) || allowsEveryAddress && Self.isAddress(host)
  }

  /// Whether an Origin header, where there is one, is that of our own page.
  func isOwnOrigin(_ origin: String?, authority: String?) -> Bool {
    guard let origin else { return true }
    guard let authority else { return false }
    return origin.lowercased() == "http://\(authority.lowercased())"
  }

  /// The host of `host`, `host:port` or `[v6]:port`, in lower case.
  private static func host(of authority: String) -> String? {
    let text = authority.lowercased()
    if text.hasPrefix("[") {
      guard let end = text.firstIndex(of: "]") else { return nil }
      return isPort(text[text.index(after: end)...]) ? String(text[text.index(after: text.startIndex)..<end]) : nil
    }
    guard let colon = text.firstIndex(of: ":") else { return text }
    return isPort(text[colon...]) ? String(text[..<colon]) : nil
  }

  private static func isPort(_ text: Substring) -> Bool {
    text.isEmpty || text.first == ":" && UInt16(text.dropFirst()) != nil
  }

  private static func isAddress(_ host: String) -> Bool {
    if host.contains(":") { return host.allSatisfy { $0.isHexDigit || $0 == ":" || $0 == "." } }
    let parts = host.split(separator: ".", omittingEmptySubsequences: false)
    return parts.count == 4 && parts.allSatisfy { UInt8($0) != nil }
  }

  /// Compares in a time that depends on the length of `offered` alone.
  static func isEqual(_ secret: String, _ offered: String) -> Bool {
    let secret = Array(secret.utf8)
    let offered = Array(offered.utf8)
    guard !secret.isEmpty else { return false }
    var difference = UInt8(secret.count == offered.count ? 0 : 1)
    for index in offered.indices { difference |= offered[index] ^ secret[index % secret.count] }
    return difference == 0
  }
}
