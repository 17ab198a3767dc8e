/// What has changed on this host's side of the network.
public struct HostChange: OptionSet, Sendable, Hashable {
  public let rawValue: UInt8

  public init(rawValue: UInt8) { self.rawValue = rawValue }

  /// An interface came, went, or gained or lost its carrier.
  public static let link = HostChange(rawValue: 1)
  /// An address of this host came or went.
  public static let address = HostChange(rawValue: 2)
  /// A route came, went or was replaced.
  public static let route = HostChange(rawValue: 4)

  /// Everything may have changed: news were lost.
  public static let all: HostChange = [.link, .address, .route]
}

extension HostChange: CustomStringConvertible {
  public var description: String {
    let names: [(HostChange, String)] = [(.link, "link"), (.address, "address"), (.route, "route")]
    return names.filter { contains($0.0) }.map(\.1).joined(separator: ", ")
  }
}

/// Reads the kernel's news (rtnetlink(7)) and tells what of them is a change.
///
/// Much of what the kernel tells is none: router advertisements renew the lifetime of an IPv6 address every few seconds, and
/// a wireless interface tells of its scans. So an interface counts when its flags differ from those that were seen last,
/// and an address or a route when it is not one that is there already.
package struct HostNews: Sendable {
  private enum Kind {
    static let newLink: UInt16 = 16
    static let deletedLink: UInt16 = 17
    static let newAddress: UInt16 = 20
    static let deletedAddress: UInt16 = 21
    static let newRoute: UInt16 = 24
    static let deletedRoute: UInt16 = 25
  }

  /// IFF_UP, IFF_RUNNING and IFF_LOWER_UP: whether packets can pass.
  private static let flagsThatCount: UInt32 = 0x1_0041
  /// Neither table grows beyond this; a host with more interfaces or addresses hears of their renewals too.
  private static let most = 1024

  private var links: [UInt32: UInt32] = [:]
  /// Addresses that were seen, as the bytes that name them.
  private var addresses: Set<[UInt8]> = []

  package init() {}

  /// What a datagram of the kernel's tells. Bytes that are no such datagram tell nothing.
  package mutating func read(_ bytes: Span<UInt8>) -> HostChange {
    var change: HostChange = []
    var offset = 0
    // nlmsghdr: length, type, flags, sequence, port; host order.
    while offset + 16 <= bytes.count {
      let length = Int(word32(bytes, offset))
      guard length >= 16, length <= bytes.count - offset else { break }
      let body = offset + 16..<offset + length
      switch word16(bytes, offset + 4) {
      case Kind.newLink where body.count >= 16:
        let (index, flags) = (word32(bytes, body.lowerBound + 4), word32(bytes, body.lowerBound + 8))
        let relevant = flags & Self.flagsThatCount
        if links[index] != relevant { change.insert(.link) }
        if links.count < Self.most || links[index] != nil { links[index] = relevant }
      case Kind.deletedLink where body.count >= 16:
        links.removeValue(forKey: word32(bytes, body.lowerBound + 4))
        change.insert(.link)
      case Kind.newAddress where body.count >= 8:
        let name = addressName(bytes, body)
        if !addresses.contains(name) { change.insert(.address) }
        if addresses.count < Self.most { addresses.insert(name) }
      case Kind.deletedAddress where body.count >= 8:
        addresses.remove(addressName(bytes, body))
        change.insert(.address)
      // rtmsg: the table is its fifth byte. Only the main one (254) leads somewhere; 255 repeats the addresses. A route of
      // the kernel's own (RTPROT_KERNEL 2) repeats an address too, and RTM_F_CLONED ones are a cache.
      case Kind.newRoute where body.count >= 12, Kind.deletedRoute where body.count >= 12:
        let isCloned = word32(bytes, body.lowerBound + 8) & 0x200 != 0
        if bytes[body.lowerBound + 4] == 254, bytes[body.lowerBound + 5] != 2, !isCloned,
          !isRenewed(bytes, offset)
        {
          change.insert(.route)
        }
      default: break
      }
      offset += (length + 3) & ~3
    }
    return change
  }

  /// RTM_NEWROUTE with NLM_F_REPLACE for a route of router advertisements (RTPROT_RA 9): its lifetime began anew.
  private func isRenewed(_ bytes: Span<UInt8>, _ offset: Int) -> Bool {
    word16(bytes, offset + 4) == Kind.newRoute && word16(bytes, offset + 6) & 0x100 != 0 && bytes[offset + 21] == 9
  }

  /// ifaddrmsg (family, prefix length, flags, scope, interface) without its flags, and the attributes IFA_ADDRESS (1) and
  /// IFA_LOCAL (2).
  private func addressName(_ bytes: Span<UInt8>, _ body: Range<Int>) -> [UInt8] {
    var name = [bytes[body.lowerBound], bytes[body.lowerBound + 1]]
    for index in 4..<8 { name.append(bytes[body.lowerBound + index]) }
    var offset = body.lowerBound + 8
    while offset + 4 <= body.upperBound {
      let length = Int(word16(bytes, offset))
      guard length >= 4, length <= body.upperBound - offset else { break }
      let kind = word16(bytes, offset + 2)
      if kind == 1 || kind == 2 {
        name.append(UInt8(truncatingIfNeeded: kind))
        for index in offset + 4..<offset + min(length, 20) { name.append(bytes[index]) }
      }
      offset += (length + 3) & ~3
    }
    return name
  }
}

/// Netlink is in the order of the host, and every host that we run on has the low byte first.
private func word16(_ bytes: Span<UInt8>, _ offset: Int) -> UInt16 {
  UInt16(bytes[offset]) | UInt16(bytes[offset + 1]) << 8
}

private func word32(_ bytes: Span<UInt8>, _ offset: Int) -> UInt32 {
  UInt32(word16(bytes, offset)) | UInt32(word16(bytes, offset + 2)) << 16
}
