/// Cuts the bytes of a stream (TCP, TLS) into SIP messages: RFC 3261 §7.5 and §18.3, keepalives by RFC 5626 §3.5.1.
///
/// What came in goes to ``append(_:)``; ``next()`` then gives one message or keepalive after the other until it answers
/// `nil`. It holds at most one message beyond what was appended since. A message is handed out as it was written, from its
/// start line to the end of its body; whether its header can be read is for ``SIPMessage`` to say.
public struct SIPStreamFramer: Sendable {
  /// What stood next in the stream.
  public enum Frame: Sendable, Equatable {
    /// One message, without line ends before it.
    case message([UInt8])
    /// Two line ends between messages: the far side wants one back (RFC 5626 §4.4.1).
    case keepalive
  }

  /// Why nobody can say any more where the next message begins: the connection has to be closed.
  public enum Failure: Error, Sendable, Hashable, CaseIterable {
    /// What stands where a message has to begin is no start line of SIP: another protocol, or the place is lost.
    case startLine
    /// A CR without LF in a header, or an LF without CR.
    case lineEnd
    /// The header is longer than ``SIPStreamFramer/maximumHeader``.
    case headerTooLarge
    /// Header and announced body are longer than ``SIPStreamFramer/maximumMessage``.
    case messageTooLarge
    /// RFC 3261 §18.3: on a stream a message has to say how long it is.
    case contentLengthMissing
    /// Content-Length holds no number, or there are several that differ.
    case contentLengthDoubtful

    /// One sentence for people, without anything that came from the wire.
    public var sentence: String {
      switch self {
      case .startLine: "What came where a SIP message has to begin is not the start of one."
      case .lineEnd: "A header has a line that does not end with CR and LF together."
      case .headerTooLarge: "A header is longer than \(SIPStreamFramer.maximumHeader) bytes."
      case .messageTooLarge: "A message is longer than \(SIPStreamFramer.maximumMessage) bytes."
      case .contentLengthMissing: "A message has no Content-Length, which a stream needs."
      case .contentLengthDoubtful: "The Content-Length of a message is not one number."
      }
    }
  }

  private enum State: Sendable {
    /// Between messages, behind so many line ends that no keepalive has been made of yet: 0 or 1.
    case idle(lineEnds: Int)
    /// Within a header, of which everything before `line`, the start of a line, has been looked at.
    case header(line: Int, hasStartLine: Bool)
    /// The message is so many bytes long and not all here.
    case body(count: Int)
    case failed(Failure)
  }

  /// As many bytes as ``SIPMessage`` reads.
  public static let maximumMessage = MessageIndex.maximumSize
  public static let maximumHeader = 16_384

  private var state = State.idle(lineEnds: 0)
  /// What has not been handed out begins at `start`, in every state but `idle` with the first byte of a message.
  private var buffer: [UInt8] = []
  private var start = 0
  /// How far the current line has been searched for its end, from `start`.
  private var searched = 0

  public init() {}

  /// Bytes that are not handed out yet.
  public var pendingCount: Int { buffer.count - start }

  /// Whether a message has begun and is not complete, once ``next()`` has answered `nil`.
  public var isWithinMessage: Bool {
    switch state {
    case .idle, .failed: false
    case .header, .body: true
    }
  }

  /// The next bytes of the stream. After a failure they are dropped.
  public mutating func append(_ bytes: Span<UInt8>) {
    if case .failed = state { return }
    if start == buffer.count {
      buffer.removeAll(keepingCapacity: true)
    } else if start > 0 {
      buffer.removeFirst(start)
    }
    start = 0
    for index in bytes.indices { buffer.append(bytes[index]) }
  }

  /// What stands next in the stream; `nil` when more bytes are needed. Throws the same again once it has thrown.
  public mutating func next() throws(Failure) -> Frame? {
    while true {
      switch state {
      case .idle(let lineEnds):
        guard start < buffer.count else {
          // A connection that is idle for long holds no memory.
          if buffer.capacity > 4096 { buffer = [] }
          return nil
        }
        if buffer[start] == 0x0D || buffer[start] == 0x0A {
          if start + 1 == buffer.count, buffer[start] == 0x0D { return nil }
          if let frame = try passLineEnd(lineEnds) { return frame }
        } else {
          state = .header(line: 0, hasStartLine: false)
          searched = 0
        }
      case .header(let line, let hasStartLine):
        guard try readLine(line, hasStartLine: hasStartLine) else { return nil }
      case .body(let count):
        guard pendingCount >= count else { return nil }
        let message = Array(buffer[start..<start + count])
        start += count
        state = .idle(lineEnds: 0)
        return .message(message)
      case .failed(let failure): throw failure
      }
    }
  }

