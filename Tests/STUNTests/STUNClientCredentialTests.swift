import NetworkTypes
import STUN
import Testing

@Suite("STUN client: credentials")
struct STUNClientCredentialTests {
  typealias Desk = STUNClientDesk

  static let longTerm = STUNCredentials.longTerm(username: "user", password: Redacted("pass"))
  static let shortTerm = STUNCredentials.shortTerm(username: "user", password: Redacted("pass"))
  static let realm = Array("realm".utf8)

  static func nonce(_ bits: UInt32?, _ rest: String = "1234") -> [UInt8] {
    guard let bits else { return Array(rest.utf8) }
    let digits = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/".utf8)
    let cookie = [18, 12, 6, 0].map { digits[Int(bits >> UInt32($0) & 63)] }
    return Array("obMatJos2".utf8) + cookie + Array(rest.utf8)
  }

  static func key(_ algorithm: STUNPasswordAlgorithm = .md5, _ password: String = "pass") throws -> STUNKey {
    try #require(STUNKey.longTerm(username: "user", realm: "realm", password: password, algorithm: algorithm))
  }

  @Test("a server that asks for nothing is sent nothing")
  func unasked() throws {
    var desk = Desk([Desk.a], Self.longTerm)
    desk.ask()
    let request = try desk.request()
    #expect(request.message.attributes.isEmpty)
    desk.receive(Desk.success(request.message), from: Desk.a.endpoint)
    #expect(desk.outcome() == .mapped(Desk.mapped, by: Desk.a))
  }

  @Test("401 by a server of RFC 5389: name, realm, nonce, HMAC-SHA1 by MD5; kept for the next question")
  func md5() throws {
    var desk = Desk([Desk.a], Self.longTerm)
    desk.ask()
    let first = try desk.request()
    let nonce = Self.nonce(nil)
    desk.receive(Desk.refusal(first.message, 401, [.realm(Self.realm), .nonce(nonce)]), from: Desk.a.endpoint)
    let second = try desk.request()
    #expect(second.message.transactionID != first.message.transactionID)
    #expect(second.message.username == Array("user".utf8))
    #expect(second.message.realm == Self.realm && second.message.nonce == nonce)
    #expect(second.message.attributes.map(\.type) == [.username, .realm, .nonce, .messageIntegrity])
    let key = try Self.key()
    #expect(verdict(on: second.bytes, key: key) == .right)
    // Unsigned, wrongly signed, signed only by what was not asked for: as if nothing had come.
    desk.receive(Desk.success(second.message, Desk.forged), from: Desk.a.endpoint)
    desk.receive(Desk.success(second.message, Desk.forged, .sha1(try Self.key(.md5, "guess"))), from: Desk.a.endpoint)
    desk.receive(Desk.success(second.message, Desk.forged, .sha256(key)), from: Desk.a.endpoint)
    desk.receive(Desk.refusal(second.message, 400), from: Desk.a.endpoint)
    #expect(desk.take().isEmpty && desk.client.isAsking)
    desk.receive(Desk.success(second.message, Desk.mapped, .sha1(key)), from: Desk.a.endpoint)
    #expect(desk.outcome() == .mapped(Desk.mapped, by: Desk.a))
    desk.ask()
    let third = try desk.request()
    #expect(third.message.nonce == nonce)
    #expect(verdict(on: third.bytes, key: key) == .right)
  }

  @Test("PASSWORD-ALGORITHMS: the first that is known, SHA-256 integrity, and the list goes back as it came")
  func algorithms() throws {
    // Bit 0 from the left, as RFC 8489 §18.1 has it, and from the right, as its example and an erratum have it.
    for bits in [0x80_0000, 0x00_0001] as [UInt32] {
      let lists: [([STUNPasswordAlgorithm], STUNPasswordAlgorithm)] = [
        ([.sha256, .md5], .sha256), ([.md5, .sha256], .md5),
        ([STUNPasswordAlgorithm(number: 9), .sha256], .sha256),
      ]
      for (list, chosen) in lists {
        var desk = Desk([Desk.a], Self.longTerm)
        desk.ask()
        let first = try desk.request()
        let demand: [STUNAttribute] = [
          .realm(Self.realm), .nonce(Self.nonce(bits)), .passwordAlgorithms(list),
        ]
        desk.receive(Desk.refusal(first.message, 401, demand), from: Desk.a.endpoint)
        let second = try desk.request()
        #expect(second.message.passwordAlgorithms == list)
        #expect(second.message.passwordAlgorithm == chosen)
        #expect(second.message.attributes.last?.type == .messageIntegritySHA256)
        #expect(!second.message.attributes.contains { $0.type == .messageIntegrity })
        let key = try Self.key(chosen)
        #expect(verdict(on: second.bytes, key: key) == .right)
        // The weaker integrity does not do any more.
        desk.receive(Desk.success(second.message, Desk.forged, .sha1(key)), from: Desk.a.endpoint)
        #expect(desk.take().isEmpty)
        desk.receive(Desk.success(second.message, Desk.mapped, .sha256(key)), from: Desk.a.endpoint)
        #expect(desk.outcome() == .mapped(Desk.mapped, by: Desk.a))
      }
    }
  }

  @Test("USERHASH where the nonce asks for it, in either order of its bits", arguments: [0x40_0000, 0x00_0002])
  func userhash(_ bits: UInt32) throws {
    var desk = Desk([Desk.a], Self.longTerm)
    desk.ask()
    let first = try desk.request()
    desk.receive(
      Desk.refusal(first.message, 401, [.realm(Self.realm), .nonce(Self.nonce(bits))]), from: Desk.a.endpoint)
    let second = try desk.request()
    #expect(second.message.username == nil)
    #expect(second.message.userhash == STUNKey.userhash(username: "user", realm: "realm"))
  }

