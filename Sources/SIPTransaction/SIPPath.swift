public import NetworkTypes

/// A way for SIP packets: one of our sockets, as its owner numbers them, and the far endpoint.
public struct SIPPath: Hashable, Sendable, Codable {
  /// The number that the owner of the sockets gave to ours.
  public var socket: Int
  public var remote: Endpoint
  /// A stream transport (TCP, TLS): nothing is repeated on it (RFC 3261 §17).
  public var isReliable: Bool

  public init(socket: Int, remote: Endpoint, isReliable: Bool = false) {
    self.socket = socket
    self.remote = remote
    self.isReliable = isReliable
  }
}

/// Names a client transaction of one ``TransactionLayer``. Later transactions have greater numbers.
public struct ClientTransactionID: Hashable, Sendable, Comparable, Codable, CustomStringConvertible {
  let rawValue: UInt64

  public var description: String { "client \(rawValue)" }
  public static func < (left: Self, right: Self) -> Bool { left.rawValue < right.rawValue }
}

/// Names a server transaction of one ``TransactionLayer``. Later transactions have greater numbers.
public struct ServerTransactionID: Hashable, Sendable, Comparable, CustomStringConvertible {
  let rawValue: UInt64

  public var description: String { "server \(rawValue)" }
  public static func < (left: Self, right: Self) -> Bool { left.rawValue < right.rawValue }
}
