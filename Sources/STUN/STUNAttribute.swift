public import NetworkTypes

/// One attribute of a STUN message, typed (RFC 8489 §14, RFC 5780 §7, RFC 3489 §11.2).
///
/// Names, realms and nonces are bytes as they were on the wire: nobody but their owner knows what they mean, and an answer
/// has to repeat them exactly.
public enum STUNAttribute: Hashable, Sendable {
  case mappedAddress(Endpoint)
  case xorMappedAddress(Endpoint)
  case username([UInt8])
  /// SHA-256 of `username:realm`, 32 bytes.
  case userhash([UInt8])
  /// HMAC-SHA1, 20 bytes. When a message is encoded it is computed, not taken from here.
  case messageIntegrity([UInt8])
  /// HMAC-SHA256, 16 to 32 bytes. When a message is encoded it is computed, not taken from here.
  case messageIntegritySHA256([UInt8])
  case errorCode(STUNErrorCode)
  case unknownAttributes([STUNAttributeType])
  case realm([UInt8])
  case nonce([UInt8])
  case passwordAlgorithm(STUNPasswordAlgorithm)
  case passwordAlgorithms([STUNPasswordAlgorithm])
  case alternateServer(Endpoint)
  case alternateDomain([UInt8])
  case software([UInt8])
  /// The CRC as it stands in the message. When a message is encoded it is computed, not taken from here.
  case fingerprint(UInt32)
  case changeRequest(STUNChangeRequest)
  case padding([UInt8])
  case responsePort(UInt16)
  case responseOrigin(Endpoint)
  case otherAddress(Endpoint)
  case responseAddress(Endpoint)
  case sourceAddress(Endpoint)
  case changedAddress(Endpoint)
  case reflectedFrom(Endpoint)
  /// See ``STUNAttributeType/draftXORMappedAddress``.
  case draftXORMappedAddress(Endpoint)
  /// A type that this codec does not know, or a comprehension-optional one whose value has not the shape of its type.
  case unknown(STUNAttributeType, [UInt8])
}

/// Why a request was refused (RFC 8489 §14.8).
public struct STUNErrorCode: Hashable, Sendable {
  /// 300 to 699.
  public var code: Int
  /// For people, from the peer: shown only through an escape.
  public var reason: String

  public init(code: Int, reason: String) {
    self.code = code
    self.reason = reason
  }

  public static let tryAlternate = STUNErrorCode(code: 300, reason: "Try Alternate")
  public static let badRequest = STUNErrorCode(code: 400, reason: "Bad Request")
  public static let unauthenticated = STUNErrorCode(code: 401, reason: "Unauthenticated")
  public static let unknownAttribute = STUNErrorCode(code: 420, reason: "Unknown Attribute")
  public static let staleNonce = STUNErrorCode(code: 438, reason: "Stale Nonce")
  public static let serverError = STUNErrorCode(code: 500, reason: "Server Error")
}

/// From which of its addresses a server is asked to answer (RFC 5780 §7.2).
public struct STUNChangeRequest: Hashable, Sendable {
  public var changeIP: Bool
  public var changePort: Bool

  public init(changeIP: Bool, changePort: Bool) {
    self.changeIP = changeIP
    self.changePort = changePort
  }
}

/// How a long-term key is made of a password (RFC 8489 §14.11, §18.5).
public struct STUNPasswordAlgorithm: Hashable, Sendable {
  /// 1 is MD5, 2 is SHA-256.
  public var number: UInt16
  public var parameters: [UInt8]

  public init(number: UInt16, parameters: [UInt8] = []) {
    self.number = number
    self.parameters = parameters
  }

  public static let md5 = STUNPasswordAlgorithm(number: 1)
  public static let sha256 = STUNPasswordAlgorithm(number: 2)
}

extension STUNAttribute {
  public var type: STUNAttributeType {
    switch self {
    case .mappedAddress: .mappedAddress
    case .xorMappedAddress: .xorMappedAddress
    case .username: .username
    case .userhash: .userhash
    case .messageIntegrity: .messageIntegrity
    case .messageIntegritySHA256: .messageIntegritySHA256
    case .errorCode: .errorCode
    case .unknownAttributes: .unknownAttributes
    case .realm: .realm
    case .nonce: .nonce
    case .passwordAlgorithm: .passwordAlgorithm
    case .passwordAlgorithms: .passwordAlgorithms
    case .alternateServer: .alternateServer
    case .alternateDomain: .alternateDomain
    case .software: .software
    case .fingerprint: .fingerprint
    case .changeRequest: .changeRequest
    case .padding: .padding
    case .responsePort: .responsePort
    case .responseOrigin: .responseOrigin
    case .otherAddress: .otherAddress
    case .responseAddress: .responseAddress
    case .sourceAddress: .sourceAddress
    case .changedAddress: .changedAddress
    case .reflectedFrom: .reflectedFrom
    case .draftXORMappedAddress: .draftXORMappedAddress
    case .unknown(let type, _): type
    }
  }
}
