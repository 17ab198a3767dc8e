public import NetworkTypes

/// A STUN server with one address, as a function: Binding requests of RFC 8489 and of RFC 3489 become answers.
///
/// It is no amplifier: to a request with the magic cookie it answers with at most 1.6 times its bytes (2.2 times where the
/// client has an IPv6 address); what does not fit and is not required is left out. Requests that have to be refused get 420
/// within the same bound, everything else that is not a sound Binding request gets silence.
public struct BindingResponder: Sendable {
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
    guard let header = try? STUNHeader(decoding: bytes), header.messageClass == .request, header.method == .binding,
      let demands = Demands(bytes)
    else { return false }
    if demands.unknownCount > 0 {
      refuse(bytes, header, source, demands, into: &answer)
    } else if header.hasMagicCookie {
      succeed(bytes, header, source, demands, into: &answer)
    } else {
      // RFC 8489 §11: a client of RFC 3489 gets its own bytes in the cookie's place, and MAPPED-ADDRESS.
      let writer = STUNWriter(.success, .binding, wireID: header.wireID, into: &answer)
      writer.append(.mappedAddress, source, to: &answer)
      writer.append(.sourceAddress, local, to: &answer)
      writer.setLength(&answer)
    }
    return true
  }

  private func succeed(
    _ bytes: Span<UInt8>, _ header: STUNHeader, _ source: Endpoint, _ demands: Demands, into answer: inout [UInt8]
  ) {
    let budget = Self.budget(request: bytes.count, source)
    let writer = STUNWriter(.success, .binding, wireID: header.wireID, into: &answer)
    writer.append(.xorMappedAddress, source, to: &answer)
    let fingerprint = demands.hasFingerprint && answer.count + 8 <= budget
    let room = budget - answer.count - (fingerprint ? 8 : 0)
    if !software.isEmpty, 4 + (software.count + 3) / 4 * 4 <= room { writer.append(.software, software, to: &answer) }
    if fingerprint { writer.appendFingerprint(to: &answer) } else { writer.setLength(&answer) }
  }

  /// 420 with the types that were not understood (RFC 8489 §6.3.1), as many as the bound has room for.
  private func refuse(
    _ bytes: Span<UInt8>, _ header: STUNHeader, _ source: Endpoint, _ demands: Demands, into answer: inout [UInt8]
  ) {
    let budget = Self.budget(request: bytes.count, source)
    let writer = STUNWriter(.error, .binding, wireID: header.wireID, into: &answer)
    let phrase = "Unknown Attribute"
    let listed = 4 + (demands.unknownCount * 2 + 3) / 4 * 4
    let fits = answer.count + 8 + (phrase.utf8.count + 3) / 4 * 4 + listed <= budget
    writer.append(STUNErrorCode(code: 420, reason: fits ? phrase : ""), to: &answer)
    let room = max(1, (budget - answer.count - 4) / 4 * 2)
    var types: [UInt8] = []
    var gate = STUNIntegrityGate()
    var reader = STUNAttributeReader(bytes)
    while types.count < 2 * room, let (type, range) = reader.next(bytes) {
      if gate.admits(type), Demands.isUnknown(type, bytes, range) { types.append16(type.rawValue) }
    }
    // RFC 3489 §11.2.10 wants an even list, and has a type repeated for it.
    if types.count % 4 != 0, !header.hasMagicCookie { types += types.suffix(2) }
    writer.append(.unknownAttributes, types, to: &answer)
    let fingerprint = demands.hasFingerprint && answer.count + 8 <= budget
    if fingerprint { writer.appendFingerprint(to: &answer) } else { writer.setLength(&answer) }
  }

  /// How long an answer may be that nothing prescribes to be longer.
  private static func budget(request count: Int, _ source: Endpoint) -> Int {
    source.address.isV4 ? count * 16 / 10 : count * 22 / 10
  }
}

/// What a request asks for, gathered in one pass without allocating.
private struct Demands {
  var hasFingerprint = false
  var unknownCount = 0

  /// `nil` for a request that is not sound: it gets no answer.
  init?(_ bytes: Span<UInt8>) {
    var gate = STUNIntegrityGate()
    var reader = STUNAttributeReader(bytes)
    while let (type, range) = reader.next(bytes) {
      guard gate.admits(type) else { continue }
      if type == .fingerprint {
        guard range.count == 4, reader.position == bytes.count,
          bytes.uint32(at: range.lowerBound) == STUNFingerprint.expected(bytes, at: range.lowerBound - 4)
        else { return nil }
        hasFingerprint = true
      } else if type == .changeRequest, range.count != 4 {
        return nil
      } else if Self.isUnknown(type, bytes, range) {
        unknownCount += 1
      }
    }
    if reader.isOverrun { return nil }
  }

  /// Whether the request may not be answered because of this attribute: types below 0x8000 that mean nothing here.
  ///
  /// CHANGE-REQUEST without a flag is what many clients of RFC 3489 always send, and asks for nothing; with a flag a server of
  /// one address refuses it (RFC 5780 §6.1). RESPONSE-ADDRESS of RFC 3489 would have answers sent to third parties: ignored.
  static func isUnknown(_ type: STUNAttributeType, _ bytes: Span<UInt8>, _ range: Range<Int>) -> Bool {
    switch type {
    case .changeRequest: range.count == 4 && bytes.uint32(at: range.lowerBound) & 6 != 0
    case .padding, .responsePort: true
    default: type.isComprehensionRequired && !type.isKnown
    }
  }
}
