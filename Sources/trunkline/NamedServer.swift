import DatagramSockets
import NameResolver
import NetworkTypes
import STUN

/// A STUN server as a person names it, and where it is.
struct NamedServer: Equatable, CustomStringConvertible {
  /// More hosts of one domain are not asked.
  private static let mostHosts = 4

  let uri: STUNURI
  /// As it was written.
  let description: String

  /// `HOST`, `HOST:PORT`, an address, or a URI of RFC 7064.
  init?(_ text: String) {
    description = text
    if IPAddress(text) != nil {
      uri = STUNURI(host: text)
    } else if let read = STUNURI(text) ?? STUNURI(isSecure: false, hostPort: text) {
      uri = read
    } else {
      return nil
    }
  }

  init(_ host: String, _ port: UInt16?) {
    uri = STUNURI(host: host, port: port)
    description = "\(uri)".replacing("stun:", with: "", maxReplacements: 1)
  }

  static func == (left: NamedServer, right: NamedServer) -> Bool { left.uri == right.uri }

  /// Where the servers are, in their order: of the family that is wanted, else of the first one's.
  static func targets(of servers: [NamedServer], byTCP: Bool, isV4: Bool?) async -> [STUNTarget] {
    var found: [STUNTarget] = []
    let allPlaces = await places(of: servers, byTCP: byTCP)
    for (server, places) in zip(servers, allPlaces) {
      let uri = server.uri
      let transport = server.transport(byTCP: byTCP)
      for (host, port) in places {
        let family = isV4 ?? found.first?.endpoint.address.isV4
        // NAT is about IPv4: where a server has both, and nothing else was asked for, that is examined.
        let suitable = await addresses(of: host).filter { family == nil || $0.isV4 == family }
        guard let address = suitable.first(where: \.isV4) ?? suitable.first else { continue }
        // RFC 8489 §8.1: a certificate has to be for the domain that was asked for, not for what DNS made of it.
        let target = STUNTarget(
          Endpoint(address, port: port), transport: transport, domain: uri.address == nil ? uri.host : nil)
        if !found.contains(where: { $0.endpoint == target.endpoint && $0.transport == transport }) {
          found.append(target)
        }
      }
    }
    return found
  }

  private func transport(byTCP: Bool) -> STUNTransport { uri.isSecure ? .tls : byTCP ? .tcp : .udp }

  /// Hosts and ports of each server, all looked up at the same time.
  private static func places(of servers: [NamedServer], byTCP: Bool) async -> [[(host: String, port: UInt16)]] {
    var random = SystemRandom.source()
    return await withTaskGroup(of: (Int, [(host: String, port: UInt16)]).self) { group in
      for (index, server) in servers.enumerated() {
        var own = RandomSource(seed: random.next())
        group.addTask { (index, await places(of: server.uri, server.transport(byTCP: byTCP), &own)) }
      }
      var found = servers.map { _ in [(host: String, port: UInt16)]() }
      for await (index, places) in group { found[index] = places }
      return found
    }
  }

  /// Hosts and ports: those written, those of SRV, or the host itself and the usual port.
  private static func places(
    of uri: STUNURI, _ transport: STUNTransport, _ random: inout RandomSource
  ) async -> [(host: String, port: UInt16)] {
    if let port = uri.port { return [(uri.host, port)] }
    if uri.address == nil {
      let resolver = ServiceResolver(patience: .milliseconds(700))
      let records = await withCheckedContinuation { continuation in
        resolver.resolve(transport.serviceName(of: uri.host)) { continuation.resume(returning: $0) }
      }
      let order = ServiceRecord.ordered(records ?? [], random: &random).prefix(mostHosts)
      if !order.isEmpty { return order.map { ($0.target, $0.port) } }
    }
    return [(uri.host, transport.defaultPort)]
  }

  private static func addresses(of host: String) async -> [IPAddress] {
    if let address = IPAddress(host) { return [address] }
    let resolver = SystemResolver()
    return await withCheckedContinuation { continuation in
      resolver.resolve(host) { continuation.resume(returning: $0) }
    }
  }
}
