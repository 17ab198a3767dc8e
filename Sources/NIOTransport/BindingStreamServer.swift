import Dispatch
import Glibc
import NIOCore
import NIOPosix
import NIOSSL
public import NetworkTypes
import STUN
import Synchronization

/// A STUN server on TCP and TLS (RFC 8489 §6.2.2): ``BindingResponder`` on connections.
///
/// Connections are strangers': they are bounded in number, in all and for each source, by the time that a handshake or a
/// message may take, by the time that they may be idle, and by the answers that a source may have in a second. One that sends
/// anything else than STUN is closed. Nothing more is read from one before it has taken its answers. ``stop()`` has to be
/// called at the end.
public final class BindingStreamServer: Sendable {
  /// What one server carries at most.
  public struct Limits: Sendable {
    /// Open connections in all; further ones are closed at once.
    public var connections = 1024
    /// Open connections from one source, an IPv4 address or the first 64 bits of an IPv6 address.
    public var connectionsPerSource = 32
    /// New connections of one source in a second, since a TLS handshake costs more than a thousand answers; 0 for no limit.
    public var newConnectionsPerSecond = 100
    /// A connection without a whole request for so long is closed, and one that does not take its answers.
    public var idle: Duration = .seconds(30)
    /// The first request, with the TLS handshake before it, and every message that has begun may take so long.
    public var pause: Duration = .seconds(5)
    /// Requests of one source in a second; a connection that brings more is closed; 0 for no limit.
    public var requestsPerSecond = 1000

    public init() {}
  }

  private struct Table {
    var listening: [any Channel] = []
    var lastNumber = 0
    var connections: [Int: any Channel] = [:]
    var perSource: [IPAddress: Int] = [:]
    var arrivals: SourceRateLimit
    var requests: SourceRateLimit
    var certificate: ServerCertificate?
    var answerCount: UInt64 = 0
    var isStopped = false
  }

  let limits: Limits
  private let responder: BindingResponder
  private let now: @Sendable () -> MonotonicInstant
  private let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
  private let table: Mutex<Table>

  /// - Parameters:
  ///   - software: what SOFTWARE says.
  ///   - random: seeds the numbers by which sources are counted.
  ///   - now: the clock that rates are measured by.
  public init(
    limits: Limits = Limits(), software: String? = nil, random: inout RandomSource,
    now: @escaping @Sendable () -> MonotonicInstant
  ) {
    self.limits = limits
    self.now = now
    responder = BindingResponder(software: software)
    table = Mutex(
      Table(
        arrivals: SourceRateLimit(perSecond: limits.newConnectionsPerSecond, random: &random),
        requests: SourceRateLimit(perSecond: limits.requestsPerSecond, random: &random)))
  }

  /// Listens at `local`, and answers where in fact: the port that was taken for port 0. A wildcard address stands for its own
  /// family only. Waits for the system.
  ///
  /// - Parameters:
  ///   - other: the endpoint that clients are told of as OTHER-ADDRESS; `nil` for none.
  ///   - isTLS: whether connections begin with a handshake. ``setCertificate(_:)`` comes first.
  @discardableResult public func listen(
    at local: Endpoint, other: Endpoint? = nil, isTLS: Bool = false
  ) throws(SIPStreamServerError) -> Endpoint {
    do {
      let channel = try bootstrap(isV6: local.address.isV6, other, isTLS).bind(to: SocketAddress(local)).wait()
      table.withLock { $0.listening.append(channel) }
      return channel.localAddress.flatMap { Endpoint($0) } ?? local
    } catch {
      throw SIPStreamServerError(error, listeningAt: local)
    }
  }

  /// What TLS connections are served with from now on; those that are open stay as they are.
  public func setCertificate(_ certificate: ServerCertificate) { table.withLock { $0.certificate = certificate } }

  /// How many requests were answered, refusals included.
  public var answerCount: UInt64 { table.withLock { $0.answerCount } }

