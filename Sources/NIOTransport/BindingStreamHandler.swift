import NIOCore
import NIOSSL
import NetworkTypes
import STUN

/// One connection of a ``BindingStreamServer``.
final class BindingStreamHandler: ChannelInboundHandler, ChannelOutboundHandler {
  typealias InboundIn = ByteBuffer
  typealias OutboundIn = ByteBuffer
  typealias OutboundOut = ByteBuffer

  /// Asks the handler to close the connection without waiting for the far side.
  struct Abort: Sendable {}

  private let server: BindingStreamServer
  private let other: Endpoint?
  private var identity: (connection: Int, remote: Endpoint, local: Endpoint)?
  private var framer = STUNStreamFramer()
  private var answers = ByteBuffer()
  private var answer: [UInt8] = []
  /// Answers that the system has not taken yet.
  private var isWriting = false
  private var isClosing = false
  /// Whether ``deadline`` is that of the first message, with the handshake before it, or of another one that has begun.
  private var isPressing = true
  /// When the connection is closed, and when the timer looks whether it is to be.
  private var deadline = NIODeadline.distantFuture
  private var nextLook = NIODeadline.distantFuture
  private var timer: Scheduled<Void>?

  init(server: BindingStreamServer, other: Endpoint?) {
    self.server = server
    self.other = other
  }

  func channelActive(context: ChannelHandlerContext) {
    guard let remote = context.channel.remoteAddress.flatMap({ Endpoint($0) }),
      let local = context.channel.localAddress.flatMap({ Endpoint($0) }),
      let connection = server.opened(context.channel, from: remote.address)
    else { return abort(context) }
    identity = (connection, remote, local)
    setDeadline(context, server.limits.pause)
    context.fireChannelActive()
    context.read()
  }

  func channelInactive(context: ChannelHandlerContext) {
    timer?.cancel()
    timer = nil
    guard let identity else { return }
    self.identity = nil
    server.closed(identity.connection, from: identity.remote.address)
  }

  func triggerUserOutboundEvent(context: ChannelHandlerContext, event: Any, promise: EventLoopPromise<Void>?) {
    guard event is Abort else { return context.triggerUserOutboundEvent(event, promise: promise) }
    abort(context)
    promise?.succeed()
  }

  func errorCaught(context: ChannelHandlerContext, error: any Error) { abort(context) }

  func channelRead(context: ChannelHandlerContext, data: NIOAny) {
    guard !isClosing, let identity else { return }
    let chunk = unwrapInboundIn(data)
    framer.append(chunk.readableBytesUInt8Span)
    var isWhole = false
    do throws(STUNStreamFramer.Failure) {
      while let request = try framer.next() {
        isWhole = true
        guard server.admits(identity.remote.address) else { return close(context) }
        guard
          server.answer(
            to: request, from: identity.remote, local: identity.local, other: other, into: &answer)
        else { continue }
        answers.writeBytes(answer)
      }
    } catch {
      // What was asked properly before is answered.
      return close(context)
    }
    // A message that has begun has so long in all, however it drips in.
    if framer.isWithinMessage {
      if !isPressing || isWhole { setDeadline(context, server.limits.pause) }
      isPressing = true
    } else {
      isPressing = false
      setDeadline(context, server.limits.idle)
    }
  }

  func channelReadComplete(context: ChannelHandlerContext) {
    guard !isClosing, identity != nil, !isWriting else { return }
    guard answers.readableBytes > 0 else { return context.read() }
    isWriting = true
    let bound = NIOLoopBound((self, context), eventLoop: context.eventLoop)
    flush(context).whenComplete { _ in
      let (handler, context) = bound.value
      handler.isWriting = false
      // Only now more is read: a flood waits at its sender.
      if !handler.isClosing { context.read() }
    }
  }

  private func flush(_ context: ChannelHandlerContext) -> EventLoopFuture<Void> {
    let promise = context.eventLoop.makePromise(of: Void.self)
    context.writeAndFlush(wrapOutboundOut(answers), promise: promise)
    answers = ByteBuffer()
    return promise.futureResult
  }

  /// After what has been answered.
  private func close(_ context: ChannelHandlerContext) {
    guard !isClosing else { return }
    isClosing = true
    // The far side may not take it, nor end TLS with us.
    setDeadline(context, server.limits.pause)
    if answers.readableBytes > 0 { _ = flush(context) }
    context.close(promise: nil)
  }

  private func abort(_ context: ChannelHandlerContext) {
    isClosing = true
    // TLS would say goodbye and wait for an answer: its handler is passed by.
    let below = try? context.pipeline.syncOperations.context(handlerType: NIOSSLServerHandler.self)
    (below ?? context).close(promise: nil)
  }

  /// From now on.
  private func setDeadline(_ context: ChannelHandlerContext, _ duration: Duration) {
    deadline = .now() + TimeAmount(duration)
    // A later one is found when the earlier one has come.
    if deadline < nextLook { schedule(context) }
  }

  private func schedule(_ context: ChannelHandlerContext) {
    timer?.cancel()
    nextLook = deadline
    let bound = NIOLoopBound((self, context), eventLoop: context.eventLoop)
    timer = context.eventLoop.scheduleTask(deadline: deadline) {
      let (handler, context) = bound.value
      if NIODeadline.now() < handler.deadline { handler.schedule(context) } else { handler.abort(context) }
    }
  }
}