  @Test("the choice of algorithms taken out on the way, or none that is known: given up")
  func bidDown() throws {
    let demands: [[STUNAttribute]] = [
      [.realm(Self.realm), .nonce(Self.nonce(0x80_0000))],
      [.realm(Self.realm), .nonce(Self.nonce(0x80_0000)), .passwordAlgorithms([STUNPasswordAlgorithm(number: 7)])],
      [.realm(Self.realm)], [.nonce([1])], [],
      [.realm(Self.realm), .nonce(Array(repeating: 65, count: 764))],
    ]
    for demand in demands {
      var desk = Desk([Desk.a], Self.longTerm)
      desk.ask()
      let first = try desk.request()
      desk.receive(Desk.refusal(first.message, 401, demand), from: Desk.a.endpoint)
      guard case .failed(let problems)? = desk.outcome(), case .unusableDemand? = problems.first else {
        Issue.record("\(demand)")
        continue
      }
    }
  }

  @Test("a second 401 is a refusal of the password; a 401 for an old nonce that was good is not")
  func wrongPassword() throws {
    var desk = Desk([Desk.a], Self.longTerm)
    desk.ask()
    let demand: [STUNAttribute] = [.realm(Self.realm), .nonce(Self.nonce(nil))]
    let first = try desk.request()
    desk.receive(Desk.refusal(first.message, 401, demand), from: Desk.a.endpoint)
    let second = try desk.request()
    desk.receive(Desk.refusal(second.message, 401, demand), from: Desk.a.endpoint)
    #expect(desk.outcome() == .failed([.credentialsRefused]))

    desk.ask()
    let third = try desk.request()
    desk.receive(Desk.refusal(third.message, 401, demand), from: Desk.a.endpoint)
    let fourth = try desk.request()
    desk.receive(Desk.success(fourth.message, Desk.mapped, .sha1(try Self.key())), from: Desk.a.endpoint)
    #expect(desk.outcome() == .mapped(Desk.mapped, by: Desk.a))
    desk.ask()
    let fifth = try desk.request()
    let renewed: [STUNAttribute] = [.realm(Self.realm), .nonce(Self.nonce(nil, "new"))]
    desk.receive(Desk.refusal(fifth.message, 401, renewed), from: Desk.a.endpoint)
    let sixth = try desk.request()
    #expect(sixth.message.nonce == Self.nonce(nil, "new"))
  }

  @Test("438: the new nonce is taken, but not for ever")
  func stale() throws {
    var desk = Desk([Desk.a], Self.longTerm)
    desk.ask()
    let first = try desk.request()
    desk.receive(
      Desk.refusal(first.message, 401, [.realm(Self.realm), .nonce(Self.nonce(nil))]), from: Desk.a.endpoint)
    for round in 0..<10 {
      let nonce = Self.nonce(nil, "n\(round)")
      let request: (bytes: [UInt8], message: STUNMessage, to: Endpoint)
      do { request = try desk.request() } catch {
        #expect(round == 3)
        return
      }
      desk.receive(
        Desk.refusal(request.message, 438, [.realm(Self.realm), .nonce(nonce)]), from: Desk.a.endpoint)
      if case .failed(let problems)? = desk.client.isAsking ? nil : desk.outcome() {
        #expect(round == 2)
        guard case .unusableDemand? = problems.first else {
          Issue.record("\(problems)")
          return
        }
        return
      }
    }
    Issue.record("it asked ten times")
  }

  @Test("short-term: both integrities at first, then the server's; nothing unsigned counts")
  func shortTermCredentials() throws {
    let key = STUNKey.shortTerm(password: "pass")
    for signature in [STUNIntegrity.sha1(key), .sha256(key)] {
      var desk = Desk([Desk.a], Self.shortTerm)
      desk.ask()
      let first = try desk.request()
      #expect(first.message.attributes.map(\.type) == [.username, .messageIntegrity, .messageIntegritySHA256])
      #expect(verdict(on: first.bytes, key: key) == .right)
      desk.receive(Desk.success(first.message, Desk.forged), from: Desk.a.endpoint)
      desk.receive(Desk.success(first.message, Desk.forged, .sha1(.shortTerm(password: "x"))), from: Desk.a.endpoint)
      #expect(desk.take().isEmpty)
      desk.receive(Desk.success(first.message, Desk.mapped, signature), from: Desk.a.endpoint)
      #expect(desk.outcome() == .mapped(Desk.mapped, by: Desk.a))
      desk.ask()
      let second = try desk.request()
      let expected: STUNAttributeType = signature == .sha1(key) ? .messageIntegrity : .messageIntegritySHA256
      #expect(second.message.attributes.map(\.type) == [.username, expected])
    }
  }

  @Test("where nothing signed comes, what did come is told")
  func doubts() throws {
    var desk = Desk([Desk.a], Self.shortTerm)
    desk.ask()
    var request = try desk.request()
    desk.receive(Desk.refusal(request.message, 401), from: Desk.a.endpoint)
    desk.pass(.seconds(40))
    #expect(desk.outcome() == .failed([.credentialsRefused]))
    desk.ask()
    request = try desk.request()
    desk.receive(Desk.success(request.message), from: Desk.a.endpoint)
    desk.pass(.seconds(40))
    #expect(desk.outcome() == .failed([.integrityViolated]))
  }

  @Test("neither name nor password is printed")
  func masked() {
    #expect(!"\(Self.longTerm)".contains("pass\""))
    #expect(!"\(STUNAuthentication(Self.longTerm))".contains("\"pass\""))
    var text = ""
    dump(STUNAuthentication(Self.longTerm), to: &text)
    #expect(!text.contains("pass\n") && !text.contains("\"pass\""))
  }
}
