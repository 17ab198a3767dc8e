import DatagramSockets
import Foundation
public import NetworkTypes

/// The router by which this host reaches the internet.
public struct DefaultRouter: Sendable, Hashable {
  public var address: IPAddress
  /// Our own address towards it.
  public var local: IPAddress

  public init(address: IPAddress, local: IPAddress) {
    self.address = address
    self.local = local
  }

  /// The IPv4 router for sockets that are bound to `bound`; a wildcard stands for any. `nil` where there is none: no default
  /// route, a point-to-point line without a router's address, a loopback address.
  ///
  /// Only the main table is looked at; where rules send a source address elsewhere, that is not seen.
  public static func find(boundTo bound: IPAddress) -> DefaultRouter? {
    guard bound.isV4, !bound.isLoopback else { return nil }
    let table = (try? Data(contentsOf: URL(fileURLWithPath: "/proc/net/route"))).map { Array($0) } ?? []
    let interfaces = HostInterfaces.addresses().filter { $0.isUp && $0.address.isV4 }
    for route in RouteTable.defaultRoutes(table) {
      let own = interfaces.filter { $0.name == route.interface }
      if bound.isUnspecified {
        // The kernel knows best which of several addresses it sends from.
        let chosen = HostInterfaces.sourceAddress(towards: route.router)
        let onLink = own.first { $0.network?.contains(route.router) == true } ?? own.first
        if let local = own.first(where: { $0.address == chosen })?.address ?? onLink?.address {
          return DefaultRouter(address: route.router, local: local)
        }
      } else if own.contains(where: { $0.address == bound }) {
        return DefaultRouter(address: route.router, local: bound)
      }
    }
    return nil
  }
}

/// The text of /proc/net/route (proc(5)): a head, then a line for each IPv4 route, addresses as hexadecimal numbers in the
/// host's order.
package enum RouteTable {
  package struct Route: Sendable, Hashable {
    package var interface: String
    package var router: IPAddress
    package var metric: Int
  }

  /// The default routes that lead to a router, the best first.
  package static func defaultRoutes(_ text: [UInt8]) -> [Route] {
    var routes: [Route] = []
    for line in text.prefix(1_000_000).split(separator: UInt8(ascii: "\n")).dropFirst() {
      let fields = line.split { $0 == UInt8(ascii: "\t") || $0 == UInt8(ascii: " ") }.map {
        String(decoding: $0, as: UTF8.self)
      }
      guard fields.count >= 8, UInt32(fields[1], radix: 16) == 0, UInt32(fields[7], radix: 16) == 0,
        let router = UInt32(fields[2], radix: 16), router != 0, let flags = UInt32(fields[3], radix: 16),
        // RTF_UP and RTF_GATEWAY.
        flags & 3 == 3, let metric = Int(fields[6])
      else { continue }
      routes.append(Route(interface: fields[0], router: .v4(router.byteSwapped), metric: metric))
    }
    return routes.sorted { $0.metric < $1.metric }
  }
}
