import Glibc
import Hummingbird
import HummingbirdCore
public import Logging
import NIOCore
public import ServiceLifecycle

/// Why the server could not listen.
public struct ControlServerFailure: Error, CustomStringConvertible {
  public var description: String
}

/// The HTTP side of the daemon: dashboard, API, probes and metrics.
public struct ControlServer: Service {
  private let routes: ControlRoutes
  private let address: String
  private let port: Int
  private let logger: Logger
  private let onListening: @Sendable (Int) async -> Void

  /// - Parameters:
  ///   - address: the address to listen on, without brackets.
  ///   - port: the port; 0 takes a free one.
  ///   - onListening: is told the port once it is open.
  public init(
    control: any LinkControl, gate: AccessGate, address: String, port: Int, logger: Logger,
    onListening: @escaping @Sendable (Int) async -> Void = { _ in }
  ) {
    routes = ControlRoutes(control: control, gate: gate)
    self.address = address
    self.port = port
    self.logger = logger
    self.onListening = onListening
  }

  /// Serves until the task is cancelled or shut down gracefully. Throws ``ControlServerFailure`` when it cannot listen.
  public func run() async throws {
    let onListening = onListening
    let application = Application(
      router: routes.router(),
      server: .http1(configuration: HTTP1Channel.Configuration(idleTimeout: .seconds(60))),
      configuration: ApplicationConfiguration(
        address: .hostname(address, port: port),
        availableConnectionsDelegate: MaximumAvailableConnections(256)),
      onServerRunning: { channel in await onListening(channel.localAddress?.port ?? 0) },
      logger: logger)
    do {
      try await application.run()
    } catch let error as IOError {
      let reason =
        switch error.errnoCode {
        case EADDRINUSE: "is already in use"
        case EADDRNOTAVAIL: "cannot be opened: the address is none of this machine's"
        case EACCES: "needs more rights than this user has"
        case let code: "cannot be opened (error \(code))"
        }
      throw ControlServerFailure(description: "TCP port \(port) on \(address), for HTTP (http.bind), \(reason)")
    }
  }
}
