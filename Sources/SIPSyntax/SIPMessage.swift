/// A SIP message: its own bytes and an index of where its start line, header fields and body stand in them.
///
/// Parsing makes one pass for the index. Typed values are read when they are asked for, and throw then. What is not
/// changed is serialised byte for byte as it came; the only normalisations are that line ends before the start line and
/// bytes beyond Content-Length are gone, and that a message which was built or changed always has a Content-Length.
/// Changes append to the bytes and move the index, so a message is meant to be changed a few times, not thousands.
public struct SIPMessage: Sendable {
  /// The message as it came, followed by what changes appended.
  var storage: [UInt8]
  var index: MessageIndex
  /// Whether the bytes from the start line to the body's end are the message.
  var isPristine: Bool

  /// Reads one datagram: header and body (RFC 3261 §7, §18.3).
  ///
  /// Only the framing is judged here, so that a request with a wrong field can still be answered: ``problem()`` judges
  /// the rest. Throws for what cannot be answered or delimited, a Content-Length beyond the data among it.
  public init(parsing bytes: Span<UInt8>) throws(SIPParseError) {
    guard bytes.count <= MessageIndex.maximumSize else {
      throw SIPParseError(.tooLarge, at: MessageIndex.maximumSize, "A message of more than 64 KB is not read.")
    }
    try self.init(
      taking: [UInt8](capacity: bytes.count) { (output: inout OutputSpan<UInt8>) in
        for index in bytes.indices { output.append(bytes[index]) }
      })
  }

  /// Reads one datagram as ``init(parsing:)`` does, without copying it.
  public init(taking bytes: [UInt8]) throws(SIPParseError) {
    index = try MessageIndex(bytes.span)
    storage = bytes
    isPristine = true
  }

  init(building startLine: String) {
    storage = []
    index = MessageIndex()
    isPristine = false
    storage.reserveCapacity(1024)
    index.fields.reserveCapacity(16)
    setStartLine(startLine)
  }

  public var isRequest: Bool { index.isRequest }

  /// A request's method; of a response the one in its CSeq, empty where that cannot be read.
  public var method: SIPMethod {
    if isRequest { return SIPMethod(text(index.method.range)) }
    return (try? cSeqView()).map { SIPMethod(text($0.method)) } ?? SIPMethod("")
  }

  /// A response's status, 100 to 699; 0 of a request.
  public var status: Int { index.status }

  /// A response's reason phrase as it came, for people; empty of a request.
  public var reason: String { text(index.reason.range) }

  /// `SIP/2.0`, or what stood in its place.
  public var version: String { text(index.version.range) }

  /// A request's URI as written; empty of a response.
  public var requestURIText: String { text(index.requestURI.range) }

  public func requestURI() throws(SIPParseError) -> SIPURI { try SIPURI(storage.span, index.requestURI.range) }

  public mutating func setRequestURI(_ uri: SIPURI) {
    guard isRequest else { return }
    let start = text(index.method.range) + " " + Self.startLineWord(uri.description)
    setStartLine(start + " SIP/2.0")
  }

  public var body: [UInt8] { Array(storage[index.body.range]) }

  /// How many header fields there are.
  public var fieldCount: Int { index.fields.count }

  /// The bytes that leave for the network.
  public func serialized() -> [UInt8] {
    let body = index.body.range
    if isPristine { return Array(storage[Int(index.startLine.lower)..<body.upperBound]) }
    var bytes: [UInt8] = []
    bytes.reserveCapacity(storage.count + 32)
    bytes += storage[index.startLine.range]
    bytes += [0x0D, 0x0A]
    var hasLength = false
    for field in index.fields {
      bytes += storage[field.line.range]
      hasLength = hasLength || field.kind == HeaderKind.contentLength.rawValue
    }
    if !hasLength { bytes += "Content-Length: \(body.count)\r\n".utf8 }
    bytes += [0x0D, 0x0A]
    bytes += storage[body]
    return bytes
  }

  /// The text of a range that a view of this message gave.
  public func text(_ range: Range<Int>) -> String {
    guard range.lowerBound >= 0, range.upperBound <= storage.count else { return "" }
    return String(decoding: storage[range], as: UTF8.self)
  }

  /// Calls `body` with the bytes that the ranges of this message's views point into.
  public func withBytes<Result, Failure: Error>(
    _ body: (Span<UInt8>) throws(Failure) -> Result
  ) throws(Failure) -> Result { try body(storage.span) }
}

extension SIPMessage: Equatable {
  /// Messages are equal when they serialise alike.
  public static func == (left: SIPMessage, right: SIPMessage) -> Bool { left.serialized() == right.serialized() }
}

extension SIPMessage: CustomStringConvertible {
  /// The start line. The header holds numbers and names of people and is left out.
  public var description: String { text(index.startLine.range) }
}
