import NetworkTypes

/// The character classes and smallest pieces of RFC 3261 §25.1, over bytes that someone else owns.
///
/// Within a header field's value a line end only stands where the next line begins with white space (the index pass of a
/// message makes sure of it), so CR and LF count as white space here.
package enum Grammar {
  @inline(__always)
  static func folded(_ byte: UInt8) -> UInt8 { byte &- 0x41 < 26 ? byte | 0x20 : byte }

  @inline(__always)
  static func sameLetter(_ left: UInt8, _ right: UInt8) -> Bool { folded(left) == folded(right) }

  @inline(__always)
  static func isDigit(_ byte: UInt8) -> Bool { byte &- 0x30 < 10 }

  @inline(__always)
  static func isAlphanumeric(_ byte: UInt8) -> Bool { byte &- 0x30 < 10 || (byte | 0x20) &- 0x61 < 26 }

  @inline(__always)
  static func hexValue(_ byte: UInt8) -> UInt8? {
    if byte &- 0x30 < 10 { return byte &- 0x30 }
    let letter = (byte | 0x20) &- 0x61
    return letter < 6 ? letter &+ 10 : nil
  }

  /// Whether the ASCII set of two 64-bit halves holds `byte`: classes are constants, one bit a character, so that a test
  /// is a shift and no branch. `CharacterClassTests` spells them out.
  @inline(__always)
  private static func contains(_ byte: UInt8, _ low: UInt64, _ high: UInt64) -> Bool {
    let half = byte & 64 == 0 ? low : high
    return byte < 128 && half &>> UInt64(byte & 63) & 1 != 0
  }

  /// `token`: letters, digits and `-.!%*_+` with backquote, quote and tilde.
  @inline(__always)
  package static func isToken(_ byte: UInt8) -> Bool { contains(byte, 0x03FF_6CA2_0000_0000, 0x47FF_FFFF_87FF_FFFE) }

  /// What an unquoted parameter value is taken to be made of: more than `token / host`, since tags and instance ids
  /// with `=`, `/` or `@` are met in the field, but nothing that ends a value.
  @inline(__always)
  package static func isParameterValue(_ byte: UInt8) -> Bool {
    contains(byte, 0xA7FF_EFFA_0000_0000, 0x7FFF_FFFF_EFFF_FFFF)
  }

  /// `unreserved`: letters, digits and `-_.!~*'()`.
  @inline(__always)
  package static func isUnreserved(_ byte: UInt8) -> Bool {
    contains(byte, 0x03FF_6782_0000_0000, 0x47FF_FFFE_87FF_FFFE)
  }

  /// `user` without escapes: unreserved and `&=+$,;?/`. Also `#`, which phones send unescaped in service codes.
  @inline(__always)
  package static func isUser(_ byte: UInt8) -> Bool { contains(byte, 0xABFF_FFDA_0000_0000, 0x47FF_FFFE_87FF_FFFE) }

  /// `paramchar` without escapes: unreserved and `[]/:&+$`.
  @inline(__always)
  package static func isURIParameter(_ byte: UInt8) -> Bool {
    contains(byte, 0x07FF_EFD2_0000_0000, 0x47FF_FFFE_AFFF_FFFE)
  }

  /// `reserved` and `unreserved` of RFC 3986 §2, with `%` and brackets.
  @inline(__always)
  package static func isURICharacter(_ byte: UInt8) -> Bool {
    contains(byte, 0xAFFF_FFFA_0000_0000, 0x47FF_FFFE_AFFF_FFFF)
  }

  /// What a host name is made of; the underscore is not the RFC's, but is met in names of containers.
  @inline(__always)
  package static func isHostName(_ byte: UInt8) -> Bool { contains(byte, 0x03FF_6000_0000_0000, 0x07FF_FFFE_87FF_FFFE) }

  @inline(__always)
  static func isSpace(_ byte: UInt8) -> Bool { byte == 0x20 || byte == 0x09 || byte == 0x0D || byte == 0x0A }

  /// The position of the next CR or LF from `start`, or `end`. Eight bytes a step, since values are most of a message:
  /// a byte of `word ^ pattern` is zero where `word` has the pattern's byte, and only then does the subtraction of one
  /// borrow into its high bit.
  @inline(__always)
  static func lineEnd(_ bytes: Span<UInt8>, _ start: Int, _ end: Int) -> Int {
    let ones: UInt64 = 0x0101_0101_0101_0101
    var position = start
    while end - position >= 8 {
      let word = word(bytes, position)
      let returns = word ^ (ones &* 0x0D)
      let feeds = word ^ (ones &* 0x0A)
      let found = ((returns &- ones) & ~returns | (feeds &- ones) & ~feeds) & (ones << 7)
      if found != 0 { return position + found.trailingZeroBitCount >> 3 }
      position += 8
    }
    while position < end, bytes[position] != 0x0D, bytes[position] != 0x0A { position += 1 }
    return position
  }

  /// The eight bytes at `start`, the first one lowest: the compiler makes one load of it.
  @inline(__always)
  static func word(_ bytes: Span<UInt8>, _ start: Int) -> UInt64 {
    let eight = bytes.extracting(start..<start + 8)
    let low = UInt64(eight[0]) | UInt64(eight[1]) << 8 | UInt64(eight[2]) << 16 | UInt64(eight[3]) << 24
    let high = UInt64(eight[4]) | UInt64(eight[5]) << 8 | UInt64(eight[6]) << 16 | UInt64(eight[7]) << 24
    return low | high << 32
  }

  /// The first position from `start` that holds no white space.
  @inline(__always)
  static func skipSpace(_ bytes: Span<UInt8>, _ start: Int, _ end: Int) -> Int {
    var position = start
    while position < end, isSpace(bytes[position]) { position += 1 }
    return position
  }

  /// `end`, moved back over white space.
  @inline(__always)
  static func trimEnd(_ bytes: Span<UInt8>, _ start: Int, _ end: Int) -> Int {
    var position = end
    while position > start, isSpace(bytes[position - 1]) { position -= 1 }
    return position
  }

  /// The position behind the token that begins at `start`; `start` itself where none does.
  @inline(__always)
  static func tokenEnd(_ bytes: Span<UInt8>, _ start: Int, _ end: Int) -> Int {
    var position = start
    while position < end, isToken(bytes[position]) { position += 1 }
    return position
  }

  /// The position behind the quoted string whose opening quote is at `start`.
  static func quotedEnd(_ bytes: Span<UInt8>, _ start: Int, _ end: Int) throws(SIPParseError) -> Int {
    var position = start + 1
    while position < end {
      switch bytes[position] {
      case 0x22: return position + 1
      case 0x5C:
        // A quoted pair is anything but a line end (RFC 3261 §25.1), else a fold could be hidden in it.
        guard position + 1 < end, bytes[position + 1] != 0x0D, bytes[position + 1] != 0x0A else {
          throw SIPParseError(.quotedString, at: position, "A backslash may not stand before a line end.")
        }
        position += 2
      default: position += 1
      }
    }
    throw SIPParseError(.quotedString, at: start, "The quoted string has no closing quote.")
  }

  /// Up to eight bytes, folded, as one number with the first byte highest: names of parameters are compared so.
  /// Zero where there are more, or none.
  @inline(__always)
  static func packed(_ bytes: Span<UInt8>, _ range: Range<Int>) -> UInt64 {
    if range.count > 8 { return 0 }
    var value: UInt64 = 0
    for index in range { value = value << 8 | UInt64(folded(bytes[index])) }
    return value
  }

  /// A decimal number of digits only; `nil` for anything else and beyond `limit`.
  static func number(_ bytes: Span<UInt8>, _ range: Range<Int>, limit: UInt64) -> UInt64? {
    guard !range.isEmpty else { return nil }
    var value: UInt64 = 0
    for index in range {
      guard isDigit(bytes[index]) else { return nil }
      value = value &* 10 &+ UInt64(bytes[index] &- 0x30)
      if value > limit { return nil }
    }
    return value
  }

  /// The host at `start`: a name, an IPv4 address, or an IPv6 reference in brackets, whose range is what they hold.
  static func host(
    _ bytes: Span<UInt8>, _ start: Int, _ end: Int
  ) throws(SIPParseError) -> (range: Range<Int>, next: Int, isReference: Bool) {
    var position = start
    if position < end, bytes[position] == 0x5B {
      while position < end, bytes[position] != 0x5D { position += 1 }
      guard position < end, position - start <= 48 else {
        throw SIPParseError(.host, at: start, "The IPv6 reference has no closing bracket.")
      }
      let range = start + 1..<position
      guard address(bytes, range)?.isV6 == true else {
        throw SIPParseError(.host, at: start, "What the brackets hold is no IPv6 address.")
      }
      return (range, position + 1, true)
    }
    while position < end, isHostName(bytes[position]) { position += 1 }
    guard position > start else { throw SIPParseError(.host, at: start, "A host is expected here.") }
    return (start..<position, position, false)
  }

  /// The address that is written in `range`, an IPv6 one without brackets.
  static func address(_ bytes: Span<UInt8>, _ range: Range<Int>) -> IPAddress? { address(text(bytes, range)) }

  /// An address, also with the three colons before an IPv4 part that the grammar of RFC 3261 asks for by mistake: RFC
  /// 5118 §4.10 wants them understood, never sent.
  static func address(_ text: String) -> IPAddress? {
    if let address = IPAddress(text) { return address }
    let bytes = Array(text.utf8)
    guard bytes.contains(0x2E),
      let place = bytes.indices.first(where: { bytes[$0...].starts(with: [0x3A, 0x3A, 0x3A]) })
    else { return nil }
    return IPAddress(String(decoding: bytes[..<place] + bytes[(place + 1)...], as: UTF8.self))
  }

  /// The port of digits at `start`.
  static func port(_ bytes: Span<UInt8>, _ start: Int, _ end: Int) throws(SIPParseError) -> (value: UInt16, next: Int) {
    var position = start
    while position < end, isDigit(bytes[position]) { position += 1 }
    guard position - start <= 8, let value = number(bytes, start..<position, limit: 65_535) else {
      throw SIPParseError(.port, at: start, "A port from 0 to 65535 is expected here.")
    }
    return (UInt16(truncatingIfNeeded: value), position)
  }

  static func text(_ bytes: Span<UInt8>, _ range: Range<Int>) -> String {
    var copy: [UInt8] = []
    copy.reserveCapacity(range.count)
    for index in range { copy.append(bytes[index]) }
    return String(decoding: copy, as: UTF8.self)
  }

  /// The text in `range` with every line fold, and the white space around it, made one space (RFC 3261 §7.3.1).
  static func unfolded(_ bytes: Span<UInt8>, _ range: Range<Int>) -> String {
    var copy: [UInt8] = []
    copy.reserveCapacity(range.count)
    var position = range.lowerBound
    while position < range.upperBound {
      let byte = bytes[position]
      if byte == 0x0D || byte == 0x0A {
        while let last = copy.last, last == 0x20 || last == 0x09 { copy.removeLast() }
        position = skipSpace(bytes, position, range.upperBound)
        copy.append(0x20)
      } else {
        copy.append(byte)
        position += 1
      }
    }
    return String(decoding: copy, as: UTF8.self)
  }

  /// What the quoted string in `range`, quotes included, stands for.
  static func unquoted(_ bytes: Span<UInt8>, _ range: Range<Int>) -> String {
    var copy: [UInt8] = []
    copy.reserveCapacity(range.count)
    var position = range.lowerBound + 1
    let end = range.upperBound - 1
    while position < end {
      var byte = bytes[position]
      if byte == 0x5C, position + 1 < end {
        position += 1
        byte = bytes[position]
      } else if byte == 0x0D || byte == 0x0A {
        position = skipSpace(bytes, position, end)
        copy.append(0x20)
        continue
      }
      copy.append(byte)
      position += 1
    }
    return String(decoding: copy, as: UTF8.self)
  }

  /// Whether each `%` in `range` is followed by two hexadecimal digits and every other byte satisfies `isAllowed`;
  /// else the position of the first that does not.
  @inline(__always)
  static func firstUnescaped(_ bytes: Span<UInt8>, _ range: Range<Int>, _ isAllowed: (UInt8) -> Bool) -> Int? {
    var position = range.lowerBound
    while position < range.upperBound {
      let byte = bytes[position]
      if byte == 0x25 {
        guard position + 2 < range.upperBound, hexValue(bytes[position + 1]) != nil,
          hexValue(bytes[position + 2]) != nil
        else { return position }
        position += 3
      } else if isAllowed(byte) {
        position += 1
      } else {
        return position
      }
    }
    return nil
  }

  /// The text with its `%` escapes resolved; `nil` where an escape is malformed or the result is not UTF-8.
  static func unescaped(_ text: String) -> String? {
    guard text.utf8.contains(0x25) else { return text }
    let bytes = Array(text.utf8)
    var copy: [UInt8] = []
    copy.reserveCapacity(bytes.count)
    var position = 0
    while position < bytes.count {
      if bytes[position] == 0x25 {
        guard position + 2 < bytes.count, let high = hexValue(bytes[position + 1]),
          let low = hexValue(bytes[position + 2])
        else { return nil }
        copy.append(high << 4 | low)
        position += 3
      } else {
        copy.append(bytes[position])
        position += 1
      }
    }
    return String(validating: copy, as: UTF8.self)
  }

  /// The text with every byte that does not satisfy `isAllowed` as a `%` escape.
  static func escaped(_ text: String, _ isAllowed: (UInt8) -> Bool) -> String {
    if text.utf8.allSatisfy(isAllowed) { return text }
    var copy: [UInt8] = []
    for byte in text.utf8 {
      if isAllowed(byte) {
        copy.append(byte)
      } else {
        copy.append(0x25)
        for digit in [byte >> 4, byte & 15] { copy.append(digit < 10 ? 0x30 + digit : 0x37 + digit) }
      }
    }
    return String(decoding: copy, as: UTF8.self)
  }

  /// The text as a quoted string.
  static func quoted(_ text: String) -> String {
    var copy: [UInt8] = [0x22]
    for byte in text.utf8 {
      if byte == 0x22 || byte == 0x5C { copy.append(0x5C) }
      copy.append(byte)
    }
    copy.append(0x22)
    return String(decoding: copy, as: UTF8.self)
  }

  /// The elements of the comma list in `range`, trimmed, commas in quotes and angle brackets not counting; empty
  /// elements are left out (RFC 3261 does not allow them, RFC 9110 §5.6.1 does, and they carry nothing).
  static func listElements(_ bytes: Span<UInt8>, _ range: Range<Int>) -> [Range<Int>] {
    var elements: [Range<Int>] = []
    var start = range.lowerBound
    while start <= range.upperBound {
      let end = elementEnd(bytes, start, range.upperBound)
      let lower = skipSpace(bytes, start, end)
      if lower < end { elements.append(lower..<trimEnd(bytes, lower, end)) }
      start = end + 1
    }
    return elements
  }

  /// The position of the comma that ends the list element at `start`, or `end`.
  static func elementEnd(_ bytes: Span<UInt8>, _ start: Int, _ end: Int) -> Int {
    var position = start
    var isQuoted = false
    var isBracketed = false
    while position < end {
      switch bytes[position] {
      case 0x5C where isQuoted: position += 1
      case 0x22 where !isBracketed: isQuoted.toggle()
      case 0x3C where !isQuoted: isBracketed = true
      case 0x3E where !isQuoted: isBracketed = false
      case 0x2C where !isQuoted && !isBracketed: return position
      default: break
      }
      position += 1
    }
    return end
  }
}
