public import NetworkTypes

/// Where the parts of one Via value stand.
public struct ViaView: Sendable, Equatable {
  /// `UDP`, `TCP`, `TLS`, …
  public let transport: Range<Int>
  /// `sent-by`: a name or an address, an IPv6 one without its brackets.
  public let host: Range<Int>
  public let isIPv6Reference: Bool
  public private(set) var port: UInt16?
  /// From the first semicolon on.
  public let parameters: Range<Int>
  public private(set) var branch: Range<Int>?
  public private(set) var received: Range<Int>?
  /// Whether `;rport` is there, with or without a value (RFC 3581).
  public private(set) var hasRport = false
  public private(set) var rport: UInt16?

  /// Reads the one value that fills `range` (RFC 3261 §20.42); white space may stand around every separator.
  public init(_ bytes: Span<UInt8>, _ range: Range<Int>) throws(SIPParseError) {
    let end = Grammar.trimEnd(bytes, range.lowerBound, range.upperBound)
    var position = Grammar.skipSpace(bytes, range.lowerBound, end)
    let name = try Self.part(bytes, &position, end, isLast: false)
    let version = try Self.part(bytes, &position, end, isLast: false)
    guard Grammar.packed(bytes, name) == 0x73_6970, Grammar.packed(bytes, version) == 0x32_2E30 else {
      throw SIPParseError(.via, at: name.lowerBound, "A Via value begins with SIP/2.0.")
    }
    transport = try Self.part(bytes, &position, end, isLast: true)
    let found = try Grammar.host(bytes, position, end)
    host = found.range
    isIPv6Reference = found.isReference
    position = Grammar.skipSpace(bytes, found.next, end)
    if position < end, bytes[position] == 0x3A {
      let found = try Grammar.port(bytes, Grammar.skipSpace(bytes, position + 1, end), end)
      port = found.value
      position = Grammar.skipSpace(bytes, found.next, end)
    }
    parameters = position..<end
    while position < end {
      let parameter = try ParameterView.next(bytes, &position, end)
      switch Grammar.packed(bytes, parameter.name) {
      case 0x6272_616E_6368: if branch == nil { branch = parameter.value }
      case 0x7265_6365_6976_6564: if received == nil { received = parameter.value }
      case 0x72_706F_7274:
        hasRport = true
        if let value = parameter.value {
          rport = Grammar.number(bytes, value, limit: 65_535).map { UInt16(truncatingIfNeeded: $0) }
        }
      default: break
      }
    }
  }

  /// A token and the slash behind it, or behind the last one the white space.
  @inline(__always)
  private static func part(
    _ bytes: Span<UInt8>, _ position: inout Int, _ end: Int, isLast: Bool
  ) throws(SIPParseError) -> Range<Int> {
    let start = position
    let tokenEnd = Grammar.tokenEnd(bytes, start, end)
    position = Grammar.skipSpace(bytes, tokenEnd, end)
    guard tokenEnd > start, position < end, isLast ? position > tokenEnd : bytes[position] == 0x2F else {
      throw SIPParseError(.via, at: position, "A Via value begins with SIP/2.0/, a transport and a space.")
    }
    if !isLast { position = Grammar.skipSpace(bytes, position + 1, end) }
    return start..<tokenEnd
  }
}

/// One Via value.
public struct Via: Hashable, Sendable {
  /// `UDP`, `TCP`, `TLS`, …
  public var transport: String
  /// A name or an address, IPv6 without brackets.
  public var host: String
  public var port: UInt16?
  public var parameters: SIPParameters

  /// A Via of our own; `rport` asks for the answer to be sent to where the request came from (RFC 3581 §3).
  public init(transport: String, host: String, port: UInt16?, branch: String, rport: Bool) {
    self.transport = transport
    self.host = host
    self.port = port
    parameters = SIPParameters(rport ? [("branch", branch), ("rport", nil)] : [("branch", branch)])
  }

  public init(parsing text: String) throws(SIPParseError) {
    let bytes = Array(text.utf8)
    try self.init(bytes.span, 0..<bytes.count)
  }

  init(_ bytes: Span<UInt8>, _ range: Range<Int>) throws(SIPParseError) {
    let view = try ViaView(bytes, range)
    transport = Grammar.text(bytes, view.transport)
    host = Grammar.text(bytes, view.host)
    port = view.port
    parameters = try ParameterView.all(bytes, view.parameters)
  }

  public var branch: String? { parameters["branch"] }
  /// The source address that the next element saw; an IPv6 one without the brackets that RFC 5118 §4.5 wants accepted.
  public var received: String? {
    get {
      guard let text = parameters["received"] else { return nil }
      return text.hasPrefix("[") && text.hasSuffix("]") ? String(text.dropFirst().dropLast()) : text
    }
    set { if let newValue { parameters.set("received", newValue) } else { parameters.remove("received") } }
  }
  /// The source port that the next element saw. Setting it keeps the place of `;rport`.
  public var rport: UInt16? {
    get { parameters["rport"].flatMap { UInt16($0) } }
    set { if let newValue { parameters.set("rport", String(newValue)) } else { parameters.remove("rport") } }
  }
  public var hasRport: Bool { parameters.contains("rport") }

  /// The `sent-by` host, where it is an address.
  public var address: IPAddress? { Grammar.address(host) }
}

extension Via: CustomStringConvertible {
  public var description: String {
    let shown = host.utf8.contains(0x3A) ? "[\(host)]" : host
    return "SIP/2.0/\(transport) \(shown)\(port.map { ":\($0)" } ?? "")\(parameters)"
  }
}
