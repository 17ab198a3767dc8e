public import NetworkTypes

/// Where a stream is to be sent instead.
public struct MediaLocation: Hashable, Sendable {
  public var rtp: Endpoint
  public var rtcp: Endpoint

  /// RTCP is on the port after that of RTP unless given.
  public init(rtp: Endpoint, rtcp: Endpoint? = nil) {
    self.rtp = rtp
    self.rtcp = rtcp ?? Endpoint(rtp.address, port: rtp.port &+ 1)
  }
}

extension SessionDescription {
  /// Attributes that speak of the author's own sockets, or of ways to reach them, and are untrue once we stand between.
  private static let pathAttributes = [
    "candidate", "remote-candidates", "end-of-candidates", "ice-ufrag", "ice-pwd", "ice-options", "ice-lite", "ice2",
    "ice-mismatch", "ice-pacing",  // ICE, RFC 8839: its checks would go past us.
    "rtcp", "rtcp-mux", "rtcp-mux-only",  // RFC 3605, 5761, 8858: both sides get two ports.
    "bundle-only", "source-filter",  // RFC 9143 needs one port for several streams; RFC 4570 names the old addresses.
  ]

  /// What a relaying B2BUA sends on: the same offer or answer, with `origin` for the author, and each stream to be sent to
  /// its place in `media` instead.
  ///
  /// A stream without a place becomes refused; a refused one stays so (RFC 3264 §6: answers have as many streams as
  /// offers). A stream on hold by address stays on hold by address, since that is what its author asked for.
  /// ICE, `rtcp-mux` and BUNDLE are removed; codecs, directions, keys and all that is unknown stay as they are.
  ///
  /// - Parameter media: one place for each stream, in order; missing ones count as `nil`.
  public mutating func relocate(origin: SDPOrigin, media places: [MediaLocation?]) {
    let wasHeld = media.indices.map { effectiveConnection($0)?.isHold == true }
    self.origin = origin
    removeAttributes(Self.pathAttributes)
    lines.removeAll { $0.isAttribute("group") && $0.text.hasPrefix("group:BUNDLE") }
    // Where no stream has a place, the origin's address still must take the place of the author's.
    let common = places.lazy.compactMap { $0 }.first?.rtp.address ?? IPAddress(origin.address) ?? .anyV4
    if let current = connection, !current.isHold { connection = SDPConnection(common) }
    for index in media.indices {
      let place = index < places.count ? places[index] : nil
      relocate(index, to: media[index].isRefused ? nil : place, common: common, isHeld: wasHeld[index])
    }
  }

  private mutating func relocate(_ index: Int, to place: MediaLocation?, common: IPAddress, isHeld: Bool) {
    media[index].removeAttributes(Self.pathAttributes)
    if media[index].port != place?.rtp.port ?? 0 { media[index].port = place?.rtp.port ?? 0 }
    if media[index].portCount != nil { media[index].portCount = nil }
    if isHeld { return }
    let address = place?.rtp.address ?? common
    if media[index].connection != nil {
      media[index].connection = nil
      media[index].connection = SDPConnection(address)
    } else if connection != SDPConnection(address) {
      media[index].connection = SDPConnection(address)
    }
    guard let place, place.rtcp != Endpoint(place.rtp.address, port: place.rtp.port &+ 1) else { return }
    let rtcp = place.rtcp
    let named = rtcp.address == place.rtp.address ? "" : " \(SDPConnection(rtcp.address))"
    media[index].addAttribute("rtcp", "\(rtcp.port)\(named)")
  }
}
