/// An IPv4 or IPv6 address, held as an integer.
///
/// An IPv4 address is the 32-bit number of RFC 791, an IPv6 address the 128-bit number of RFC 4291, both in host order.
/// An IPv4-mapped IPv6 address (`::ffff:192.0.2.1`) stays what it was written as; ``unmapped`` turns it into IPv4.
public enum IPAddress: Hashable, Sendable {
  case v4(UInt32)
  case v6(UInt128)
}

extension IPAddress {
  /// The wildcard address of IPv4, `0.0.0.0`.
  public static let anyV4 = IPAddress.v4(0)
  /// The wildcard address of IPv6, `::`.
  public static let anyV6 = IPAddress.v6(0)
  /// `127.0.0.1`.
  public static let loopbackV4 = IPAddress.v4(0x7f00_0001)
  /// `::1`.
  public static let loopbackV6 = IPAddress.v6(1)

  public var isV4: Bool { if case .v4 = self { true } else { false } }
  public var isV6: Bool { !isV4 }

  /// The four or sixteen bytes in network order.
  public var bytes: [UInt8] {
    switch self {
    case .v4(let value): (0..<4).map { UInt8(truncatingIfNeeded: value >> (24 - 8 * UInt32($0))) }
    case .v6(let value): (0..<16).map { UInt8(truncatingIfNeeded: value >> (120 - 8 * UInt128($0))) }
    }
  }

  /// An address from four or sixteen bytes in network order; `nil` for any other count.
  public init?(bytes: Span<UInt8>) {
    switch bytes.count {
    case 4:
      var value: UInt32 = 0
      for index in bytes.indices { value = value << 8 | UInt32(bytes[index]) }
      self = .v4(value)
    case 16:
      var value: UInt128 = 0
      for index in bytes.indices { value = value << 8 | UInt128(bytes[index]) }
      self = .v6(value)
    default: return nil
    }
  }

  /// IPv4 where this is an IPv4-mapped IPv6 address (RFC 4291 §2.5.5.2), else itself.
  public var unmapped: IPAddress {
    if case .v6(let value) = self, value >> 32 == 0xffff { .v4(UInt32(truncatingIfNeeded: value)) } else { self }
  }

  /// `0.0.0.0` or `::`.
  public var isUnspecified: Bool {
    switch self {
    case .v4(let value): value == 0
    case .v6(let value): value == 0
    }
  }

  /// 127.0.0.0/8 (RFC 1122 §3.2.1.3) or `::1`.
  public var isLoopback: Bool { IPNetwork.loopback.contains { $0.contains(self) } }
  /// 224.0.0.0/4 or ff00::/8.
  public var isMulticast: Bool { IPNetwork.multicast.contains { $0.contains(self) } }
  /// RFC 1918, RFC 4193 and link-local addresses: the ones an office network is made of.
  public var isPrivate: Bool { IPNetwork.officePrivate.contains { $0.contains(self) } }
  /// 100.64.0.0/10, between a carrier-grade NAT and its customers (RFC 6598).
  public var isSharedAddressSpace: Bool { IPNetwork.sharedAddressSpace.contains(self) }
  /// Reachable from the internet as far as the address itself can tell.
  public var isPublic: Bool {
    !isUnspecified && !isLoopback && !isMulticast && !isPrivate && !isSharedAddressSpace
  }
}

extension IPAddress: Comparable {
  /// IPv4 before IPv6, then by number.
  public static func < (left: IPAddress, right: IPAddress) -> Bool {
    switch (left, right) {
    case (.v4(let left), .v4(let right)): left < right
    case (.v6(let left), .v6(let right)): left < right
    case (.v4, .v6): true
    case (.v6, .v4): false
    }
  }
}
