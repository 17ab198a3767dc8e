public import NetworkTypes

/// What a router makes of the contents of packets that it translates, as an application level gateway does: it is given a packet
/// as it came and as it leaves, and answers with the contents that it shall have.
public struct PayloadRewriter: Sendable {
  public var outward: @Sendable (_ came: Datagram, _ leaves: Datagram) -> [UInt8]
  public var inward: @Sendable (_ came: Datagram, _ leaves: Datagram) -> [UInt8]

  public init(
    outward: @escaping @Sendable (_ came: Datagram, _ leaves: Datagram) -> [UInt8],
    inward: @escaping @Sendable (_ came: Datagram, _ leaves: Datagram) -> [UInt8]
  ) {
    self.outward = outward
    self.inward = inward
  }
}

/// The translation table of one router. It sees every packet that would pass and says what becomes of it.
public struct NATBox: Sendable {
  /// Why a packet was not let through.
  public enum Refusal: String, Sendable, Hashable {
    case blocked
    /// From outside, to a port that nobody inside has.
    case noMapping
    /// From outside, to a port that is open, but not for this sender.
    case filtered
    /// From inside, to our own outside address, and we do not do that.
    case noHairpin
    /// From inside, and no port or row is left.
    case exhausted
    /// The row is there and leads nowhere: its outside address is gone, or the router lost half of it.
    case deadState
  }

  public enum Verdict: Sendable, Hashable {
    /// Goes on outside.
    case outward(Datagram)
    /// Goes on inside.
    case inward(Datagram)
    case refused(Refusal)
  }

  /// A row: an inside endpoint (and, where the mapping depends on it, a remote) has an outside endpoint.
  struct Mapping: Sendable {
    let inside: Endpoint
    /// The remote's part of the key; zero where the mapping does not depend on it.
    let remoteAddress: IPAddress?
    let remotePort: UInt16?
    let outside: Endpoint
    var refreshedAt: MonotonicInstant
    var isDead = false
    /// Rows that a port forward made follow their flow and are never used for others.
    var isForwarded = false
    /// Whom something was sent to, and when it last was: each remote's way in closes for itself, as with Linux' conntrack.
    var permissions: [Permission] = []
  }

  struct Permission: Sendable {
    let remote: Endpoint
    var refreshedAt: MonotonicInstant
  }

  public var behavior: NATBehavior
  public var forwards: [PortForward] = []
  /// One address per family; IPv6 is never translated, only filtered.
  public private(set) var outsideAddress: IPAddress
  private(set) var mappings: [Mapping] = []
  private var nextPort: UInt16
  /// No row and no permission was refreshed before this: nothing has to be looked through before a lifetime after it.
  private var leastRefreshed = MonotonicInstant(nanoseconds: 0)

  public init(behavior: NATBehavior, outsideAddress: IPAddress) {
    self.behavior = behavior
    self.outsideAddress = outsideAddress
    nextPort = behavior.portRange.lowerBound
  }

  /// How many mappings are held, the expired ones that were not looked at since included.
  public var mappingCount: Int { mappings.count }

  /// The outside endpoints that `inside` has now.
  public func outsideEndpoints(of inside: Endpoint, now: MonotonicInstant) -> [Endpoint] {
    mappings.filter { $0.inside == inside && isAlive($0.refreshedAt, now) }.map(\.outside)
  }

  /// The outside endpoint that the flow of `inside` to `remote` has now.
  public func outsideEndpoint(of inside: Endpoint, to remote: Endpoint, now: MonotonicInstant) -> Endpoint? {
    mappings.first {
      $0.inside == inside && $0.remoteAddress ?? remote.address == remote.address
        && $0.remotePort ?? remote.port == remote.port && isAlive($0.refreshedAt, now)
    }?.outside
  }

  // MARK: Packets

