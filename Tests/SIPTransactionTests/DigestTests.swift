import NetworkTypes
import SIPSyntax
import SIPTransaction
import Testing

@Suite struct DigestClientTests {
  private func challenge(_ text: String) throws -> DigestChallenge {
    try #require(DigestChallenge(AuthParameters(parsing: text)))
  }

  private func response(_ value: String) throws -> String? { try AuthParameters(parsing: value)["response"] }

  /// RFC 2617 §3.5.
  @Test func exampleOfRFC2617() throws {
    let challenge = try challenge(
      """
      Digest realm="testrealm@host.com", qop="auth,auth-int", nonce="dcd98b7102dd2f0e8b11d0f600bfb0c093", \
      opaque="5ccc069c403ebaf9f0171e9517f40e41"
      """)
    let value = digestAuthorization(
      challenge: challenge, username: "Mufasa", password: Redacted("Circle Of Life"), method: SIPMethod("GET"),
      uri: "/dir/index.html", nonceCount: 1, cnonce: "0a4f113b")
    #expect(try response(value) == "6629fae49393a05397450978507c4ef1")
    let parameters = try AuthParameters(parsing: value)
    #expect(parameters["nc"] == "00000001")
    #expect(parameters["qop"] == "auth")
    #expect(parameters["opaque"] == "5ccc069c403ebaf9f0171e9517f40e41")
  }

  /// RFC 7616 §3.9.1.
  @Test(arguments: [
    ("MD5", "8ca523f5e9506fed4657c9700eebdbec"),
    ("SHA-256", "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1"),
  ])
  func exampleOfRFC7616(algorithm: String, expected: String) throws {
    let challenge = try challenge(
      """
      Digest realm="http-auth@example.org", qop="auth, auth-int", algorithm=\(algorithm), \
      nonce="7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v", opaque="FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS"
      """)
    let value = digestAuthorization(
      challenge: challenge, username: "Mufasa", password: Redacted("Circle of Life"), method: SIPMethod("GET"),
      uri: "/dir/index.html", nonceCount: 1, cnonce: "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ")
    #expect(try response(value) == expected)
    #expect(try AuthParameters(parsing: value)["algorithm"] == algorithm)
  }

  /// Without qop, as registrars of RFC 2543 times ask: MD5(MD5(u:r:p):nonce:MD5(m:uri)), computed with md5sum.
  @Test func withoutQuality() throws {
    let challenge = try challenge(#"Digest realm="r", nonce="n""#)
    let value = digestAuthorization(
      challenge: challenge, username: "u", password: Redacted("p"), method: .register, uri: "sip:r", nonceCount: 1,
      cnonce: "c")
    #expect(try response(value) == "5790559ba44538767b07fb5adb649909")
    let names = try AuthParameters(parsing: value).names
    #expect(names == ["username", "realm", "nonce", "uri", "response"])
  }

  @Test func picksTheStrongest() throws {
    let offers = try [
      #"Digest realm="r", nonce="1", algorithm=SHA-512-256"#, #"Digest realm="r", nonce="2", algorithm=MD5"#,
      #"Digest realm="r", nonce="3", algorithm=SHA-256, qop="auth""#, #"Basic realm="r""#,
      #"Digest realm="r", nonce="4", algorithm=SHA-256, qop="auth-int""#,
    ].map { try AuthParameters(parsing: $0) }
    #expect(DigestChallenge.best(of: offers)?.nonce == "3")
    #expect(DigestChallenge.best(of: [offers[0], offers[3], offers[4]]) == nil)
  }
}

@Suite struct DigestSessionTests {
  private var random = RandomSource(seed: 1)

  private func challenge(status: Int = 401, _ texts: String...) -> SIPMessage {
    var response = SIPMessage(status: status)
    for text in texts { response.add(status == 401 ? .wwwAuthenticate : .proxyAuthenticate, text) }
    return response
  }

  private func register() throws -> SIPMessage {
    SIPMessage(method: .register, requestURI: try SIPURI(parsing: "sip:example.org"))
  }

