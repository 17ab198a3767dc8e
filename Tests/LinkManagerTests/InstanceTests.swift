import LinkManager
import NetworkTypes
import Testing

/// The names by which registrars know a machine again.
@Suite struct InstanceTests {
  static func instances(machine: String, _ change: (inout LinkConfiguration) -> Void = { _ in }) -> [String] {
    var configuration = LinkConfiguration()
    configuration.trunks = ["one", "two"].map {
      TrunkConfiguration(name: $0, domain: "provider.example", registrar: HostPort(host: "a.example"), username: "1000")
    }
    change(&configuration)
    configuration.nameInstances(ofMachine: machine)
    return configuration.trunks.compactMap(\.instance)
  }

  @Test func eachTrunkHasItsOwnForLife() {
    let first = Self.instances(machine: "a")
    #expect(first.count == 2 && Set(first).count == 2)
    #expect(Self.instances(machine: "a") == first)
    #expect(Set(Self.instances(machine: "b")).isDisjoint(with: first))
    let changed = Self.instances(machine: "a") {
      $0.trunks[0].password = Redacted("other")
      $0.trunks[1].username = "1001"
    }
    #expect(changed[0] == first[0] && changed[1] != first[1])
    // What ends one part does not begin the next.
    let shifted = Self.instances(machine: "ao") { $0.trunks[0].name = "ne" }
    #expect(shifted[0] != first[0])
  }

  @Test func itIsAUUIDOfVersion8() throws {
    for instance in Self.instances(machine: "a") {
      let pattern = /[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}/
      #expect(instance.wholeMatch(of: pattern) != nil, "\(instance)")
    }
  }
}
