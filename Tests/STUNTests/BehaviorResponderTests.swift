import NetworkTypes
import STUN
import Testing

/// The server of two addresses and two ports: RFC 5780, RFC 3489, and what keeps it from being an amplifier.
@Suite("Binding responder of two addresses")
struct BehaviorResponderTests {
  static let clientV4 = Endpoint(.v4(0xc633_6407), port: 61234)
  static let clientV6 = Endpoint(.v6(0x2001_0db8 << 96 | 7), port: 61234)
  static let responder = BindingResponder(software: "Trunkline")

  /// The endpoint that is asked, and the one that differs from it in both, in the client's family.
  static func server(_ client: Endpoint) -> (local: Endpoint, other: Endpoint) {
    client.address.isV4
      ? (Endpoint(.v4(0xcb00_7101), port: 3478), Endpoint(.v4(0xcb00_7102), port: 3479))
      : (Endpoint(.v6(0x2001_0db8 << 96 | 0xa1), port: 3478), Endpoint(.v6(0x2001_0db8 << 96 | 0xa2), port: 3479))
  }

  struct Answer {
    let message: STUNMessage
    let reply: BindingReply
    let count: Int
  }

  func request(_ attributes: [STUNAttribute] = [], hasMagicCookie: Bool = true) -> STUNMessage {
    STUNMessage(
      messageClass: .request, transactionID: 0xaaaa_bbbb_cccc_dddd_eeee_ffff, hasMagicCookie: hasMagicCookie,
      attributes: attributes)
  }

  /// Asks, and holds every answer to the bound.
  func ask(
    _ message: STUNMessage, from client: Endpoint = clientV4, twoAddresses: Bool = true, fingerprint: Bool = false
  ) throws -> Answer? {
    let bytes = message.encoded(fingerprint: fingerprint)
    let (local, other) = Self.server(client)
    var answer: [UInt8] = []
    let reply = Self.responder.reply(
      to: bytes.span, from: client, local: local, other: twoAddresses ? other : nil, into: &answer)
    guard let reply else { return nil }
    let decoded = try decode(answer)
    let plain = !twoAddresses && message.hasMagicCookie || decoded.messageClass == .error
    let tenths = plain ? (client.address.isV4 ? 16 : 22) : client.address.isV4 ? 34 : 58
    #expect(answer.count * 10 <= bytes.count * tenths, "\(answer.count) bytes for \(bytes.count)")
    #expect(reply.destination.address == client.address)
    return Answer(message: decoded, reply: reply, count: answer.count)
  }

