/// Why bytes are no session description.
public struct SDPParseError: Error, Hashable, Sendable, CustomStringConvertible {
  public enum Code: Hashable, Sendable {
    /// No `v=0` at the top.
    case version
    /// A line that is not `letter=value`, or that holds a NUL.
    case line
    /// `o=` is missing, repeated or malformed.
    case origin
    /// A `c=` that is malformed, or a second one for the whole session.
    case connection
    /// An `m=` that is malformed.
    case media
    /// More than ``SessionDescription/lineLimit`` lines.
    case tooLong
  }

  public let code: Code
  /// The number of the line, from 1.
  public let line: Int

  public init(_ code: Code, line: Int) {
    self.code = code
    self.line = line
  }

  /// Errors are equal by code.
  public static func == (left: SDPParseError, right: SDPParseError) -> Bool { left.code == right.code }
  public func hash(into hasher: inout Hasher) { hasher.combine(code) }

  /// One phrase for people.
  public var reason: String {
    switch code {
    case .version: "does not begin with v=0"
    case .line: "not of the form letter=value"
    case .origin: "missing, repeated or malformed o="
    case .connection: "repeated or malformed c="
    case .media: "malformed m="
    case .tooLong: "too many lines"
    }
  }

  public var description: String { "SDP line \(line): \(reason)" }
}
