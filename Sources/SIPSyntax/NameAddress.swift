/// Where the parts of a `name-addr` or `addr-spec` with its parameters stand (From, To, Contact, Route, …).
public struct NameAddressView: Sendable, Equatable {
  /// The display name as written, with its quotes where it has them.
  public private(set) var displayName: Range<Int>?
  /// Without angle brackets.
  public let uri: Range<Int>
  /// Whether the URI stands in angle brackets.
  public let isBracketed: Bool
  /// The header field's own parameters, from the first semicolon on.
  public let parameters: Range<Int>
  /// The value of the first `;tag=`; empty where it stands there without one.
  public private(set) var tag: Range<Int>?

  /// Reads the value that fills `range`. The URI is only delimited; ``SIPURIView`` reads it.
  public init(_ bytes: Span<UInt8>, _ range: Range<Int>) throws(SIPParseError) {
    let end = Grammar.trimEnd(bytes, range.lowerBound, range.upperBound)
    let start = Grammar.skipSpace(bytes, range.lowerBound, end)
    guard start < end else { throw SIPParseError(.nameAddress, at: start, "An address is expected here.") }
    var position = start
    if bytes[start] == 0x22 {
      position = try Grammar.quotedEnd(bytes, start, end)
      displayName = start..<position
      position = Grammar.skipSpace(bytes, position, end)
      guard position < end, bytes[position] == 0x3C else {
        throw SIPParseError(.nameAddress, at: position, "A display name is followed by a URI in angle brackets.")
      }
    } else {
      // Tokens and white space up to "<" are a display name. Bytes beyond ASCII are not allowed in it without quotes,
      // but are met in the field; a comma is not taken, since it would make two values of one.
      while position < end,
        Grammar.isToken(bytes[position]) || Grammar.isSpace(bytes[position]) || bytes[position] > 0x7F
      {
        position += 1
      }
      if position < end, bytes[position] == 0x3C, position > start {
        displayName = start..<Grammar.trimEnd(bytes, start, position)
      }
    }
    if position < end, bytes[position] == 0x3C {
      let open = position
      while position < end, bytes[position] != 0x3E { position += 1 }
      guard position < end else { throw SIPParseError(.nameAddress, at: open, "The angle bracket is not closed.") }
      uri = open + 1..<position
      isBracketed = true
      position = Grammar.skipSpace(bytes, position + 1, end)
    } else {
      // RFC 3261 §20.10: without brackets, what follows a semicolon belongs to the field, and "?" and "," may not be.
      position = start
      while position < end, bytes[position] != 0x3B, !Grammar.isSpace(bytes[position]) {
        if bytes[position] == 0x3F || bytes[position] == 0x2C || bytes[position] == 0x3C {
          throw SIPParseError(.nameAddress, at: position, "Such a URI has to stand in angle brackets.")
        }
        position += 1
      }
      uri = start..<position
      isBracketed = false
      position = Grammar.skipSpace(bytes, position, end)
    }
    parameters = position..<end
    while position < end {
      let parameter = try ParameterView.next(bytes, &position, end)
      guard tag == nil, Grammar.packed(bytes, parameter.name) == 0x74_6167 else { continue }
      tag = parameter.value ?? parameter.name.upperBound..<parameter.name.upperBound
    }
  }
}

/// A display name, a URI, and the parameters of the header field that they stand in.
public struct NameAddress: Hashable, Sendable {
  /// Without quotes and escapes.
  public var displayName: String?
  public var uri: SIPURI
  public var parameters: SIPParameters

  public init(displayName: String? = nil, uri: SIPURI, parameters: SIPParameters = .init()) {
    self.displayName = displayName
    self.uri = uri
    self.parameters = parameters
  }

  public init(parsing text: String) throws(SIPParseError) {
    let bytes = Array(text.utf8)
    try self.init(bytes.span, 0..<bytes.count)
  }

  init(_ bytes: Span<UInt8>, _ range: Range<Int>) throws(SIPParseError) {
    let view = try NameAddressView(bytes, range)
    uri = try SIPURI(bytes, view.uri)
    parameters = try ParameterView.all(bytes, view.parameters)
    displayName = view.displayName.map {
      bytes[$0.lowerBound] == 0x22 ? Grammar.unquoted(bytes, $0) : Grammar.unfolded(bytes, $0)
    }
  }

  /// The `tag` parameter, empty where it stands there without a value; setting `nil` removes it.
  public var tag: String? {
    get { parameters["tag"] }
    set { if let newValue { parameters.set("tag", newValue) } else { parameters.remove("tag") } }
  }
}

extension NameAddress: CustomStringConvertible {
  /// The display name in quotes, the URI in angle brackets, the parameters.
  public var description: String {
    let name = displayName.map { Grammar.quoted($0) + " " } ?? ""
    return "\(name)<\(uri)>\(parameters)"
  }
}
