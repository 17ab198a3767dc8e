import NIOCore
import NetworkTypes

extension SocketAddress {
  init(_ endpoint: Endpoint) throws {
    try self.init(ipAddress: endpoint.address.description, port: Int(endpoint.port))
  }
}

extension Endpoint {
  /// `nil` for an address that is none of IP.
  init?(_ address: SocketAddress) {
    guard let text = address.ipAddress, let ip = IPAddress(text), let port = address.port.flatMap(UInt16.init(exactly:))
    else { return nil }
    self.init(ip.unmapped, port: port)
  }
}

extension TimeAmount {
  init(_ duration: Duration) {
    let (seconds, attoseconds) = duration.components
    self = .seconds(seconds) + .nanoseconds(attoseconds / 1_000_000_000)
  }
}
