import CallControl
import LinkManager
import MediaRelay
import NetworkTypes
import SDP
import SIPSyntax
import STUN
import Testing

/// Uplinks, names, trunks that come and go, and both families.
@Suite struct UplinkChangeTests {
  static let provider = LinkBench.provider
  static let phone = LinkBench.phones[0]

  static func registering(_ configuration: inout LinkConfiguration) {
    configuration.uplinks[0].publicAddress = nil
    configuration.trunks[0].register = true
  }

  @Test("A trunk registers although the names of the STUN servers do not resolve, and the uplink says so")
  func unresolvedServers() throws {
    let bench = LinkBench {
      Self.registering(&$0)
      $0.uplinks[0].stunServers = [HostPort(host: "stun.a.example"), HostPort(host: "stun.b.example")]
    }
    #expect(bench.lookups == ["stun.a.example", "stun.b.example"])
    bench.step { $0.nameResolved("stun.a.example", [], now: $1, into: &$2) }
    #expect(bench.left(Self.provider) == [])
    #expect(bench.core.status(now: bench.now).uplinks[0].lastError == nil)
    bench.step { $0.nameResolved("stun.b.example", [], now: $1, into: &$2) }
    #expect(bench.left(Self.provider) == ["REGISTER"])
    #expect(bench.core.status(now: bench.now).uplinks[0].lastError?.code == "stunServersUnresolved")
    #expect(bench.verdicts.isEmpty)
    // Nobody knows any name: that is not these names' fault.
    bench.wait(.seconds(4))
    #expect(bench.verdicts.map(\.code) == ["nameServerSilent"])
    bench.step { $0.nameResolved("stun.b.example", [endpoint("203.0.113.3:0").address], now: $1, into: &$2) }
    #expect(bench.core.status(now: bench.now).uplinks[0].lastError == nil)
  }

  @Test("One server that resolves is waited for, and its address is the contact")
  func oneResolves() throws {
    let bench = LinkBench {
      Self.registering(&$0)
      $0.uplinks[0].stunServers = [HostPort(host: "stun.a.example"), HostPort(host: "stun.b.example")]
    }
    bench.step { $0.nameResolved("stun.a.example", [], now: $1, into: &$2) }
    bench.step { $0.nameResolved("stun.b.example", [endpoint("203.0.113.3:0").address], now: $1, into: &$2) }
    #expect(bench.left(Self.provider) == [])
    bench.wait(.seconds(4))
    #expect(bench.next(Self.provider, "REGISTER") != nil)
  }

  @Test("What the provider sees of us becomes the contact where no server tells, also while a call rings")
  func addressChangesWhileRinging() throws {
    let bench = LinkBench { Self.registering(&$0) }
    func grant(_ address: String) throws {
      let register = try #require(bench.next(Self.provider, "REGISTER"))
      bench.answer(register, 200, from: Self.provider) {
        $0.replaceFirstValue(.via, (register.value(.via) ?? "").replacing(";rport", with: "") + address)
        $0.set(.contact, (register.value(.contact) ?? "") + ";expires=300")
      }
    }
    try grant(";received=198.51.100.7;rport=65002")
    try grant(";received=198.51.100.7;rport=65002")
    #expect(bench.core.status(now: bench.now).trunks[0].contact == "sip:1000@198.51.100.7:65002")
    let invite = try bench.invite("+4930", from: Self.phone, callID: "out")
    let dialled = try #require(bench.next(Self.provider, "INVITE"))
    #expect(dialled.value(.contact) == "<sip:1000@198.51.100.7:65002>")
    bench.answer(dialled, 180, from: Self.provider) {
      $0.replaceFirstValue(
        .via, (dialled.value(.via) ?? "").replacing(";rport", with: "") + ";received=198.51.100.8;rport=65002")
    }
    let register = try #require(bench.next(Self.provider, "REGISTER"))
    #expect(register.values(.contact).contains { $0.contains("198.51.100.8:65002") })
    bench.answer(register, 200, from: Self.provider) {
      $0.replaceFirstValue(
        .via, (register.value(.via) ?? "").replacing(";rport", with: "") + ";received=198.51.100.8;rport=65002")
      $0.set(.contact, (register.value(.contact) ?? "") + ";expires=300")
    }
    bench.answer(dialled, 200, from: Self.provider, description: LinkBench.description(Self.provider, port: 5000))
    let answered = try #require(bench.next(Self.phone, "200"))
    _ = try bench.within(.ack, invite, answered, from: Self.phone, sequence: 1)
    let ack = try #require(bench.next(Self.provider, "ACK"))
    #expect(ack.value(.via)?.contains("198.51.100.8:65002") == true)
    _ = try bench.within(
      .invite, invite, answered, from: Self.phone, sequence: 2,
      description: LinkBench.description(Self.phone, version: 2))
    let change = try #require(bench.next(Self.provider, "INVITE"))
    #expect(change.value(.contact) == "<sip:1000@198.51.100.8:65002>")
    #expect(try SessionDescription(parsing: change.body.span).connection?.description == "IN IP4 198.51.100.8")
  }

