public import NetworkTypes
import STUN

/// Where the STUN servers are. One that is written without a port is a domain: SRV says which hosts and ports serve it
/// (RFC 8489 §8.1), and where it says nothing the domain's own addresses do, on port 3478.
extension LinkCore {
  /// How long SRV is waited for while the addresses are there already.
  private static let servicePatience = Duration.milliseconds(1500)
  private static let serviceRefresh = Duration.seconds(300)
  private static let serviceRetry = Duration.seconds(60)
  /// Of one domain no more hosts are asked.
  private static let mostHosts = 4

  /// Asks where a STUN server is.
  mutating func resolveServer(_ server: HostPort, now: MonotonicInstant, into actions: inout [LinkAction]) {
    resolve(server, now: now, into: &actions)
    guard let service = Self.service(of: server), services[service] == nil,
      !timers.isSet(.service(service))
    else { return }
    timers.set(.service(service), at: now + Self.servicePatience)
    actions.append(.resolveService(service))
  }

  private static func service(of server: HostPort) -> String? {
    server.port == nil && server.address == nil ? STUNTransport.udp.serviceName(of: server.host) : nil
  }

  /// The rows of a service that `resolveService` asked for: none where it has none, `nil` where nobody could tell.
  public mutating func serviceResolved(
    _ service: String, _ records: [ServiceRecord]?, now: MonotonicInstant, into actions: inout [LinkAction]
  ) {
    timers.set(.service(service), at: now + (records == nil ? Self.serviceRetry : Self.serviceRefresh))
    // A failed look-up keeps what was known.
    guard let records else {
      if services[service] == nil { services[service] = [] }
      return updateSTUNServers(now: now, into: &actions)
    }
    let drawn = Array(ServiceRecord.ordered(records, random: &random).prefix(Self.mostHosts))
    let known = services[service] ?? []
    // The lot counts once: servers are not changed for their weights' sake.
    if known.count != drawn.count || !known.allSatisfy({ records.contains($0) }) { services[service] = drawn }
    if services[service] == nil { services[service] = [] }
    if doctor != nil { timers.set(.doctor, at: now) }
    for record in services[service] ?? [] { resolve(HostPort(host: record.target), now: now, into: &actions) }
    updateSTUNServers(now: now, into: &actions)
  }

  mutating func serviceTimerFired(_ service: String, now: MonotonicInstant, into actions: inout [LinkAction]) {
    guard uplinks.contains(where: { $0.configuration.stunServers.contains { Self.service(of: $0) == service } }) else {
      return
    }
    if services[service] == nil {
      // Nobody answers: the addresses will do, and what comes later is taken.
      timers.set(.service(service), at: now + Self.serviceRetry)
      services[service] = []
      return updateSTUNServers(now: now, into: &actions)
    }
    timers.set(.service(service), at: now + Self.serviceRefresh)
    actions.append(.resolveService(service))
  }

  /// Whether a host is one of those that a configured server's domain names.
  func isServiceHost(_ host: String) -> Bool {
    uplinks.contains { uplink in
      uplink.configuration.stunServers.contains { server in
        Self.service(of: server).flatMap { services[$0] }?.contains { $0.target == host } ?? false
      }
    }
  }

  // MARK: What is known

  /// Where a server is asked, in the order of preference; empty as long as that is not known.
  func endpoints(of server: HostPort, isV4: Bool) -> [Endpoint] {
    if let service = Self.service(of: server) {
      guard let records = services[service] else { return [] }
      var found: [Endpoint] = []
      for record in records {
        let addresses = addresses(of: HostPort(host: record.target))
        if let address = addresses.first(where: { $0.isV4 == isV4 }) {
          found.append(Endpoint(address, port: record.port))
        } else if addresses.isEmpty, !unresolved.contains(record.target), found.isEmpty {
          // One that is preferred is still being looked up.
          return []
        }
      }
      if !found.isEmpty { return found }
    }
    let port = server.port ?? STUNTransport.udp.defaultPort
    return addresses(of: server).first { $0.isV4 == isV4 }.map { [Endpoint($0, port: port)] } ?? []
  }

  /// The addresses of an uplink's servers, in their order.
  func stunServers(of uplink: Int, isV4: Bool) -> [Endpoint] {
    var found: [Endpoint] = []
    for server in uplinks[uplink].configuration.stunServers {
      for endpoint in endpoints(of: server, isV4: isV4) where !found.contains(endpoint) { found.append(endpoint) }
    }
    return found
  }

  /// Whether it is known where a server is, or that nobody can tell.
  func isLookedUp(_ server: HostPort) -> Bool {
    if !endpoints(of: server, isV4: true).isEmpty || !endpoints(of: server, isV4: false).isEmpty { return true }
    if let service = Self.service(of: server) {
      guard let records = services[service] else { return false }
      let hosts = records.map(\.target)
      guard hosts.allSatisfy({ names[$0] != nil || unresolved.contains($0) }) else { return false }
    }
    return server.address != nil || names[server.host] != nil || unresolved.contains(server.host)
  }

  /// Whether a look-up has shown that nobody knows where a server is.
  func isUnknown(_ server: HostPort) -> Bool {
    isLookedUp(server) && endpoints(of: server, isV4: true).isEmpty && endpoints(of: server, isV4: false).isEmpty
  }
}
