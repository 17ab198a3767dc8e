import NIOCore
import NIOPosix
import NIOTransport
import NetworkTypes
import SIPSyntax
import Testing

/// A server on loopback whose listeners end in a stream of events.
private struct Office {
  enum Event: Equatable {
    case opened(Int, remote: Endpoint, local: Endpoint)
    case received(Int, [String])
    case closed(Int, SIPStreamClosure)
  }

  let server: SIPStreamServer
  let local: Endpoint
  private let events: AsyncStream<Event>

  init(_ limits: SIPStreamServer.Limits = .init(), at local: Endpoint = Endpoint(.loopbackV4, port: 0)) throws {
    let (events, continuation) = AsyncStream<Event>.makeStream()
    self.events = events
    server = SIPStreamServer(
      limits: limits,
      listeners: .init(
        opened: { continuation.yield(.opened($0, remote: $1, local: $2)) },
        received: { continuation.yield(.received($0, $1.map { String(decoding: $0, as: UTF8.self) })) },
        closed: { continuation.yield(.closed($0, $1)) }))
    self.local = try server.listen(at: local)
  }

  /// The next event; `nil` is not met, since a test that waits in vain is ended by its time limit.
  func next() async -> Event? { await events.first { _ in true } }

  /// The number of the connection that was accepted next.
  func accepted() async -> Int? {
    if case .opened(let number, _, _)? = await next() { number } else { nil }
  }
}

/// A telephone's end of a connection.
private struct Client {
  let channel: any Channel
  private let bytes: AsyncStream<String>

  private final class Reader: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    let continuation: AsyncStream<String>.Continuation
    init(_ continuation: AsyncStream<String>.Continuation) { self.continuation = continuation }
    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
      continuation.yield(String(buffer: unwrapInboundIn(data)))
    }
    func channelInactive(context: ChannelHandlerContext) { continuation.finish() }
    func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }
  }

  init(_ remote: Endpoint, reads: Bool = true) async throws {
    let (bytes, continuation) = AsyncStream<String>.makeStream()
    self.bytes = bytes
    channel = try await ClientBootstrap(group: MultiThreadedEventLoopGroup.singleton)
      .channelOption(.autoRead, value: reads)
      .channelOption(.socketOption(.so_rcvbuf), value: 4096)
      .channelInitializer { channel in
        channel.eventLoop.makeCompletedFuture { try channel.pipeline.syncOperations.addHandler(Reader(continuation)) }
      }
      .connect(to: SocketAddress(ipAddress: remote.address.description, port: Int(remote.port))).get()
  }

  func send(_ text: String) async throws { try await channel.writeAndFlush(ByteBuffer(string: text)).get() }

  /// So many bytes of what came; fewer when the connection ended before.
  func read(_ count: Int) async -> String {
    var text = ""
    while text.utf8.count < count, let more = await bytes.first(where: { _ in true }) { text += more }
    return text
  }

  /// Returns when the far side has closed the connection.
  func closed() async throws { try await channel.closeFuture.get() }
}

