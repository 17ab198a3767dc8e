import NetworkTypes

/// A SIP message, its body included, in pseudonyms: byte for byte of the same length and the same form.
struct MessagePseudonyms {
  /// How much of a text is put into pseudonyms; addresses always are.
  private enum Mode {
    /// Addresses only.
    case kept
    /// Long numbers, and what looks like a serial number.
    case digits
    /// Every word that is not of the protocol.
    case structured
    /// Every word.
    case all
  }

  var pseudonyms: Pseudonyms
  /// Our own instances at registrars, in truth and in the recording: they stay for years, and name the machine.
  private var instances: [(truth: [UInt8], pseudonym: [UInt8])] = []

  init(pseudonyms: Pseudonyms) { self.pseudonyms = pseudonyms }

  /// Header fields that hold no names; every other one does, or may.
  private static let modes: [String: Mode] = [
    "content-length": .kept, "l": .kept, "content-type": .kept, "c": .kept, "cseq": .kept, "max-forwards": .kept,
    "expires": .kept, "min-expires": .kept, "allow": .kept, "supported": .kept, "k": .kept, "require": .kept,
    "proxy-require": .kept, "unsupported": .kept, "accept": .kept, "accept-encoding": .kept, "allow-events": .kept,
    "u": .kept, "session-expires": .kept, "x": .kept, "min-se": .kept, "rseq": .kept, "rack": .kept, "event": .kept,
    "o": .kept, "subscription-state": .kept, "mime-version": .kept, "timestamp": .kept, "date": .kept, "privacy": .kept,
    "content-disposition": .kept, "content-encoding": .kept, "e": .kept, "user-agent": .digits, "server": .digits,
    "retry-after": .digits, "reason": .digits,
  ]
  /// Parameters with values that are nobody's name, and that have to come back as they were sent.
  private static let keptParameters: Set<String> = [
    "tag", "branch", "nonce", "cnonce", "nc", "opaque", "response", "algorithm", "qop", "stale", "expires", "q",
    "rport",
    "transport", "ttl", "instance", "reg-id", "id", "keep", "refresher",
  ]
  /// Lines of SDP with nothing but types, numbers and times; and those attributes.
  private static let keptAttributes: Set<String> = [
    "rtpmap", "fmtp", "ptime", "maxptime", "sendrecv", "sendonly", "recvonly", "inactive", "rtcp", "rtcp-mux",
    "rtcp-fb",
    "mid", "group", "setup", "silencesupp", "curr", "des", "conf", "direction", "candidate",
  ]

  mutating func message(_ bytes: [UInt8]) -> [UInt8] {
    var out: [UInt8] = []
    out.reserveCapacity(bytes.count)
    var line = 0
    var start = 0
    var name = ""
    var type = ""
    while start < bytes.count {
      let end = bytes[start...].firstIndex(of: UInt8(ascii: "\n")).map { $0 + 1 } ?? bytes.count
      let whole = Array(bytes[start..<end])
      start = end
      if whole.allSatisfy({ $0 == 13 || $0 == 10 }), line > 0 {
        out += whole
        break
      }
      let isFolded = whole.first == UInt8(ascii: " ") || whole.first == UInt8(ascii: "\t")
      if line == 0 {
        out += startLine(whole)
      } else if isFolded {
        out += value(whole, of: name)
      } else if let colon = whole.firstIndex(of: UInt8(ascii: ":")) {
        name = String(decoding: whole[..<colon], as: UTF8.self).lowercased().filter { $0 != " " && $0 != "\t" }
        out += whole[...colon]
        let rest = Array(whole[(colon + 1)...])
        if name == "content-type" || name == "c" { type = String(decoding: rest, as: UTF8.self).lowercased() }
        out += value(rest, of: name)
      } else {
        out += text(whole, .structured)
      }
      line += 1
    }
    if start < bytes.count {
      let body = Array(bytes[start...])
      out += type.contains("application/sdp") ? sdp(body) : text(body, .all)
    }
    for instance in instances { Self.replace(instance.truth, with: instance.pseudonym, in: &out) }
    return out
  }

  /// An instance of ours, which is another one from now on wherever it stands.
  mutating func ownInstance(_ uuid: String) -> String {
    let truth = Array(uuid.utf8)
    if let known = instances.first(where: { $0.truth == truth }) {
      return String(decoding: known.pseudonym, as: UTF8.self)
    }
    let pseudonym = unknown(truth)
    instances.append((truth, pseudonym))
    return String(decoding: pseudonym, as: UTF8.self)
  }

