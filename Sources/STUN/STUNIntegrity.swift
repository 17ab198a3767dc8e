import Crypto

/// MESSAGE-INTEGRITY and MESSAGE-INTEGRITY-SHA256 (RFC 8489 §14.5, §14.6).
///
/// Messages of RFC 3489 (no magic cookie) had another rule for the bytes under the hash; they are never judged right.
public enum STUNIntegrity: Hashable, Sendable {
  /// What a message is to carry.
  case sha1(STUNKey)
  case sha256(STUNKey)
  /// Both, for a server of which it is not known which one it reads.
  case both(STUNKey)

  /// What the integrity attributes of a received message are worth.
  public enum Verdict: Hashable, Sendable {
    /// There is none.
    case absent
    case wrong
    case right
  }

  /// Judges a whole message by the strongest integrity attribute in it.
  ///
  /// - Parameter bytes: the datagram as it came; the padding bytes are under the hash too.
  public static func verdict(on bytes: Span<UInt8>, key: STUNKey) -> Verdict {
    guard let header = try? STUNHeader(decoding: bytes) else { return .absent }
    var sha1: Range<Int>?
    var sha256: Range<Int>?
    var reader = STUNAttributeReader(bytes)
    while let (type, range) = reader.next(bytes) {
      // What RFC 8489 lets follow: only -SHA256 and FINGERPRINT after the first, only FINGERPRINT after -SHA256.
      if type == .messageIntegrity, sha1 == nil, sha256 == nil { sha1 = range }
      if type == .messageIntegritySHA256, sha256 == nil { sha256 = range }
    }
    guard let range = sha256 ?? sha1 else { return .absent }
    guard header.hasMagicCookie, !reader.isOverrun else { return .wrong }
    if sha256 != nil {
      guard (16...32).contains(range.count), range.count % 4 == 0 else { return .wrong }
      let expected = code(bytes, at: range, key: key, sha256: true)
      return matches(expected, bytes, range) ? .right : .wrong
    }
    guard range.count == 20 else { return .wrong }
    return matches(code(bytes, at: range, key: key, sha256: false), bytes, range) ? .right : .wrong
  }

  /// The code over everything before the attribute whose value is at `range`, with a length field that ends there.
  private static func code(_ bytes: Span<UInt8>, at range: Range<Int>, key: STUNKey, sha256: Bool) -> [UInt8] {
    var covered = bytes.copy(0..<range.lowerBound - 4)
    let length = UInt16(truncatingIfNeeded: range.upperBound - STUNHeader.size)
    covered[2] = UInt8(truncatingIfNeeded: length >> 8)
    covered[3] = UInt8(truncatingIfNeeded: length)
    return code(covered, key: key, sha256: sha256)
  }

  static func code(_ covered: [UInt8], key: STUNKey, sha256: Bool) -> [UInt8] {
    let key = SymmetricKey(data: key.bytes)
    return sha256
      ? Array(HMAC<SHA256>.authenticationCode(for: covered, using: key))
      : Array(HMAC<Insecure.SHA1>.authenticationCode(for: covered, using: key))
  }

  /// Compares in a time that does not depend on where the first difference is.
  private static func matches(_ expected: [UInt8], _ bytes: Span<UInt8>, _ range: Range<Int>) -> Bool {
    guard range.count <= expected.count else { return false }
    var difference: UInt8 = 0
    for index in 0..<range.count { difference |= expected[index] ^ bytes[range.lowerBound + index] }
    return difference == 0
  }

  /// Appends what is asked for to a message that is complete but for its fingerprint.
  func append(with writer: STUNWriter, to bytes: inout [UInt8]) {
    let (key, sha1, sha256) =
      switch self {
      case .sha1(let key): (key, true, false)
      case .sha256(let key): (key, false, true)
      case .both(let key): (key, true, true)
      }
    if sha1 {
      writer.setLength(&bytes, extra: 24)
      writer.append(.messageIntegrity, Self.code(bytes, key: key, sha256: false), to: &bytes)
    }
    if sha256 {
      writer.setLength(&bytes, extra: 36)
      writer.append(.messageIntegritySHA256, Self.code(bytes, key: key, sha256: true), to: &bytes)
    }
  }
}
