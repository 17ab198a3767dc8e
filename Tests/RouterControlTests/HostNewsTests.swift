import RouterControl
import Testing

@Suite struct HostNewsTests {
  /// nlmsghdr with a body, filled up to four bytes.
  private func news(_ kind: UInt16, flags: UInt16 = 0, _ body: [UInt8]) -> [UInt8] {
    let length = 16 + body.count
    var bytes: [UInt8] = [UInt8(length & 0xff), UInt8(length >> 8), 0, 0]
    bytes += [UInt8(kind & 0xff), UInt8(kind >> 8), UInt8(flags & 0xff), UInt8(flags >> 8)]
    bytes += [UInt8](repeating: 0, count: 8) + body
    while bytes.count % 4 != 0 { bytes.append(0) }
    return bytes
  }

  private func link(_ index: UInt8, flags: [UInt8], kind: UInt16 = 16) -> [UInt8] {
    news(kind, [0, 0, 1, 0, index, 0, 0, 0] + flags + [0, 0, 0, 0])
  }

  /// ifaddrmsg for IPv6, IFA_ADDRESS, and IFA_CACHEINFO whose lifetimes are `lifetime`.
  private func address(_ last: UInt8, lifetime: UInt8 = 0, kind: UInt16 = 20) -> [UInt8] {
    let value = [UInt8](repeating: 0x20, count: 15) + [last]
    let attributes: [UInt8] = [20, 0, 1, 0] + value + [20, 0, 6, 0] + [UInt8](repeating: lifetime, count: 16)
    return news(kind, [10, 64, 0, 0, 2, 0, 0, 0] + attributes)
  }

  private func route(table: UInt8 = 254, protocol: UInt8 = 3, kind: UInt16 = 24, flags: UInt16 = 0) -> [UInt8] {
    news(kind, flags: flags, [2, 0, 0, 0, table, `protocol`, 0, 1, 0, 0, 0, 0])
  }

  @Test func aCarrierThatGoesIsAChangeAndAScanIsNone() {
    var news = HostNews()
    let up: [UInt8] = [0x43, 0x10, 1, 0]
    let down: [UInt8] = [0x03, 0x10, 0, 0]
    #expect(news.read(link(2, flags: up).span) == .link)
    #expect(news.read(link(2, flags: up).span) == [])
    #expect(news.read(link(2, flags: [0x43, 0x11, 1, 0]).span) == [], "IFF_PROMISC does not stop packets")
    #expect(news.read(link(2, flags: down).span) == .link)
    #expect(news.read(link(2, flags: down, kind: 17).span) == .link)
  }

  @Test func anAddressThatIsRenewedIsNoChange() {
    var news = HostNews()
    #expect(news.read(address(1).span) == .address)
    #expect(news.read(address(1, lifetime: 9).span) == [])
    #expect(news.read(address(2).span) == .address)
    #expect(news.read(address(1, kind: 21).span) == .address)
    #expect(news.read(address(1).span) == .address, "it came back")
  }

  @Test func routesOfTheMainTableCount() {
    var news = HostNews()
    #expect(news.read(route().span) == .route)
    #expect(news.read(route(kind: 25).span) == .route)
    #expect(news.read(route(table: 255).span) == [])
    #expect(news.read(route(protocol: 2).span) == [])
    #expect(news.read(route(protocol: 9, flags: 0x100).span) == [], "a router advertisement renewed it")
    #expect(news.read(route(protocol: 9).span) == .route)
  }

  @Test func severalNewsInOneDatagram() {
    var news = HostNews()
    let all = link(2, flags: [0x43, 0x10, 1, 0]) + address(1) + route()
    #expect(news.read(all.span) == .all)
    #expect(HostChange.all.description == "link, address, route")
  }

  @Test func brokenNewsTellNothingAndDoNotTrap() {
    let whole = link(2, flags: [0x43, 0x10, 1, 0]) + address(1) + route()
    for count in 0..<whole.count {
      var news = HostNews()
      _ = news.read(Array(whole[..<count]).span)
    }
    for position in whole.indices {
      for value: UInt8 in [0, 1, 15, 16, 0x7f, 0xff] {
        var bytes = whole
        bytes[position] = value
        var news = HostNews()
        _ = news.read(bytes.span)
      }
    }
  }
}
