import LinkManager
package import NetworkSimulator
package import NetworkTypes
package import PortMapping

/// The router that a simulated link asks for port mappings: it answers at once, and no packet of it crosses the network.
extension LinkHost {
  mutating func askRouter(
    _ action: RouterAction, uplink: Int, now: MonotonicInstant, into actions: inout [HostAction]
  ) {
    guard var place = routerPlace else { return }
    var answer: RouterEvent?
    switch action {
    case .findRouter:
      if !place.kept.isEmpty { answers.append((.kept(place.kept), uplink)) }
      answer = .found(router: place.address, local: place.local)
    case .send(let bytes, let destination):
      let source = Endpoint(place.local, port: 40_000)
      answer = place.router.answer(bytes.span, from: source, now: now).map { .received($0, from: destination) }
    case .ask(let id, let request):
      answer = .answered(id, place.router.answer(request, from: place.local, now: now))
    case .keep(let leases): place.kept = leases
    }
    routerPlace = place
    if let answer { answers.append((answer, uplink)) }
    tellAnswers(now: now, into: &actions)
  }

  /// What the router announces is heard.
  package mutating func hearRouter(now: MonotonicInstant, into actions: inout [HostAction]) {
    guard let place = routerPlace else { return }
    for bytes in place.router.announcements(now: now) {
      answers.append((.received(bytes, from: Endpoint(place.address, port: MappingClient.port)), 0))
    }
    if place.router.notifies(now: now) { answers.append((.notified, 0)) }
    tellAnswers(now: now, into: &actions)
  }

  /// One after the other: what the link asks meanwhile is answered after it.
  private mutating func tellAnswers(now: MonotonicInstant, into actions: inout [HostAction]) {
    guard !isTellingAnswers else { return }
    isTellingAnswers = true
    defer { isTellingAnswers = false }
    while !answers.isEmpty {
      let (event, uplink) = answers.removeFirst()
      apply(.routerTold(event, uplink: uplink), now: now, into: &actions)
    }
  }
}

/// Where the router of a simulated office is, what it is like, and what the link wrote down of it.
public struct RouterPlace: Sendable {
  package var router: MappingRouter
  package var address: IPAddress
  package var local: IPAddress
  package var kept: [KeptLease] = []

  package init(_ router: MappingRouter, at address: IPAddress, local: IPAddress) {
    self.router = router
    self.address = address
    self.local = local
  }

  /// The forwards that its table amounts to, for the NAT of the network.
  package mutating func forwards(now: MonotonicInstant) -> [PortForward] {
    router.entries.compactMap { entry -> PortForward? in
      guard entry.transport == .udp, entry.expiresAt.map({ $0 > now }) ?? true else { return nil }
      return PortForward(outsidePort: entry.externalPort, to: Endpoint(entry.client, port: entry.internalPort))
    }
  }
}
