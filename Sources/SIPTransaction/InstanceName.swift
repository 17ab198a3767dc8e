import Crypto

/// A name by which a registrar knows a device again (RFC 5626 §4.1), made of what stays the same.
package enum InstanceName {
  /// A UUID of version 8 (RFC 9562 §5.8): the first 122 bits of SHA-256 of the parts, so that nothing of them can be read
  /// in it.
  package static func uuid(of parts: [String]) -> String {
    // The lengths, so that what ends one part could not begin the next.
    let text = parts.map { "\($0.utf8.count):\($0)" }.joined()
    var bytes = Array(SHA256.hash(data: Array(text.utf8)).prefix(16))
    bytes[6] = bytes[6] & 0x0f | 0x80
    bytes[8] = bytes[8] & 0x3f | 0x80
    var digits = Array(DigestHash.hexadecimal(bytes))
    for place in [20, 16, 12, 8] { digits.insert("-", at: place) }
    return String(digits)
  }
}