@Suite(.timeLimit(.minutes(1))) struct SIPStreamServerTests {
  static let options = "OPTIONS sip:a@b SIP/2.0\r\nContent-Length: 0\r\n\r\n"
  static let answer = "SIP/2.0 200 OK\r\nContent-Length: 0\r\n\r\n"

  @Test("A connection is told as opened, its messages as received, its end as closed")
  func life() async throws {
    let office = try Office()
    let phone = try await Client(office.local)
    let remote = try #require(phone.channel.localAddress?.port.flatMap { UInt16(exactly: $0) })
    #expect(
      await office.next() == .opened(1, remote: Endpoint(.loopbackV4, port: remote), local: office.local))
    try await phone.send(Self.options + Self.options + Self.options.prefix(10))
    #expect(await office.next() == .received(1, [Self.options, Self.options]))
    office.server.send(Array(Self.answer.utf8), on: 1)
    #expect(await phone.read(Self.answer.utf8.count) == Self.answer)
    office.server.resume(1)
    try await phone.send(String(Self.options.dropFirst(10)))
    #expect(await office.next() == .received(1, [Self.options]))
    office.server.resume(1)
    try await phone.channel.close().get()
    #expect(await office.next() == .closed(1, .remote))
    #expect(office.server.connectionCount == 0)
    office.server.stop()
  }

  @Test("Two line ends are answered by one, without anybody being asked")
  func keepalive() async throws {
    let office = try Office()
    let phone = try await Client(office.local)
    _ = await office.next()
    try await phone.send("\r\n\r\n")
    #expect(await phone.read(2) == "\r\n")
    try await phone.send(Self.options)
    #expect(await office.next() == .received(1, [Self.options]))
    office.server.stop()
  }

  @Test("Nothing more is read before what was read has been dealt with")
  func lockStep() async throws {
    let office = try Office()
    let phone = try await Client(office.local)
    _ = await office.next()
    try await phone.send(Self.options)
    #expect(await office.next() == .received(1, [Self.options]))
    // It lies in the system's buffer now: had it been read, the answer to the keepalive would come before ours.
    try await phone.send("\r\n\r\n")
    office.server.send(Array("first".utf8), on: 1)
    #expect(await phone.read(5) == "first")
    office.server.resume(1)
    #expect(await phone.read(2) == "\r\n")
    office.server.stop()
  }

  @Test("What cannot be followed closes its connection, after the messages before it")
  func unreadable() async throws {
    let office = try Office()
    let phone = try await Client(office.local)
    _ = await office.next()
    try await phone.send(Self.options + "GET / HTTP/1.1\r\n")
    #expect(await office.next() == .received(1, [Self.options]))
    #expect(await office.next() == .closed(1, .unreadable(.startLine)))
    try await phone.closed()
    office.server.stop()
  }

  @Test("Beyond the bounds connections are closed at once, and a closed one makes room")
  func bounds() async throws {
    var limits = SIPStreamServer.Limits()
    limits.connectionsPerAddress = 2
    let office = try Office(limits)
    let first = try await Client(office.local)
    #expect(await office.accepted() == 1)
    _ = try await Client(office.local)
    #expect(await office.accepted() == 2)
    try await Client(office.local).closed()
    office.server.close(1)
    #expect(await office.next() == .closed(1, .local))
    try await first.closed()
    _ = try await Client(office.local)
    #expect(await office.accepted() == 3)
    #expect(office.server.connectionCount == 2)
    office.server.stop()

    limits.connections = 1
    let small = try Office(limits)
    _ = try await Client(small.local)
    #expect(await small.accepted() == 1)
    try await Client(small.local).closed()
    small.server.stop()
  }

  @Test("A connection that is idle, or stays within a message, is closed")
  func idle() async throws {
    var limits = SIPStreamServer.Limits()
    limits.idle = .milliseconds(50)
    let office = try Office(limits)
    let phone = try await Client(office.local)
    _ = await office.next()
    #expect(await office.next() == .closed(1, .idle))
    try await phone.closed()
    office.server.stop()

    limits.idle = .seconds(600)
    limits.pause = .milliseconds(50)
    let patient = try Office(limits)
    let slow = try await Client(patient.local)
    _ = await patient.next()
    try await slow.send("OPTIONS ")
    #expect(await patient.next() == .closed(1, .idle))
    patient.server.stop()
  }

  @Test("A far side that does not take what it is sent is closed, however much it is")
  func overflow() async throws {
    var limits = SIPStreamServer.Limits()
    limits.unsent = 100_000
    let office = try Office(limits)
    let deaf = try await Client(office.local, reads: false)
    _ = await office.next()
    let message = [UInt8](repeating: 0x61, count: 65_000)
    // More than the system's buffers of both ends hold together.
    for _ in 0..<200 { office.server.send(message, on: 1) }
    #expect(await office.next() == .closed(1, .overflow))
    try await deaf.channel.close().get()
    office.server.stop()
  }

  @Test("stop closes every connection and tells it, and the port is free again")
  func stop() async throws {
    let office = try Office()
    let phone = try await Client(office.local)
    _ = await office.next()
    office.server.stop()
    #expect(await office.next() == .closed(1, .local))
    try await phone.closed()
    let again = try Office(at: office.local)
    #expect(again.local == office.local)
    again.server.stop()
  }

  @Test("A port in use is refused with a sentence that names it")
  func portInUse() throws {
    let office = try Office()
    let error = #expect(throws: SIPStreamServerError.self) { try Office(at: office.local) }
    #expect(error?.isAddressInUse == true)
    #expect(error?.sentence == "TCP port \(office.local.port) on 127.0.0.1 is already in use")
    office.server.stop()
  }

  @Test("An address that is not ours is refused with a sentence that says so")
  func foreignAddress() throws {
    let error = #expect(throws: SIPStreamServerError.self) {
      try Office(at: Endpoint(.v4(0xC000_0201), port: 5060))
    }
    #expect(error?.sentence.contains("192.0.2.1 is not an address of this machine") == true)
  }

  @Test("The wildcard addresses of both families share a port, and each serves its own")
  func bothFamilies() async throws {
    let office = try Office(at: Endpoint(.anyV6, port: 0))
    let port = office.local.port
    try office.server.listen(at: Endpoint(.anyV4, port: port))
    _ = try await Client(Endpoint(.loopbackV4, port: port))
    guard case .opened(1, let remote, let local)? = await office.next() else { return #expect(Bool(false)) }
    #expect(remote.address == .loopbackV4 && local == Endpoint(.loopbackV4, port: port))
    _ = try await Client(Endpoint(.loopbackV6, port: port))
    guard case .opened(2, let remote, let local)? = await office.next() else { return #expect(Bool(false)) }
    #expect(remote.address == .loopbackV6 && local == Endpoint(.loopbackV6, port: port))
    office.server.stop()
  }
}
