/// Why bytes or text are not what they should be. Two errors are equal when their codes are.
public struct SIPParseError: Error, Sendable {
  /// What kind of thing was wrong.
  public enum Code: String, Sendable, Hashable, CaseIterable {
    /// Nothing but line ends, as a keepalive over a stream is (RFC 5626 §3.5.1).
    case empty
    /// More bytes, header fields or bytes in a field than this parser takes.
    case tooLarge
    /// The bytes end before the empty line after the header, or before the end of the body that was announced.
    case truncated
    /// Neither a request line nor a status line (RFC 3261 §7.1, §7.2).
    case startLine
    /// A header line without a name and a colon, or a line end that is not CRLF (RFC 3261 §7.3.1).
    case headerField
    /// A header field that was asked for is not there.
    case missingHeader
    case uri
    case host
    case port
    case parameter
    case quotedString
    case nameAddress
    case via
    case cSeq
    case authentication
  }

  public let code: Code
  /// Bytes from the start of what was parsed.
  public let offset: Int
  /// One sentence for people, without anything that came from the wire.
  public let reason: String

  public init(_ code: Code, at offset: Int, _ reason: String) {
    self.code = code
    self.offset = offset
    self.reason = reason
  }
}

extension SIPParseError: Equatable {
  public static func == (left: SIPParseError, right: SIPParseError) -> Bool { left.code == right.code }
}

extension SIPParseError: CustomStringConvertible {
  public var description: String { "\(code.rawValue) at byte \(offset): \(reason)" }
}
