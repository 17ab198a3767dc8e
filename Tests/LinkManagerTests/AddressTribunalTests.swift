import LinkManager
import NetworkTypes
import SIPSyntax
import Testing

/// Who is right where they disagree, by testimonies that are made up.
@Suite struct AddressTribunalTests {
  typealias Witness = AddressTribunal.Witness

  static let home: IPAddress = .v4(0xcb00_710a)
  static let other: IPAddress = .v4(0xc000_020a)
  static let first = Witness.stunServer(endpoint("198.51.100.1:3478"))
  static let second = Witness.stunServer(endpoint("198.51.100.2:3478"))
  static let provider = Witness.provider("main")
  static let another = Witness.provider("spare")

  /// What a set of testimonies amounts to.
  static func causes(_ said: [(Witness, String)]) -> [String] {
    var tribunal = AddressTribunal()
    let now = MonotonicInstant(nanoseconds: 0)
    for (witness, address) in said { tribunal.heard(witness, sees: IPAddress(address) ?? .anyV4, now: now) }
    return tribunal.judgements.map { judgement in
      let name: String? =
        switch judgement.suspect {
        case .stunServer(let server): " \(server.address)"
        case .router: " router"
        default: nil
        }
      return judgement.cause.rawValue + (name ?? "")
    }
  }