  @Test mutating func aSecondChallengeToAFreshNonceMeansRefused() throws {
    var session = DigestSession(username: "u", password: Redacted("p"))
    var request = try register()
    session.authorize(&request, random: &random)
    #expect(request.value(.authorization) == nil)
    #expect(session.challenged(by: challenge(#"Digest realm="r", nonce="1", qop="auth""#)) == .answerable)
    session.authorize(&request, random: &random)
    #expect(request.value(.authorization)?.contains("nonce=\"1\"") == true)
    #expect(session.challenged(by: challenge(#"Digest realm="r", nonce="2", qop="auth""#)) == .refused)
  }

  @Test mutating func staleAndWornNoncesAreAnswered() throws {
    var session = DigestSession(username: "u", password: Redacted("p"))
    var request = try register()
    #expect(session.challenged(by: challenge(#"Digest realm="r", nonce="1""#)) == .answerable)
    session.authorize(&request, random: &random)
    #expect(session.challenged(by: challenge(#"Digest realm="r", nonce="2", stale=TRUE"#)) == .answerable)
    session.authorize(&request, random: &random)
    session.accepted()
    session.authorize(&request, random: &random)
    #expect(session.challenged(by: challenge(#"Digest realm="r", nonce="3""#)) == .answerable, "nonce 2 was used twice")
  }

  @Test mutating func endlessStalenessIsRefused() throws {
    var session = DigestSession(username: "u", password: Redacted("p"))
    var request = try register()
    var verdicts: [DigestSession.Verdict] = []
    for nonce in 0..<6 {
      verdicts.append(session.challenged(by: challenge("Digest realm=\"r\", nonce=\"\(nonce)\", stale=true")))
      #expect(session.isEndless == (nonce == 3))
      session.authorize(&request, random: &random)
    }
    #expect(verdicts.prefix(4) == [.answerable, .answerable, .answerable, .refused])
  }

  @Test mutating func proxyAndRegistrarBothChallenge() throws {
    var session = DigestSession(username: "u", password: Redacted("p"))
    var request = try register()
    #expect(session.challenged(by: challenge(#"Digest realm="r", nonce="1""#)) == .answerable)
    session.authorize(&request, random: &random)
    #expect(session.challenged(by: challenge(status: 407, #"Digest realm="r", nonce="2""#)) == .answerable)
    session.authorize(&request, random: &random)
    #expect(request.values(.authorization).count == 1)
    #expect(request.values(.proxyAuthorization).count == 1)
  }

  @Test mutating func foreignRealmGetsNothing() throws {
    var session = DigestSession(username: "u", password: Redacted("p"), realm: "Ours.example")
    #expect(session.challenged(by: challenge(#"Digest realm="evil", nonce="1""#)) == .wrongRealm("evil"))
    #expect(!session.hasChallenge)
    #expect(session.challenged(by: challenge(#"Digest realm="ours.example", nonce="1""#)) == .answerable)
  }

  @Test mutating func otherSchemesAndNoPassword() {
    var session = DigestSession(username: "u", password: Redacted("p"))
    #expect(session.challenged(by: challenge(#"Basic realm="r""#)) == .unsupported)
    var empty = DigestSession(username: "u", password: nil)
    #expect(empty.challenged(by: challenge(#"Digest realm="r", nonce="1""#)) == .refused)
  }
}

@Suite struct DigestVerifierTests {
  private let start = MonotonicInstant(nanoseconds: 1_000_000_000)

  private func request(
    answering challenge: String, password: String = "secret", username: String = "10", count: UInt32 = 1,
    uri: String = "sip:office.example", digestURI: String? = nil
  ) throws -> SIPMessage {
    var request = SIPMessage(method: .register, requestURI: try SIPURI(parsing: uri))
    let parsed = try #require(DigestChallenge(try AuthParameters(parsing: challenge)))
    request.set(
      .authorization,
      digestAuthorization(
        challenge: parsed, username: username, password: Redacted(password), method: .register,
        uri: digestURI ?? uri, nonceCount: count, cnonce: "abc"))
    return request
  }

