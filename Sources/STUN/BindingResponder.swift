public import NetworkTypes

/// A STUN server as a function: Binding requests of RFC 8489, RFC 5780 and RFC 3489 become answers.
///
/// It is no amplifier. Measured against the bytes of the request, and with an IPv6 client in parentheses:
///
/// - a server of one address answers a request with the magic cookie by at most 1.6 (2.2) times as many;
/// - with the addresses that RFC 3489 and RFC 5780 prescribe it is at most 3.4 (5.8) times;
/// - PADDING is never longer than the request's;
/// - a refusal is at most 1.6 (2.2) times as long.
///
/// What does not fit and is not required is left out. An answer goes to the address that the request came from and to no
/// other. What is not a sound Binding request gets silence.
public struct BindingResponder: Sendable {
  /// PADDING is for making packets that the network has to cut: an Ethernet's 1,500 bytes, and some more.
  public static let longestPadding = 2048

  private let software: [UInt8]

  /// - Parameter software: what SOFTWARE says where there is room for it; `nil` for nothing.
  public init(software: String? = nil) {
    self.software = Array((software ?? "").utf8.prefix(763))
  }

  /// The answer to a datagram; `nil` where none is due.
  ///
  /// - Parameters:
  ///   - from: where the datagram came from, and where the answer goes.
  ///   - local: the address and port that it came to, and from which the answer leaves.
  public func respond(to bytes: Span<UInt8>, from source: Endpoint, local: Endpoint) -> [UInt8]? {
    var answer: [UInt8] = []
    return respond(to: bytes, from: source, local: local, into: &answer) ? answer : nil
  }

  /// As ``respond(to:from:local:)``, into an array that is used again and again, so that an answer allocates nothing.
  ///
  /// - Returns: whether `answer` now holds an answer.
  public func respond(
    to bytes: Span<UInt8>, from source: Endpoint, local: Endpoint, into answer: inout [UInt8]
  ) -> Bool {
    make(bytes, source, local, nil, .none, into: &answer) != nil
  }

  /// The answer of a server that can do more than answer the way that the request came.
  ///
  /// - Parameters:
  ///   - from: where the datagram came from.
  ///   - local: the address and port that it came to.
  ///   - other: that of the server's endpoints which differs from `local` in address and port; `nil` where it has only one
  ///     address, and CHANGE-REQUEST is refused.
  ///   - answer: holds the answer afterwards. It is used again and again, so that an answer allocates nothing.
  /// - Returns: which way the answer goes; `nil` where none is due.
  public func reply(
    to bytes: Span<UInt8>, from source: Endpoint, local: Endpoint, other: Endpoint?, into answer: inout [UInt8]
  ) -> BindingReply? {
    make(bytes, source, local, other, other == nil ? .oneAddress : .twoAddresses, into: &answer)
  }

  /// The answer on a TCP or TLS connection, which it goes back on.
  ///
  /// CHANGE-REQUEST, RESPONSE-PORT and PADDING are about datagrams (RFC 5780 §7): whatever of them asks for something is
  /// refused as not understood.
  ///
  /// - Parameters:
  ///   - from: the far end of the connection.
  ///   - local: its near end.
  ///   - other: as in ``reply(to:from:local:other:into:)``, where connections are accepted there: a client that finds out how
  ///     its router maps connections goes there next.
  /// - Returns: whether `answer` now holds an answer.
  public func respondOnStream(
    to bytes: Span<UInt8>, from source: Endpoint, local: Endpoint, other: Endpoint?, into answer: inout [UInt8]
  ) -> Bool {
    make(bytes, source, local, other, .none, into: &answer) != nil
  }

