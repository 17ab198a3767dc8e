import CallControl
import DatagramSockets
import LinkManager
import NIOTransport
import NetworkTypes

/// SIP over TCP, at the same endpoints of the office side as over UDP.
extension SignallingHost {
  /// The server, whose listeners pass everything on to the signalling thread. It is stopped before this object goes and
  /// holds it until then.
  func makeStreams() -> SIPStreamServer {
    var limits = SIPStreamServer.Limits()
    // A phone that says nothing between one registration and the next keeps its connection.
    limits.idle = .seconds(LocationService.expires.upperBound + 300)
    return SIPStreamServer(
      limits: limits,
      listeners: .init(
        opened: { [self] connection, remote, local in
          loop.post { [self] in streamOpened(connection, remote: remote, local: local) }
        },
        received: { [self] connection, messages in
          loop.post { [self] in
            for message in messages { apply(.streamMessageReceived(message, on: connection)) }
            streams?.resume(connection)
          }
        },
        closed: { [self] connection, _ in
          loop.post { [self] in apply(.streamClosed(connection)) }
        }))
  }

  func listen(_ socket: LinkSocket, _ endpoint: Endpoint) {
    guard openFailure == nil else { return }
    do throws(SIPStreamServerError) {
      try streams?.listen(at: endpoint)
      listening.append((socket, endpoint))
    } catch {
      openFailure = error
    }
  }

  private func streamOpened(_ connection: Int, remote: Endpoint, local: Endpoint) {
    // The address itself goes before the wildcard of its family.
    let own = listening.first { $0.endpoint == local }
    let wildcard = Endpoint(local.address.isV4 ? .anyV4 : .anyV6, port: local.port)
    guard let place = own ?? listening.first(where: { $0.endpoint == wildcard }) else {
      streams?.close(connection)
      return
    }
    apply(.streamOpened(connection, on: place.socket, remote: remote))
  }
}