  /// How many connections are open.
  public var connectionCount: Int { table.withLock { $0.connections.count } }

  /// Closes everything.
  public func stop() {
    let (listening, connections) = table.withLock { table in
      table.isStopped = true
      return (table.listening, Array(table.connections.values))
    }
    for channel in listening { try? channel.close().wait() }
    // Not the orderly end of TLS, which waits for the far side.
    for channel in connections { channel.triggerUserOutboundEvent(BindingStreamHandler.Abort(), promise: nil) }
    for channel in connections { try? channel.closeFuture.wait() }
    // Its end is not waited for: that takes a second where all of Dispatch's threads wait for something.
    group.shutdownGracefully(queue: .global()) { _ in }
  }

  private func bootstrap(isV6: Bool, _ other: Endpoint?, _ isTLS: Bool) -> ServerBootstrap {
    let bootstrap = ServerBootstrap(group: group)
      .serverChannelOption(.backlog, value: 1024)
      .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
      .serverChannelInitializer { channel in
        // Without file descriptors for more connections, it goes on a second later.
        channel.eventLoop.makeCompletedFuture { try channel.pipeline.syncOperations.addHandler(AcceptBackoffHandler()) }
      }
      .childChannelOption(.autoRead, value: false)
      .childChannelOption(.maxMessagesPerRead, value: 1)
      .childChannelOption(.recvAllocator, value: FixedSizeRecvByteBufferAllocator(capacity: 4096))
      .childChannelOption(.tcpOption(.tcp_nodelay), value: 1)
      .childChannelOption(.tcpOption(.init(rawValue: TCP_USER_TIMEOUT)), value: 30_000)
      .childChannelInitializer { [self] channel in
        channel.eventLoop.makeCompletedFuture {
          let pipeline = channel.pipeline.syncOperations
          if isTLS {
            guard let certificate = table.withLock({ $0.certificate }) else {
              throw ChannelError.inappropriateOperationForState
            }
            try pipeline.addHandler(NIOSSLServerHandler(context: certificate.context))
          }
          try pipeline.addHandler(BindingStreamHandler(server: self, other: other))
        }
      }
    guard isV6 else { return bootstrap }
    return bootstrap.serverChannelOption(
      ChannelOptions.Types.SocketOption(level: .ipv6, name: .ipv6_v6only), value: 1)
  }

  // MARK: For the handlers

  /// A number for a connection that has just come up; `nil` where it is one too many.
  func opened(_ channel: any Channel, from source: IPAddress) -> Int? {
    table.withLock { table in
      let source = Self.network(source)
      let already = table.perSource[source] ?? 0
      guard !table.isStopped, table.connections.count < limits.connections, already < limits.connectionsPerSource,
        table.arrivals.admits(source, now: now())
      else { return nil }
      table.lastNumber += 1
      table.connections[table.lastNumber] = channel
      table.perSource[source] = already + 1
      return table.lastNumber
    }
  }

  func closed(_ connection: Int, from source: IPAddress) {
    table.withLock { table in
      let source = Self.network(source)
      table.connections.removeValue(forKey: connection)
      let left = (table.perSource[source] ?? 1) - 1
      table.perSource[source] = left > 0 ? left : nil
    }
  }

  /// Whether a source may ask once more.
  func admits(_ source: IPAddress) -> Bool { table.withLock { $0.requests.admits(source, now: now()) } }

  func answer(
    to request: [UInt8], from source: Endpoint, local: Endpoint, other: Endpoint?, into answer: inout [UInt8]
  ) -> Bool {
    guard responder.respondOnStream(to: request.span, from: source, local: local, other: other, into: &answer) else {
      return false
    }
    table.withLock { $0.answerCount += 1 }
    return true
  }

  /// What one customer has: an IPv4 address, or 64 bits of IPv6.
  private static func network(_ address: IPAddress) -> IPAddress {
    switch address {
    case .v4: address
    case .v6(let value): .v6((value >> 64) << 64)
    }
  }
}
