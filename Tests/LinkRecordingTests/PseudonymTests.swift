import CallControl
import LinkManager
import LinkRecording
import MediaRelay
import NetworkTypes
import PortMapping
import STUN
import Testing

@Suite struct PseudonymTests {
  static func pseudonyms(_ key: UInt64 = 1) -> Pseudonyms {
    var random = RandomSource(seed: key)
    return Pseudonyms(random: &random, networks: [IPNetwork("192.168.0.0/22")!, IPNetwork("2001:db8:1::/48")!])
  }

  static func text(_ word: String, _ pseudonyms: inout Pseudonyms) -> String {
    String(decoding: pseudonyms.word(Array(word.utf8)), as: UTF8.self)
  }

  @Test func addressesKeepTheirKindTheirLengthAndTheirNetwork() {
    let pseudonyms = Self.pseudonyms()
    for text in [
      "8.8.8.8", "93.184.216.34", "217.10.79.9", "198.51.100.1", "203.0.113.10", "2001:db8:1:2::7", "2003:e5:1f00::1",
    ] {
      let address = IPAddress(text)!
      let other = pseudonyms.address(address)
      #expect(other != address)
      #expect(other.isPublic == address.isPublic)
      #expect(other.description.utf8.count == text.utf8.count, "\(other)")
      #expect(other == Self.pseudonyms().address(address))
    }
    for text in ["192.168.1.20", "10.1.2.3", "172.20.1.5", "169.254.3.4", "100.64.1.2", "fd00::12:34"] {
      let address = IPAddress(text)!
      let other = pseudonyms.address(address)
      #expect(other != address)
      #expect(other.isPrivate == address.isPrivate && other.isSharedAddressSpace == address.isSharedAddressSpace)
      #expect(other.description.utf8.count == text.utf8.count)
    }
    for text in ["127.0.0.1", "0.0.0.0", "224.0.1.75", "::1", "::"] {
      #expect(pseudonyms.address(IPAddress(text)!) == IPAddress(text)!)
    }
    let network = pseudonyms.network(IPNetwork("192.168.0.0/22")!)
    for octet in 0..<8 {
      let address = pseudonyms.address(IPAddress("192.168.\(octet).9")!)
      #expect(network.contains(address) == (octet < 4))
    }
  }

  @Test func noTwoAddressesBecomeOne() {
    let pseudonyms = Self.pseudonyms(9)
    var seen: Set<IPAddress> = []
    for high in 0..<40 {
      for low in 0..<256 { seen.insert(pseudonyms.address(.v4(UInt32(0x5100_0000 + high << 8 + low)))) }
    }
    #expect(seen.count == 40 * 256)
  }

  @Test func wordsKeepTheirFormAndWhatBeginsAlikeStillDoes() {
    var pseudonyms = Self.pseudonyms()
    #expect(Self.text("Digest", &pseudonyms) == "Digest")
    #expect(Self.text("112", &pseudonyms) == "112")
    let whole = Self.text("49211123450", &pseudonyms)
    #expect(whole != "49211123450" && whole.hasPrefix("492") && whole.utf8.count == 11)
    #expect(whole.hasPrefix(Self.text("49211", &pseudonyms)))
    let name = Self.text("Meier", &pseudonyms)
    #expect(name.first?.isUppercase == true && name.dropFirst().allSatisfy(\.isLowercase))
    #expect(Self.text("MEIER", &pseudonyms) == name.uppercased())
  }

  @Test func aSTUNAnswerTellsThePseudonymOfTheAddress() throws {
    var random = RandomSource(seed: 4)
    var redactor = RecordingRedactor(random: &random)
    let seen = Endpoint("198.51.100.7:65002")!
    var message = STUNMessage(messageClass: .success, method: .binding, transactionID: 77)
    message.attributes = [.xorMappedAddress(seen)]
    let answer = redactor.redact(message.encoded())
    let read = try STUNMessage(decoding: answer.span)
    let mapped = try #require(read.mappedAddress)
    #expect(mapped != seen && mapped.port == seen.port && mapped.address.isPublic)
    let latched = LinkInput.mediaEventReceived(.latched(MediaPortID(1), seen))
    #expect(redactor.redact(latched) == .mediaEventReceived(.latched(MediaPortID(1), mapped)))
    // What the router says of itself is the same address.
    var findings = NATFindings()
    findings.routerAddress = seen.address
    let examined = redactor.redact(.natDiscovered(findings, uplink: 0))
    findings.routerAddress = mapped.address
    #expect(examined == .natDiscovered(findings, uplink: 0))
  }

