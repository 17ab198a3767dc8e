import NetworkTypes

/// PCP and NAT-PMP, which share a port.
extension MappingClient {
  private static let natPMPAttempts = 9
  private static let shortLifetimeError = Duration.seconds(30)

  mutating func datagramReceived(
    _ bytes: Span<UInt8>, now: MonotonicInstant, into actions: inout [RouterAction], news: inout [MappingNews]
  ) {
    guard bytes.count > 0 else { return }
    if bytes[0] == 2 {
      guard let response = try? PCPResponse(decoding: bytes) else { return }
      pcpReceived(response, now: now, into: &actions, news: &news)
    } else if bytes[0] == 0 {
      guard let response = try? NATPMPResponse(decoding: bytes) else { return }
      natPMPReceived(response, now: now, into: &actions, news: &news)
    }
  }

  /// The first that a router says by itself: there is a reason for it, and nothing to compare it with.
  private mutating func heardUnasked(now: MonotonicInstant, news: inout [MappingNews]) {
    if epoch.isUnknown, stage == .idle { suspect(now: now, news: &news) }
  }

  // MARK: PCP

  mutating func sendPCP(_ index: Int, delete: Bool, now: MonotonicInstant, into actions: inout [RouterAction]) {
    guard let router, let local else { return }
    let lease = leases[index]
    // RFC 6887 §15: a deletion names the mapping, and its suggestions are zero.
    let anyAddress: IPAddress = local.isV4 ? .anyV4 : .anyV6
    let external =
      delete
      ? Endpoint(anyAddress, port: 0) : Endpoint(lease.externalAddress ?? anyAddress, port: lease.suggested)
    let mapping = PCPMapping(
      nonce: lease.nonce, transport: lease.wish.transport, internalPort: lease.wish.internalPort, external: external,
      remote: lease.wish.remote)
    let lifetime = lease.id == addressLease ? Self.addressLifetime : Self.lifetime
    let request = PCPRequest(lifetime: delete ? 0 : lifetime, client: local, mapping: mapping)
    actions.append(.send(request.encoded(), to: Endpoint(router, port: Self.port)))
    leases[index].requestSent(until: now + (delete ? .milliseconds(400) : pcpWait(afterSending: lease.sent)))
  }

  /// RFC 6887 §8.1.1: 3 s, doubled up to 1024 s, each a tenth more or less.
  private mutating func pcpWait(afterSending sent: Int) -> Duration {
    let base = Int64(3000) << Int64(min(sent, 9))
    let limited = min(base, 1_024_000)
    return .milliseconds(limited + Int64.random(in: -limited / 10...limited / 10, using: &random))
  }

  private mutating func pcpReceived(
    _ response: PCPResponse, now: MonotonicInstant, into actions: inout [RouterAction], news: inout [MappingNews]
  ) {
    heardUnasked(now: now, news: &news)
    if !epoch.told(pcp: response.epoch, now: now) {
      routerRestarted(now: now, into: &actions, news: &news)
    }
    let isSpoken = response.resultCode != .unsupportedVersion
    if isSpoken { speaksPCP = true }
    if stage == .probing, isAllowed(.pcp) {
      if isSpoken {
        settle(.pcp, now: now, into: &actions, news: &news)
      } else {
        // It speaks a later version only.
        timers.cancel(.pcpProbe)
      }
    }
    guard let mapping = response.mapping, response.opcode != .announce else { return }
    // §11.4: what does not name the nonce is not the answer to what we asked.
    guard
      let index = leases.firstIndex(where: {
        $0.nonce == mapping.nonce && $0.protocol == .pcp && $0.wish.transport == mapping.transport
          && $0.wish.internalPort == mapping.internalPort && $0.wish.remote == mapping.remote
      })
    else { return }
    if leases[index].state == .removing {
      // A late answer to the request is not one to the deletion, but a refusal ends both.
      if response.lifetime == 0 || response.result != 0 {
        change(index, now: now, into: &actions, news: &news) { lease, _ in lease.deleted() }
      }
      return
    }
    switch response.resultCode {
    case let code where mapping.remote != nil && code != .success && code != .cannotProvideExternal:
      // PEER is not to be had: MAP may be, and nobody asked for a mapping.
      change(index, now: now, into: &actions, news: &news) { lease, _ in
        lease.refused(for: .seconds(Int64(response.lifetime)), now: now)
      }
    case .success:
      guard response.lifetime > 0, mapping.external.port > 0, !mapping.external.address.isUnspecified else { return }
      var random = random
      change(index, now: now, into: &actions, news: &news) { lease, _ in
        _ = lease.granted(
          port: mapping.external.port, address: mapping.external.address, lifetime: response.lifetime, now: now,
          random: &random)
      }
      self.random = random
      set(.stranger, false, news: &news)
      if mapping.transport == .udp { addressTold(mapping.external.address, now: now, news: &news) }
    case .cannotProvideExternal:
      var random = random
      change(index, now: now, into: &actions, news: &news) {
        $0.conflicted(random: &random, now: now, into: &$1)
      }
      self.random = random
      if leases[index].state == .refused, mapping.remote == nil {
        set(.refuses(.pcp, code: Int(response.result)), true, news: &news)
      }
    case .noResources, .userExceededQuota, .networkFailure, .excessiveRemotePeers:
      refuse(index, for: .seconds(Int64(response.lifetime)), code: Int(response.result), now: now, &actions, &news)
    case .addressMismatch:
      set(.stranger, true, news: &news)
      protocolRefused(.pcp, code: Int(response.result), now: now, into: &actions, news: &news)
    case .notAuthorized, .unsupportedVersion, .unsupportedOpcode, .unsupportedProtocol, .malformedRequest,
      .unsupportedOption, .malformedOption, nil:
      protocolRefused(.pcp, code: Int(response.result), now: now, into: &actions, news: &news)
    }
  }

