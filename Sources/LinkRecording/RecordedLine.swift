import Foundation
import LinkManager
import MediaRelay
import NetworkTypes
import PortMapping

/// One line of a recording, as text: what the link was told, and when.
///
/// `KIND FIELD…`, separated by spaces; bytes are a quoted string in which what is not printable is escaped. Text, so that a
/// recording can be read, searched and compared with the tools that everybody has.
enum RecordedLine {
  // MARK: Writing

  static func text(_ input: LinkInput) -> String {
    switch input {
    case .started: "started"
    case .socketOpened(let socket, let local): "opened \(socket.rawValue) \(local)"
    case .socketFailed(let socket, let reason): "failed \(socket.rawValue) \(quoted(Array(reason.utf8)))"
    case .datagramReceived(let bytes, let source, let socket):
      "datagram \(socket.rawValue) \(source) \(quoted(bytes))"
    case .streamOpened(let connection, let socket, let remote):
      "streamOpened \(connection) \(socket.rawValue) \(remote)"
    case .streamMessageReceived(let bytes, let connection): "stream \(connection) \(quoted(bytes))"
    case .streamClosed(let connection): "streamClosed \(connection)"
    case .nameResolved(let host, let addresses):
      "resolved \(quoted(Array(host.utf8))) \(addresses.map(\.description).joined(separator: ","))"
    case .serviceResolved(let name, let records): "service \(quoted(Array(name.utf8))) \(text(records))"
    case .mediaEventReceived(let event): "media \(text(event))"
    case .natDiscovered(let findings, let uplink): "nat \(uplink) \(findings.map { json($0) } ?? "-")"
    case .hostChanged(let interfaces):
      "host \(interfaces.map { "\($0.address)/\($0.prefixLength)" }.joined(separator: ","))"
    case .changeAnnounced(let uplink): "announced \(uplink)"
    case .routerTold(let event, let uplink): "router \(uplink) \(json(event))"
    case .cutsRemembered(let diary, let uplink): "cuts \(quoted(Array(uplink.utf8))) \(json(diary))"
    case .contactsRemembered(let known, let user): "contacts \(quoted(Array(user.utf8))) \(json(known))"
    case .timerFired: "timer"
    case .wallTimeChanged(let time): "wall \(time.nanoseconds)"
    case .reconfigured(let configuration): "configuration \(json(configuration))"
    case .trunkSwitched(let name, let enabled): "trunk \(enabled ? 1 : 0) \(quoted(Array(name.utf8)))"
    case .registrationAsked(let name): "register \(quoted(Array(name.utf8)))"
    case .hangUpAsked(let call): "hangUp \(quoted(Array(call.utf8)))"
    case .examinationAsked(let request): "examine \(request.calls ? 1 : 0)"
    case .shutDownAsked: "shutDown"
    case .reseeded(let seed): "reseeded \(seed.words.map { String($0, radix: 16) }.joined(separator: "."))"
    }
  }

  private static func text(_ records: [ServiceRecord]?) -> String {
    guard let records else { return "?" }
    return records.map { "\($0.priority)/\($0.weight)/\($0.port)/\($0.target)" }.joined(separator: ",")
  }

  private static func text(_ event: MediaEvent) -> String {
    switch event {
    case .opened(let port): return "opened \(port.rawValue)"
    case .openFailed(let port, let reason): return "openFailed \(port.rawValue) \(quoted(Array(reason.utf8)))"
    case .mapped(let port, let rtp, let rtcp): return "mapped \(port.rawValue) \(rtp) \(rtcp.map { "\($0)" } ?? "-")"
    case .latched(let port, let source): return "latched \(port.rawValue) \(source)"
    case .silent(let port): return "silent \(port.rawValue)"
    case .heard(let port, let gap): return "heard \(port.rawValue) \(gap.nanoseconds)"
    case .counted(let port, let c):
      return "counted \(port.rawValue) \(c.packetsIn) \(c.packetsOut) \(c.octetsIn) \(c.octetsOut) \(c.lostIn) "
        + "\(c.jitterMilliseconds) \(c.lastAudioGapMilliseconds) \(c.discarded)"
    case .recorded(let port, _): return "recorded \(port.rawValue)"
    }
  }

  /// What holds pseudonyms only is written in full.
  static func json(_ value: some Encodable) -> String {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
    if let key = Redacted<String>.holdsPseudonyms { encoder.userInfo[key] = true }
    guard let data = try? encoder.encode(value) else { return "-" }
    return String(decoding: data, as: UTF8.self)
  }

