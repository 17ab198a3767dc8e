import DatagramSockets
public import LinkManager
import NetworkTypes

/// The doctor without a daemon: a link that serves nobody opens the configured ports for as long as it takes, and examines
/// itself. Nothing is registered, but for the call to the own number where that is asked for.
public enum DoctorRunner {
  /// - Parameter progress: is told a few times a second how far it is.
  /// - Throws: where this machine lets us open no port at all.
  public static func run(
    _ configuration: TrunklineConfiguration, calls: Bool, progress: @escaping @Sendable (DoctorProgress) -> Void
  ) async throws -> DoctorReport {
    var link = configuration.link
    link.lan.interfaces = Daemon.interfaces()
    var request = DoctorRequest(calls: calls)
    request.isStandalone = true
    for index in link.uplinks.indices {
      for place in link.uplinks[index].bind.indices {
        let tried = check(link.uplinks[index].bind[place], "uplink \(link.uplinks[index].name)")
        request.ports.append(tried)
        // What another port shows is better than nothing.
        if tried.refusal != nil { link.uplinks[index].bind[place].port = 0 }
      }
      link.uplinks[index].sparePort = nil
      link.uplinks[index].discoversNAT = false
      switch link.uplinks[index].incoming {
      case .auto, .mapped: link.uplinks[index].incoming = .off
      case .forwarded, .off: break
      }
    }
    for endpoint in link.lan.bind { request.ports.append(check(endpoint, "office side")) }
    let isLANNeeded = link.trunks.contains { $0.uplinks.contains("lan") }
    link.lan.bind = isLANNeeded ? link.lan.bind.map { Endpoint($0.address, port: 0) } : []
    for index in link.trunks.indices { link.trunks[index].enabled = calls }
    let stopped = AsyncStream.makeStream(of: Void.self)
    let host = try SignallingHost(
      configuration: link,
      listeners: .init(
        verdict: { _ in }, logged: { _, _ in }, measured: { _ in }, statusChanged: {},
        stopped: { stopped.continuation.finish() }))
    defer { host.stop() }
    try await host.start()
    let watch = Task {
      while true {
        try await Task.sleep(for: .milliseconds(250))
        progress(await host.examinationProgress())
      }
    }
    let report = await host.examine(request)
    watch.cancel()
    _ = await watch.result
    guard let report else {
      return DoctorReport(findings: [], at: SystemClock.wallTime().description, seconds: 0, isFromDaemon: false)
    }
    host.shutDown()
    for await _ in stopped.stream {}
    return report
  }

  /// Whether a port can be opened; it is closed again.
  private static func check(_ endpoint: Endpoint, _ subject: String) -> DoctorRequest.PortCheck {
    do throws(DatagramSocketError) {
      try DatagramSocket.open(local: endpoint).close()
      return .init(subject: subject, endpoint: endpoint.description)
    } catch {
      return .init(subject: subject, endpoint: endpoint.description, refusal: error.sentence)
    }
  }
}
