public import NetworkTypes

/// Other names for the names, numbers and addresses of a recording: the same for the same, of equal length, and unlike for
/// the unlike, so that a link that is told them decides as the one that was told the true ones.
///
/// Each character has another one of its kind (letter for letter, digit for digit), chosen by a key and by what stands before
/// it. So whatever begins alike still does, which is what number patterns, routes and networks go by, and nothing has to be
/// kept in a table. The key is thrown away with the recorder.
public struct Pseudonyms: Sendable {
  private let key: (UInt64, UInt64)
  /// For each octet of an IPv4 address, and each group of an IPv6 one: how many of its first bits some network's prefix ends
  /// in, so that they have to stay.
  private var keptBits = [Int](repeating: 0, count: 4)
  private var keptBitsV6 = [Int](repeating: 0, count: 8)
  private var words: [String: [UInt8]] = [:]
  private static let wordLimit = 4096

  public init(random: inout RandomSource, networks: [IPNetwork] = []) {
    key = (random.next(), random.next())
    for network in networks { keep(network) }
  }

  /// A network that is configured or on-link: whether an address is in it must not change.
  public mutating func keep(_ network: IPNetwork) {
    if network.base.isV4 {
      let (place, bits) = network.prefixLength.quotientAndRemainder(dividingBy: 8)
      if place < 4 { keptBits[place] = max(keptBits[place], bits) }
    } else {
      let (place, bits) = network.prefixLength.quotientAndRemainder(dividingBy: 16)
      if place < 8 { keptBitsV6[place] = max(keptBitsV6[place], bits) }
    }
  }

  // MARK: Addresses

  /// Loopback, wildcards and multicast stay: they are everybody's. Private networks stay private, and so on.
  public func address(_ address: IPAddress) -> IPAddress {
    if address.isLoopback || address.isUnspecified || address.isMulticast { return address }
    switch address {
    case .v4(let value): return .v4(v4(value))
    case .v6(let value):
      if value >> 32 == 0xffff { return .v6(0xffff << 32 | UInt128(v4(UInt32(truncatingIfNeeded: value)))) }
      return .v6(v6(value))
    }
  }

  public func endpoint(_ endpoint: Endpoint) -> Endpoint {
    Endpoint(address(endpoint.address), port: endpoint.port)
  }

  public func network(_ network: IPNetwork) -> IPNetwork {
    IPNetwork(address(network.base), prefixLength: network.prefixLength) ?? network
  }

  private func v4(_ value: UInt32) -> UInt32 {
    let octets = (0..<4).map { UInt8(truncatingIfNeeded: value >> (24 - 8 * UInt32($0))) }
    if value == .max { return value }
    let original = IPAddress.v4(value)
    var result: UInt32 = 0
    var prefix: UInt64 = 4
    for (place, octet) in octets.enumerated() {
      // The first octet of what is not public, and the second of 172.16/12 and 192.168/16, make it that.
      let isFixed = !original.isPublic && (place == 0 || (place == 1 && octets[0] != 10))
      let new = isFixed ? octet : permuted(octet, prefix: prefix, kept: keptBits[place], first: place == 0)
      prefix = mix(prefix, UInt64(octet))
      result = result << 8 | UInt32(new)
    }
    return result
  }

  /// Another octet of as many digits. The public first octets that stay public are those from 1 to 223 but 10, 100, 127, 169,
  /// 172, 192, 198 and 203, which stay themselves.
  private func permuted(_ octet: UInt8, prefix: UInt64, kept: Int, first: Bool) -> UInt8 {
    let special: [UInt8] = [0, 10, 100, 127, 169, 172, 192, 198, 203]
    if first, special.contains(octet) || octet > 223 { return octet }
    let digits: ClosedRange<UInt8> = octet < 10 ? 0...9 : octet < 100 ? 10...99 : 100...255
    let mask: UInt8 = kept == 0 ? 0 : ~(0xff >> UInt8(kept))
    let others = digits.filter {
      $0 & mask == octet & mask && !(first && (special.contains($0) || $0 > 223)) && (octet == 0) == ($0 == 0)
    }
    return pick(octet, of: others, prefix: prefix)
  }

  private func v6(_ value: UInt128) -> UInt128 {
    var result: UInt128 = 0
    var prefix: UInt64 = 6
    for place in 0..<8 {
      let group = UInt16(truncatingIfNeeded: value >> (112 - 16 * UInt128(place)))
      var new = group
      // The first group says what kind of address it is; a zero stays one, for the length of the text.
      if place > 0, group != 0 {
        let digits = String(group, radix: 16)
        let keptDigits = (keptBitsV6[place] + 3) / 4
        // Leading zeros count as kept ones.
        let fixed = max(0, keptDigits - (4 - digits.utf8.count))
        new = hexadecimal(digits, prefix: prefix, fixed: fixed)
      }
      prefix = mix(prefix, UInt64(group))
      result = result << 16 | UInt128(new)
    }
    return result
  }

