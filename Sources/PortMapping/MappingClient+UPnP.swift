import NetworkTypes

/// UPnP: questions that the shell puts to the gateway.
extension MappingClient {
  /// Not every gateway tells what it is subscribed to for, and none that it began anew: the address is asked for so often.
  private static let addressPeriod = Duration.seconds(30)
  /// So often where nothing is mapped, which could be gone, and by NAT-PMP, which announces what changes.
  private static let quietAddressPeriod = Duration.seconds(300)
  /// By PCP, which has no question for it, the other protocols are tried so often, and so soon after each other.
  private static let mostAddressTries = 3
  private static let addressPause = Duration.seconds(2)
  /// RFC 863: whatever comes there is thrown away.
  private static let discardPort: UInt16 = 9
  private static let retry = Duration.seconds(10)
  private static let mostQuestions = 64
  /// A gateway that has no events is asked for them again so much later.
  private static let subscriptionRetry = Duration.seconds(600)

  mutating func ask(_ what: Question, _ request: UPnPRequest, into actions: inout [RouterAction]) {
    let id = nextQuestion
    nextQuestion += 1
    questions.append(AskedQuestion(id: id, what: what))
    if questions.count > Self.mostQuestions { questions.removeFirst() }
    actions.append(.ask(id, request))
  }

  /// Asks for the external address, where the protocol in use tells it apart from the mappings.
  mutating func askForAddress(
    now: MonotonicInstant, into actions: inout [RouterAction], news: inout [MappingNews]
  ) {
    guard let spoken = protocolInUse else { return }
    timers.set(.address, at: now + Self.quietAddressPeriod)
    guard wantsAddress || hasWishes else { return }
    switch spoken {
    case .natPMP: askByNATPMP(into: &actions)
    case .upnp:
      askByUPnP(into: &actions)
      // Nothing shows that a gateway began anew but that what it held is gone.
      if let lease = leases.first(where: { $0.state == .held && $0.protocol == .upnp }), let port = lease.externalPort,
        !questions.contains(where: { $0.what == .verify(lease: lease.id) })
      {
        ask(.verify(lease: lease.id), .entry(lease.wish.transport, externalPort: port), into: &actions)
      }
      if hasWishes { timers.set(.address, at: now + Self.addressPeriod) }
    case .pcp:
      // A mapping tells it. Without one, who speaks PCP mostly speaks something else that does.
      guard !hasWishes else { return }
      if isAllowed(.natPMP) { askByNATPMP(into: &actions) }
      if upnpVersion != nil { askByUPnP(into: &actions) }
      if let index = leases.firstIndex(where: { $0.id == addressLease }) {
        guard leases[index].state == .held else { return }
        return change(index, now: now, into: &actions, news: &news) { $0.asked(now, into: &$1) }
      }
      guard externalAddress == nil else { return }
      addressTries += 1
      if addressTries <= Self.mostAddressTries {
        timers.set(.address, at: now + Self.addressPause)
      } else if let addressPeer {
        let wish = MappingWish(internalPort: Self.discardPort, preferredPort: 0, remote: addressPeer)
        addressLease = nextLease
        if request(wish, now: now, into: &actions, news: &news) == nil { addressLease = nil }
      }
    }
  }

  private func askByNATPMP(into actions: inout [RouterAction]) {
    guard let router else { return }
    actions.append(.send(NATPMPRequest.externalAddress.encoded(), to: Endpoint(router, port: Self.port)))
  }

  private mutating func askByUPnP(into actions: inout [RouterAction]) {
    if !questions.contains(where: { $0.what == .address }) { ask(.address, .externalAddress, into: &actions) }
  }

  /// The flow that told the address is not needed any more.
  mutating func closeAddressFlow(
    now: MonotonicInstant, into actions: inout [RouterAction], news: inout [MappingNews]
  ) {
    guard let lease = addressLease else { return }
    addressLease = nil
    release(lease, now: now, into: &actions, news: &news)
  }

  /// Asks to be told of changes, where UPnP is spoken.
  mutating func subscribe(into actions: inout [RouterAction]) {
    guard stage == .settled(.upnp), hasWishes, !isStopping, !questions.contains(where: { $0.what == .subscribe }) else {
      return
    }
    ask(.subscribe, .subscribe, into: &actions)
  }

