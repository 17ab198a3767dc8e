import NIOCore
import NIOPosix
import NIOSSL
import NIOTransport
import NetworkTypes
import STUN
import Testing

/// A server on loopback, whose clock for rates stands still.
private struct Office {
  let server: BindingStreamServer
  let local: Endpoint

  init(
    _ limits: BindingStreamServer.Limits = .init(), at address: IPAddress = .loopbackV4, other: Endpoint? = nil,
    certificate: ServerCertificate? = nil
  ) throws {
    var random = RandomSource(seed: 3)
    server = BindingStreamServer(limits: limits, software: "Trunkline", random: &random) {
      MonotonicInstant(nanoseconds: 1_000_000_000)
    }
    if let certificate { server.setCertificate(certificate) }
    local = try server.listen(at: Endpoint(address, port: 0), other: other, isTLS: certificate != nil)
  }
}

/// A client's end of a connection.
private struct Client {
  let channel: any Channel
  let local: Endpoint
  private let bytes: AsyncStream<[UInt8]>

  private final class Reader: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer
    let continuation: AsyncStream<[UInt8]>.Continuation
    let greeting: [UInt8]
    init(_ continuation: AsyncStream<[UInt8]>.Continuation, greeting: [UInt8]) {
      self.continuation = continuation
      self.greeting = greeting
    }
    func channelActive(context: ChannelHandlerContext) {
      if !greeting.isEmpty { context.writeAndFlush(wrapOutboundOut(ByteBuffer(bytes: greeting)), promise: nil) }
    }
    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
      continuation.yield(Array(unwrapInboundIn(data).readableBytesView))
    }
    func channelInactive(context: ChannelHandlerContext) { continuation.finish() }
    func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }
  }

  /// - Parameter greeting: leaves as soon as the connection is up, however long other tests keep this one waiting.
  init(_ remote: Endpoint, isTLS: Bool = false, reads: Bool = true, greeting: [UInt8] = []) async throws {
    let (bytes, continuation) = AsyncStream<[UInt8]>.makeStream()
    self.bytes = bytes
    var configuration = TLSConfiguration.makeClientConfiguration()
    configuration.certificateVerification = .none
    let context = try NIOSSLContext(configuration: configuration)
    channel = try await ClientBootstrap(group: MultiThreadedEventLoopGroup.singleton)
      .channelOption(.autoRead, value: reads)
      .channelOption(.socketOption(.so_rcvbuf), value: 4096)
      .channelInitializer { channel in
        channel.eventLoop.makeCompletedFuture {
          if isTLS {
            try channel.pipeline.syncOperations.addHandler(
              NIOSSLClientHandler(context: context, serverHostname: "stun.example"))
          }
          try channel.pipeline.syncOperations.addHandler(Reader(continuation, greeting: greeting))
        }
      }
      .connect(to: SocketAddress(ipAddress: remote.address.description, port: Int(remote.port))).get()
    let port = channel.localAddress?.port.flatMap { UInt16(exactly: $0) }
    // None where the server has closed it already.
    local = Endpoint(remote.address, port: port ?? 0)
  }

  func send(_ bytes: [UInt8]) async throws { try await channel.writeAndFlush(ByteBuffer(bytes: bytes)).get() }

  /// So many messages, or up to the one with an ID; fewer when the connection ended before.
  func messages(_ count: Int, until last: UInt128? = nil) async throws -> [STUNMessage] {
    var framer = STUNStreamFramer()
    var found: [STUNMessage] = []
    while found.count < count, last == nil || found.last?.transactionID != last,
      let more = await bytes.first(where: { _ in true })
    {
      framer.append(more.span)
      while let message = try framer.next() { found.append(try STUNMessage(decoding: message.span)) }
    }
    return found
  }

  /// The common name in the certificate that the server showed.
  func certificateName() async throws -> String? {
    try await channel.eventLoop.submit {
      let handler = try channel.pipeline.syncOperations.handler(type: NIOSSLClientHandler.self)
      let text = handler.peerCertificate.map { "\($0)" } ?? ""
      return ["stun.example", "other.example"].first { text.contains($0) }
    }.get()
  }

  /// Returns when the far side has closed the connection.
  func closed() async throws { try await channel.closeFuture.get() }
}

private func request(_ number: Int = 1, _ attributes: [STUNAttribute] = []) -> [UInt8] {
  STUNMessage(messageClass: .request, transactionID: UInt128(number), attributes: attributes).encoded()
}

private func path(_ name: String) -> String {
  #filePath.split(separator: "/").dropLast().map { "/\($0)" }.joined() + "/Certificates/\(name)"
}

