import NetworkTypes
import Yams

/// Where secrets that are not written in place come from.
struct SecretSource {
  /// The value of an environment variable.
  var environment: (String) -> String?
  /// The text of a file.
  var file: (String) throws(ValueMistake) -> String
}

/// Turns composed YAML nodes into a ``ReadSection`` by the table of keys. Every mistake is kept, none ends the reading.
struct ConfigurationReader {
  let file: String
  let secrets: SecretSource
  private(set) var diagnostics: [ConfigurationDiagnostic] = []

  init(file: String, secrets: SecretSource) {
    self.file = file
    self.secrets = secrets
  }

  mutating func error(_ position: TextPosition, _ sentence: String) {
    diagnostics.append(ConfigurationDiagnostic(.error, file: file, at: position, sentence))
  }

  mutating func note(_ position: TextPosition, _ sentence: String) {
    diagnostics.append(ConfigurationDiagnostic(.note, file: file, at: position, sentence))
  }

  /// Reads `node` as a mapping of `keys`; `name` is what the author would call it. `nil` where it is not a mapping.
  mutating func readSection(_ node: Node, _ keys: [ConfigurationKey], name: String) -> ReadSection? {
    guard case .mapping(let mapping) = node else {
      error(node.position, "\(name) has to be a mapping of keys and values\(Self.instead(node))")
      return nil
    }
    var section = ReadSection(position: mapping.mark.map(TextPosition.init) ?? .start)
    for (keyNode, valueNode) in mapping {
      guard case .scalar(let scalar) = keyNode else {
        error(keyNode.position, "a key has to be a word")
        continue
      }
      guard let key = keys.first(where: { $0.name == scalar.string }) else {
        reportUnknownKey(scalar.string, at: keyNode.position, keys, name)
        continue
      }
      section.keyPositions[key.name] = keyNode.position
      guard let entry = readEntry(valueNode, key) else { continue }
      section.entries[key.name] = entry
      if Self.deservesNote(entry, key) {
        note(keyNode.position, "\(key.name)\(Self.wordOf(entry)) has no effect yet")
      }
    }
    fillStandards(&section, keys)
    return section
  }

  /// Enters the values of the table where the file has none.
  func fillStandards(_ section: inout ReadSection, _ keys: [ConfigurationKey]) {
    for key in keys where section.entries[key.name] == nil {
      section.entries[key.name] = standardEntry(key, at: section.position)
    }
  }

  private func standardEntry(_ key: ConfigurationKey, at position: TextPosition) -> ReadSection.Entry? {
    if case .section(let keys) = key.shape, case .now = key.effect {
      var section = ReadSection(position: position)
      fillStandards(&section, keys)
      return .section(section)
    }
    guard let standard = key.standard else { return nil }
    switch key.shape {
    case .value(let kind), .either(let kind, _):
      return (try? kind.read(standard)).map { .value(Located(value: $0, position: position)) }
    case .list(let kind):
      let words = standard.drop { $0 == "[" }.prefix { $0 != "]" }.split(separator: ",")
      return .list(
        words.compactMap { word in
          (try? kind.read(String(word.drop { $0 == " " }))).map { Located(value: $0, position: position) }
        })
    case .section, .sections: return nil
    }
  }

  private mutating func readEntry(_ node: Node, _ key: ConfigurationKey) -> ReadSection.Entry? {
    switch key.shape {
    case .value(let kind):
      if node.isNothing {
        error(node.position, "\(key.name) has no value")
        return nil
      }
      return readValue(node, kind, key.name).map { .value($0) }
    case .list(let kind):
      if node.isNothing { return .list([]) }
      guard case .sequence(let sequence) = node else { return readValue(node, kind, key.name).map { .list([$0]) } }
      var values: [Located<ConfigurationValue>] = []
      for element in sequence {
        if let value = readValue(element, kind, key.name) { values.append(value) }
      }
      // A list of nothing but mistakes is not an empty one.
      return values.isEmpty && !sequence.isEmpty ? nil : .list(values)
    case .section(let keys):
      if node.isNothing { return nil }
      return readSection(node, keys, name: key.name).map { .section($0) }
    case .sections(let keys):
      if node.isNothing { return .sections([]) }
      guard case .sequence(let sequence) = node else {
        error(node.position, "\(key.name) has to be a list, each entry beginning with -\(Self.instead(node))")
        return nil
      }
      var sections: [ReadSection] = []
      for element in sequence {
        if let section = readSection(element, keys, name: "an entry of \(key.name)") { sections.append(section) }
      }
      return .sections(sections)
    case .either(let kind, let keys):
      if case .mapping = node { return readSection(node, keys, name: key.name).map { .section($0) } }
      return readValue(node, kind, key.name).map { .value($0) }
    }
  }

