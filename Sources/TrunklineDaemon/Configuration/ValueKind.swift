import CallControl
import LinkManager
import NetworkTypes

/// What a scalar has to be. Scalars are text first: what YAML itself would make of `off`, `0211` or `+49…` never counts.
enum ValueKind: Sendable {
  /// Any text without control characters.
  case text
  /// A name that others refer to: letters, digits, `.`, `_` and `-`.
  case name
  case flag
  case integer(ClosedRange<Int>)
  case duration(ClosedRange<Duration>)
  /// A local address with a port.
  case endpoint(defaultPort: UInt16)
  /// A host name or address, with or without a port.
  case host
  /// A host name or address without a port.
  case hostOnly
  /// A host, or a `stun:` URI (RFC 7064).
  case stunServer
  case address
  case addressOr(String)
  case network
  case portRange
  case choice([String])
  /// Text, `{env: NAME}` or `{file: PATH}`.
  case secret
  /// A number as a provider or a person writes it, one `x` for each digit that is left open at its end.
  case number
  /// A number, or its beginning followed by `*`, or `*`.
  case pattern
  case target
  /// `phone:` or `pbx:`.
  case caller
  case country
  case webAddress
}

/// What a scalar was read as.
enum ConfigurationValue: Sendable, Equatable {
  case text(String)
  case flag(Bool)
  case integer(Int)
  case duration(Duration)
  case endpoint(Endpoint)
  case host(HostPort)
  case address(IPAddress)
  case network(IPNetwork)
  case portRange(ClosedRange<UInt16>)
  case secret(Redacted<String>)
  case pattern(NumberPattern)
  case target(RouteTarget)
}

/// Why a scalar is not what its key wants.
struct ValueMistake: Error {
  var sentence: String

  init(_ sentence: String) { self.sentence = sentence }
}

extension ValueKind {
  /// What is wanted, for messages and the reference.
  var wanted: String {
    switch self {
    case .text: "text"
    case .name: "name"
    case .flag: "true or false"
    case .integer(let range): "number \(range.lowerBound) to \(range.upperBound)"
    case .duration(let range): "time \(range.lowerBound.withUnit) to \(range.upperBound.withUnit)"
    case .endpoint: "address:port"
    case .host: "host or host:port"
    case .hostOnly: "host"
    case .stunServer: "host, host:port or stun: URI"
    case .address: "IP address"
    case .addressOr(let word): "\(word) or IP address"
    case .network: "network such as 192.168.0.0/16"
    case .portRange: "ports FIRST-LAST"
    case .choice(let words): words.joined(separator: ", ")
    case .secret: "text, {env: NAME} or {file: PATH}"
    case .number: "telephone number"
    case .pattern: "number pattern"
    case .target: "target"
    case .caller: "phone:… or pbx:…"
    case .country: "country code of two letters"
    case .webAddress: "http or https address"
    }
  }

  /// Reads `text` as this kind.
  func read(_ text: String) throws(ValueMistake) -> ConfigurationValue {
    if text.unicodeScalars.contains(where: { $0.properties.generalCategory == .control }) {
      throw ValueMistake("has a control character in it")
    }
    switch self {
    case .text:
      if text.isEmpty { throw ValueMistake("is empty") }
      return .text(text)
    case .name: return .text(try Self.readName(text))
    case .flag: return .flag(try Self.readFlag(text))
    case .integer(let range): return .integer(try Self.readInteger(text, in: range))
    case .duration(let range): return .duration(try Self.readDuration(text, in: range))
    case .endpoint(let port): return .endpoint(try Self.readEndpoint(text, defaultPort: port))
    case .host: return .host(try Self.readHost(text))
    case .hostOnly:
      let host = try Self.readHost(text)
      if host.port != nil { throw ValueMistake("\(quoted(text)) has a port; only the host belongs here") }
      return .text(host.host)
    case .stunServer: return .host(try Self.readSTUNServer(text))
    case .address: return .address(try Self.readAddress(text))
    case .addressOr(let word): return text == word ? .text(word) : .address(try Self.readAddress(text, or: word))
    case .network:
      guard let network = IPNetwork(text) else {
        throw ValueMistake("\(quoted(text)) is not a network; write it as 192.168.0.0/16")
      }
      return .network(network)
    case .portRange: return .portRange(try Self.readPortRange(text))
    case .choice(let words): return .text(try Self.readChoice(text, of: words))
    case .secret:
      if text.isEmpty { throw ValueMistake("is empty") }
      return .secret(Redacted(text))
    case .number: return .pattern(try Self.readPattern(text, wildcard: false))
    case .pattern: return .pattern(try Self.readPattern(text, wildcard: true))
    case .target: return .target(try Self.readTarget(text))
    case .caller:
      let target = try Self.readTarget(text)
      switch target {
      case .phone, .pbx: return .target(target)
      case .number, .sip, .reject: throw ValueMistake("\(quoted(text)) cannot call; write phone:… or pbx:…")
      }
    case .country:
      guard text.utf8.count == 2, text.utf8.allSatisfy({ (UInt8(ascii: "A")...UInt8(ascii: "Z")).contains($0) }) else {
        throw ValueMistake("\(quoted(text)) is not a country; write the two capital letters of ISO 3166, such as DE")
      }
      return .text(text)
    case .webAddress:
      let isWeb = ["https://", "http://"].contains { text.hasPrefix($0) && text.utf8.count > $0.utf8.count }
      guard isWeb else { throw ValueMistake("\(quoted(text)) does not begin with https:// or http://") }
      return .text(text)
    }
  }
}

extension ConfigurationValue {
  /// The value as it would be written in the file; secrets are masked.
  var written: String {
    switch self {
    case .text(let text): text
    case .flag(let flag): flag ? "true" : "false"
    case .integer(let number): String(number)
    case .duration(let duration): duration.withUnit
    case .endpoint(let endpoint): endpoint.description
    case .host(let host): host.description
    case .address(let address): address.description
    case .network(let network): network.description
    case .portRange(let range): "\(range.lowerBound)-\(range.upperBound)"
    case .secret: "‹redacted›"
    case .pattern(let pattern): pattern.text
    case .target(let target): target.description
    }
  }
}

extension Duration {
  /// The duration in the largest unit that leaves no rest: `250ms`, `10s`, `5m`, `2h`.
  var withUnit: String {
    let milliseconds = nanoseconds / 1_000_000
    for (size, unit) in [(3_600_000, "h"), (60_000, "m"), (1000, "s")] as [(Int64, String)]
    where milliseconds >= size && milliseconds % size == 0 {
      return "\(milliseconds / size)\(unit)"
    }
    return "\(milliseconds)ms"
  }
}

/// `text` in quotation marks, cut and made printable.
func quoted(_ text: String) -> String { "\"\(text.escapedForLog(limit: 80))\"" }
