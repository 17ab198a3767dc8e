/// What a STUN message is: the two class bits of its type (RFC 8489 §5).
public enum STUNMessageClass: UInt8, Hashable, Sendable {
  case request = 0b00
  case indication = 0b01
  case success = 0b10
  case error = 0b11
}

/// What a STUN message is about: 12 bits of its type (RFC 8489 §5).
public struct STUNMethod: RawRepresentable, Hashable, Sendable {
  public let rawValue: UInt16

  /// Bits beyond the twelve are dropped.
  public init(rawValue: UInt16) { self.rawValue = rawValue & 0x0fff }

  /// Binding: "what do you see as my address?"
  public static let binding = STUNMethod(rawValue: 1)
}

/// The first 20 bytes of a STUN message (RFC 8489 §5), read without touching what follows.
public struct STUNHeader: Hashable, Sendable {
  /// The bytes that every message begins with.
  public static let size = 20
  /// What marks RFC 5389 and later; RFC 3489 has random bytes in its place.
  public static let magicCookie: UInt32 = 0x2112_a442

  public var messageClass: STUNMessageClass
  public var method: STUNMethod
  /// The bytes after the header.
  public var length: Int
  /// The 16 bytes from the cookie's place to the end of the transaction ID. An answer repeats them, and "XOR" addresses
  /// are masked by them.
  public var wireID: UInt128

  /// Whether bytes 4 to 7 hold the magic cookie; without it the message is one of RFC 3489 and its ID has 128 bits.
  public var hasMagicCookie: Bool { Self.hasMagicCookie(wireID) }

  /// The ID without the cookie: 96 bits, or all 128 of RFC 3489.
  public var transactionID: UInt128 { hasMagicCookie ? wireID & Self.idMask : wireID }

  static let idMask: UInt128 = (1 << 96) - 1

  static func hasMagicCookie(_ wireID: UInt128) -> Bool { UInt32(truncatingIfNeeded: wireID >> 96) == magicCookie }

  /// The 16 bytes for a transaction ID: the cookie and 96 bits, or 128 bits.
  static func wireID(_ transactionID: UInt128, hasMagicCookie: Bool) -> UInt128 {
    hasMagicCookie ? UInt128(magicCookie) << 96 | transactionID & idMask : transactionID
  }

  /// The first two bytes: class and method, whose bits are interleaved.
  var type: UInt16 { Self.type(messageClass, method) }

  static func type(_ messageClass: STUNMessageClass, _ method: STUNMethod) -> UInt16 {
    let bits = UInt16(messageClass.rawValue)
    let method = method.rawValue
    return method & 0x000f | (bits & 1) << 4 | (method & 0x0070) << 1 | (bits & 2) << 7 | (method & 0x0f80) << 2
  }

  /// Reads the header of a whole datagram. The length field has to be a multiple of four and to name exactly the bytes that
  /// follow, as it does in every datagram of RFC 3489 and RFC 8489 §5.
  public init(decoding bytes: Span<UInt8>) throws(STUNDecodeError) {
    guard bytes.count >= Self.size else { throw STUNDecodeError(.truncated, at: bytes.count) }
    let type = bytes.uint16(at: 0)
    guard type & 0xc000 == 0 else { throw STUNDecodeError(.notSTUN, at: 0) }
    let length = Int(bytes.uint16(at: 2))
    guard length % 4 == 0, length == bytes.count - Self.size else { throw STUNDecodeError(.wrongLength, at: 2) }
    switch type >> 7 & 2 | type >> 4 & 1 {
    case 0: messageClass = .request
    case 1: messageClass = .indication
    case 2: messageClass = .success
    default: messageClass = .error
    }
    method = STUNMethod(rawValue: type & 0x000f | type >> 1 & 0x0070 | type >> 2 & 0x0f80)
    self.length = length
    wireID = bytes.uint128(at: 4)
  }
}
