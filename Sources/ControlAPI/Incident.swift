/// Something that may be worth a second look, and whose recording is kept.
public struct IncidentStatus: Sendable, Equatable, Codable {
  /// A call's identifier where it is about one.
  public var id: String
  public var at: String
  public var subject: String
  public var callID: String?
  public var code: String
  public var sentence: String
  /// How long its recording is.
  public var bytes = 0

  public init(id: String, at: String, subject: String, callID: String?, code: String, sentence: String) {
    self.id = id
    self.at = at
    self.subject = subject
    self.callID = callID
    self.code = code
    self.sentence = sentence
  }
}

/// A recording for `trunkline replay`, read piece by piece, once.
public struct IncidentDocument: Sendable {
  public let length: Int
  private let read: @Sendable (Int) -> [UInt8]

  /// - Parameter read: gives the next bytes, at most so many; none at the end.
  public init(length: Int, read: @escaping @Sendable (Int) -> [UInt8]) {
    self.length = length
    self.read = read
  }

  /// The next piece of it; `nil` at its end, `rest` bytes before which it is called.
  public func next(_ rest: inout Int) -> [UInt8]? {
    let piece = rest > 0 ? read(min(rest, 1 << 16)) : []
    rest -= piece.count
    return piece.isEmpty ? nil : piece
  }
}
