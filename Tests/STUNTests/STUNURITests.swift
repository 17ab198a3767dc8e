import NetworkTypes
import STUN
import Testing

@Suite("STUN URIs (RFC 7064)")
struct STUNURITests {
  @Test(
    "what can be written, and how it is written back",
    arguments: [
      ("stun:example.org", "stun:example.org", nil as UInt16?, false),
      ("stuns:example.org", "stuns:example.org", nil, true),
      ("STUN:example.org:8000", "stun:example.org:8000", 8000, false),
      ("stun:192.0.2.1", "stun:192.0.2.1", nil, false),
      ("stuns:[2001:db8::1]:5349", "stuns:[2001:db8::1]:5349", 5349, true),
      ("stun:[::1]", "stun:[::1]", nil, false),
      ("stun:_x.example-1.org.", "stun:_x.example-1.org.", nil, false),
    ])
  func read(_ text: String, _ written: String, _ port: UInt16?, _ isSecure: Bool) throws {
    let uri = try #require(STUNURI(text))
    #expect(uri.description == written)
    #expect(uri.port == port && uri.isSecure == isSecure)
    #expect(STUNURI(uri.description) == uri)
    #expect((uri.address != nil) == !uri.host.contains("org"))
  }

  @Test(
    "what cannot",
    arguments: [
      "", "stun", "stun:", "stun::3478", "turn:example.org", "stun://example.org", "stun:example.org:", "stun:a:0",
      "stun:a:65536", "stun:a:+1", "stun:a:1:2", "stun:[192.0.2.1]", "stun:[::1", "stun:::1", "stun:[::1]x",
      "stun:u@example.org", "stun:example.org?transport=tcp", "stun:a b", "stun:a..b", "stun:.", "stun:1.2.3",
      "stun:ex%41mple.org", "stun:\u{e4}.org",
    ])
  func refused(_ text: String) { #expect(STUNURI(text) == nil) }
}
