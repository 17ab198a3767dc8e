import NetworkTypes

extension STUNAttribute {
  /// Appends the attribute. Integrity and fingerprint are left out: they are computed over the whole message.
  func encode(with writer: STUNWriter, to bytes: inout [UInt8]) {
    switch self {
    case .mappedAddress(let endpoint), .xorMappedAddress(let endpoint), .alternateServer(let endpoint),
      .responseOrigin(let endpoint), .otherAddress(let endpoint), .responseAddress(let endpoint),
      .sourceAddress(let endpoint), .changedAddress(let endpoint), .reflectedFrom(let endpoint),
      .draftXORMappedAddress(let endpoint):
      writer.append(type, endpoint, to: &bytes)
    case .username(let value), .userhash(let value), .realm(let value), .nonce(let value), .alternateDomain(let value),
      .software(let value), .padding(let value), .unknown(_, let value):
      writer.append(type, value, to: &bytes)
    case .messageIntegrity, .messageIntegritySHA256, .fingerprint: break
    case .errorCode(let error): writer.append(error, to: &bytes)
    case .unknownAttributes(let types):
      var value: [UInt8] = []
      for type in types { value.append16(type.rawValue) }
      // RFC 3489 §11.2.10: lengths are multiples of four there, and an odd list repeats one of its types.
      if types.count % 2 == 1, let last = types.last, !STUNHeader.hasMagicCookie(writer.wireID) {
        value.append16(last.rawValue)
      }
      writer.append(type, value, to: &bytes)
    case .passwordAlgorithm(let algorithm): writer.append(type, Self.encoded([algorithm]), to: &bytes)
    case .passwordAlgorithms(let algorithms): writer.append(type, Self.encoded(algorithms), to: &bytes)
    case .changeRequest(let change):
      writer.append(type, UInt32(change.changeIP ? 4 : 0) | UInt32(change.changePort ? 2 : 0), to: &bytes)
    case .responsePort(let port): writer.append(type, UInt32(port) << 16, to: &bytes)
    }
  }

  private static func encoded(_ algorithms: [STUNPasswordAlgorithm]) -> [UInt8] {
    var value: [UInt8] = []
    for algorithm in algorithms {
      let parameters = algorithm.parameters.prefix(0xffff)
      value.append16(algorithm.number)
      value.append16(UInt16(truncatingIfNeeded: parameters.count))
      value += parameters
      for _ in 0..<(-parameters.count & 3) { value.append(0) }
    }
    return value
  }
}
