public import NetworkTypes

/// The routes of a link: which call goes where. First match wins.
public struct RoutingPlan: Sendable, Equatable, Codable {
  public var inbound: [InboundRule] = []
  public var outbound: [OutboundRule] = []

  public init() {}
}

/// A rule for calls that come from a trunk.
public struct InboundRule: Sendable, Equatable, Codable {
  /// The trunk's name; `nil` matches every trunk.
  public var trunk: String?
  /// The number that was called, `*` standing for any digits; `nil` matches every number.
  public var number: NumberPattern?
  /// The targets, which ring together.
  public var to: [RouteTarget]
  /// How long they ring before `otherwise` is taken.
  public var timeout: Duration?
  public var otherwise: RouteTarget?

  public init(trunk: String? = nil, number: NumberPattern? = nil, to: [RouteTarget]) {
    self.trunk = trunk
    self.number = number
    self.to = to
  }
}

/// A rule for calls that phones and PBXs make to the outside.
public struct OutboundRule: Sendable, Equatable, Codable {
  /// Who calls (`phone:10`, `pbx:name`); empty matches everyone.
  public var from: [RouteTarget] = []
  public var to: NumberPattern
  /// Names of trunks, tried in order: the next one when the first fails before an answer.
  public var trunks: [String]
  /// The caller's number as the provider is told it; `nil` leaves the phone's own.
  public var callerID: String?

  public init(to: NumberPattern, trunks: [String]) {
    self.to = to
    self.trunks = trunks
  }
}

/// Where a call may go.
public enum RouteTarget: Sendable, Hashable {
  case phone(String)
  case pbx(String)
  case number(String)
  case sip(String)
  case reject
}

extension RouteTarget: TextCodable {
  /// Reads `phone:10`, `pbx:name`, `number:+49…`, `sip:user@host` or `reject`.
  public init?(_ text: String) {
    if text == "reject" {
      self = .reject
      return
    }
    guard let colon = text.firstIndex(of: ":"), text.index(after: colon) < text.endIndex else { return nil }
    let rest = String(text[text.index(after: colon)...])
    switch text[..<colon] {
    case "phone": self = .phone(rest)
    case "pbx": self = .pbx(rest)
    case "number": self = .number(rest)
    case "sip", "sips": self = .sip(text)
    default: return nil
    }
  }

  public var description: String {
    switch self {
    case .phone(let name): "phone:\(name)"
    case .pbx(let name): "pbx:\(name)"
    case .number(let number): "number:\(number)"
    case .sip(let uri): uri
    case .reject: "reject"
    }
  }
}

/// A number in which `*` stands for any digits, and a trailing `x` for one digit each, as in `+4921112345xx`.
///
/// A pattern of `*` followed by digits, such as `*43`, is a service code, not a wildcard: `*` is a wildcard where it
/// stands alone or at the end.
public struct NumberPattern: Sendable, Hashable, Codable, CustomStringConvertible {
  public let text: String

  public init(_ text: String) { self.text = text }

  public var description: String { text }

  public func matches(_ number: String) -> Bool {
    if text.last == "*" {
      let start = text.utf8.dropLast()
      return number.utf8.starts(with: start) && number.utf8.count <= Self.longest
        && number.utf8.dropFirst(start.count).allSatisfy(Self.isDialled)
    }
    guard text.utf8.count == number.utf8.count else { return false }
    return zip(text.utf8, number.utf8).allSatisfy { pattern, digit in
      pattern == digit
        || (pattern == UInt8(ascii: "x") && (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(digit))
    }
  }

  /// No number anywhere is longer (ITU-T E.164 has 15 digits), codes before and behind included.
  private static let longest = 64

  /// What a telephone's keys and E.164 can say, and the separators that people write into numbers (RFC 3966 §3).
  private static func isDialled(_ byte: UInt8) -> Bool {
    switch byte {
    case UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "*"), UInt8(ascii: "#"), UInt8(ascii: "+"),
      UInt8(ascii: "-"), UInt8(ascii: "."), UInt8(ascii: "("), UInt8(ascii: ")"):
      true
    default: false
    }
  }
}