  /// An instance in a link's state: one that was not configured is made anew at every start, and stays.
  func instance(_ uuid: String) -> String {
    let known = instances.first { $0.truth.elementsEqual(uuid.utf8) }
    return known.map { String(decoding: $0.pseudonym, as: UTF8.self) } ?? uuid
  }

  private static func replace(_ truth: [UInt8], with pseudonym: [UInt8], in bytes: inout [UInt8]) {
    guard truth.count == pseudonym.count, !truth.isEmpty, bytes.count >= truth.count else { return }
    var start = 0
    while start + truth.count <= bytes.count {
      let isHere = truth.indices.allSatisfy { place in
        let byte = bytes[start + place]
        // In capitals it is the same.
        return byte == truth[place] || byte | 0x20 == truth[place]
      }
      if isHere { bytes.replaceSubrange(start..<start + truth.count, with: pseudonym) }
      start += isHere ? truth.count : 1
    }
  }

  private mutating func startLine(_ line: [UInt8]) -> [UInt8] {
    if line.starts(with: Array("SIP/2.0 ".utf8)) { return text(line, .digits) }
    guard let space = line.firstIndex(of: UInt8(ascii: " ")) else { return text(line, .structured) }
    let rest = line[space...]
    let end = rest.lastIndex(of: UInt8(ascii: " ")) ?? space
    return line[..<space] + text(Array(line[space..<end]), .structured) + line[end...]
  }

  private mutating func value(_ value: [UInt8], of name: String) -> [UInt8] {
    switch name {
    case "call-id", "i":
      // What stands before the @ is random, or ours.
      guard let at = value.firstIndex(of: UInt8(ascii: "@")) else { return text(value, .kept) }
      return text(Array(value[...at]), .kept) + text(Array(value[(at + 1)...]), .structured)
    default: return text(value, Self.modes[name] ?? .structured)
    }
  }

  mutating func sdp(_ body: [UInt8]) -> [UInt8] {
    var out: [UInt8] = []
    var start = 0
    while start < body.count {
      let end = body[start...].firstIndex(of: UInt8(ascii: "\n")).map { $0 + 1 } ?? body.count
      let line = Array(body[start..<end])
      start = end
      switch line.first {
      case UInt8(ascii: "v"), UInt8(ascii: "t"), UInt8(ascii: "m"), UInt8(ascii: "b"), UInt8(ascii: "r"),
        UInt8(ascii: "z"),
        UInt8(ascii: "c"):
        out += text(line, .kept)
      case UInt8(ascii: "o"):
        // o=NAME SESSION VERSION IN IP4 ADDRESS
        let space = line.firstIndex(of: UInt8(ascii: " ")) ?? line.count
        out += line.prefix(2) + text(Array(line[min(2, space)..<space]), .all) + text(Array(line[space...]), .kept)
      case UInt8(ascii: "a"):
        let nameEnd = line.firstIndex { $0 == UInt8(ascii: ":") || $0 == 13 || $0 == 10 } ?? line.count
        let name = String(decoding: line[min(2, nameEnd)..<nameEnd], as: UTF8.self).lowercased()
        out += line[..<nameEnd] + text(Array(line[nameEnd...]), Self.keptAttributes.contains(name) ? .kept : .all)
      default: out += line.prefix(2) + text(Array(line.dropFirst(2)), .all)
      }
    }
    return out
  }

  /// Names, user names, hosts and numbers of a configuration, or of anything that is one value.
  mutating func plain(_ string: String) -> String {
    String(decoding: text(Array(string.utf8), .structured), as: UTF8.self)
  }

  /// Somebody's name.
  mutating func name(_ string: String) -> String {
    String(decoding: text(Array(string.utf8), .all), as: UTF8.self)
  }

  /// The value of a header field.
  mutating func field(_ string: String, _ name: String) -> String {
    String(decoding: value(Array(string.utf8), of: name), as: UTF8.self)
  }

  mutating func unknown(_ bytes: [UInt8]) -> [UInt8] { text(bytes, .all) }

  // MARK: Text

