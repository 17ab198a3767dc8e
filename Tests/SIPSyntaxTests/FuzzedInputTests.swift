import NetworkTypes
import SIPSyntax
import Testing

@Suite struct FuzzedInputTests {
  static let sample = """
    INVITE sip:%2B49211@[2001:db8::1]:5060;transport=udp;lr SIP/2.0
    v: SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bK1;rport, SIP / 2.0 / TCP [2001:db8::2] ; branch=z9hG4bK2
    f: "A \\"quoted\\" name" <sip:a@example.org>;tag=1
    t: B
      <sip:b@example.org;user=phone>
    i: 1@example.org
    CSeq: 1 INVITE
    m: <sip:a@192.0.2.1>;q=0.5, sip:c@192.0.2.3;x="y;z,"
    Authorization: Digest realm="r", nonce="n\\"", qop=auth
    k: 100rel, timer
    Content-Length: @

    v=0
    """

  @Test("The sample is read and right")
  func sampleIsRight() { #expect(Outcome(wire(Self.sample)) == .accepted) }

  @Test("Cut at any byte, it is no message and crashes nothing")
  func truncation() {
    let bytes = wire(Self.sample)
    for count in 0..<bytes.count { #expect(!exercise(Array(bytes.prefix(count))), "\(count) bytes") }
    #expect(exercise(bytes))
  }

  @Test("With bytes changed, doubled or lost it crashes nothing", arguments: 0..<8)
  func mutation(seed: Int) {
    var random = RandomSource(seed: UInt64(seed))
    let bytes = wire(Self.sample)
    let interesting = Array("\r\n \t\"\\<>;,:@=%[]/?\0\u{7F}0:SIP".utf8)
    var count = 0
    for _ in 0..<2000 {
      var mutated = bytes
      for _ in 0..<Int.random(in: 1...4, using: &random) {
        let place = Int.random(in: 0..<mutated.count, using: &random)
        switch Int.random(in: 0..<4, using: &random) {
        case 0: mutated[place] = UInt8.random(in: 0...255, using: &random)
        case 1: mutated[place] = interesting.randomElement(using: &random) ?? 0
        case 2: mutated.remove(at: place)
        default: mutated.insert(interesting.randomElement(using: &random) ?? 0, at: place)
        }
      }
      guard exercise(mutated), let message = try? read(mutated) else { continue }
      count += 1
      let written = message.serialized()
      #expect((try? read(written)) == message)
    }
    #expect(count > 100, "the mutations are gentle enough to get through the framing")
  }
}
