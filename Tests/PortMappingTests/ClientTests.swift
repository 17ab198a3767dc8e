import NetworkSimulator
import NetworkTypes
import PortMapping
import Testing

@Suite struct ClientTests {
  private let wish = MappingWish(internalPort: 65_002, preferredPort: 5060)

  /// An office whose router speaks these, with the lease asked for and given.
  private func office(_ protocols: [MappingProtocol], _ prepare: (inout MappingRouter) -> Void = { _ in }) -> (
    Office, Int
  ) {
    var office = Office()
    office.router.protocols = protocols
    prepare(&office.router)
    let id = office.request(wish)
    office.pass(5)
    return (office, id)
  }

  // MARK: The best protocol

  @Test(arguments: [
    ([MappingProtocol.pcp, .natPMP, .upnp], MappingProtocol.pcp), ([.natPMP, .upnp], .natPMP), ([.upnp], .upnp),
    ([.pcp], .pcp), ([.natPMP], .natPMP),
  ])
  func theBestProtocolFoundIsUsed(_ spoken: [MappingProtocol], _ expected: MappingProtocol) {
    let (office, id) = office(spoken)
    #expect(office.client.protocolInUse == expected)
    #expect(office.client.endpoint(of: id) == Endpoint(Office.publicAddress, port: 5060))
    #expect(office.router.entries.map(\.protocol) == [expected])
    #expect(office.findings == [])
  }

  @Test func aRouterThatKnowsOnlyNATPMPSaysSoAtOnce() {
    var office = Office()
    office.router.protocols = [.natPMP]
    let id = office.request(wish)
    office.pass(0.01)
    #expect(office.client.endpoint(of: id) != nil, "its version in the answer to PCP is enough")
  }

  @Test func oneAloneWhereOnlyThatIsAllowed() {
    var office = Office(allowed: [.upnp])
    let id = office.request(wish)
    office.pass(1)
    #expect(office.client.protocolInUse == .upnp)
    #expect(office.client.endpoint(of: id)?.port == 5060)
  }

  @Test func aRouterThatSpeaksNothingIsNamedAndAskedAgainMuchLater() {
    var (office, id) = office([])
    office.pass(10)
    #expect(office.findings == [.speaksNothing])
    #expect(office.client.endpoint(of: id) == nil)
    let sent = office.sent.count
    office.pass(500)
    #expect(office.sent.count == sent)
    office.router.protocols = [.pcp]
    office.pass(200)
    #expect(office.client.endpoint(of: id) != nil)
    #expect(office.findings == [])
  }

  @Test func nothingIsAskedForAsLongAsNothingIsWanted() {
    var office = Office()
    office.pass(10_000)
    #expect(office.sent.isEmpty)
  }

  @Test func aLostAnswerIsAskedForAgainByThePaceOfTheProtocol() {
    for spoken in [MappingProtocol.pcp, .natPMP] {
      var (office, id) = office([spoken])
      office.release(id)
      office.lost = 3
      let again = office.request(wish)
      let began = office.sent.count - 1
      office.pass(60)
      let times = office.sent[began...].map { ($0.at - office.sent[began].at).inSeconds }
      #expect(office.client.endpoint(of: again) != nil)
      #expect(times.count == 4, "\(spoken): \(times)")
      guard times.count == 4 else { continue }
      if spoken == .natPMP {
        #expect(times == [0, 0.25, 0.75, 1.75])
      } else {
        // 3, 6 and 12 s, each a tenth more or less.
        #expect(abs(times[1] - 3) <= 0.3 && abs(times[2] - 9) <= 0.9 && abs(times[3] - 21) <= 2.1)
      }
    }
  }

  // MARK: Life and death of a lease

