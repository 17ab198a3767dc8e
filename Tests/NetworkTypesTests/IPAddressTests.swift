import NetworkTypes
import Testing

@Suite struct IPAddressTests {
  @Test(arguments: [
    ("0.0.0.0", "0.0.0.0"), ("192.0.2.1", "192.0.2.1"), ("255.255.255.255", "255.255.255.255"),
    ("::", "::"), ("::1", "::1"), ("2001:db8:0:0:0:0:0:1", "2001:db8::1"), ("2001:DB8::A:0:0:1", "2001:db8::a:0:0:1"),
    ("2001:db8:0:1:1:1:1:1", "2001:db8:0:1:1:1:1:1"), ("fe80::1:2", "fe80::1:2"), ("1:0:0:2:0:0:0:3", "1:0:0:2::3"),
    ("::ffff:192.0.2.1", "::ffff:192.0.2.1"), ("64:ff9b::192.0.2.33", "64:ff9b::c000:221"), ("1::", "1::"),
  ])
  func readsAndWritesCanonically(text: String, canonical: String) throws {
    let address = try #require(IPAddress(text))
    #expect(address.description == canonical)
    #expect(IPAddress(bytes: address.bytes.span) == address)
    #expect(IPAddress(canonical) == address)
  }

  @Test(arguments: [
    "", "1", "1.2.3", "1.2.3.4.5", "256.1.1.1", "01.2.3.4", "1.2.3.4 ", "1..2.3", ":", ":::", "1::2::3",
    "1:2:3:4:5:6:7",
    "1:2:3:4:5:6:7:8:9", "12345::", "::g", "1:", ":1", "::1.2.3", "1.2.3.4::", "::1%eth0", "[::1]", "1:2:3:4:5:6:7::8",
    "+1::", "::-1", "1:2:3:4:5:6:7:8::",
  ])
  func refuses(text: String) { #expect(IPAddress(text) == nil) }

  @Test func knowsWhatAnAddressIsGoodFor() throws {
    for text in ["10.1.2.3", "172.31.255.255", "192.168.0.1", "169.254.1.1", "fd00::1", "fe80::1"] {
      #expect(try #require(IPAddress(text)).isPrivate, "\(text)")
    }
    for text in ["11.0.0.1", "172.32.0.0", "192.169.0.1", "2001:db8::1", "198.51.100.1"] {
      #expect(try #require(IPAddress(text)).isPublic, "\(text)")
    }
    #expect(try #require(IPAddress("100.64.0.1")).isSharedAddressSpace)
    #expect(try #require(IPAddress("127.9.9.9")).isLoopback)
    #expect(try #require(IPAddress("::ffff:10.0.0.1")).unmapped == IPAddress("10.0.0.1"))
  }

  @Test func endpointsNeedAPortAndBracketsAroundIPv6() throws {
    #expect(Endpoint("192.0.2.1:5060")?.description == "192.0.2.1:5060")
    #expect(Endpoint("[2001:db8::1]:65002")?.description == "[2001:db8::1]:65002")
    for text in ["192.0.2.1", "2001:db8::1", "[192.0.2.1]:1", "2001:db8::1:5060:", "192.0.2.1:70000", ":5060"] {
      #expect(Endpoint(text) == nil, "\(text)")
    }
  }

  @Test func networksContainTheirAddresses() throws {
    let network = try #require(IPNetwork("192.168.77.9/24"))
    #expect(network.description == "192.168.77.0/24")
    #expect(network.contains(try #require(IPAddress("192.168.77.255"))))
    #expect(!network.contains(try #require(IPAddress("192.168.78.0"))))
    #expect(try #require(IPNetwork("0.0.0.0/0")).contains(.loopbackV4))
    #expect(!(try #require(IPNetwork("0.0.0.0/0")).contains(.loopbackV6)))
    #expect(try #require(IPNetwork("::/0")).contains(.loopbackV6))
    for text in ["10.0.0.0/33", "10.0.0.0/-1", "::/129", "10.0.0.0/x", "10.0.0.0/8/8"] {
      #expect(IPNetwork(text) == nil)
    }
  }
}
