/// Writes a read configuration as YAML, every key of the table with the value in force.
enum ConfigurationPrinter {
  static func print(_ root: ReadSection) -> String {
    var text = ""
    write(root, ConfigurationTable.root, indent: "", into: &text)
    return text
  }

  private static func write(
    _ section: ReadSection, _ keys: [ConfigurationKey], indent: String, first: String? = nil, into text: inout String
  ) {
    var lead = first
    for key in keys {
      let start = lead ?? indent
      let before = text.utf8.count
      switch section.entries[key.name] {
      case .value(let value): text += "\(start)\(key.name): \(scalar(value.value.written))\n"
      case .list(let values):
        text += "\(start)\(key.name): [\(values.map { scalar($0.value.written) }.joined(separator: ", "))]\n"
      case .section(let inner):
        text += "\(start)\(key.name):\n"
        if case .section(let keys) = key.shape { write(inner, keys, indent: indent + "  ", into: &text) }
        if case .either(_, let keys) = key.shape { write(inner, keys, indent: indent + "  ", into: &text) }
      case .sections(let sections):
        text += "\(start)\(key.name):\(sections.isEmpty ? " []" : "")\n"
        guard case .sections(let keys) = key.shape else { continue }
        for inner in sections { write(inner, keys, indent: indent + "    ", first: indent + "  - ", into: &text) }
      case nil where lead == nil: text += "\(indent)# \(key.name): not set\n"
      case nil: continue
      }
      if text.utf8.count > before { lead = nil }
    }
  }

  /// `text` as a YAML scalar, quoted where YAML would read it otherwise.
  private static func scalar(_ text: String) -> String {
    let plain = text.unicodeScalars.allSatisfy { scalar in
      switch scalar {
      case "a"..."z", "A"..."Z", "0"..."9", ".", "_", "/", "+", "-", ":": true
      default: false
      }
    }
    let mayBegin = text.first.map { $0.isLetter || $0.isNumber || $0 == "+" || $0 == "/" } ?? false
    if plain, mayBegin, text.last != ":", text != "null" { return text }
    let escaped = text.replacing("\\", with: "\\\\").replacing("\"", with: "\\\"")
    return "\"\(escaped)\""
  }
}

/// The reference of all keys, as Markdown.
public enum ConfigurationReference {
  /// The text of docs/configuration.md.
  public static func markdown() -> String {
    var text = """
      # `trunkline.yaml`, key by key

      Made from the table that reads the file (`Sources/TrunklineDaemon/Configuration/ConfigurationTable.swift`); a test
      compares the two. `trunkline check --print` shows every key with the value in force.

      Unknown keys, wrong types and impossible values are errors with line and column. Scalars are read as text and then
      as what the key wants, so `off`, `+49…` and `0211` need no quotes. Secrets are written in place, or as
      `{env: NAME}`, or as `{file: PATH}`, relative to the folder of the configuration. Times carry a unit: `250ms`,
      `10s`, `5m`, `2h`.

      *Not yet* marks keys that are read and checked but have no effect in this version; `check` says so when one is used.

      The least that works today:

      ```yaml
      trunks:
        - {name: provider, registrar: sip.example.net, username: 1234567, password: {env: PROVIDER}}
      phones:
        - {extension: 10, name: Reception, password: {env: PHONE_10}}
      ```

      """
    write(ConfigurationTable.root, path: "", title: "The file", into: &text)
    return text
  }

  private static func write(_ keys: [ConfigurationKey], path: String, title: String, into text: inout String) {
    text += "\n## \(title)\n\n| key | value | left out | meaning |\n| --- | --- | --- | --- |\n"
    for key in keys {
      let standard = key.standard.map { "`\($0)`" } ?? ""
      text += "| `\(key.name)` | \(wanted(key.shape)) | \(standard) | \(key.meaning)\(remark(key.effect)) |\n"
    }
    for key in keys {
      let inner = path.isEmpty ? key.name : "\(path).\(key.name)"
      switch key.shape {
      case .section(let keys): write(keys, path: inner, title: "`\(inner)`", into: &text)
      case .sections(let keys): write(keys, path: inner + "[]", title: "`\(inner)`, each entry", into: &text)
      case .either(_, let keys): write(keys, path: inner, title: "`\(inner)` as a mapping", into: &text)
      case .value, .list: continue
      }
    }
  }

  private static func wanted(_ shape: ConfigurationKey.Shape) -> String {
    switch shape {
    case .value(let kind): kind.wanted
    case .list(let kind): "list: \(kind.wanted)"
    case .section: "mapping"
    case .sections: "list of mappings"
    case .either(let kind, _): "\(kind.wanted), or mapping"
    }
  }

  private static func remark(_ effect: ConfigurationKey.Effect) -> String {
    switch effect {
    case .now: ""
    case .later(except: []): " *Not yet.*"
    case .later(let words): " *Not yet, except \(words.joined(separator: ", ")).*"
    }
  }
}