  /// A packet from inside.
  public mutating func sentFromInside(_ packet: Datagram, now: MonotonicInstant, random: inout RandomSource) -> Verdict
  {
    expire(now)
    switch kind(for: packet) {
    case .blocked: return .refused(.blocked)
    case .open: return .outward(packet)
    case .symmetricFirewall:
      return permit(packet, keep: packet.source, now: now).map { _ in .outward(packet) } ?? .refused(.exhausted)
    case .translating: break
    }
    let isHairpin = packet.destination.address == outsideAddress
    if isHairpin && !behavior.hairpin { return .refused(.noHairpin) }
    guard let index = mappingIndex(for: packet, now: now, random: &random) else { return .refused(.exhausted) }
    refresh(index, remote: packet.destination, now: now)
    var translated = packet
    translated.source = mappings[index].outside
    if mappings[index].isDead || translated.source.address != outsideAddress { return .refused(.deadState) }
    // RFC 4787 REQ-9: a hairpinned packet shows the outside address and port of its sender.
    return isHairpin ? sentFromOutside(translated, now: now) : .outward(translated)
  }

  /// A packet from outside, to the outside address, or to an address behind us where nothing is translated.
  public mutating func sentFromOutside(_ packet: Datagram, now: MonotonicInstant) -> Verdict {
    expire(now)
    switch kind(for: packet) {
    case .blocked: return .refused(.blocked)
    case .open: return .inward(packet)
    case .symmetricFirewall:
      guard
        let index = mappings.firstIndex(where: {
          $0.inside == packet.destination && $0.remoteAddress == packet.source.address
            && $0.remotePort == packet.source.port
        })
      else { return .refused(.filtered) }
      if behavior.refreshedByInbound { mappings[index].refreshedAt = now }
      return .inward(packet)
    case .translating: break
    }
    var translated = packet
    // What was forwarded once goes on as it did, whatever the configuration says of new flows.
    if let index = mappings.firstIndex(where: {
      $0.isForwarded && !$0.isDead && $0.outside == packet.destination && $0.remoteAddress == packet.source.address
        && $0.remotePort == packet.source.port
    }) {
      mappings[index].refreshedAt = now
      translated.destination = mappings[index].inside
      return .inward(translated)
    }
    if let forward = forwards.first(where: { $0.outsidePort == packet.destination.port }) {
      guard rememberForwarded(packet, inside: forward.inside, now: now) else { return .refused(.exhausted) }
      translated.destination = forward.inside
      return .inward(translated)
    }
    var isMapped = false
    for index in mappings.indices where mappings[index].outside == packet.destination && !mappings[index].isDead {
      isMapped = true
      guard admits(mappings[index], packet.source) else { continue }
      if behavior.refreshedByInbound {
        mappings[index].refreshedAt = now
        if let place = mappings[index].permissions.firstIndex(where: { $0.remote == packet.source }) {
          mappings[index].permissions[place].refreshedAt = now
        }
      }
      translated.destination = mappings[index].inside
      return .inward(translated)
    }
    return .refused(isMapped ? .filtered : .noMapping)
  }

  // MARK: What happens to routers

  /// All state is lost; forwards are configuration and stay.
  public mutating func reboot() { mappings = [] }

  /// The provider gave the line another address.
  public mutating func addressChanged(to address: IPAddress) {
    if address != outsideAddress && !behavior.keepsStaleState { mappings = [] }
    outsideAddress = address
  }

  /// Every present row turns into a black hole that traffic keeps alive: the half-dead state that some routers hold after
  /// a line cut.
  public mutating func stateDied() {
    for index in mappings.indices { mappings[index].isDead = true }
  }

  // MARK: Rows

  private func kind(for packet: Datagram) -> NATBehavior.Kind {
    behavior.kind == .translating && packet.source.address.isV6 ? .symmetricFirewall : behavior.kind
  }

  private func isAlive(_ refreshedAt: MonotonicInstant, _ now: MonotonicInstant) -> Bool {
    now - refreshedAt < behavior.lifetime
  }

  private mutating func expire(_ now: MonotonicInstant) {
    let lifetime = behavior.lifetime
    guard now - leastRefreshed >= lifetime else { return }
    mappings.removeAll { now - $0.refreshedAt >= lifetime }
    leastRefreshed = now
    for index in mappings.indices {
      mappings[index].permissions.removeAll { now - $0.refreshedAt >= lifetime }
      leastRefreshed = min(leastRefreshed, mappings[index].refreshedAt)
      for permission in mappings[index].permissions { leastRefreshed = min(leastRefreshed, permission.refreshedAt) }
    }
  }

