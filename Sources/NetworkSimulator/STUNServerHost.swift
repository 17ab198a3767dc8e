public import NetworkTypes
import STUN

/// A STUN server on one or more endpoints of its node.
public struct STUNServerHost: SimulatedHost {
  private let responder: BindingResponder
  public let endpoints: [Endpoint]
  /// Whether it answers nothing, while its sockets are open.
  public var isDead = false
  /// What it tells everyone instead of the truth.
  public var lie: Endpoint?
  /// How late it answers.
  public var lateness = Duration.zero
  /// Answers that wait for their moment, oldest first.
  private var waiting: [(at: MonotonicInstant, bytes: [UInt8], socket: Int, to: Endpoint)] = []
  /// How many requests came, answered or not.
  public private(set) var requestCount = 0
  /// Whether its endpoints are the four of two addresses and two ports, and it answers from whichever is asked for (RFC 5780).
  private let hasTwoAddresses: Bool

  public init(_ endpoints: [Endpoint], software: String? = nil) {
    self.endpoints = endpoints
    hasTwoAddresses = false
    responder = BindingResponder(software: software)
  }

  /// A server that shows what a NAT does.
  ///
  /// - Parameter alternate: differs from `primary` in address and port; both are of the node.
  public init(primary: Endpoint, alternate: Endpoint) throws {
    endpoints = try STUNServerAddresses(primary: primary, alternate: alternate).all
    hasTwoAddresses = true
    responder = BindingResponder()
  }

  public mutating func start(now: MonotonicInstant, into actions: inout [HostAction]) {
    for (index, endpoint) in endpoints.enumerated() { actions.append(.openSocket(index, local: endpoint)) }
  }

  public mutating func datagramReceived(
    _ bytes: [UInt8], from source: Endpoint, on socket: Int, now: MonotonicInstant, into actions: inout [HostAction]
  ) {
    guard endpoints.indices.contains(socket) else { return }
    requestCount += 1
    guard !isDead else { return }
    if hasTwoAddresses { return answer(bytes, from: source, on: socket, into: &actions) }
    if let answer = responder.respond(to: bytes.span, from: lie ?? source, local: endpoints[socket]) {
      guard lateness == .zero else { return waiting.append((now + lateness, answer, socket, source)) }
      actions.append(.send(answer, socket: socket, to: source))
    }
  }

  private func answer(_ bytes: [UInt8], from source: Endpoint, on socket: Int, into actions: inout [HostAction]) {
    var answer: [UInt8] = []
    guard
      let reply = responder.reply(
        to: bytes.span, from: source, local: endpoints[socket], other: endpoints[socket ^ 3], into: &answer)
    else { return }
    let turned = (reply.change.changeIP ? 2 : 0) | (reply.change.changePort ? 1 : 0)
    actions.append(.send(answer, socket: socket ^ turned, to: reply.destination))
  }

  public var nextDeadline: MonotonicInstant? { waiting.map(\.at).min() }

  public mutating func timerFired(now: MonotonicInstant, into actions: inout [HostAction]) {
    for answer in waiting where answer.at <= now {
      actions.append(.send(answer.bytes, socket: answer.socket, to: answer.to))
    }
    waiting.removeAll { $0.at <= now }
  }
}
