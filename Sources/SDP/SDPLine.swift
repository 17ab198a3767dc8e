/// One line of a session description, `type=value`, without its line end. The value is kept as the bytes that came.
public struct SDPLine: Hashable, Sendable {
  /// The letter before the equals sign, in ASCII.
  public let type: UInt8
  public var bytes: [UInt8]

  public init(type: UInt8, bytes: [UInt8]) {
    self.type = type
    self.bytes = bytes
  }

  /// A line of our own: carriage returns, line feeds and NUL become spaces, so that no value can smuggle in a line.
  public init(_ type: Unicode.Scalar, _ text: String) {
    self.type = UInt8(truncatingIfNeeded: type.value)
    bytes = text.utf8.map { $0 == 0 || $0 == 10 || $0 == 13 ? UInt8(ascii: " ") : $0 }
  }

  /// The value as text; what is not UTF-8 is replaced in it.
  public var text: String { String(decoding: bytes, as: UTF8.self) }

  func isType(_ letter: Unicode.Scalar) -> Bool { UInt32(type) == letter.value }

  /// The attribute in an `a=` line.
  var attribute: SDPAttribute? { isType("a") ? SDPAttribute(parsing: text) : nil }

  /// Whether this is an `a=` line of that name, which is case-sensitive (RFC 8866 §5.13).
  func isAttribute(_ name: String) -> Bool {
    guard isType("a") else { return false }
    let wanted = name.utf8
    guard bytes.count >= wanted.count, bytes.prefix(wanted.count).elementsEqual(wanted) else { return false }
    return bytes.count == wanted.count || bytes[wanted.count] == UInt8(ascii: ":")
  }
}

/// `a=name` or `a=name:value`.
public struct SDPAttribute: Hashable, Sendable, CustomStringConvertible {
  public var name: String
  public var value: String?

  public init(_ name: String, _ value: String? = nil) {
    self.name = name
    self.value = value
  }

  init(parsing text: String) {
    if let colon = text.utf8.firstIndex(of: UInt8(ascii: ":")) {
      name = String(text[..<colon])
      value = String(text[text.utf8.index(after: colon)...])
    } else {
      name = text
      value = nil
    }
  }

  public var description: String { value.map { "\(name):\($0)" } ?? name }
}

/// What session and media sections have in common: lines in order, of which the known ones can be asked for and set.
protocol SDPSection {
  var lines: [SDPLine] { get set }
}

extension SDPSection {
  func firstLine(_ letter: Unicode.Scalar) -> SDPLine? { lines.first { $0.isType(letter) } }

  /// Sets the first line of that letter, or puts it after the last line whose letter stands in `following`.
  mutating func setLine(_ line: SDPLine, following: String) {
    if let index = lines.firstIndex(where: { $0.type == line.type }) {
      lines[index] = line
    } else {
      let index = lines.lastIndex { following.utf8.contains($0.type) }
      lines.insert(line, at: index.map { $0 + 1 } ?? 0)
    }
  }

  func attributeValue(_ name: String) -> String? {
    lines.first { $0.isAttribute(name) }.map { $0.attribute?.value ?? "" }
  }

  mutating func removeAttributes(_ names: [String]) {
    lines.removeAll { line in names.contains { line.isAttribute($0) } }
  }

  var explicitDirection: MediaDirection? {
    for line in lines where line.isType("a") {
      if let direction = MediaDirection(rawValue: line.text) { return direction }
    }
    return nil
  }

  mutating func setExplicitDirection(_ direction: MediaDirection?) {
    lines.removeAll { $0.isType("a") && MediaDirection(rawValue: $0.text) != nil }
    if let direction { lines.append(SDPLine("a", direction.rawValue)) }
  }
}