  @Test("IPv6 uplink and IPv6 telephone: brackets in Via and Contact, IP6 in SDP")
  func bothFamilies() throws {
    let provider = endpoint("[2001:db8:1::10]:5060")
    let phone = endpoint("[fd00::10]:5060")
    let bench = LinkBench { configuration in
      configuration.uplinks[0].bind = [endpoint("[::]:65002")]
      configuration.uplinks[0].publicAddress = endpoint("[2001:db8::1]:0").address
      configuration.lan.bind = [endpoint("[::]:5060")]
      configuration.lan.interfaces = [InterfaceAddress(endpoint("[fd00::2]:0").address, prefixLength: 64)]
      configuration.trunks[0].registrar = HostPort(host: "2001:db8:1::10")
      configuration.phones[0].address = phone
    }
    var invite = try bench.request(.invite, "sip:+4930@[fd00::2]", from: phone, callID: "out")
    invite.setBody(LinkBench.description(phone).serialized(), contentType: "application/sdp")
    bench.receive(invite, from: phone, on: LinkBench.officeSocket)
    let dialled = try #require(bench.next(provider, "INVITE"))
    #expect(dialled.value(.via)?.hasPrefix("SIP/2.0/UDP [2001:db8::1]:65002;") == true)
    #expect(dialled.value(.contact) == "<sip:1000@[2001:db8::1]:65002>")
    let description = try SessionDescription(parsing: dialled.body.span)
    #expect(description.connection?.description == "IN IP6 2001:db8::1")
    #expect(!String(decoding: dialled.serialized(), as: UTF8.self).contains("fd00"))
    bench.answer(dialled, 200, from: provider, description: LinkBench.description(provider, port: 5000))
    let answered = try #require(bench.next(phone, "200"))
    #expect(answered.value(.contact) == "<sip:[fd00::2]:5060>")
    #expect(try SessionDescription(parsing: answered.body.span).connection?.description == "IN IP6 fd00::2")
  }

  @Test("A telephone with IPv4 calls over a trunk with IPv6, one port of each family")
  func mixedFamilies() throws {
    let provider = endpoint("[2001:db8:1::10]:5060")
    let bench = LinkBench { configuration in
      configuration.uplinks[0].bind = [endpoint("[::]:65002")]
      configuration.uplinks[0].publicAddress = endpoint("[2001:db8::1]:0").address
      configuration.trunks[0].registrar = HostPort(host: "2001:db8:1::10")
    }
    _ = try bench.invite("+4930", from: Self.phone, callID: "out")
    let dialled = try #require(bench.next(provider, "INVITE"))
    #expect(try SessionDescription(parsing: dialled.body.span).connection?.description == "IN IP6 2001:db8::1")
    #expect(bench.mediaPorts.values.map(\.address.isV4).sorted { $0 && !$1 } == [true, false])
  }

  @Test("Each trunk leaves by its own uplink, and the second uplink's provider is heard there")
  func twoUplinks() throws {
    let other = endpoint("203.0.113.20:5060")
    let bench = LinkBench { configuration in
      var second = UplinkConfiguration(name: "lte", bind: [endpoint("0.0.0.0:65012")], stunServers: [])
      second.publicAddress = endpoint("198.51.100.99:0").address
      configuration.uplinks.append(second)
      var trunk = LinkBench.trunk("mobile", username: "2000", at: "203.0.113.20")
      trunk.uplinks = ["lte"]
      configuration.trunks.append(trunk)
      configuration.routing.outbound = [OutboundRule(to: NumberPattern("*"), trunks: ["mobile"])]
    }
    // The office socket comes after both uplinks'.
    let invite = try bench.request(.invite, "sip:+4930@192.168.1.2", from: Self.phone, callID: "out")
    bench.receive(invite, from: Self.phone, on: LinkSocket(2))
    let dialled = try #require(bench.next(other, "INVITE"))
    #expect(dialled.value(.contact) == "<sip:2000@198.51.100.99:65012>")
    #expect(bench.left(Self.provider) == [])
  }

