import NIOCore
import NIOHTTP1
import NIOPosix
package import NetworkTypes
import Synchronization

/// Where a UPnP gateway tells that something of it has changed: NOTIFY over HTTP to a port of ours (UPnP Device
/// Architecture 1.1 §4.2).
///
/// What it tells is not read: an event is a hint to ask. It counts from the router's own address, with the name of our
/// subscription, and not as the first one, which tells how things were.
package final class GatewayEvents: Sendable {
  /// What all connections share.
  struct State: Sendable {
    var subscription: String?
    var connections = 0
  }

  private static let mostConnections = 4

  private let state = Mutex(State())
  private let router: IPAddress
  private let onNotified: @Sendable () -> Void
  private let listener = Mutex<(any Channel)?>(nil)

  /// - Parameters:
  ///   - router: whose connections are taken; all others are closed.
  ///   - onNotified: called on a thread of the network's.
  package init(router: IPAddress, onNotified: @escaping @Sendable () -> Void) {
    self.router = router
    self.onNotified = onNotified
  }

  /// The gateway's name for the subscription (SID); without one nothing counts.
  package var subscription: String? {
    get { state.withLock { $0.subscription } }
    set { state.withLock { $0.subscription = newValue } }
  }

  /// Opens a port for it; answers where the gateway sends to, `nil` where no port can be had.
  package func listen(on local: IPAddress) async -> Endpoint? {
    if let port = listener.withLock({ $0?.localAddress?.port }) { return Endpoint(local, port: UInt16(port)) }
    let bootstrap = ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
      .serverChannelOption(.backlog, value: 4)
      .childChannelInitializer { [self] child in
        guard take(child) else { return child.close() }
        return child.eventLoop.makeCompletedFuture {
          let pipeline = child.pipeline.syncOperations
          try pipeline.addHandler(IdleStateHandler(allTimeout: .seconds(5)))
          try pipeline.configureHTTPServerPipeline(withErrorHandling: true)
          try pipeline.addHandler(NotificationHandler(self))
        }
      }
    guard let channel = try? await bootstrap.bind(host: local.description, port: 0).get(),
      let port = channel.localAddress?.port
    else { return nil }
    listener.withLock { $0 = channel }
    return Endpoint(local, port: UInt16(port))
  }

  package func close() async {
    let channel = listener.withLock { listener in
      defer { listener = nil }
      return listener
    }
    try? await channel?.close()
  }

  /// Only the router's connections, and few of them.
  private func take(_ child: any Channel) -> Bool {
    guard let source = child.remoteAddress?.ipAddress, IPAddress(source) == router else { return false }
    let isTaken = state.withLock { state in
      guard state.connections < Self.mostConnections else { return false }
      state.connections += 1
      return true
    }
    if isTaken { child.closeFuture.whenComplete { [self] _ in state.withLock { $0.connections -= 1 } } }
    return isTaken
  }

  /// A request came, whole: how it is answered.
  fileprivate func received(_ head: HTTPRequestHead) -> HTTPResponseStatus {
    guard head.method == .NOTIFY else { return .methodNotAllowed }
    guard let name = head.headers.first(name: "SID"), name == subscription else { return .preconditionFailed }
    if head.headers.first(name: "SEQ") != "0" { onNotified() }
    return .ok
  }
}

/// One connection of the gateway's, for one request.
private final class NotificationHandler: ChannelInboundHandler {
  typealias InboundIn = HTTPServerRequestPart
  typealias OutboundOut = HTTPServerResponsePart

  private static let longestBody = 16_384

  private let events: GatewayEvents
  private var head: HTTPRequestHead?
  private var bodyLength = 0

  init(_ events: GatewayEvents) { self.events = events }

  func channelRead(context: ChannelHandlerContext, data: NIOAny) {
    switch unwrapInboundIn(data) {
    case .head(let head): self.head = head
    case .body(let part):
      bodyLength += part.readableBytes
      if bodyLength > Self.longestBody { context.close(promise: nil) }
    case .end:
      guard let head else { return }
      self.head = nil
      let status = events.received(head)
      let answer = HTTPResponseHead(
        version: .http1_1, status: status, headers: ["Content-Length": "0", "Connection": "close"])
      context.write(wrapOutboundOut(.head(answer)), promise: nil)
      context.writeAndFlush(wrapOutboundOut(.end(nil))).assumeIsolated().whenComplete { _ in context.close(promise: nil)
      }
    }
  }

  func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
    if event is IdleStateHandler.IdleStateEvent { return context.close(promise: nil) }
    context.fireUserInboundEventTriggered(event)
  }

  func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }
}
