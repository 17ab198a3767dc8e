public import NetworkTypes

/// A STUN message: RFC 8489, with the attributes of RFC 5780, and RFC 3489 where the magic cookie is absent.
public struct STUNMessage: Sendable, Hashable {
  public var messageClass: STUNMessageClass
  public var method: STUNMethod
  /// 96 bits, or with ``hasMagicCookie`` false the 128 bits of RFC 3489, whose first four bytes stand where the cookie would.
  public var transactionID: UInt128
  public var hasMagicCookie: Bool
  /// In the order of the message. Of several of one type the first one counts.
  public var attributes: [STUNAttribute]

  public init(
    messageClass: STUNMessageClass, method: STUNMethod = .binding, transactionID: UInt128, hasMagicCookie: Bool = true,
    attributes: [STUNAttribute] = []
  ) {
    self.messageClass = messageClass
    self.method = method
    self.transactionID = hasMagicCookie ? transactionID & STUNHeader.idMask : transactionID
    self.hasMagicCookie = hasMagicCookie
    self.attributes = attributes
  }

  /// The 16 bytes that an answer has to repeat; see ``STUNHeader/wireID``.
  public var wireID: UInt128 { STUNHeader.wireID(transactionID, hasMagicCookie: hasMagicCookie) }

  /// Whether bytes on a port that other protocols share are STUN (RFC 7983 §7): the first two bits, the length, and the magic
  /// cookie. Without the cookie only the Binding messages of RFC 3489 pass.
  public static func isSTUN(_ bytes: Span<UInt8>) -> Bool {
    guard bytes.count >= STUNHeader.size, bytes[0] < 4, let header = try? STUNHeader(decoding: bytes) else {
      return false
    }
    return header.hasMagicCookie || header.method == .binding && header.messageClass != .indication
  }

  /// An unpredictable transaction ID of 96 bits.
  public static func randomTransactionID(_ random: inout RandomSource) -> UInt128 {
    let high = UInt128(random.next()) << 64
    return (high | UInt128(random.next())) & STUNHeader.idMask
  }
}

// MARK: - Codec

extension STUNMessage {
  /// Reads a whole datagram.
  ///
  /// What stands after MESSAGE-INTEGRITY, its SHA-256 sibling and FINGERPRINT apart, is left out of ``attributes``: nobody
  /// vouches for it. Integrity itself is judged by ``STUNIntegrity/verdict(on:key:)``, since that takes a key; a FINGERPRINT is
  /// judged here. A comprehension-required attribute of the wrong shape is an error, an optional one is kept as
  /// ``STUNAttribute/unknown(_:_:)``.
  public init(decoding bytes: Span<UInt8>) throws(STUNDecodeError) {
    let header = try STUNHeader(decoding: bytes)
    var attributes: [STUNAttribute] = []
    var gate = STUNIntegrityGate()
    var reader = STUNAttributeReader(bytes)
    while let (type, range) = reader.next(bytes) {
      if type == .fingerprint {
        guard range.count == 4 else { throw STUNDecodeError(.malformedAttribute, at: range.lowerBound) }
        guard reader.position == bytes.count else { throw STUNDecodeError(.fingerprintNotLast, at: reader.position) }
        guard bytes.uint32(at: range.lowerBound) == STUNFingerprint.expected(bytes, at: range.lowerBound - 4) else {
          throw STUNDecodeError(.wrongFingerprint, at: range.lowerBound)
        }
      }
      guard gate.admits(type) else { continue }
      if let attribute = STUNAttribute(type: type, bytes: bytes, at: range, wireID: header.wireID) {
        attributes.append(attribute)
      } else if type.isComprehensionRequired {
        throw STUNDecodeError(.malformedAttribute, at: range.lowerBound)
      } else {
        attributes.append(.unknown(type, bytes.copy(range)))
      }
    }
    if reader.isOverrun { throw STUNDecodeError(.attributeOverrun, at: reader.position) }
    self.init(
      messageClass: header.messageClass, method: header.method, transactionID: header.transactionID,
      hasMagicCookie: header.hasMagicCookie, attributes: attributes)
  }

  /// The message as bytes.
  ///
  /// An attribute that would take the message beyond 65,532 bytes after the header is left out. A message without the magic
  /// cookie carries no integrity (RFC 3489 defined another one).
  ///
  /// - Parameters:
  ///   - integrity: which integrity attributes end the message, and their key.
  ///   - fingerprint: whether FINGERPRINT follows them.
  public func encoded(integrity: STUNIntegrity? = nil, fingerprint: Bool = false) -> [UInt8] {
    encoded(integrity: integrity, fingerprint: fingerprint, paddingByte: 0)
  }

  /// As ``encoded(integrity:fingerprint:)``, with another padding byte than the RFC's zero: RFC 5769 has samples with blanks.
  package func encoded(integrity: STUNIntegrity?, fingerprint: Bool, paddingByte: UInt8) -> [UInt8] {
    var bytes: [UInt8] = []
    bytes.reserveCapacity(128)
    var writer = STUNWriter(messageClass, method, wireID: wireID, into: &bytes)
    writer.paddingByte = paddingByte
    for attribute in attributes { attribute.encode(with: writer, to: &bytes) }
    if hasMagicCookie { integrity?.append(with: writer, to: &bytes) }
    if fingerprint { writer.appendFingerprint(to: &bytes) } else { writer.setLength(&bytes) }
    return bytes
  }
}