  private func make(
    _ bytes: Span<UInt8>, _ source: Endpoint, _ local: Endpoint, _ other: Endpoint?,
    _ abilities: BindingDemands.Abilities, into answer: inout [UInt8]
  ) -> BindingReply? {
    guard let header = try? STUNHeader(decoding: bytes), header.messageClass == .request, header.method == .binding,
      let demands = BindingDemands(bytes, header, abilities)
    else { return nil }
    var reply = BindingReply(change: STUNChangeRequest(changeIP: false, changePort: false), destination: source)
    if demands.unknownCount > 0 {
      refuse(bytes, header, source, demands, abilities, into: &answer)
      return reply
    }
    if demands.paddingCount != nil, demands.responsePort != nil {
      // Long packets to a port that did not ask for them.
      let writer = STUNWriter(.error, .binding, wireID: header.wireID, into: &answer)
      writer.append(400, [], to: &answer)
      writer.setLength(&answer)
      return reply
    }
    reply.change = demands.change
    reply.destination.port = demands.responsePort ?? source.port
    let writer = STUNWriter(.success, .binding, wireID: header.wireID, into: &answer)
    guard header.hasMagicCookie else {
      // RFC 8489 §11: a client of RFC 3489 gets its own bytes in the cookie's place, and MAPPED-ADDRESS.
      writer.append(.mappedAddress, source, to: &answer)
      writer.append(.sourceAddress, Self.origin(local, other, demands.change), to: &answer)
      if let other { writer.append(.changedAddress, other, to: &answer) }
      writer.setLength(&answer)
      return reply
    }
    writer.append(.xorMappedAddress, source, to: &answer)
    if let other {
      // Beside the masked one it tells a client whether a router rewrites addresses in payloads.
      writer.append(.mappedAddress, source, to: &answer)
      writer.append(.responseOrigin, Self.origin(local, other, demands.change), to: &answer)
      writer.append(.otherAddress, other, to: &answer)
    }
    finish(bytes, source, demands, writer, into: &answer)
    return reply
  }

  /// What may follow the addresses: SOFTWARE, PADDING, FINGERPRINT.
  private func finish(
    _ bytes: Span<UInt8>, _ source: Endpoint, _ demands: BindingDemands, _ writer: STUNWriter,
    into answer: inout [UInt8]
  ) {
    let budget = Self.budget(request: bytes.count, source)
    // A request with FINGERPRINT is long enough for one in the answer, where its addresses are those of the RFC.
    let fingerprint = demands.hasFingerprint
    if let count = demands.paddingCount {
      writer.append(.padding, zeros: min(count, Self.longestPadding), to: &answer)
    } else {
      let room = budget - answer.count - (fingerprint ? 8 : 0)
      if !software.isEmpty, 4 + (software.count + 3) / 4 * 4 <= room {
        writer.append(.software, software, to: &answer)
      }
    }
    if fingerprint { writer.appendFingerprint(to: &answer) } else { writer.setLength(&answer) }
  }

  /// 420 with the types that were not understood (RFC 8489 §6.3.1), as many as the bound has room for.
  private func refuse(
    _ bytes: Span<UInt8>, _ header: STUNHeader, _ source: Endpoint, _ demands: BindingDemands,
    _ abilities: BindingDemands.Abilities, into answer: inout [UInt8]
  ) {
    let budget = Self.budget(request: bytes.count, source)
    let writer = STUNWriter(.error, .binding, wireID: header.wireID, into: &answer)
    let listed = 4 + (demands.unknownCount * 2 + 3) / 4 * 4
    let fits = answer.count + 8 + (Self.phrase.count + 3) / 4 * 4 + listed <= budget
    writer.append(420, fits ? Self.phrase : [], to: &answer)
    let room = max(1, (budget - answer.count - 4) / 4 * 2)
    let start = answer.count
    answer.append16(STUNAttributeType.unknownAttributes.rawValue)
    answer.append16(0)
    var count = 0
    var last: UInt16 = 0
    var gate = STUNIntegrityGate()
    var reader = STUNAttributeReader(bytes)
    while count < room, let (type, range) = reader.next(bytes) {
      guard gate.admits(type), BindingDemands.isUnknown(type, bytes, range, header, abilities) else { continue }
      last = type.rawValue
      answer.append16(last)
      count += 1
    }
    if count % 2 == 1 {
      // RFC 3489 §11.2.10 wants an even list, and has a type repeated for it; RFC 8489 has padding.
      answer.append16(header.hasMagicCookie ? 0 : last)
      if !header.hasMagicCookie { count += 1 }
    }
    answer[start + 2] = UInt8(truncatingIfNeeded: 2 * count >> 8)
    answer[start + 3] = UInt8(truncatingIfNeeded: 2 * count)
    let fingerprint = demands.hasFingerprint && answer.count + 8 <= budget
    if fingerprint { writer.appendFingerprint(to: &answer) } else { writer.setLength(&answer) }
  }

  private static let phrase = Array("Unknown Attribute".utf8)

  private static func origin(_ local: Endpoint, _ other: Endpoint?, _ change: STUNChangeRequest) -> Endpoint {
    guard let other else { return local }
    return Endpoint(
      change.changeIP ? other.address : local.address, port: change.changePort ? other.port : local.port)
  }

  /// How long an answer may be that nothing prescribes to be longer.
  private static func budget(request count: Int, _ source: Endpoint) -> Int {
    source.address.isV4 ? count * 16 / 10 : count * 22 / 10
  }
}