  private mutating func refuse(
    _ index: Int, for time: Duration, code: Int, now: MonotonicInstant, _ actions: inout [RouterAction],
    _ news: inout [MappingNews]
  ) {
    let spoken = leases[index].protocol ?? .pcp
    change(index, now: now, into: &actions, news: &news) { lease, _ in lease.refused(for: time, now: now) }
    set(.refuses(spoken, code: code), true, news: &news)
  }

  // MARK: NAT-PMP

  mutating func sendNATPMP(_ index: Int, delete: Bool, now: MonotonicInstant, into actions: inout [RouterAction]) {
    guard let router else { return }
    let lease = leases[index]
    let request = NATPMPRequest.map(
      lease.wish.transport, internalPort: lease.wish.internalPort, suggested: delete ? 0 : lease.suggested,
      lifetime: delete ? 0 : Self.lifetime)
    actions.append(.send(request.encoded(), to: Endpoint(router, port: Self.port)))
    if !delete, lease.sent + 1 >= Self.natPMPAttempts {
      // RFC 6886 §3.1: nine in about two minutes; after a pause it is asked anew.
      leases[index].unanswered(retry: .seconds(64), now: now)
    } else {
      leases[index].requestSent(until: now + (delete ? .milliseconds(400) : .milliseconds(250 << min(lease.sent, 8))))
    }
  }

  private mutating func natPMPReceived(
    _ response: NATPMPResponse, now: MonotonicInstant, into actions: inout [RouterAction], news: inout [MappingNews]
  ) {
    guard response.result == 0 else { return natPMPRefused(response, now: now, into: &actions, news: &news) }
    heardUnasked(now: now, news: &news)
    if !epoch.told(natPMP: response.epoch, now: now) {
      routerRestarted(now: now, into: &actions, news: &news)
    }
    switch response.content {
    case .externalAddress(let address):
      addressTold(address, now: now, news: &news)
      if stage == .probing, isAllowed(.natPMP), probesSent > 0 {
        settle(.natPMP, now: now, into: &actions, news: &news)
      }
    case .mapped(let transport, let inside, let outside, let lifetime):
      guard
        let index = leases.firstIndex(where: {
          $0.protocol == .natPMP && $0.wish.transport == transport && $0.wish.internalPort == inside
        })
      else { return }
      if lifetime == 0 {
        change(index, now: now, into: &actions, news: &news) { lease, _ in lease.deleted() }
      } else if outside > 0 {
        var random = random
        change(index, now: now, into: &actions, news: &news) { lease, _ in
          _ = lease.granted(port: outside, address: nil, lifetime: lifetime, now: now, random: &random)
        }
        self.random = random
      }
    case .refused: break
    }
  }

  private mutating func natPMPRefused(
    _ response: NATPMPResponse, now: MonotonicInstant, into actions: inout [RouterAction], news: inout [MappingNews]
  ) {
    guard case .refused(let opcode) = response.content else { return }
    if stage == .probing {
      // A gateway that knows only NAT-PMP answers PCP with its own version (RFC 6887 §9); what it does know is asked now.
      if response.resultCode == .unsupportedVersion, isAllowed(.natPMP), probesSent == 0 {
        timers.cancel(.pcpProbe)
        timers.set(.natPMPProbe, at: now)
      }
      return
    }
    guard stage == .settled(.natPMP), opcode == 1 || opcode == 2 else { return }
    let transport: MappedTransport = opcode == 1 ? .udp : .tcp
    // It does not say which one: all that wait for such an answer were refused.
    switch response.resultCode {
    case .networkFailure, .outOfResources:
      for index in leases.indices
      where leases[index].protocol == .natPMP && leases[index].wish.transport == transport
        && (leases[index].state == .requested || leases[index].state == .renewing)
      {
        refuse(index, for: Self.shortLifetimeError, code: Int(response.result), now: now, &actions, &news)
      }
    case .success, .unsupportedVersion, .notAuthorized, .unsupportedOpcode, nil:
      for index in leases.indices where leases[index].protocol == .natPMP && leases[index].state == .removing {
        change(index, now: now, into: &actions, news: &news) { lease, _ in lease.deleted() }
      }
      protocolRefused(.natPMP, code: Int(response.result), now: now, into: &actions, news: &news)
    }
  }
}