private func certificate(_ chain: String = "good.pem", key: String? = "key.pem") throws -> ServerCertificate {
  try ServerCertificate(chain: path(chain), key: key.map(path), now: WallTime(nanoseconds: 1_800_000_000_000_000_000))
}

@Suite("Binding server on connections", .timeLimit(.minutes(1)))
struct BindingStreamServerTests {
  @Test("a client is told where it comes from", arguments: [IPAddress.loopbackV4, .loopbackV6], [false, true])
  func answers(_ address: IPAddress, isTLS: Bool) async throws {
    guard let office = try? Office(at: address, certificate: isTLS ? try certificate() : nil) else {
      // A machine without IPv6 has the other half tested.
      try #require(address.isV6)
      return
    }
    let client = try await Client(office.local, isTLS: isTLS)
    try await client.send(request(1) + request(2))
    let first = try await client.messages(2)
    #expect(first.map(\.transactionID) == [1, 2])
    #expect(first.map(\.xorMappedAddress) == [client.local, client.local])
    // One byte after the other.
    for byte in request(3) { try await client.send([byte]) }
    let second = try await client.messages(1)
    #expect(second.first?.mappedAddress == client.local)
    #expect(office.server.answerCount == 3)
    #expect(office.server.connectionCount == 1)
    office.server.stop()
    try await client.closed()
    #expect(office.server.connectionCount == 0)
  }

  @Test("what RFC 5780 has for datagrams is refused, the other endpoint is told of")
  func behavior() async throws {
    let other = Endpoint(.v4(0x7f00_0002), port: 3479)
    let office = try Office(other: other)
    let client = try await Client(office.local)
    let change = STUNChangeRequest(changeIP: true, changePort: false)
    try await client.send(
      request(1, [.changeRequest(change)]) + request(2, [.responsePort(4711)])
        + request(3, [.padding([UInt8](repeating: 0, count: 100))])
        + request(4, [.changeRequest(STUNChangeRequest(changeIP: false, changePort: false))]))
    let answers = try await client.messages(4)
    #expect(answers.map { $0.errorCode?.code } == [420, 420, 420, nil])
    #expect(answers.map { $0.unknownAttributes?.first } == [.changeRequest, .responsePort, .padding, nil])
    #expect(answers.last?.otherAddress == other)
    #expect(answers.last?.responseOrigin == office.local)
    office.server.stop()
  }

  @Test("anything but STUN ends the connection, after what was asked before is answered", arguments: [false, true])
  func garbage(isTLS: Bool) async throws {
    let office = try Office(certificate: isTLS ? try certificate() : nil)
    let client = try await Client(office.local, isTLS: isTLS)
    try await client.send(request(1) + Array("GET / HTTP/1.1\r\n\r\n".utf8))
    #expect(try await client.messages(9).map(\.transactionID) == [1])
    try await client.closed()
    let plain = try await Client(office.local)
    try await plain.send(Array("GET / HTTP/1.1\r\n\r\n".utf8))
    try await plain.closed()
    office.server.stop()
  }

  @Test("hostile attributes get silence or a refusal, and the connection goes on")
  func hostile() async throws {
    let office = try Office()
    let client = try await Client(office.local)
    var stream: [UInt8] = []
    for type in [0x0001, 0x0003, 0x0006, 0x0008, 0x0026, 0x0027, 0x7777, 0x8022, 0x8028] as [UInt16] {
      for length in [0, 1, 2, 3, 65_535] as [UInt16] {
        var bytes = request(7)
        bytes += [UInt8(type >> 8), UInt8(type & 255), UInt8(length >> 8), UInt8(length & 255), 0, 0, 0, 0]
        bytes[3] = 8
        stream += bytes
      }
    }
    try await client.send(stream + request(8))
    let answers = try await client.messages(1000, until: 8)
    #expect(answers.last?.mappedAddress == client.local)
    // A value that goes beyond its message is no sound request.
    #expect(answers.count < 1 + 9 * 4)
    office.server.stop()
  }

  @Test("connections are bounded, for each source and in all")
  func bounds() async throws {
    var limits = BindingStreamServer.Limits()
    limits.connectionsPerSource = 2
    let office = try Office(limits)
    let first = try await Client(office.local)
    let second = try await Client(office.local)
    for client in [first, second] {
      try await client.send(request())
      #expect(try await client.messages(1).count == 1)
    }
    try await Client(office.local).closed()
    try await first.channel.close().get()
    while office.server.connectionCount > 1 { await Task.yield() }
    let third = try await Client(office.local)
    try await third.send(request())
    #expect(try await third.messages(1).count == 1)
    office.server.stop()
  }

