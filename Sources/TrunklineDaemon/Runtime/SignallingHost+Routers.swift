import DatagramSockets
import LinkManager
import NetworkTypes
import PortMapping
import RouterControl

/// The routers of a link's uplinks: the desk of each, which is made when the link first asks something of it.
final class RouterDesks: @unchecked Sendable {
  // Everything but `watch` belongs to the signalling thread; `stop` comes when that has ended.
  private var desks: [(uplink: Int, desk: RouterDesk)] = []
  private let make: @Sendable (Int) -> RouterDesk?
  private let watch: HostWatch?

  /// - Parameters:
  ///   - make: makes the desk of an uplink.
  ///   - hostChanged: is called on another thread when addresses or routes of this host have changed.
  init(make: @escaping @Sendable (Int) -> RouterDesk?, hostChanged: @escaping @Sendable () -> Void) {
    self.make = make
    watch = try? HostWatch { _ in hostChanged() }
  }

  func perform(_ action: RouterAction, uplink: Int) {
    if let desk = desks.first(where: { $0.uplink == uplink })?.desk { return desk.perform(action) }
    guard let desk = make(uplink) else { return }
    desks.append((uplink, desk))
    desk.perform(action)
  }

  func hostChanged() { for (_, desk) in desks { desk.hostChanged() } }

  func stop() {
    watch?.stop()
    for (_, desk) in desks { desk.stop() }
  }
}

/// Asking the routers of the uplinks for port mappings, and hearing what they announce.
extension SignallingHost {
  func makeRouters() -> RouterDesks {
    RouterDesks(
      make: { [self] uplink in makeDesk(uplink) },
      hostChanged: { [self] in
        loop.post { [self] in
          routers?.hostChanged()
          networkChanged(Daemon.interfaces())
        }
      })
  }

  private func makeDesk(_ uplink: Int) -> RouterDesk? {
    guard configuration.uplinks.indices.contains(uplink) else { return nil }
    let settings = configuration.uplinks[uplink]
    guard let bound = settings.bind.first(where: { $0.address.isV4 })?.address else { return nil }
    return RouterDesk(
      bound: bound, file: leaseFile.map { "\($0)-\(settings.name)" },
      onEvent: { [self] event in loop.post { [self] in apply(.routerTold(event, uplink: uplink)) } },
      onProblem: { [self] sentence in
        loop.post { [self] in listeners.logged(.warning, "uplink \(settings.name): \(sentence)") }
      })
  }
}
