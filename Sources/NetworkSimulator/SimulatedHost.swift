public import NetworkTypes

/// What a host asks of the network it lives in.
public enum HostAction: Sendable {
  /// Binds UDP socket `socket` (a number of the host's choosing) to `local`; the address may be a wildcard. Answered by
  /// ``SimulatedHost/socketOpened(_:local:now:into:)`` or ``SimulatedHost/socketFailed(_:reason:now:into:)``.
  case openSocket(Int, local: Endpoint)
  case closeSocket(Int)
  /// A datagram leaves `socket`. From a socket that is not open nothing leaves, and the trace says so.
  case send([UInt8], socket: Int, to: Endpoint)
  /// Looks a host name up; answered by ``SimulatedHost/nameResolved(_:addresses:now:into:)``.
  case resolve(String)
  /// Looks up the servers of a service (SRV); answered by ``SimulatedHost/serviceResolved(_:records:now:into:)``.
  case resolveService(String)
  /// A line for the trace.
  case log(String)
}

/// Something that lives on a node of a ``SimulatedNetwork``: a thin adapter around the cores of a real program.
///
/// As every core it is told what happened and when, appends what is to be done, and names the moment at which it next
/// wants to be woken. It is called by nobody else, and never twice at once.
public protocol SimulatedHost: Sendable {
  mutating func start(now: MonotonicInstant, into actions: inout [HostAction])
  mutating func datagramReceived(
    _ bytes: [UInt8], from source: Endpoint, on socket: Int, now: MonotonicInstant, into actions: inout [HostAction])
  mutating func timerFired(now: MonotonicInstant, into actions: inout [HostAction])
  /// `addresses` is empty where the name does not exist or nobody answered.
  mutating func nameResolved(
    _ name: String, addresses: [IPAddress], now: MonotonicInstant, into actions: inout [HostAction])
  /// `records` is `nil` where nobody answered.
  mutating func serviceResolved(
    _ service: String, records: [ServiceRecord]?, now: MonotonicInstant, into actions: inout [HostAction])
  mutating func socketOpened(
    _ socket: Int, local: Endpoint, now: MonotonicInstant, into actions: inout [HostAction])
  mutating func socketFailed(
    _ socket: Int, reason: String, now: MonotonicInstant, into actions: inout [HostAction])
  /// When ``timerFired(now:into:)`` is to be called; read after every other call.
  var nextDeadline: MonotonicInstant? { get }
}

extension SimulatedHost {
  public mutating func timerFired(now: MonotonicInstant, into actions: inout [HostAction]) {}
  public mutating func nameResolved(
    _ name: String, addresses: [IPAddress], now: MonotonicInstant, into actions: inout [HostAction]
  ) {}
  public mutating func serviceResolved(
    _ service: String, records: [ServiceRecord]?, now: MonotonicInstant, into actions: inout [HostAction]
  ) {}
  public mutating func socketOpened(
    _ socket: Int, local: Endpoint, now: MonotonicInstant, into actions: inout [HostAction]
  ) {}
  public mutating func socketFailed(
    _ socket: Int, reason: String, now: MonotonicInstant, into actions: inout [HostAction]
  ) {}
  public var nextDeadline: MonotonicInstant? { nil }
}
