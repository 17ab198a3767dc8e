// Reads and writes in network order. They repeat what NetworkTypes offers generically: these are concrete, so that the
// server's answer to a packet does not go through an unspecialised generic of another module.

extension Span<UInt8> {
  /// The two bytes at `offset`, which the caller knows to be there.
  func uint16(at offset: Int) -> UInt16 { UInt16(self[offset]) << 8 | UInt16(self[offset + 1]) }

  func uint32(at offset: Int) -> UInt32 { UInt32(uint16(at: offset)) << 16 | UInt32(uint16(at: offset + 2)) }

  func uint64(at offset: Int) -> UInt64 { UInt64(uint32(at: offset)) << 32 | UInt64(uint32(at: offset + 4)) }

  func uint128(at offset: Int) -> UInt128 { UInt128(uint64(at: offset)) << 64 | UInt128(uint64(at: offset + 8)) }

  /// A copy of the bytes in `range`.
  func copy(_ range: Range<Int>) -> [UInt8] {
    var result: [UInt8] = []
    result.reserveCapacity(range.count)
    for index in range { result.append(self[index]) }
    return result
  }
}

extension [UInt8] {
  mutating func append16(_ value: UInt16) {
    append(UInt8(truncatingIfNeeded: value >> 8))
    append(UInt8(truncatingIfNeeded: value))
  }

  mutating func append32(_ value: UInt32) {
    append16(UInt16(truncatingIfNeeded: value >> 16))
    append16(UInt16(truncatingIfNeeded: value))
  }

  mutating func append64(_ value: UInt64) {
    append32(UInt32(truncatingIfNeeded: value >> 32))
    append32(UInt32(truncatingIfNeeded: value))
  }

  mutating func append128(_ value: UInt128) {
    append64(UInt64(truncatingIfNeeded: value >> 64))
    append64(UInt64(truncatingIfNeeded: value))
  }
}
