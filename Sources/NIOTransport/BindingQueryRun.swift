import NIOCore
import NIOPosix
import NIOSSL
import NetworkTypes
import STUN

/// A question that is being asked. It lives on one event loop.
final class BindingQueryRun {
  private let loop: any EventLoop
  private let local: Endpoint?
  /// `nil` where nobody is asked by TLS.
  private let security: Result<NIOSSLContext, any Error>?
  private let now: @Sendable () -> MonotonicInstant
  private let outcome: EventLoopPromise<Result<BindingQuery.Answer, BindingQuery.Failure>>
  private var client: STUNClient
  /// The UDP ports, one for each family that is asked, and what leaves them as soon as they are open.
  private var ports: [(isV4: Bool, channel: (any Channel)?)] = []
  private var waiting: [(bytes: [UInt8], destination: Endpoint)] = []
  private var connections: [Int: any Channel] = [:]
  private var timer: Scheduled<Void>?
  private var limit: Scheduled<Void>?
  private var isOver = false

  init(
    client: STUNClient, local: Endpoint?, security: Result<NIOSSLContext, any Error>?, loop: any EventLoop,
    now: @escaping @Sendable () -> MonotonicInstant,
    outcome: EventLoopPromise<Result<BindingQuery.Answer, BindingQuery.Failure>>
  ) {
    self.client = client
    self.local = local
    self.security = security
    self.loop = loop
    self.now = now
    self.outcome = outcome
  }

  func begin(limit: Duration) {
    let bound = NIOLoopBound(self, eventLoop: loop)
    self.limit = loop.scheduleTask(in: TimeAmount(limit)) { bound.value.turn { $0.giveUp(into: &$2) } }
    turn { $0.ask(now: $1, into: &$2) }
  }

  /// Tells the client something and does what it asks.
  func turn(_ body: (inout STUNClient, MonotonicInstant, inout [STUNClient.Action]) -> Void) {
    guard !isOver else { return }
    var actions: [STUNClient.Action] = []
    body(&client, now(), &actions)
    for action in actions { perform(action) }
    timer?.cancel()
    timer = nil
    guard !isOver, let deadline = client.nextDeadline else { return }
    let bound = NIOLoopBound(self, eventLoop: loop)
    timer = loop.scheduleTask(in: TimeAmount(max(deadline - now(), .zero))) {
      bound.value.turn { $0.timerFired(now: $1, into: &$2) }
    }
  }

  private func perform(_ action: STUNClient.Action) {
    switch action {
    case .send(let bytes, let destination): send(bytes, to: destination)
    case .connect(let number, let target): connect(number, target)
    case .sendOnConnection(let bytes, let number):
      connections[number]?.writeAndFlush(ByteBuffer(bytes: bytes), promise: nil)
    case .disconnect(let number): connections.removeValue(forKey: number)?.close(promise: nil)
    case .mapped(let mapping): end(.success(BindingQuery.Answer(mapping: mapping, local: ownEnd(mapping))))
    case .failed(let problems): end(.failure(BindingQuery.Failure(problems: problems)))
    }
  }

  /// The connection that answered is still known: the client gives it up together with the answer, but after it was told.
  private var answering: Endpoint?

  private func ownEnd(_ mapping: STUNMapping) -> Endpoint {
    let isV4 = mapping.server.endpoint.address.isV4
    if mapping.server.transport.isStream, let answering { return answering }
    let port = ports.first { $0.isV4 == isV4 }?.channel
    return port?.localAddress.flatMap { Endpoint($0) } ?? Endpoint(isV4 ? .anyV4 : .anyV6, port: 0)
  }

  private func end(_ result: Result<BindingQuery.Answer, BindingQuery.Failure>) {
    guard !isOver else { return }
    isOver = true
    timer?.cancel()
    limit?.cancel()
    for port in ports { port.channel?.close(promise: nil) }
    for channel in connections.values { channel.close(promise: nil) }
    connections = [:]
    outcome.succeed(result)
  }

  // MARK: UDP

  private func send(_ bytes: [UInt8], to destination: Endpoint) {
    let isV4 = destination.address.isV4
    if let port = ports.first(where: { $0.isV4 == isV4 }) {
      guard let channel = port.channel else { return waiting.append((bytes, destination)) }
      return write(bytes, to: destination, on: channel)
    }
    waiting.append((bytes, destination))
    ports.append((isV4, nil))
    open(isV4: isV4)
  }

  private func write(_ bytes: [UInt8], to destination: Endpoint, on channel: any Channel) {
    guard let address = try? SocketAddress(destination) else { return }
    channel.writeAndFlush(AddressedEnvelope(remoteAddress: address, data: ByteBuffer(bytes: bytes)), promise: nil)
  }

