import DatagramSockets
import NetworkTypes
import Testing

@Suite("Clock, randomness, interfaces")
struct SystemTests {
  @Test("the clock does not go back, and civil time is after this was written")
  func clocks() {
    let first = SystemClock.now()
    let second = SystemClock.now()
    #expect(second >= first)
    #expect(first.nanoseconds > 0)
    #expect(SystemClock.wallTime().description > "2026-01-01")
  }

  @Test("two sources differ")
  func randomness() {
    var first = SystemRandom.source()
    var second = SystemRandom.source()
    #expect((0..<4).map { _ in first.next() } != (0..<4).map { _ in second.next() })
  }

  @Test("loopback is among the interfaces")
  func interfaces() throws {
    let loopback = try #require(HostInterfaces.addresses().first { $0.address == .loopbackV4 })
    #expect(loopback.name == "lo")
    #expect(loopback.prefixLength == 8)
    #expect(loopback.isUp)
    #expect(loopback.network == IPNetwork("127.0.0.0/8"))
    for entry in HostInterfaces.addresses() {
      #expect(!entry.name.isEmpty)
      #expect(entry.network?.contains(entry.address) == true)
    }
  }

  @Test("the address towards loopback is loopback")
  func sourceAddress() {
    #expect(HostInterfaces.sourceAddress(towards: .loopbackV4) == .loopbackV4)
  }
}
