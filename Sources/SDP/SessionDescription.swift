import NetworkTypes

/// A session description (RFC 8866, and RFC 4566 before it). Every line is kept as it came, known or not, in its place; only
/// what is set is written anew. Lines end with CRLF when written, whatever they ended with.
public struct SessionDescription: Hashable, Sendable, SDPSection {
  /// How many lines a description may have; real ones have fewer than 200.
  public static let lineLimit = 1000

  /// The lines before the first `m=`.
  public internal(set) var lines: [SDPLine]
  public var media: [MediaDescription]

  /// A description of our own, without media: `v`, `o`, `s`, `c` and `t`.
  public init(origin: SDPOrigin, connection: SDPConnection?) {
    lines = [SDPLine("v", "0"), SDPLine("o", origin.description), SDPLine("s", "-")]
    if let connection { lines.append(SDPLine("c", connection.description)) }
    lines.append(SDPLine("t", "0 0"))
    media = []
  }

  /// Reads a description: CRLF or LF line ends, empty lines only at the end.
  ///
  /// What is needed to move it elsewhere is checked (`v`, `o`, `c`, `m`); the rest is kept unread.
  public init(parsing bytes: Span<UInt8>) throws(SDPParseError) {
    lines = []
    media = []
    var number = 0
    var sawEmpty = false
    var hasOrigin = false
    var start = 0
    while start < bytes.count {
      number += 1
      if number > Self.lineLimit { throw SDPParseError(.tooLong, line: number) }
      var end = start
      while end < bytes.count && bytes[end] != 10 { end += 1 }
      let next = end + 1
      if end > start && bytes[end - 1] == 13 { end -= 1 }
      defer { start = next }
      if start == end {
        sawEmpty = true
        continue
      }
      guard !sawEmpty, let line = Self.line(bytes, start..<end) else { throw SDPParseError(.line, line: number) }
      if number == 1 {
        guard line.isType("v"), line.bytes == [UInt8(ascii: "0")] else { throw SDPParseError(.version, line: 1) }
      }
      switch Unicode.Scalar(line.type) {
      case "o":
        guard !hasOrigin, media.isEmpty, SDPOrigin(parsing: line.text) != nil else {
          throw SDPParseError(.origin, line: number)
        }
        hasOrigin = true
        lines.append(line)
      case "c":
        guard SDPConnection(parsing: line.text) != nil, !media.isEmpty || firstLine("c") == nil else {
          throw SDPParseError(.connection, line: number)
        }
        append(line)
      case "m":
        guard let section = MediaDescription(line: line) else { throw SDPParseError(.media, line: number) }
        media.append(section)
      default: append(line)
      }
    }
    if lines.isEmpty { throw SDPParseError(.version, line: 1) }
    if !hasOrigin { throw SDPParseError(.origin, line: number) }
  }

  private static func line(_ bytes: Span<UInt8>, _ range: Range<Int>) -> SDPLine? {
    guard range.count >= 2, bytes[range.lowerBound + 1] == UInt8(ascii: "=") else { return nil }
    let type = bytes[range.lowerBound]
    guard (UInt8(ascii: "a")...UInt8(ascii: "z")).contains(type) else { return nil }
    var value: [UInt8] = []
    value.reserveCapacity(range.count - 2)
    for index in range.dropFirst(2) {
      let byte = bytes[index]
      if byte == 0 || byte == 13 { return nil }
      value.append(byte)
    }
    return SDPLine(type: type, bytes: value)
  }

  private mutating func append(_ line: SDPLine) {
    if media.isEmpty { lines.append(line) } else { media[media.count - 1].lines.append(line) }
  }

  /// The description as it goes on the wire.
  public func serialized() -> [UInt8] {
    var result: [UInt8] = []
    func write(_ lines: [SDPLine]) {
      for line in lines {
        result.append(line.type)
        result.append(UInt8(ascii: "="))
        result += line.bytes
        result += [13, 10]
      }
    }
    write(lines)
    for section in media { write(section.lines) }
    return result
  }

  /// The `o=` line.
  public var origin: SDPOrigin {
    get {
      firstLine("o").flatMap { SDPOrigin(parsing: $0.text) }
        ?? SDPOrigin(sessionID: "0", version: 0, address: .v4(0))
    }
    set { setLine(SDPLine("o", newValue.description), following: "v") }
  }

  /// The `c=` line of the whole session.
  public var connection: SDPConnection? {
    get { firstLine("c").flatMap { SDPConnection(parsing: $0.text) } }
    set {
      guard let newValue else {
        lines.removeAll { $0.isType("c") }
        return
      }
      setLine(SDPLine("c", newValue.description), following: "vosiuep")
    }
  }

  /// The attributes of the whole session.
  public var attributes: [SDPAttribute] { lines.compactMap(\.attribute) }

  /// The value of the session's first attribute of that name; empty text for one that has no value.
  public func attribute(_ name: String) -> String? { attributeValue(name) }
}
