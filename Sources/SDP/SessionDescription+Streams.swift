public import NetworkTypes

// What the owner of a stream asks of the description of the far side.
extension SessionDescription {
  /// Where RTP of the stream `index` is to be sent; `nil` when the stream is refused or on hold by address (`0.0.0.0`),
  /// and when the address is a host name or a multicast group, neither of which we send to.
  public func rtpEndpoint(_ index: Int) -> Endpoint? {
    guard media.indices.contains(index), !media[index].isRefused, let address = address(of: index) else { return nil }
    return Endpoint(address, port: media[index].port)
  }

  /// Where RTCP of the stream goes: what `a=rtcp` says (RFC 3605), else the port after that of RTP. `nil` where RTP goes
  /// nowhere either. `a=rtcp-mux` is an offer that we never take up, so it changes nothing (RFC 5761 §5.1.1).
  public func rtcpEndpoint(_ index: Int) -> Endpoint? {
    guard let rtp = rtpEndpoint(index) else { return nil }
    guard let value = media[index].attribute("rtcp") else {
      return rtp.port < .max ? Endpoint(rtp.address, port: rtp.port + 1) : nil
    }
    let parts = value.split(separator: " ", omittingEmptySubsequences: true)
    guard let first = parts.first, let port = UInt16(decimal: first), port > 0 else { return nil }
    guard parts.count == 4, parts[1] == "IN" else { return Endpoint(rtp.address, port: port) }
    return IPAddress(String(parts[3])).flatMap(Self.unicast).map { Endpoint($0, port: port) }
  }

  /// Who sends on the stream, from the view of the description's author: the stream's own word, else the session's, else
  /// both.
  public func direction(_ index: Int) -> MediaDirection {
    guard media.indices.contains(index) else { return .inactive }
    return media[index].ownDirection ?? explicitDirection ?? .sendrecv
  }

  /// Whether the author put the stream on hold: it no longer wants to receive, by direction or by address.
  public func isOnHold(_ index: Int) -> Bool {
    guard media.indices.contains(index), !media[index].isRefused else { return false }
    return !direction(index).receives || effectiveConnection(index)?.isHold == true
  }

  /// The first stream of audio that is not refused.
  public var firstAudioIndex: Int? { media.firstIndex { $0.kind == "audio" && !$0.isRefused } }

  /// The `c=` that holds for the stream: its own, else the session's.
  public func effectiveConnection(_ index: Int) -> SDPConnection? { media[index].connection ?? connection }

  private func address(of index: Int) -> IPAddress? {
    effectiveConnection(index)?.address.flatMap(Self.unicast)
  }

  /// Only what may be a host: an unspecified, multicast or broadcast address in SDP is not sent to.
  private static func unicast(_ address: IPAddress) -> IPAddress? {
    address.isUnspecified || address.isMulticast || address == .v4(.max) ? nil : address
  }
}
