import NetworkTypes
import SIPDialog
import SIPSyntax
import Testing

/// What earlier processes have left at the registrar: it bears our instance, and is removed once ours is there.
@Suite struct RegistrationLeftoverTests {
  static let instance = "0f3c2a11-7788-8abc-9def-001122334455"
  static let own = "<sip:10@203.0.113.5:65002>;expires=300;\(named(instance))"
  static let leftover = "<sip:10@198.51.100.9:65002>;expires=120;\(named(instance))"
  static let strangers = [
    "<sip:10@192.0.2.7:5060>;expires=200;\(named("ffffffff-7788-8abc-9def-001122334455"))",
    "<sip:10@192.0.2.8:5060>;expires=200",
    // Ours is a part of its name, and it is another one.
    "<sip:10@192.0.2.9:5060>;expires=200;\(named("a-" + instance))",
  ]

  static func named(_ instance: String) -> String { "+sip.instance=\"<urn:uuid:\(instance)>\"" }

  static func started() -> RegistrationBench {
    var bench = RegistrationBench(instance: instance)
    bench.start()
    return bench
  }

  static func answer(_ contacts: [String]) -> [(HeaderName, String)] { contacts.map { (.contact, $0) } }

  /// Which host's contact the last REGISTER removes.
  static func removes(_ bench: RegistrationBench, _ host: String) -> Bool {
    bench.sent.last?.message.value(.contact)?.hasPrefix("<sip:10@\(host):65002>;expires=0") == true
  }

  @Test func theInstanceIsTheOneThatWasGiven() {
    let bench = Self.started()
    #expect(
      bench.sent.last?.message.value(.contact) == "<sip:10@203.0.113.5:65002>;expires=300;\(Self.named(Self.instance))")
  }

  @Test("Without one it is made at random, and nothing else is another number")
  func randomInstance() throws {
    var bench = RegistrationBench()
    bench.start()
    let contact = try #require(bench.sent.last?.message.value(.contact))
    #expect(contact.contains("+sip.instance=\"<urn:uuid:") && !contact.contains(Self.instance))
    #expect(bench.sent.last?.message.callID == Self.started().sent.last?.message.callID)
  }

  @Test func aLeftoverIsRemovedAndNobodyElse() {
    var bench = Self.started()
    bench.reply(200, Self.answer([Self.own, Self.leftover] + Self.strangers))
    #expect(bench.sent.count == 2)
    #expect(Self.removes(bench, "198.51.100.9"))
    #expect(bench.sent.last?.message.values(.contact).count == 1)
    bench.reply(200, Self.answer([Self.own] + Self.strangers))
    #expect(bench.sent.count == 2)
    #expect(bench.registration.boundContact(now: bench.now) == RegistrationBench.contact)
    bench.call { $0.refresh(now: $1, random: &$2, into: &$3) }
    bench.reply(200, Self.answer([Self.own] + Self.strangers))
    #expect(bench.sent.count == 3, "the refresh alone")
  }

  @Test func severalAreRemovedOneAfterTheOther() {
    var bench = Self.started()
    let second = "<sip:10@198.51.100.10:65002>;expires=20;\(Self.named(Self.instance.uppercased()))"
    bench.reply(200, Self.answer([Self.leftover, second, Self.own]))
    #expect(Self.removes(bench, "198.51.100.9"))
    bench.reply(200, Self.answer([second, Self.own]))
    #expect(Self.removes(bench, "198.51.100.10"))
    bench.reply(200, Self.answer([Self.own]))
    #expect(bench.sent.count == 3)
  }

  @Test("Where ours is not listed as it was sent, any contact with our instance may be it")
  func nothingIsRemovedWhereContactsAreRewritten() {
    var bench = Self.started()
    let rewritten = "<sip:10@203.0.113.5:1024>;expires=300;\(Self.named(Self.instance))"
    bench.reply(200, Self.answer([Self.leftover, rewritten]))
    #expect(bench.sent.count == 1)
    #expect(bench.registration.state == .registered(until: bench.now + .seconds(300)), "not what the leftover has")
  }

  @Test func itStaysWhileACallNeedsIt() {
    var bench = Self.started()
    bench.registration.keepsOldContacts = true
    bench.reply(200, Self.answer([Self.own, Self.leftover]))
    #expect(bench.sent.count == 1)
    bench.call { $0.releaseOldContacts(now: $1, random: &$2, into: &$3) }
    #expect(Self.removes(bench, "198.51.100.9"))
  }

  @Test("A removal that took ours with it is not repeated, whatever is left")
  func harmfulRemoval() {
    var bench = Self.started()
    let second = "<sip:10@198.51.100.10:65002>;expires=20;\(Self.named(Self.instance))"
    bench.reply(200, Self.answer([Self.own, Self.leftover, second]))
    bench.reply(200, Self.answer([second]))
    #expect(bench.sent.last?.message.value(.contact)?.hasPrefix("<sip:10@203.0.113.5:65002>;expires=300") == true)
    let count = bench.sent.count
    bench.reply(200, Self.answer([Self.own, second]))
    #expect(bench.sent.count == count)
  }

  /// A machine with the same disk registers again and again.
  @Test func twoMachinesWithOneInstanceEndTheirWar() {
    var bench = Self.started()
    for round in 0..<40 {
      let other = "<sip:10@198.51.100.\(round + 10):65002>;expires=300;\(Self.named(Self.instance))"
      if round > 0 {
        bench.now = bench.now + .seconds(200)
        bench.call { $0.refresh(now: $1, random: &$2, into: &$3) }
      }
      bench.reply(200, Self.answer([other, Self.own]))
      bench.reply(200, Self.answer([Self.own]))
    }
    let removals = bench.sent.count { $0.message.value(.contact)?.contains(";expires=0;") == true }
    #expect(removals == 8)
  }
}
