import CallControl
public import MediaRelay
public import NetworkTypes
import OrderedCollections
import SDP
import SIPDialog
import SIPSyntax
import SIPTransaction

/// Media of calls: which ports are opened for a leg, what is told of them in SDP, and what comes back from them.
extension LinkCore {
  /// The longest that a description waits for the media ports' own mappings.
  static let mappingPatience = Duration.milliseconds(250)
  /// Ports that the system refuses are replaced so many times a leg.
  private static let mostPortFailures = 16
  /// Streams of one description beyond these are refused.
  private static let mostStreams = 16

  // MARK: Ports

  /// Whether there is a port for every stream of an offer.
  func hasMediaPorts(for offer: SessionDescription?) -> Bool {
    let wanted = offer?.media.prefix(Self.mostStreams).count { $0.isRelayed } ?? 0
    return portLedger.capacity - portLedger.inUse + doctorMediaPorts >= wanted
  }

  /// Opens a media port on the leg for each stream of `description` that has none.
  mutating func prepareMedia(
    _ id: LegID, for description: SessionDescription, now: MonotonicInstant, into actions: inout [LinkAction]
  ) {
    guard let leg = leg(id), !leg.isEnded else { return }
    for index in description.media.indices.prefix(Self.mostStreams) where description.media[index].isRelayed {
      if leg.streams.indices.contains(index), leg.streams[index] != nil { continue }
      openStream(index, of: id, now: now, into: &actions)
    }
  }

  /// Opens a port for the stream; false where none is left.
  @discardableResult private mutating func openStream(
    _ index: Int, of id: LegID, now: MonotonicInstant, into actions: inout [LinkAction]
  ) -> Bool {
    if !portLedger.hasFree { yieldDoctorMedia(now: now, into: &actions) }
    guard let leg = leg(id), let port = portLedger.take() else {
      discard("noMediaPort")
      return false
    }
    // Numbers are taken in turn; those from a million on belong to others that share the media engine.
    repeat { lastMediaPort = lastMediaPort % 999_999 + 1 } while mediaOwners[MediaPortID(lastMediaPort)] != nil
    let media = MediaPortID(lastMediaPort)
    mediaOwners[media] = id
    withLeg(id) { leg in
      while leg.streams.count <= index { leg.streams.append(nil) }
      leg.streams[index] = LegStream(id: media, port: port)
    }
    let socket = sockets[leg.path.socket]
    let plan = mediaPlan(socket.id)
    if plan != nil, !leg.isMappingAwaited {
      withLeg(id) { $0.isMappingAwaited = true }
      timers.set(.media(id), at: now + Self.mappingPatience)
    }
    let bound = (socket.local ?? socket.configured).address
    actions.append(.media(.open(media, local: Endpoint(bound, port: port), stun: plan)))
    mapMediaPort(port, of: socket.id, now: now, into: &actions)
    return true
  }

  /// Whether every port of the leg is open and knows its mapping, or has waited for it long enough.
  func isMediaReady(_ leg: Leg) -> Bool {
    leg.streams.allSatisfy { stream in
      guard let stream else { return true }
      return stream.isOpen && (!leg.isMappingAwaited || stream.rtp != nil && !isMappingPending(stream.port))
    }
  }

  mutating func mediaWaitEnded(_ id: LegID, now: MonotonicInstant, into actions: inout [LinkAction]) {
    withLeg(id) { $0.isMappingAwaited = false }
    watchDeafPorts(id, now: now)
    runDeferred(id, now: now, into: &actions)
    advanceRepair(id, now: now, into: &actions)
  }

  /// The leg's streams go on at ports of their own that nobody has used of late.
  mutating func replaceStreams(_ id: LegID, now: MonotonicInstant, into actions: inout [LinkAction]) {
    guard let leg = leg(id) else { return }
    for index in leg.streams.indices where leg.streams[index] != nil {
      // The new one first: it shall not be the old one.
      let old = leg.streams[index]
      guard openStream(index, of: id, now: now, into: &actions), let old else { continue }
      mediaOwners.removeValue(forKey: old.id)
      portLedger.giveBack(old.port)
      actions.append(.media(.close(old.id)))
    }
  }

  mutating func closeMedia(_ id: LegID, into actions: inout [LinkAction]) {
    guard let leg = leg(id) else { return }
    timers.cancel(.media(id))
    for index in leg.streams.indices { closeStream(index, of: id, into: &actions) }
  }

