import NIOCore
import NIOPosix
import NIOTransport
import NetworkTypes
import STUN
import Testing

/// A STUN server on a UDP port of loopback, or somebody who does not answer.
private struct Port {
  let channel: any Channel
  var local: Endpoint { Endpoint(.loopbackV4, port: UInt16(channel.localAddress?.port ?? 0)) }

  private final class Responder: ChannelInboundHandler {
    typealias InboundIn = AddressedEnvelope<ByteBuffer>
    typealias OutboundOut = AddressedEnvelope<ByteBuffer>
    let isDead: Bool
    init(isDead: Bool) { self.isDead = isDead }
    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
      let envelope = unwrapInboundIn(data)
      guard !isDead, let port = envelope.remoteAddress.port.flatMap({ UInt16(exactly: $0) }) else { return }
      let source = Endpoint(.loopbackV4, port: port)
      guard
        let answer = BindingResponder().respond(
          to: Array(envelope.data.readableBytesView).span, from: source, local: Endpoint(.loopbackV4, port: 3478))
      else { return }
      context.writeAndFlush(
        wrapOutboundOut(AddressedEnvelope(remoteAddress: envelope.remoteAddress, data: ByteBuffer(bytes: answer))),
        promise: nil)
    }
  }

  init(isDead: Bool = false) async throws {
    channel = try await DatagramBootstrap(group: MultiThreadedEventLoopGroup.singleton)
      .channelInitializer { channel in
        channel.eventLoop.makeCompletedFuture {
          try channel.pipeline.syncOperations.addHandler(Responder(isDead: isDead))
        }
      }
      .bind(host: "127.0.0.1", port: 0).get()
  }
}

private func path(_ name: String) -> String {
  #filePath.split(separator: "/").dropLast().map { "/\($0)" }.joined() + "/Certificates/\(name)"
}

/// A server on TCP, or TLS with a certificate, and where it is.
private func server(
  _ chain: String? = nil, at day: Int64 = 1_800_000_000, pause: Duration = .seconds(5)
) throws -> (BindingStreamServer, Endpoint) {
  var random = RandomSource(seed: 3)
  var limits = BindingStreamServer.Limits()
  limits.pause = pause
  let server = BindingStreamServer(limits: limits, random: &random) { MonotonicInstant(nanoseconds: 1) }
  if let chain {
    server.setCertificate(
      try ServerCertificate(
        chain: path(chain), key: path("key.pem"), now: WallTime(nanoseconds: day * 1_000_000_000)))
  }
  return (server, try server.listen(at: Endpoint(.loopbackV4, port: 0), isTLS: chain != nil))
}

private func ask(
  _ servers: [STUNTarget], credentials: STUNCredentials? = nil, from local: Endpoint? = nil,
  trust: BindingQuery.Trust = .file(path("good.pem")), limit: Duration = .seconds(20)
) async -> Result<BindingQuery.Answer, BindingQuery.Failure> {
  let began = ContinuousClock.now
  do throws(BindingQuery.Failure) {
    return .success(
      try await BindingQuery.ask(
        servers, credentials: credentials, from: local, trust: trust, limit: limit, random: RandomSource(seed: 11),
        now: { MonotonicInstant(nanoseconds: (ContinuousClock.now - began).nanoseconds) }))
  } catch {
    return .failure(error)
  }
}

extension Result where Failure == BindingQuery.Failure {
  fileprivate var problems: [STUNClientProblem] {
    if case .failure(let failure) = self { failure.problems } else { [] }
  }
}

@Suite("One question by UDP, TCP and TLS", .timeLimit(.minutes(1)))
struct BindingQueryTests {
  @Test("over UDP the address is that of the port which asked")
  func datagrams() async throws {
    let port = try await Port()
    let answer = try await ask([STUNTarget(port.local)]).get()
    #expect(answer.mapping.mapped == Endpoint(.loopbackV4, port: answer.local.port))
    #expect(answer.mapping.server == STUNTarget(port.local))
    let again = try await ask([STUNTarget(port.local)], from: Endpoint(.loopbackV4, port: answer.local.port)).get()
    #expect(again.local == Endpoint(.loopbackV4, port: answer.local.port))
    try await port.channel.close()
  }

