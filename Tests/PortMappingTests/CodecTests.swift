import NetworkTypes
import PortMapping
import Testing

private func hex(_ text: String) -> [UInt8] {
  let digits = text.filter { !$0.isWhitespace }
  var bytes: [UInt8] = []
  var rest = digits[...]
  while let byte = UInt8(rest.prefix(2), radix: 16) {
    bytes.append(byte)
    rest = rest.dropFirst(2)
  }
  return bytes
}

@Suite struct CodecTests {
  private let mapping = PCPMapping(
    nonce: 0x0102_0304_0506_0708_090a_0b0c, transport: .udp, internalPort: 5060,
    external: Endpoint(IPAddress("0.0.0.0")!, port: 5060))

  /// RFC 6887 figures 2, 9: the request header and MAP.
  @Test func aMapRequestIsLaidOutAsInTheRFC() throws {
    let request = PCPRequest(lifetime: 7200, client: IPAddress("192.0.2.10")!, mapping: mapping)
    let expected = hex(
      """
      02 01 0000 00001c20 00000000 00000000 0000ffff c000020a
      01020304 05060708 090a0b0c 11 000000 13c4 13c4 00000000 00000000 0000ffff 00000000
      """)
    #expect(request.encoded() == expected)
    #expect(try PCPRequest(decoding: expected.span) == request)
  }

  /// RFC 6887 figure 12: PEER has the remote peer behind what MAP has; figure 4: an option is filled to four bytes.
  @Test func aPeerRequestWithAnOption() throws {
    var peer = mapping
    peer.remote = Endpoint(IPAddress("2001:db8::1")!, port: 3478)
    let request = PCPRequest(
      lifetime: 120, client: IPAddress("2001:db8::10")!, mapping: peer,
      options: [PCPOption(code: 2), PCPOption(code: 130, data: [1, 2, 3])])
    let bytes = request.encoded()
    #expect(bytes.count == 24 + 56 + 4 + 8)
    #expect(bytes[1] == 2)
    #expect(Array(bytes[60..<64]) == hex("0d960000"))
    #expect(Array(bytes.suffix(8)) == hex("82 00 0003 010203 00"))
    #expect(try PCPRequest(decoding: bytes.span) == request)
  }

  /// RFC 6887 figure 3.
  @Test func aResponseOfEachKind() throws {
    let bytes = hex(
      """
      02 81 00 00 00000e10 00000064 00000000 00000000 00000000
      01020304 05060708 090a0b0c 11 000000 13c4 c350 00000000 00000000 0000ffff c6336407
      """)
    let response = try PCPResponse(decoding: bytes.span)
    #expect(response.opcode == .map)
    #expect(response.resultCode == .success)
    #expect(response.lifetime == 3600)
    #expect(response.epoch == 100)
    #expect(response.mapping?.external == Endpoint(IPAddress("198.51.100.7")!, port: 50_000))
    #expect(response.mapping?.nonce == mapping.nonce)
    #expect(response.encoded() == bytes)
    let announcement = PCPResponse(opcode: .announce, result: .success, lifetime: 0, epoch: 3)
    #expect(announcement.encoded() == hex("02 80 0000 00000000 00000003 000000000000000000000000"))
    #expect(try PCPResponse(decoding: announcement.encoded().span) == announcement)
  }

  @Test func aRefusalMayLeaveOutWhatItWasAbout() throws {
    let bytes = hex("02 81 00 02 00000708 00000064 00000000 00000000 00000000")
    let response = try PCPResponse(decoding: bytes.span)
    #expect(response.resultCode == .notAuthorized)
    #expect(response.mapping == nil)
    var success = bytes
    success[3] = 0
    #expect(throws: RouterMessageError(.length, at: 0)) { try PCPResponse(decoding: success.span) }
    var unknown = bytes
    unknown[3] = 77
    #expect(try PCPResponse(decoding: unknown.span).resultCode == nil)
  }

  @Test func whatIsNoPCPResponseSaysWhy() {
    let whole = PCPResponse(opcode: .map, result: .success, lifetime: 1, epoch: 1, mapping: mapping).encoded()
    func problem(_ bytes: [UInt8]) -> RouterMessageError? {
      do throws(RouterMessageError) { _ = try PCPResponse(decoding: bytes.span) } catch { return error }
      return nil
    }
    #expect(problem([]) == RouterMessageError(.length, at: 0))
    #expect(problem([0] + whole.dropFirst()) == RouterMessageError(.version, at: 0))
    #expect(problem([2, 1] + whole.dropFirst(2)) == RouterMessageError(.direction, at: 1))
    #expect(problem([2, 0x83] + whole.dropFirst(2)) == RouterMessageError(.opcode, at: 1))
    #expect(problem(Array(whole.dropLast(4))) == RouterMessageError(.length, at: 0))
    #expect(problem(whole + [2, 0, 0, 9]) == RouterMessageError(.option, at: 60))
    #expect(problem(whole + [UInt8](repeating: 0, count: 1100)) == RouterMessageError(.length, at: 0))
    var other = whole
    other[36] = 132
    #expect(problem(other) == RouterMessageError(.transport, at: 36))
  }