  private func open(isV4: Bool) {
    let wildcard = Endpoint(isV4 ? .anyV4 : .anyV6, port: 0)
    let place = local.flatMap { $0.address.isV4 == isV4 ? $0 : nil } ?? wildcard
    let bound = NIOLoopBound(self, eventLoop: loop)
    let bootstrap = DatagramBootstrap(group: loop).channelInitializer { channel in
      channel.eventLoop.makeCompletedFuture {
        try channel.pipeline.syncOperations.addHandler(QueryPortHandler(run: bound.value))
      }
    }
    let future: EventLoopFuture<any Channel>
    do {
      future = bootstrap.bind(to: try SocketAddress(place))
    } catch {
      future = loop.makeFailedFuture(error)
    }
    future.whenComplete { result in bound.value.opened(isV4: isV4, place, result) }
  }

  private func opened(isV4: Bool, _ place: Endpoint, _ result: Result<any Channel, any Error>) {
    switch result {
    case .success(let channel):
      guard !isOver else { return channel.close(promise: nil) }
      for index in ports.indices where ports[index].isV4 == isV4 { ports[index].channel = channel }
      for packet in waiting where packet.destination.address.isV4 == isV4 {
        write(packet.bytes, to: packet.destination, on: channel)
      }
      waiting.removeAll { $0.destination.address.isV4 == isV4 }
    case .failure(let error):
      // Without a port nothing can be asked of anybody.
      let why = "UDP port \(place) cannot be opened: \(BindingQueryWords.reason(error, nil))"
      end(.failure(BindingQuery.Failure(problems: client.servers.map { _ in .connection(why) })))
    }
  }

  func datagramReceived(_ buffer: ByteBuffer, from source: SocketAddress) {
    guard let source = Endpoint(source) else { return }
    turn { $0.datagramReceived(buffer.readableBytesUInt8Span, from: source, now: $1, into: &$2) }
  }

  // MARK: TCP and TLS

  private func connect(_ number: Int, _ target: STUNTarget) {
    let bound = NIOLoopBound(self, eventLoop: loop)
    let future: EventLoopFuture<any Channel>
    do {
      var secured: NIOSSLContext?
      if target.transport == .tls {
        guard let security else { throw ChannelError.inappropriateOperationForState }
        secured = try security.get()
      }
      let context = secured
      // The name of SNI is a name; a server that is known by its address has to show that in its certificate.
      let name = target.domain.flatMap { IPAddress($0) == nil ? $0 : nil }
      var bootstrap = ClientBootstrap(group: loop)
        .connectTimeout(.seconds(10))
        .channelOption(.recvAllocator, value: FixedSizeRecvByteBufferAllocator(capacity: 4096))
        .channelInitializer { channel in
          channel.eventLoop.makeCompletedFuture {
            let pipeline = channel.pipeline.syncOperations
            if let context { try pipeline.addHandler(NIOSSLClientHandler(context: context, serverHostname: name)) }
            try pipeline.addHandler(
              QueryConnectionHandler(run: bound.value, number: number, target: target, isSecure: context != nil))
          }
        }
      if let local, local.address.isV4 == target.endpoint.address.isV4 {
        bootstrap = bootstrap.bind(to: try SocketAddress(Endpoint(local.address, port: 0)))
      }
      future = bootstrap.connect(to: try SocketAddress(target.endpoint))
    } catch {
      future = loop.makeFailedFuture(error)
    }
    future.whenFailure { error in
      // Not within the turn that asked for it.
      bound.value.loop.execute {
        bound.value.turn {
          $0.connectionEnded(number, reason: BindingQueryWords.reason(error, target), now: $1, into: &$2)
        }
      }
    }
  }

  static func context(_ trust: BindingQuery.Trust) throws -> NIOSSLContext {
    var configuration = TLSConfiguration.makeClientConfiguration()
    configuration.certificateVerification = .fullVerification
    configuration.minimumTLSVersion = .tlsv12
    // RFC 7443.
    configuration.applicationProtocols = ["stun.nat-discovery"]
    if case .file(let path) = trust {
      configuration.trustRoots = .certificates(try NIOSSLCertificate.fromPEMFile(path))
    }
    return try NIOSSLContext(configuration: configuration)
  }

  func connected(_ number: Int, _ channel: any Channel) {
    guard !isOver else { return channel.close(promise: nil) }
    connections[number] = channel
    turn { $0.connected(number, now: $1, into: &$2) }
  }

  func bytesReceived(_ buffer: ByteBuffer, on number: Int, from end: SocketAddress?) {
    answering = end.flatMap { Endpoint($0) }
    turn { $0.bytesReceived(buffer.readableBytesUInt8Span, on: number, now: $1, into: &$2) }
  }

  func ended(_ number: Int, _ reason: String) {
    connections.removeValue(forKey: number)
    turn { $0.connectionEnded(number, reason: reason, now: $1, into: &$2) }
  }
}
