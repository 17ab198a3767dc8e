/// Parameters in their order, as in `;a=b;c`, of a header field or of a URI. Names are compared without case.
public struct SIPParameters: Hashable, Sendable {
  struct Entry: Sendable {
    var name: String
    var value: String?
    /// Written in quotes on the wire, and so written again.
    var isQuoted = false
  }

  private(set) var entries: [Entry] = []

  public init() {}

  /// Parameters from pairs; `nil` stands for a parameter without a value.
  public init(_ pairs: [(name: String, value: String?)]) {
    entries = pairs.map { Entry(name: $0.name, value: $0.value) }
  }

  init(entries: [Entry]) { self.entries = entries }

  public var isEmpty: Bool { entries.isEmpty }

  /// The names as written, in order.
  public var names: [String] { entries.map(\.name) }

  /// The value of the first parameter of that name, without quotes; empty where it is present without one.
  public subscript(name: String) -> String? { entries.first { Self.isSame($0.name, name) }.map { $0.value ?? "" } }

  public func contains(_ name: String) -> Bool { entries.contains { Self.isSame($0.name, name) } }

  /// Replaces the value of the parameter, or appends it; `nil` makes it one without a value.
  public mutating func set(_ name: String, _ value: String?) {
    if let index = entries.firstIndex(where: { Self.isSame($0.name, name) }) {
      entries[index] = Entry(name: entries[index].name, value: value)
    } else {
      entries.append(Entry(name: name, value: value))
    }
  }

  public mutating func remove(_ name: String) { entries.removeAll { Self.isSame($0.name, name) } }

  private static func isSame(_ left: String, _ right: String) -> Bool {
    left.utf8.elementsEqual(right.utf8) { Grammar.sameLetter($0, $1) }
  }

  public static func == (left: SIPParameters, right: SIPParameters) -> Bool {
    left.entries.count == right.entries.count
      && zip(left.entries, right.entries).allSatisfy { isSame($0.name, $1.name) && $0.value == $1.value }
  }

  public func hash(into hasher: inout Hasher) {
    for entry in entries {
      for byte in entry.name.utf8 { hasher.combine(Grammar.folded(byte)) }
      hasher.combine(entry.value)
    }
  }
}

extension SIPParameters: CustomStringConvertible {
  /// As a header field writes them: `;a=b;c`, values quoted where they must be.
  public var description: String {
    var text = ""
    for entry in entries {
      text += ";" + entry.name
      guard let value = entry.value else { continue }
      let isPlain = !entry.isQuoted && !value.isEmpty && value.utf8.allSatisfy(Grammar.isParameterValue)
      text += "=" + (isPlain ? value : Grammar.quoted(value))
    }
    return text
  }

  /// As a URI writes them: what may not stand there is escaped.
  var uriDescription: String {
    var text = ""
    for entry in entries {
      text += ";" + Grammar.escaped(entry.name, Grammar.isURIParameter)
      if let value = entry.value { text += "=" + Grammar.escaped(value, Grammar.isURIParameter) }
    }
    return text
  }
}

/// One `;name=value` of a header field, as ranges of the bytes.
struct ParameterView {
  var name: Range<Int>
  /// Without its quotes' meaning taken off: where `isQuoted`, the quotes are in the range.
  var value: Range<Int>?
  var isQuoted: Bool

  /// Reads the parameter whose semicolon is at `position`, which is then the place behind it and the white space after.
  @inline(__always)
  static func next(_ bytes: Span<UInt8>, _ position: inout Int, _ end: Int) throws(SIPParseError) -> ParameterView {
    guard bytes[position] == 0x3B else {
      throw SIPParseError(.parameter, at: position, "A semicolon and a parameter are expected here.")
    }
    let start = Grammar.skipSpace(bytes, position + 1, end)
    let nameEnd = Grammar.tokenEnd(bytes, start, end)
    guard nameEnd > start else { throw SIPParseError(.parameter, at: start, "A parameter's name is expected here.") }
    position = Grammar.skipSpace(bytes, nameEnd, end)
    guard position < end, bytes[position] == 0x3D else {
      return ParameterView(name: start..<nameEnd, value: nil, isQuoted: false)
    }
    let valueStart = Grammar.skipSpace(bytes, position + 1, end)
    var valueEnd = valueStart
    let isQuoted = valueStart < end && bytes[valueStart] == 0x22
    if isQuoted {
      valueEnd = try Grammar.quotedEnd(bytes, valueStart, end)
    } else {
      while valueEnd < end, Grammar.isParameterValue(bytes[valueEnd]) { valueEnd += 1 }
      guard valueEnd > valueStart else {
        throw SIPParseError(.parameter, at: valueStart, "A parameter's value is expected here.")
      }
    }
    position = Grammar.skipSpace(bytes, valueEnd, end)
    return ParameterView(name: start..<nameEnd, value: valueStart..<valueEnd, isQuoted: isQuoted)
  }

  /// All parameters of `range`, which begins with a semicolon or is empty.
  static func all(_ bytes: Span<UInt8>, _ range: Range<Int>) throws(SIPParseError) -> SIPParameters {
    var entries: [SIPParameters.Entry] = []
    var position = range.lowerBound
    while position < range.upperBound {
      let view = try next(bytes, &position, range.upperBound)
      let value = view.value.map { view.isQuoted ? Grammar.unquoted(bytes, $0) : Grammar.text(bytes, $0) }
      entries.append(.init(name: Grammar.text(bytes, view.name), value: value, isQuoted: view.isQuoted))
    }
    return SIPParameters(entries: entries)
  }
}
