/// Why bytes are not a STUN message. Equal by ``code`` alone.
public struct STUNDecodeError: Error, Sendable, Hashable {
  public enum Code: String, Hashable, Sendable {
    /// Fewer than 20 bytes.
    case truncated
    /// The two highest bits are not zero.
    case notSTUN
    /// The length field is no multiple of four, or does not name the bytes that follow.
    case wrongLength
    /// An attribute goes beyond the end of the message.
    case attributeOverrun
    /// A comprehension-required attribute does not have the shape that its type prescribes.
    case malformedAttribute
    /// FINGERPRINT is not the CRC of the message.
    case wrongFingerprint
    /// Something follows FINGERPRINT (RFC 8489 §14.7 has it last).
    case fingerprintNotLast
  }

  public let code: Code
  /// The byte at which it was seen.
  public let offset: Int

  init(_ code: Code, at offset: Int) {
    self.code = code
    self.offset = offset
  }

  public static func == (left: STUNDecodeError, right: STUNDecodeError) -> Bool { left.code == right.code }
  public func hash(into hasher: inout Hasher) { hasher.combine(code) }
}

extension STUNDecodeError: CustomStringConvertible {
  /// One sentence for people.
  public var description: String {
    let what =
      switch code {
      case .truncated: "the message is shorter than a STUN header"
      case .notSTUN: "the first two bits are not those of STUN"
      case .wrongLength: "the length field does not match the datagram"
      case .attributeOverrun: "an attribute goes beyond the message"
      case .malformedAttribute: "an attribute does not have the shape of its type"
      case .wrongFingerprint: "the fingerprint is wrong"
      case .fingerprintNotLast: "something follows the fingerprint"
      }
    return "\(what) (byte \(offset))"
  }
}