  /// RFC 6886 §3.2 and §3.3, and §3.2.1 for what is announced.
  @Test func natPMPIsLaidOutAsInTheRFC() throws {
    #expect(NATPMPRequest.externalAddress.encoded() == [0, 0])
    let request = NATPMPRequest.map(.udp, internalPort: 5060, suggested: 5060, lifetime: 7200)
    #expect(request.encoded() == hex("00 01 0000 13c4 13c4 00001c20"))
    #expect(try NATPMPRequest(decoding: request.encoded().span) == request)
    let address = hex("00 80 0000 0000000a c6336407")
    let response = try NATPMPResponse(decoding: address.span)
    #expect(response == NATPMPResponse(epoch: 10, .externalAddress(IPAddress("198.51.100.7")!)))
    #expect(response.encoded() == address)
    let mapped = hex("00 82 0000 0000000b 13c4 c350 00000e10")
    #expect(
      try NATPMPResponse(decoding: mapped.span)
        == NATPMPResponse(epoch: 11, .mapped(.tcp, internalPort: 5060, externalPort: 50_000, lifetime: 3600)))
    let refused = try NATPMPResponse(decoding: hex("00 81 0002").span)
    #expect(refused.resultCode == .notAuthorized)
    #expect(refused.content == .refused(opcode: 1))
    #expect(refused.epoch == 0)
  }

  @Test func hostileBytesNeverTrap() {
    var random = RandomSource(seed: 7)
    var peer = mapping
    peer.remote = Endpoint(IPAddress("192.0.2.1")!, port: 1)
    let whole = [
      PCPResponse(opcode: .peer, result: .success, lifetime: 1, epoch: 1, mapping: peer, options: [.preferFailure])
        .encoded(), PCPRequest(lifetime: 1, client: .anyV6, mapping: mapping).encoded(),
      NATPMPResponse(epoch: 1, .mapped(.udp, internalPort: 1, externalPort: 2, lifetime: 3)).encoded(),
    ]
    for message in whole {
      for count in 0...message.count { exercise(Array(message[..<count])) }
      for _ in 0..<2000 {
        var bytes = message
        for _ in 0..<Int.random(in: 1...4, using: &random) {
          bytes[Int.random(in: 0..<bytes.count, using: &random)] = UInt8.random(in: 0...255, using: &random)
        }
        exercise(bytes)
      }
    }
  }

  private func exercise(_ bytes: [UInt8]) {
    if let response = try? PCPResponse(decoding: bytes.span) {
      let again = try? PCPResponse(decoding: response.encoded().span)
      #expect(response.result != 0 || again == response)
    }
    if let request = try? PCPRequest(decoding: bytes.span) {
      #expect((try? PCPRequest(decoding: request.encoded().span)) == request)
    }
    if let response = try? NATPMPResponse(decoding: bytes.span) {
      #expect((try? NATPMPResponse(decoding: response.encoded().span)) == response)
    }
    _ = try? NATPMPRequest(decoding: bytes.span)
  }
}

@Suite struct EpochTests {
  private func at(_ seconds: Int64) -> MonotonicInstant { MonotonicInstant(nanoseconds: seconds * 1_000_000_000) }

  /// RFC 6887 §8.5.
  @Test func pcp() {
    var epoch = RouterEpoch()
    let first = epoch.told(pcp: 1000, now: at(100))
    let inStep = epoch.told(pcp: 1060, now: at(160))
    let overtaken = epoch.told(pcp: 1059, now: at(160))
    let backwards = epoch.told(pcp: 3, now: at(170))
    let slow = epoch.told(pcp: 103, now: at(270))
    let stopped = epoch.told(pcp: 110, now: at(400))
    let fast = epoch.told(pcp: 1110, now: at(500))
    #expect(first && inStep && overtaken && slow)
    #expect(!backwards && !stopped && !fast)
  }

  /// RFC 6886 §3.6.
  @Test func natPMP() {
    var epoch = RouterEpoch()
    let first = epoch.told(natPMP: 1000, now: at(100))
    let drifting = epoch.told(natPMP: 1086, now: at(200))
    let behind = epoch.told(natPMP: 1160, now: at(300))
    let fast = epoch.told(natPMP: 5000, now: at(301))
    #expect(first && drifting && fast)
    #expect(!behind)
  }
}