  mutating func askUPnP(_ index: Int, delete: Bool, now: MonotonicInstant, into actions: inout [RouterAction]) {
    guard let local else { return }
    let lease = leases[index]
    guard let version = upnpVersion else { return leases[index].postponed(until: now + .seconds(1)) }
    // An answer is always given, be it that there was none; the deadline is for a shell that forgets, and for the end.
    leases[index].requestSent(until: now + (delete && isStopping ? .milliseconds(700) : .seconds(15)))
    let transport = lease.wish.transport
    if delete {
      let port = lease.externalPort ?? lease.suggested
      // Only what is ours is deleted: another host may have the port by now, and UPnP would let us.
      ask(.examine(lease: lease.id), .entry(transport, externalPort: port), into: &actions)
    } else if version >= 2, !lease.isPermanent {
      ask(
        .add(lease: lease.id, isAny: true),
        .addAny(
          transport, externalPort: lease.suggested, internalPort: lease.wish.internalPort, client: local,
          lease: Self.lifetime), into: &actions)
    } else if lease.isPermanent, lease.state == .renewing {
      // It does not end; it is looked at.
      ask(.verify(lease: lease.id), .entry(transport, externalPort: lease.suggested), into: &actions)
    } else {
      ask(.add(lease: lease.id, isAny: false), addition(lease, local, Self.lifetime), into: &actions)
    }
  }

  private func addition(_ lease: PortLease, _ local: IPAddress, _ lifetime: UInt32) -> UPnPRequest {
    .add(
      lease.wish.transport, externalPort: lease.suggested, internalPort: lease.wish.internalPort, client: local,
      lease: lifetime)
  }

  mutating func upnpAnswered(
    _ id: UInt64, _ result: UPnPResult, now: MonotonicInstant, into actions: inout [RouterAction],
    news: inout [MappingNews]
  ) {
    guard let position = questions.firstIndex(where: { $0.id == id }) else { return }
    let what = questions.remove(at: position).what
    switch what {
    case .discover:
      if case .found(let version) = result { upnpVersion = version }
    case .address:
      if case .externalAddress(let address) = result { addressTold(address, now: now, news: &news) }
      // A gateway that is not there any more has begun anew when it is back, perhaps at another place.
      if result == .failed { upnpLost(now: now, into: &actions, news: &news) }
    case .subscribe:
      guard stage == .settled(.upnp), hasWishes else { return }
      var wait = Self.subscriptionRetry
      if case .subscribed(let seconds) = result { wait = .seconds(max(30, Int64(seconds) / 2)) }
      timers.set(.subscription, at: now + wait)
    case .add(let lease, let isAny):
      guard let index = leases.firstIndex(where: { $0.id == lease }) else { return }
      added(index, isAny: isAny, result, now: now, into: &actions, news: &news)
    case .verify(let lease):
      guard let index = leases.firstIndex(where: { $0.id == lease }) else { return }
      verified(index, result, now: now, into: &actions, news: &news)
    case .examine(let lease):
      guard let index = leases.firstIndex(where: { $0.id == lease }), leases[index].state == .removing else { return }
      let port = leases[index].externalPort ?? leases[index].suggested
      let transport = leases[index].wish.transport
      // A router has one table for all protocols: what is held by another one now is not deleted with the leftover.
      let isHeldAnew = leases.contains { $0.isHeld && $0.externalPort == port && $0.wish.transport == transport }
      if !isHeldAnew, case .entry(let client, let inside) = result, client == local,
        inside == leases[index].wish.internalPort
      {
        ask(
          .delete(lease: lease), .delete(leases[index].wish.transport, externalPort: port), into: &actions)
      } else if result != .failed {
        change(index, now: now, into: &actions, news: &news) { lease, _ in lease.deleted() }
      }
    case .delete(let lease):
      guard let index = leases.firstIndex(where: { $0.id == lease }), result != .failed else { return }
      change(index, now: now, into: &actions, news: &news) { lease, _ in lease.deleted() }
    }
  }

