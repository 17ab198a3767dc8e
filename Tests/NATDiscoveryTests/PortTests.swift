import NATDiscovery
import NetworkTypes
import Testing

/// How a router chooses ports and addresses, and what becomes of long packets.
@Suite struct PortTests {
  @Test func parity() throws {
    var router = FunctionRouter()
    router.mapped = { local, _, _ in endpoint("203.0.113.1:\(30_000 + 2 * (local.port % 10_000) + (local.port & 1))") }
    let kept = try router.discover()
    #expect(kept.portPreserved == .no)
    #expect(kept.portParityPreserved == .yes)
    router.mapped = { local, _, _ in
      endpoint(
        "203.0.113.1:\(30_000 + 2 * (local.port % 10_000) + (local.port == 20_021 ? 1 - local.port & 1 : local.port & 1))"
      )
    }
    #expect(try router.discover().portParityPreserved == .no, "one port is enough")
    let preserved = try FunctionRouter().discover()
    #expect(preserved.portPreserved == .yes)
    #expect(preserved.portParityPreserved == .yes)
  }

  /// A new port for each destination, so many above the last; now and then another program takes one.
  @Test(arguments: [1, 2, 7, -1], [0, 65_530]) func prediction(step: Int, start: Int) throws {
    var router = FunctionRouter()
    router.mapped = { _, _, number in
      let port = (40_000 + start + step * number) & 0xffff
      return endpoint("203.0.113.1:\(port == 0 ? 1 : port)")
    }
    let report = try router.discover()
    #expect(report.mapping == .addressAndPortDependent)
    #expect(report.portsPredictable == .yes)
    #expect(report.portIncrement == step & 0xffff)
    let words = step < 0 ? "each \(-step) below the last" : "each \(step) above the last"
    #expect(report.summary.contains(words))
  }

  @Test func randomPortsCannotBeForeseen() throws {
    var router = FunctionRouter()
    router.mapped = { _, _, number in endpoint("203.0.113.1:\(1024 + (number * number * 7919 + 13) % 60_000)") }
    let report = try router.discover()
    #expect(report.portsPredictable == .no)
    #expect(report.portIncrement == nil)
    #expect(try FunctionRouter().discover().portsPredictable == .notChecked, "a cone has nothing to foresee")
  }

  @Test func aPoolOfAddressesIsSeen() throws {
    var router = FunctionRouter()
    #expect(try router.discover().addressPool == .no)
    router.mapped = { local, _, _ in endpoint("203.0.113.\(local.port & 1 == 0 ? 2 : 1):\(local.port)") }
    let report = try router.discover()
    #expect(report.addressPool == .yes)
    #expect(report.meaning.contains { $0.contains("More than one public address") })
  }

  @Test func fragments() throws {
    var router = FunctionRouter()
    #expect(try router.discover().fragments == .yes)
    router.passes = { $0 <= 1472 }
    let lost = try router.discover()
    #expect(lost.fragments == .no)
    #expect(lost.meaning.contains { $0.contains("Long packets are lost") })
    router.passes = { _ in true }
    router.pads = false
    let unknown = try router.discover()
    #expect(unknown.fragments == .notChecked)
    #expect(unknown.whyNotChecked("fragments")?.contains("at length") == true)
  }

  @Test func addressesOfACarrierAreRecognised() throws {
    var inside = FunctionRouter()
    inside.local = endpoint("100.64.1.2:5000")
    inside.hops = [nil, nil, nil, nil]
    #expect(try inside.discover().carrierGradeNAT == .yes)
    var seen = FunctionRouter()
    seen.mapped = { local, _, _ in endpoint("100.127.1.2:\(local.port)") }
    seen.hops = [address("192.168.1.1")]
    #expect(try seen.discover().carrierGradeNAT == .yes)
    var outside = FunctionRouter()
    outside.hops = [address("192.168.1.1"), address("100.128.0.1")]
    #expect(try outside.discover().carrierGradeNAT == .no, "RFC 6598 ends at 100.127.255.255")
  }
}
