import DatagramSockets
import Dispatch
import Foundation
import LinkManager
import NIOTransport
import NameResolver
import NetworkTypes
import STUN
import Synchronization

extension FirewallSurroundings {
  /// What this machine and its name servers say now.
  ///
  /// - Parameter patience: how long all lookups together may take; what is not known by then counts as unknown.
  public static func current(
    for configuration: TrunklineConfiguration, patience: Duration = .seconds(5)
  ) async -> FirewallSurroundings {
    var result = FirewallSurroundings()
    result.interfaces = Daemon.interfaces()
    result.nameServers = nameServers()
    result.router = router()
    if let ports = ephemeralPorts() { result.ephemeralPorts = ports }
    result.names = await addresses(of: FirewallNeeds.names(configuration), patience: patience)
    result.otherAddresses = await otherAddresses(of: FirewallNeeds.servers(configuration, result.names))
    // Any address beyond the router does: the route is looked up, nothing is sent.
    let beyond = [IPAddress("192.0.2.1"), IPAddress("2001:db8::1")].compactMap { $0 }
    for remote in beyond {
      guard let own = HostInterfaces.sourceAddress(towards: remote), !own.isLoopback else { continue }
      if own.isV4 { result.machineV4 = own } else { result.machineV6 = own }
    }
    return result
  }

  /// What STUN servers say of themselves; one that is silent for two seconds says nothing.
  private static func otherAddresses(of servers: [Endpoint]) async -> [Endpoint: Endpoint] {
    await withTaskGroup(of: (Endpoint, Endpoint?).self) { group in
      for server in servers.prefix(STUNClient.mostServers) {
        group.addTask {
          let answer = try? await BindingQuery.ask(
            [STUNTarget(server)], limit: .seconds(2), random: SystemRandom.source(), now: SystemClock.now)
          return (server, answer?.mapping.message.otherAddress)
        }
      }
      var result: [Endpoint: Endpoint] = [:]
      for await (server, other) in group { result[server] = other }
      return result
    }
  }

  /// Lookups hang for as long as name servers are silent, and cannot be called off.
  private static func addresses(of names: [String], patience: Duration) async -> [String: [IPAddress]] {
    guard !names.isEmpty else { return [:] }
    let resolver = SystemResolver()
    let (found, continuation) = AsyncStream.makeStream(of: (String, [IPAddress]).self)
    let open = Mutex(names.count)
    for name in names {
      resolver.resolve(name) { addresses in
        continuation.yield((name, addresses))
        if open.withLock({
          $0 -= 1; return $0
        }) == 0 {
          continuation.finish()
        }
      }
    }
    let limit = Task {
      try? await Task.sleep(for: patience)
      continuation.finish()
    }
    defer { limit.cancel() }
    var result: [String: [IPAddress]] = [:]
    for await (name, addresses) in found { result[name] = addresses }
    return result
  }

  private static func nameServers() -> [IPAddress] {
    guard let text = try? String(contentsOfFile: "/etc/resolv.conf", encoding: .utf8) else { return [] }
    return text.split(separator: "\n").compactMap { line in
      let words = line.split { $0 == " " || $0 == "\t" }
      guard words.count >= 2, words[0] == "nameserver" else { return nil }
      // A link-local server may have its interface behind a percent sign.
      return IPAddress(String(words[1].prefix { $0 != "%" }))
    }
  }

  /// Of the IPv4 routes to everywhere, the one that costs least. The kernel writes addresses as numbers of this machine's
  /// own byte order.
  private static func router() -> IPAddress? {
    guard let text = try? String(contentsOfFile: "/proc/net/route", encoding: .utf8) else { return nil }
    var best: (metric: Int, address: IPAddress)?
    for line in text.split(separator: "\n").dropFirst() {
      let words = line.split { $0 == "\t" || $0 == " " }
      guard words.count >= 8, words[1] == "00000000", words[7] == "00000000", let metric = Int(words[6]),
        let number = UInt32(words[2], radix: 16), number != 0
      else { continue }
      if let best, best.metric <= metric { continue }
      best = (metric, .v4(UInt32(bigEndian: number)))
    }
    return best?.address
  }

  private static func ephemeralPorts() -> ClosedRange<UInt16>? {
    guard let text = try? String(contentsOfFile: "/proc/sys/net/ipv4/ip_local_port_range", encoding: .utf8) else {
      return nil
    }
    let numbers = text.split(whereSeparator: \.isWhitespace).compactMap { UInt16($0) }
    return numbers.count == 2 && numbers[0] <= numbers[1] ? numbers[0]...numbers[1] : nil
  }
}
