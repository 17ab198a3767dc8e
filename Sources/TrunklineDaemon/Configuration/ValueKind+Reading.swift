import CallControl
import LinkManager
import NetworkTypes
import STUN

extension ValueKind {
  static func readName(_ text: String) throws(ValueMistake) -> String {
    guard !text.isEmpty, text.utf8.count <= 64 else { throw ValueMistake("a name has 1 to 64 characters") }
    if let odd = text.unicodeScalars.first(where: { !isNameCharacter($0) }) {
      throw ValueMistake(
        "the name \(quoted(text)) has \(quoted(String(odd))) in it; letters, digits, . _ - are possible")
    }
    return text
  }

  private static func isNameCharacter(_ scalar: Unicode.Scalar) -> Bool {
    switch scalar {
    case "a"..."z", "A"..."Z", "0"..."9", ".", "_", "-": true
    default: false
    }
  }

  static func readFlag(_ text: String) throws(ValueMistake) -> Bool {
    switch text.lowercased() {
    case "true", "yes", "on": return true
    case "false", "no", "off": return false
    default: throw ValueMistake("\(quoted(text)) is neither true nor false")
    }
  }

  static func readInteger(_ text: String, in range: ClosedRange<Int>) throws(ValueMistake) -> Int {
    guard !text.isEmpty, text.utf8.dropFirst(text.hasPrefix("-") ? 1 : 0).allSatisfy(isDigit) else {
      throw ValueMistake("\(quoted(text)) is not a number")
    }
    guard let number = Int(text), range.contains(number) else {
      throw ValueMistake("\(quoted(text)) is not within \(range.lowerBound) to \(range.upperBound)")
    }
    return number
  }

  /// A whole number and its unit. Without one the author may have meant anything, so none is assumed.
  static func readDuration(_ text: String, in range: ClosedRange<Duration>) throws(ValueMistake) -> Duration {
    let digits = text.prefix { $0.isASCII && $0.isNumber }
    let unit = text[digits.endIndex...].drop { $0 == " " }
    guard !digits.isEmpty else { throw ValueMistake("\(quoted(text)) is not a time; write 10s, 5m, 2h or 250ms") }
    if unit.isEmpty { throw ValueMistake("\(quoted(text)) has no unit; write \(digits)s, \(digits)m or \(digits)ms") }
    let units: [(String, Int64)] = [("ms", 1), ("s", 1000), ("m", 60_000), ("h", 3_600_000)]
    guard let size = units.first(where: { $0.0 == unit })?.1 else {
      throw ValueMistake("\(quoted(String(unit))) is not a unit of time; ms, s, m and h are")
    }
    let (product, overflow) = (Int64(digits) ?? .max).multipliedReportingOverflow(by: size)
    let duration = Duration.milliseconds(overflow ? Int64.max / 1_000_000 : min(product, Int64.max / 1_000_000))
    guard range.contains(duration) else {
      throw ValueMistake("\(text) is not within \(range.lowerBound.withUnit) to \(range.upperBound.withUnit)")
    }
    return duration
  }

  /// The host and the port of `HOST`, `HOST:PORT`, `[V6]`, `[V6]:PORT` or a bare IPv6 address.
  private static func split(_ text: String) throws(ValueMistake) -> (host: String, port: UInt16?) {
    if IPAddress(text)?.isV6 == true { return (text, nil) }
    var host = text[...]
    var port: Substring?
    if text.hasPrefix("[") {
      guard let end = text.firstIndex(of: "]") else { throw ValueMistake("\(quoted(text)) lacks the closing ]") }
      host = text[text.index(after: text.startIndex)..<end]
      let rest = text[text.index(after: end)...]
      guard rest.isEmpty || rest.hasPrefix(":") else { throw ValueMistake("\(quoted(text)) is not host:port") }
      if !rest.isEmpty { port = rest.dropFirst() }
      guard IPAddress(String(host))?.isV6 == true else {
        throw ValueMistake("\(quoted(String(host))) is not an IPv6 address")
      }
    } else if let colon = text.lastIndex(of: ":") {
      host = text[..<colon]
      port = text[text.index(after: colon)...]
      if host.contains(":") { throw ValueMistake("\(quoted(text)) is not host:port; IPv6 addresses go in []") }
    }
    guard let port else { return (String(host), nil) }
    return (String(host), try readPort(String(port)))
  }

  static func readPort(_ text: String) throws(ValueMistake) -> UInt16 {
    guard !text.isEmpty, text.utf8.allSatisfy(isDigit) else { throw ValueMistake("\(quoted(text)) is not a port") }
    guard let port = Int(text), (1...65535).contains(port) else {
      throw ValueMistake("port \(text.escapedForLog(limit: 20)) does not exist; ports are 1 to 65535")
    }
    return UInt16(port)
  }

