public import NetworkTypes

/// What a discovery is to find out, and with which means.
public struct DiscoverySettings: Sendable, Hashable {
  /// More servers than this are not asked.
  public static let mostServers = 8

  /// The servers, in the order of preference. One of RFC 5780 or RFC 3489 with two addresses shows everything; of
  /// servers with one address two are needed to see how ports are mapped.
  public var servers: [Endpoint]
  /// The port that is examined: the address of this machine towards the servers, never a wildcard, and a port, where 0
  /// lets the system choose. Spare ports are opened on the same address.
  public var local: Endpoint
  /// Whether the lifetime of a binding is measured too, which takes as long as the binding lives.
  public var measuresLifetime: Bool

  /// The router on this machine's own network, which is asked for its outside address by NAT-PMP (RFC 6886 §3.2); `nil` asks
  /// nobody.
  public var router: IPAddress?

  public init(servers: [Endpoint], local: Endpoint, measuresLifetime: Bool = false, router: IPAddress? = nil) {
    self.servers = servers
    self.router = router
    self.local = local
    self.measuresLifetime = measuresLifetime
  }
}

/// What a discovery asks of its shell.
public enum DiscoveryAction: Sendable, Equatable {
  /// Opens UDP socket `socket`, a number of the discovery's choosing. Answered by
  /// ``DiscoveryCore/socketOpened(_:local:now:into:)`` or ``DiscoveryCore/socketFailed(_:reason:now:into:)``.
  case openSocket(Int, local: Endpoint)
  case closeSocket(Int)
  case send([UInt8], socket: Int, to: Endpoint)
  /// Sends `bytes` towards `to` from a port of its own, with so few hops that the first, second … router returns it, up
  /// to `limit`. Answered by ``DiscoveryCore/hopsTraced(_:now:into:)`` or ``DiscoveryCore/hopsRefused(_:now:into:)``.
  case traceHops([UInt8], to: Endpoint, limit: Int)
  /// A line for a person who waits.
  case progress(String)
  /// The discovery has ended; nothing comes after this.
  case finished(NATReport)
}
