import NetworkTypes
import STUN
import Testing

@Suite("Hostile input")
struct HostileInputTests {
  static let responder = BindingResponder(software: "Trunkline")
  static let here = Endpoint(.v4(0x7f00_0001), port: 3478)
  static let there = Endpoint(.v4(0xc633_6401), port: 40000)

  @Test("a message cut at any byte is refused by decoder, responder and judge", arguments: RFC5769Vectors.all)
  func truncation(_ sample: RFC5769Vectors.Sample) {
    let whole = sample.bytes
    for count in 0..<whole.count {
      var cut = Array(whole.prefix(count))
      #expect(throws: STUNDecodeError.self) { try decode(cut) }
      #expect(Self.responder.answer(to: cut, from: Self.there, local: Self.here) == nil)
      #expect(!isSTUN(cut))
      // The same with a length field that admits to the cut: no overrun is ever read.
      guard count >= 20, count % 4 == 0 else { continue }
      cut[2] = UInt8((count - 20) >> 8)
      cut[3] = UInt8((count - 20) & 255)
      let isVouchedFor =
        (try? decode(cut)) != nil
        && verdict(on: cut, key: RFC5769Tests.shortTerm) == .right
      // Only the sample without its last attribute, the fingerprint, is still whole.
      #expect(!isVouchedFor || count == whole.count - 8)
      _ = Self.responder.answer(to: cut, from: Self.there, local: Self.here)
    }
  }

  /// Which lengths of a value are sound, for each comprehension-required type.
  static let lengths: [(STUNAttributeType, Set<Int>)] = [
    (.mappedAddress, [8]), (.responseAddress, [8]), (.changeRequest, [4]), (.sourceAddress, [8]),
    (.changedAddress, [8]),
    (.username, Set(0...40)), (.messageIntegrity, [20]), (.errorCode, Set(4...40)),
    (.unknownAttributes, Set(stride(from: 0, through: 40, by: 2))), (.reflectedFrom, [8]), (.realm, Set(0...40)),
    (.nonce, Set(0...40)), (.messageIntegritySHA256, [16, 20, 24, 28, 32]), (.userhash, [32]),
    (.passwordAlgorithm, [4]), (.xorMappedAddress, [8]), (.padding, Set(0...40)), (.responsePort, [2, 4]),
  ]

  @Test("values of every length from 0 to 40, in every comprehension-required attribute", arguments: lengths)
  func valueLengths(_ type: STUNAttributeType, _ sound: Set<Int>) {
    for count in 0...40 {
      // Family IPv4 and error code 401 where those are read; algorithm 1 without parameters.
      var value: [UInt8] =
        type == .errorCode ? [0, 0, 4, 1] : type == .passwordAlgorithm ? [0, 1, 0, 0] : [0, 1, 0, 9]
      value = count <= 4 ? Array(value.prefix(count)) : value + Array(repeating: 65, count: count - 4)
      let bytes = Self.message(type.rawValue, value)
      let decoded = try? decode(bytes)
      #expect((decoded != nil) == sound.contains(count), "0x\(String(type.rawValue, radix: 16)), length \(count)")
      if let decoded { #expect(decoded.attributes.count == 1) }
    }
  }

  @Test("a declared length that goes beyond the message, in every attribute", arguments: [0, 1, 4, 8, 20])
  func overrun(_ present: Int) {
    for type in (UInt16(0)...0x40).map({ $0 }) + (UInt16(0x8000)...0x8040).map({ $0 }) {
      for declared in [present + 4, 0xfffc, 0xfffd, 0xffff] {
        var bytes = Self.message(type, Array(repeating: 0, count: present))
        bytes[22] = UInt8(declared >> 8)
        bytes[23] = UInt8(declared & 255)
        #expect(throws: STUNDecodeError.self) { try decode(bytes) }
        #expect(Self.responder.answer(to: bytes, from: Self.there, local: Self.here) == nil)
        #expect(verdict(on: bytes, key: .shortTerm(password: "")) != .right)
      }
    }
  }

  @Test("the longest message there is")
  func longest() throws {
    let bytes = Self.message(STUNAttributeType.padding.rawValue, Array(repeating: 1, count: 65_528))
    #expect(bytes.count == 65_552)
    #expect(try decode(bytes).attributes.count == 1)
    let many = Self.message(0x7f00, [], times: 16_383)
    #expect(try decode(many).notUnderstood.count == 16_383)
    let answer = try #require(Self.responder.answer(to: many, from: Self.there, local: Self.here))
    #expect(answer.count <= many.count * 16 / 10)
  }

  @Test("an optional attribute of the wrong shape is kept, and means nothing")
  func malformedOptional() throws {
    for type in [STUNAttributeType.otherAddress, .responseOrigin, .alternateServer, .passwordAlgorithms] {
      let message = try decode(Self.message(type.rawValue, [9]))
      #expect(message.attributes == [.unknown(type, [9])])
      #expect(message.otherAddress == nil && message.responseOrigin == nil && message.alternateServer == nil)
    }
  }

  @Test("nothing after MESSAGE-INTEGRITY is acted on but -SHA256 and FINGERPRINT")
  func afterIntegrity() throws {
    let key = STUNKey.shortTerm(password: "secret")
    let honest = STUNMessage(messageClass: .success, transactionID: 3, attributes: [.xorMappedAddress(Self.there)])
    let forged = Endpoint(.v4(0x0a00_0001), port: 1)
    let extra = STUNMessage(
      messageClass: .success, transactionID: 3,
      attributes: [.mappedAddress(forged), .xorMappedAddress(forged), .otherAddress(forged)]
    ).encoded().dropFirst(20)
    for integrity in [STUNIntegrity.sha1(key), .sha256(key), .both(key)] {
      var bytes = honest.encoded(integrity: integrity) + extra
      bytes[2] = UInt8((bytes.count - 20) >> 8)
      bytes[3] = UInt8((bytes.count - 20) & 255)
      let message = try decode(bytes)
      #expect(message.mappedAddress == Self.there)
      #expect(message.otherAddress == nil)
      #expect(verdict(on: bytes, key: key) == .right)
    }
    // A second integrity attribute does not vouch for what stands between the two.
    let both = try decode(honest.encoded(integrity: .both(key), fingerprint: true))
    #expect(
      both.attributes.map(\.type) == [.xorMappedAddress, .messageIntegrity, .messageIntegritySHA256, .fingerprint])
  }

