import NetworkTypes

/// Finding out which protocol the router speaks.
///
/// All three are asked for side by side, PCP with a second's lead over NAT-PMP (RFC 6887 Appendix A: a router that knows only
/// NAT-PMP says so at once, by its version), and UPnP is taken only when the other two were silent.
extension MappingClient {
  /// How long PCP is waited for before NAT-PMP is asked too.
  private static let pcpLead = Duration.seconds(1)
  /// How long both are waited for before UPnP is taken.
  private static let upnpPatience = Duration.seconds(3)
  /// When it is decided that nothing is spoken.
  private static let patience = Duration.seconds(8)
  private static let again = Duration.seconds(600)

  func isAllowed(_ spoken: MappingProtocol) -> Bool {
    allowed.contains(spoken) && !refusedProtocols.contains(spoken)
  }

  mutating func probe(now: MonotonicInstant, into actions: inout [RouterAction]) {
    guard let router, let local else { return }
    stage = .probing
    probingSince = now
    probesSent = 0
    timers.cancel(.probeAgain)
    if isAllowed(.pcp) {
      actions.append(.send(PCPRequest(lifetime: 0, client: local).encoded(), to: Endpoint(router, port: Self.port)))
      timers.set(.pcpProbe, at: now + .seconds(3))
    }
    if isAllowed(.natPMP) { timers.set(.natPMPProbe, at: isAllowed(.pcp) ? now + Self.pcpLead : now) }
    if isAllowed(.upnp) { ask(.discover, .discover(at: router), into: &actions) }
    timers.set(.upnpProbe, at: now + (isAllowed(.pcp) || isAllowed(.natPMP) ? Self.upnpPatience : .milliseconds(100)))
  }

  mutating func probeTimerFired(
    _ timer: Timer, now: MonotonicInstant, into actions: inout [RouterAction], news: inout [MappingNews]
  ) {
    if timer == .probeAgain {
      refusedProtocols = []
      stage = .idle
      return
    }
    guard stage == .probing, let router, let local else { return }
    switch timer {
    case .pcpProbe:
      // RFC 6887 §8.1.1 has the next one after 6 s; by then it is decided.
      actions.append(.send(PCPRequest(lifetime: 0, client: local).encoded(), to: Endpoint(router, port: Self.port)))
    case .natPMPProbe:
      // RFC 6886 §3.1: 250 ms, doubled each time.
      actions.append(.send(NATPMPRequest.externalAddress.encoded(), to: Endpoint(router, port: Self.port)))
      probesSent += 1
      if probesSent < 5 { timers.set(.natPMPProbe, at: now + .milliseconds(250 << (probesSent - 1))) }
    case .upnpProbe:
      if upnpVersion != nil, isAllowed(.upnp) { return settle(.upnp, now: now, into: &actions, news: &news) }
      let end = probingSince + Self.patience
      guard now < end else {
        stage = .nothing
        timers.set(.probeAgain, at: now + Self.again)
        return set(.speaksNothing, refusedProtocols.isEmpty && hasWishes, news: &news)
      }
      timers.set(.upnpProbe, at: min(now + .milliseconds(250), end))
    default: break
    }
  }

  mutating func settle(
    _ spoken: MappingProtocol, now: MonotonicInstant, into actions: inout [RouterAction], news: inout [MappingNews]
  ) {
    stage = .settled(spoken)
    addressTries = 0
    for timer in [Timer.pcpProbe, .natPMPProbe, .upnpProbe, .probeAgain] { timers.cancel(timer) }
    var unused: [MappingNews] = []
    set(.speaksNothing, false, news: &unused)
    askForAddress(now: now, into: &actions, news: &news)
    subscribe(into: &actions)
    // A leftover of UPnP is removed by UPnP, whatever else is spoken.
    if spoken != .upnp, leases.contains(where: { $0.protocol == .upnp }), upnpVersion == nil,
      !questions.contains(where: { $0.what == .discover }), let router
    {
      ask(.discover, .discover(at: router), into: &actions)
    }
  }

  /// The router refuses a protocol as a whole: the next best one is tried.
  mutating func protocolRefused(
    _ spoken: MappingProtocol, code: Int, now: MonotonicInstant, into actions: inout [RouterAction],
    news: inout [MappingNews]
  ) {
    guard stage == .settled(spoken) else { return }
    set(.refuses(spoken, code: code), true, news: &news)
    if !refusedProtocols.contains(spoken) { refusedProtocols.append(spoken) }
    for index in leases.indices
    where leases[index].protocol == spoken && leases[index].state != .removing && leases[index].wish.remote == nil {
      change(index, now: now, into: &actions, news: &news) { lease, _ in lease.moved() }
      leases[index].protocol = nil
    }
    guard allowed.contains(where: { isAllowed($0) }) else {
      stage = .nothing
      timers.set(.probeAgain, at: now + Self.again)
      return
    }
    stage = .idle
  }

  /// The router began anew, and has forgotten everything: everything is asked for again, at once. RFC 6887 §14.1.1 would
  /// have us wait up to 5 s, so that a thousand clients do not ask together; a call is worth more than that, and an office
  /// has one of us.
  mutating func routerRestarted(
    now: MonotonicInstant, into actions: inout [RouterAction], news: inout [MappingNews]
  ) {
    suspect(now: now, news: &news)
    askAgain(now: now, into: &actions, news: &news)
    subscribe(into: &actions)
    if stage == .nothing || !refusedProtocols.isEmpty {
      refusedProtocols = []
      if stage == .nothing { stage = .idle }
    }
  }
}
