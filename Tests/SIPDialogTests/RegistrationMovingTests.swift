import NetworkTypes
import SIPDialog
import SIPSyntax
import Testing

/// What a registration does when the address is another one, and when a line that was gone is back.
@Suite struct RegistrationMovingTests {
  static let both: [(HeaderName, String)] = [
    (.contact, "<sip:10@203.0.113.5:65002>;expires=290"), (.contact, "<sip:10@203.0.113.99:65002>;expires=300"),
  ]

  static func bound() -> RegistrationBench {
    var bench = RegistrationBench()
    bench.start()
    bench.reply(200)
    bench.now = bench.now + .seconds(20)
    return bench
  }

  static func expires(_ bench: RegistrationBench, _ host: String) -> Bool {
    bench.sent.last?.message.value(.contact)?.hasPrefix("<sip:10@\(host):65002>;expires=0") == true
  }

  @Test func theOldContactStaysUntilItsCallsHaveMoved() {
    var bench = Self.bound()
    bench.registration.keepsOldContacts = true
    bench.call { $0.contactChanged(RegistrationBench.moved, now: $1, random: &$2, into: &$3) }
    let count = bench.sent.count
    bench.reply(200, Self.both)
    #expect(bench.sent.count == count)
    #expect(bench.registration.boundContact(now: bench.now) == RegistrationBench.moved)
    bench.now = bench.now + .seconds(2)
    bench.call { $0.releaseOldContacts(now: $1, random: &$2, into: &$3) }
    #expect(bench.sent.count == count + 1)
    #expect(Self.expires(bench, "203.0.113.5"))
    bench.reply(200, [Self.both[1]])
    bench.call { $0.releaseOldContacts(now: $1, random: &$2, into: &$3) }
    #expect(bench.sent.count == count + 1, "once")
  }

  @Test func anOldContactThatIsNotListedIsNotRemoved() {
    var bench = Self.bound()
    bench.call { $0.contactChanged(RegistrationBench.moved, now: $1, random: &$2, into: &$3) }
    let count = bench.sent.count
    bench.reply(200, [Self.both[1]])
    #expect(bench.sent.count == count)
  }

  @Test func anAddressThatReturnsIsNotRemovedAsAnOldOne() {
    var bench = Self.bound()
    bench.registration.keepsOldContacts = true
    bench.call { $0.contactChanged(RegistrationBench.moved, now: $1, random: &$2, into: &$3) }
    bench.reply(200, Self.both)
    bench.call { $0.contactChanged(RegistrationBench.contact, now: $1, random: &$2, into: &$3) }
    bench.reply(200, Self.both)
    bench.call { $0.releaseOldContacts(now: $1, random: &$2, into: &$3) }
    #expect(Self.expires(bench, "203.0.113.99"))
  }

  @Test("A registrar that writes contacts as it sees them takes the new binding with the old: it is registered again")
  func harmfulRemoval() {
    var bench = Self.bound()
    bench.call { $0.contactChanged(RegistrationBench.moved, now: $1, random: &$2, into: &$3) }
    bench.reply(200, Self.both)
    #expect(Self.expires(bench, "203.0.113.5"))
    bench.reply(200, [Self.both[0]])
    #expect(bench.sent.last?.message.value(.contact)?.hasPrefix("<sip:10@203.0.113.99:65002>;expires=300") == true)
    let count = bench.sent.count
    bench.reply(200, Self.both)
    #expect(bench.sent.count == count, "and never tried again")
  }

  @Test func ourBindingIsKnownByItsInstance() throws {
    var bench = Self.bound()
    let contact = try #require(bench.sent.last?.message.value(.contact))
    let start = try #require(contact.firstRange(of: "+sip.instance"))
    let instance = contact[start.lowerBound...]
    bench.call { $0.contactChanged(RegistrationBench.moved, now: $1, random: &$2, into: &$3) }
    bench.reply(
      200,
      [
        (.contact, "<sip:20@192.0.2.1>;expires=3000"), (.contact, "<sip:10@192.0.2.9:1>;expires=100;\(instance)"),
        (.contact, "<sip:30@192.0.2.2>;expires=200"),
      ])
    #expect(bench.registration.state == .registered(until: bench.now + .seconds(100)))
  }

  @Test func whatWentIntoTheOutageIsSentAnewWhenTheLineIsBack() {
    var bench = Self.bound()
    bench.call { $0.refresh(now: $1, random: &$2, into: &$3) }
    let count = bench.sent.count
    bench.now = bench.now + .milliseconds(100)
    bench.call { $0.lineReturned(now: $1, random: &$2, into: &$3) }
    #expect(bench.sent.count == count, "the answer may still come")
    bench.now = bench.now + .seconds(3)
    bench.call { $0.lineReturned(now: $1, random: &$2, into: &$3) }
    #expect(bench.sent.count == count + 1)
  }

  @Test func theBackOffStartsAnewWhenTheLineIsBack() throws {
    var bench = Self.bound()
    bench.run(for: .seconds(900)) { _ in .silence }
    let deadline = try #require(bench.registration.nextDeadline)
    let count = bench.sent.count
    bench.now = max(bench.now, deadline + .milliseconds(-500))
    bench.call { $0.lineReturned(now: $1, random: &$2, into: &$3) }
    #expect(bench.sent.count == count + 1)
    bench.call { $0.requestTimedOut(now: $1, random: &$2, into: &$3) }
    bench.now = bench.now + .seconds(41)
    bench.call { $0.timerFired(now: $1, random: &$2, into: &$3) }
    let again = try #require(bench.registration.nextDeadline)
    #expect(again - bench.now <= .seconds(1))
  }

  @Test func retryAfterHoldsAlsoForANewAddress() throws {
    var bench = Self.bound()
    bench.call { $0.refresh(now: $1, random: &$2, into: &$3) }
    bench.reply(503, [(.retryAfter, "120")])
    let count = bench.sent.count
    bench.now = bench.now + .seconds(30)
    bench.call { $0.contactChanged(RegistrationBench.moved, now: $1, random: &$2, into: &$3) }
    bench.call { $0.lineReturned(now: $1, random: &$2, into: &$3) }
    #expect(bench.sent.count == count)
    bench.now = bench.now + .seconds(91)
    bench.call { $0.timerFired(now: $1, random: &$2, into: &$3) }
    #expect(bench.sent.last?.message.value(.contact)?.contains("203.0.113.99") == true)
  }

  @Test func aRefusalIsNotHammeredByNewAddresses() {
    var bench = Self.bound()
    bench.call { $0.refresh(now: $1, random: &$2, into: &$3) }
    bench.reply(403)
    let count = bench.sent.count
    for number in 0..<20 {
      bench.now = bench.now + .seconds(1)
      let contact = SIPURI(user: "10", host: "203.0.113.\(number + 100)", port: 65002)
      bench.call { $0.contactChanged(contact, now: $1, random: &$2, into: &$3) }
      bench.call { $0.lineReturned(now: $1, random: &$2, into: &$3) }
    }
    #expect(bench.sent.count == count)
  }
}