  private mutating func text(_ bytes: [UInt8], _ mode: Mode) -> [UInt8] {
    var out: [UInt8] = []
    out.reserveCapacity(bytes.count)
    var index = 0
    /// The parameter whose value follows is kept, to the end of it.
    var isKept = false
    var isQuoted = false
    /// What is quoted is somebody's name, and no parameter's value.
    var isDisplayName = false
    while index < bytes.count {
      let byte = bytes[index]
      if let (length, address) = addressLiteral(bytes, index) {
        out += address
        index += length
        continue
      }
      // An escaped character (RFC 3986 §2.1) stays one.
      if byte == UInt8(ascii: "%"), index + 2 < bytes.count, mode != .all {
        out += bytes[index..<index + 3]
        index += 3
        continue
      }
      guard Pseudonyms.isWord(byte) else {
        switch byte {
        case UInt8(ascii: "\""):
          isQuoted.toggle()
          if !isQuoted { isKept = false }
          isDisplayName = isQuoted && out.last != UInt8(ascii: "=")
        case UInt8(ascii: ";"), UInt8(ascii: ","), UInt8(ascii: " "), UInt8(ascii: ">"), UInt8(ascii: "&"), 13, 10:
          if !isQuoted { isKept = false }
        case UInt8(ascii: "="):
          // The name before it, with the hyphens that it may have.
          var begin = index
          while begin > 0, Pseudonyms.isWord(bytes[begin - 1]) || bytes[begin - 1] == UInt8(ascii: "-") { begin -= 1 }
          let name = String(decoding: bytes[begin..<index], as: UTF8.self).lowercased()
          if !isQuoted { isKept = Self.keptParameters.contains(name) }
        default: break
        }
        out.append(byte)
        index += 1
        continue
      }
      var end = index
      while end < bytes.count, Pseudonyms.isWord(bytes[end]) { end += 1 }
      let word = Array(bytes[index..<end])
      let isPort =
        index > 0 && bytes[index - 1] == UInt8(ascii: ":") && word.count <= 5 && word.allSatisfy(Pseudonyms.isDigit)
        && !(end < bytes.count && bytes[end] == UInt8(ascii: "@")) && out.count > 1
        && (out[out.count - 2] == UInt8(ascii: "]") || Pseudonyms.isWord(out[out.count - 2]))
        && !isScheme(bytes, before: index - 1)
      // A parameter's name.
      let isName = end < bytes.count && bytes[end] == UInt8(ascii: "=")
      switch mode {
      case .kept: out += word
      case .digits:
        let digits = word.count { Pseudonyms.isDigit($0) }
        out +=
          digits == word.count
          ? (digits > 3 ? pseudonyms.word(word) : word)
          : digits > 0 && word.count >= 6 ? pseudonyms.word(word) : word
      case .structured:
        out += isKept || isPort || isName ? word : pseudonyms.word(word, knowsCommon: !isDisplayName)
      case .all: out += pseudonyms.word(word, knowsCommon: false)
      }
      index = end
    }
    return out
  }

  private func isScheme(_ bytes: [UInt8], before colon: Int) -> Bool {
    for scheme in ["sip", "sips", "tel"] where colon >= scheme.utf8.count {
      let begin = colon - scheme.utf8.count
      let isAlone = begin == 0 || !Pseudonyms.isWord(bytes[begin - 1])
      if isAlone, bytes[begin..<colon].elementsEqual(scheme.utf8) { return true }
    }
    return false
  }

  /// An IPv4 or IPv6 address that begins here, and its pseudonym of equal length.
  private func addressLiteral(_ bytes: [UInt8], _ start: Int) -> (length: Int, pseudonym: [UInt8])? {
    let before: UInt8 = start > 0 ? bytes[start - 1] : 0
    guard !Pseudonyms.isWord(before), before != UInt8(ascii: ".") else { return nil }
    var end = start
    var dots = 0
    var colons = 0
    while end < bytes.count, end - start <= 45 {
      let byte = bytes[end]
      if byte == UInt8(ascii: ".") {
        dots += 1
      } else if byte == UInt8(ascii: ":") {
        // Behind an IPv4 address it is its port's.
        if dots > 0, colons == 0 { break }
        colons += 1
      } else if !Pseudonyms.isDigit(byte), !(UInt8(ascii: "a")...UInt8(ascii: "f")).contains(byte | 0x20) {
        break
      }
      end += 1
    }
    // A full stop at the end of a sentence.
    if end > start, bytes[end - 1] == UInt8(ascii: ".") {
      end -= 1
      dots -= 1
    }
    guard dots == 3 || colons >= 2, end == bytes.count || !Pseudonyms.isWord(bytes[end]),
      let address = IPAddress(String(decoding: bytes[start..<end], as: UTF8.self))
    else { return nil }
    let text = Array(pseudonyms.address(address).description.utf8)
    // Written in another way than the usual one: its length would change.
    guard text.count == end - start else { return (end - start, longForm(bytes[start..<end])) }
    return (end - start, text)
  }

  /// An address that is not written in the usual way keeps its form, and no digit of it.
  private func longForm(_ text: ArraySlice<UInt8>) -> [UInt8] {
    text.map { Pseudonyms.isWord($0) ? UInt8(ascii: "1") : $0 }
  }
}