  private func admits(_ mapping: Mapping, _ source: Endpoint) -> Bool {
    switch behavior.filtering {
    case .endpointIndependent: true
    case .addressDependent: mapping.permissions.contains { $0.remote.address == source.address }
    case .addressAndPortDependent: mapping.permissions.contains { $0.remote == source }
    }
  }

  private mutating func refresh(_ index: Int, remote: Endpoint, now: MonotonicInstant) {
    mappings[index].refreshedAt = now
    if let place = mappings[index].permissions.firstIndex(where: { $0.remote == remote }) {
      mappings[index].permissions[place].refreshedAt = now
    } else if mappings[index].permissions.count < behavior.maxMappings {
      mappings[index].permissions.append(Permission(remote: remote, refreshedAt: now))
    }
  }

  /// The row that `packet` leaves by: a forwarded flow's, the one it had, or a new one.
  private mutating func mappingIndex(
    for packet: Datagram, now: MonotonicInstant, random: inout RandomSource
  ) -> Int? {
    if let index = mappings.firstIndex(where: {
      $0.isForwarded && $0.inside == packet.source && $0.remoteAddress == packet.destination.address
        && $0.remotePort == packet.destination.port
    }) {
      return index
    }
    let address = behavior.mapping == .endpointIndependent ? nil : packet.destination.address
    let port = behavior.mapping == .addressAndPortDependent ? packet.destination.port : nil
    if let index = mappings.firstIndex(where: {
      !$0.isForwarded && $0.inside == packet.source && $0.remoteAddress == address && $0.remotePort == port
    }) {
      return index
    }
    guard mappings.count < behavior.maxMappings, let outsidePort = takePort(for: packet.source, random: &random) else {
      return nil
    }
    mappings.append(
      Mapping(
        inside: packet.source, remoteAddress: address, remotePort: port,
        outside: Endpoint(outsideAddress, port: outsidePort), refreshedAt: now))
    return mappings.count - 1
  }

  private mutating func rememberForwarded(_ packet: Datagram, inside: Endpoint, now: MonotonicInstant) -> Bool {
    if let index = mappings.firstIndex(where: {
      $0.isForwarded && $0.inside == inside && $0.remoteAddress == packet.source.address
        && $0.remotePort == packet.source.port
    }) {
      mappings[index].refreshedAt = now
      return true
    }
    guard mappings.count < behavior.maxMappings else { return false }
    mappings.append(
      Mapping(
        inside: inside, remoteAddress: packet.source.address, remotePort: packet.source.port,
        outside: packet.destination, refreshedAt: now, isForwarded: true))
    return true
  }

  /// A firewall's row; `nil` where the table is full.
  private mutating func permit(_ packet: Datagram, keep inside: Endpoint, now: MonotonicInstant) -> Int? {
    if let index = mappings.firstIndex(where: {
      $0.inside == inside && $0.remoteAddress == packet.destination.address
        && $0.remotePort == packet.destination.port
    }) {
      mappings[index].refreshedAt = now
      return index
    }
    guard mappings.count < behavior.maxMappings else { return nil }
    mappings.append(
      Mapping(
        inside: inside, remoteAddress: packet.destination.address, remotePort: packet.destination.port,
        outside: inside, refreshedAt: now))
    return mappings.count - 1
  }

  private func isFree(_ port: UInt16, for inside: Endpoint) -> Bool {
    port != 0 && !mappings.contains { $0.outside.port == port && $0.outside.address == outsideAddress }
      && !forwards.contains { $0.outsidePort == port && $0.inside != inside }
  }

  private mutating func takePort(for inside: Endpoint, random: inout RandomSource) -> UInt16? {
    let range = behavior.portRange
    let first: UInt16
    switch behavior.ports {
    case .preserving:
      if isFree(inside.port, for: inside) { return inside.port }
      first = range.contains(inside.port) ? inside.port : range.lowerBound
    case .random: first = UInt16.random(in: range, using: &random)
    case .sequential: first = nextPort
    }
    var port = first
    repeat {
      let following = port >= range.upperBound ? range.lowerBound : port + 1
      if isFree(port, for: inside) {
        nextPort = following
        return port
      }
      port = following
    } while port != first
    return nil
  }
}
