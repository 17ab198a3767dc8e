import NATDiscovery
public import NetworkTypes

/// When it is found out which NAT stands in the way, and what becomes of the findings.
///
/// A discovery uses ports of its own, so the port that carries SIP stays as quiet as it is. It runs at the start, and after
/// a confirmed change of the public address, but not twice within an hour; sooner only where nobody could be asked, where the
/// line was blocked, and without a server that was found to lie. Some minutes after the start the lifetime of a binding is
/// measured too, once: that takes as long as the binding lives, and a hundred ports.
extension LinkCore {
  /// A changed address is most often the same router's: it is examined again, but not after each of many changes.
  private static let leastPause = Duration.seconds(3600)
  /// When the lifetime is measured: after what a start brings with it.
  private static let lifetimeDelay = Duration.seconds(180)
  /// Where nobody could even be asked, as before this machine has a network.
  private static let retryPause = Duration.seconds(10)
  /// A line that let nothing pass and now does is examined again at once, but not more often than this.
  private static let leastPauseAfterBlock = Duration.seconds(60)

  /// The first server of the uplink is known: the first discovery begins.
  mutating func serversKnown(uplink: Int, now: MonotonicInstant, into actions: inout [LinkAction]) {
    guard uplinks[uplink].nat.discoveryBegan == nil else { return }
    discover(uplink, withLifetime: false, now: now, into: &actions)
  }

  /// The public address was confirmed to be another one.
  mutating func rediscover(uplink: Int, now: MonotonicInstant) {
    guard let began = uplinks[uplink].nat.discoveryBegan, !timers.isSet(.discovery(uplink: uplink)) else { return }
    // What changed is still settling.
    timers.set(.discovery(uplink: uplink), at: max(began + Self.leastPause, now + .seconds(10)))
  }

  /// Something answers on a line that was found to let nothing pass.
  mutating func rediscoverUnblocked(uplink: Int, now: MonotonicInstant) {
    guard let began = uplinks[uplink].nat.discoveryBegan else { return }
    timers.set(.discovery(uplink: uplink), at: max(began + Self.leastPauseAfterBlock, now + .seconds(1)))
  }

  /// A server tells another address than everybody else, and what it saw made the NAT look like another one.
  mutating func rediscoverWithoutLiar(uplink: Int, now: MonotonicInstant, into actions: inout [LinkAction]) {
    uplinks[uplink].nat.isVoid = uplinks[uplink].nat.isDiscovering
    discover(uplink, withLifetime: false, now: now, into: &actions)
  }

  mutating func discoveryDue(_ uplink: Int, now: MonotonicInstant, into actions: inout [LinkAction]) {
    let nat = uplinks[uplink].nat
    let measures =
      uplinks[uplink].configuration.measuresLifetime && !nat.isLifetimeSettled
      && nat.findings.map { $0.natType != .blocked } ?? false
    discover(uplink, withLifetime: measures, now: now, into: &actions)
  }

  private mutating func discover(
    _ uplink: Int, withLifetime: Bool, now: MonotonicInstant, into actions: inout [LinkAction]
  ) {
    let configuration = uplinks[uplink].configuration
    guard configuration.discoversNAT, configuration.publicAddress == nil, !isStopping,
      !uplinks[uplink].nat.isDiscovering
    else { return }
    let liars = uplinks[uplink].tribunal.open.compactMap(\.suspect)
    for socket in sockets where socket.side == .uplink(uplink) {
      guard let local = socket.local else { continue }
      let servers = stunServers(of: uplink, isV4: local.address.isV4).filter { !liars.contains(.stunServer($0)) }
      guard !servers.isEmpty else { continue }
      uplinks[uplink].nat.isDiscovering = true
      uplinks[uplink].nat.isMeasuring = withLifetime
      uplinks[uplink].nat.discoveryBegan = now
      uplinks[uplink].nat.isV4 = local.address.isV4
      let settings = DiscoverySettings(
        servers: servers, local: Endpoint(local.address, port: 0), measuresLifetime: withLifetime)
      return actions.append(.discoverNAT(uplink: uplink, settings))
    }
  }

  /// What `discoverNAT` found; `nil` where the shell could not even begin.
  public mutating func natDiscovered(
    _ findings: NATFindings?, uplink: Int, now: MonotonicInstant, into actions: inout [LinkAction]
  ) {
    guard uplinks.indices.contains(uplink), uplinks[uplink].nat.isDiscovering else { return }
    uplinks[uplink].nat.isDiscovering = false
    if uplinks[uplink].nat.isVoid {
      uplinks[uplink].nat.isVoid = false
      return discover(uplink, withLifetime: false, now: now, into: &actions)
    }
    guard var findings else { return timers.set(.discovery(uplink: uplink), at: now + Self.retryPause) }
    let before = uplinks[uplink].nat.findings
    if findings.bindingLifetime == nil, findings.natType == before?.natType {
      findings.bindingLifetime = before?.bindingLifetime
      findings.bindingLifetimeIsAtLeast = before?.bindingLifetimeIsAtLeast ?? false
    }
    uplinks[uplink].nat.findings = findings
    doubtRouterAddress(uplink, now: now, into: &actions)
    if let told = findings.routerAddress {
      uplinks[uplink].tribunal.heard(.router, sees: told, now: now)
      judge(uplink, now: now, into: &actions)
    }
    if findings.natType == .blocked {
      mayBeBlocked(uplink, now: now)
    } else if uplinks[uplink].nat.isMeasuring {
      uplinks[uplink].nat.isLifetimeSettled = true
    } else if uplinks[uplink].configuration.measuresLifetime, !uplinks[uplink].nat.isLifetimeSettled {
      timers.set(.discovery(uplink: uplink), at: now + Self.lifetimeDelay)
    }
    actions.append(.statusChanged)
    guard findings != before else { return }
    findingsChanged(uplink, now: now, into: &actions)
  }
}
