extension IPAddress: LosslessStringConvertible {
  /// Reads dotted IPv4 (four decimal numbers, no leading zeros) or IPv6 (RFC 4291 §2.2), without brackets or zone.
  public init?(_ text: String) {
    if let value = Self.parseV4(text.utf8) {
      self = .v4(value)
    } else if let value = Self.parseV6(text.utf8) {
      self = .v6(value)
    } else {
      return nil
    }
  }

  /// The canonical text: dotted IPv4, or IPv6 as RFC 5952 writes it.
  public var description: String {
    switch self {
    case .v4(let value): "\(value >> 24).\(value >> 16 & 255).\(value >> 8 & 255).\(value & 255)"
    case .v6(let value): Self.formatV6(value)
    }
  }

  private static func parseV4<Text: Collection<UInt8>>(_ text: Text) -> UInt32? {
    var value: UInt32 = 0
    var part: UInt32 = 0
    var digits = 0
    var parts = 0
    for byte in text {
      switch byte {
      case UInt8(ascii: "0")...UInt8(ascii: "9"):
        if digits > 0 && part == 0 { return nil }
        part = part * 10 + UInt32(byte - UInt8(ascii: "0"))
        digits += 1
        if part > 255 { return nil }
      case UInt8(ascii: "."):
        if digits == 0 || parts == 3 { return nil }
        value = value << 8 | part
        part = 0
        digits = 0
        parts += 1
      default: return nil
      }
    }
    return parts == 3 && digits > 0 ? value << 8 | part : nil
  }

  private static func parseV6<Text: Collection<UInt8>>(_ text: Text) -> UInt128? {
    guard text.count >= 2, text.count <= 45 else { return nil }
    var groups: [UInt16] = []
    var gap: Int?
    var rest = text[...]
    if rest.first == UInt8(ascii: ":") {
      rest = rest.dropFirst()
      guard rest.first == UInt8(ascii: ":") else { return nil }
      rest = rest.dropFirst()
      gap = 0
    }
    while !rest.isEmpty {
      let end = rest.firstIndex(of: UInt8(ascii: ":")) ?? rest.endIndex
      let part = rest[rest.startIndex..<end]
      if part.contains(UInt8(ascii: ".")) {
        guard end == rest.endIndex, let v4 = parseV4(part) else { return nil }
        groups.append(UInt16(truncatingIfNeeded: v4 >> 16))
        groups.append(UInt16(truncatingIfNeeded: v4))
        rest = rest[end...]
        break
      }
      guard (1...4).contains(part.count), part.allSatisfy(isHexDigit),
        let group = UInt16(String(decoding: part, as: UTF8.self), radix: 16)
      else { return nil }
      groups.append(group)
      rest = rest[end...]
      guard !rest.isEmpty else { break }
      rest = rest.dropFirst()
      if rest.first == UInt8(ascii: ":") {
        guard gap == nil else { return nil }
        gap = groups.count
        rest = rest.dropFirst()
      } else if rest.isEmpty {
        return nil
      }
    }
    if let gap {
      guard groups.count <= 7 else { return nil }
      groups.insert(contentsOf: repeatElement(0, count: 8 - groups.count), at: gap)
    }
    guard groups.count == 8 else { return nil }
    return groups.reduce(0) { $0 << 16 | UInt128($1) }
  }

  private static func isHexDigit(_ byte: UInt8) -> Bool {
    switch byte {
    case UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "a")...UInt8(ascii: "f"),
      UInt8(ascii: "A")...UInt8(ascii: "F"):
      true
    default: false
    }
  }

  private static func formatV6(_ value: UInt128) -> String {
    if value >> 32 == 0xffff { return "::ffff:\(IPAddress.v4(UInt32(truncatingIfNeeded: value)))" }
    let groups = (0..<8).map { UInt16(truncatingIfNeeded: value >> (112 - 16 * UInt128($0))) }
    var best = 0..<0
    var start = 0
    while start < 8 {
      var end = start
      while end < 8 && groups[end] == 0 { end += 1 }
      if end - start > max(best.count, 1) { best = start..<end }
      start = max(end, start + 1)
    }
    let text = { (part: ArraySlice<UInt16>) in part.map { String($0, radix: 16) }.joined(separator: ":") }
    return best.isEmpty ? text(groups[...]) : text(groups[..<best.lowerBound]) + "::" + text(groups[best.upperBound...])
  }
}
