import NetworkTypes

extension STUNAttribute {
  /// The attribute of `type` whose value is at `range`; `nil` where the value has not the shape of its type.
  ///
  /// - Parameter wireID: the 16 header bytes that mask "XOR" addresses.
  init?(type: STUNAttributeType, bytes: Span<UInt8>, at range: Range<Int>, wireID: UInt128) {
    guard let format = type.format else {
      self = .unknown(type, bytes.copy(range))
      return
    }
    switch format {
    case .address, .xorAddress:
      var mask: UInt128 = 0
      if case .xorAddress = format { mask = wireID }
      guard let endpoint = Self.readAddress(bytes, at: range, mask: mask), let made = Self.address(type, endpoint)
      else {
        return nil
      }
      self = made
    case .opaque:
      guard let made = Self.opaque(type, bytes.copy(range)) else { return nil }
      self = made
    case .bytes(let lengths):
      guard lengths.contains(range.count), range.count % 4 == 0, let made = Self.opaque(type, bytes.copy(range)) else {
        return nil
      }
      self = made
    case .errorCode:
      guard let code = Self.readErrorCode(bytes, at: range) else { return nil }
      self = .errorCode(code)
    case .types:
      guard range.count % 2 == 0 else { return nil }
      self = .unknownAttributes(
        stride(from: range.lowerBound, to: range.upperBound, by: 2).map {
          STUNAttributeType(rawValue: bytes.uint16(at: $0))
        })
    case .passwordAlgorithm:
      guard let algorithms = Self.readAlgorithms(bytes, at: range), algorithms.count == 1 else { return nil }
      self = .passwordAlgorithm(algorithms[0])
    case .passwordAlgorithms:
      guard let algorithms = Self.readAlgorithms(bytes, at: range) else { return nil }
      self = .passwordAlgorithms(algorithms)
    case .changeRequest:
      guard range.count == 4 else { return nil }
      let flags = bytes.uint32(at: range.lowerBound)
      self = .changeRequest(STUNChangeRequest(changeIP: flags & 4 != 0, changePort: flags & 2 != 0))
    case .port:
      // RFC 5780 §7.5: two bytes of port, and two of padding that some senders count and others do not.
      guard range.count == 4 || range.count == 2 else { return nil }
      self = .responsePort(bytes.uint16(at: range.lowerBound))
    case .fingerprint:
      guard range.count == 4 else { return nil }
      self = .fingerprint(bytes.uint32(at: range.lowerBound))
    }
  }

  private static func address(_ type: STUNAttributeType, _ endpoint: Endpoint) -> STUNAttribute? {
    switch type {
    case .mappedAddress: .mappedAddress(endpoint)
    case .xorMappedAddress: .xorMappedAddress(endpoint)
    case .draftXORMappedAddress: .draftXORMappedAddress(endpoint)
    case .responseAddress: .responseAddress(endpoint)
    case .sourceAddress: .sourceAddress(endpoint)
    case .changedAddress: .changedAddress(endpoint)
    case .reflectedFrom: .reflectedFrom(endpoint)
    case .alternateServer: .alternateServer(endpoint)
    case .responseOrigin: .responseOrigin(endpoint)
    case .otherAddress: .otherAddress(endpoint)
    default: nil
    }
  }

  private static func opaque(_ type: STUNAttributeType, _ value: [UInt8]) -> STUNAttribute? {
    switch type {
    case .username: .username(value)
    case .realm: .realm(value)
    case .nonce: .nonce(value)
    case .software: .software(value)
    case .alternateDomain: .alternateDomain(value)
    case .padding: .padding(value)
    case .userhash: .userhash(value)
    case .messageIntegrity: .messageIntegrity(value)
    case .messageIntegritySHA256: .messageIntegritySHA256(value)
    default: nil
    }
  }

  /// Family 1 with 4 bytes of address or family 2 with 16; the byte before the family is ignored (RFC 8489 §14.1).
  static func readAddress(_ bytes: Span<UInt8>, at range: Range<Int>, mask: UInt128) -> Endpoint? {
    guard range.count >= 8 else { return nil }
    let start = range.lowerBound
    let port = bytes.uint16(at: start + 2) ^ UInt16(truncatingIfNeeded: mask >> 112)
    switch (bytes[start + 1], range.count) {
    case (1, 8): return Endpoint(.v4(bytes.uint32(at: start + 4) ^ UInt32(truncatingIfNeeded: mask >> 96)), port: port)
    case (2, 20): return Endpoint(.v6(bytes.uint128(at: start + 4) ^ mask), port: port)
    default: return nil
    }
  }

  private static func readErrorCode(_ bytes: Span<UInt8>, at range: Range<Int>) -> STUNErrorCode? {
    guard range.count >= 4 else { return nil }
    let hundreds = Int(bytes[range.lowerBound + 2] & 7)
    let number = Int(bytes[range.lowerBound + 3])
    guard (1...6).contains(hundreds), number < 100 else { return nil }
    let reason = bytes.copy(range.lowerBound + 4..<range.upperBound)
    return STUNErrorCode(code: hundreds * 100 + number, reason: String(decoding: reason, as: UTF8.self))
  }

  /// Number, length and parameters, each padded to four bytes (RFC 8489 §14.11); the last padding may be missing.
  private static func readAlgorithms(_ bytes: Span<UInt8>, at range: Range<Int>) -> [STUNPasswordAlgorithm]? {
    var algorithms: [STUNPasswordAlgorithm] = []
    var cursor = ByteCursor(offset: range.lowerBound, end: range.upperBound)
    while cursor.remaining > 0 {
      guard let number = cursor.readUInt16(bytes), let length = cursor.readUInt16(bytes),
        let parameters = cursor.readRange(Int(length))
      else { return nil }
      _ = cursor.readRange(min(cursor.remaining, -Int(length) & 3))
      algorithms.append(STUNPasswordAlgorithm(number: number, parameters: bytes.copy(parameters)))
    }
    return algorithms
  }
}
