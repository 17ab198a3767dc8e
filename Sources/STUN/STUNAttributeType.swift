/// The type of an attribute, as in the IANA registry of STUN attributes.
public struct STUNAttributeType: RawRepresentable, Hashable, Sendable {
  public let rawValue: UInt16

  public init(rawValue: UInt16) { self.rawValue = rawValue }

  /// Whether a receiver that does not know it has to refuse the message (RFC 8489 §14): types below 0x8000.
  public var isComprehensionRequired: Bool { rawValue < 0x8000 }

  /// How the value is laid out; `nil` for a type that this codec does not know.
  var format: Format? { Self.formats[self] }

  /// Whether this codec knows the type.
  public var isKnown: Bool { format != nil }

  /// The shapes that values come in.
  enum Format {
    /// Family, port and address (RFC 8489 §14.1).
    case address
    /// The same under the mask of the header's cookie and ID (RFC 8489 §14.2).
    case xorAddress
    /// Text in UTF-8, or bytes whose meaning is the peer's.
    case opaque
    /// A fixed number of bytes: hashes.
    case bytes(ClosedRange<Int>)
    /// Class, number and reason phrase.
    case errorCode
    /// Attribute types.
    case types
    /// One or several password algorithms with their parameters.
    case passwordAlgorithm, passwordAlgorithms
    /// The two flags of RFC 3489 and RFC 5780.
    case changeRequest
    /// A 16-bit port and two reserved bytes.
    case port
    /// A 32-bit CRC.
    case fingerprint
  }
}

extension STUNAttributeType {
  // RFC 8489
  public static let mappedAddress = STUNAttributeType(rawValue: 0x0001)
  public static let username = STUNAttributeType(rawValue: 0x0006)
  public static let messageIntegrity = STUNAttributeType(rawValue: 0x0008)
  public static let errorCode = STUNAttributeType(rawValue: 0x0009)
  public static let unknownAttributes = STUNAttributeType(rawValue: 0x000a)
  public static let realm = STUNAttributeType(rawValue: 0x0014)
  public static let nonce = STUNAttributeType(rawValue: 0x0015)
  public static let messageIntegritySHA256 = STUNAttributeType(rawValue: 0x001c)
  public static let passwordAlgorithm = STUNAttributeType(rawValue: 0x001d)
  public static let userhash = STUNAttributeType(rawValue: 0x001e)
  public static let xorMappedAddress = STUNAttributeType(rawValue: 0x0020)
  public static let passwordAlgorithms = STUNAttributeType(rawValue: 0x8002)
  public static let alternateDomain = STUNAttributeType(rawValue: 0x8003)
  public static let software = STUNAttributeType(rawValue: 0x8022)
  public static let alternateServer = STUNAttributeType(rawValue: 0x8023)
  public static let fingerprint = STUNAttributeType(rawValue: 0x8028)
  // RFC 5780
  public static let changeRequest = STUNAttributeType(rawValue: 0x0003)
  public static let padding = STUNAttributeType(rawValue: 0x0026)
  public static let responsePort = STUNAttributeType(rawValue: 0x0027)
  public static let responseOrigin = STUNAttributeType(rawValue: 0x802b)
  public static let otherAddress = STUNAttributeType(rawValue: 0x802c)
  // RFC 3489
  public static let responseAddress = STUNAttributeType(rawValue: 0x0002)
  public static let sourceAddress = STUNAttributeType(rawValue: 0x0004)
  public static let changedAddress = STUNAttributeType(rawValue: 0x0005)
  public static let reflectedFrom = STUNAttributeType(rawValue: 0x000b)
  /// XOR-MAPPED-ADDRESS as drafts before RFC 5389 numbered it; servers of RFC 3489 that were patched once still send it.
  public static let draftXORMappedAddress = STUNAttributeType(rawValue: 0x8020)

  private static let formats: [STUNAttributeType: Format] = [
    .mappedAddress: .address, .responseAddress: .address, .sourceAddress: .address, .changedAddress: .address,
    .reflectedFrom: .address, .alternateServer: .address, .responseOrigin: .address, .otherAddress: .address,
    .xorMappedAddress: .xorAddress, .draftXORMappedAddress: .xorAddress,
    .username: .opaque, .realm: .opaque, .nonce: .opaque, .software: .opaque, .alternateDomain: .opaque,
    .padding: .opaque,
    .messageIntegrity: .bytes(20...20), .userhash: .bytes(32...32),
    // RFC 8489 §14.6: may be cut, to no less than 16 bytes and to a multiple of four.
    .messageIntegritySHA256: .bytes(16...32),
    .errorCode: .errorCode, .unknownAttributes: .types,
    .passwordAlgorithm: .passwordAlgorithm, .passwordAlgorithms: .passwordAlgorithms,
    .changeRequest: .changeRequest, .responsePort: .port, .fingerprint: .fingerprint,
  ]
}