  private mutating func readValue(_ node: Node, _ kind: ValueKind, _ name: String) -> Located<ConfigurationValue>? {
    if case .secret = kind, case .mapping(let mapping) = node { return readSecret(mapping, node.position, name) }
    guard case .scalar(let scalar) = node else {
      error(node.position, "\(name) has to be \(kind.wanted)\(Self.instead(node))")
      return nil
    }
    do throws(ValueMistake) {
      return Located(value: try kind.read(scalar.string), position: node.position)
    } catch {
      self.error(node.position, "\(name): \(error.sentence)")
      return nil
    }
  }

  /// `{env: NAME}` or `{file: PATH}`.
  private mutating func readSecret(
    _ mapping: Node.Mapping, _ position: TextPosition, _ name: String
  ) -> Located<ConfigurationValue>? {
    guard mapping.count == 1, let (keyNode, valueNode) = mapping.first, case .scalar(let key) = keyNode,
      case .scalar(let value) = valueNode
    else {
      error(position, "\(name) has to be text, {env: NAME} or {file: PATH}")
      return nil
    }
    do throws(ValueMistake) {
      let text: String
      switch key.string {
      case "env":
        guard let found = secrets.environment(value.string) else {
          throw ValueMistake("the environment variable \(quoted(value.string)) is not set")
        }
        text = found
      case "file": text = try secrets.file(value.string)
      default:
        reportUnknownKey(
          key.string, at: keyNode.position, [.init("env", .value(.text), ""), .init("file", .value(.text), "")], name)
        return nil
      }
      guard !text.isEmpty else { throw ValueMistake("the secret from \(quoted(value.string)) is empty") }
      return Located(value: try ValueKind.secret.read(text), position: position)
    } catch {
      self.error(valueNode.position, "\(name): \(error.sentence)")
      return nil
    }
  }

  private mutating func reportUnknownKey(
    _ word: String, at position: TextPosition, _ keys: [ConfigurationKey], _ name: String
  ) {
    let names = keys.map(\.name)
    let hint =
      nearestWord(to: word, in: names).map { "did you mean \($0)?" } ?? "\(names.joined(separator: ", ")) are known"
    error(position, "unknown key \(quoted(word)) in \(name); \(hint)")
  }

  private static func instead(_ node: Node) -> String {
    switch node {
    case .scalar(let scalar): ", not the text \(quoted(scalar.string))"
    case .mapping: ", not a mapping"
    case .sequence: ", not a list"
    case .alias: ""
    }
  }

  private static func deservesNote(_ entry: ReadSection.Entry, _ key: ConfigurationKey) -> Bool {
    guard case .later(let harmless) = key.effect else { return false }
    return switch entry {
    case .value(let value): !harmless.contains(value.value.written)
    case .list(let values): !values.isEmpty
    case .sections(let sections): !sections.isEmpty
    case .section: true
    }
  }

  /// The value after the key, where the note is about the value.
  private static func wordOf(_ entry: ReadSection.Entry) -> String {
    guard case .value(let value) = entry, case .text(let text) = value.value, text.utf8.count <= 20 else { return "" }
    return ": \(text)"
  }
}

extension Node {
  var position: TextPosition { mark.map(TextPosition.init) ?? .start }

  /// Whether the value was left out, as in `phones:` with nothing behind it.
  fileprivate var isNothing: Bool {
    guard case .scalar(let scalar) = self, scalar.style == .plain else { return false }
    return scalar.string.isEmpty || scalar.string == "~" || scalar.string == "null"
  }
}

extension TextPosition {
  init(_ mark: Mark) { self.init(line: mark.line, column: mark.column) }
}