  private func hexadecimal(_ digits: String, prefix: UInt64, fixed: Int) -> UInt16 {
    var prefix = prefix
    var value: UInt16 = 0
    for (place, byte) in digits.utf8.enumerated() {
      let digit = UInt16(byte <= UInt8(ascii: "9") ? byte - UInt8(ascii: "0") : byte - UInt8(ascii: "a") + 10)
      let others = (place == 0 ? 1 : 0)...UInt16(15)
      value = value << 4 | (place < fixed ? digit : pick(digit, of: Array(others), prefix: prefix))
      prefix = mix(prefix, UInt64(digit) | 0x100)
    }
    return value
  }

  // MARK: Words

  /// What stands in every message of everybody, and says nothing about anybody.
  private static let common: Set<String> = [
    "sip", "sips", "tel", "udp", "tcp", "tls", "ws", "wss", "via", "transport", "lr", "user", "phone", "ip", "maddr",
    "ttl",
    "tag", "branch", "rport", "received", "expires", "q", "method", "ob", "digest", "username", "realm", "nonce", "uri",
    "response", "algorithm", "md5", "sess", "sha", "qop", "auth", "nc", "cnonce", "opaque", "stale", "true", "false",
    "invite", "ack", "bye", "cancel", "options", "info", "update", "prack", "register", "refer", "notify", "subscribe",
    "message", "publish", "trunkline", "reason", "cause", "text", "privacy", "id", "none", "header", "session",
    "critical",
    "handling", "required", "optional", "application", "sdp", "telephone", "event", "in", "ip4", "ip6", "anonymous",
    "invalid", "com", "net", "org", "de", "at", "ch", "eu", "uk", "example", "local", "localhost", "lan", "urn", "uuid",
    "instance", "reg", "index", "counter", "unknown", "recursive", "unconditional",
  ]

  /// A run of letters and digits. A number keeps its first three digits: country codes, and what is short enough to be a
  /// service or an extension, stay what they are.
  public mutating func word(_ word: [UInt8], knowsCommon: Bool = true) -> [UInt8] {
    let text = String(decoding: word, as: UTF8.self)
    let name = knowsCommon ? text : "\u{1}\(text)"
    if let known = words[name] { return known }
    let result = makeWord(word, text, knowsCommon)
    // Emptied where a stranger filled it: a table that grows is somebody's weapon.
    if words.count >= Self.wordLimit { words.removeAll(keepingCapacity: true) }
    words[name] = result
    return result
  }

  private func makeWord(_ word: [UInt8], _ text: String, _ knowsCommon: Bool) -> [UInt8] {
    if knowsCommon, Self.common.contains(text.lowercased()) { return word }
    let isNumber = word.allSatisfy { Self.isDigit($0) }
    var prefix: UInt64 = isNumber ? 2 : 1
    var result: [UInt8] = []
    for (place, byte) in word.enumerated() {
      let lower = byte | 0x20
      if Self.isDigit(byte) {
        let isKept = isNumber && knowsCommon && place < 3
        let digits = Array(UInt8(ascii: "0")...UInt8(ascii: "9"))
        result.append(isKept ? byte : pick(byte, of: digits, prefix: prefix))
      } else if (UInt8(ascii: "a")...UInt8(ascii: "z")).contains(lower) {
        let new = pick(lower, of: Array(UInt8(ascii: "a")...UInt8(ascii: "z")), prefix: prefix)
        result.append(byte == lower ? new : new & 0xdf)
      } else {
        result.append(byte)
      }
      // Hosts are the same in capitals.
      prefix = mix(prefix, UInt64(Self.isDigit(byte) ? byte : lower))
    }
    return result
  }

  static func isDigit(_ byte: UInt8) -> Bool { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) }
  static func isWord(_ byte: UInt8) -> Bool {
    isDigit(byte) || (UInt8(ascii: "a")...UInt8(ascii: "z")).contains(byte | 0x20)
  }

  // MARK: The key

  /// Another one of `others` for one of them, each for another one, by the key and what stands before: so many places on.
  private func pick<Element: Equatable>(_ element: Element, of others: [Element], prefix: UInt64) -> Element {
    guard others.count > 1, let place = others.firstIndex(of: element) else { return element }
    var random = RandomSource(seed: (key.0, key.1, prefix, UInt64(others.count)))
    let step = 1 + Int(random.next() % UInt64(others.count - 1))
    return others[(place + step) % others.count]
  }

  private func mix(_ prefix: UInt64, _ value: UInt64) -> UInt64 {
    var mixed = (prefix ^ value &* 0x9e37_79b9_7f4a_7c15) &* 0xbf58_476d_1ce4_e5b9
    mixed ^= mixed >> 29
    return mixed &* 0x94d0_49bb_1331_11eb ^ mixed >> 32
  }
}