  @Test func whoIsRight() {
    let x = "203.0.113.10"
    let y = "192.0.2.10"
    let table: [([(Witness, String)], [String])] = [
      ([], []),
      ([(Self.first, x)], []),
      ([(Self.first, x), (Self.second, x), (Self.provider, x), (.router, x), (.host, "192.168.1.2")], []),
      // One server against everybody.
      ([(Self.first, y), (Self.second, x), (Self.provider, x)], ["lyingServer 198.51.100.1"]),
      ([(Self.first, x), (Self.second, y), (Self.provider, x)], ["lyingServer 198.51.100.2"]),
      ([(Self.first, y), (Self.provider, x), (Self.another, x)], ["lyingServer 198.51.100.1"]),
      ([(Self.first, y), (Self.provider, x), (.router, x)], ["lyingServer 198.51.100.1"]),
      // A provider sees what it sees.
      ([(Self.first, x), (Self.second, x), (Self.provider, y)], ["twoLines"]),
      ([(Self.first, x), (Self.provider, y)], ["twoLines"]),
      ([(Self.first, x), (Self.second, y), (Self.provider, x), (Self.another, y)], ["twoLines"]),
      ([(Self.first, x), (Self.second, y), (Self.provider, "192.0.2.11")], ["twoLines"]),
      // With two lines the router has the address of one of them.
      ([(Self.first, x), (Self.second, x), (Self.provider, y), (.router, y)], ["twoLines"]),
      // Nobody can tell.
      ([(Self.first, x), (Self.second, y)], ["stunServersDisagree"]),
      // The router.
      ([(Self.first, x), (.router, "10.0.0.2")], ["doubleNAT"]),
      ([(.router, "192.168.178.20")], ["doubleNAT"]),
      ([(Self.first, x), (.router, "100.64.0.10")], ["carrierNAT"]),
      ([(Self.first, x), (.host, "100.64.0.10")], ["carrierNAT"]),
      ([(Self.first, x), (.router, y)], ["routerAddressDiffers router"]),
      // An office in an office: everything is private, and nothing wrong.
      ([(Self.first, "10.0.0.7"), (.router, "10.0.0.7"), (.host, "192.168.1.2")], []),
      ([(Self.first, "10.0.0.7"), (.router, "192.168.5.5")], []),
      // A provider in the router, or behind a tunnel: it is reached without the NAT.
      ([(Self.first, x), (Self.provider, "192.168.1.2"), (.host, "192.168.1.2")], []),
      // Two families are two addresses.
      ([(Self.first, x), (Self.provider, "2001:db8::7")], []),
    ]
    for (said, causes) in table { #expect(Self.causes(said) == causes, "\(said)") }
  }

  /// Time and what was told.
  struct Court {
    var tribunal = AddressTribunal()
    var now = MonotonicInstant(nanoseconds: 0)
    var news: [String] = []
    var configured: [Witness] = [first, second, provider]

    mutating func hear(_ witness: Witness, _ address: IPAddress) {
      tribunal.heard(witness, sees: address, now: now)
      judge()
    }

    mutating func judge() {
      var told: [AddressTribunal.News] = []
      tribunal.judge(now: now, isConfigured: { [configured] in configured.contains($0) }, into: &told)
      news += told.map {
        switch $0 {
        case .found(let judgement): judgement.cause.rawValue
        case .ended(let judgement): "-" + judgement.cause.rawValue
        }
      }
    }

    mutating func wait(_ seconds: Int) {
      let end = now + .seconds(seconds)
      while let deadline = tribunal.nextDeadline, deadline <= end {
        now = max(now, deadline)
        judge()
      }
      now = end
    }
  }

  @Test func whatLastsIsToldOnceAndEndsWhenItsWitnessesAgree() {
    var court = Court()
    court.hear(Self.first, Self.home)
    court.hear(Self.provider, Self.other)
    court.wait(30)
    #expect(court.news == [], "the server has not repeated itself")
    #expect(court.tribunal.wantsWitnesses)
    court.hear(Self.first, Self.home)
    court.wait(600)
    court.hear(Self.first, Self.home)
    #expect(court.news == ["twoLines"])
    court.hear(Self.provider, Self.home)
    court.wait(5)
    #expect(court.news == ["twoLines"])
    court.wait(10)
    #expect(court.news == ["twoLines", "-twoLines"])
    #expect(court.tribunal.nextDeadline == nil)
  }

  @Test func aChangeOfAddressIsNoDisagreement() {
    var court = Court()
    for change in 0..<50 {
      let new: IPAddress = .v4(0xcb00_7100 + UInt32(change))
      court.hear(Self.provider, new)
      court.wait(3)
      // The server is asked, the change is believed, and all that was said before is void.
      court.hear(Self.first, new)
      court.tribunal.addressChanging()
      court.hear(Self.first, new)
      court.wait(change * 7)
      court.hear(Self.provider, new)
    }
    #expect(court.news == [])
  }

  @Test func whatWasToldStaysWhileNobodySpeaksOfIt() {
    var court = Court()
    for (witness, address) in [(Self.first, Self.other), (Self.second, Self.home), (Self.provider, Self.home)] {
      court.hear(witness, address)
    }
    court.wait(5)
    for (witness, address) in [(Self.first, Self.other), (Self.second, Self.home)] { court.hear(witness, address) }
    court.wait(10)
    #expect(court.news == ["lyingServer"])
    for _ in 0..<5 {
      court.tribunal.addressChanging()
      court.hear(Self.second, Self.home)
      court.wait(60)
    }
    #expect(court.news == ["lyingServer"])
    // It is taken out of the configuration.
    court.configured = [Self.second, Self.provider]
    court.hear(Self.second, Self.home)
    court.hear(Self.provider, Self.home)
    court.wait(20)
    #expect(court.news == ["lyingServer", "-lyingServer"])
  }

  @Test func anotherServerThatLiesIsNamedToo() {
    var court = Court()
    func hear(_ first: IPAddress, _ second: IPAddress) {
      for _ in 0..<3 {
        for (witness, address) in [(Self.first, first), (Self.second, second), (Self.provider, Self.home)] {
          court.hear(witness, address)
        }
        court.wait(6)
      }
    }
    hear(Self.other, Self.home)
    #expect(court.news == ["lyingServer"])
    hear(Self.home, Self.other)
    #expect(court.news == ["lyingServer", "-lyingServer", "lyingServer"])
    #expect(court.tribunal.open.map(\.suspect) == [Self.second])
  }

  /// What was said of the address before counts no more, and what was said of another one does.
  @Test func whoHasSeenTheNewAddressIsStillHeard() {
    var court = Court()
    court.hear(Self.first, Self.home)
    court.hear(Self.second, Self.other)
    court.tribunal.addressChanging(from: Self.home)
    #expect(court.tribunal.testimonies.map(\.witness) == [Self.second])
  }

  @Test func oneDisagreementIsNotToldAsAnotherWhileSomebodyIsSilent() {
    var court = Court()
    let all = [(Self.first, Self.other), (Self.second, Self.home), (Self.provider, Self.home)]
    for round in 0..<3 {
      for (witness, address) in all { court.hear(witness, address) }
      court.wait(round == 0 ? 5 : 20)
    }
    #expect(court.news == ["lyingServer"])
    // The provider says nothing for minutes: the two servers alone would be a riddle.
    court.tribunal.addressChanging()
    for _ in 0..<20 {
      for (witness, address) in all.dropLast() { court.hear(witness, address) }
      court.wait(20)
    }
    #expect(court.news == ["lyingServer"])
    // What it then says, for long, makes another thing of it.
    for _ in 0..<40 {
      for (witness, address) in all.dropLast() { court.hear(witness, address) }
      court.hear(Self.provider, .v4(0xc000_020b))
      court.wait(20)
    }
    #expect(court.news == ["lyingServer", "-lyingServer", "twoLines"])
  }

  @Test func manyWitnessesAreNotKept() {
    var tribunal = AddressTribunal()
    for port in 1...1000 as ClosedRange<UInt16> {
      tribunal.heard(.stunServer(Endpoint(Self.home, port: port)), sees: Self.home, now: .init(nanoseconds: 0))
    }
    #expect(tribunal.testimonies.count == 64)
  }

  // MARK: What a box alters

  static func register(via: String, contact: String = "sip:1000@203.0.113.10:65002") throws -> SIPMessage {
    let text =
      "REGISTER sip:provider.example SIP/2.0\r\nVia: SIP/2.0/UDP \(via);branch=z9hG4bKabc;rport\r\n"
      + "From: <sip:1000@provider.example>;tag=77\r\nTo: <sip:1000@provider.example>\r\nCall-ID: abc123\r\n"
      + "CSeq: 1 REGISTER\r\nContact: <\(contact)>;+sip.instance=\"<urn:uuid:1>\"\r\nContent-Length: 0\r\n\r\n"
    return try SIPMessage(parsing: Array(text.utf8).span)
  }

  static func ok(
    via: String, contact: String = "<sip:1000@203.0.113.10:65002>;+sip.instance=\"<urn:uuid:1>\"",
    callID: String = "abc123", tag: String = "77"
  ) throws -> SIPMessage {
    let text =
      "SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP \(via)\r\nFrom: <sip:1000@provider.example>;tag=\(tag)\r\n"
      + "To: <sip:1000@provider.example>;tag=9\r\nCall-ID: \(callID)\r\nCSeq: 1 REGISTER\r\nContact: \(contact)\r\n"
      + "Content-Length: 0\r\n\r\n"
    return try SIPMessage(parsing: Array(text.utf8).span)
  }

  @Test func whatCameBackIsComparedWithWhatWasSent() throws {
    let inside = endpoint("192.168.1.2:65002")
    let request = try Self.register(via: "203.0.113.10:65002")
    let seen = ";branch=z9hG4bKabc;rport=65002;received=203.0.113.10"
    let instance = ";+sip.instance=\"<urn:uuid:1>\""
    let table: [(SIPMessage, SIPAlteration.Field?)] = try [
      (Self.ok(via: "203.0.113.10:65002" + seen), nil),
      // Another port than was thought, by `rport`: a NAT, no ALG.
      (Self.ok(via: "203.0.113.10:65002;branch=z9hG4bKabc;rport=1024;received=203.0.113.10"), nil),
      (Self.ok(via: "192.168.1.2:65002;branch=z9hG4bKabc;rport=65002;received=192.168.1.2"), .via),
      (Self.ok(via: "203.0.113.10:5060" + seen), .via),
      (Self.ok(via: "203.0.113.10" + seen), .via),
      (Self.ok(via: "203.0.113.10:65002" + seen, callID: "abc124"), .callID),
      (Self.ok(via: "203.0.113.10:65002" + seen, tag: "78"), .fromTag),
      // Registrars write contacts as they see them, and list those of other devices.
      (Self.ok(via: "203.0.113.10:65002" + seen, contact: "<sip:1000@203.0.113.10:1024>" + instance), nil),
      (Self.ok(via: "203.0.113.10:65002" + seen, contact: "<sip:1000@192.168.1.2:65002>"), nil),
      (Self.ok(via: "203.0.113.10:65002" + seen, contact: "<sip:1000@192.168.1.3:65002>" + instance), nil),
      (Self.ok(via: "203.0.113.10:65002" + seen, contact: "<sip:1000@192.168.1.2:65002>" + instance), .contact),
      // Ours is there as it was sent: an earlier process has left the other.
      (
        Self.ok(
          via: "203.0.113.10:65002" + seen,
          contact: "<sip:1000@192.168.1.2:65002>\(instance), <sip:1000@203.0.113.10:65002>\(instance)"), nil
      ),
      // It sees us there: it is reached without the NAT.
      (
        Self.ok(
          via: "203.0.113.10:65002;branch=z9hG4bKabc;rport=65002;received=192.168.1.2",
          contact: "<sip:1000@192.168.1.2:65002>" + instance), nil
      ),
      // Not the answer to this one.
      (Self.ok(via: "192.168.1.2:65002;branch=z9hG4bKother"), nil),
    ]
    for (response, field) in table {
      #expect(SIPAlteration(response, to: request, inside: inside)?.field == field, "\(response.serialized().count)")
    }
    // The registrar was told of our address inside before.
    #expect(try SIPAlteration(#require(table.dropLast(2).last).0, to: request, inside: nil) == nil)
    #expect(SIPAlteration.shows(request, inside: inside.address))
    #expect(try !SIPAlteration.shows(Self.register(via: "192.168.1.2:65002"), inside: inside.address))
  }

  @Test func whatABoxWroteIsFitForALog() throws {
    let request = try Self.register(via: "203.0.113.10:65002")
    let response = try Self.ok(
      via: "203.0.113.10:65002;branch=z9hG4bKabc", callID: String(repeating: "\u{1b}[31m", count: 200))
    let sentence = try #require(SIPAlteration(response, to: request, inside: nil)).sentence
    #expect(sentence.utf8.count < 250)
    #expect(!sentence.contains("\u{1b}"))
  }
}
