/// A place in the configuration file; both count from 1, columns in Unicode scalars.
public struct TextPosition: Sendable, Hashable, Comparable {
  public var line: Int
  public var column: Int

  public init(line: Int, column: Int) {
    self.line = line
    self.column = column
  }

  public static let start = TextPosition(line: 1, column: 1)

  public static func < (left: TextPosition, right: TextPosition) -> Bool {
    (left.line, left.column) < (right.line, right.column)
  }
}

/// One thing to say about a configuration file, in the form that editors and compilers share.
public struct ConfigurationDiagnostic: Sendable, Hashable, CustomStringConvertible {
  public enum Severity: String, Sendable {
    /// The file cannot be used.
    case error
    /// The file is used, but not in the way that its author may expect.
    case note
  }

  public var severity: Severity
  public var file: String
  public var position: TextPosition
  /// One sentence without the full stop.
  public var sentence: String

  public init(_ severity: Severity, file: String, at position: TextPosition, _ sentence: String) {
    self.severity = severity
    self.file = file
    self.position = position
    self.sentence = sentence
  }

  /// `FILE:LINE:COLUMN: error: …`.
  public var description: String {
    "\(file):\(position.line):\(position.column): \(severity.rawValue): \(sentence)"
  }
}
