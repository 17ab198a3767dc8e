import NetworkTypes
import STUN
import Testing

/// What a client does with answers that are cut, whose lengths lie, or to which somebody has added something: an answer is
/// believed whole or not at all.
@Suite("Hostile answers") struct HostileAnswerTests {
  typealias Desk = STUNClientDesk
  static let key = STUNKey.shortTerm(password: "secret")
  static let credentials = STUNCredentials.shortTerm(username: "me", password: Redacted("secret"))

  /// Every attribute that an answer may hold, in one answer.
  static func full(_ request: STUNMessage, _ integrity: STUNIntegrity? = nil, fingerprint: Bool = true) -> [UInt8] {
    STUNMessage(
      messageClass: .success, transactionID: request.transactionID,
      attributes: [
        .xorMappedAddress(Desk.mapped), .mappedAddress(Desk.mapped), .responseOrigin(Desk.a.endpoint),
        .otherAddress(Desk.b.endpoint), .software(Array("x".utf8)), .padding([1, 2, 3, 4]),
      ]
    ).encoded(integrity: integrity, fingerprint: fingerprint)
  }

  @Test("cut at any byte, over UDP", arguments: [nil, credentials])
  func cut(_ credentials: STUNCredentials?) throws {
    var desk = Desk([Desk.a], credentials)
    desk.ask()
    let request = try desk.request()
    let whole = Self.full(request.message, credentials == nil ? nil : .both(Self.key))
    for count in 0..<whole.count {
      desk.receive(Array(whole.prefix(count)), from: request.to)
      #expect(desk.outcome() == nil, "\(count) bytes")
      // The same with a length that admits to the cut; without a signature and a fingerprint a shorter message is a sound one.
      guard credentials != nil, count >= 20, count % 4 == 0, count < whole.count - 8 else { continue }
      var admitted = Array(whole.prefix(count))
      admitted[2] = UInt8((count - 20) >> 8)
      admitted[3] = UInt8((count - 20) & 255)
      let isSigned = STUNIntegrity.verdict(on: admitted.span, key: Self.key) == .right
      guard !isSigned else { continue }
      desk.receive(admitted, from: request.to)
      #expect(desk.outcome() == nil, "\(count) bytes and a length of its own")
    }
    desk.receive(whole, from: request.to)
    #expect(desk.outcome() == .mapped(Desk.mapped, by: Desk.a))
  }

  @Test("cut at any byte, on a connection: the rest is waited for")
  func cutOnConnection() throws {
    let target = STUNTarget(Desk.a.endpoint, transport: .tcp)
    var probe = Desk([target])
    probe.ask()
    let count = Self.full(try Self.opened(&probe).message).count
    for cut in 0..<count {
      var desk = Desk([target])
      desk.ask()
      let request = try Self.opened(&desk)
      let whole = Self.full(request.message)
      desk.receive(Array(whole.prefix(cut)), on: request.connection)
      #expect(desk.outcome() == nil)
      desk.receive(Array(whole.dropFirst(cut)), on: request.connection)
      #expect(desk.outcome() == .mapped(Desk.mapped, by: target))
    }
  }

  private static func opened(_ desk: inout Desk) throws -> (message: STUNMessage, connection: Int) {
    let connection = try desk.connection()
    desk.client.connected(connection.number, now: desk.now, into: &desk.actions)
    return try desk.requestOnConnection()
  }

  @Test("lengths 0 to 3 and 65,535 in every attribute", arguments: [0, 1, 2, 3, 65_535])
  func lengths(_ length: Int) throws {
    let types = Array(UInt16(0)...0x30) + Array(UInt16(0x8000)...0x8030) + [0x7777, 0xc001]
    for type in types {
      for present in [0, 4, 8, 20] {
        var desk = Desk([Desk.a])
        desk.ask()
        let request = try desk.request()
        var bytes = STUNMessage(
          messageClass: .success, transactionID: request.message.transactionID,
          attributes: [.xorMappedAddress(Desk.mapped)]
        ).encoded()
        bytes += [UInt8(type >> 8), UInt8(type & 255), UInt8(length >> 8), UInt8(length & 255)]
        bytes += [UInt8](repeating: 0, count: present)
        bytes[3] = UInt8(bytes.count - 20)
        desk.receive(bytes, from: request.to)
        // It is the address that stands before, a failure, or nothing; an address of zeros is never taken.
        switch desk.outcome() {
        case .mapped(let mapped, by: _)?:
          #expect(mapped == Desk.mapped)
          #expect((length + 3) / 4 * 4 <= present, "0x\(String(type, radix: 16)), \(length) of \(present)")
        case .failed?, nil: break
        }
      }
    }
  }

  @Test("what stands after MESSAGE-INTEGRITY is not acted on", arguments: [false, true])
  func afterIntegrity(_ isSHA256: Bool) throws {
    var desk = Desk([Desk.a, Desk.b], Self.credentials)
    desk.ask()
    let request = try desk.request()
    let integrity: STUNIntegrity = isSHA256 ? .sha256(Self.key) : .sha1(Self.key)
    var bytes = Desk.success(request.message, Desk.mapped, integrity)
    let added = STUNMessage(
      messageClass: .success, transactionID: request.message.transactionID,
      attributes: [.xorMappedAddress(Desk.forged), .mappedAddress(Desk.forged), .alternateServer(Desk.forged)]
    ).encoded().dropFirst(20)
    bytes += added
    bytes[3] += UInt8(added.count)
    desk.receive(bytes, from: request.to)
    #expect(desk.outcome() == .mapped(Desk.mapped, by: Desk.a))
  }

  @Test("a refusal or a redirection put behind an unsigned answer's place moves nobody")
  func addedError() throws {
    var desk = Desk([Desk.a], Self.credentials)
    desk.ask()
    let request = try desk.request()
    let redirect = Desk.refusal(request.message, 300, [.alternateServer(Desk.forged)])
    desk.receive(redirect, from: request.to)
    #expect(desk.outcome() == nil)
    desk.receive(Desk.success(request.message, Desk.mapped, .both(Self.key)), from: request.to)
    #expect(desk.outcome() == .mapped(Desk.mapped, by: Desk.a))
  }
}
