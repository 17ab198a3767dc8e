import CallControl
import LinkManager
import MediaRelay
import NetworkTypes
import SDP
import SIPSyntax
import Testing

/// What must not reach a provider, and what must not be had without bounds.
@Suite struct PrivacyAndLimitTests {
  static let provider = LinkBench.provider
  static let phone = LinkBench.phones[0]

  @Test("No address of the office reaches the provider, in calls, answers or redirections")
  func officeAddressesStayInside() throws {
    let bench = LinkBench()
    var texts: [String] = []
    func note(_ message: SIPMessage?) throws {
      texts.append(String(decoding: try #require(message).serialized(), as: UTF8.self))
    }
    _ = try bench.invite("+4930", from: Self.phone, callID: "call@192.168.1.10") {
      $0.set(.pAssertedIdentity, "<sip:10@192.168.1.10>")
      $0.set(.diversion, "<sip:20@192.168.1.20>;reason=unconditional")
      $0.set(.historyInfo, "<sip:20@192.168.1.20>;index=1")
      $0.set(HeaderName("Call-Info"), "<http://192.168.1.10/picture.png>")
      $0.set(HeaderName("Alert-Info"), "<http://192.168.1.10/ring.wav>")
      $0.set(.userAgent, "Phone 192.168.1.10")
    }
    let dialled = try #require(bench.next(Self.provider, "INVITE"))
    try note(dialled)
    bench.answer(dialled, 486, from: Self.provider)
    _ = try bench.invite("+492111000", from: Self.provider, callID: "in")
    for phone in LinkBench.phones {
      let dialled = try #require(bench.next(phone, "INVITE"))
      bench.answer(dialled, 302, from: phone) { $0.set(.contact, "<sip:+49171@192.168.1.10:5060>") }
    }
    let redirected = try #require(bench.next(Self.provider, "302"))
    #expect(redirected.value(.contact)?.contains("+49171") == true)
    try note(redirected)
    for text in texts { #expect(!text.contains("192.168."), "\(text)") }
  }

  @Test("Numbers and names with special characters arrive as they were dialled and shown")
  func specialCharacters() throws {
    let bench = LinkBench()
    for (index, dialled) in ["*43", "%2331%23+4930", "*21*0301%23"].enumerated() {
      _ = try bench.invite(dialled, from: Self.phone, callID: "out\(index)") {
        $0.set(.from, "\"A \\\"B\\\" <C>, Müller\" <sip:10@office>;tag=x\(index)")
      }
      let sent = try #require(bench.next(Self.provider, "INVITE"))
      #expect(sent.requestURIText == "sip:\(dialled)@provider.example")
      #expect(try sent.from().displayName == "A \"B\" <C>, Müller")
    }
  }

  @Test("No media port, no call: the caller is told to come back")
  func noMediaPorts() throws {
    let bench = LinkBench { $0.media.ports = 55000...55003 }
    let talk = try bench.talk("+4930", from: Self.phone, to: Self.provider)
    _ = try bench.invite("+4930", from: LinkBench.phones[1], callID: "more")
    let refused = try #require(bench.next(LinkBench.phones[1], "503"))
    #expect(refused.value(.retryAfter) != nil)
    #expect(bench.left(Self.provider) == [])
    try bench.hangUp(talk)
    #expect(bench.leftovers() == [])
  }

  @Test("One pair of media ports is not enough for the callee, and is given back")
  func noMediaPortForTheCallee() throws {
    let bench = LinkBench { $0.media.ports = 55000...55001 }
    _ = try bench.invite("+4930", from: Self.phone, callID: "out")
    #expect(bench.next(Self.phone, "503") != nil)
    #expect(bench.left(Self.provider) == [])
    #expect(bench.leftovers() == [])
  }

  @Test("Media ports that the system refuses end the call", arguments: [2, 1000] as [UInt16])
  func refusedMediaPorts(pairs: UInt16) throws {
    let bench = LinkBench { $0.media.ports = 55000...(54999 + 2 * pairs) }
    bench.opensMedia = false
    bench.refusesMedia = true
    _ = try bench.invite("+4930", from: Self.phone, callID: "out")
    for _ in 0..<100 {
      guard let port = bench.mediaPorts.keys.min() else { break }
      bench.mediaPorts[port] = nil
      bench.openMedia(port)
    }
    #expect(bench.left(Self.phone).contains { $0.hasPrefix("5") })
    #expect(bench.left(Self.provider) == [])
    #expect(bench.leftovers() == [])
  }

  @Test("A description with hundreds of streams does not take hundreds of ports")
  func manyStreams() throws {
    let bench = LinkBench()
    var description = LinkBench.description(Self.phone)
    for index in 0..<300 {
      description.media.append(MediaDescription(kind: "audio", port: UInt16(6000 + 2 * index), formats: ["0"]))
    }
    _ = try bench.invite("+4930", from: Self.phone, callID: "out") {
      $0.setBody(description.serialized(), contentType: "application/sdp")
    }
    #expect(bench.mediaPorts.count <= 32)
    let sent = try #require(bench.next(Self.provider, "INVITE"))
    #expect(try SessionDescription(parsing: sent.body.span).media.count == 301)
  }

  @Test("A trunk carries as many calls as it may, whichever way they came to it")
  func fullTrunk() throws {
    let other = endpoint("203.0.113.20:5060")
    let bench = LinkBench { configuration in
      var backup = LinkBench.trunk("backup", username: "2000", at: "203.0.113.20")
      backup.maxCalls = 1
      configuration.trunks.append(backup)
      configuration.routing.inbound = [InboundRule(to: [.number("+4917")])]
      configuration.routing.outbound[0].trunks = ["backup"]
    }
    for (index, caller) in ["a", "b"].enumerated() {
      _ = try bench.invite("+492111000", from: Self.provider, callID: caller)
      #expect(bench.left(other).count(where: { $0 == "INVITE" }) == 1, "call \(index)")
    }
    #expect(bench.next(Self.provider, "503") != nil)
  }

  @Test("Calls above the rate and the limit get 503 with Retry-After")
  func tooManyCalls() throws {
    let bench = LinkBench { $0.limits.callsPerSecond = 3 }
    for index in 0..<5 { _ = try bench.invite("+4930", from: Self.phone, callID: "c\(index)") }
    #expect(bench.left(Self.provider).count(where: { $0 == "INVITE" }) == 3)
    #expect(bench.next(Self.phone, "503")?.value(.retryAfter) != nil)
  }
}
