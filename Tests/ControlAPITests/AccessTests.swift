import ControlAPI
import HTTPTypes
import Synchronization
import Testing

@Suite struct AccessTests {
  private static let apiPaths = [
    "/api/v1/status", "/api/v1/uplinks", "/api/v1/trunks/trunk0", "/api/v1/calls", "/api/v1/history", "/api/v1/events",
    "//api/v1/status", "/api//v1/status", "/api/v1/status/", "/api/v1/demo/recording.wav?id=r1", "/nothing",
  ]

  @Test(arguments: apiPaths) func nothingIsAnsweredWithoutTokenOrCookie(_ path: String) async throws {
    let client = APIClient()
    for bearer in [nil, "", "wrong", APIClient.token + "x", String(APIClient.token.dropLast())] {
      let answer = try await client.ask(.get, path, bearer: bearer)
      #expect(answer.status == 401, "\(path) with \(bearer ?? "nothing")")
      #expect(answer.headers[.contentType] == "application/problem+json")
      #expect(answer.headers[.wwwAuthenticate]?.hasPrefix("Bearer") == true)
      #expect(try answer.json()["status"] as? Int == 401)
    }
  }

  @Test func commandsNeedTheTokenToo() async throws {
    let control = StandInControl()
    let client = APIClient(control)
    for path in ["/api/v1/reload", "/api/v1/trunks/trunk0/disable", "/api/v1/demo/call", "/api/v1/links"] {
      #expect(try await client.ask(.post, path, bearer: nil).status == 401)
    }
    #expect(try await client.ask(.delete, "/api/v1/calls/c1", bearer: nil).status == 401)
    #expect(control.asked.isEmpty)
  }

  @Test(arguments: ["/healthz", "/readyz", "/metrics"]) func probesAreOpen(_ path: String) async throws {
    let client = APIClient()
    #expect(try await client.ask(.get, path, bearer: nil).status == 200)
    #expect(try await client.ask(.get, path, host: "trunkline.example:8065", bearer: nil).status == 200)
    #expect(try await client.ask(.get, path, host: nil, bearer: nil).status == 200)
    #expect(try await client.ask(.head, path, bearer: nil).body.isEmpty)
  }

  @Test(arguments: [
    "evil.example", "evil.example:8065", "127.0.0.1.evil.example", "192.168.1.1:8065", "localhost:x", "[::1", "",
    "127.0.0.1:8065@evil.example",
  ]) func unknownHostIsRefused(_ host: String) async throws {
    let client = APIClient()
    for path in ["/", "/api/v1/status", "/openapi.json"] {
      let answer = try await client.ask(.get, path, host: host)
      #expect(answer.status == 403, "\(host) \(path)")
      #expect(answer.headers[.contentType] == "application/problem+json")
    }
    #expect(try await client.ask(.get, "/api/v1/status", host: nil).status == 403)
  }

  @Test(arguments: ["127.0.0.1:8065", "127.0.0.1", "localhost:9", "LOCALHOST", "[::1]:8065"])
  func ownNamesAreKnown(_ host: String) async throws {
    #expect(try await APIClient().ask(.get, "/api/v1/status", host: host).status == 200)
  }

  @Test func bindToEveryAddressTakesAddressesAndGivenNames() async throws {
    let gate = AccessGate(token: APIClient.token, bindAddress: "0.0.0.0", hostNames: ["Office.example"])
    let client = APIClient(gate: gate)
    for (host, status) in [
      ("192.168.1.20:8065", 200), ("[fe80::1]:8065", 200), ("office.example:8065", 200), ("evil.example:8065", 403),
    ] {
      #expect(try await client.ask(.get, "/api/v1/status", host: host).status == status, "\(host)")
    }
    let one = APIClient(gate: AccessGate(token: APIClient.token, bindAddress: "192.168.1.20"))
    #expect(try await one.ask(.get, "/api/v1/status", host: "192.168.1.20:8065").status == 200)
    #expect(try await one.ask(.get, "/api/v1/status", host: "192.168.1.21:8065").status == 403)
  }