  @Test(
    "RFC 5780: where it came from, twice, where the answer leaves and the other endpoint",
    arguments: [clientV4, clientV6])
  func behavior(_ client: Endpoint) throws {
    let answer = try #require(try ask(request(), from: client))
    let (local, other) = Self.server(client)
    #expect(
      answer.message.attributes == [
        .xorMappedAddress(client), .mappedAddress(client), .responseOrigin(local), .otherAddress(other),
      ])
    #expect(
      answer.reply == BindingReply(change: STUNChangeRequest(changeIP: false, changePort: false), destination: client))
  }

  @Test("CHANGE-REQUEST names the endpoint that the answer leaves from", arguments: [true, false], [true, false])
  func change(_ changeIP: Bool, _ changePort: Bool) throws {
    let change = STUNChangeRequest(changeIP: changeIP, changePort: changePort)
    for client in [Self.clientV4, Self.clientV6] {
      let (local, other) = Self.server(client)
      let origin = Endpoint(changeIP ? other.address : local.address, port: changePort ? other.port : local.port)
      for hasMagicCookie in [true, false] {
        let answer = try #require(
          try ask(request([.changeRequest(change)], hasMagicCookie: hasMagicCookie), from: client))
        #expect(answer.reply.change == change)
        #expect(answer.reply.destination == client)
        // SOURCE-ADDRESS and CHANGED-ADDRESS are what RFC 3489 calls them.
        #expect(answer.message.responseOrigin == origin)
        #expect(answer.message.otherAddress == other)
        #expect(answer.message.mappedAddress == client)
      }
    }
  }

  @Test("a client of RFC 3489 gets the three addresses of that RFC", arguments: [clientV4, clientV6])
  func classic(_ client: Endpoint) throws {
    let (local, other) = Self.server(client)
    let answer = try #require(try ask(request(hasMagicCookie: false), from: client))
    #expect(
      answer.message.attributes == [.mappedAddress(client), .sourceAddress(local), .changedAddress(other)])
    let one = try #require(try ask(request(hasMagicCookie: false), from: client, twoAddresses: false))
    #expect(one.message.attributes == [.mappedAddress(client), .sourceAddress(local)])
  }

  @Test("with one address CHANGE-REQUEST is refused and no other address is told of")
  func oneAddress() throws {
    for client in [Self.clientV4, Self.clientV6] {
      let plain = try #require(try ask(request(), from: client, twoAddresses: false))
      #expect(plain.message.attributes == [.xorMappedAddress(client)])
      let change = STUNChangeRequest(changeIP: false, changePort: true)
      for hasMagicCookie in [true, false] {
        let refused = try #require(
          try ask(
            request([.changeRequest(change)], hasMagicCookie: hasMagicCookie), from: client, twoAddresses: false))
        #expect(refused.message.errorCode?.code == 420)
        #expect(refused.message.unknownAttributes?.first == .changeRequest)
        #expect(refused.reply.change == STUNChangeRequest(changeIP: false, changePort: false))
      }
    }
  }

  @Test("RESPONSE-PORT leads to the sender's own address, RESPONSE-ADDRESS nowhere", arguments: [true, false])
  func responsePort(_ twoAddresses: Bool) throws {
    let victim = Endpoint(.v4(0x0808_0808), port: 53)
    let answer = try #require(
      try ask(request([.responseAddress(victim), .responsePort(4711)]), twoAddresses: twoAddresses))
    #expect(answer.reply.destination == Endpoint(Self.clientV4.address, port: 4711))
    #expect(answer.message.mappedAddress == Self.clientV4)
    let classic = try #require(
      try ask(request([.responseAddress(victim)], hasMagicCookie: false), twoAddresses: twoAddresses))
    #expect(classic.reply.destination == Self.clientV4)
    // Port 0 cannot be sent to.
    #expect(try ask(request([.responsePort(0)]), twoAddresses: twoAddresses) == nil)
    // RFC 3489 does not know it.
    let unknown = try #require(
      try ask(request([.responsePort(4711)], hasMagicCookie: false), twoAddresses: twoAddresses))
    #expect(unknown.message.errorCode?.code == 420)
    #expect(unknown.reply.destination == Self.clientV4)
  }

  @Test("PADDING is answered by as much, never by more", arguments: [0, 1, 3, 4, 500, 1500, 2048, 2049, 9000, 60_000])
  func padding(_ count: Int) throws {
    for client in [Self.clientV4, Self.clientV6] {
      for (twoAddresses, fingerprint) in [(true, true), (true, false), (false, true), (false, false)] {
        let answer = try #require(
          try ask(
            request([.padding([UInt8](repeating: 7, count: count))]), from: client, twoAddresses: twoAddresses,
            fingerprint: fingerprint))
        let returned = answer.message.attributes.compactMap {
          if case .padding(let value) = $0 { value.count } else { nil }
        }
        #expect(returned == [min(count, BindingResponder.longestPadding)])
        #expect(answer.message.hasFingerprint == fingerprint)
      }
    }
  }

  @Test("PADDING to a port that did not ask is refused, towards the one that did")
  func paddingElsewhere() throws {
    let answer = try #require(try ask(request([.padding([UInt8](repeating: 0, count: 1500)), .responsePort(4711)])))
    #expect(answer.message.errorCode?.code == 400)
    #expect(answer.reply.destination == Self.clientV4)
  }

  @Test("420 stays within the bound of one address, whatever was not understood", arguments: 1...40)
  func refusals(_ count: Int) throws {
    let attributes = (0..<count).map { STUNAttribute.unknown(STUNAttributeType(rawValue: 0x7000 + UInt16($0)), []) }
    for client in [Self.clientV4, Self.clientV6] {
      for hasMagicCookie in [true, false] {
        for fingerprint in [true, false] {
          let answer = try #require(
            try ask(request(attributes, hasMagicCookie: hasMagicCookie), from: client, fingerprint: fingerprint))
          #expect(answer.message.errorCode?.code == 420)
          let listed = try #require(answer.message.unknownAttributes)
          #expect(listed.count >= count && listed.count <= count + 1)
          #expect(Set(listed).count == count)
        }
      }
    }
  }

  @Test("attributes that are cut or have the wrong length get silence or a refusal within the bound")
  func hostileLengths() throws {
    let types: [UInt16] = [0x0001, 0x0002, 0x0003, 0x0006, 0x0008, 0x0026, 0x0027, 0x7777, 0x802b, 0x8028, 0x8022]
    for type in types {
      for length in [0, 1, 2, 3, 4, 5, 20, 65_535] {
        for present in [0, 4, 8, 20, 24] {
          var bytes = request().encoded()
          bytes[3] = UInt8(4 + present)
          bytes += [UInt8(type >> 8), UInt8(type & 255), UInt8(length >> 8), UInt8(length & 255)]
          bytes += [UInt8](repeating: 0xff, count: present)
          var answer: [UInt8] = []
          let (local, other) = Self.server(Self.clientV4)
          let reply = Self.responder.reply(
            to: bytes.span, from: Self.clientV4, local: local, other: other, into: &answer)
          if (length + 3) / 4 * 4 > present { #expect(reply == nil, "\(type) \(length) \(present)") }
          guard reply != nil else { continue }
          #expect(answer.count * 10 <= bytes.count * 34)
          _ = try decode(answer)
        }
      }
    }
  }

  @Test("what stands after MESSAGE-INTEGRITY is not obeyed")
  func afterIntegrity() throws {
    let key = STUNKey.shortTerm(password: "secret")
    var bytes = request([.username([1])]).encoded(integrity: .sha1(key))
    let change: [UInt8] = [0, 3, 0, 4, 0, 0, 0, 6, 0, 0x27, 0, 4, 0x12, 0x34, 0, 0]
    bytes += change
    bytes[3] += UInt8(change.count)
    var answer: [UInt8] = []
    let (local, other) = Self.server(Self.clientV4)
    let reply = Self.responder.reply(to: bytes.span, from: Self.clientV4, local: local, other: other, into: &answer)
    #expect(
      reply == BindingReply(change: STUNChangeRequest(changeIP: false, changePort: false), destination: Self.clientV4))
  }

  @Test("a pair of endpoints has to differ in address and port, and to be reachable")
  func addresses() throws {
    let (local, other) = Self.server(Self.clientV4)
    let pair = try STUNServerAddresses(primary: local, alternate: other)
    #expect(pair.all.count == 4)
    for index in 0..<4 {
      #expect(pair.all[index].address == pair.all[index ^ 1].address)
      #expect(pair.all[index].port == pair.all[index ^ 2].port)
      #expect(pair.all[index].port != pair.all[index ^ 1].port)
      #expect(pair.all[index].address != pair.all[index ^ 2].address)
    }
    let wrong: [(Endpoint, STUNServerAddresses.Problem)] = [
      (Endpoint(local.address, port: 3479), .sameAddress), (Endpoint(other.address, port: local.port), .samePort),
      (Endpoint(.anyV4, port: 3479), .wildcard), (Endpoint(other.address, port: 0), .wildcard),
      (Self.server(Self.clientV6).other, .mixedFamilies),
    ]
    for (alternate, problem) in wrong {
      #expect(throws: problem) { try STUNServerAddresses(primary: local, alternate: alternate) }
    }
  }
}
