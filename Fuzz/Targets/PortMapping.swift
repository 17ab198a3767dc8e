import NetworkTypes
import PortMapping

func examine(_ bytes: [UInt8]) {
  if let response = try? PCPResponse(decoding: bytes.span) {
    let again = try? PCPResponse(decoding: response.encoded().span)
    require(again == response || response.result != 0, "What is written of a response is read as the same.")
  }
  if let request = try? PCPRequest(decoding: bytes.span) {
    let again = try? PCPRequest(decoding: request.encoded().span)
    require(again == request, "What is written of a request is read as the same.")
  }
  if let response = try? NATPMPResponse(decoding: bytes.span) {
    require((try? NATPMPResponse(decoding: response.encoded().span)) == response, "So it is with NAT-PMP.")
  }
  if let request = try? NATPMPRequest(decoding: bytes.span) {
    require((try? NATPMPRequest(decoding: request.encoded().span)) == request, "And with its requests.")
  }
  converse(bytes)
}

/// A client that asks for two ports, and hears the input in pieces as the router's answers while time passes.
func converse(_ bytes: [UInt8]) {
  let router = IPAddress.v4(0xc0a8_0101)
  var client = MappingClient(random: RandomSource(seed: 1))
  var now = MonotonicInstant(nanoseconds: 1_000_000_000)
  var actions: [RouterAction] = []
  var news: [MappingNews] = []
  client.received(.found(router: router, local: .v4(0xc0a8_010a)), now: now, into: &actions, news: &news)
  for port: UInt16 in [65_002, 55_000] {
    _ = client.request(MappingWish(internalPort: port), now: now, into: &actions, news: &news)
  }
  let remote = Endpoint(.v4(0xcb00_710a), port: 5060)
  _ = client.request(
    MappingWish(internalPort: 65_002, preferredPort: 0, remote: remote), now: now, into: &actions, news: &news)
  var rest = bytes[...]
  var turns = 0
  while let first = rest.popFirst(), turns < 64 {
    turns += 1
    let piece = Array(rest.prefix(Int(first) % 64))
    rest = rest.dropFirst(piece.count)
    now = now + .milliseconds(Int64(first) * 50)
    if first % 7 == 0 {
      client.wantAddress(first % 2 == 0, peer: remote, now: now, into: &actions, news: &news)
      client.doubtAddress(now: now, into: &actions, news: &news)
    }
    if first % 5 == 0 {
      let answer: UPnPResult = first % 2 == 0 ? .refused(code: 718 + Int(first) % 12) : .added(externalPort: 5060)
      client.received(.answered(UInt64(first), answer), now: now, into: &actions, news: &news)
    }
    client.received(.received(piece, from: Endpoint(router, port: 5351)), now: now, into: &actions, news: &news)
    client.timerFired(now: now, into: &actions, news: &news)
    require(client.leases.count <= MappingClient.mostLeases, "Leases are bounded.")
    require(client.nextDeadline.map { $0 > now } ?? true, "Nothing is due twice.")
  }
  require(actions.count < 5000, "It does not shout.")
}
