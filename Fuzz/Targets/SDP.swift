import NetworkTypes
import SDP

func examine(_ bytes: [UInt8]) {
  guard var description = try? SessionDescription(parsing: bytes.span) else { return }
  let written = description.serialized()
  require((try? SessionDescription(parsing: written.span)) == description, "What is serialised reads the same.")
  look(at: description)
  let place = Endpoint(.v4(0xC000_0201), port: 40_000)
  let other = Endpoint(.v6(0x2001_0DB8 << 96 | 1), port: 50_000)
  let places: [MediaLocation?] = [MediaLocation(rtp: place), nil, MediaLocation(rtp: other, rtcp: place)]
  let count = description.media.count
  description.relocate(origin: SDPOrigin(sessionID: "1", version: 1, address: place.address), media: places)
  let moved = description.serialized()
  guard let again = try? SessionDescription(parsing: moved.span) else { fatalError("What was moved can be read.") }
  require(again == description, "What was moved reads the same.")
  require(again.media.count == count, "No stream came or went.")
  require(again.origin.address == "192.0.2.1", "The origin is ours.")
  for index in again.media.indices {
    guard index < places.count, let expected = places[index] else {
      require(again.media[index].isRefused, "A stream without a place is refused.")
      continue
    }
    if let rtp = again.rtpEndpoint(index) { require(rtp == expected.rtp, "The stream is in its place.") }
  }
  look(at: again)
}

func look(at description: SessionDescription) {
  _ = (description.origin, description.connection, description.attributes, description.firstAudioIndex)
  for index in description.media.indices {
    let media = description.media[index]
    _ = (description.rtpEndpoint(index), description.rtcpEndpoint(index), description.direction(index))
    _ = (description.isOnHold(index), description.effectiveConnection(index), media.codecName, media.firstG711)
    _ = (media.kind, media.port, media.portCount, media.transport, media.connection, media.ownDirection)
    for format in media.formats { _ = media.rtpmap(for: format) }
  }
}
