import NetworkTypes
import STUN
import Testing

@Suite("Message codec")
struct CodecTests {
  static let v4 = Endpoint(.v4(0xc000_0201), port: 32853)
  static let v6 = Endpoint(.v6(0x2001_0db8_1234_5678_0011_2233_4455_6677), port: 5060)

  /// At least one of every attribute that is written by its author (integrity and fingerprint are computed).
  static let attributes: [STUNAttribute] = [
    .mappedAddress(v4), .mappedAddress(v6), .xorMappedAddress(v4), .xorMappedAddress(v6), .username([1, 2, 3]),
    .userhash(Array(repeating: 7, count: 32)), .errorCode(STUNErrorCode(code: 438, reason: "Stale Nonce")),
    .errorCode(STUNErrorCode(code: 699, reason: "")), .unknownAttributes([]),
    .unknownAttributes([.padding, .responsePort, .software]), .realm(Array("example.org".utf8)), .nonce([]),
    .passwordAlgorithm(.sha256), .passwordAlgorithm(STUNPasswordAlgorithm(number: 9, parameters: [1, 2, 3])),
    .passwordAlgorithms([.md5, .sha256]), .passwordAlgorithms([]), .alternateServer(v6),
    .alternateDomain(Array("a.b".utf8)),
    .software(Array("x".utf8)), .changeRequest(STUNChangeRequest(changeIP: true, changePort: false)),
    .changeRequest(STUNChangeRequest(changeIP: false, changePort: true)), .padding(Array(repeating: 0, count: 1277)),
    .responsePort(65535), .responseOrigin(v4), .otherAddress(v6), .responseAddress(v4), .sourceAddress(v6),
    .changedAddress(v4), .reflectedFrom(v6), .draftXORMappedAddress(v4),
    .unknown(STUNAttributeType(rawValue: 0x7fff), [1, 2, 3, 4, 5]), .unknown(STUNAttributeType(rawValue: 0xffff), []),
  ]

  @Test("every attribute comes back as it was written, in both generations", arguments: attributes, [true, false])
  func roundTrip(_ attribute: STUNAttribute, hasMagicCookie: Bool) throws {
    let message = STUNMessage(
      messageClass: .success, transactionID: 0x0123_4567_89ab_cdef_0123_4567_89ab_cdef, hasMagicCookie: hasMagicCookie,
      attributes: [attribute])
    let bytes = message.encoded()
    #expect(bytes.count % 4 == 0)
    let again = try decode(bytes)
    guard hasMagicCookie else {
      // RFC 3489 §11.2: phrases are filled with blanks and odd lists by a repetition, so that lengths are multiples of four.
      switch attribute {
      case .errorCode, .unknownAttributes: #expect(again.attributes.first?.type == attribute.type)
      default: #expect(again == message)
      }
      return
    }
    #expect(again == message)
  }

  @Test("RFC 3489 lists and phrases have lengths that are multiples of four")
  func classicLengths() throws {
    let message = STUNMessage(
      messageClass: .error, transactionID: 5, hasMagicCookie: false,
      attributes: [.errorCode(.badRequest), .unknownAttributes([.padding])])
    let again = try decode(message.encoded())
    #expect(again.errorCode == STUNErrorCode(code: 400, reason: "Bad Request "))
    #expect(again.unknownAttributes == [.padding, .padding])
  }

  @Test("class and method bits are interleaved as in RFC 8489 §5")
  func typeBits() throws {
    let cases: [(STUNMessageClass, UInt16, UInt16)] = [
      (.request, 1, 0x0001), (.indication, 1, 0x0011), (.success, 1, 0x0101), (.error, 1, 0x0111),
      (.request, 0xfff, 0x3eef), (.error, 0xfff, 0x3fff), (.success, 0x010, 0x0120), (.request, 0x080, 0x0200),
    ]
    for (messageClass, method, type) in cases {
      let message = STUNMessage(messageClass: messageClass, method: STUNMethod(rawValue: method), transactionID: 1)
      let bytes = message.encoded()
      #expect(UInt16(bytes[0]) << 8 | UInt16(bytes[1]) == type)
      #expect(try decode(bytes) == message)
    }
  }

  @Test("a transaction ID keeps 96 bits beside the cookie and 128 without it")
  func transactionIDs() throws {
    let all: UInt128 = 0xffff_ffff_ffff_ffff_ffff_ffff_ffff_fff0
    #expect(STUNMessage(messageClass: .request, transactionID: all).transactionID == all & ((1 << 96) - 1))
    let classic = STUNMessage(messageClass: .request, transactionID: all, hasMagicCookie: false)
    #expect(classic.transactionID == all)
    let again = try decode(classic.encoded())
    #expect(again.transactionID == all)
    #expect(!again.hasMagicCookie)
  }

