import Yams

/// Why a file could not be read, one sentence.
public struct UnreadableFile: Error, Equatable {
  public var sentence: String

  public init(_ sentence: String) { self.sentence = sentence }
}

/// What came of reading a configuration file.
public struct LoadedConfiguration: Sendable {
  /// `nil` where there is an error among the diagnostics.
  public var configuration: TrunklineConfiguration?
  /// All that is to be said, in the order of the file.
  public var diagnostics: [ConfigurationDiagnostic]
  let root: ReadSection?

  public var errors: [ConfigurationDiagnostic] { diagnostics.filter { $0.severity == .error } }

  /// Every key with the value in force, as YAML, secrets masked; empty where there was an error.
  public func printed() -> String {
    guard configuration != nil, let root else { return "" }
    return ConfigurationPrinter.print(root)
  }
}

/// Reads `trunkline.yaml`. All that it touches outside is what it is given.
public enum ConfigurationLoader {
  /// Reads the file `path`.
  ///
  /// - Parameters:
  ///   - environment: the variables that `{env: NAME}` refers to.
  ///   - readFile: the bytes of a file: of the configuration, and of every `{file: PATH}`. Relative paths of secrets are
  ///     relative to the folder of the configuration.
  public static func load(
    path: String, environment: [String: String], readFile: (String) throws(UnreadableFile) -> [UInt8]
  ) -> LoadedConfiguration {
    let failed = { (sentence: String) in
      LoadedConfiguration(
        configuration: nil, diagnostics: [ConfigurationDiagnostic(.error, file: path, at: .start, sentence)], root: nil)
    }
    let bytes: [UInt8]
    do throws(UnreadableFile) {
      bytes = try readFile(path)
    } catch {
      return failed("cannot be read: \(error.sentence)")
    }
    guard bytes.count <= 1_000_000 else { return failed("is larger than 1 MB") }
    guard let text = String(validating: bytes, as: UTF8.self) else { return failed("is not UTF-8 text") }
    return withoutActuallyEscaping(readFile) { readFile in
      let secrets = SecretSource(
        environment: { environment[$0] },
        file: { (name) throws(ValueMistake) in try secret(name, beside: path, readFile) })
      return load(text: text, path: path, secrets: secrets)
    }
  }

  static func load(text: String, path: String, secrets: SecretSource) -> LoadedConfiguration {
    var reader = ConfigurationReader(file: path, secrets: secrets)
    var root: ReadSection?
    do {
      // Some editors begin a file with a mark of its byte order, which is no part of it (YAML 1.2 §5.2).
      let text = text.first == "\u{FEFF}" ? String(text.dropFirst()) : text
      if let node = try Yams.compose(yaml: text) {
        root = reader.readSection(node, ConfigurationTable.root, name: "the configuration")
      } else {
        reader.error(.start, "is empty; it needs at least one trunk and one phone")
      }
    } catch {
      let (position, sentence) = describe(error, text)
      reader.error(position, sentence)
    }
    guard var root else {
      return LoadedConfiguration(configuration: nil, diagnostics: reader.diagnostics, root: nil)
    }
    var builder = ConfigurationBuilder(reader: reader)
    let configuration = builder.build(&root)
    let diagnostics = builder.reader.diagnostics.enumerated().sorted {
      ($0.element.position, $0.offset) < ($1.element.position, $1.offset)
    }.map(\.element)
    let isUsable = !diagnostics.contains { $0.severity == .error }
    return LoadedConfiguration(configuration: isUsable ? configuration : nil, diagnostics: diagnostics, root: root)
  }

  /// The text of a secret's file without the line end that editors put there.
  private static func secret(
    _ name: String, beside path: String, _ readFile: (String) throws(UnreadableFile) -> [UInt8]
  ) throws(ValueMistake) -> String {
    var full = name
    if !name.hasPrefix("/"), let slash = path.lastIndex(of: "/") { full = path[...slash] + name }
    do throws(UnreadableFile) {
      var bytes = try readFile(full)
      while let last = bytes.last, last == UInt8(ascii: "\n") || last == UInt8(ascii: "\r") { bytes.removeLast() }
      guard let text = String(validating: bytes, as: UTF8.self) else {
        throw UnreadableFile("is not UTF-8 text")
      }
      return text
    } catch {
      throw ValueMistake("the file \(quoted(full)) cannot be read: \(error.sentence)")
    }
  }

  /// Where YAML itself is broken, and how.
  private static func describe(_ error: any Error, _ text: String) -> (TextPosition, String) {
    switch error as? YamlError {
    case .scanner(let context, let problem, let mark, _), .parser(let context, let problem, let mark, _),
      .composer(let context, let problem, let mark, _):
      // The text of the context ends with its own place; only what it was about is wanted here.
      let about = context.map { ", \($0.text) that begins at \($0.mark.line):\($0.mark.column)" } ?? ""
      return (TextPosition(mark), "not valid YAML: \(problem)\(about)")
    case .duplicatedKeysInMapping(let duplicates, let context):
      let names = duplicates.map(quoted).joined(separator: ", ")
      return (TextPosition(context.mark), "the key \(names) is given twice in one mapping")
    case .reader(let problem, let offset, _, _):
      let before = text.prefix(offset ?? 0)
      let line = before.reduce(into: 1) { if $1.isNewline { $0 += 1 } }
      let column =
        (before.lastIndex(where: \.isNewline).map { before[before.index(after: $0)...] } ?? before[...]).unicodeScalars
        .count + 1
      return (TextPosition(line: line, column: column), "not valid YAML: \(problem)")
    default: return (.start, "not valid YAML")
    }
  }
}