  @Test(arguments: ["http://evil.example", "null", "https://127.0.0.1:8065", "http://127.0.0.1:8066", ""])
  func foreignOriginIsRefused(_ origin: String) async throws {
    let control = StandInControl()
    let client = APIClient(control)
    let answer = try await client.ask(.post, "/api/v1/reload", headers: [.origin: origin])
    #expect(answer.status == 403)
    #expect(control.asked.isEmpty)
    let own = try await client.ask(.post, "/api/v1/reload", headers: [.origin: "http://127.0.0.1:8065"])
    #expect(own.status == 204)
    #expect(control.asked == ["reload"])
  }

  @Test func linkWorksOnceAndGivesAStrictCookie() async throws {
    let client = APIClient()
    let link = client.gate.makeLink()
    let first = try await client.ask(.get, link, bearer: nil)
    #expect(first.status == 303)
    #expect(first.headers[.location] == "/")
    let cookie = try #require(first.headers[.setCookie])
    #expect(cookie.contains("; HttpOnly"))
    #expect(cookie.contains("; SameSite=Strict"))
    let pair = String(cookie.prefix { $0 != ";" })
    #expect(try await client.ask(.get, link, bearer: nil).status == 403)
    #expect(try await client.ask(.get, "/?link=", bearer: nil).status == 403)
    let with = try await client.ask(.get, "/api/v1/status", bearer: nil, headers: [.cookie: "a=b; \(pair)"])
    #expect(with.status == 200)
    let wrong = try await client.ask(.get, "/api/v1/status", bearer: nil, headers: [.cookie: pair + "0"])
    #expect(wrong.status == 401)
  }

  @Test func linksAndSessionsEnd() async throws {
    let offset = Mutex(Duration.zero)
    let start = ContinuousClock.now
    let gate = AccessGate(
      token: APIClient.token, bindAddress: "127.0.0.1", now: { start + offset.withLock { $0 } })
    let client = APIClient(gate: gate)
    let late = gate.makeLink()
    let inTime = gate.makeLink()
    offset.withLock { $0 = AccessGate.linkLifetime - .seconds(1) }
    let answer = try await client.ask(.get, inTime, bearer: nil)
    let pair = String(try #require(answer.headers[.setCookie]).prefix { $0 != ";" })
    offset.withLock { $0 = AccessGate.linkLifetime }
    #expect(try await client.ask(.get, late, bearer: nil).status == 403)
    #expect(try await client.ask(.get, "/api/v1/status", bearer: nil, headers: [.cookie: pair]).status == 200)
    offset.withLock { $0 = AccessGate.linkLifetime + AccessGate.sessionLifetime }
    #expect(try await client.ask(.get, "/api/v1/status", bearer: nil, headers: [.cookie: pair]).status == 401)
  }

  @Test func tokenBeginsASession() async throws {
    let client = APIClient()
    let answer = try await client.ask(.post, "/api/v1/session")
    #expect(answer.status == 204)
    let pair = String(try #require(answer.headers[.setCookie]).prefix { $0 != ";" })
    #expect(try await client.ask(.get, "/api/v1/status", bearer: nil, headers: [.cookie: pair]).status == 200)
    // A cookie does not make further cookies.
    #expect(try await client.ask(.post, "/api/v1/session", bearer: nil, headers: [.cookie: pair]).status == 401)
  }

  @Test func secretsAreLongAndDiffer() {
    let secrets = (0..<50).map { _ in AccessGate.randomSecret() }
    #expect(Set(secrets).count == 50)
    #expect(secrets.allSatisfy { $0.utf8.count == 64 })
  }

  @Test func emptyTokenAdmitsNobody() async throws {
    let client = APIClient(gate: AccessGate(token: "", bindAddress: "127.0.0.1"))
    #expect(try await client.ask(.get, "/api/v1/status", bearer: "").status == 401)
  }
}
