/// A challenge or credentials: a scheme and its comma-separated parameters (RFC 3261 §20.7, §20.44; RFC 7616 §3).
public struct AuthParameters: Hashable, Sendable {
  private struct Entry: Hashable {
    let name: String
    let value: String
    let isQuoted: Bool
  }

  /// `Digest`, as written.
  public let scheme: String
  private let entries: [Entry]

  /// Parameters in their order; those with `quoted` are written in quotes.
  public init(scheme: String, _ parameters: [(name: String, value: String, quoted: Bool)]) {
    self.scheme = scheme
    entries = parameters.map { Entry(name: $0.name, value: $0.value, isQuoted: $0.quoted) }
  }

  public init(parsing text: String) throws(SIPParseError) {
    let array = Array(text.utf8)
    let bytes = array.span
    let end = Grammar.trimEnd(bytes, 0, bytes.count)
    let start = Grammar.skipSpace(bytes, 0, end)
    var position = Grammar.tokenEnd(bytes, start, end)
    guard position > start else { throw SIPParseError(.authentication, at: start, "A scheme is expected here.") }
    scheme = Grammar.text(bytes, start..<position)
    var entries: [Entry] = []
    position = Grammar.skipSpace(bytes, position, end)
    while position < end {
      let elementEnd = Grammar.elementEnd(bytes, position, end)
      // The grammar of a parameter is that of a header field's; the comma in front stands for the semicolon there.
      let nameEnd = Grammar.tokenEnd(bytes, position, elementEnd)
      let equals = Grammar.skipSpace(bytes, nameEnd, elementEnd)
      guard nameEnd > position, equals < elementEnd, bytes[equals] == 0x3D else {
        throw SIPParseError(.authentication, at: position, "A parameter's name and an equals sign are expected here.")
      }
      let valueStart = Grammar.skipSpace(bytes, equals + 1, elementEnd)
      let valueEnd = Grammar.trimEnd(bytes, valueStart, elementEnd)
      let isQuoted = valueStart < valueEnd && bytes[valueStart] == 0x22
      if isQuoted {
        guard try Grammar.quotedEnd(bytes, valueStart, valueEnd) == valueEnd else {
          throw SIPParseError(.authentication, at: valueStart, "A comma is expected behind the quoted string.")
        }
      } else {
        // Base64 and unquoted qop lists are met in the field; white space and quotes within are not taken.
        for index in valueStart..<valueEnd where !Grammar.isParameterValue(bytes[index]) {
          throw SIPParseError(.authentication, at: index, "This byte may not stand in a value without quotes.")
        }
      }
      let value = valueStart..<valueEnd
      entries.append(
        Entry(
          name: Grammar.text(bytes, position..<nameEnd),
          value: isQuoted ? Grammar.unquoted(bytes, value) : Grammar.text(bytes, value), isQuoted: isQuoted))
      position = Grammar.skipSpace(bytes, min(elementEnd + 1, end), end)
    }
    self.entries = entries
  }

  /// The value of the first parameter of that name, without quotes; names are compared without case.
  public subscript(name: String) -> String? {
    entries.first { $0.name.utf8.elementsEqual(name.utf8) { Grammar.sameLetter($0, $1) } }?.value
  }

  /// The names as written, in order.
  public var names: [String] { entries.map(\.name) }
}

extension AuthParameters: CustomStringConvertible {
  public var description: String {
    let list = entries.map { "\($0.name)=\($0.isQuoted ? Grammar.quoted($0.value) : $0.value)" }
    return list.isEmpty ? scheme : scheme + " " + list.joined(separator: ", ")
  }
}
