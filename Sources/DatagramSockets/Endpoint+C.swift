import CDatagramSockets
import NetworkTypes

extension tl_endpoint {
  /// No address: "wherever it is connected to", "as the kernel likes".
  static let none = tl_endpoint()

  init(_ endpoint: Endpoint) {
    switch endpoint.address {
    case .v4(let value): self.init(high: 0, low: UInt64(value), port: endpoint.port, family: 4)
    case .v6(let value):
      self.init(
        high: UInt64(truncatingIfNeeded: value >> 64), low: UInt64(truncatingIfNeeded: value), port: endpoint.port,
        family: 6)
    }
  }

  init(_ endpoint: Endpoint?) {
    if let endpoint { self.init(endpoint) } else { self = .none }
  }

  /// `nil` for family 0.
  var endpoint: Endpoint? {
    switch family {
    case 4: Endpoint(.v4(UInt32(truncatingIfNeeded: low)), port: port)
    case 6: Endpoint(.v6(UInt128(high) << 64 | UInt128(low)), port: port)
    default: nil
    }
  }
}
