import Glibc
import NIOCore
import NIOSSL
import NIOTLS
import NetworkTypes
import STUN

/// The UDP port of a question.
final class QueryPortHandler: ChannelInboundHandler {
  typealias InboundIn = AddressedEnvelope<ByteBuffer>

  private let run: BindingQueryRun

  init(run: BindingQueryRun) { self.run = run }

  func channelRead(context: ChannelHandlerContext, data: NIOAny) {
    let envelope = unwrapInboundIn(data)
    run.datagramReceived(envelope.data, from: envelope.remoteAddress)
  }

  /// That nobody is at an address is what silence says too.
  func errorCaught(context: ChannelHandlerContext, error: any Error) {}
}

/// A connection of a question.
final class QueryConnectionHandler: ChannelInboundHandler {
  typealias InboundIn = ByteBuffer

  private let run: BindingQueryRun
  private let number: Int
  private let target: STUNTarget
  private let isSecure: Bool
  private var reason = "it was closed by the far side"

  init(run: BindingQueryRun, number: Int, target: STUNTarget, isSecure: Bool) {
    self.run = run
    self.number = number
    self.target = target
    self.isSecure = isSecure
  }

  func channelActive(context: ChannelHandlerContext) {
    if !isSecure { run.connected(number, context.channel) }
    context.fireChannelActive()
  }

  func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
    if case .handshakeCompleted? = event as? TLSUserEvent { run.connected(number, context.channel) }
    context.fireUserInboundEventTriggered(event)
  }

  func channelRead(context: ChannelHandlerContext, data: NIOAny) {
    run.bytesReceived(unwrapInboundIn(data), on: number, from: context.channel.localAddress)
  }

  func channelInactive(context: ChannelHandlerContext) { run.ended(number, reason) }

  func errorCaught(context: ChannelHandlerContext, error: any Error) {
    reason = BindingQueryWords.reason(error, target)
    context.close(promise: nil)
  }
}

/// Errors of sockets and of TLS, as the ends of sentences.
enum BindingQueryWords {
  static func reason(_ error: any Error, _ target: STUNTarget?) -> String {
    if let error = error as? IOError {
      return switch error.errnoCode {
      case ECONNREFUSED: "nobody listens there"
      case ETIMEDOUT: "it does not answer"
      case EHOSTUNREACH, ENETUNREACH: "there is no way to it"
      case ECONNRESET, EPIPE: "it was closed by the far side"
      case EADDRINUSE: "the port is already in use"
      case EADDRNOTAVAIL: "the address is none of this machine"
      case EACCES: "this user may not"
      default: "\(error)"
      }
    }
    if case .connectTimeout? = error as? ChannelError { return "it does not answer" }
    let name = target.map { $0.domain ?? $0.endpoint.address.description } ?? "it"
    if error as? NIOSSLExtraError == .failedToValidateHostname { return "its certificate is not for \(name)" }
    if error as? NIOSSLError == .failedToLoadCertificate {
      return "the certificates of those who may vouch for it cannot be read"
    }
    let text = "\(error)"
    if text.contains("CERTIFICATE_VERIFY_FAILED") {
      return "nobody whom this machine trusts vouches for its certificate, or that has expired"
    }
    if error is NIOSSLError || error is BoringSSLError { return "TLS with it fails (\(text))" }
    return text
  }
}
