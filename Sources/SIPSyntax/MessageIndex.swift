/// Where the start line, the header fields and the body of a message stand in its bytes: the only pass over a message
/// that parsing makes. Nothing is copied and no string is made; offsets are 32-bit.
struct MessageIndex: Sendable {
  /// More than this is no datagram.
  static let maximumSize = 65_536
  /// As many fields as any real message has several times over.
  static let maximumFields = 256

  /// A part of the message's storage.
  struct Extent: Sendable {
    var lower: UInt32 = 0
    var upper: UInt32 = 0

    init() {}

    @inline(__always)
    init(_ lower: Int, _ upper: Int) {
      self.lower = UInt32(truncatingIfNeeded: lower)
      self.upper = UInt32(truncatingIfNeeded: upper)
    }

    @inline(__always)
    var range: Range<Int> { Int(lower)..<Int(upper) }
  }

  /// One header field: a line with its folded continuations and its CRLF.
  struct Field: Sendable {
    var line: Extent
    /// Trimmed; folds within are left.
    var value: Extent
    var nameEnd: UInt32
    var kind: UInt8

    @inline(__always)
    var name: Range<Int> { Int(line.lower)..<Int(nameEnd) }
  }

  /// The start line without its CRLF.
  var startLine = Extent()
  var isRequest = false
  /// Of a request.
  var method = Extent()
  var requestURI = Extent()
  /// `SIP/2.0`, of either.
  var version = Extent()
  /// Of a response, 100 to 699; 0 for a request.
  var status = 0
  var reason = Extent()
  var fields: [Field] = []
  var body = Extent()
  /// The Content-Length fields contradict each other or hold no number: the body is all the rest then, and the message
  /// has a problem (RFC 4475 §3.1.2.3, §3.3.9).
  var isFramingDoubtful = false

  init() {}

  init(_ bytes: Span<UInt8>) throws(SIPParseError) {
    let end = bytes.count
    guard end <= Self.maximumSize else {
      throw SIPParseError(.tooLarge, at: Self.maximumSize, "A message of more than 64 KB is not read.")
    }
    // RFC 3261 §7.5: line ends before the start line are not part of the message.
    var position = 0
    while position < end, bytes[position] == 0x0D || bytes[position] == 0x0A { position += 1 }
    guard position < end else { throw SIPParseError(.empty, at: 0, "There is nothing but line ends.") }
    try readStartLine(bytes, &position, end)
    try readFields(bytes, &position, end)
    try readBody(bytes, position, end)
  }

  private mutating func readStartLine(
    _ bytes: Span<UInt8>, _ position: inout Int, _ end: Int
  ) throws(SIPParseError) {
    let start = position
    let lineEnd = Grammar.lineEnd(bytes, start, end)
    position = lineEnd
    try Self.passLineEnd(bytes, &position, end)
    try readStartLine(bytes, start, lineEnd)
  }

  /// Reads the start line that stands in `start..<lineEnd`.
  mutating func readStartLine(_ bytes: Span<UInt8>, _ start: Int, _ lineEnd: Int) throws(SIPParseError) {
    startLine = Extent(start, lineEnd)
    if Self.isVersion(bytes, start, lineEnd) {
      try readStatusLine(bytes, start, lineEnd)
    } else {
      try readRequestLine(bytes, start, lineEnd)
    }
  }

  private mutating func readStatusLine(_ bytes: Span<UInt8>, _ start: Int, _ lineEnd: Int) throws(SIPParseError) {
    var position = start
    while position < lineEnd, bytes[position] != 0x20 { position += 1 }
    version = Extent(start, position)
    position += 1
    // A missing space behind the code is met in the field where the phrase is empty.
    guard position + 3 <= lineEnd, position + 3 == lineEnd || bytes[position + 3] == 0x20,
      let code = Grammar.number(bytes, position..<position + 3, limit: 699), code >= 100
    else { throw SIPParseError(.startLine, at: position, "A status code from 100 to 699 is expected here.") }
    status = Int(code)
    reason = Extent(min(position + 4, lineEnd), lineEnd)
  }