  /// What the router says of a flow names our address and the provider's (RFC 6887 §12.1).
  @Test func aFlowThatTheRouterKeepsIsToldInPseudonyms() throws {
    var random = RandomSource(seed: 6)
    var redactor = RecordingRedactor(random: &random)
    let flow = PCPMapping(
      nonce: 7, transport: .udp, internalPort: 65_002, external: Endpoint("198.51.100.7:4000")!,
      remote: Endpoint("81.2.3.4:5060")!)
    let answer = PCPResponse(opcode: .peer, result: .success, lifetime: 600, epoch: 9, mapping: flow)
    let router = Endpoint("192.168.1.1:5351")!
    let redacted = redactor.redact(.routerTold(.received(answer.encoded(), from: router), uplink: 0))
    guard case .routerTold(.received(let bytes, _), 0) = redacted else { throw RouterMessageError(.opcode, at: 1) }
    let told = try #require(try PCPResponse(decoding: bytes.span).mapping)
    #expect(told.external.address != flow.external.address && told.external.port == 4000)
    #expect(told.remote != flow.remote && told.remote?.port == 5060 && told.remote?.address.isV4 == true)
  }

  @Test func allSortsOfMessagesKeepTheirLengthAndLoseTheirNames() {
    var random = RandomSource(seed: 5)
    var redactor = RecordingRedactor(random: &random)
    let body =
      "v=0\r\no=meier 12 3 IN IP4 81.2.3.4\r\ns=Anruf von Meier\r\nc=IN IP4 81.2.3.4\r\nt=0 0\r\nm=audio 5004 RTP/AVP 8 101\r\n"
      + "a=rtpmap:8 PCMA/8000\r\na=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:WVNfX19zZW1jdGwgKCkgewkyMjA7fQp9CnVubGVz\r\n"
    let message =
      "INVITE sip:+49301111222@81.2.3.4:5070;user=phone SIP/2.0\r\nVia: SIP/2.0/UDP 192.168.1.77:5060;branch=z9hG4bKabc;rport\r\n"
      + "f: \"Anna Meier\" <sip:meier@firma-meier.de>;tag=xyz\r\nTo: <tel:+49301111222>\r\nCall-ID: 77aa@192.168.1.77\r\n"
      + "X-Customer: Herr Schulze, Konto 4711000815\r\nP-Asserted-Identity: <sip:%2B49211998877@firma-meier.de>\r\n"
      + "Contact: <sip:meier@192.168.1.77:5060>;+sip.instance=\"<urn:uuid:0001-ab>\"\r\n"
      + "User-Agent: Fon 3.1 00041312aabb\r\nCSeq: 7 INVITE\r\nContent-Type: application/sdp\r\nContent-Length: \(body.utf8.count)\r\n\r\n\(body)"
    let redacted = String(decoding: redactor.redact(Array(message.utf8)), as: UTF8.self)
    #expect(redacted.utf8.count == message.utf8.count)
    for secret in [
      "0111122", "81.2.3.4", "192.168.1.77", "Anna", "Meier", "meier", "firma", "Schulze", "4711000", "WVNfX19",
      "00041312aabb",
    ] {
      #expect(!redacted.contains(secret), "\(secret): \(redacted)")
    }
    for kept in [
      ":5070;user=phone SIP/2.0", ";branch=z9hG4bKabc;rport", ";tag=xyz", "Call-ID: 77aa@", "urn:uuid:0001-ab",
      "CSeq: 7 INVITE",
      "m=audio 5004 RTP/AVP 8 101", "a=rtpmap:8 PCMA/8000", "User-Agent: Fon 3.1",
    ] {
      #expect(redacted.contains(kept), "\(kept): \(redacted)")
    }
  }

  @Test func hostileBytesKeepTheirLength() {
    var random = RandomSource(seed: 6)
    var redactor = RecordingRedactor(random: &random)
    var bytes: [UInt8] = []
    for length in 0..<400 {
      bytes = (0..<length).map { _ in
        let value = UInt8(truncatingIfNeeded: random.next())
        return length % 3 == 0
          ? value : length % 3 == 1 ? value & 0x7f : Array("sip:@;=\"<>%.:0123aAfF \r\n".utf8)[Int(value) % 23]
      }
      #expect(redactor.redact(bytes).count == bytes.count)
    }
  }
}