  private mutating func closeStream(_ index: Int, of id: LegID, into actions: inout [LinkAction]) {
    guard let leg = leg(id), leg.streams.indices.contains(index), let stream = leg.streams[index] else { return }
    mediaOwners.removeValue(forKey: stream.id)
    portLedger.giveBack(stream.port)
    unmapMediaPort(stream.port, into: &actions)
    withLeg(id) { $0.streams[index] = nil }
    actions.append(.media(.close(stream.id)))
  }

  // MARK: Descriptions

  /// A description of the far side came in on a leg: its streams' peers are set, which sends each an opening packet.
  mutating func descriptionReceived(
    _ description: SessionDescription, on id: LegID, now: MonotonicInstant, into actions: inout [LinkAction]
  ) {
    withLeg(id) { leg in
      leg.remoteDescription = description
      if let index = description.firstAudioIndex { leg.codec = description.media[index].codecName }
    }
    prepareMedia(id, for: description, now: now, into: &actions)
    guard let leg = leg(id) else { return }
    for index in leg.streams.indices { setPeer(of: index, on: leg, into: &actions) }
    couple(call: id.call, into: &actions)
  }

  /// The far side's change was refused: the session is as it was before (RFC 3261 §14.1), on both legs.
  mutating func restoreMedia(_ id: LegID, into actions: inout [LinkAction]) {
    withLeg(id) { leg in
      leg.remoteDescription = leg.descriptionBefore
      let index = leg.remoteDescription?.firstAudioIndex
      leg.codec = index.flatMap { leg.remoteDescription?.media[$0].codecName }
    }
    for place in [id, calls[id.call]?.machine.partner(of: id)].compactMap({ $0 }) {
      guard let leg = leg(place), let description = leg.remoteDescription else { continue }
      for index in leg.streams.indices {
        let isWanted = description.media.indices.contains(index) && !description.media[index].isRefused
        if !isWanted { closeStream(index, of: place, into: &actions) }
      }
    }
    guard let leg = leg(id) else { return }
    for index in leg.streams.indices { setPeer(of: index, on: leg, into: &actions) }
  }

  private func setPeer(of index: Int, on leg: Leg, into actions: inout [LinkAction]) {
    guard let description = leg.remoteDescription, let stream = leg.streams[index], stream.isOpen,
      description.media.indices.contains(index)
    else { return }
    let peer = MediaPeer(rtp: description.rtpEndpoint(index), rtcp: description.rtcpEndpoint(index), latching: true)
    let payloadType = description.media[index].formats.first.flatMap { UInt8($0) } ?? 0
    actions.append(.media(.setPeer(stream.id, peer, openingPayloadType: min(payloadType, 127))))
  }

  /// Puts a description of the other leg into a message for this one: the streams at our own ports, the origin ours.
  mutating func attach(_ description: SessionDescription?, to message: inout SIPMessage, on id: LegID) {
    guard var description, let leg = leg(id) else { return }
    let socket = LinkSocket(leg.path.socket)
    let own = advertised(socket, towards: leg.path.remote.address)
    let places = description.media.indices.map { index -> MediaLocation? in
      guard leg.streams.indices.contains(index), let stream = leg.streams[index] else { return nil }
      let mapped = mappedEndpoint(of: stream, on: leg.path.socket)
      let rtp = mapped ?? stream.rtp ?? Endpoint(own.address, port: stream.port)
      let rtcp =
        mappedEndpoint(ofRTCP: stream, on: leg.path.socket) ?? stream.rtcp
        ?? Endpoint(rtp.address, port: stream.rtp.map { $0.port &+ 1 } ?? stream.port + 1)
      return MediaLocation(rtp: rtp, rtcp: rtcp)
    }
    let origin = { (version: UInt64) in
      SDPOrigin(sessionID: String(leg.sessionID), version: version, address: own.address)
    }
    description.relocate(origin: origin(leg.sessionVersion), media: places)
    if let sent = leg.sentDescription, sent != description {
      // RFC 3264 §8: a changed description has a higher version.
      description.origin = origin(leg.sessionVersion + 1)
      withLeg(id) { $0.sessionVersion += 1 }
    }
    withLeg(id) { $0.sentDescription = description }
    message.setBody(description.serialized(), contentType: "application/sdp")
  }

