import CallControl
public import NetworkTypes
import OrderedCollections
import SIPTransaction

/// SIP over TCP on the office side. A connection is a reliable path from the socket at whose endpoint it was accepted;
/// nobody but its phone opens one, so what was registered over it ends with it.
extension LinkCore {
  /// A connection was accepted at the endpoint of `socket`. The shell's number for it is never used again.
  public mutating func streamOpened(
    _ connection: Int, on socket: LinkSocket, remote: Endpoint, now: MonotonicInstant, into actions: inout [LinkAction]
  ) {
    let remote = Endpoint(remote.address.unmapped, port: remote.port)
    let path = SIPPath(socket: socket.rawValue, remote: remote, isReliable: true)
    guard sockets.indices.contains(socket.rawValue), sockets[socket.rawValue].side == .lan, isServed(remote.address),
      connections[path] == nil
    else {
      discard("notAllowed")
      return actions.append(.closeStream(connection: connection))
    }
    streams[connection] = path
    connections[path] = connection
  }

  /// A whole message came in over a connection.
  public mutating func streamMessageReceived(
    _ bytes: Span<UInt8>, on connection: Int, now: MonotonicInstant, into actions: inout [LinkAction]
  ) {
    guard let path = streams[connection] else { return }
    signallingReceived(bytes, path, now: now, into: &actions)
  }

  /// A connection is no more, whoever closed it.
  public mutating func streamClosed(_ connection: Int, now: MonotonicInstant, into actions: inout [LinkAction]) {
    guard let path = streams.removeValue(forKey: connection) else { return }
    connections.removeValue(forKey: path)
    for user in location.remove(path: path) {
      actions.append(.log(.info, "phone \(user) has closed the connection that it registered over"))
      actions.append(.statusChanged)
    }
    // RFC 3261 §17.1.4: a phone that is being called will not answer any more. A call that is up goes on.
    let pending = calls.values.flatMap(\.legs).filter { $0.path == path && !$0.isConfirmed && !$0.isEnded }
    for transaction in pending.compactMap(\.clientTransaction) {
      transactions.forget(transaction)
      requestTimedOut(transaction, now: now, into: &actions)
    }
  }

  mutating func sendStream(_ bytes: [UInt8], _ path: SIPPath, into actions: inout [LinkAction]) {
    guard let connection = connections[path] else { return discard("streamClosed") }
    actions.append(.sendStream(bytes, connection: connection))
  }

  /// A phone is back: what was up over a connection of its that has ended goes on by this path.
  mutating func moveLegs(of station: Station, to path: SIPPath) {
    let side = LegSide.station(station.target.description)
    for leg in calls.values.flatMap(\.legs) where leg.side == side && leg.path.isReliable {
      guard connections[leg.path] == nil, leg.path.remote.address == path.remote.address else { continue }
      withLeg(leg.id) { $0.path = path }
    }
  }
}
