public import NetworkTypes

/// A SIP, SIPS or tel URI by its parts, or any other URI by its scheme and the rest.
///
/// What was parsed is written again with the escapes it came with. Two URIs are equal when their parts are (scheme and
/// host without case, escapes resolved, parameters in their order), which is stricter than RFC 3261 §19.1.4;
/// ``isEquivalent(to:)`` is that comparison.
public struct SIPURI: Hashable, Sendable {
  /// `sip`, `sips`, `tel` or another, in lower case.
  public var scheme: String
  /// The user part as written, escapes and all.
  private var escapedUser: String?
  private var escapedPassword: String?
  /// A name or an address, IPv6 without brackets; empty for other schemes than `sip` and `sips`.
  public var host: String
  public var port: UInt16?
  public var parameters: SIPParameters
  /// Behind the question mark, as written.
  public var headers: String?
  /// For schemes other than `sip`, `sips` and `tel`: what follows the colon.
  public var opaque: String

  /// A `sip` URI.
  public init(user: String?, host: String, port: UInt16? = nil, parameters: SIPParameters = .init()) {
    scheme = "sip"
    self.host = host
    self.port = port
    self.parameters = parameters
    opaque = ""
    self.user = user
  }

  public init(parsing text: String) throws(SIPParseError) {
    let bytes = Array(text.utf8)
    let span = bytes.span
    try self.init(span, SIPURIView(span, 0..<bytes.count))
  }

  init(_ bytes: Span<UInt8>, _ range: Range<Int>) throws(SIPParseError) {
    try self.init(bytes, SIPURIView(bytes, range))
  }

  init(_ bytes: Span<UInt8>, _ view: SIPURIView) throws(SIPParseError) {
    scheme =
      switch view.kind {
      case .sip: "sip"
      case .sips: "sips"
      case .tel: "tel"
      case .other: Grammar.text(bytes, view.scheme).lowercased()
      }
    escapedUser = view.user.map { Grammar.text(bytes, $0) }
    escapedPassword = view.password.map { Grammar.text(bytes, $0) }
    host = Grammar.text(bytes, view.host)
    port = view.port
    headers = view.headers.map { Grammar.text(bytes, $0) }
    opaque = view.kind == .other ? Grammar.text(bytes, view.opaque) : ""
    var entries: [SIPParameters.Entry] = []
    var position = view.parameters.lowerBound
    while position < view.parameters.upperBound {
      let start = position + 1
      position = start
      var equals: Int?
      while position < view.parameters.upperBound, bytes[position] != 0x3B {
        if equals == nil, bytes[position] == 0x3D { equals = position }
        position += 1
      }
      let name = Grammar.unescaped(Grammar.text(bytes, start..<(equals ?? position)))
      let value = equals.map { Grammar.unescaped(Grammar.text(bytes, $0 + 1..<position)) }
      guard let name, value != .some(nil) else {
        throw SIPParseError(.parameter, at: start, "The escapes of this parameter do not make UTF-8.")
      }
      entries.append(.init(name: name, value: value ?? nil))
    }
    parameters = SIPParameters(entries: entries)
  }

  /// The user part with its escapes resolved (left as written where they do not make UTF-8); of a tel URI the number.
  public var user: String? {
    get { escapedUser.map { Grammar.unescaped($0) ?? $0 } }
    set {
      escapedUser = newValue.flatMap { $0.isEmpty ? nil : Grammar.escaped($0) { $0 != 0x23 && Grammar.isUser($0) } }
    }
  }

  /// The password with its escapes resolved. RFC 3261 §19.1.1 advises against any use of it.
  public var password: String? {
    get { escapedPassword.map { Grammar.unescaped($0) ?? $0 } }
    set { escapedPassword = newValue.map { Grammar.escaped($0) { $0 != 0x23 && Grammar.isUser($0) } } }
  }

  /// The host, where it is an address.
  public var address: IPAddress? { host.isEmpty ? nil : Grammar.address(host) }

  public static func == (left: SIPURI, right: SIPURI) -> Bool {
    left.scheme == right.scheme && left.user == right.user && left.password == right.password
      && left.host.utf8.elementsEqual(right.host.utf8) { Grammar.sameLetter($0, $1) } && left.port == right.port
      && left.parameters == right.parameters && left.headers == right.headers && left.opaque == right.opaque
  }

  public func hash(into hasher: inout Hasher) {
    hasher.combine(scheme)
    hasher.combine(user)
    for byte in host.utf8 { hasher.combine(Grammar.folded(byte)) }
    hasher.combine(port)
    hasher.combine(opaque)
  }

  /// RFC 3261 §19.1.4: parameters in any order; one that only one URI has does not matter, unless it is `user`, `ttl`,
  /// `method`, `maddr` or `transport`.
  public func isEquivalent(to other: SIPURI) -> Bool {
    guard scheme == other.scheme, user == other.user, password == other.password, port == other.port,
      opaque == other.opaque, headers == other.headers,
      host.utf8.elementsEqual(other.host.utf8, by: { Grammar.sameLetter($0, $1) })
    else { return false }
    for name in parameters.names + other.parameters.names {
      switch (parameters[name], other.parameters[name]) {
      case (let left?, let right?): if left.lowercased() != right.lowercased() { return false }
      default: if ["user", "ttl", "method", "maddr", "transport"].contains(name.lowercased()) { return false }
      }
    }
    return true
  }
}

extension SIPURI: CustomStringConvertible {
  public var description: String {
    var text = scheme + ":"
    switch scheme {
    case "sip", "sips":
      if let escapedUser {
        text += escapedUser
        if let escapedPassword { text += ":" + escapedPassword }
        text += "@"
      }
      text += host.utf8.contains(0x3A) ? "[\(host)]" : host
      if let port { text += ":\(port)" }
    case "tel": text += escapedUser ?? ""
    default: return text + opaque
    }
    text += parameters.uriDescription
    if let headers { text += "?" + headers }
    return text
  }
}
