import NetworkTypes
import SIPSyntax
import Testing

/// Everything that the framer gives for `text`, handed to it in pieces of `size` bytes.
private func frames(_ text: String, by size: Int = .max) throws -> [SIPStreamFramer.Frame] {
  var framer = SIPStreamFramer()
  var found: [SIPStreamFramer.Frame] = []
  let bytes = Array(text.utf8)
  var position = 0
  while position < bytes.count {
    let end = position + min(size, bytes.count - position)
    framer.append(bytes.span.extracting(position..<end))
    position = end
    while let frame = try framer.next() { found.append(frame) }
  }
  return found
}

private func message(_ text: String) -> SIPStreamFramer.Frame { .message(Array(text.utf8)) }

@Suite struct SIPStreamFramerTests {
  static let options = "OPTIONS sip:a@b SIP/2.0\r\nContent-Length: 0\r\n\r\n"
  static let info = "INFO sip:a@b SIP/2.0\r\nCall-ID: 1\r\nl:\t5\r\n\r\nhello"
  static let folded = "SIP/2.0 200 OK\r\nX: a\r\n Content-Length: 9\r\ncontent-LENGTH :\r\n  2\r\n\r\n\r\n"

  @Test("Messages are cut where Content-Length says, however the stream came in pieces", arguments: 1...40)
  func pieces(size: Int) throws {
    let text = Self.options + Self.info + "\r\n" + Self.folded + "\r\n\r\n" + Self.options
    #expect(
      try frames(text, by: size) == [
        message(Self.options), message(Self.info), message(Self.folded), .keepalive, message(Self.options),
      ])
  }

  @Test("Every second line end between messages is a keepalive")
  func keepalives() throws {
    #expect(try frames("\r\n", by: 1) == [])
    #expect(try frames("\r\n\r\n", by: 1) == [.keepalive])
    #expect(try frames("\r\n\r\n\r\n\r\n\r\n", by: 3) == [.keepalive, .keepalive])
    #expect(try frames("\r\n" + Self.options + "\r\n", by: 1) == [message(Self.options)])
  }

  @Test(
    "A stream that cannot be followed is given up with the reason",
    arguments: [
      ("OPTIONS sip:a@b SIP/2.0\r\nCall-ID: 1\r\n\r\n", SIPStreamFramer.Failure.contentLengthMissing),
      ("OPTIONS sip:a@b SIP/2.0\r\nl: 1\r\nContent-Length: 2\r\n\r\n", .contentLengthDoubtful),
      ("OPTIONS sip:a@b SIP/2.0\r\nl: -1\r\n\r\n", .contentLengthDoubtful),
      ("OPTIONS sip:a@b SIP/2.0\r\nl: 1, 1\r\n\r\n", .contentLengthDoubtful),
      ("OPTIONS sip:a@b SIP/2.0\r\nl:\r\n\r\n", .contentLengthDoubtful),
      ("OPTIONS sip:a@b SIP/2.0\r\nl: 99999999999999999999999\r\n\r\n", .contentLengthDoubtful),
      ("OPTIONS sip:a@b SIP/2.0\r\nl: 65536\r\n\r\n", .messageTooLarge),
      ("OPTIONS sip:a@b SIP/2.0\nl: 0\n\n", .lineEnd),
      ("OPTIONS sip:a@b SIP/2.0\r\nl: 0\rX: 1\r\n\r\n", .lineEnd),
      ("\n", .lineEnd), ("\rO", .lineEnd),
      ("\u{16}\u{3}\u{1}", .startLine), (" OPTIONS", .startLine),
      ("POST / HTTP/1.1\r\n", .startLine), ("REGISTER\r\n", .startLine),
    ])
  func givenUp(text: String, failure: SIPStreamFramer.Failure) {
    for size in [1, 7, .max] {
      #expect(throws: failure) { try frames(text, by: size) }
    }
  }

  @Test("Content-Length twice with one value is one Content-Length")
  func sameTwice() throws {
    let text = "OPTIONS sip:a@b SIP/2.0\r\nl: 2\r\nContent-Length: 02\r\n\r\nhi"
    #expect(try frames(text) == [message(text)])
  }

  @Test("What is a little too long is refused, what just fits is not")
  func bounds() throws {
    let head = "OPTIONS sip:a@b SIP/2.0\r\nX: "
    let tail = "\r\nContent-Length: 0\r\n\r\n"
    let room = SIPStreamFramer.maximumHeader - head.utf8.count - tail.utf8.count
    let longest = head + String(repeating: "x", count: room) + tail
    #expect(try frames(longest, by: 1000) == [message(longest)])
    let tooLong = head + String(repeating: "x", count: room + 1) + tail
    #expect(throws: SIPStreamFramer.Failure.headerTooLarge) { try frames(tooLong, by: 1000) }
    #expect(throws: SIPStreamFramer.Failure.headerTooLarge) { try frames(tooLong) }

    let header = "OPTIONS sip:a@b SIP/2.0\r\nContent-Length: 65000\r\n"
    let padding = SIPStreamFramer.maximumMessage - 65000 - header.utf8.count - 4
    let whole =
      header + String(repeating: "X", count: padding - 2) + ":a\r\n\r\n" + String(repeating: "b", count: 65000)
    #expect(whole.utf8.count == SIPStreamFramer.maximumMessage)
    #expect(try frames(whole, by: 4096) == [message(whole)])
    #expect(throws: SIPStreamFramer.Failure.messageTooLarge) {
      try frames(whole.replacing("X:", with: "XX:"))
    }
  }

  @Test("After a failure the framer holds nothing and says the same again")
  func failedForGood() {
    var framer = SIPStreamFramer()
    for _ in 0..<3 {
      framer.append(Array("GET / HTTP/1.1\r\n\(Self.options)".utf8).span)
      #expect(throws: SIPStreamFramer.Failure.startLine) { try framer.next() }
      #expect(framer.pendingCount == 0)
    }
    framer.append(Array(Self.options.utf8).span)
    #expect(framer.pendingCount == 0)
  }

  @Test("It says whether a message has begun")
  func withinMessage() throws {
    var framer = SIPStreamFramer()
    #expect(try framer.next() == nil && !framer.isWithinMessage)
    framer.append(Array("\r\nOPT".utf8).span)
    #expect(try framer.next() == nil && framer.isWithinMessage)
    framer.append(Array(Self.options.dropFirst(3).utf8).span)
    #expect(try framer.next() != nil)
    #expect(try framer.next() == nil && !framer.isWithinMessage)
  }

  @Test(
    "Random streams never trap, hold little, and end the same however they are cut", arguments: 0..<40 as Range<UInt64>)
  func random(seed: UInt64) {
    var random = RandomSource(seed: seed)
    let parts = [
      "\r\n", "\r", "\n", Self.options, Self.info, Self.folded, "l: 3\r\n", "Content-Length: 70000\r\n", "\r\n\r\n",
      "\u{0}",
      "SIP/2.0 200 OK\r\n", "abc", " ", ":", "INVITE sip:x SIP/2.0\r\n",
    ]
    var text = ""
    for _ in 0..<Int(random.next() % 12) { text += parts[Int(random.next() % UInt64(parts.count))] }
    let outcomes = [1, 2, 5, Int.max].map { Outcome(text, by: $0) }
    for outcome in outcomes { #expect(outcome == outcomes[0], "\(text)") }
  }

  private struct Outcome: Equatable {
    var found: [SIPStreamFramer.Frame] = []
    var failure: SIPStreamFramer.Failure?

    init(_ text: String, by size: Int) {
      var framer = SIPStreamFramer()
      var rest = Array(text.utf8)[...]
      while !rest.isEmpty, failure == nil {
        framer.append(Array(rest.prefix(size)).span)
        rest = rest.dropFirst(size)
        do throws(SIPStreamFramer.Failure) {
          while let frame = try framer.next() { found.append(frame) }
        } catch {
          failure = error
        }
      }
    }
  }
}
