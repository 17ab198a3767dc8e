/// The CRC of ITU-T V.42, which FINGERPRINT is made of (RFC 8489 §14.7).
struct CRC32 {
  private var register: UInt32 = 0xffff_ffff

  /// The CRC of what was added so far.
  var value: UInt32 { register ^ 0xffff_ffff }

  mutating func add(_ byte: UInt8) {
    register = register >> 8 ^ Self.table[Int((register ^ UInt32(byte)) & 0xff)]
  }

  mutating func add(_ bytes: Span<UInt8>, upTo end: Int) {
    for index in 0..<end { add(bytes[index]) }
  }

  /// What each byte does to the register: the polynomial 0x04c11db7, lowest bit first.
  private static let table: [UInt32] = (0..<256).map { byte in
    var value = UInt32(byte)
    for _ in 0..<8 { value = value & 1 == 1 ? value >> 1 ^ 0xedb8_8320 : value >> 1 }
    return value
  }
}