  private mutating func added(
    _ index: Int, isAny: Bool, _ result: UPnPResult, now: MonotonicInstant, into actions: inout [RouterAction],
    news: inout [MappingNews]
  ) {
    guard leases[index].state == .requested || leases[index].state == .renewing, let local else { return }
    let lease = leases[index]
    switch result {
    case .added(let port): grant(index, port: port, Self.lifetime, now: now, into: &actions, news: &news)
    case .refused(UPnPErrorCode.onlyPermanentLeases):
      ask(.add(lease: lease.id, isAny: false), addition(lease, local, 0), into: &actions)
      leases[index].becomesPermanent()
    case .refused(UPnPErrorCode.conflict), .refused(UPnPErrorCode.conflictWithOther):
      var random = random
      change(index, now: now, into: &actions, news: &news) {
        $0.conflicted(random: &random, now: now, into: &$1)
      }
      self.random = random
    case .refused(UPnPErrorCode.samePortRequired) where lease.suggested != lease.wish.internalPort:
      leases[index].suggested = lease.wish.internalPort
      askUPnP(index, delete: false, now: now, into: &actions)
    case .refused(UPnPErrorCode.notAuthorized):
      protocolRefused(.upnp, code: UPnPErrorCode.notAuthorized, now: now, into: &actions, news: &news)
    // 401: IGD 2 is promised, and AddAnyPortMapping is not there.
    case .refused(401) where isAny:
      upnpVersion = 1
      askUPnP(index, delete: false, now: now, into: &actions)
    case .refused(let code):
      change(index, now: now, into: &actions, news: &news) { lease, _ in lease.refused(for: .seconds(60), now: now) }
      set(.refuses(.upnp, code: code), true, news: &news)
    case .failed:
      change(index, now: now, into: &actions, news: &news) { lease, _ in lease.unanswered(retry: Self.retry, now: now) }
    case .found, .notFound, .externalAddress, .deleted, .entry, .subscribed: break
    }
  }

  private mutating func grant(
    _ index: Int, port: UInt16, _ lifetime: UInt32, now: MonotonicInstant, into actions: inout [RouterAction],
    news: inout [MappingNews]
  ) {
    let isRenewed = leases[index].state == .renewing
    let seconds = leases[index].isAskedForEver ? 0 : lifetime
    var random = random
    change(index, now: now, into: &actions, news: &news) { lease, _ in
      _ = lease.granted(port: port, address: nil, lifetime: seconds, now: now, random: &random)
    }
    self.random = random
    // Some say yes and do nothing: the table of the gateway shows it.
    if !isRenewed {
      ask(
        .verify(lease: leases[index].id), .entry(leases[index].wish.transport, externalPort: port), into: &actions)
    }
  }

  private mutating func verified(
    _ index: Int, _ result: UPnPResult, now: MonotonicInstant, into actions: inout [RouterAction],
    news: inout [MappingNews]
  ) {
    let lease = leases[index]
    guard lease.isHeld, let port = lease.externalPort else { return }
    let finding = RouterFinding.mapsNothing(.upnp, port: port)
    switch result {
    case .entry(let client, let inside):
      let isOurs = client == local && inside == lease.wish.internalPort
      set(finding, !isOurs, news: &news)
      leases[index].isVerified = isOurs
      if !isOurs {
        news.append(.leaseChanged(lease.id))
      } else if lease.state == .renewing {
        grant(index, port: port, 0, now: now, into: &actions, news: &news)
      }
    case .refused(UPnPErrorCode.noSuchEntry):
      if lease.isVerified || lease.state == .renewing {
        // The router has begun anew: it is asked for everything again.
        routerRestarted(now: now, into: &actions, news: &news)
        leases[index].isVerified = false
      } else {
        set(finding, true, news: &news)
        news.append(.leaseChanged(lease.id))
      }
    default:
      if lease.state == .renewing { leases[index].unanswered(retry: Self.retry, now: now) }
    }
  }

  /// The gateway does not answer: it is looked for anew.
  private mutating func upnpLost(now: MonotonicInstant, into actions: inout [RouterAction], news: inout [MappingNews]) {
    guard stage == .settled(.upnp), !isStopping else { return }
    startOver(now: now, into: &actions, news: &news)
  }
}