  @Test("XOR-MAPPED-ADDRESS goes before the plain one, whatever their order")
  func preferredAddress() {
    let plain = Endpoint(.v4(1), port: 1)
    var message = STUNMessage(
      messageClass: .success, transactionID: 1, attributes: [.mappedAddress(plain), .xorMappedAddress(Self.v4)])
    #expect(message.mappedAddress == Self.v4)
    message.attributes = [.mappedAddress(plain), .draftXORMappedAddress(Self.v4)]
    #expect(message.mappedAddress == Self.v4)
    message.attributes = [.mappedAddress(plain)]
    #expect(message.mappedAddress == plain)
    message.attributes = []
    #expect(message.mappedAddress == nil)
  }

  @Test("of several attributes of one type the first counts")
  func firstCounts() {
    let message = STUNMessage(
      messageClass: .success, transactionID: 1,
      attributes: [.xorMappedAddress(Self.v4), .xorMappedAddress(Self.v6), .nonce([1]), .nonce([2])])
    #expect(message.mappedAddress == Self.v4)
    #expect(message.nonce == [1])
  }

  @Test("the addresses of RFC 3489 and RFC 5780 are read under one name each")
  func serverAddresses() {
    let classic = STUNMessage(
      messageClass: .success, transactionID: 1, attributes: [.sourceAddress(Self.v4), .changedAddress(Self.v6)])
    #expect(classic.responseOrigin == Self.v4)
    #expect(classic.otherAddress == Self.v6)
    let modern = STUNMessage(
      messageClass: .success, transactionID: 1, attributes: [.responseOrigin(Self.v4), .otherAddress(Self.v6)])
    #expect(modern.responseOrigin == Self.v4)
    #expect(modern.otherAddress == Self.v6)
  }

  @Test("what cannot be expressed in a length field is left out, not cut")
  func tooLong() throws {
    let message = STUNMessage(
      messageClass: .request, transactionID: 1,
      attributes: [
        .padding(Array(repeating: 1, count: 65_000)), .software(Array(repeating: 2, count: 763)), .username([3]),
      ])
    let again = try decode(message.encoded(fingerprint: true))
    #expect(again.attributes.map(\.type) == [.padding, .username, .fingerprint])
  }

  @Test("demultiplexing by content (RFC 7983)")
  func demultiplexing() {
    let request = STUNMessage(messageClass: .request, transactionID: 1).encoded()
    let classic = STUNMessage(messageClass: .success, transactionID: 1, hasMagicCookie: false).encoded()
    let otherClassic = STUNMessage(
      messageClass: .request, method: STUNMethod(rawValue: 3), transactionID: 1, hasMagicCookie: false)
    let rtp: [UInt8] = [0x80, 8] + Array(repeating: 0, count: 170)
    let dtls: [UInt8] = [22, 0xfe, 0xfd] + Array(repeating: 0, count: 40)
    let sip = Array("OPTIONS sip:a@b SIP/2.0\r\n\r\n".utf8)
    #expect(isSTUN(request))
    #expect(isSTUN(classic))
    #expect(!isSTUN(otherClassic.encoded()))
    #expect(!isSTUN(rtp))
    #expect(!isSTUN(dtls))
    #expect(!isSTUN(sip))
    #expect(!isSTUN([13, 10, 13, 10]))
    #expect(!isSTUN([UInt8]()))
    #expect(!isSTUN(request.dropLast()))
    #expect(!isSTUN((request + [0, 0, 0, 0])))
    // An answer to a keepalive may not be taken for STUN when only its first byte fits.
    #expect(!isSTUN(Array(repeating: 0, count: 20)))
  }

  @Test("transaction IDs follow the seed and have 96 bits")
  func randomTransactionIDs() {
    var random = RandomSource(seed: 7)
    var same = RandomSource(seed: 7)
    let first = STUNMessage.randomTransactionID(&random)
    let second = STUNMessage.randomTransactionID(&random)
    #expect(first != second)
    #expect(first >> 96 == 0)
    #expect(first == STUNMessage.randomTransactionID(&same))
  }

  @Test("a key does not print itself")
  func keysAreRedacted() {
    let key = STUNKey.shortTerm(password: "geheim")
    #expect(!"\(key)".contains("geheim"))
    #expect(!String(reflecting: key).contains("103"))
    #expect(
      STUNKey.longTerm(username: "a", realm: "b", password: "c", algorithm: STUNPasswordAlgorithm(number: 3)) == nil)
  }
}
