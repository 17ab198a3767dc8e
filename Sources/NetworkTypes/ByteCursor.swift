/// A reading position within bytes that someone else owns. Reads are big-endian, as in every header the IETF draws.
///
/// The bytes are given to each call, since a `Span` is never stored; every read answers `nil` beyond the end and then
/// leaves the position where it was.
public struct ByteCursor: Sendable {
  public private(set) var offset: Int
  /// One past the last byte that may be read.
  public let end: Int

  public init(offset: Int = 0, end: Int) {
    self.offset = offset
    self.end = end
  }

  public var remaining: Int { end - offset }

  public mutating func readUInt8(_ bytes: Span<UInt8>) -> UInt8? {
    guard remaining >= 1 else { return nil }
    defer { offset += 1 }
    return bytes[offset]
  }

  public mutating func readUInt16(_ bytes: Span<UInt8>) -> UInt16? { read(bytes, as: UInt16.self) }
  public mutating func readUInt32(_ bytes: Span<UInt8>) -> UInt32? { read(bytes, as: UInt32.self) }
  public mutating func readUInt64(_ bytes: Span<UInt8>) -> UInt64? { read(bytes, as: UInt64.self) }

  /// The range of the next `count` bytes, which are then passed.
  public mutating func readRange(_ count: Int) -> Range<Int>? {
    guard count >= 0, remaining >= count else { return nil }
    defer { offset += count }
    return offset..<offset + count
  }

  private mutating func read<Value: FixedWidthInteger>(_ bytes: Span<UInt8>, as: Value.Type) -> Value? {
    let size = Value.bitWidth / 8
    guard remaining >= size else { return nil }
    var value: Value = 0
    for index in offset..<offset + size { value = value << 8 | Value(bytes[index]) }
    offset += size
    return value
  }
}

extension [UInt8] {
  /// Appends `value` in network order.
  public mutating func append(bigEndian value: some FixedWidthInteger) {
    var shift = value.bitWidth - 8
    while shift >= 0 {
      append(UInt8(truncatingIfNeeded: value >> shift))
      shift -= 8
    }
  }
}
