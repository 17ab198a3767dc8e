public import NetworkTypes

/// The two addresses and two ports of a server that helps to find out what a NAT does (RFC 3489 §8, RFC 5780 §6): four
/// endpoints, from each of which it can answer what came to any other.
public struct STUNServerAddresses: Sendable, Hashable {
  public let primary: Endpoint
  /// Differs from ``primary`` in address and port.
  public let alternate: Endpoint

  /// Why two endpoints are no such pair.
  public enum Problem: Error, Sendable, Hashable {
    case mixedFamilies
    case sameAddress
    case samePort
    /// `0.0.0.0`, `::` or port 0: nobody could be told to send there.
    case wildcard
  }

  public init(primary: Endpoint, alternate: Endpoint) throws(Problem) {
    guard primary.address.isV4 == alternate.address.isV4 else { throw .mixedFamilies }
    guard ![primary, alternate].contains(where: { $0.address.isUnspecified || $0.port == 0 }) else { throw .wildcard }
    guard primary.address != alternate.address else { throw .sameAddress }
    guard primary.port != alternate.port else { throw .samePort }
    self.primary = primary
    self.alternate = alternate
  }

  /// The four endpoints. The index of one, with bit 0 turned, is that of the other port of the same address; with bit 1
  /// turned, that of the same port of the other address.
  public var all: [Endpoint] {
    [
      primary, Endpoint(primary.address, port: alternate.port), Endpoint(alternate.address, port: primary.port),
      alternate,
    ]
  }
}

/// What becomes of an answer: from which of the server's endpoints it leaves, and where to.
public struct BindingReply: Sendable, Hashable {
  /// Both flags false: from the endpoint that was asked.
  public var change: STUNChangeRequest
  /// The client, or another port of its address (RESPONSE-PORT, RFC 5780 §7.5).
  public var destination: Endpoint

  public init(change: STUNChangeRequest, destination: Endpoint) {
    self.change = change
    self.destination = destination
  }
}
