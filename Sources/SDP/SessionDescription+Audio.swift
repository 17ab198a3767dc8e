public import NetworkTypes

// Descriptions of our own, for ends of ours: the embedded provider, the built-in phone, the simulator.
extension SessionDescription {
  /// An offer of one audio stream.
  ///
  /// - Parameter payloadTypes: payload type and encoding (`PCMA`, `PCMU`, `telephone-event`, all at 8 kHz), in the order
  ///   of preference.
  public static func audioOffer(
    address: IPAddress, port: UInt16,
    payloadTypes: [(UInt8, String)] = [(8, "PCMA"), (0, "PCMU"), (101, "telephone-event")], sessionID: UInt64,
    version: UInt64, direction: MediaDirection = .sendrecv
  ) -> SessionDescription {
    var result = SessionDescription(
      origin: SDPOrigin(sessionID: String(sessionID), version: version, address: address),
      connection: SDPConnection(address))
    var audio = MediaDescription(kind: "audio", port: port, formats: payloadTypes.map { String($0.0) })
    for (type, encoding) in payloadTypes { audio.describe(type, encoding) }
    audio.addAttribute("ptime", "20")
    audio.addAttribute(direction.rawValue)
    result.media = [audio]
    return result
  }

  /// Our answer (RFC 3264 §6): the first audio stream of `offer` that has G.711, with the first of PCMA and PCMU that it
  /// offers and with `telephone-event` if offered; every other stream refused. `nil` when there is no such stream.
  public static func answer(
    to offer: SessionDescription, address: IPAddress, port: UInt16, sessionID: UInt64, version: UInt64
  ) -> SessionDescription? {
    let chosen = offer.media.indices.first { index in
      let stream = offer.media[index]
      return stream.kind == "audio" && !stream.isRefused && ["RTP/AVP", "RTP/AVPF"].contains(stream.transport)
        && stream.firstG711 != nil
    }
    guard let chosen, let (type, encoding) = offer.media[chosen].firstG711 else { return nil }
    var result = SessionDescription(
      origin: SDPOrigin(sessionID: String(sessionID), version: version, address: address),
      connection: SDPConnection(address))
    // RFC 3264 §6: the times of the answer are those of the offer.
    result.lines.removeAll { $0.isType("t") }
    result.lines += offer.lines.filter { $0.isType("t") }
    for index in offer.media.indices {
      let offered = offer.media[index]
      guard index == chosen else {
        result.media.append(
          MediaDescription(kind: offered.kind, port: 0, transport: offered.transport, formats: offered.formats))
        continue
      }
      let events = offered.payloadType(of: "telephone-event")
      var audio = MediaDescription(
        kind: "audio", port: port, transport: offered.transport,
        formats: [String(type)] + (events.map { [String($0)] } ?? []))
      audio.describe(type, encoding)
      if let events { audio.describe(events, "telephone-event") }
      audio.addAttribute("ptime", "20")
      audio.addAttribute(offer.direction(index).reversed.rawValue)
      result.media.append(audio)
    }
    return result
  }
}

extension MediaDescription {
  /// The first of its formats that is PCMA or PCMU at 8 kHz, mono.
  public var firstG711: (payloadType: UInt8, encoding: String)? {
    for format in formats {
      guard let type = UInt8(format), type < 128, let map = rtpmap(for: format), map.clockRate == 8000,
        map.channels == 1
      else { continue }
      let encoding = map.encoding.uppercased()
      if encoding == "PCMA" || encoding == "PCMU" { return (type, encoding) }
    }
    return nil
  }

  fileprivate mutating func describe(_ type: UInt8, _ encoding: String) {
    addAttribute("rtpmap", "\(type) \(encoding)/8000")
    if encoding == "telephone-event" { addAttribute("fmtp", "\(type) 0-16") }
  }
}
