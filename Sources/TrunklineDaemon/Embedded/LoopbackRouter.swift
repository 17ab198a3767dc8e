import DatagramSockets
import MediaRelay
import NetworkSimulator
public import NetworkTypes

/// The NAT router of the embedded default and the demo: it stands between the link and the provider on loopback, with
/// real sockets, and translates as the routers of the simulated internet do.
///
/// The link sees the provider at an address where nobody but this router listens: for each port of the provider it has a
/// *stand-in* socket there. What comes in on one leaves from a socket at the public address, for the address where the
/// provider really is; and back. So the line can be cut, and come back with another public address, without root.
///
/// Belongs to the loop's thread.
struct LoopbackRouter {
  /// What a socket of the router is.
  enum Side {
    /// Stands in for this endpoint of the provider.
    case inside(Endpoint)
    /// A mapping's outside endpoint.
    case outside(Endpoint)
  }

  let site: LoopbackSite
  private var box: NATBox
  private var random: RandomSource
  private(set) var isUp = true
  private(set) var standIns: [(endpoint: Endpoint, socket: Int)] = []
  private var outsides: [(endpoint: Endpoint, socket: Int, usedAt: MonotonicInstant)] = []
  private var addressesUsed = 1
  /// What was dropped because the line was down.
  private(set) var dropped = 0

  init(_ site: LoopbackSite, random: RandomSource) {
    self.site = site
    self.random = random
    box = NATBox(behavior: .portRestrictedCone, outsideAddress: site.publicAddress(0))
  }

  var publicAddress: IPAddress { box.outsideAddress }

  // MARK: The line

  mutating func cut() { isUp = false }

  /// The line is back, with the next public address. Answers it.
  mutating func restore(_ loop: DatagramLoop) -> IPAddress {
    let before = box.outsideAddress
    let address = site.publicAddress(addressesUsed)
    addressesUsed += 1
    isUp = true
    box.addressChanged(to: address)
    // The sockets at the address that was lost stay for one change and swallow what still comes, as the internet would;
    // without them the system would answer "port unreachable", and the far end would know at once.
    for outside in outsides where outside.endpoint.address != before { loop.close(outside.socket) }
    outsides.removeAll { $0.endpoint.address != before }
    return address
  }

  // MARK: The provider's ports

  /// From now on the link reaches the provider's `port`. Answers the stand-in's socket.
  mutating func standIn(for port: UInt16, _ loop: DatagramLoop) throws(DatagramSocketError) -> Int {
    let endpoint = Endpoint(site.provider, port: port)
    if let known = standIns.first(where: { $0.endpoint == endpoint }) { return known.socket }
    let socket = try loop.open(local: endpoint, receiveBuffer: nil)
    standIns.append((endpoint, socket))
    return socket
  }

  mutating func removeStandIn(for port: UInt16, _ loop: DatagramLoop) -> Int? {
    let endpoint = Endpoint(site.provider, port: port)
    guard let index = standIns.firstIndex(where: { $0.endpoint == endpoint }) else { return nil }
    let socket = standIns.remove(at: index).socket
    loop.close(socket)
    return socket
  }

  // MARK: Packets

  /// A packet from the link, for the endpoint of the provider that the socket stands in for. Answers the socket that was
  /// opened for it, where one was.
  mutating func sentFromInside(
    _ bytes: [UInt8], from source: Endpoint, to remote: Endpoint, now: MonotonicInstant, _ loop: DatagramLoop
  ) -> (socket: Int, outside: Endpoint)? {
    let packet = Datagram(source: source, destination: remote, bytes: bytes)
    guard isUp else {
      dropped += 1
      return nil
    }
    guard case .outward(let translated) = box.sentFromInside(packet, now: now, random: &random) else { return nil }
    let destination = Endpoint(site.providerBehind, port: remote.port)
    if let index = outsides.firstIndex(where: { $0.endpoint == translated.source }) {
      outsides[index].usedAt = now
      loop.send(bytes, on: outsides[index].socket, to: destination)
      return nil
    }
    closeExpired(now, loop)
    // A port that someone else has at the public address: the packet is lost, as when a router has none left.
    guard let socket = try? loop.open(local: translated.source, receiveBuffer: nil) else { return nil }
    outsides.append((translated.source, socket, now))
    loop.send(bytes, on: socket, to: destination)
    return (socket, translated.source)
  }

  /// Mappings that nothing left by for their lifetime are gone, and their sockets with them.
  private mutating func closeExpired(_ now: MonotonicInstant, _ loop: DatagramLoop) {
    let lifetime = box.behavior.lifetime
    for outside in outsides where now - outside.usedAt >= lifetime { loop.close(outside.socket) }
    outsides.removeAll { now - $0.usedAt >= lifetime }
  }

  /// A packet for the public address.
  mutating func sentFromOutside(
    _ bytes: [UInt8], from source: Endpoint, to outside: Endpoint, now: MonotonicInstant, _ loop: DatagramLoop
  ) -> Bool {
    guard isUp, outside.address == box.outsideAddress else {
      dropped += 1
      return false
    }
    let seen = source.address == site.providerBehind ? Endpoint(site.provider, port: source.port) : source
    let packet = Datagram(source: seen, destination: outside, bytes: bytes)
    guard case .inward(let translated) = box.sentFromOutside(packet, now: now),
      let standIn = standIns.first(where: { $0.endpoint == seen })
    else { return false }
    loop.send(bytes, on: standIn.socket, to: translated.destination)
    return true
  }
}

/// Who lives where on loopback.
public struct LoopbackSite: Sendable, Equatable {
  /// The link, on both its sides.
  public var link: IPAddress
  public var phone: IPAddress
  /// Where the link reaches the provider and its STUN server: the router's inner side.
  public var provider: IPAddress
  /// Where they are in truth.
  var providerBehind: IPAddress
  private var publicNetwork: UInt32

  /// - Parameter number: 0 to 255; the second octet of every address. 0 puts link and phone to 127.0.0.1.
  public init(_ number: UInt8) {
    let base = 0x7f00_0000 | UInt32(number) << 16
    link = number == 0 ? .loopbackV4 : .v4(base | 0x0102)
    phone = number == 0 ? .loopbackV4 : .v4(base | 0x0114)
    provider = .v4(base | 0x020a)
    providerBehind = .v4(base | 0x020b)
    publicNetwork = base | 0x0300
  }

  /// The public address after so many changes: scattered, so that two in a row are not mistaken for each other.
  public func publicAddress(_ changes: Int) -> IPAddress {
    .v4(publicNetwork | UInt32(7 &+ changes % 240 &* 37 % 241))
  }
}
