import CallControl
import MediaRelay
import NATDiscovery
import NetworkTypes
import OrderedCollections
import SDP
import SIPTransaction

/// What was found out about the NAT becomes what is done, by ``LinkStrategy/table``.
extension LinkCore {
  // MARK: What is known

  /// The findings that hold now: what a discovery found, and what shows by itself.
  func findings(_ uplink: Int) -> NATFindings {
    var findings = uplinks[uplink].nat.findings ?? NATFindings()
    if uplinks[uplink].nat.isBlocked {
      findings = NATFindings()
      findings.natType = .blocked
    } else if findings.natType == .blocked {
      // No STUN server answered, but somebody else does.
      findings = NATFindings()
    }
    if findings.mapping == .notChecked, isFlowElsewhere(uplink) {
      findings.mapping = .addressAndPortDependent
      findings.natType = .symmetric
    }
    return findings
  }

  /// Whether a provider sees our packets come from another place than STUN does: two destinations, two mappings.
  private func isFlowElsewhere(_ uplink: Int) -> Bool {
    trunks.contains { trunk in
      guard let flow = trunk.flow, let socket = trunk.socket, sockets[socket.rawValue].side == .uplink(uplink),
        let stun = sockets[socket.rawValue].stun, !stun.isSilent, let mapping = stun.mapping
      else { return false }
      return !trunk.isRemoved && flow != mapping && flow.address.isPublic == mapping.address.isPublic
    }
  }

  func strategy(_ uplink: Int) -> LinkStrategy {
    LinkStrategy.row(for: findings(uplink), isFixed: uplinks[uplink].configuration.publicAddress != nil)
  }

  /// The strategy for a socket; of a family of addresses that was not examined nothing is known.
  func strategy(of socket: LinkSocket) -> LinkStrategy? {
    let state = sockets[socket.rawValue]
    guard case .uplink(let uplink) = state.side else { return nil }
    let isExamined = state.configured.address.isV4 == uplinks[uplink].nat.isV4 || uplinks[uplink].nat.isBlocked
    return isExamined
      ? strategy(uplink)
      : LinkStrategy.row(for: NATFindings(), isFixed: uplinks[uplink].configuration.publicAddress != nil)
  }

  /// The longest silence on a port of the uplink.
  func keepalive(_ uplink: Int) -> Duration {
    expectedPace(
      uplink, LinkStrategy.keepalive(configured: uplinks[uplink].configuration.keepalive, for: findings(uplink)))
  }

  /// How the media ports of a socket learn their mapping and keep it; `nil` where no server can be asked.
  func mediaPlan(_ socket: LinkSocket) -> MediaSTUNPlan? {
    let state = sockets[socket.rawValue]
    guard case .uplink(let uplink) = state.side, let server = state.stun?.currentServer,
      let strategy = strategy(of: socket)
    else { return nil }
    return MediaSTUNPlan(
      server: server, keepalive: keepalive(uplink), keepsPeer: strategy.keepsMediaPeers,
      keepsMapping: strategy.audio == .openingAndMapping)
  }

  // MARK: What is done

  /// Other findings: keepalives and live calls follow them.
  mutating func findingsChanged(_ uplink: Int, now: MonotonicInstant, into actions: inout [LinkAction]) {
    let name = uplinks[uplink].configuration.name
    let findings = findings(uplink)
    if findings.natType != .unknown || findings.mapping != .notChecked {
      actions.append(.log(.info, "uplink \(name): \(strategy(uplink).sentence)"))
    }
    let keepalive = keepalive(uplink)
    for index in sockets.indices where sockets[index].side == .uplink(uplink) {
      sockets[index].stun?.dependsOnDestination = findings.dependsOnDestination
      if let stun = sockets[index].stun, stun.keepalive != keepalive {
        sockets[index].stun?.setKeepalive(keepalive, now: now)
      }
      tellMediaPlan(of: index, into: &actions)
    }
    for index in trunks.indices {
      if trunks[index].socket.map({ sockets[$0.rawValue].side == .uplink(uplink) }) ?? false {
        setTargetKeepalive(index, now: now)
      }
    }
    tellOfShortLifetime(uplink, findings, keepalive, now: now, into: &actions)
    updatePortMappings(uplink, now: now, into: &actions)
  }

  /// The media ports of live calls ask as is right for their uplink now.
  func tellMediaPlan(of index: Int, into actions: inout [LinkAction]) {
    guard let plan = mediaPlan(sockets[index].id) else { return }
    for call in calls.values {
      for leg in call.legs where leg.path.socket == index && !leg.isEnded {
        for stream in leg.streams.compactMap({ $0 }) where stream.isOpen {
          actions.append(.media(.setSTUN(stream.id, plan)))
        }
      }
    }
  }

  private mutating func tellOfShortLifetime(
    _ uplink: Int, _ findings: NATFindings, _ keepalive: Duration, now: MonotonicInstant,
    into actions: inout [LinkAction]
  ) {
    let configured = uplinks[uplink].configuration.keepalive
    guard keepalive < configured, let lifetime = findings.bindingLifetime,
      uplinks[uplink].nat.toldLifetime != lifetime
    else { return }
    uplinks[uplink].nat.toldLifetime = lifetime
    let sentence =
      "The router forgets a port after \(lifetime) s of silence, so keepalives leave every "
      + "\(Self.seconds(keepalive)) s instead of every \(Self.seconds(configured)) s."
    tell(
      .shortBinding, of: .uplink(uplink), sentence,
      evidence: "measured on spare ports: no answer came through after \(lifetime) s", again: .zero, now: now,
      into: &actions)
  }

  private static func seconds(_ duration: Duration) -> String {
    let milliseconds = duration.nanoseconds / 1_000_000
    return milliseconds % 1000 == 0 ? "\(milliseconds / 1000)" : "\(milliseconds / 1000).\(milliseconds % 1000 / 100)"
  }
}