  @Test("over TCP it is that of the connection")
  func connections() async throws {
    let (server, local) = try server()
    let answer = try await ask([STUNTarget(local, transport: .tcp)]).get()
    #expect(answer.mapping.mapped == answer.local)
    #expect(answer.local.address == .loopbackV4 && answer.local.port != 0)
    #expect(answer.mapping.server.transport == .tcp)
    server.stop()
  }

  @Test("over TLS too, if the certificate is the domain's")
  func secured() async throws {
    let (server, local) = try server("good.pem")
    let answer = try await ask([STUNTarget(local, transport: .tls, domain: "stun.example")]).get()
    #expect(answer.mapping.mapped == answer.local)
    for (target, words) in [
      (STUNTarget(local, transport: .tls, domain: "other.example"), "its certificate is not for other.example"),
      (STUNTarget(local, transport: .tls, domain: "example"), "its certificate is not for example"),
      // Known by its address only: that has to stand in the certificate.
      (STUNTarget(local, transport: .tls), "its certificate is not for 127.0.0.1"),
      (STUNTarget(local, transport: .tls, domain: "127.0.0.1"), "its certificate is not for 127.0.0.1"),
    ] {
      #expect(await ask([target]).problems == [.connection(words)])
    }
    #expect(server.answerCount == 1, "nothing was asked of the others")
    server.stop()
  }

  @Test("whoever signed it himself is nobody, and what has expired is nothing")
  func untrusted() async throws {
    let why = "nobody whom this machine trusts vouches for its certificate, or that has expired"
    let (server, local) = try server("good.pem")
    let target = STUNTarget(local, transport: .tls, domain: "stun.example")
    #expect(await ask([target], trust: .system).problems == [.connection(why)])
    let unread = STUNClientProblem.connection("the certificates of those who may vouch for it cannot be read")
    #expect(await ask([target], trust: .file(path("missing.pem"))).problems == [unread])
    server.stop()
    let (old, place) = try Self.expired()
    let expired = STUNTarget(place, transport: .tls, domain: "stun.example")
    #expect(await ask([expired], trust: .file(path("expired.pem"))).problems == [.connection(why)])
    old.stop()
  }

  private static func expired() throws -> (BindingStreamServer, Endpoint) {
    // The server's clock stands in the last moment of the certificate's life.
    try server("expired.pem", at: 1_609_400_000)
  }

  @Test("a server that nobody is at is passed over, and the next one asked at once")
  func order() async throws {
    let (gone, nowhere) = try server()
    gone.stop()
    let (server, local) = try server()
    let answer = try await ask([STUNTarget(nowhere, transport: .tcp), STUNTarget(local, transport: .tcp)]).get()
    #expect(answer.mapping.index == 1)
    #expect(await ask([STUNTarget(nowhere, transport: .tcp)]).problems == [.connection("nobody listens there")])
    server.stop()
  }

  @Test("TLS to somebody who speaks STUN in clear, and the reverse, fail with a reason")
  func confusion() async throws {
    let (plain, local) = try server()
    let problems = await ask([STUNTarget(local, transport: .tls, domain: "stun.example")]).problems
    guard case .connection(let why)? = problems.first else {
      Issue.record("\(problems)")
      return
    }
    #expect(!why.isEmpty)
    plain.stop()
    let (secure, place) = try server("good.pem", pause: .milliseconds(200))
    #expect(await ask([STUNTarget(place, transport: .tcp)]).problems.count == 1)
    secure.stop()
  }

  @Test("silence ends with the limit, and says so of each")
  func limit() async throws {
    let dead = try await Port(isDead: true)
    #expect(await ask([STUNTarget(dead.local)], limit: .milliseconds(50)).problems == [.silent])
    #expect(await ask([], limit: .milliseconds(50)).problems.isEmpty)
    try await dead.channel.close()
  }

  @Test("with credentials an answer that is not signed is none")
  func credentials() async throws {
    let (server, local) = try server()
    let credentials = STUNCredentials.shortTerm(username: "me", password: Redacted("secret"))
    #expect(
      await ask([STUNTarget(local, transport: .tcp)], credentials: credentials).problems == [.integrityViolated])
    server.stop()
  }

  @Test("a port that is taken is named")
  func portInUse() async throws {
    let port = try await Port()
    let problems = await ask([STUNTarget(port.local)], from: port.local).problems
    #expect(problems == [.connection("UDP port \(port.local) cannot be opened: the port is already in use")])
    try await port.channel.close()
  }
}
