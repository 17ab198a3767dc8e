import LinkManager
import NATDiscovery
import NetworkTypes
import PortMapping

/// The text of a handover (JSON, as the compiler writes it): put into pseudonyms, and looked over before it is read.
///
/// Every text in it is somebody's name unless a row here says otherwise, so that a field that is added tomorrow is not given
/// away. What a state is written as (names of fields, numbers) stays.
enum HandoverText {
  /// Texts that were made at random, or that have to come back as they were: tags, nonces and the like.
  private static let kept: Set<String> = [
    "fromTag", "localTag", "nonce", "opaque", "branch", "header", "code", "until", "provider", "cause",
    "field",
  ]
  /// Whole messages, a character for each byte.
  private static let messages: Set<String> = ["request", "response", "bytes"]
  /// Words of ours, by what they say.
  private static let words: Set<String> = Set(
    TrunkStatus.State.allCases.map(\.rawValue) + NATType.allCases.map(\.rawValue)
      + NATDependence.allCases.map(\.rawValue) + NATFinding.allCases.map(\.rawValue)
      + MappingProtocol.allCases.map(\.rawValue))
  private static let fieldsOfWords: Set<String> = [
    "status", "natType", "mapping", "filtering", "hairpin", "protocol", "allowed", "refusedProtocols", "_0",
  ]
  /// Spans of time, which are written as two long numbers, and numbers with which nobody reckons.
  private static let long: Set<String> = ["keepalive", "expires", "nonceHigh", "nonceLow"]
  private static let greatest: Double = 4_294_900_000

  /// Whether the field is part of a configuration, which is put into pseudonyms by itself.
  private static func isConfiguration(_ path: [String]) -> Bool {
    path.first == "configuration"
      || path.count > 1 && path[1] == "configuration" && (path[0] == "uplinks" || path[0] == "trunks")
  }

  static func redacted(_ text: String, _ redactor: inout RecordingRedactor) -> String {
    var reader = JSONWalk(Array(text.utf8))
    while let token = reader.next() {
      guard case .text(let value) = token, !isConfiguration(reader.path) else { continue }
      let path = reader.path
      // The one value of a case is written as "_0" within the case's name.
      let isProvider = path.last == "_0" && path.dropLast().last == "provider"
      reader.replace(with: redacted(value, isProvider ? "provider" : path.last ?? "", &redactor))
    }
    return String(decoding: reader.out, as: UTF8.self)
  }

  private static func redacted(_ value: String, _ field: String, _ redactor: inout RecordingRedactor) -> String {
    if messages.contains(field) {
      return LatinText.bytes(value).map { LatinText.text(redactor.redact($0)) } ?? ""
    }
    if fieldsOfWords.contains(field), words.contains(value) { return value }
    return redactor.redact(value, of: kept.contains(field) ? .random : Self.kinds[field] ?? .name)
  }

  private static let kinds: [String: RecordingRedactor.TextKind] = [
    "callID": .callID, "password": .secret, "userAgent": .product, "instance": .instance,
  ]

  /// Whether no number is so great that reckoning with it would overflow.
  static func isBounded(_ text: Substring) -> Bool {
    var reader = JSONWalk(Array(text.utf8))
    while let token = reader.next() {
      guard case .number(let digits) = token, !isConfiguration(reader.path),
        !long.contains(reader.path.last ?? "")
      else { continue }
      guard let value = Double(digits), abs(value) < greatest else { return false }
    }
    return true
  }
}

/// Goes through a JSON text, whatever it says, from value to value.
struct JSONWalk {
  enum Token {
    case text(String)
    case number(String)
  }

  /// The fields that lead to the value.
  var path: [String] { places.compactMap { $0 } }
  /// What was read so far, with what was replaced.
  private(set) var out: [UInt8] = []
  private let bytes: [UInt8]
  private var index = 0
  /// For each object or list that is open: the field, `nil` in a list.
  private var places: [String?] = []
  private var isInObject: [Bool] = []
  private var isFieldNext = false
  private var valueBegins = 0

  init(_ bytes: [UInt8]) {
    self.bytes = bytes
    out.reserveCapacity(bytes.count)
  }

  mutating func next() -> Token? {
    while index < bytes.count {
      let byte = bytes[index]
      switch byte {
      case UInt8(ascii: "{"), UInt8(ascii: "["):
        let isObject = byte == UInt8(ascii: "{")
        places.append(nil)
        isInObject.append(isObject)
        isFieldNext = isObject
        copy(1)
      case UInt8(ascii: "}"), UInt8(ascii: "]"):
        _ = places.popLast()
        _ = isInObject.popLast()
        isFieldNext = false
        copy(1)
      case UInt8(ascii: ","):
        isFieldNext = isInObject.last ?? false
        copy(1)
      case UInt8(ascii: "\""):
        let begin = index
        let text = string()
        let isField = isFieldNext
        isFieldNext = false
        valueBegins = out.count
        out += bytes[begin..<index]
        if isField {
          if !places.isEmpty { places[places.count - 1] = text }
        } else {
          return .text(text)
        }
      case UInt8(ascii: "-"), UInt8(ascii: "0")...UInt8(ascii: "9"):
        let begin = index
        while index < bytes.count, Self.isNumber(bytes[index]) { copy(1) }
        return .number(String(decoding: bytes[begin..<index], as: UTF8.self))
      default: copy(1)
      }
    }
    return nil
  }

  /// Puts another text in the place of the one that was read last.
  mutating func replace(with text: String) {
    out.removeLast(out.count - valueBegins)
    out.append(UInt8(ascii: "\""))
    for byte in text.utf8 {
      switch byte {
      case UInt8(ascii: "\""), UInt8(ascii: "\\"): out += [UInt8(ascii: "\\"), byte]
      case 0..<32: out += Array("\\u00\(byte < 16 ? "0" : "")\(String(byte, radix: 16))".utf8)
      default: out.append(byte)
      }
    }
    out.append(UInt8(ascii: "\""))
  }

  private mutating func copy(_ count: Int) {
    out += bytes[index..<index + count]
    index += count
  }

  private static func isNumber(_ byte: UInt8) -> Bool {
    (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) || byte == UInt8(ascii: "-") || byte == UInt8(ascii: "+")
      || byte == UInt8(ascii: ".") || byte | 0x20 == UInt8(ascii: "e")
  }

  /// What the text at hand says; afterwards it was passed.
  private mutating func string() -> String {
    var text: [UInt8] = []
    index += 1
    while index < bytes.count, bytes[index] != UInt8(ascii: "\"") {
      guard bytes[index] == UInt8(ascii: "\\"), index + 1 < bytes.count else {
        text.append(bytes[index])
        index += 1
        continue
      }
      let escaped = bytes[index + 1]
      index += 2
      switch escaped {
      case UInt8(ascii: "n"): text.append(10)
      case UInt8(ascii: "r"): text.append(13)
      case UInt8(ascii: "t"): text.append(9)
      case UInt8(ascii: "b"): text.append(8)
      case UInt8(ascii: "f"): text.append(12)
      case UInt8(ascii: "u"):
        let end = min(index + 4, bytes.count)
        let code = UInt32(String(decoding: bytes[index..<end], as: UTF8.self), radix: 16)
        text += Array(String(code.flatMap { Unicode.Scalar($0) } ?? "\u{fffd}").utf8)
        index = end
      default: text.append(escaped)
      }
    }
    index = min(index + 1, bytes.count)
    return String(decoding: text, as: UTF8.self)
  }
}
