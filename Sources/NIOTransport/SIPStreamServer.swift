import Dispatch
import Glibc
import NIOCore
import NIOPosix
public import NetworkTypes
import SIPSyntax
import Synchronization

/// SIP over TCP: accepts connections, cuts what comes into messages and sends what it is given. It decides nothing but
/// what keeps it alive among strangers (``Limits``).
///
/// Connections have numbers, which are never used twice. Listeners are called on the server's own thread and must not
/// block. Every connection that was told as opened is told as closed, once. ``stop()`` has to be called at the end.
public final class SIPStreamServer: Sendable {
  /// What one server carries at most.
  public struct Limits: Sendable {
    /// Open connections in all; further ones are closed at once.
    public var connections = 1024
    /// Open connections from one address.
    public var connectionsPerAddress = 32
    /// A connection that carries nothing either way for so long is closed. Phones that only speak to register again need
    /// more than the longest registration.
    public var idle: Duration = .seconds(600)
    /// A message that has begun and does not go on for so long closes its connection.
    public var pause: Duration = .seconds(30)
    /// Bytes that may wait for the far side to take them; a connection with more is closed.
    public var unsent = 1 << 20

    public init() {}
  }

  /// What the server tells, on its own thread.
  public struct Listeners: Sendable {
    /// A connection was accepted at `local`.
    public var opened: @Sendable (_ connection: Int, _ remote: Endpoint, _ local: Endpoint) -> Void
    /// Messages came, in their order, at least one. Nothing more is read from the connection until
    /// ``SIPStreamServer/resume(_:)``: so a flood waits at the sender and not in memory here.
    public var received: @Sendable (_ connection: Int, _ messages: [[UInt8]]) -> Void
    public var closed: @Sendable (_ connection: Int, SIPStreamClosure) -> Void

    public init(
      opened: @escaping @Sendable (_ connection: Int, _ remote: Endpoint, _ local: Endpoint) -> Void,
      received: @escaping @Sendable (_ connection: Int, _ messages: [[UInt8]]) -> Void,
      closed: @escaping @Sendable (_ connection: Int, SIPStreamClosure) -> Void
    ) {
      self.opened = opened
      self.received = received
      self.closed = closed
    }
  }

  private struct Table {
    var lastNumber = 0
    var listening: [any Channel] = []
    var connections: [Int: any Channel] = [:]
    var perAddress: [IPAddress: Int] = [:]
    var isStopped = false
  }

  private let limits: Limits
  private let listeners: Listeners
  private let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
  private let table = Mutex(Table())

  public init(limits: Limits = Limits(), listeners: Listeners) {
    self.limits = limits
    self.listeners = listeners
  }

  /// Listens at `local` and answers where it does in fact: the port that was taken for port 0. A wildcard address stands
  /// for its own family only. Waits for the system, so it is not for the server's own thread.
  @discardableResult public func listen(at local: Endpoint) throws(SIPStreamServerError) -> Endpoint {
    do {
      let channel = try bootstrap(isV6: local.address.isV6).bind(to: SocketAddress(local)).wait()
      table.withLock { $0.listening.append(channel) }
      return channel.localAddress.flatMap { Endpoint($0) } ?? local
    } catch {
      throw SIPStreamServerError(error, listeningAt: local)
    }
  }

  /// Sends one message, or anything else, over a connection; nothing happens where it is closed already.
  public func send(_ bytes: [UInt8], on connection: Int) {
    channel(connection)?.writeAndFlush(ByteBuffer(bytes: bytes), promise: nil)
  }

  /// The messages that were told last have been dealt with: reads on.
  public func resume(_ connection: Int) { channel(connection)?.read() }

  /// Closes a connection. What the system has not taken yet of what was sent is lost.
  public func close(_ connection: Int) {
    channel(connection)?.triggerUserOutboundEvent(StreamHandler.CloseRequest(), promise: nil)
  }

  /// How many connections are open.
  public var connectionCount: Int { table.withLock { $0.connections.count } }

