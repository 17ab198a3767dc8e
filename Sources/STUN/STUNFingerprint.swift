/// The CRC that tells STUN from other protocols on the same port (RFC 8489 §14.7).
enum STUNFingerprint {
  /// "STUN", so that a protocol that carries a CRC-32 of its own does not pass.
  static let mask: UInt32 = 0x5354_554e

  /// The value that a FINGERPRINT at `offset`, the last attribute of `bytes`, has to have.
  static func expected(_ bytes: Span<UInt8>, at offset: Int) -> UInt32 {
    var crc = CRC32()
    crc.add(bytes, upTo: offset)
    return crc.value ^ mask
  }
}