  @Test(arguments: MappingProtocol.allCases)
  func aLeaseIsRenewedAtHalfLifeAndNeverEnds(_ spoken: MappingProtocol) {
    var (office, id) = office([spoken])
    let before = office.router.requests
    office.pass(1795)
    #expect(office.router.requests == before)
    office.pass(460)
    #expect(office.router.requests == before + 1, "between a half and five eighths of an hour")
    for _ in 0..<100 {
      office.pass(977)
      let target = office.router.target(.udp, port: 5060, now: office.now)
      #expect(target == Endpoint(Office.local, port: 65_002))
    }
    #expect(office.client.endpoint(of: id)?.port == 5060)
  }

  @Test(arguments: MappingProtocol.allCases)
  func everythingIsGivenBackAtTheEnd(_ spoken: MappingProtocol) {
    var (office, _) = office([spoken])
    _ = office.request(MappingWish(internalPort: 55_000))
    _ = office.request(MappingWish(internalPort: 55_001))
    #expect(office.router.entries.count == 3)
    #expect(office.kept.count == 3)
    office.shutDown()
    #expect(
      !office.heldUnwritten, "a process that is killed at any moment leaves nothing that the next one does not know of")
    #expect(office.router.entries.isEmpty)
    #expect(office.kept.isEmpty)
    #expect(office.news.last == .stopped)
    #expect(office.client.nextDeadline == nil)
  }

  @Test(arguments: MappingProtocol.allCases)
  func aRouterThatIsGoneDoesNotHoldUpTheEnd(_ spoken: MappingProtocol) {
    var (office, _) = office([spoken])
    office.router.isSilent = true
    office.shutDown()
    #expect(!office.news.contains(.stopped))
    office.pass(1.5)
    #expect(office.news.last == .stopped)
    #expect(office.kept.count == 1, "the next process finds it")
  }

  @Test(arguments: MappingProtocol.allCases)
  func whatAKilledProcessLeftIsRemoved(_ spoken: MappingProtocol) {
    let (old, _) = office([spoken])
    #expect(old.router.entries.count == 1)
    var next = Office(seed: 2, after: old)
    next.pass(8)
    #expect(next.router.entries.isEmpty)
    #expect(next.kept.isEmpty)
    #expect(next.client.leases.isEmpty)
  }

  @Test(arguments: MappingProtocol.allCases)
  func whatAKilledProcessLeftAndIsWantedAgainIsTakenOver(_ spoken: MappingProtocol) {
    let (old, _) = office([spoken])
    var next = Office(seed: 3, after: old)
    let id = next.request(wish)
    next.pass(8)
    #expect(next.client.endpoint(of: id) == Endpoint(Office.publicAddress, port: 5060))
    #expect(next.router.entries.count == 1)
    #expect(next.client.leases.count == 1)
  }

  /// The order in which a process starts: what was written down, the router, and only then what is wanted.
  @Test(arguments: MappingProtocol.allCases)
  func whatIsWantedAgainBeforeTheRouterAnsweredIsNotRemoved(_ spoken: MappingProtocol) {
    let (old, _) = office([spoken])
    var client = MappingClient(random: RandomSource(seed: 4))
    var next = Office(seed: 4, after: old)
    swap(&client, &next.client)
    var actions: [RouterAction] = []
    next.client.received(.kept(old.kept), now: next.now, into: &actions, news: &next.news)
    next.client.received(
      .found(router: Office.gateway, local: Office.local), now: next.now, into: &actions, news: &next.news)
    let id = next.client.request(wish, now: next.now, into: &actions, news: &next.news) ?? -1
    next.router = old.router
    next.perform(actions)
    next.pass(30)
    #expect(next.client.endpoint(of: id)?.port == 5060)
    #expect(next.router.entries.count == 1)
    #expect(next.client.leases.count == 1)
  }

  @Test func aLeftoverOfUPnPIsRemovedWhereSomethingBetterIsSpokenNow() {
    var (old, _) = office([.upnp])
    old.router.protocols = MappingProtocol.allCases
    var next = Office(seed: 5, after: old)
    let id = next.request(wish)
    next.pass(30)
    #expect(next.client.endpoint(of: id) != nil)
    #expect(next.router.entries.count == 1 && next.router.entries[0].protocol != .upnp)
    #expect(next.client.leases.count == 1)
  }

  @Test func aLeftoverPortThatIsAnothersByNowIsLeftAlone() {
    var office = Office(kept: [
      KeptLease(
        protocol: .upnp, router: "192.168.1.1", transport: .udp, internalPort: 65_002, externalPort: 5060, nonce: 0)
    ])
    let other = IPAddress("192.168.1.99")!
    _ = office.router.answer(
      .add(.udp, externalPort: 5060, internalPort: 5060, client: other, lease: 0), from: other, now: office.now)
    office.pass(20)
    #expect(office.router.entries.map(\.client) == [other])
    #expect(office.client.leases.isEmpty)
  }

  @Test func shortLeasesAreRenewedInTime() {
    for spoken in [MappingProtocol.pcp, .natPMP] {
      var (office, _) = office([spoken]) { $0.longestLease = 8 }
      for _ in 0..<50 {
        office.pass(0.9)
        let target = office.router.target(.udp, port: 5060, now: office.now)
        #expect(target != nil)
      }
    }
  }

  @Test func aLeaseThatCannotBeRenewedEndsAndIsAskedForByWhateverIsSpokenThen() {
    var (office, id) = office([.pcp])
    office.router.isSilent = true
    office.pass(3000)
    #expect(office.client.endpoint(of: id) != nil)
    office.pass(700)
    #expect(office.client.endpoint(of: id) == nil, "its hour is over")
    office.router.isSilent = false
    office.router.protocols = [.upnp]
    office.pass(700)
    #expect(office.client.protocolInUse == .upnp)
    #expect(office.client.endpoint(of: id) != nil)
  }

  // MARK: Routers that begin anew

  @Test(arguments: [MappingProtocol.pcp, .natPMP])
  func aRouterThatRebootsAndSaysSoGetsEverythingAtOnce(_ spoken: MappingProtocol) {
    var (office, id) = office([spoken])
    office.pass(100)
    let other = IPAddress("198.51.100.99")!
    office.router.reboot(now: office.now, externalAddress: other)
    office.news = []
    office.hear(office.router.announcements(now: office.now))
    #expect(office.news.contains(.addressSuspected))
    #expect(office.client.endpoint(of: id) == Endpoint(other, port: 5060), "in the same instant")
    let news = office.news.count
    for _ in 0..<10 {
      office.pass(10)
      office.hear(office.router.announcements(now: office.now))
    }
    #expect(office.news.count == news, "an announcement that is repeated is no news")
  }

  @Test func anAnnouncementIsHeardWithoutAnyLease() {
    var office = Office()
    office.hear(office.router.announcements(now: office.now))
    office.pass(1000)
    office.news = []
    office.hear(office.router.announcements(now: office.now))
    #expect(office.news == [], "it goes on as before")
    office.router.reboot(now: office.now, externalAddress: IPAddress("198.51.100.8")!)
    office.hear(office.router.announcements(now: office.now))
    #expect(office.news == [.addressSuspected])
  }

  @Test func announcementsOfOthersAreNobodys() {
    var (office, _) = office([.pcp])
    office.news = []
    office.router.reboot(now: office.now)
    office.hear(office.router.announcements(now: office.now), from: IPAddress("192.168.1.66")!)
    #expect(office.news == [])
    office.tell(.received(office.router.announcements(now: office.now)[0], from: Endpoint(Office.gateway, port: 6000)))
    #expect(office.news == [])
  }

  @Test func aRebootIsSeenByTheEpochOfTheNextAnswer() {
    var (office, _) = office([.pcp])
    let second = office.request(MappingWish(internalPort: 55_000))
    office.pass(600)
    office.router.reboot(now: office.now)
    office.pass(1800)
    #expect(office.router.entries.count == 2, "the renewal of one shows that the other is gone too")
    #expect(office.client.endpoint(of: second) != nil)
    #expect(office.news.contains(.addressSuspected))
  }

  // MARK: Conflicts

  @Test(arguments: MappingProtocol.allCases)
  func aPortThatIsTakenIsReplacedByAnother(_ spoken: MappingProtocol) {
    for version in [1, 2] {
      let (office, id) = office([spoken]) {
        $0.takenPorts = [5060, 5061, 5062]
        $0.gatewayVersion = version
      }
      let port = office.client.endpoint(of: id)?.port
      #expect(port != nil && port != 5060 && port != 5061 && port != 5062)
      #expect(office.router.entries.map(\.externalPort) == [port])
    }
  }

  @Test func aRouterThatHasNoPortLeftIsNotAskedForEver() {
    var (office, id) = office([.upnp]) {
      $0.gatewayVersion = 1
      $0.takenPorts = Array(1024...65_535)
    }
    #expect(office.client.endpoint(of: id) == nil)
    #expect(office.router.requests <= 40)
    office.pass(1000)
    #expect(office.router.requests <= 120)
  }

  // MARK: UPnP's ways

  @Test func onlyPermanentLeasesAreTakenLookedAfterAndRemoved() {
    var (office, id) = office([.upnp]) { $0.onlyPermanent = true }
    #expect(office.client.endpoint(of: id)?.port == 5060)
    #expect(office.router.entries.map(\.expiresAt) == [nil])
    office.router.reboot(now: office.now)
    office.pass(1300)
    #expect(office.router.entries.count == 1, "it was missed, and asked for again")
    office.shutDown()
    #expect(office.router.entries.isEmpty)
  }

  @Test func aGatewayThatWantsTheSamePortGetsIt() {
    let (office, id) = office([.upnp]) {
      $0.onlySamePort = true
      $0.gatewayVersion = 1
    }
    #expect(office.client.endpoint(of: id)?.port == 65_002)
  }

  @Test func aGatewayThatRebootsIsMissedWithinHalfAMinute() {
    var (office, id) = office([.upnp])
    let second = office.request(MappingWish(internalPort: 55_000))
    office.pass(100)
    office.router.reboot(now: office.now)
    office.pass(31)
    #expect(office.router.entries.count == 2)
    #expect(office.client.endpoint(of: id) != nil && office.client.endpoint(of: second) != nil)
    #expect(office.findings == [], "that is no lie")
  }

  @Test func anotherExternalAddressIsNoticedByAskingForIt() {
    var (office, id) = office([.upnp])
    office.router.externalAddress = IPAddress("198.51.100.9")!
    office.news = []
    office.pass(31)
    #expect(office.news.contains(.addressSuspected))
    #expect(office.client.endpoint(of: id)?.address == IPAddress("198.51.100.9")!)
  }

  private func subscriptions(_ office: Office) -> [Double] {
    office.sent.compactMap { sent in
      if case .ask(_, .subscribe) = sent.action { (sent.at - MonotonicInstant(nanoseconds: 0)).inSeconds } else { nil }
    }
  }

  @Test func aGatewayIsSubscribedToAndWhatItTellsIsAskedForAtOnce() {
    var (office, id) = office([.upnp])
    #expect(subscriptions(office).count == 1)
    #expect(office.router.notifies(now: office.now))
    office.pass(1800)
    let moments = subscriptions(office)
    #expect(zip(moments.dropFirst(), moments).allSatisfy { $0 - $1 == 900 } && moments.count >= 2, "at half its time")
    office.router.externalAddress = IPAddress("198.51.100.9")!
    office.news = []
    office.tell(.notified)
    #expect(office.news.contains(.addressSuspected))
    #expect(office.client.endpoint(of: id)?.address == IPAddress("198.51.100.9")!)
  }

  @Test func aGatewayWithoutEventsIsAskedForThemSeldom() {
    var (office, _) = office([.upnp]) { $0.subscriptionSeconds = 0 }
    office.pass(3000)
    let moments = subscriptions(office)
    #expect(moments.count == 6 && zip(moments.dropFirst(), moments).allSatisfy { $0 - $1 == 600 })
  }

  @Test func aRebootedGatewayIsSubscribedToAgain() {
    var (office, _) = office([.upnp])
    office.pass(100)
    office.router.reboot(now: office.now)
    #expect(!office.router.notifies(now: office.now))
    office.pass(31)
    #expect(office.router.notifies(now: office.now))
  }

  @Test func eventsOfAGatewayThatIsNotSpokenToAreNone() {
    var (office, _) = office([.pcp])
    office.news = []
    let sent = office.sent.count
    office.tell(.notified)
    #expect(office.news.isEmpty && office.sent.count == sent)
    #expect(subscriptions(office).isEmpty)
  }

  // MARK: Routers that refuse, and routers that lie

  @Test(arguments: MappingProtocol.allCases)
  func aRouterThatRefusesIsNamed(_ spoken: MappingProtocol) {
    let (office, id) = office([spoken]) { $0.refuses = true }
    #expect(office.client.endpoint(of: id) == nil)
    let code = spoken == .upnp ? 606 : 2
    #expect(office.findings == [.refuses(spoken, code: code)])
    #expect(office.sent.count < 20)
  }

  @Test func aPrivateExternalAddressIsADoubleNAT() {
    let (office, id) = office([.pcp]) { $0.externalAddress = IPAddress("10.0.0.2")! }
    #expect(office.findings == [.privateAddress(IPAddress("10.0.0.2")!)])
    #expect(office.client.endpoint(of: id) == nil, "nobody outside can reach it")
    let (shared, _) = self.office([.natPMP]) { $0.externalAddress = IPAddress("100.64.3.2")! }
    #expect(shared.findings == [.privateAddress(IPAddress("100.64.3.2")!)])
  }

  @Test(arguments: MappingProtocol.allCases)
  func anAddressThatIsNotTheOneThatTheWorldSees(_ spoken: MappingProtocol) {
    var (office, id) = office([spoken])
    let seen = IPAddress("203.0.113.4")!
    office.see(seen)
    #expect(office.findings == [.otherAddress(told: Office.publicAddress, seen: seen)])
    #expect(office.client.endpoint(of: id) == nil)
    office.see(Office.publicAddress)
    #expect(office.findings == [])
    #expect(office.client.endpoint(of: id) != nil)
    let count = office.news.count { if case .finding = $0 { true } else { false } }
    #expect(count == 1)
  }

  @Test func aGatewayWhoseTableDoesNotShowTheMappingLies() {
    let (office, id) = office([.upnp]) { $0.lies = true }
    #expect(office.findings == [.mapsNothing(.upnp, port: 5060)])
    #expect(office.client.endpoint(of: id) == nil)
  }

  @Test func aPortThatNothingComesThroughIsALie() {
    var (office, id) = office([.pcp]) { $0.lies = true }
    #expect(office.client.endpoint(of: id) != nil, "PCP has no way to look")
    office.client.proven(id, reached: false, news: &office.news)
    #expect(office.findings == [.mapsNothing(.pcp, port: 5060)])
    #expect(office.client.endpoint(of: id) == nil)
    office.client.proven(id, reached: true, news: &office.news)
    #expect(office.client.endpoint(of: id) != nil)
  }

  @Test func aNATBetweenUsAndTheRouterIsNamed() {
    var office = Office()
    office.router.protocols = [.pcp]
    office.tell(.found(router: Office.gateway, local: IPAddress("172.16.0.9")!))
    _ = office.request(wish)
    office.pass(10)
    #expect(office.findings.contains(.stranger))
  }

  @Test func anAnswerWithoutOurNonceIsNobodys() {
    var office = Office()
    office.router.protocols = [.pcp]
    office.router.isSilent = true
    let id = office.request(wish)
    let forged = PCPResponse(
      opcode: .map, result: .success, lifetime: 3600, epoch: 1,
      mapping: PCPMapping(
        nonce: 1, transport: .udp, internalPort: 65_002, external: Endpoint(IPAddress("203.0.113.66")!, port: 5060)))
    office.hear([forged.encoded()])
    #expect(office.client.endpoint(of: id) == nil)
  }

  // MARK: Many

  @Test(arguments: MappingProtocol.allCases)
  func aRangeOfMediaPortsBesideTheSIPPort(_ spoken: MappingProtocol) {
    var (office, _) = office([spoken])
    let ids = (0..<100).map { office.request(MappingWish(internalPort: 55_000 + UInt16($0))) }
    office.pass(10)
    #expect(ids.allSatisfy { office.client.endpoint(of: $0) != nil })
    #expect(office.router.entries.count == 101)
    office.router.reboot(now: office.now)
    office.hear(office.router.announcements(now: office.now))
    office.pass(spoken == .upnp ? 3000 : 10)
    #expect(office.router.entries.count == 101)
    office.shutDown()
    office.pass(1)
    #expect(office.router.entries.isEmpty)
    #expect(office.news.last == .stopped)
  }

  @Test func aPeerIsKeptOpenByPCPAlone() {
    var (office, _) = office([.pcp])
    let remote = Endpoint(IPAddress("203.0.113.20")!, port: 5060)
    let id = office.request(MappingWish(internalPort: 65_003, remote: remote))
    #expect(office.client.endpoint(of: id)?.port == 65_003)
    var (other, _) = self.office([.upnp])
    let refused = other.request(MappingWish(internalPort: 65_003, remote: remote))
    #expect(other.client.endpoint(of: refused) == nil)
    #expect(other.client.lease(refused)?.state == .wanted)
    #expect(other.router.peers.isEmpty && other.findings == [])
  }

  @Test func aFlowThatHasAnotherPortThanSuggestedIsAskedForWithoutASuggestion() {
    var office = Office()
    office.router.protocols = [.pcp]
    let remote = Endpoint(IPAddress("203.0.113.20")!, port: 5060)
    office.router.flows = [
      .init(
        inside: Endpoint(Office.local, port: 65_003), remote: remote, outside: Endpoint(Office.publicAddress, port: 777)
      )
    ]
    let id = office.request(MappingWish(internalPort: 65_003, remote: remote))
    office.pass(1)
    #expect(office.client.endpoint(of: id)?.port == 777)
    // The address changes, and with it the flow: what was suggested is not there any more.
    office.router.flows[0].outside = Endpoint(IPAddress("198.51.100.9")!, port: 778)
    office.router.reboot(now: office.now, externalAddress: IPAddress("198.51.100.9")!)
    office.hear(office.router.announcements(now: office.now))
    #expect(office.client.endpoint(of: id)?.description == "198.51.100.9:778")
    #expect(office.findings == [])
  }

  @Test func hostileAnswersAndOrdersNeverTrap() {
    for seed: UInt64 in 0..<40 {
      var random = RandomSource(seed: seed)
      var office = Office(seed: seed)
      office.router.longestLease = UInt32.random(in: 1...100, using: &random)
      var ids: [Int] = []
      for _ in 0..<200 {
        switch Int.random(in: 0..<11, using: &random) {
        case 0: ids.append(office.request(MappingWish(internalPort: UInt16.random(in: 0...65_535, using: &random))))
        case 1: if let id = ids.randomElement(using: &random) { office.release(id) }
        case 2: office.router.reboot(now: office.now)
        case 3: office.hear(office.router.announcements(now: office.now))
        case 4: office.router.isSilent.toggle()
        case 5: office.router.protocols = MappingProtocol.allCases.filter { _ in Bool.random(using: &random) }
        case 6: office.router.refuses.toggle()
        case 7:
          office.tell(.answered(UInt64.random(in: 0...50, using: &random), .added(externalPort: 7)))
        case 8:
          var bytes = PCPResponse(opcode: .map, result: .success, lifetime: .max, epoch: .max).encoded()
          bytes += [UInt8](repeating: UInt8.random(in: 0...255, using: &random), count: 36)
          office.hear([bytes])
        case 9: office.lost = 2
        default: office.pass(Double.random(in: 0...300, using: &random))
        }
      }
      office.shutDown()
      office.pass(2)
      #expect(office.news.contains(.stopped), "seed \(seed)")
      #expect(office.client.nextDeadline == nil, "seed \(seed)")
    }
  }
}
