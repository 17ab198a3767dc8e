/// Cuts what comes over a TCP or TLS connection into STUN messages (RFC 8489 §6.2.2): each says in its header how long it is.
///
/// Whoever speaks STUN over a connection sends the magic cookie, since RFC 3489 has Binding on UDP only. So anything else than
/// STUN, another protocol's greeting for example, is told from it by the first eight bytes, and then for good: there is no way
/// to find the next message in such a stream.
///
/// It holds the message that has begun and what one read brought after it, if every read is followed by ``next()`` until that
/// gives `nil`.
public struct STUNStreamFramer: Sendable {
  /// Why a stream cannot be cut into messages.
  public enum Failure: Error, Sendable, Hashable {
    /// The first two bits are not zero, or the magic cookie is missing.
    case notSTUN
    /// The length field is no multiple of four.
    case wrongLength
    /// The message is longer than is taken.
    case tooLong
  }

  /// The longest message that there can be: the header, and what its length field can name.
  public static let longestMessage = STUNHeader.size + STUNWriter.maximumLength
  /// More than any message that Binding has, but for PADDING, which is for datagrams.
  public static let usualLimit = 4096

  private let limit: Int
  private var bytes: [UInt8] = []
  /// Where the next message begins.
  private var start = 0
  private var failure: Failure?

  /// - Parameter limit: how many bytes a message may have, header included; at least a header's and at most
  ///   ``longestMessage``.
  public init(limit: Int = usualLimit) {
    self.limit = min(max(limit, STUNHeader.size), Self.longestMessage)
  }

  /// Whether a message has begun whose end has not come.
  public var isWithinMessage: Bool { start < bytes.count }

  /// Takes what was read. Nothing is kept of a stream that has failed.
  public mutating func append(_ chunk: Span<UInt8>) {
    guard failure == nil else { return }
    if start > 0 {
      bytes.removeSubrange(..<start)
      start = 0
    }
    bytes.reserveCapacity(bytes.count + chunk.count)
    for index in chunk.indices { bytes.append(chunk[index]) }
  }

  /// The next message, whole; `nil` until more has come.
  ///
  /// Its header says that it is STUN and how long it is; its attributes have not been looked at.
  ///
  /// - Throws: from the first byte on that shows that this is no STUN, and then every time.
  public mutating func next() throws(Failure) -> [UInt8]? {
    if let failure { throw failure }
    do throws(Failure) {
      guard let count = try messageCount(), bytes.count - start >= count else { return nil }
      let message = Array(bytes[start..<start + count])
      start += count
      if start == bytes.count {
        bytes.removeAll(keepingCapacity: true)
        start = 0
      }
      return message
    } catch {
      failure = error
      bytes = []
      start = 0
      throw error
    }
  }

  /// How long the message is that begins at `start`; `nil` while its length has not come.
  private func messageCount() throws(Failure) -> Int? {
    let there = bytes.count - start
    guard there > 0 else { return nil }
    guard bytes[start] & 0xc0 == 0 else { throw .notSTUN }
    for index in 4..<8 where index < there {
      guard bytes[start + index] == UInt8(truncatingIfNeeded: STUNHeader.magicCookie >> (8 * (7 - index))) else {
        throw .notSTUN
      }
    }
    guard there >= 4 else { return nil }
    let length = Int(bytes[start + 2]) << 8 | Int(bytes[start + 3])
    guard length % 4 == 0 else { throw .wrongLength }
    guard STUNHeader.size + length <= limit else { throw .tooLong }
    return STUNHeader.size + length
  }
}
