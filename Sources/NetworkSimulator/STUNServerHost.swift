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

  public init(_ endpoints: [Endpoint], software: String? = nil) {
    self.endpoints = endpoints
    responder = BindingResponder(software: software)
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
    if let answer = responder.respond(to: bytes.span, from: lie ?? source, local: endpoints[socket]) {
      guard lateness == .zero else { return waiting.append((now + lateness, answer, socket, source)) }
      actions.append(.send(answer, socket: socket, to: source))
    }
  }

  public var nextDeadline: MonotonicInstant? { waiting.map(\.at).min() }

  public mutating func timerFired(now: MonotonicInstant, into actions: inout [HostAction]) {
    for answer in waiting where answer.at <= now {
      actions.append(.send(answer.bytes, socket: answer.socket, to: answer.to))
    }
    waiting.removeAll { $0.at <= now }
  }
}
