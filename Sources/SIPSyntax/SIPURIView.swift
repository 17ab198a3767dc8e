/// Where the parts of a URI stand, as ranges of the bytes that were parsed: nothing is copied. ``SIPURI`` is the value.
public struct SIPURIView: Sendable, Equatable {
  /// What the scheme says about the rest.
  public enum Kind: Sendable, Equatable {
    case sip, sips
    /// RFC 3966: the user is the number, the host is empty.
    case tel
    /// Any other scheme: the host is empty, ``opaque`` is what follows the colon.
    case other
  }

  public let kind: Kind
  public let scheme: Range<Int>
  /// Still escaped.
  public private(set) var user: Range<Int>?
  public private(set) var password: Range<Int>?
  /// A name or an address, an IPv6 one without its brackets.
  public private(set) var host: Range<Int>
  public private(set) var isIPv6Reference = false
  public private(set) var port: UInt16?
  /// From the first semicolon on; empty where there are none.
  public private(set) var parameters: Range<Int>
  /// Behind the question mark.
  public private(set) var headers: Range<Int>?
  /// All that follows the scheme's colon.
  public let opaque: Range<Int>

  /// Reads the URI that fills `range` (RFC 3261 §19.1.1, RFC 3966 §3; other schemes by RFC 3986 §2).
  public init(_ bytes: Span<UInt8>, _ range: Range<Int>) throws(SIPParseError) {
    let end = range.upperBound
    var position = range.lowerBound
    while position < end, Self.isScheme(bytes[position]) { position += 1 }
    guard position < end, bytes[position] == 0x3A, position > range.lowerBound,
      !Grammar.isDigit(bytes[range.lowerBound])
    else { throw SIPParseError(.uri, at: position, "A URI begins with a scheme and a colon.") }
    scheme = range.lowerBound..<position
    position += 1
    opaque = position..<end
    host = end..<end
    parameters = end..<end
    switch Grammar.packed(bytes, scheme) {
    case 0x73_6970: kind = .sip
    case 0x7369_7073: kind = .sips
    case 0x74_656C:
      kind = .tel
      try readNumber(bytes, position, end)
      return
    default:
      kind = .other
      if let wrong = Grammar.firstUnescaped(bytes, opaque, Grammar.isURICharacter) {
        throw SIPParseError(.uri, at: wrong, "This byte may not stand in a URI.")
      }
      guard !opaque.isEmpty else { throw SIPParseError(.uri, at: position, "The URI ends behind its scheme.") }
      return
    }
    try readUser(bytes, &position, end)
    let found = try Grammar.host(bytes, position, end)
    host = found.range
    isIPv6Reference = found.isReference
    position = found.next
    if position < end, bytes[position] == 0x3A {
      let found = try Grammar.port(bytes, position + 1, end)
      port = found.value
      position = found.next
    }
    try readParameters(bytes, position, end)
  }

  private mutating func readUser(_ bytes: Span<UInt8>, _ position: inout Int, _ end: Int) throws(SIPParseError) {
    var at = position
    while at < end, bytes[at] != 0x40 { at += 1 }
    guard at < end else { return }
    var colon = position
    while colon < at, bytes[colon] != 0x3A { colon += 1 }
    guard colon > position else { throw SIPParseError(.uri, at: position, "The user part of the URI is empty.") }
    if let wrong = Grammar.firstUnescaped(bytes, position..<colon, Grammar.isUser) {
      throw SIPParseError(.uri, at: wrong, "This byte may not stand in the user part of a URI.")
    }
    user = position..<colon
    if colon < at {
      if let wrong = Grammar.firstUnescaped(bytes, colon + 1..<at, Grammar.isUser) {
        throw SIPParseError(.uri, at: wrong, "This byte may not stand in the password of a URI.")
      }
      password = colon + 1..<at
    }
    position = at + 1
  }

  private mutating func readNumber(_ bytes: Span<UInt8>, _ start: Int, _ end: Int) throws(SIPParseError) {
    var position = start
    while position < end, Self.isNumber(bytes[position]) { position += 1 }
    guard position > start else { throw SIPParseError(.uri, at: start, "A tel URI needs a number.") }
    user = start..<position
    try readParameters(bytes, position, end)
  }

  private mutating func readParameters(_ bytes: Span<UInt8>, _ start: Int, _ end: Int) throws(SIPParseError) {
    var position = start
    while position < end, bytes[position] == 0x3B {
      position += 1
      let nameStart = position
      while position < end, Grammar.isURIParameter(bytes[position]) || bytes[position] == 0x25 { position += 1 }
      guard position > nameStart else {
        throw SIPParseError(.parameter, at: position, "A parameter's name is expected here.")
      }
      if position < end, bytes[position] == 0x3D {
        position += 1
        while position < end, Grammar.isURIParameter(bytes[position]) || bytes[position] == 0x25 { position += 1 }
      }
      let parameter = nameStart..<position
      if parameter.contains(where: { bytes[$0] == 0x25 }), Grammar.unescaped(Grammar.text(bytes, parameter)) == nil {
        throw SIPParseError(.parameter, at: nameStart, "The escapes of this parameter are no UTF-8.")
      }
    }
    parameters = start..<position
    guard position < end else { return }
    guard bytes[position] == 0x3F, kind != .tel else {
      throw SIPParseError(.uri, at: position, "This byte may not stand here in a URI.")
    }
    headers = position + 1..<end
    if let wrong = Grammar.firstUnescaped(bytes, position + 1..<end, Grammar.isURICharacter) {
      throw SIPParseError(.uri, at: wrong, "This byte may not stand in the headers of a URI.")
    }
  }

  @inline(__always)
  private static func isScheme(_ byte: UInt8) -> Bool {
    Grammar.isAlphanumeric(byte) || byte == 0x2B || byte == 0x2D || byte == 0x2E
  }

  /// A digit of RFC 3966 with its visual separators, `+`, and what a local number may hold beside.
  @inline(__always)
  private static func isNumber(_ byte: UInt8) -> Bool {
    switch byte {
    case 0x23, 0x28...0x2B, 0x2D, 0x2E: true
    default: Grammar.hexValue(byte) != nil
    }
  }
}
