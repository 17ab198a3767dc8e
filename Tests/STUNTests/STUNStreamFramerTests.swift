import NetworkTypes
import STUN
import Testing

@Suite("STUN on a stream")
struct STUNStreamFramerTests {
  static let messages: [[UInt8]] = (0..<5).map { number in
    let attributes: [STUNAttribute] = (0..<number).map { .software([UInt8](repeating: 65, count: 3 + $0 * 50)) }
    return STUNMessage(
      messageClass: .request, transactionID: UInt128(number) + 1, hasMagicCookie: true, attributes: attributes
    ).encoded(fingerprint: number % 2 == 1)
  }

  func feed(_ framer: inout STUNStreamFramer, _ bytes: [UInt8]) { framer.append(bytes.span) }

  func drain(_ framer: inout STUNStreamFramer) throws -> [[UInt8]] {
    var found: [[UInt8]] = []
    while let message = try framer.next() { found.append(message) }
    return found
  }

  /// How it ends; `nil` where it does not.
  func failure(_ bytes: [UInt8], limit: Int = STUNStreamFramer.usualLimit) -> STUNStreamFramer.Failure? {
    var framer = STUNStreamFramer(limit: limit)
    feed(&framer, bytes)
    do throws(STUNStreamFramer.Failure) {
      while try framer.next() != nil {}
      return nil
    } catch {
      // For good: nothing that follows is taken for a message.
      feed(&framer, Self.messages[0])
      do throws(STUNStreamFramer.Failure) {
        _ = try framer.next()
        Issue.record("it went on")
      } catch { return error }
      return nil
    }
  }

  @Test(
    "the messages come out as they went in, however the stream is cut", arguments: [1, 2, 3, 7, 19, 20, 21, 64, 1000])
  func cuts(_ size: Int) throws {
    let stream = Self.messages.flatMap(\.self)
    var framer = STUNStreamFramer()
    var found: [[UInt8]] = []
    for start in stride(from: 0, to: stream.count, by: size) {
      feed(&framer, Array(stream[start..<min(start + size, stream.count)]))
      found += try drain(&framer)
    }
    #expect(found == Self.messages)
    #expect(!framer.isWithinMessage)
  }

  @Test("a message that was cut at any byte is waited for")
  func truncated() throws {
    let message = Self.messages[3]
    for count in 0..<message.count {
      var framer = STUNStreamFramer()
      feed(&framer, Array(message[..<count]))
      #expect(try framer.next() == nil)
      #expect(framer.isWithinMessage == (count > 0))
      feed(&framer, Array(message[count...]))
      #expect(try framer.next() == message)
      #expect(try framer.next() == nil)
    }
  }

  @Test("another protocol is known by its first bytes")
  func garbage() {
    #expect(failure(Array("GET / HTTP/1.1\r\n\r\n".utf8)) == .notSTUN)
    #expect(failure([0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc]) == .notSTUN)
    #expect(failure([0xff]) == .notSTUN)
    #expect(failure([0, 1, 0, 2]) == .wrongLength)
    // RFC 3489 has no Binding over a connection.
    #expect(failure([0, 1, 0, 0, 0x21, 0x12, 0xa4, 0x43]) == .notSTUN)
    #expect(failure([0, 1, 0, 0, 0x20]) == .notSTUN)
    #expect(failure(Self.messages[1] + [0x80]) == .notSTUN)
  }

  @Test("a message longer than the limit is refused by its header")
  func limits() {
    let header: [UInt8] = [0, 1, 0x0f, 0xec, 0x21, 0x12, 0xa4, 0x42]
    #expect(failure(header) == nil)
    #expect(failure([0, 1, 0x0f, 0xf0]) == .tooLong)
    #expect(failure([0, 1, 0xff, 0xfc]) == .tooLong)
    #expect(failure([0, 1, 0xff, 0xfc], limit: .max) == nil)
    #expect(failure([0, 1, 0, 4], limit: 0) == .tooLong)
    #expect(failure(Self.messages[0], limit: 0) == nil)
  }
}