  /// The request URI is whatever stands between the method's space and the version: a wrong one is answered, with 400
  /// (RFC 4475 §3.1.2.7 to §3.1.2.10), and so has to get through here.
  private mutating func readRequestLine(_ bytes: Span<UInt8>, _ start: Int, _ lineEnd: Int) throws(SIPParseError) {
    isRequest = true
    let methodEnd = Grammar.tokenEnd(bytes, start, lineEnd)
    guard methodEnd > start, methodEnd < lineEnd, bytes[methodEnd] == 0x20 else {
      throw SIPParseError(.startLine, at: methodEnd, "A method and a space are expected here.")
    }
    let versionEnd = Grammar.trimEnd(bytes, methodEnd, lineEnd)
    var versionStart = versionEnd
    while versionStart > methodEnd, bytes[versionStart - 1] != 0x20 { versionStart -= 1 }
    guard versionStart > methodEnd + 2, Self.isVersion(bytes, versionStart, versionEnd) else {
      throw SIPParseError(.startLine, at: versionStart, "A request line ends with the version, SIP/2.0.")
    }
    method = Extent(start, methodEnd)
    requestURI = Extent(methodEnd + 1, versionStart - 1)
    version = Extent(versionStart, versionEnd)
  }

  /// Whether `SIP/` stands there.
  private static func isVersion(_ bytes: Span<UInt8>, _ start: Int, _ end: Int) -> Bool {
    end - start > 4 && Grammar.packed(bytes, start..<start + 4) == 0x7369_702F
  }

  @inline(__always)
  private static func passLineEnd(_ bytes: Span<UInt8>, _ position: inout Int, _ end: Int) throws(SIPParseError) {
    guard position + 1 < end else {
      throw SIPParseError(.truncated, at: end, "The message ends before the empty line behind its header.")
    }
    guard bytes[position] == 0x0D, bytes[position + 1] == 0x0A else {
      throw SIPParseError(.headerField, at: position, "A line ends with CR and LF together, nothing else.")
    }
    position += 2
  }

  private mutating func readFields(_ bytes: Span<UInt8>, _ next: inout Int, _ end: Int) throws(SIPParseError) {
    var position = next
    let table = HeaderTable.shared
    var found: [Field] = []
    found.reserveCapacity(24)
    while position < end {
      let start = position
      if bytes[start] == 0x0D {
        try Self.passLineEnd(bytes, &position, end)
        fields = found
        next = position
        return
      }
      let nameEnd = Grammar.tokenEnd(bytes, start, end)
      position = nameEnd
      while position < end, bytes[position] == 0x20 || bytes[position] == 0x09 { position += 1 }
      guard position < end else { break }
      guard nameEnd > start, bytes[position] == 0x3A else {
        throw SIPParseError(.headerField, at: position, "A header field begins with a name and a colon.")
      }
      position += 1
      while position < end, bytes[position] == 0x20 || bytes[position] == 0x09 { position += 1 }
      var valueStart = position
      var valueEnd = position
      while true {
        position = Grammar.lineEnd(bytes, position, end)
        valueEnd = position
        try Self.passLineEnd(bytes, &position, end)
        guard position < end else { break }
        // RFC 3261 §7.3.1: a line that begins with white space continues the one before.
        if bytes[position] != 0x20, bytes[position] != 0x09 { break }
        position += 1
      }
      valueStart = Grammar.skipSpace(bytes, valueStart, valueEnd)
      valueEnd = Grammar.trimEnd(bytes, valueStart, valueEnd)
      guard found.count < Self.maximumFields else {
        throw SIPParseError(.tooLarge, at: start, "A message of more than 256 header fields is not read.")
      }
      found.append(
        Field(
          line: Extent(start, position), value: Extent(valueStart, valueEnd),
          nameEnd: UInt32(truncatingIfNeeded: nameEnd), kind: table.kind(bytes, start, nameEnd)))
    }
    throw SIPParseError(.truncated, at: end, "The message ends before the empty line behind its header.")
  }

  private mutating func readBody(_ bytes: Span<UInt8>, _ start: Int, _ end: Int) throws(SIPParseError) {
    body = Extent(start, end)
    var announced: UInt64?
    for field in fields where field.kind == HeaderKind.contentLength.rawValue {
      guard announced == nil, let value = Grammar.number(bytes, field.value.range, limit: 0xFFFF_FFFF) else {
        isFramingDoubtful = true
        return
      }
      announced = value
    }
    // RFC 3261 §18.3: without Content-Length the body of a datagram is all the rest; what is beyond it is thrown away.
    guard let announced else { return }
    guard announced <= UInt64(end - start) else {
      throw SIPParseError(.truncated, at: end, "The body is shorter than Content-Length says.")
    }
    body = Extent(start, start + Int(announced))
  }
}