  /// Passes a CRLF between messages; the second one in a row is a keepalive. A single one is an answer to a keepalive, or
  /// one too many after a body, and means nothing (RFC 3261 §7.5).
  private mutating func passLineEnd(_ lineEnds: Int) throws(Failure) -> Frame? {
    guard buffer[start] == 0x0D, buffer[start + 1] == 0x0A else { throw fail(.lineEnd) }
    start += 2
    state = .idle(lineEnds: 1 - lineEnds)
    return lineEnds == 1 ? .keepalive : nil
  }

  /// Takes the line that begins at `line`, counted from `start`; answers whether it was all there.
  private mutating func readLine(_ line: Int, hasStartLine: Bool) throws(Failure) -> Bool {
    let available = min(pendingCount, Self.maximumHeader)
    // A method or `SIP` has to come first: a TLS client, for one, is recognised here by its first byte.
    if !hasStartLine, !Grammar.isToken(buffer[start]) { throw fail(.startLine) }
    let end = Grammar.lineEnd(buffer.span, start + searched, start + available) - start
    guard end + 1 < available else {
      if available == Self.maximumHeader { throw fail(.headerTooLarge) }
      if end < available, buffer[start + end] == 0x0A { throw fail(.lineEnd) }
      searched = end
      return false
    }
    guard buffer[start + end] == 0x0D, buffer[start + end + 1] == 0x0A else { throw fail(.lineEnd) }
    searched = end + 2
    if !hasStartLine {
      // Nothing behind such a line is looked at: a web page, for one, can make a browser send us what is in it.
      var index = MessageIndex()
      do throws(SIPParseError) {
        try index.readStartLine(buffer.span, start, start + end)
      } catch {
        throw fail(.startLine)
      }
      state = .header(line: end + 2, hasStartLine: true)
    } else if end == line {
      try headerCompleted(count: end + 2)
    } else {
      state = .header(line: end + 2, hasStartLine: true)
    }
    return true
  }

  private mutating func headerCompleted(count: Int) throws(Failure) {
    var announced: UInt64?
    let end = start + count - 2
    var position = foldedLine(start, end).next
    while position < end {
      let (line, next) = foldedLine(position, end)
      position = next
      guard let range = contentLength(line) else { continue }
      guard let value = Grammar.number(buffer.span, range, limit: 0xFFFF_FFFF), announced == nil || announced == value
      else { throw fail(.contentLengthDoubtful) }
      announced = value
    }
    guard let announced else { throw fail(.contentLengthMissing) }
    guard announced <= UInt64(Self.maximumMessage - count) else { throw fail(.messageTooLarge) }
    state = .body(count: count + Int(announced))
  }

  /// The line at `position` with its continuations (RFC 3261 §7.3.1) but without the last CRLF, and where the next begins.
  private func foldedLine(_ position: Int, _ end: Int) -> (line: Range<Int>, next: Int) {
    var lineEnd = position
    var next = position
    repeat {
      lineEnd = Grammar.lineEnd(buffer.span, next, end)
      next = lineEnd + 2
    } while next < end && (buffer[next] == 0x20 || buffer[next] == 0x09)
    return (position..<lineEnd, next)
  }

  /// Where the value stands, if the line is a Content-Length, long or compact.
  private func contentLength(_ line: Range<Int>) -> Range<Int>? {
    let bytes = buffer.span
    let nameEnd = Grammar.tokenEnd(bytes, line.lowerBound, line.upperBound)
    guard nameEnd > line.lowerBound,
      HeaderTable.shared.kind(bytes, line.lowerBound, nameEnd) == HeaderKind.contentLength.rawValue
    else { return nil }
    var position = nameEnd
    while position < line.upperBound, bytes[position] == 0x20 || bytes[position] == 0x09 { position += 1 }
    guard position < line.upperBound, bytes[position] == 0x3A else { return nil }
    let valueStart = Grammar.skipSpace(bytes, position + 1, line.upperBound)
    return valueStart..<Grammar.trimEnd(bytes, valueStart, line.upperBound)
  }

  private mutating func fail(_ failure: Failure) -> Failure {
    state = .failed(failure)
    buffer = []
    start = 0
    return failure
  }
}
