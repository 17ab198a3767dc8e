import DatagramSockets
import LinkManager
import NATDiscovery
import NetworkTypes
import RouterControl

/// Finds out for the link which NAT stands in the way, on sockets and a thread of its own.
extension SignallingHost {
  func discoverNAT(_ uplink: Int, _ settings: DiscoverySettings) {
    var settings = settings
    if settings.local.address.isUnspecified {
      guard let server = settings.servers.first, let address = HostInterfaces.sourceAddress(towards: server.address)
      else { return natDiscovered(nil, uplink) }
      settings.local.address = address
    }
    settings.router = DefaultRouter.find(boundTo: settings.local.address)?.address
    Task { [self, settings] in
      let report = try? await DiscoveryRunner.run(settings) { _ in }
      loop.post { [self] in natDiscovered(report.map { NATFindings($0) }, uplink) }
    }
  }

  private func natDiscovered(_ findings: NATFindings?, _ uplink: Int) {
    apply(.natDiscovered(findings, uplink: uplink))
  }
}
