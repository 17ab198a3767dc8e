/// A block of addresses in CIDR form (RFC 4632), such as `192.168.0.0/16`.
public struct IPNetwork: Hashable, Sendable {
  /// The lowest address of the block.
  public let base: IPAddress
  /// The number of leading bits that all its addresses share, 0–32 or 0–128.
  public let prefixLength: Int

  /// The block of `prefixLength` leading bits around `address`; `nil` where the length does not fit the family.
  public init?(_ address: IPAddress, prefixLength: Int) {
    switch address {
    case .v4(let value):
      guard (0...32).contains(prefixLength) else { return nil }
      base = .v4(value & Self.mask(prefixLength, of: UInt32.self))
    case .v6(let value):
      guard (0...128).contains(prefixLength) else { return nil }
      base = .v6(value & Self.mask(prefixLength, of: UInt128.self))
    }
    self.prefixLength = prefixLength
  }

  public func contains(_ address: IPAddress) -> Bool {
    switch (base, address) {
    case (.v4(let base), .v4(let value)): value & Self.mask(prefixLength, of: UInt32.self) == base
    case (.v6(let base), .v6(let value)): value & Self.mask(prefixLength, of: UInt128.self) == base
    default: false
    }
  }

  private static func mask<Bits: FixedWidthInteger>(_ length: Int, of: Bits.Type) -> Bits {
    length == 0 ? 0 : ~0 << Bits(Bits.bitWidth - length)
  }
}

extension IPNetwork: LosslessStringConvertible {
  /// Reads `address/length`, or a bare address as a block of one.
  public init?(_ text: String) {
    let parts = text.split(separator: "/", omittingEmptySubsequences: false)
    guard let first = parts.first, let address = IPAddress(String(first)) else { return nil }
    switch parts.count {
    case 1: self.init(address, prefixLength: address.isV4 ? 32 : 128)
    case 2:
      guard let length = Int(parts[1]) else { return nil }
      self.init(address, prefixLength: length)
    default: return nil
    }
  }

  public var description: String { "\(base)/\(prefixLength)" }
}

extension IPNetwork {
  static let loopback = networks("127.0.0.0/8", "::1/128")
  static let multicast = networks("224.0.0.0/4", "ff00::/8")
  /// RFC 6598.
  public static let sharedAddressSpace = networks("100.64.0.0/10")[0]
  /// RFC 1918, RFC 4193, and link-local by RFC 3927 and RFC 4291.
  public static let officePrivate = networks(
    "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "169.254.0.0/16", "fc00::/7", "fe80::/10")

  private static func networks(_ texts: String...) -> [IPNetwork] { texts.compactMap { IPNetwork($0) } }
}
