public import NetworkTypes

/// The first attribute of each kind, typed; `nil` where there is none.
extension STUNMessage {
  /// Where the server saw the request come from: XOR-MAPPED-ADDRESS, since routers that rewrite addresses in payloads do not
  /// recognise it, else MAPPED-ADDRESS.
  public var mappedAddress: Endpoint? {
    xorMappedAddress
      ?? first { if case .draftXORMappedAddress(let value) = $0 { value } else { nil } }
      ?? first { if case .mappedAddress(let value) = $0 { value } else { nil } }
  }

  public var xorMappedAddress: Endpoint? {
    first { if case .xorMappedAddress(let value) = $0 { value } else { nil } }
  }

  /// The server's second address and port: OTHER-ADDRESS (RFC 5780), or CHANGED-ADDRESS (RFC 3489).
  public var otherAddress: Endpoint? {
    first { if case .otherAddress(let value) = $0 { value } else { nil } }
      ?? first { if case .changedAddress(let value) = $0 { value } else { nil } }
  }

  /// Where the server says that its answer left from: RESPONSE-ORIGIN (RFC 5780), or SOURCE-ADDRESS (RFC 3489).
  public var responseOrigin: Endpoint? {
    first { if case .responseOrigin(let value) = $0 { value } else { nil } }
      ?? first { if case .sourceAddress(let value) = $0 { value } else { nil } }
  }

  public var alternateServer: Endpoint? {
    first { if case .alternateServer(let value) = $0 { value } else { nil } }
  }

  public var alternateDomain: String? {
    first { if case .alternateDomain(let value) = $0 { String(decoding: value, as: UTF8.self) } else { nil } }
  }

  public var errorCode: STUNErrorCode? { first { if case .errorCode(let value) = $0 { value } else { nil } } }

  /// What the sender calls itself; bytes that are no UTF-8 are replaced.
  public var software: String? {
    first { if case .software(let value) = $0 { String(decoding: value, as: UTF8.self) } else { nil } }
  }

  public var username: [UInt8]? { first { if case .username(let value) = $0 { value } else { nil } } }
  public var userhash: [UInt8]? { first { if case .userhash(let value) = $0 { value } else { nil } } }
  public var realm: [UInt8]? { first { if case .realm(let value) = $0 { value } else { nil } } }
  public var nonce: [UInt8]? { first { if case .nonce(let value) = $0 { value } else { nil } } }

  public var passwordAlgorithms: [STUNPasswordAlgorithm]? {
    first { if case .passwordAlgorithms(let value) = $0 { value } else { nil } }
  }

  public var passwordAlgorithm: STUNPasswordAlgorithm? {
    first { if case .passwordAlgorithm(let value) = $0 { value } else { nil } }
  }

  /// The types that the server did not understand (RFC 8489 §14.13).
  public var unknownAttributes: [STUNAttributeType]? {
    first { if case .unknownAttributes(let value) = $0 { value } else { nil } }
  }

  public var changeRequest: STUNChangeRequest? {
    first { if case .changeRequest(let value) = $0 { value } else { nil } }
  }

  public var responsePort: UInt16? { first { if case .responsePort(let value) = $0 { value } else { nil } } }

  public var hasFingerprint: Bool { attributes.contains { $0.type == .fingerprint } }

  /// The types in this message that a receiver may not pass over and this codec does not know (RFC 8489 §6.3).
  public var notUnderstood: [STUNAttributeType] {
    attributes.compactMap { if case .unknown(let type, _) = $0, type.isComprehensionRequired { type } else { nil } }
  }

  private func first<Value>(_ value: (STUNAttribute) -> Value?) -> Value? {
    for attribute in attributes {
      if let found = value(attribute) { return found }
    }
    return nil
  }
}
