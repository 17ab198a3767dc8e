import NetworkTypes

/// Text of others on its way into a firewall's file. Nothing that comes from a configuration may end a comment, a
/// string or a line.
enum RuleText {
  /// Printable, on one line, and not endless: control characters, line and paragraph separators and characters that
  /// turn the direction of writing become spaces.
  static func oneLine(_ text: String) -> String {
    var result = String.UnicodeScalarView()
    for scalar in text.unicodeScalars.prefix(400) { result.append(isPlain(scalar) ? scalar : " ") }
    return String(result)
  }

  private static func isPlain(_ scalar: Unicode.Scalar) -> Bool {
    switch scalar.properties.generalCategory {
    case .control, .format, .lineSeparator, .paragraphSeparator, .surrogate, .privateUse, .unassigned: false
    default: true
    }
  }

  /// A comment: `# text`, without a backslash at its end, with which some readers take the next line for part of it.
  static func comment(_ mark: String, _ text: String) -> String {
    var line = oneLine(text)
    while let last = line.last, last == "\\" || last == " " { line.removeLast() }
    return line.isEmpty ? mark : "\(mark) \(line)"
  }

  /// Of `a`–`z`, `0`–`9` and `-` only, 1 to 100 characters.
  static func identifier(_ text: String) -> String {
    var result = ""
    for scalar in text.unicodeScalars.prefix(100) {
      switch scalar {
      case "a"..."z", "0"..."9": result.unicodeScalars.append(scalar)
      case "A"..."Z": result += String(scalar).lowercased()
      default: if result.last != "-" { result += "-" }
      }
    }
    return result.isEmpty ? "rule" : result
  }

  /// The name where it is a host name (RFC 1123 §2.1, with `_`), as it may stand without quotes; else `nil`.
  static func hostName(_ text: String?) -> String? {
    guard let text, (1...253).contains(text.utf8.count), text.utf8.first != UInt8(ascii: "-") else { return nil }
    let isPlain = text.unicodeScalars.allSatisfy { scalar in
      switch scalar {
      case "a"..."z", "A"..."Z", "0"..."9", ".", "-", "_": true
      default: false
      }
    }
    // Something in it must not look like a number of an address.
    return isPlain && text.unicodeScalars.contains { ("a"..."z").contains($0) || ("A"..."Z").contains($0) } ? text : nil
  }

  static func ports(_ range: ClosedRange<UInt16>, _ between: String) -> String {
    range.count == 1 ? "\(range.lowerBound)" : "\(range.lowerBound)\(between)\(range.upperBound)"
  }

  /// `192.0.2.0/24`, or only the address where it is one.
  static func network(_ network: IPNetwork) -> String { network.isSingle ? "\(network.base)" : "\(network)" }
}

extension IPNetwork {
  var isSingle: Bool { prefixLength == (base.isV4 ? 32 : 128) }
}