  /// Tells media which ports belong together, for the streams that both legs have.
  mutating func couple(call number: UInt64, into actions: inout [LinkAction]) {
    guard let call = calls[number], call.coupled.count == 2, let first = leg(call.coupled[0]),
      let second = leg(call.coupled[1])
    else { return }
    for (left, right) in zip(first.streams, second.streams) {
      guard let left, let right, left.isOpen, right.isOpen, !call.coupledPorts.contains([left.id, right.id]) else {
        continue
      }
      calls[number]?.coupledPorts.append([left.id, right.id])
      actions.append(.media(.couple(left.id, right.id)))
    }
  }

  // MARK: What media tells

  public mutating func mediaEventReceived(
    _ event: MediaEvent, now: MonotonicInstant, into actions: inout [LinkAction]
  ) {
    if doctorMediaReceived(event, now: now, into: &actions) { return }
    switch event {
    case .opened(let media):
      guard let (id, index) = stream(media) else { return }
      withLeg(id) { $0.streams[index]?.isOpen = true }
      if let leg = leg(id) { setPeer(of: index, on: leg, into: &actions) }
      couple(call: id.call, into: &actions)
      runDeferred(id, now: now, into: &actions)
    case .openFailed(let media, let reason):
      guard let (id, index) = stream(media) else { return }
      openFailed(index, of: id, reason: reason, now: now, into: &actions)
    case .mapped(let media, let rtp, let rtcp):
      guard let (id, index) = stream(media) else { return }
      withLeg(id) { leg in
        leg.streams[index]?.rtp = rtp
        leg.streams[index]?.rtcp = rtcp
        leg.streams[index]?.isMoveDue = leg.repair != nil
      }
      runDeferred(id, now: now, into: &actions)
      if leg(id)?.repair == nil {
        portMapped(id, index, now: now, into: &actions)
      } else {
        advanceRepair(id, now: now, into: &actions)
      }
    case .counted(let media, let new):
      guard let (id, index) = stream(media), let old = leg(id)?.streams[index]?.counters else { return }
      counters.rtpPackets.count("in", by: new.packetsIn &- old.packetsIn)
      counters.rtpPackets.count("out", by: new.packetsOut &- old.packetsOut)
      counters.rtpLost &+= new.lostIn > old.lostIn ? new.lostIn - old.lostIn : 0
      withLeg(id) { leg in
        leg.streams[index]?.counters = new
        if new.packetsIn != old.packetsIn { leg.pulse.heardAt = now }
      }
      if let leg = leg(id), leg.streams[index]?.isMoveDue == true, leg.repair == nil {
        portMapped(id, index, now: now, into: &actions)
      }
    case .silent(let media):
      guard let (id, index) = stream(media), let leg = leg(id) else { return }
      withLeg(id) { $0.streams[index]?.isSilent = true }
      suspect(leg.path.socket, now: now, into: &actions)
    case .heard(let media, let gap): audioHeard(media, gap, now: now, into: &actions)
    case .latched, .recorded: return
    }
  }

  func stream(_ media: MediaPortID) -> (LegID, Int)? {
    guard let id = mediaOwners[media], let index = leg(id)?.streams.firstIndex(where: { $0?.id == media }) else {
      return nil
    }
    return (id, index)
  }

  private mutating func openFailed(
    _ index: Int, of id: LegID, reason: String, now: MonotonicInstant, into actions: inout [LinkAction]
  ) {
    guard let leg = leg(id), let stream = leg.streams[index] else { return }
    portLedger.markUnusable(stream.port)
    unmapMediaPort(stream.port, into: &actions)
    mediaOwners.removeValue(forKey: stream.id)
    withLeg(id) {
      $0.streams[index] = nil
      $0.portFailures += 1
    }
    if leg.portFailures < Self.mostPortFailures, openStream(index, of: id, now: now, into: &actions) { return }
    actions.append(.log(.error, "no media port can be opened: \(reason.escapedForLog())"))
    noteFailure(
      id, .noMediaPort(reason: "\(leg.portFailures + 1) ports were tried: \(reason)"), status: 500, reason: "")
    end(call: id.call, Refusal(status: 500, reason: "No media port"), now: now, into: &actions)
  }
}

extension MediaDescription {
  /// Whether the relay carries such a stream: RTP of any profile. Others (T.38 over UDPTL, MSRP) are refused, so that
  /// both sides know and go on without.
  fileprivate var isRelayed: Bool { !isRefused && transport.uppercased().hasPrefix("RTP/") }
}

extension SessionDescription {
  /// Whether it asks for streams, and none of them is one that we relay.
  var isBeyondUs: Bool {
    media.contains { !$0.isRefused } && !media.contains { $0.isRelayed }
  }
}
