import NetworkSimulator
import NetworkTypes
import PortMapping
import Testing

/// The router's external address where nothing is mapped.
@Suite struct AddressTests {
  private let wish = MappingWish(internalPort: 65_002, preferredPort: 5060)

  @Test(arguments: MappingProtocol.allCases) func theAddressIsToldWithoutAnyMapping(_ spoken: MappingProtocol) {
    var office = Office()
    office.router.protocols = [spoken]
    office.wantAddress()
    office.pass(20)
    #expect(office.client.toldAddress == Office.publicAddress)
    #expect(office.router.entries.isEmpty && office.router.requests == 0)
    #expect(office.router.peers.map(\.internalPort) == (spoken == .pcp ? [9] : []))
    #expect(office.router.peers.allSatisfy { $0.remote == Office.server })
    let before = office.router.heard
    office.pass(3600)
    #expect(office.router.heard - before <= 30, "it is no load: \(office.router.heard - before) in an hour")
    // A mapping tells it, too.
    let id = office.request(wish)
    #expect(office.client.endpoint(of: id) != nil)
    #expect(office.router.peers.isEmpty)
    office.release(id)
    office.pass(320)
    #expect(office.router.entries.isEmpty && office.client.toldAddress == Office.publicAddress)
    office.wantAddress(false)
    office.pass(1)
    let after = office.router.heard
    office.pass(3600)
    #expect(office.router.heard == after && office.router.peers.isEmpty && office.client.toldAddress == nil)
    #expect(office.findings == [])
  }

  /// Who speaks PCP and something that has a question for the address opens nothing.
  @Test(arguments: [MappingProtocol.natPMP, .upnp]) func noFlowIsOpenedWhereTheAddressIsToldOtherwise(
    _ second: MappingProtocol
  ) {
    var office = Office()
    office.router.protocols = [.pcp, second]
    office.wantAddress()
    office.pass(600)
    #expect(office.client.protocolInUse == .pcp && office.client.toldAddress == Office.publicAddress)
    #expect(office.router.peers.isEmpty && office.router.requests == 0)
  }

  @Test func aRouterThatRefusesOrSpeaksNothingIsNoFindingWhereNothingIsWanted() {
    var office = Office()
    office.router.protocols = [.pcp]
    office.router.peerRefusal = .unsupportedOpcode
    office.wantAddress()
    office.pass(3600)
    #expect(office.findings == [] && office.client.toldAddress == nil)
    var silent = Office()
    silent.router.protocols = []
    silent.wantAddress()
    silent.pass(3600)
    #expect(silent.findings == [])
    #expect(silent.router.heard < 70, "\(silent.router.heard) in an hour")
    _ = silent.request(wish)
    silent.pass(10)
    #expect(silent.findings == [.speaksNothing])
  }

  @Test func whatTheRouterSaidBeforeTheAddressChangedCountsNoMore() {
    var office = Office()
    office.router.protocols = [.upnp]
    office.wantAddress()
    office.see(Office.publicAddress)
    #expect(office.client.toldAddress == Office.publicAddress)
    office.lost = 1
    let other = IPAddress("198.51.100.9")!
    var actions: [RouterAction] = []
    office.client.addressSeen(other, now: office.now, into: &actions, news: &office.news)
    #expect(office.client.toldAddress == nil)
    office.router.externalAddress = other
    office.perform(actions)
    office.pass(10)
    #expect(office.client.toldAddress == other)
    #expect(office.findings == [])
  }
}