  /// Closes everything and lets the thread end; every connection has been told as closed then. Not from a listener.
  public func stop() {
    let (listening, connections) = table.withLock { table in
      table.isStopped = true
      return (table.listening, Array(table.connections.values))
    }
    for channel in listening { try? channel.close().wait() }
    for channel in connections { channel.triggerUserOutboundEvent(StreamHandler.CloseRequest(), promise: nil) }
    for channel in connections { try? channel.closeFuture.wait() }
    // Its end is not waited for: that takes a second where all of Dispatch's threads wait for something.
    group.shutdownGracefully(queue: .global()) { _ in }
  }

  private func channel(_ connection: Int) -> (any Channel)? { table.withLock { $0.connections[connection] } }

  private func bootstrap(isV6: Bool) -> ServerBootstrap {
    let bootstrap = ServerBootstrap(group: group)
      .serverChannelOption(.backlog, value: 256)
      .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
      .serverChannelInitializer { channel in
        // Without file descriptors for more connections, it goes on a second later.
        channel.eventLoop.makeCompletedFuture { try channel.pipeline.syncOperations.addHandler(AcceptBackoffHandler()) }
      }
      .childChannelOption(.autoRead, value: false)
      .childChannelOption(.maxMessagesPerRead, value: 1)
      .childChannelOption(.writeBufferWaterMark, value: .init(low: limits.unsent / 2, high: limits.unsent))
      .childChannelOption(.tcpOption(.tcp_nodelay), value: 1)
      // A phone whose plug was pulled is noticed within two minutes, or 30 s after something was sent to it.
      .childChannelOption(.socketOption(.so_keepalive), value: 1)
      .childChannelOption(.tcpOption(.init(rawValue: TCP_KEEPIDLE)), value: 60)
      .childChannelOption(.tcpOption(.init(rawValue: TCP_KEEPINTVL)), value: 15)
      .childChannelOption(.tcpOption(.init(rawValue: TCP_KEEPCNT)), value: 4)
      .childChannelOption(.tcpOption(.init(rawValue: TCP_USER_TIMEOUT)), value: 30_000)
      .childChannelInitializer { [self] channel in
        channel.eventLoop.makeCompletedFuture {
          let idle = IdleStateHandler(readTimeout: TimeAmount(limits.pause), allTimeout: TimeAmount(limits.idle))
          try channel.pipeline.syncOperations.addHandlers(idle, StreamHandler(server: self))
        }
      }
    guard isV6 else { return bootstrap }
    return bootstrap.serverChannelOption(
      ChannelOptions.Types.SocketOption(level: .ipv6, name: .ipv6_v6only), value: 1)
  }

  // MARK: For the handlers

  /// A number for a connection that has just come up; `nil` where it is one too many.
  func opened(_ channel: any Channel) -> (connection: Int, address: IPAddress)? {
    guard let remote = channel.remoteAddress.flatMap({ Endpoint($0) }),
      let local = channel.localAddress.flatMap({ Endpoint($0) })
    else { return nil }
    let number: Int? = table.withLock { table in
      let already = table.perAddress[remote.address] ?? 0
      guard !table.isStopped, table.connections.count < limits.connections, already < limits.connectionsPerAddress
      else { return nil }
      table.lastNumber += 1
      table.connections[table.lastNumber] = channel
      table.perAddress[remote.address] = already + 1
      return table.lastNumber
    }
    guard let number else { return nil }
    listeners.opened(number, remote, local)
    return (number, remote.address)
  }

  func received(_ messages: [[UInt8]], on connection: Int) { listeners.received(connection, messages) }

  func closed(_ connection: Int, address: IPAddress, _ closure: SIPStreamClosure) {
    table.withLock { table in
      table.connections.removeValue(forKey: connection)
      let left = (table.perAddress[address] ?? 1) - 1
      table.perAddress[address] = left > 0 ? left : nil
    }
    listeners.closed(connection, closure)
  }
}