  @Test("an attribute put in before MESSAGE-INTEGRITY breaks it")
  func beforeIntegrity() throws {
    let key = STUNKey.shortTerm(password: "secret")
    let honest = STUNMessage(messageClass: .success, transactionID: 3, attributes: [.xorMappedAddress(Self.there)])
    var bytes = honest.encoded(integrity: .sha1(key))
    bytes.insert(contentsOf: [0x80, 0x22, 0, 0], at: 20)
    bytes[3] += 4
    #expect(throws: Never.self) { try decode(bytes) }
    #expect(verdict(on: bytes, key: key) == .wrong)
    #expect(verdict(on: honest.encoded(), key: key) == .absent)
  }

  @Test("FINGERPRINT: wrong, twice, not last")
  func fingerprint() throws {
    var wrong = STUNMessage(messageClass: .request, transactionID: 1).encoded(fingerprint: true)
    wrong[wrong.count - 1] ^= 1
    #expect(throws: STUNDecodeError.self) { try decode(wrong) }
    #expect(Self.responder.answer(to: wrong, from: Self.there, local: Self.here) == nil)
    var notLast = STUNMessage(messageClass: .request, transactionID: 1).encoded(fingerprint: true)
    notLast += [0x80, 0x22, 0, 0]
    notLast[3] += 4
    #expect(throws: STUNDecodeError.self) { try decode(notLast) }
    #expect(Self.responder.answer(to: notLast, from: Self.there, local: Self.here) == nil)
  }

  @Test("random bytes and mutated samples crash nothing, and answers stay below the bound")
  func noise() {
    var random = RandomSource(seed: 5769)
    for round in 0..<20_000 {
      var bytes: [UInt8]
      if round % 2 == 0 {
        bytes = RFC5769Vectors.all[round / 2 % RFC5769Vectors.all.count].bytes
        for _ in 0..<Int.random(in: 1...4, using: &random) {
          bytes[Int.random(in: 0..<bytes.count, using: &random)] = UInt8.random(in: 0...255, using: &random)
        }
      } else {
        bytes = Self.message(1, [])
        for _ in 0..<4 * Int.random(in: 0...20, using: &random) {
          bytes.append(UInt8.random(in: 0...40, using: &random))
        }
        bytes[3] = UInt8(bytes.count - 20)
      }
      _ = try? decode(bytes)
      _ = verdict(on: bytes, key: RFC5769Tests.shortTerm)
      if let answer = Self.responder.answer(to: bytes, from: Self.there, local: Self.here) {
        #expect(answer.count <= bytes.count * 34 / 10)
        #expect(throws: Never.self) { try decode(answer) }
      }
    }
  }

  /// A Binding request with the attribute `type`, given `times` times.
  static func message(_ type: UInt16, _ value: [UInt8], times: Int = 1) -> [UInt8] {
    var bytes = STUNMessage(messageClass: .request, transactionID: 9).encoded()
    for _ in 0..<times {
      bytes += [UInt8(type >> 8), UInt8(type & 255), UInt8(value.count >> 8), UInt8(value.count & 255)]
      bytes += value
      bytes += Array(repeating: 0, count: -value.count & 3)
    }
    bytes[2] = UInt8((bytes.count - 20) >> 8)
    bytes[3] = UInt8((bytes.count - 20) & 255)
    return bytes
  }
}
