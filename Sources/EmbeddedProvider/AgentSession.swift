import MediaRelay
import NetworkTypes
import SDP

/// Our side of a call's SDP: one G.711 stream. It makes offers and answers, and reads the other side's.
struct AgentSession: Sendable {
  let sessionID: UInt64
  private(set) var version: UInt64 = 0
  let local: Endpoint
  /// The payload type agreed for G.711.
  private(set) var payloadType: UInt8 = 8
  /// Where the other side hears; `nil` while it holds us or has not said.
  private(set) var remote: Endpoint?
  private var remoteRTCP: Endpoint?
  /// Whether the other side wants to hear us.
  private(set) var theyListen = true

  private let codecs: [(UInt8, String)]?

  /// - Parameter codecs: what offers have; `nil` stands for G.711 and telephone events.
  init(sessionID: UInt64, local: Endpoint, codecs: [(UInt8, String)]?) {
    self.sessionID = sessionID
    self.local = local
    self.codecs = codecs
  }

  mutating func offer(direction: MediaDirection = .sendrecv) -> [UInt8] {
    version += 1
    guard let codecs else {
      return SessionDescription.audioOffer(
        address: local.address, port: local.port, sessionID: sessionID, version: version, direction: direction
      ).serialized()
    }
    return SessionDescription.audioOffer(
      address: local.address, port: local.port, payloadTypes: codecs, sessionID: sessionID, version: version,
      direction: direction
    ).serialized()
  }

  /// Reads an answer to our offer; tells whether there is a stream.
  mutating func answerReceived(_ bytes: [UInt8]) -> Bool {
    guard let description = try? SessionDescription(parsing: bytes.span), let index = description.firstAudioIndex,
      let codec = description.media[index].firstG711
    else { return false }
    take(description, index, codec.payloadType)
    return true
  }

  /// Reads an offer and makes the answer to it; `nil` where no stream of it can be had (488).
  mutating func answer(to bytes: [UInt8]) -> [UInt8]? {
    guard let description = try? SessionDescription(parsing: bytes.span),
      let answer = SessionDescription.answer(
        to: description, address: local.address, port: local.port, sessionID: sessionID, version: version + 1),
      let index = answer.firstAudioIndex, let codec = answer.media[index].firstG711
    else { return nil }
    version += 1
    take(description, index, codec.payloadType)
    return answer.serialized()
  }

  func peer(latching: Bool, once: Bool) -> MediaPeer {
    var peer = MediaPeer(rtp: remote, rtcp: remoteRTCP, latching: latching)
    peer.latchesOnce = once
    return peer
  }

  private mutating func take(_ description: SessionDescription, _ index: Int, _ payloadType: UInt8) {
    self.payloadType = payloadType
    remote = description.rtpEndpoint(index)
    remoteRTCP = description.rtcpEndpoint(index)
    theyListen = remote != nil && description.direction(index).receives
  }
}
