public import NetworkTypes
public import STUN

/// What a ``BindingServer`` serves, and how.
public struct BindingServerConfiguration: Sendable {
  /// Endpoints that stand for themselves. On them CHANGE-REQUEST is refused.
  public var endpoints: [Endpoint]
  /// Pairs of addresses and ports, at most one for IPv4 and one for IPv6 as a rule; each is four sockets a thread.
  public var pairs: [STUNServerAddresses]
  /// Each has sockets of its own on the same ports, and the kernel deals the clients out among them.
  public var threads: Int
  /// How many answers one source may have in a second from each thread; 0 for no limit. See ``SourceRateLimit``.
  public var answersPerSecond: Int
  /// What SOFTWARE says.
  public var software: String?

  /// A limit that a household, an office or a test never meets, and many of them behind one carrier-grade NAT seldom do.
  public static let usualAnswersPerSecond = 1000

  public init(
    endpoints: [Endpoint] = [], pairs: [STUNServerAddresses] = [], threads: Int = 1,
    answersPerSecond: Int = usualAnswersPerSecond, software: String? = nil
  ) {
    self.endpoints = endpoints
    self.pairs = pairs
    self.threads = threads
    self.answersPerSecond = answersPerSecond
    self.software = software
  }
}