  private func makeVerifier(memory: Int = 4096) -> DigestVerifier {
    var random = RandomSource(seed: 7)
    return DigestVerifier(realm: "office.example", random: &random, memory: memory)
  }

  private func passwords(_ username: String) -> Redacted<String>? { username == "10" ? Redacted("secret") : nil }

  @Test func rightPasswordAndCountsThatGrow() throws {
    var verifier = makeVerifier()
    let challenge = verifier.challenge(now: start)
    let first = try request(answering: challenge)
    #expect(verifier.verify(first, password: passwords, now: start) == .ok(username: "10"))
    #expect(verifier.verify(first, password: passwords, now: start) == .stale, "replayed")
    let second = try request(answering: challenge, count: 2)
    #expect(verifier.verify(second, password: passwords, now: start) == .ok(username: "10"))
  }

  @Test func wrongPasswordAndUnknownUserLookAlike() throws {
    var verifier = makeVerifier()
    let challenge = verifier.challenge(now: start)
    let wrong = try request(answering: challenge, password: "guess")
    let unknown = try request(answering: challenge, username: "99")
    #expect(verifier.verify(wrong, password: passwords, now: start) == .wrong(username: "10"))
    #expect(verifier.verify(unknown, password: passwords, now: start) == .wrong(username: "99"))
    let trick = try request(answering: challenge, password: "no such user", username: "99")
    #expect(verifier.verify(trick, password: passwords, now: start) == .wrong(username: "99"))
  }

  @Test func noncesEndAfterTheirLifetime() throws {
    var verifier = makeVerifier()
    let request = try request(answering: verifier.challenge(now: start))
    #expect(verifier.verify(request, password: passwords, now: start + .seconds(301)) == .stale)
    #expect(verifier.verify(request, password: passwords, now: start + .seconds(299)) == .ok(username: "10"))
  }

  @Test func nonceOfAnotherVerifierIsStale() throws {
    var verifier = makeVerifier()
    var random = RandomSource(seed: 8)
    var other = DigestVerifier(realm: "office.example", random: &random)
    let request = try request(answering: other.challenge(now: start))
    #expect(verifier.verify(request, password: passwords, now: start) == .stale)
  }

  @Test func credentialsOfAnotherRealmOrNoneAreNone() throws {
    var verifier = makeVerifier()
    let request = try request(answering: #"Digest realm="else", nonce="1""#)
    #expect(verifier.verify(request, password: passwords, now: start) == .noCredentials)
    let bare = SIPMessage(method: .register, requestURI: try SIPURI(parsing: "sip:office.example"))
    #expect(verifier.verify(bare, password: passwords, now: start) == .noCredentials)
  }

  @Test func digestForAnotherCallIsWrong() throws {
    var verifier = makeVerifier()
    let request = try request(
      answering: verifier.challenge(now: start), uri: "sip:+4930@office.example", digestURI: "sip:+4940@office.example")
    #expect(verifier.verify(request, password: passwords, now: start) == .wrong(username: "10"))
  }

  @Test func memoryIsBoundedAndForgettingNeverAllowsAReplay() throws {
    var verifier = makeVerifier(memory: 4)
    let requests = try (0..<8).map { _ in try request(answering: verifier.challenge(now: start)) }
    for request in requests {
      #expect(verifier.verify(request, password: passwords, now: start) == .ok(username: "10"))
    }
    for request in requests { #expect(verifier.verify(request, password: passwords, now: start) == .stale) }
  }

  @Test func withoutQualityANonceIsGoodOnce() throws {
    var verifier = makeVerifier()
    let parsed = try AuthParameters(parsing: verifier.challenge(now: start))
    let legacy = "Digest realm=\"office.example\", nonce=\"\(try #require(parsed["nonce"]))\""
    let request = try request(answering: legacy)
    #expect(verifier.verify(request, password: passwords, now: start) == .ok(username: "10"))
    #expect(verifier.verify(request, password: passwords, now: start) == .stale)
  }
}
