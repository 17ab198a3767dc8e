import NetworkTypes

/// Writes a message into an array that may have been used before: a server that keeps the array answers without allocating.
struct STUNWriter {
  /// The 16 bytes after type and length; see ``STUNHeader/wireID``.
  let wireID: UInt128
  /// What fills a value to a multiple of four bytes. RFC 8489 §14 wants zero; the samples of RFC 5769 have blanks.
  var paddingByte: UInt8 = 0

  /// The longest message: the length field has 16 bits and is a multiple of four.
  static let maximumLength = 65_532

  /// Empties `bytes` and begins a message in it.
  init(_ messageClass: STUNMessageClass, _ method: STUNMethod, wireID: UInt128, into bytes: inout [UInt8]) {
    self.wireID = wireID
    bytes.removeAll(keepingCapacity: true)
    bytes.append16(STUNHeader.type(messageClass, method))
    bytes.append16(0)
    bytes.append128(wireID)
  }

  /// Writes the length of what `bytes` holds into the header.
  ///
  /// - Parameter extra: how many bytes are counted although they are yet to come.
  func setLength(_ bytes: inout [UInt8], extra: Int = 0) {
    let length = UInt16(truncatingIfNeeded: bytes.count - STUNHeader.size + extra)
    bytes[2] = UInt8(truncatingIfNeeded: length >> 8)
    bytes[3] = UInt8(truncatingIfNeeded: length)
  }

  /// Appends an address, masked where `type` is one of the "XOR" kind.
  func append(_ type: STUNAttributeType, _ endpoint: Endpoint, to bytes: inout [UInt8]) {
    guard hasRoom(24, in: bytes) else { return }
    let isXOR = type == .xorMappedAddress || type == .draftXORMappedAddress
    let mask = isXOR ? wireID : 0
    bytes.append16(type.rawValue)
    bytes.append16(endpoint.address.isV4 ? 8 : 20)
    bytes.append16(endpoint.address.isV4 ? 1 : 2)
    bytes.append16(endpoint.port ^ UInt16(truncatingIfNeeded: mask >> 112))
    switch endpoint.address {
    case .v4(let value): bytes.append32(value ^ UInt32(truncatingIfNeeded: mask >> 96))
    case .v6(let value): bytes.append128(value ^ mask)
    }
  }

  /// Appends an attribute whose value is `value`, padded.
  func append(_ type: STUNAttributeType, _ value: [UInt8], to bytes: inout [UInt8]) {
    guard hasRoom(value.count, in: bytes) else { return }
    bytes.append16(type.rawValue)
    bytes.append16(UInt16(truncatingIfNeeded: value.count))
    bytes += value
    for _ in 0..<(-value.count & 3) { bytes.append(paddingByte) }
  }

  /// Appends an attribute whose value is `count` bytes of zero, padded.
  func append(_ type: STUNAttributeType, zeros count: Int, to bytes: inout [UInt8]) {
    guard hasRoom(count, in: bytes) else { return }
    bytes.append16(type.rawValue)
    bytes.append16(UInt16(truncatingIfNeeded: count))
    for _ in 0..<(count + 3) / 4 * 4 { bytes.append(0) }
  }

  /// Appends a value of four bytes.
  func append(_ type: STUNAttributeType, _ value: UInt32, to bytes: inout [UInt8]) {
    guard hasRoom(4, in: bytes) else { return }
    bytes.append16(type.rawValue)
    bytes.append16(4)
    bytes.append32(value)
  }

  /// Appends ERROR-CODE.
  func append(_ error: STUNErrorCode, to bytes: inout [UInt8]) {
    append(error.code, Array(error.reason.utf8), to: &bytes)
  }

  /// Appends ERROR-CODE. A reader of RFC 3489 §11.2.9 gets the phrase blank-filled, since its lengths are multiples of four.
  func append(_ code: Int, _ phrase: [UInt8], to bytes: inout [UInt8]) {
    guard hasRoom(4 + phrase.count, in: bytes) else { return }
    let isClassic = !STUNHeader.hasMagicCookie(wireID)
    let fill = -phrase.count & 3
    bytes.append16(STUNAttributeType.errorCode.rawValue)
    bytes.append16(UInt16(truncatingIfNeeded: 4 + phrase.count + (isClassic ? fill : 0)))
    bytes.append16(0)
    bytes.append(UInt8(truncatingIfNeeded: code / 100 & 7))
    bytes.append(UInt8(truncatingIfNeeded: code % 100))
    bytes += phrase
    for _ in 0..<fill { bytes.append(isClassic ? UInt8(ascii: " ") : paddingByte) }
  }

  /// Appends FINGERPRINT over everything so far. Nothing may follow it.
  func appendFingerprint(to bytes: inout [UInt8]) {
    setLength(&bytes, extra: 8)
    var crc = CRC32()
    crc.add(bytes.span, upTo: bytes.count)
    append(.fingerprint, crc.value ^ STUNFingerprint.mask, to: &bytes)
    setLength(&bytes)
  }

  private func hasRoom(_ count: Int, in bytes: [UInt8]) -> Bool {
    bytes.count - STUNHeader.size + 4 + (count + 3) / 4 * 4 <= Self.maximumLength
  }
}
