/// A sequence number and a method (RFC 3261 §20.16).
public struct CSeq: Hashable, Sendable {
  /// Below 2³¹ on the wire (RFC 3261 §8.1.1.5).
  public var number: UInt32
  public var method: SIPMethod

  public init(number: UInt32, method: SIPMethod) {
    self.number = number
    self.method = method
  }

  public init(parsing text: String) throws(SIPParseError) {
    let bytes = Array(text.utf8)
    let view = try CSeqView(bytes.span, 0..<bytes.count)
    self.init(number: view.number, method: SIPMethod(Grammar.text(bytes.span, view.method)))
  }
}

extension CSeq: CustomStringConvertible {
  public var description: String { "\(number) \(method.name)" }
}

/// A CSeq value with its method as a range of the bytes.
public struct CSeqView: Sendable, Equatable {
  public let number: UInt32
  public let method: Range<Int>

  /// Reads the value that fills `range`.
  public init(_ bytes: Span<UInt8>, _ range: Range<Int>) throws(SIPParseError) {
    let end = Grammar.trimEnd(bytes, range.lowerBound, range.upperBound)
    let start = Grammar.skipSpace(bytes, range.lowerBound, end)
    var position = start
    while position < end, Grammar.isDigit(bytes[position]) { position += 1 }
    guard let number = Grammar.number(bytes, start..<position, limit: 0x7FFF_FFFF) else {
      throw SIPParseError(.cSeq, at: start, "CSeq begins with a number below 2147483648.")
    }
    let methodStart = Grammar.skipSpace(bytes, position, end)
    guard methodStart > position, methodStart < end, Grammar.tokenEnd(bytes, methodStart, end) == end else {
      throw SIPParseError(.cSeq, at: position, "CSeq ends with a space and one method.")
    }
    self.number = UInt32(truncatingIfNeeded: number)
    method = methodStart..<end
  }
}