  static func quoted(_ bytes: [UInt8]) -> String {
    var out: [UInt8] = [UInt8(ascii: "\"")]
    out.reserveCapacity(bytes.count + 32)
    let digits = Array("0123456789abcdef".utf8)
    for byte in bytes {
      switch byte {
      case UInt8(ascii: "\""), UInt8(ascii: "\\"): out += [UInt8(ascii: "\\"), byte]
      case 10: out += Array("\\n".utf8)
      case 13: out += Array("\\r".utf8)
      case 32...126: out.append(byte)
      default: out += [UInt8(ascii: "\\"), UInt8(ascii: "x"), digits[Int(byte >> 4)], digits[Int(byte & 15)]]
      }
    }
    out.append(UInt8(ascii: "\""))
    return String(decoding: out, as: UTF8.self)
  }

  // MARK: Reading

  /// `nil` for a line that this version does not know.
  static func input(_ text: Substring) -> LinkInput? {
    var fields = Fields(text)
    guard let kind = fields.word() else { return nil }
    switch kind {
    case "started": return .started
    case "opened":
      guard let socket = fields.number(Int.self), let local = fields.endpoint() else { return nil }
      return .socketOpened(LinkSocket(socket), local: local)
    case "failed":
      guard let socket = fields.number(Int.self), let reason = fields.string() else { return nil }
      return .socketFailed(LinkSocket(socket), reason: reason)
    case "service":
      guard let name = fields.string() else { return nil }
      let rest = fields.rest()
      if rest == "?" { return .serviceResolved(name, nil) }
      let records = rest.split(separator: ",").map(record)
      return records.contains { $0 == nil } ? nil : .serviceResolved(name, records.compactMap { $0 })
    case "host":
      let interfaces = fields.rest().split(separator: ",").map(interface)
      return interfaces.contains { $0 == nil } ? nil : .hostChanged(interfaces.compactMap { $0 })
    case "router":
      guard let uplink = fields.number(Int.self) else { return nil }
      return decoded(fields.rest(), as: RouterEvent.self).map { .routerTold($0, uplink: uplink) }
    case "announced": return fields.number(Int.self).map { .changeAnnounced(uplink: $0) }
    case "cuts":
      guard let uplink = fields.string() else { return nil }
      return decoded(fields.rest(), as: CutDiary.self).map { .cutsRemembered(CutDiary($0.cuts), uplink: uplink) }
    case "contacts":
      guard let user = fields.string() else { return nil }
      return decoded(fields.rest(), as: [KnownContact].self).map { .contactsRemembered($0, user: user) }
    case "datagram":
      guard let socket = fields.number(Int.self), let source = fields.endpoint(), let bytes = fields.bytes() else {
        return nil
      }
      return .datagramReceived(bytes, from: source, on: LinkSocket(socket))
    case "streamOpened":
      guard let connection = fields.number(Int.self), let socket = fields.number(Int.self),
        let remote = fields.endpoint()
      else { return nil }
      return .streamOpened(connection, on: LinkSocket(socket), remote: remote)
    case "stream":
      guard let connection = fields.number(Int.self), let bytes = fields.bytes() else { return nil }
      return .streamMessageReceived(bytes, on: connection)
    case "streamClosed": return fields.number(Int.self).map { .streamClosed($0) }
    case "resolved":
      guard let host = fields.string() else { return nil }
      let addresses = fields.rest().split(separator: ",").map { IPAddress(String($0)) }
      return addresses.contains { $0 == nil } ? nil : .nameResolved(host, addresses.compactMap { $0 })
    case "media": return media(&fields).map { .mediaEventReceived($0) }
    case "nat":
      guard let uplink = fields.number(Int.self) else { return nil }
      let rest = fields.rest()
      if rest == "-" { return .natDiscovered(nil, uplink: uplink) }
      return decoded(rest, as: NATFindings.self).map { .natDiscovered($0, uplink: uplink) }
    case "timer": return .timerFired
    case "wall": return fields.number(Int64.self).map { .wallTimeChanged(WallTime(nanoseconds: $0)) }
    case "configuration": return decoded(fields.rest(), as: LinkConfiguration.self).map { .reconfigured($0) }
    case "trunk":
      guard let enabled = fields.number(Int.self), let name = fields.string() else { return nil }
      return .trunkSwitched(name, enabled: enabled == 1)
    case "register": return fields.string().map { .registrationAsked(trunk: $0) }
    case "hangUp": return fields.string().map { .hangUpAsked(call: $0) }
    // What is recorded is a daemon, which has its ports.
    case "examine": return fields.number(Int.self).map { .examinationAsked(DoctorRequest(calls: $0 == 1)) }
    case "shutDown": return .shutDownAsked
    case "reseeded": return seed(fields.rest()).map { .reseeded($0) }
    default: return nil
    }
  }

