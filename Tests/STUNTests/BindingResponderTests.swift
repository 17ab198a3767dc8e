import NetworkTypes
import STUN
import Testing

@Suite("Binding responder")
struct BindingResponderTests {
  static let clientV4 = Endpoint(.v4(0xc633_6407), port: 61234)
  static let clientV6 = Endpoint(.v6(0x2001_0db8 << 96 | 7), port: 61234)
  static let serverV4 = Endpoint(.v4(0x7f00_0001), port: 3478)
  static let responder = BindingResponder(software: "Trunkline")

  func respond(_ message: STUNMessage, fingerprint: Bool = false, from: Endpoint = clientV4) throws -> STUNMessage? {
    let bytes = message.encoded(fingerprint: fingerprint)
    guard let answer = Self.responder.answer(to: bytes, from: from, local: Self.serverV4) else { return nil }
    // IPv4 1.6 times, IPv6 2.2 times: the bound of a server that is no amplifier.
    if message.hasMagicCookie {
      #expect(answer.count * 10 <= bytes.count * (from.address.isV4 ? 16 : 22))
    } else {
      #expect(answer.count * 10 <= bytes.count * (from.address.isV4 ? 34 : 58))
    }
    return try decode(answer)
  }

  func request(_ attributes: [STUNAttribute] = [], hasMagicCookie: Bool = true) -> STUNMessage {
    STUNMessage(
      messageClass: .request, transactionID: 0xaaaa_bbbb_cccc_dddd_eeee_ffff, hasMagicCookie: hasMagicCookie,
      attributes: attributes)
  }

  @Test("the least request gets the address it came from and nothing else", arguments: [clientV4, clientV6])
  func plain(_ client: Endpoint) throws {
    let answer = try #require(try respond(request(), from: client))
    #expect(answer.messageClass == .success)
    #expect(answer.wireID == request().wireID)
    #expect(answer.attributes == [.xorMappedAddress(client)])
  }

  @Test("a client of RFC 3489 gets its 128-bit ID, MAPPED-ADDRESS and SOURCE-ADDRESS", arguments: [clientV4, clientV6])
  func classic(_ client: Endpoint) throws {
    let answer = try #require(try respond(request(hasMagicCookie: false), from: client))
    #expect(!answer.hasMagicCookie)
    #expect(answer.transactionID == request(hasMagicCookie: false).transactionID)
    #expect(answer.attributes == [.mappedAddress(client), .sourceAddress(Self.serverV4)])
  }

  @Test("CHANGE-REQUEST without a flag is answered, with one it is refused; RESPONSE-ADDRESS is ignored")
  func classicAttributes() throws {
    let none = STUNChangeRequest(changeIP: false, changePort: false)
    let victim = Endpoint(.v4(0x0808_0808), port: 53)
    for hasMagicCookie in [true, false] {
      let answered = try #require(
        try respond(request([.responseAddress(victim), .changeRequest(none)], hasMagicCookie: hasMagicCookie)))
      #expect(answered.messageClass == .success)
      #expect(answered.mappedAddress == Self.clientV4)
      let change = STUNChangeRequest(changeIP: true, changePort: true)
      let refused = try #require(try respond(request([.changeRequest(change)], hasMagicCookie: hasMagicCookie)))
      #expect(refused.errorCode?.code == 420)
      #expect(refused.unknownAttributes?.first == .changeRequest)
    }
  }

  @Test("unknown comprehension-required attributes are named by 420, optional ones passed over")
  func unknown() throws {
    let first = STUNAttributeType(rawValue: 0x7001)
    let second = STUNAttributeType(rawValue: 0x7002)
    let optional = STUNAttributeType(rawValue: 0xf000)
    let refused = try #require(
      try respond(request([.unknown(first, []), .unknown(optional, []), .unknown(second, [])])))
    #expect(refused.messageClass == .error)
    #expect(refused.errorCode?.code == 420)
    #expect(refused.unknownAttributes == [first, second])
    #expect(try respond(request([.unknown(optional, [])]))?.messageClass == .success)
    // What the RFC itself defines is known, though a server without users has no use for it.
    #expect(try respond(request([.username([1]), .realm([2]), .nonce([3])]))?.messageClass == .success)
  }

  @Test("420 stays below the bound for any number of attributes", arguments: 1...60)
  func manyUnknown(_ count: Int) throws {
    let attributes = (0..<count).map { STUNAttribute.unknown(STUNAttributeType(rawValue: 0x7000 + UInt16($0)), []) }
    for client in [Self.clientV4, Self.clientV6] {
      let answer = try #require(try respond(request(attributes), from: client))
      #expect(answer.unknownAttributes?.count == count)
    }
  }

  @Test("FINGERPRINT and SOFTWARE come where the request leaves room for them")
  func room() throws {
    let fingerprinted = try #require(try respond(request(), fingerprint: true))
    #expect(fingerprinted.attributes.map(\.type) == [.xorMappedAddress, .fingerprint])
    let roomy = try #require(
      try respond(request([.software(Array("a client with a long name".utf8))]), fingerprint: true))
    #expect(roomy.software == "Trunkline")
    #expect(roomy.hasFingerprint)
  }

  @Test("only sound Binding requests are answered")
  func silence() throws {
    for messageClass in [STUNMessageClass.indication, .success, .error] {
      #expect(try respond(STUNMessage(messageClass: messageClass, transactionID: 1)) == nil)
    }
    let allocate = STUNMessage(messageClass: .request, method: STUNMethod(rawValue: 3), transactionID: 1)
    #expect(try respond(allocate) == nil)
    let sip = Array("OPTIONS sip:a@b SIP/2.0\r\n\r\n".utf8)
    #expect(Self.responder.answer(to: sip, from: Self.clientV4, local: Self.serverV4) == nil)
  }

  @Test("client and server transaction understand each other, over one array")
  func endToEnd() throws {
    var random = RandomSource(seed: 1)
    var buffer: [UInt8] = []
    for hasMagicCookie in [true, false] {
      let id = UInt128(random.next()) << 64 | UInt128(random.next())
      var transaction = BindingTransaction(
        server: Self.serverV4, transactionID: id, now: MonotonicInstant(nanoseconds: 0), hasMagicCookie: hasMagicCookie,
        fingerprint: hasMagicCookie)
      let isAnswered = Self.responder.respond(
        to: transaction.request.span, from: Self.clientV6, local: Self.serverV4, into: &buffer)
      #expect(isAnswered)
      let answer = try decode(buffer)
      #expect(transaction.responseReceived(answer, from: Self.serverV4) == .mapped(Self.clientV6, answer))
    }
  }
}
