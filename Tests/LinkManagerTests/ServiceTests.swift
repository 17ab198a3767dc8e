import LinkManager
import NATDiscovery
import NetworkTypes
import Testing

/// STUN servers that are written as a domain: SRV, and what comes in its place.
@Suite struct ServiceTests {
  static let domain = "provider.example"
  static let service = "_stun._udp.provider.example"

  static func bench(_ servers: [HostPort], answers: Bool = true) -> LinkBench {
    LinkBench {
      $0.uplinks[0].publicAddress = nil
      $0.uplinks[0].stunServers = servers
    } prepare: {
      $0.answersServices = answers
      $0.services[service] = [
        ServiceRecord(priority: 20, port: 3479, target: "b.provider.example"),
        ServiceRecord(priority: 10, port: 3480, target: "a.provider.example"),
      ]
    }
  }

  static func resolve(_ bench: LinkBench, _ name: String, _ addresses: String...) {
    let found = addresses.map { endpoint($0).address }
    bench.step { $0.nameResolved(name, found, now: $1, into: &$2) }
  }

  @Test func theServersOfADomainAreAskedByPriority() {
    let bench = Self.bench([HostPort(host: Self.domain)])
    #expect(bench.lookups == [Self.domain, "a.provider.example", "b.provider.example"])
    Self.resolve(bench, Self.domain, "203.0.113.1:0")
    Self.resolve(bench, "b.provider.example", "203.0.113.22:0")
    #expect(bench.stunRequests.isEmpty, "the one that is preferred is still being looked up")
    Self.resolve(bench, "a.provider.example", "203.0.113.21:0")
    #expect(bench.stunRequests.last == endpoint("203.0.113.21:3480"))
    // Silence: the next one within three seconds.
    bench.wait(.milliseconds(3600))
    #expect(bench.stunRequests.last == endpoint("203.0.113.22:3479"))
  }

  @Test func aNATThatCouldNotBeExaminedIsExaminedAsSoonAsItCan() {
    let bench = Self.bench([HostPort(host: "203.0.113.9")])
    #expect(bench.examinations.count == 1)
    for count in 2...4 {
      // The shell has no way to the server: this machine has no network yet.
      bench.step { $0.natDiscovered(nil, uplink: 0, now: $1, into: &$2) }
      bench.wait(.seconds(9))
      #expect(bench.examinations.count == count - 1)
      bench.wait(.seconds(2))
      #expect(bench.examinations.count == count)
      #expect(bench.examinations.last?.measuresLifetime == false, "a lifetime is measured when the rest is known")
    }
  }

  @Test func withoutRowsTheDomainItselfIsAsked() {
    let bench = Self.bench([HostPort(host: "other.example")])
    Self.resolve(bench, "other.example", "203.0.113.1:0")
    #expect(bench.stunRequests == [endpoint("203.0.113.1:3478")])
  }

  @Test func aPortOrAnAddressIsTakenAsItIsWritten() {
    let bench = Self.bench([HostPort(host: Self.domain, port: 4000), HostPort(host: "203.0.113.9")])
    #expect(bench.lookups == [Self.domain])
    #expect(bench.serviceLookups.isEmpty)
    #expect(bench.stunRequests == [endpoint("203.0.113.9:3478")])
    Self.resolve(bench, Self.domain, "203.0.113.1:0")
    #expect(bench.stunRequests.last == endpoint("203.0.113.1:4000"))
  }

  @Test func aNameServerThatDoesNotAnswerForServicesHoldsNobodyUp() {
    let bench = Self.bench([HostPort(host: Self.domain)], answers: false)
    Self.resolve(bench, Self.domain, "203.0.113.1:0")
    #expect(bench.stunRequests.isEmpty)
    bench.wait(.milliseconds(1600))
    #expect(bench.stunRequests.first == endpoint("203.0.113.1:3478"))
    // The answer that comes late is taken.
    bench.step { [services = bench.services] in
      $0.serviceResolved(Self.service, services[Self.service], now: $1, into: &$2)
    }
    Self.resolve(bench, "a.provider.example", "203.0.113.21:0")
    #expect(bench.stunRequests.last == endpoint("203.0.113.21:3480"))
  }

  @Test func hostsThatDoNotResolveArePassedOver() {
    let bench = Self.bench([HostPort(host: Self.domain)])
    Self.resolve(bench, Self.domain)
    Self.resolve(bench, "a.provider.example")
    Self.resolve(bench, "b.provider.example", "203.0.113.22:0")
    #expect(bench.stunRequests == [endpoint("203.0.113.22:3479")])
    #expect(bench.core.status(now: bench.now).uplinks[0].lastError == nil)
    let lost = Self.bench([HostPort(host: Self.domain)])
    for name in [Self.domain, "a.provider.example", "b.provider.example"] { Self.resolve(lost, name) }
    #expect(lost.core.status(now: lost.now).uplinks[0].lastError?.code == "stunServersUnresolved")
  }

  @Test func theSameRowsAgainChangeNothingAndFailuresKeepWhatIsKnown() {
    let bench = Self.bench([HostPort(host: Self.domain)])
    Self.resolve(bench, "a.provider.example", "203.0.113.21:0")
    let count = bench.stunRequests.count
    for records in [bench.services[Self.service], nil] {
      bench.step { $0.serviceResolved(Self.service, records, now: $1, into: &$2) }
    }
    #expect(bench.stunRequests.count == count)
    let looked = bench.serviceLookups.count
    bench.wait(.seconds(301))
    #expect(bench.serviceLookups.count > looked, "it is looked up again")
  }
}