  @Test("A trunk that is removed while a call is up: the call goes on and ends as any; strangers' ways in are shut")
  func removedTrunk() throws {
    let bench = LinkBench()
    let talk = try bench.talk("+4930", from: Self.phone, to: Self.provider)
    var configuration = LinkConfiguration()
    configuration.uplinks = [UplinkConfiguration(name: "dsl", bind: [endpoint("0.0.0.0:65002")], stunServers: [])]
    configuration.uplinks[0].publicAddress = LinkBench.own.address
    configuration.phones = [PhoneConfiguration(extensionNumber: "10", name: "10", address: Self.phone)]
    bench.step { [configuration] in $0.reconfigure(configuration, now: $1, into: &$2) }
    #expect(bench.core.status(now: bench.now).calls.map(\.state) == ["answered"])
    _ = try bench.invite("+492111000", from: Self.provider, callID: "in")
    #expect(bench.left(Self.provider) == [])
    bench.step {
      let known = $0.setTrunk("main", enabled: true, now: $1, into: &$2); #expect(!known)
    }
    try bench.back(.bye, talk.dialled, from: Self.provider, sequence: 1)
    #expect(bench.next(Self.provider, "200") != nil)
    #expect(bench.next(Self.phone, "BYE").map { bench.answer($0, 200, from: Self.phone) } != nil)
    #expect(bench.leftovers() == [])
    configuration.trunks = [LinkBench.trunk("main", username: "1000")]
    configuration.trunks[0].enabled = false
    bench.step { [configuration] in $0.reconfigure(configuration, now: $1, into: &$2) }
    #expect(bench.core.status(now: bench.now).trunks.map(\.state) == [.disabled])
  }

  @Test("Of several office sockets a telephone is called from the one in its network")
  func severalOfficeSockets() throws {
    let other = endpoint("10.0.0.30:5060")
    let bench = LinkBench { configuration in
      configuration.lan.bind = ["192.168.1.2:5060", "10.0.0.2:5060"].map(endpoint)
      configuration.lan.interfaces.append(InterfaceAddress(endpoint("10.0.0.2:0").address, prefixLength: 24))
      configuration.phones[2].address = other
    }
    _ = try bench.invite("30", from: Self.phone, callID: "in")
    let dialled = try #require(bench.next(other, "INVITE"))
    #expect(dialled.value(.contact) == "<sip:10.0.0.2:5060>")
    #expect(try SessionDescription(parsing: dialled.body.span).connection?.description == "IN IP4 10.0.0.2")
  }

  @Test("A trunk in the office: a provider there is called and heard at the office's own address")
  func trunkInTheOffice() throws {
    let registrar = endpoint("192.168.1.5:5060")
    let bench = LinkBench {
      $0.trunks[0].registrar = HostPort(host: "192.168.1.5")
      $0.trunks[0].uplinks = ["lan"]
    }
    _ = try bench.invite("+4930", from: Self.phone, callID: "out")
    let dialled = try #require(bench.next(registrar, "INVITE"))
    #expect(dialled.value(.contact) == "<sip:1000@192.168.1.2:5060>")
    _ = try bench.invite("+492111000", from: registrar, callID: "in")
    #expect(bench.next(LinkBench.phones[1], "INVITE") != nil)
  }

  @Test("The end of the link in the middle of setting up: the caller is refused, the callee taken back")
  func shutDownDuringSetUp() throws {
    let bench = LinkBench()
    _ = try bench.invite("+4930", from: Self.phone, callID: "out")
    let dialled = try #require(bench.next(Self.provider, "INVITE"))
    bench.answer(dialled, 180, from: Self.provider)
    bench.step { $0.shutDown(now: $1, into: &$2) }
    #expect(bench.next(Self.phone, "503") != nil)
    #expect(bench.next(Self.provider, "CANCEL").map { bench.answer($0, 200, from: Self.provider) } != nil)
    #expect(!bench.isStopped)
    _ = try bench.invite("+4930", from: LinkBench.phones[1], callID: "late")
    #expect(bench.next(LinkBench.phones[1], "503") != nil)
    bench.answer(dialled, 487, from: Self.provider)
    #expect(bench.isStopped)
    #expect(bench.leftovers() == [])
  }
}