  static func readEndpoint(_ text: String, defaultPort: UInt16) throws(ValueMistake) -> Endpoint {
    let (host, port) = try split(text)
    return Endpoint(try readAddress(host), port: port ?? defaultPort)
  }

  static func readHost(_ text: String) throws(ValueMistake) -> HostPort {
    let (host, port) = try split(text)
    if IPAddress(host) == nil, !isHostName(host) {
      throw ValueMistake("\(quoted(host)) is neither a host name nor an IP address")
    }
    return HostPort(host: host, port: port)
  }

  static func readSTUNServer(_ text: String) throws(ValueMistake) -> HostPort {
    let scheme = text.prefix { $0 != ":" }.lowercased()
    guard scheme == "stun" || scheme == "stuns", text.contains(":") else { return try readHost(text) }
    guard scheme == "stun" else {
      throw ValueMistake(
        "\(quoted(text)) is asked by TLS, but keepalives are UDP from the port that carries SIP: name a server that "
          + "answers over UDP")
    }
    guard let uri = STUNURI(text) else {
      throw ValueMistake("\(quoted(text)) is not a STUN server; write stun:host or stun:host:port")
    }
    return HostPort(host: uri.host, port: uri.port)
  }

  /// RFC 1123 §2.1 with `_`, which service names have.
  private static func isHostName(_ text: String) -> Bool {
    guard (1...253).contains(text.utf8.count) else { return false }
    let labels = text.split(separator: ".", omittingEmptySubsequences: false)
    // Four numbers are a mistyped address, not a name.
    if let last = labels.last, !last.isEmpty, last.utf8.allSatisfy(isDigit) { return false }
    return labels.allSatisfy { label in
      (1...63).contains(label.utf8.count) && label.first != "-" && label.last != "-"
        && label.unicodeScalars.allSatisfy { $0 != "." && isNameCharacter($0) }
    }
  }

  static func readAddress(_ text: String, or word: String? = nil) throws(ValueMistake) -> IPAddress {
    guard let address = IPAddress(text) else {
      throw ValueMistake("\(quoted(text)) is \(word.map { "neither \($0) nor" } ?? "not") an IP address")
    }
    return address
  }

  static func readPortRange(_ text: String) throws(ValueMistake) -> ClosedRange<UInt16> {
    let parts = text.split(separator: "-", omittingEmptySubsequences: false)
    guard parts.count == 2 else { throw ValueMistake("\(quoted(text)) is not a range of ports; write 55000-55999") }
    let first = try readPort(String(parts[0]))
    let last = try readPort(String(parts[1]))
    guard first <= last else { throw ValueMistake("\(text): the first port is above the last one") }
    guard first >= 1024 else { throw ValueMistake("\(text): media ports begin at 1024") }
    // One call takes two ports for each of two legs.
    guard last - first >= 7 else { throw ValueMistake("\(text) has less than 8 ports; a call takes 4") }
    return first...last
  }

  static func readChoice(_ text: String, of words: [String]) throws(ValueMistake) -> String {
    if words.contains(text) { return text }
    if let near = nearestWord(to: text, in: words) {
      throw ValueMistake("\(quoted(text)) is not possible; did you mean \(near)?")
    }
    throw ValueMistake("\(quoted(text)) is not possible; \(words.joined(separator: ", ")) are")
  }

  /// Digits with `+` in front, `*` and `#`. `x` at the end leaves a digit open; with `wildcard`, `*` at the end leaves
  /// the rest open.
  static func readPattern(_ text: String, wildcard: Bool) throws(ValueMistake) -> NumberPattern {
    var rest = text[...]
    if wildcard, rest.last == "*" { rest = rest.dropLast() }
    while rest.last == "x" { rest = rest.dropLast() }
    if rest.first == "+" { rest = rest.dropFirst() }
    let odd = rest.unicodeScalars.first { !("0"..."9").contains($0) && $0 != "*" && $0 != "#" }
    if odd != nil || text.isEmpty || text == "+" || text.utf8.count > 40 {
      throw ValueMistake("\(quoted(text)) is not a telephone number\(wildcard ? " or a pattern such as +49*" : "")")
    }
    return NumberPattern(text)
  }

  static func readTarget(_ text: String) throws(ValueMistake) -> RouteTarget {
    guard let target = RouteTarget(text) else {
      let scheme = text.prefix { $0 != ":" }
      let schemes = ["phone", "pbx", "number", "sip", "reject"]
      if let near = nearestWord(to: String(scheme), in: schemes), near != scheme {
        throw ValueMistake("\(quoted(text)) is not a target; did you mean \(near)?")
      }
      throw ValueMistake("\(quoted(text)) is not a target; write phone:… pbx:… number:… sip:… or reject")
    }
    return target
  }

  private static func isDigit(_ byte: UInt8) -> Bool { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) }
}
