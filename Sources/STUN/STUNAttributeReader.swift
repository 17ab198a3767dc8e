/// Walks the attributes of a message whose header has been read, without allocating.
///
/// It ends at the last attribute and at the first that goes beyond the message; ``isOverrun`` tells which.
struct STUNAttributeReader {
  private var offset = STUNHeader.size
  private let end: Int
  private(set) var isOverrun = false

  init(_ bytes: Span<UInt8>) { end = bytes.count }

  /// The byte at which the next attribute begins.
  var position: Int { offset }

  /// The next attribute's type and the place of its value, padding excluded.
  mutating func next(_ bytes: Span<UInt8>) -> (type: STUNAttributeType, range: Range<Int>)? {
    guard offset < end, !isOverrun else { return nil }
    guard end - offset >= 4 else {
      isOverrun = true
      return nil
    }
    let type = STUNAttributeType(rawValue: bytes.uint16(at: offset))
    let count = Int(bytes.uint16(at: offset + 2))
    let padded = (count + 3) / 4 * 4
    guard padded <= end - offset - 4 else {
      isOverrun = true
      return nil
    }
    let start = offset + 4
    offset = start + padded
    return (type, start..<start + count)
  }
}

/// What may be acted on, attribute by attribute: after MESSAGE-INTEGRITY only its SHA-256 sibling and FINGERPRINT, after that
/// only FINGERPRINT (RFC 8489 §14.5, §14.6). The rest could have been appended by anyone on the way.
struct STUNIntegrityGate {
  private var afterSHA1 = false
  private var afterSHA256 = false

  /// Whether the attribute counts; called once for each, in order.
  mutating func admits(_ type: STUNAttributeType) -> Bool {
    switch type {
    case .fingerprint: return true
    case .messageIntegritySHA256:
      defer { afterSHA256 = true }
      return !afterSHA256
    case .messageIntegrity:
      defer { afterSHA1 = true }
      return !afterSHA1 && !afterSHA256
    default: return !afterSHA1 && !afterSHA256
    }
  }
}