  private static func record(_ text: Substring) -> ServiceRecord? {
    let parts = text.split(separator: "/", maxSplits: 3).map(String.init)
    guard parts.count == 4, let priority = UInt16(parts[0]), let weight = UInt16(parts[1]), let port = UInt16(parts[2])
    else { return nil }
    return ServiceRecord(priority: priority, weight: weight, port: port, target: parts[3])
  }

  private static func interface(_ text: Substring) -> InterfaceAddress? {
    let parts = text.split(separator: "/").map(String.init)
    guard parts.count == 2, let address = IPAddress(parts[0]), let length = Int(parts[1]) else { return nil }
    return InterfaceAddress(address, prefixLength: length)
  }

  static func seed(_ text: Substring) -> LinkSeed? {
    let words = text.split(separator: ".").map { UInt64($0, radix: 16) }
    return words.count == 4 && !words.contains { $0 == nil } ? LinkSeed(words.compactMap { $0 }) : nil
  }

  private static func media(_ fields: inout Fields) -> MediaEvent? {
    guard let kind = fields.word(), let number = fields.number(UInt32.self) else { return nil }
    let port = MediaPortID(number)
    switch kind {
    case "opened": return .opened(port)
    case "openFailed": return fields.string().map { .openFailed(port, reason: $0) }
    case "mapped":
      guard let rtp = fields.endpoint() else { return nil }
      return .mapped(port, rtp: rtp, rtcp: fields.endpoint())
    case "latched": return fields.endpoint().map { .latched(port, $0) }
    case "silent": return .silent(port)
    case "heard": return fields.number(Int64.self).map { .heard(port, gap: .nanoseconds($0)) }
    case "counted":
      var counters = MediaCounters()
      guard let packetsIn = fields.number(UInt64.self), let packetsOut = fields.number(UInt64.self),
        let octetsIn = fields.number(UInt64.self), let octetsOut = fields.number(UInt64.self),
        let lost = fields.number(UInt64.self), let jitter = fields.word().flatMap({ Double($0) }),
        let gap = fields.word().flatMap({ Double($0) }), let discarded = fields.number(UInt64.self)
      else { return nil }
      counters.packetsIn = packetsIn
      counters.packetsOut = packetsOut
      counters.octetsIn = octetsIn
      counters.octetsOut = octetsOut
      counters.lostIn = lost
      counters.jitterMilliseconds = jitter
      counters.lastAudioGapMilliseconds = gap
      counters.discarded = discarded
      return .counted(port, counters)
    case "recorded": return .recorded(port, samples: [])
    default: return nil
    }
  }

  static func decoded<Value: Decodable>(_ text: Substring, as: Value.Type) -> Value? {
    try? JSONDecoder().decode(Value.self, from: Data(text.utf8))
  }

  /// The fields of a line, one after the other.
  private struct Fields {
    private var text: Substring

    init(_ text: Substring) { self.text = text }

    mutating func word() -> Substring? {
      guard !text.isEmpty else { return nil }
      let end = text.firstIndex(of: " ") ?? text.endIndex
      defer { text = end == text.endIndex ? "" : text[text.index(after: end)...] }
      return text[..<end]
    }

    mutating func number<Number: FixedWidthInteger>(_ type: Number.Type) -> Number? { word().flatMap { Number($0) } }
    mutating func endpoint() -> Endpoint? { word().flatMap { Endpoint(String($0)) } }
    mutating func string() -> String? { bytes().map { String(decoding: $0, as: UTF8.self) } }

    mutating func rest() -> Substring {
      defer { text = "" }
      return text
    }

    mutating func bytes() -> [UInt8]? {
      var out: [UInt8] = []
      let utf8 = Array(text.utf8)
      guard utf8.first == UInt8(ascii: "\"") else { return nil }
      var index = 1
      while index < utf8.count, utf8[index] != UInt8(ascii: "\"") {
        guard utf8[index] == UInt8(ascii: "\\") else {
          out.append(utf8[index])
          index += 1
          continue
        }
        guard index + 1 < utf8.count else { return nil }
        switch utf8[index + 1] {
        case UInt8(ascii: "n"): out.append(10)
        case UInt8(ascii: "r"): out.append(13)
        case UInt8(ascii: "x"):
          guard index + 3 < utf8.count,
            let value = UInt8(String(decoding: utf8[(index + 2)...(index + 3)], as: UTF8.self), radix: 16)
          else { return nil }
          out.append(value)
          index += 2
        default: out.append(utf8[index + 1])
        }
        index += 2
      }
      guard index < utf8.count else { return nil }
      text = Substring(String(decoding: utf8[min(index + 2, utf8.count)...], as: UTF8.self))
      return out
    }
  }
}
