import NIOCore
import NetworkTypes
import SIPSyntax

/// One connection: the framer between the socket and the listeners of its server.
final class StreamHandler: ChannelInboundHandler, ChannelOutboundHandler {
  typealias InboundIn = ByteBuffer
  typealias OutboundIn = ByteBuffer
  typealias OutboundOut = ByteBuffer

  /// Asks the handler to close the connection, in order with what was sent before.
  struct CloseRequest: Sendable {}

  private static let lineEnd: [UInt8] = [13, 10]

  private let server: SIPStreamServer
  private var identity: (connection: Int, address: IPAddress)?
  private var framer = SIPStreamFramer()
  /// What the read that is going on has brought.
  private var messages: [[UInt8]] = []
  private var isKeepalive = false
  private var closure = SIPStreamClosure.remote
  private var isClosing = false

  init(server: SIPStreamServer) { self.server = server }

  func channelActive(context: ChannelHandlerContext) {
    identity = server.opened(context.channel)
    if identity == nil { context.close(promise: nil) } else { context.read() }
  }

  func channelInactive(context: ChannelHandlerContext) {
    guard let identity else { return }
    self.identity = nil
    server.closed(identity.connection, address: identity.address, isClosing ? closure : .remote)
  }

  func channelRead(context: ChannelHandlerContext, data: NIOAny) {
    guard !isClosing else { return }
    let buffer = unwrapInboundIn(data)
    framer.append(buffer.readableBytesUInt8Span)
    do throws(SIPStreamFramer.Failure) {
      while let frame = try framer.next() {
        switch frame {
        case .message(let bytes): messages.append(bytes)
        case .keepalive: isKeepalive = true
        }
      }
    } catch {
      tellMessages()
      close(.unreadable(error), context)
    }
  }

  func channelReadComplete(context: ChannelHandlerContext) {
    guard !isClosing, identity != nil else { return }
    // RFC 5626 §4.4.1: one line end answers; as many keepalives as came at once are answered by one.
    if isKeepalive { context.writeAndFlush(wrapOutboundOut(ByteBuffer(bytes: Self.lineEnd)), promise: nil) }
    isKeepalive = false
    if messages.isEmpty { context.read() } else { tellMessages() }
  }

  private func tellMessages() {
    guard let identity, !messages.isEmpty else { return }
    let told = messages
    messages = []
    server.received(told, on: identity.connection)
  }

  func channelWritabilityChanged(context: ChannelHandlerContext) {
    if !context.channel.isWritable { close(.overflow, context) }
  }

  func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
    switch event as? IdleStateHandler.IdleStateEvent {
    case .all: close(.idle, context)
    case .read: if framer.isWithinMessage { close(.idle, context) }
    case .write, nil: context.fireUserInboundEventTriggered(event)
    }
  }

  func triggerUserOutboundEvent(context: ChannelHandlerContext, event: Any, promise: EventLoopPromise<Void>?) {
    guard event is CloseRequest else { return context.triggerUserOutboundEvent(event, promise: promise) }
    close(.local, context)
    promise?.succeed()
  }

  func errorCaught(context: ChannelHandlerContext, error: any Error) { close(.failed("\(error)"), context) }

  private func close(_ closure: SIPStreamClosure, _ context: ChannelHandlerContext) {
    guard !isClosing else { return }
    isClosing = true
    self.closure = closure
    context.close(promise: nil)
  }
}
