import Foundation
public import NetworkTypes
public import PortMapping
import Synchronization

/// The shell of one ``MappingClient``: it carries out what that asks of the router of one uplink, and tells it what comes.
public final class RouterDesk: @unchecked Sendable {
  // Everything that changes is behind `state`.
  private struct State {
    var gateway: UPnPGateway?
    var local: IPAddress?
    var isStopped = false
  }

  private let bound: IPAddress
  private let file: String?
  private let sockets: RouterSockets
  private let onEvent: @Sendable (RouterEvent) -> Void
  private let onProblem: @Sendable (String) -> Void
  private let state = Mutex(State())
  /// Everything in the order in which it was asked: what is about to be held is written down before the router is asked for it,
  /// and whoever asks waits for no disk.
  private let desk = DispatchQueue(label: "trunkline.desk")

  /// - Parameters:
  ///   - bound: the address that the uplink is bound to.
  ///   - file: where leases are written down; `nil` writes none.
  ///   - onEvent: is called on threads of the desk's; never from within a call of the desk's.
  ///   - onProblem: is told what does not work, in a sentence.
  public init(
    bound: IPAddress, file: String?, onEvent: @escaping @Sendable (RouterEvent) -> Void,
    onProblem: @escaping @Sendable (String) -> Void
  ) {
    self.bound = bound
    self.file = file
    self.onEvent = onEvent
    self.onProblem = onProblem
    sockets = RouterSockets { bytes, source in onEvent(.received(bytes, from: source)) }
  }

  /// Carries out what the client asks.
  public func perform(_ action: RouterAction) {
    switch action {
    case .findRouter:
      let kept = LeaseFile.read(file)
      Task.detached { [self] in
        if !kept.isEmpty { onEvent(.kept(kept)) }
        find()
      }
    case .send(let bytes, let destination): desk.async { [sockets] in sockets.send(bytes, to: destination) }
    case .ask(let id, let request): desk.async { [self] in ask(id, request) }
    case .keep(let leases): desk.async { [file, onProblem] in LeaseFile.write(leases, file, onProblem) }
    }
  }

  /// Addresses or routes of this host have changed: the router may be another one.
  public func hostChanged() { Task.detached { [self] in find() } }

  /// Closes everything; nothing is told any more.
  public func stop() {
    let gateway = state.withLock { state in
      state.isStopped = true
      defer { state.gateway = nil }
      return state.gateway
    }
    desk.sync {}
    sockets.stop()
    // Its connections end with the process, if not before.
    if let gateway { Task.detached { await gateway.close() } }
  }

  private func find() {
    let router = DefaultRouter.find(boundTo: bound)
    guard !state.withLock({ $0.isStopped }) else { return }
    sockets.listen(on: router?.local) { [onProblem] sentence in
      onProblem("the router's announcements cannot be heard: \(sentence)")
    }
    onEvent(.found(router: router?.address, local: router?.local))
  }

  private func ask(_ id: UInt64, _ request: UPnPRequest) {
    Task.detached { [self] in
      guard let gateway = await gateway() else { return onEvent(.answered(id, .failed)) }
      onEvent(.answered(id, await gateway.perform(request)))
    }
  }

  /// The gateway by our present address.
  private func gateway() async -> UPnPGateway? {
    guard let local = DefaultRouter.find(boundTo: bound)?.local else { return nil }
    let (gateway, old): (UPnPGateway?, UPnPGateway?) = state.withLock { state in
      guard !state.isStopped else { return (nil, nil) }
      if let gateway = state.gateway, state.local == local { return (gateway, nil) }
      let old = state.gateway
      let new = UPnPGateway(local: local) { [onEvent] in onEvent(.notified) }
      (state.gateway, state.local) = (new, local)
      return (new, old)
    }
    await old?.close()
    return gateway
  }
}

/// The leases that a router holds for us, on disk: a line of JSON in a file that is replaced as a whole.
package enum LeaseFile {
  private static let longest = 262_144

  package static func read(_ path: String?) -> [KeptLease] {
    guard let path, let data = try? Data(contentsOf: URL(fileURLWithPath: path)), data.count <= longest else {
      return []
    }
    return (try? JSONDecoder().decode([KeptLease].self, from: data)) ?? []
  }

  package static func write(_ leases: [KeptLease], _ path: String?, _ problem: (String) -> Void) {
    guard let path else { return }
    let url = URL(fileURLWithPath: path)
    do {
      if leases.isEmpty {
        if FileManager.default.fileExists(atPath: path) { try FileManager.default.removeItem(at: url) }
        return
      }
      try JSONEncoder().encode(leases).write(to: url, options: .atomic)
    } catch {
      problem("the router's leases cannot be written down: \(error.localizedDescription)")
    }
  }
}
