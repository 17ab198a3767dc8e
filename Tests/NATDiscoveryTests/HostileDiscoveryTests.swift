import NATDiscovery
import NetworkTypes
import STUN
import Testing

/// Answers that are cut or whose lengths lie do nothing to a discovery: the good one that comes afterwards counts.
@Suite struct HostileDiscoveryTests {
  static let server = endpoint("198.51.100.1:3478")
  static let mapped = endpoint("203.0.113.1:5000")
  static let now = MonotonicInstant(nanoseconds: 1_000_000_000_000)

  /// A discovery that has asked its server, and the request.
  static func asking() throws -> (core: DiscoveryCore, request: STUNMessage) {
    var core = DiscoveryCore(
      settings: DiscoverySettings(servers: [server], local: endpoint("192.168.1.2:5000")), random: RandomSource(seed: 7)
    )
    var actions: [DiscoveryAction] = []
    core.start(now: now, into: &actions)
    for socket in 0...9 {
      core.socketOpened(socket, local: endpoint("192.168.1.2:\(5000 + socket)"), now: now, into: &actions)
    }
    let bytes = try #require(actions.compactMap { if case .send(let bytes, 0, _) = $0 { bytes } else { nil } }.first)
    return (core, try STUNMessage(decoding: bytes.span))
  }

  static func answer(_ request: STUNMessage) -> [UInt8] {
    STUNMessage(
      messageClass: .success, transactionID: request.transactionID,
      attributes: [.xorMappedAddress(mapped), .responseOrigin(server), .otherAddress(endpoint("198.51.100.2:3479"))]
    ).encoded(fingerprint: true)
  }

  /// Whether the server was chosen, and by which address it is said to see us.
  static func chosen(_ actions: [DiscoveryAction]) -> String? {
    actions.compactMap { if case .progress(let line) = $0 { line } else { nil } }.first { $0.contains(" sees ") }
  }

  @Test func cutAtEveryByte() throws {
    var (core, request) = try Self.asking()
    let whole = Self.answer(request)
    var actions: [DiscoveryAction] = []
    for count in 0..<whole.count {
      core.datagramReceived(Array(whole.prefix(count)).span, from: Self.server, on: 0, now: Self.now, into: &actions)
    }
    #expect(actions.isEmpty)
    core.datagramReceived(whole.span, from: Self.server, on: 0, now: Self.now, into: &actions)
    #expect(Self.chosen(actions)?.contains("\(Self.mapped)") == true)
  }

  @Test(arguments: [0, 1, 2, 3, 65_535]) func lengths(length: Int) throws {
    for type in Array(UInt16(0)...0x30) + Array(UInt16(0x8000)...0x8030) {
      var (core, request) = try Self.asking()
      var bytes = STUNMessage(messageClass: .success, transactionID: request.transactionID).encoded()
      bytes += [UInt8(type >> 8), UInt8(type & 255), UInt8(length >> 8), UInt8(length & 255), 0, 0, 0, 0]
      bytes[3] = 8
      var actions: [DiscoveryAction] = []
      core.datagramReceived(bytes.span, from: Self.server, on: 0, now: Self.now, into: &actions)
      #expect(Self.chosen(actions) == nil, "0x\(String(type, radix: 16))")
    }
  }

  @Test func whatStandsAfterIntegrityIsNotActedOn() throws {
    var (core, request) = try Self.asking()
    let key = STUNKey.shortTerm(password: "x")
    var bytes = STUNMessage(
      messageClass: .success, transactionID: request.transactionID, attributes: [.xorMappedAddress(Self.mapped)]
    ).encoded(integrity: .sha1(key))
    let added = STUNMessage(
      messageClass: .success, transactionID: request.transactionID,
      attributes: [.mappedAddress(endpoint("6.6.6.6:1")), .otherAddress(endpoint("6.6.6.7:2"))]
    ).encoded().dropFirst(20)
    bytes += added
    bytes[3] += UInt8(added.count)
    var actions: [DiscoveryAction] = []
    core.datagramReceived(bytes.span, from: Self.server, on: 0, now: Self.now, into: &actions)
    var moment = Self.now
    while let deadline = core.nextDeadline, !core.isFinished {
      moment = max(moment, deadline)
      core.timerFired(now: moment, into: &actions)
    }
    #expect(Self.chosen(actions)?.contains("\(Self.mapped)") == true)
    let asked = actions.compactMap { if case .send(_, _, let to) = $0 { to } else { nil } }
    #expect(asked.allSatisfy { $0 == Self.server }, "nobody is asked whom the added attribute names")
  }
}
