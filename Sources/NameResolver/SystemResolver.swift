// c-ares' header includes the system's, and which of the two modules owns in_addr then depends on what was read first.
import CAres
import Dispatch
import Glibc
public import NetworkTypes

/// Looks host names up the way this machine does: hosts file, resolv.conf, whatever nsswitch names.
///
/// A look-up may hang for as long as the name servers are silent, so each runs on a thread of its own, a bounded number at
/// a time.
public final class SystemResolver: Sendable {
  private let queue = DispatchQueue(label: "trunkline.resolver", attributes: .concurrent)
  private let places = DispatchSemaphore(value: 8)

  public init() {}

  /// Looks `host` up and calls `completion` from a thread of the resolver's, once: the addresses in the system's order
  /// (RFC 6724), each once; none where the look-up failed.
  public func resolve(_ host: String, completion: @escaping @Sendable ([IPAddress]) -> Void) {
    queue.async { [places] in
      places.wait()
      defer { places.signal() }
      completion(Self.addresses(of: host))
    }
  }

  private static func addresses(of host: String) -> [IPAddress] {
    // Imported C structures with pointers in them count as unsafe; these pointers stay null.
    var hints = unsafe addrinfo()
    unsafe hints.ai_socktype = Int32(SOCK_DGRAM.rawValue)
    unsafe hints.ai_flags = AI_ADDRCONFIG
    var list: UnsafeMutablePointer<addrinfo>?
    // getaddrinfo writes a list that is ours until freeaddrinfo; nothing of it is kept beyond this function.
    guard unsafe getaddrinfo(host, nil, &hints, &list) == 0 else { return [] }
    defer { unsafe freeaddrinfo(list) }
    var result: [IPAddress] = []
    var entry = unsafe list
    while let current = unsafe entry {
      // The family says which structure ai_addr points to.
      if let address = unsafe address(in: current.pointee), !result.contains(address) { result.append(address) }
      unsafe entry = current.pointee.ai_next
    }
    return result
  }

  private static func address(in entry: addrinfo) -> IPAddress? {
    switch unsafe entry.ai_family {
    case AF_INET:
      return unsafe entry.ai_addr.withMemoryRebound(to: sockaddr_in.self, capacity: 1) { pointer in
        IPAddress.v4(UInt32(bigEndian: unsafe pointer.pointee.sin_addr.s_addr))
      }
    case AF_INET6:
      return unsafe entry.ai_addr.withMemoryRebound(to: sockaddr_in6.self, capacity: 1) { pointer in
        let words = unsafe pointer.pointee.sin6_addr.__in6_u.__u6_addr32
        return IPAddress.v6(
          [words.0, words.1, words.2, words.3].reduce(UInt128(0)) { $0 << 32 | UInt128(UInt32(bigEndian: $1)) })
      }
    default: return nil
    }
  }
}