  @Test("a source that connects or asks too often is closed")
  func rates() async throws {
    var limits = BindingStreamServer.Limits()
    limits.requestsPerSecond = 20  // five at once
    limits.newConnectionsPerSecond = 8  // two at once
    let office = try Office(limits)
    let first = try await Client(office.local)
    try await first.send((1...50).flatMap { request($0) })
    #expect(try await first.messages(50).map(\.transactionID) == [1, 2, 3, 4, 5])
    try await first.closed()
    _ = try await Client(office.local)
    try await Client(office.local).closed()
    office.server.stop()
  }

  @Test("who says nothing, or begins a message and does not end it, is closed", arguments: [0, 1, 19], [false, true])
  func pause(_ count: Int, isTLS: Bool) async throws {
    var limits = BindingStreamServer.Limits()
    limits.pause = .milliseconds(500)
    let office = try Office(limits, certificate: isTLS ? try certificate() : nil)
    // Without a byte to send it does not even begin the handshake.
    let silent = try await Client(
      office.local, isTLS: isTLS && count > 0, greeting: Array(request().prefix(count)))
    try await silent.closed()
    let slow = try await Client(office.local, isTLS: isTLS, greeting: request(1) + request(2).prefix(count))
    if count > 0 { try await slow.closed() }
    #expect(try await slow.messages(1).count == 1)
    office.server.stop()
  }

  @Test("an idle connection is closed, and one that does not take its answers")
  func idle() async throws {
    var limits = BindingStreamServer.Limits()
    limits.idle = .milliseconds(300)
    limits.pause = .milliseconds(500)
    limits.requestsPerSecond = 0
    let office = try Office(limits)
    let client = try await Client(office.local, greeting: request())
    #expect(try await client.messages(1).count == 1)
    try await client.closed()
    // It fills what the kernels hold on both sides, and then waits for ever.
    let deaf = try await Client(office.local, reads: false)
    let flood = (1...2000).flatMap { request($0) }
    while deaf.channel.isActive, (try? await deaf.send(flood)) != nil {}
    office.server.stop()
    #expect(office.server.connectionCount == 0)
  }

  @Test("a new certificate is for new connections")
  func certificates() async throws {
    let office = try Office(certificate: try certificate())
    let before = try await Client(office.local, isTLS: true)
    try await before.send(request(1))
    #expect(try await before.messages(1).count == 1)
    office.server.setCertificate(try certificate("both.pem", key: nil))
    let after = try await Client(office.local, isTLS: true)
    for client in [before, after] {
      try await client.send(request(2))
      #expect(try await client.messages(1).count == 1)
    }
    #expect(try await before.certificateName() == "stun.example")
    #expect(try await after.certificateName() == "other.example")
    office.server.stop()
  }

  @Test("a port that is taken is named")
  func inUse() throws {
    let office = try Office()
    var random = RandomSource(seed: 1)
    let second = BindingStreamServer(random: &random) { MonotonicInstant(nanoseconds: 0) }
    let error = #expect(throws: SIPStreamServerError.self) { try second.listen(at: office.local) }
    #expect(error?.isAddressInUse == true)
    #expect(error?.sentence.contains("\(office.local.port)") == true)
    second.stop()
    office.server.stop()
  }
}

@Suite("Certificate of a server") struct ServerCertificateTests {
  @Test(
    "what is wrong with the files is said in a sentence",
    arguments: [
      ("missing.pem", "key.pem", "no such file"), ("good.pem", "missing.pem", "no such file"),
      ("key.pem", "key.pem", "no certificate"), ("good.pem", nil, "no private key"),
      ("good.pem", "good.pem", "no private key"),
      ("good.pem", "otherkey.pem", "does not belong"),
      ("expired.pem", "key.pem", "expired: it was valid until 2021-01-01"),
      ("early.pem", "key.pem", "not valid yet: it will be from 2090-01-01"),
    ] as [(String, String?, String)])
  func mistakes(_ chain: String, _ key: String?, _ words: String) {
    let mistake = #expect(throws: ServerCertificate.Mistake.self) { try certificate(chain, key: key) }
    #expect(mistake?.sentence.contains(words) == true, "\(mistake?.sentence ?? "")")
    #expect(mistake?.sentence.contains("/Certificates/") == true)
  }

  @Test("a key in the certificate's own file will do; the end is known")
  func together() throws {
    #expect(try certificate("both.pem", key: nil).expiry.nanoseconds > 4_000_000_000_000_000_000)
  }
}
