import NetworkTypes
import STUN
import Testing

@Suite("Binding transaction")
struct BindingTransactionTests {
  static let server = Endpoint(.v4(0xc000_0264), port: 3478)
  static let mapped = Endpoint(.v4(0xcb00_7105), port: 65002)
  static let start = MonotonicInstant(nanoseconds: 1_000_000_000)

  func makeTransaction(hasMagicCookie: Bool = true) -> BindingTransaction {
    BindingTransaction(
      server: Self.server, transactionID: 0x0102_0304_0506_0708_090a_0b0c, now: Self.start,
      hasMagicCookie: hasMagicCookie)
  }

  func answer(
    to transaction: BindingTransaction, _ messageClass: STUNMessageClass = .success,
    _ attributes: [STUNAttribute] = [.xorMappedAddress(mapped)]
  ) throws -> STUNMessage {
    let request = try decode(transaction.request)
    return STUNMessage(
      messageClass: messageClass, method: request.method, transactionID: request.transactionID,
      hasMagicCookie: request.hasMagicCookie, attributes: attributes)
  }

  @Test("requests leave at the times of RFC 8489 §6.2.1, and it is given up at 39,500 ms")
  func schedule() throws {
    var transaction = makeTransaction()
    var sent: [Int64] = [0]
    var ended: Int64?
    while let deadline = transaction.nextDeadline, sent.count < 20 {
      let before = MonotonicInstant(nanoseconds: deadline.nanoseconds - 1)
      #expect(transaction.timerFired(now: before) == .none)
      let milliseconds = (deadline - Self.start).nanoseconds / 1_000_000
      switch transaction.timerFired(now: deadline) {
      case .send(let bytes):
        #expect(bytes == transaction.request)
        sent.append(milliseconds)
      case .timedOut: ended = milliseconds
      case .none: Issue.record("nothing was due at \(milliseconds) ms")
      }
    }
    #expect(sent == [0, 500, 1500, 3500, 7500, 15_500, 31_500])
    #expect(ended == 39_500)
    #expect(transaction.isCompleted)
    #expect(transaction.timerFired(now: Self.start + .seconds(100)) == .none)
  }

  @Test("the answer from the server ends it, once")
  func answered() throws {
    var transaction = makeTransaction()
    let answer = try answer(to: transaction)
    #expect(transaction.responseReceived(answer, from: Self.server) == .mapped(Self.mapped, answer))
    #expect(transaction.nextDeadline == nil)
    let second = try self.answer(to: transaction, .success, [.xorMappedAddress(Endpoint(.v4(1), port: 1))])
    #expect(transaction.responseReceived(second, from: Self.server) == .ignored)
    #expect(transaction.timerFired(now: Self.start + .seconds(1)) == .none)
  }

  @Test("forged answers: other address, other port, guessed ID, other method, request, indication")
  func forged() throws {
    var transaction = makeTransaction()
    let deadline = transaction.nextDeadline
    let genuine = try answer(to: transaction)
    let otherAddress = Endpoint(.v4(0xc000_0265), port: 3478)
    let otherPort = Endpoint(Self.server.address, port: 3479)
    #expect(transaction.responseReceived(genuine, from: otherAddress) == .ignored)
    #expect(transaction.responseReceived(genuine, from: otherPort) == .ignored)
    for bit in 0..<96 {
      var guessed = genuine
      guessed.transactionID ^= 1 << UInt128(bit)
      #expect(transaction.responseReceived(guessed, from: Self.server) == .ignored)
    }
    var otherMethod = genuine
    otherMethod.method = STUNMethod(rawValue: 3)
    var withoutCookie = genuine
    withoutCookie.hasMagicCookie = false
    var request = genuine
    request.messageClass = .request
    var indication = genuine
    indication.messageClass = .indication
    for message in [otherMethod, withoutCookie, request, indication] {
      #expect(transaction.responseReceived(message, from: Self.server) == .ignored)
    }
    #expect(transaction.nextDeadline == deadline)
    #expect(transaction.responseReceived(genuine, from: Self.server) == .mapped(Self.mapped, genuine))
  }

  @Test("an answer after the end moves nothing")
  func late() throws {
    var transaction = makeTransaction()
    for _ in 0..<7 { _ = transaction.timerFired(now: try #require(transaction.nextDeadline)) }
    #expect(transaction.isCompleted)
    #expect(transaction.responseReceived(try answer(to: transaction), from: Self.server) == .ignored)
  }

  @Test("a server of RFC 3489: 128-bit ID, MAPPED-ADDRESS only")
  func classic() throws {
    var transaction = makeTransaction(hasMagicCookie: false)
    let answer = try answer(
      to: transaction, .success,
      [.mappedAddress(Self.mapped), .sourceAddress(Self.server), .changedAddress(Endpoint(.v4(5), port: 3479))])
    #expect(!answer.hasMagicCookie)
    let decoded = try decode(answer.encoded())
    #expect(transaction.responseReceived(decoded, from: Self.server) == .mapped(Self.mapped, decoded))
  }

  @Test("a server of RFC 3489 that was asked with the cookie repeats it")
  func classicServerWithCookie() throws {
    var transaction = makeTransaction()
    let answer = try answer(to: transaction, .success, [.mappedAddress(Self.mapped)])
    #expect(transaction.responseReceived(answer, from: Self.server) == .mapped(Self.mapped, answer))
  }

  @Test("refusals and answers that cannot be used end it as a failure")
  func failures() throws {
    var refused = makeTransaction()
    let refusal = try answer(to: refused, .error, [.errorCode(.unknownAttribute)])
    #expect(
      refused.responseReceived(refusal, from: Self.server) == .failed(code: 420, reason: "Unknown Attribute"))
    #expect(refused.isCompleted)
    let unusable: [(STUNMessageClass, [STUNAttribute])] = [
      (.error, []), (.success, []), (.success, [.xorMappedAddress(Endpoint(.anyV4, port: 5))]),
      (.success, [.xorMappedAddress(Endpoint(.v4(0xe000_0001), port: 5))]),
      (.success, [.xorMappedAddress(Endpoint(Self.mapped.address, port: 0))]),
      (.success, [.xorMappedAddress(Self.mapped), .unknown(STUNAttributeType(rawValue: 0x0031), [])]),
    ]
    for (messageClass, attributes) in unusable {
      var transaction = makeTransaction()
      let message = try answer(to: transaction, messageClass, attributes)
      guard case .failed(code: 0, _) = transaction.responseReceived(message, from: Self.server) else {
        Issue.record("\(attributes) was taken")
        continue
      }
      #expect(transaction.isCompleted)
    }
  }

  @Test("a timer that fires late sends one request, not a burst")
  func lateTimer() throws {
    var transaction = makeTransaction()
    let late = Self.start + .seconds(20)
    #expect(transaction.timerFired(now: late) == .send(transaction.request))
    #expect(transaction.timerFired(now: late) == .none)
    #expect(try #require(transaction.nextDeadline) == late + .seconds(1))
  }
}
