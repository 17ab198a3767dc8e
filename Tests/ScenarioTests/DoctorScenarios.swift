import CallControl
import EmbeddedProvider
import LinkManager
import LinkScenario
import MediaRelay
import NetworkSimulator
import NetworkTypes
import SIPSyntax
import Testing

/// The doctor beside a live link: all proven on a healthy line, and each need refuted where it is missing.
@Suite struct DoctorScenarios {
  static let wallTime = WallTime(nanoseconds: 1_795_000_000_000_000_000 - 1_000_000_000_000)

  static let late = WallTime(nanoseconds: wallTime.nanoseconds - 90_000_000_000)

  /// A line on which nothing is missing, with a forward to the SIP port.
  static func healthy(_ change: (inout Scene.Plan) -> Void = { _ in }) -> Scene {
    let world = Scene { plan in
      plan.hasBehaviorServer = true
      plan.provider = {
        $0.clock = DoctorScenarios.wallTime
        $0.quirks.connectsCustomers = true
      }
      plan.link = { $0.uplinks[0].incoming = .forwarded(5060) }
      change(&plan)
    }
    world.net.apply(.forwardsChanged(world.router, [forward]))
    return world
  }

  static let forward = PortForward(outsidePort: 5060, to: endpoint("192.168.1.2:65002"))

  /// The report of a run that begins now; how long it took is in it.
  static func examine(_ world: Scene, calls: Bool = false, atMost seconds: Double = 16) throws -> DoctorReport {
    let before = world.net.host(world.link, as: LinkHost.self)?.reports.count ?? 0
    #expect(world.apply(.examinationAsked(DoctorRequest(calls: calls))))
    let isOver = world.net.run(atMost: .nanoseconds(Int64(seconds * 1e9))) { net in
      (net.host(world.link, as: LinkHost.self)?.reports.count ?? 0) > before
    }
    #expect(isOver, "no report within \(seconds) s")
    return try #require(world.net.host(world.link, as: LinkHost.self)?.reports.last)
  }

  static func results(_ report: DoctorReport) -> [String] {
    report.findings.map { "\($0.need.rawValue) \($0.subject): \($0.result.rawValue), \($0.evidence)" }
  }

  /// The needs that are refuted, each once.
  static func refuted(_ report: DoctorReport) -> [DoctorFinding.Need] {
    DoctorFinding.Need.allCases.filter { need in report.findings.contains { $0.need == need && $0.result == .refuted } }
  }

  static func finding(_ report: DoctorReport, _ need: DoctorFinding.Need) throws -> DoctorFinding {
    try #require(report.findings.first { $0.need == need })
  }

  // MARK: Healthy

  @Test func everythingIsProvenOnAHealthyLine() throws {
    let world = Self.healthy()
    #expect(world.runUntilRegistered())
    world.run(3)
    let report = try Self.examine(world)
    #expect(report.result == .proven, "\(report.findings.filter { $0.result != .proven })")
    #expect(Set(report.findings.map(\.need)) == Set(DoctorFinding.Need.allCases).subtracting([.call]))
    #expect(report.findings.count { $0.need == .stun } == 2)
    #expect(report.seconds < 5)
    #expect(report.findings.allSatisfy { $0.nextStep == nil && $0.evidence.hasSuffix(".") })
    #expect(world.leftovers.isEmpty || world.settles())
  }

  @Test func aRunBesideACallAndARegistrationChangesNothing() throws {
    let world = Self.healthy()
    #expect(world.runUntilRegistered())
    let call = try #require(world.callFromOutside())
    #expect(world.waitForCall(state: "answered", atMost: 10))
    world.run(20)
    let contacts = world.contacts
    let registers = world.providerEvents.count { if case .registered = $0.event { true } else { false } }
    let status = world.status
    // Twice: the second finds what the first one left.
    for _ in 0..<2 { #expect(try Self.examine(world).result == .proven) }
    world.run(5)
    #expect(world.contacts == contacts)
    #expect(world.providerEvents.count { if case .registered = $0.event { true } else { false } } == registers)
    #expect(world.status.trunks.map(\.contact) == status.trunks.map(\.contact))
    #expect(world.status.trunks.map(\.state) == status.trunks.map(\.state))
    #expect(world.status.uplinks.map(\.publicAddress) == status.uplinks.map(\.publicAddress))
    #expect(world.status.calls.map(\.id) == status.calls.map(\.id))
    #expect(world.verdicts == [])
    world.hangUpOutside(call)
    world.run(2)
    #expect(world.status.calls.isEmpty)
    #expect(world.secondsHeard.phone > 10)
    #expect(world.settles())
  }

  @Test func oneRunAtATime() throws {
    let world = Self.healthy()
    #expect(world.runUntilRegistered())
    #expect(world.apply(.examinationAsked(DoctorRequest())))
    #expect(!world.apply(.examinationAsked(DoctorRequest())))
    world.run(16)
    #expect(world.net.host(world.link, as: LinkHost.self)?.reports.count == 1)
    #expect(world.apply(.examinationAsked(DoctorRequest())))
  }

  @Test func theEndOfTheLinkEndsTheRun() throws {
    let world = Self.healthy()
    #expect(world.runUntilRegistered())
    #expect(world.apply(.examinationAsked(DoctorRequest(calls: true))))
    world.run(0.01)
    _ = world.apply(.shutDownAsked)
    world.run(5)
    #expect(world.isStopped)
    #expect(world.net.host(world.link, as: LinkHost.self)?.reports.count == 1)
  }

  @Test func progressRunsOutOfNeeds() throws {
    let world = Self.healthy { $0.link = { _ in } }
    #expect(world.runUntilRegistered())
    world.net.apply(.nodeDeafened(world.stun[1]))
    #expect(world.apply(.examinationAsked(DoctorRequest())))
    var seen: [[DoctorFinding.Need]] = []
    while let progress = world.net.host(world.link, as: LinkHost.self)?.link.examination(now: world.net.now) {
      if seen.last != progress.waitingFor { seen.append(progress.waitingFor) }
      #expect(progress.findings.allSatisfy { !progress.waitingFor.contains($0.need) })
      #expect(progress.answered <= progress.asked && progress.elapsedSeconds < 16)
      world.run(0.05)
    }
    #expect(seen.first?.first == .name && seen.first?.contains(.registration) == true)
    // The server that is silent, then the packet from elsewhere.
    #expect(seen.last == [.forward], "\(seen)")
  }

  // MARK: Each need

  /// What is broken, and the needs that have to be refuted, no other.
  enum Fault: String, CaseIterable, Sendable {
    case stunServersSilent, oneServerSilent, providerSilent, wrongPassword, unknownUser, wrongRealm, forwardMissing,
      forwardElsewhere, fragmentsDropped, clockOff, nameUnknown, nameServerDead, serverNameUnknown, nothingPasses

    var refuted: [DoctorFinding.Need] {
      switch self {
      case .stunServersSilent, .oneServerSilent: [.stun]
      case .providerSilent: [.sip]
      case .wrongPassword, .unknownUser, .wrongRealm: [.registration]
      case .forwardMissing, .forwardElsewhere: [.forward]
      case .fragmentsDropped: [.fragments]
      case .clockOff: [.clock]
      case .nameUnknown, .nameServerDead, .serverNameUnknown: [.name]
      case .nothingPasses: [.name, .stun, .sip]
      }
    }
  }

  @Test(arguments: Fault.allCases) func eachFaultIsRefutedAndNothingElse(_ fault: Fault) throws {
    let world = Self.healthy { plan in
      switch fault {
      case .wrongPassword: plan.password = "wrong"
      case .unknownUser:
        plan.link = {
          $0.uplinks[0].incoming = .forwarded(5060)
          $0.trunks[0].username = "9999"
        }
      case .wrongRealm:
        plan.link = {
          $0.uplinks[0].incoming = .forwarded(5060)
          $0.trunks[0].realm = "other.example"
        }
      case .clockOff: plan.provider = { $0.clock = DoctorScenarios.late }
      case .serverNameUnknown:
        plan.link = {
          $0.uplinks[0].incoming = .forwarded(5060)
          $0.uplinks[0].stunServers.append(HostPort(host: "stun.misspelt.example", port: 3478))
        }
      default: break
      }
    }
    if [.wrongPassword, .unknownUser, .wrongRealm].contains(fault) {
      world.run(5)
    } else {
      #expect(world.runUntilRegistered())
      world.run(3)
    }
    switch fault {
    case .stunServersSilent: for server in world.stun { world.net.apply(.nodeDeafened(server)) }
    case .oneServerSilent: world.net.apply(.nodeDeafened(world.stun[1]))
    case .providerSilent: world.net.apply(.nodeDeafened(world.provider))
    case .forwardMissing: world.net.apply(.forwardsChanged(world.router, []))
    case .forwardElsewhere:
      world.net.apply(
        .forwardsChanged(world.router, [PortForward(outsidePort: 5060, to: endpoint("192.168.1.77:65002"))]))
    case .fragmentsDropped:
      var line = LinkQuality.dsl
      line.longest = 1472
      world.net.apply(.lineQualityChanged(world.router, line))
    case .nameUnknown: world.net.nameServer.set("sip.provider.example", [])
    case .nameServerDead: world.net.apply(.nameServerDied)
    case .nothingPasses:
      world.net.nameServer.address = address("203.0.113.53")
      world.net.apply(.lineCut(world.router))
    case .wrongPassword, .unknownUser, .wrongRealm, .clockOff, .serverNameUnknown: break
    }
    let report = try Self.examine(world)
    #expect(Self.refuted(report) == fault.refuted, "\(Self.results(report))")
    #expect(report.result == .refuted)
    #expect(report.seconds <= 15.1)
    for finding in report.findings where finding.result != .proven {
      #expect(finding.nextStep?.isEmpty == false, "\(finding)")
    }
    #expect(world.net.faults == [])
  }

  @Test func aServerOfOneAddressProvesNoForward() throws {
    let world = Self.healthy { $0.hasBehaviorServer = false }
    #expect(world.runUntilRegistered())
    let report = try Self.examine(world)
    let forward = try Self.finding(report, .forward)
    #expect(forward.result == .unprovable && forward.evidence.contains("second address"))
    #expect(report.result == .unprovable)
  }

  @Test func withoutAForwardNoneIsMissed() throws {
    let world = Self.healthy { $0.link = { _ in } }
    #expect(world.runUntilRegistered())
    let forward = try Self.finding(try Self.examine(world), .forward)
    #expect(forward.result == .unprovable && forward.nextStep?.contains("--call") == true)
  }

  @Test func aRouterThatLetsEverybodyInNeedsNone() throws {
    let world = Self.healthy {
      $0.nat = .fullCone
      $0.link = { _ in }
    }
    #expect(world.runUntilRegistered())
    #expect(try Self.finding(try Self.examine(world), .forward).result == .proven)
  }

  @Test func aProviderDeafToOptionsIsHeardByItsRegistrar() throws {
    let world = Self.healthy {
      $0.provider = {
        $0.clock = DoctorScenarios.wallTime
        $0.quirks.ignoresOptions = true
      }
    }
    #expect(world.runUntilRegistered())
    let report = try Self.examine(world)
    #expect(report.result == .proven, "\(Self.results(report))")
    #expect(try Self.finding(report, .sip).evidence.contains("answered REGISTER"))
  }

  @Test func aProviderWithoutDateTellsNoTime() throws {
    let world = Self.healthy { $0.provider = { _ in } }
    #expect(world.runUntilRegistered())
    #expect(try Self.finding(try Self.examine(world), .clock).result == .unprovable)
  }

  // MARK: Fragments

  /// Where long messages are lost, and what is said of it.
  enum Loss: CaseIterable, Sendable {
    case line, provider, nowhereAndProviderSilent, lineAndProviderSilent, lineUnasked
  }

  @Test(arguments: Loss.allCases) func theLineIsToldFromTheProvider(_ loss: Loss) throws {
    let world = Self.healthy { $0.hasBehaviorServer = loss != .lineUnasked }
    #expect(world.runUntilRegistered())
    world.run(3)
    var short = LinkQuality.dsl
    short.longest = 1472
    switch loss {
    case .line, .lineUnasked, .lineAndProviderSilent: world.net.apply(.lineQualityChanged(world.router, short))
    case .provider: world.net.apply(.nodeQualityChanged(world.provider, short))
    case .nowhereAndProviderSilent: break
    }
    let isSilent = [.nowhereAndProviderSilent, .lineAndProviderSilent].contains(loss)
    if isSilent { world.net.apply(.nodeDeafened(world.provider)) }
    let report = try Self.examine(world)
    let fragments = try Self.finding(report, .fragments)
    #expect(fragments.result == (loss == .nowhereAndProviderSilent ? .unprovable : .refuted))
    #expect(fragments.evidence.contains("a short one was") == !isSilent, "\(fragments)")
    let stun = "a STUN request of 1600 bytes to 203.0.113.3:3478"
    let (evidence, step) =
      switch loss {
      case .line, .lineAndProviderSilent: ("nor was \(stun)", "router and firewall")
      case .lineUnasked: ("a short one was.", "router and firewall")
      case .provider: ("\(stun) was answered", "Tell the provider")
      case .nowhereAndProviderSilent: ("\(stun) was answered", "First SIP")
      }
    #expect(fragments.evidence.contains(evidence) && fragments.nextStep?.contains(step) == true, "\(fragments)")
    #expect(report.seconds < 10)
  }

  @Test func nothingLongIsAskedOfSTUNWhereSIPIsAnswered() throws {
    let world = Self.healthy()
    #expect(world.runUntilRegistered())
    let report = try Self.examine(world)
    #expect(!report.exchanges.contains { $0.contains("STUN request") && $0.hasSuffix("1600 bytes") })
  }

  // MARK: Media ports

  @Test func allOfTheMediaRangeIsTried() throws {
    for nat in [NATBehavior.portRestrictedCone, .fullCone] {
      let world = Self.healthy { $0.nat = nat }
      #expect(world.runUntilRegistered())
      let media = try Self.finding(try Self.examine(world), .media)
      #expect(media.result == .proven)
      #expect(media.evidence.hasPrefix("8 of 8 ports tried between 55000 and 55998 got answers"), "\(media)")
      #expect(media.evidence.contains(nat == .fullCone ? "came in at 55000" : "stayed away from 55000"), "\(media)")
    }
  }

  /// What a firewall closes of the range, and how the finding names it.
  static let closed: [(ports: [ClosedRange<UInt16>], evidence: String, step: String?)] = [
    (
      [55000...55300], "Ports 55000, 55142 and 55284 got no answer from 203.0.113.3:3478; 55426, 55570, 55712, ",
      "within 55000-55425."
    ),
    (
      [55100...55200, 55800...55999], "Ports 55142, 55854 and 55998 got no answer",
      "within 55002-55283 and 55714-55999."
    ),
    ([55570...55570], "Port 55570 got no answer", "within 55428-55711."),
    ([55000...55999], "None of 8 ports tried between 55000 and 55998 got an answer", "(trunkline firewall)."),
    ([55571...55571], "8 of 8 ports tried between 55000 and 55998 got answers", nil),
  ]

  @Test(arguments: closed.indices) func aPartOfTheMediaRangeThatIsClosedIsNamed(_ place: Int) throws {
    let (ports, evidence, step) = Self.closed[place]
    let world = Self.healthy()
    #expect(world.runUntilRegistered())
    // Out through a host's firewall, in through one, and through the router's.
    for isOutward in [true, false] {
      world.net.apply(.nodeFiltersChanged(world.link, ports.map { PacketFilter(isOutward: isOutward, ports: $0) }))
      let report = try Self.examine(world)
      let media = try Self.finding(report, .media)
      #expect(media.evidence.hasPrefix(evidence), "\(media)")
      #expect(media.evidence.contains("RTCP") == (step == nil), "\(media)")
      #expect(step.map { media.nextStep?.hasSuffix($0) == true } ?? (media.nextStep == nil), "\(media)")
      #expect(Self.refuted(report) == (step == nil ? [] : [.media]))
      #expect(report.seconds < 6)
    }
    #expect(world.settles())
  }

  @Test func portsOfALiveCallAreLeftAlone() throws {
    let world = Self.healthy()
    #expect(world.runUntilRegistered())
    let call = try #require(world.callFromOutside())
    #expect(world.waitForCall(state: "answered", atMost: 10))
    let capture = world.net.startCapture(at: .node(world.link))
    let media = try Self.finding(try Self.examine(world), .media)
    #expect(media.result == .proven)
    #expect(media.evidence.contains("between 55004 and 55998"), "\(media)")
    let asked = world.net.capture(capture).packets.filter { $0.isOutward && $0.datagram.content == .stun }
    #expect(asked.contains { $0.datagram.source.port == 55004 })
    #expect(!asked.contains { (55000...55003).contains($0.datagram.source.port) })
    world.hangUpOutside(call)
    #expect(world.settles())
  }

  /// In a narrow range the doctor has every port: a call takes them from it.
  @Test func aCallGetsThePortsThatTheDoctorTries() throws {
    let world = Self.healthy { plan in
      plan.link = {
        $0.uplinks[0].incoming = .forwarded(5060)
        $0.media.ports = 55000...55007
      }
    }
    #expect(world.runUntilRegistered())
    world.net.apply(.nodeFiltersChanged(world.link, [PacketFilter(.stun, isOutward: false, ports: 55000...55007)]))
    #expect(world.apply(.examinationAsked(DoctorRequest())))
    world.run(0.5)
    #expect(world.net.host(world.link, as: LinkHost.self)?.link.metrics(now: world.net.now).mediaPorts == 4)
    let call = try #require(world.callFromOutside())
    #expect(world.waitForCall(state: "answered", atMost: 10))
    world.run(16)
    let report = try #require(world.net.host(world.link, as: LinkHost.self)?.reports.last)
    let media = try Self.finding(report, .media)
    #expect(media.result == .unprovable && media.evidence == "No media port was free to be tried.", "\(media)")
    world.hangUpOutside(call)
    #expect(world.settles())
  }

  @Test func portsThatOthersHaveAreNamed() throws {
    for (taken, result) in [(55000...55100, DoctorFinding.Result.proven), (55000...56000, .refuted)] {
      let world = Self.healthy()
      #expect(world.runUntilRegistered())
      world.net.apply(.portsTaken(world.link, UInt16(taken.lowerBound)...UInt16(taken.upperBound)))
      let media = try Self.finding(try Self.examine(world), .media)
      #expect(media.result == result)
      #expect(media.evidence.contains("port 55000: ") && media.evidence.contains("port 55002: "), "\(media)")
      #expect(media.evidence.hasPrefix(result == .proven ? "7 of 7 ports tried" : "No media port can"), "\(media)")
      #expect(world.settles())
    }
  }

  // MARK: The call

  @Test func theOwnNumberIsHeardBothWays() throws {
    let world = Self.healthy()
    #expect(world.runUntilRegistered())
    world.run(3)
    let report = try Self.examine(world, calls: true, atMost: 40)
    let call = try Self.finding(report, .call)
    #expect(call.result == .proven, "\(call)")
    #expect(report.result == .proven)
    // No telephone of the office rang.
    #expect(!world.phoneEvents().contains { if case .called = $0 { true } else { false } })
    #expect(world.records.map(\.direction).sorted() == ["inbound", "outbound"])
    #expect(world.records.allSatisfy { $0.result == "answered" })
    world.run(2)
    #expect(world.status.calls.isEmpty)
    #expect(world.settles())
    #expect(world.net.host(world.link, as: LinkHost.self)?.link.leftovers ?? ["?"] == [])
  }

  @Test func aStrangersCallRingsTheTelephoneMeanwhile() throws {
    let world = Self.healthy()
    #expect(world.runUntilRegistered())
    #expect(world.apply(.examinationAsked(DoctorRequest(calls: true))))
    world.run(1)
    let call = try #require(world.callFromOutside())
    world.run(20)
    #expect(world.providerEvents.contains { $0.event == .answered(call) })
    #expect(world.phoneEvents().contains { if case .called = $0 { true } else { false } })
  }

  @Test func aRefusedCallIsNamed() throws {
    let world = Self.healthy { $0.provider = { $0.clock = DoctorScenarios.wallTime } }
    #expect(world.runUntilRegistered())
    let call = try Self.finding(try Self.examine(world, calls: true, atMost: 40), .call)
    #expect(call.result == .refuted && call.evidence.contains("404"), "\(call)")
    #expect(world.settles())
  }

  @Test func aNumberThatLeadsElsewhereIsNamed() throws {
    let world = Self.healthy {
      $0.provider = {
        $0.farEnds.insert(FarEnd(NumberPattern(Scene.number), AnswerPlan(.answer(after: .seconds(1)))), at: 0)
      }
    }
    #expect(world.runUntilRegistered())
    let call = try Self.finding(try Self.examine(world, calls: true, atMost: 60), .call)
    #expect(call.result == .refuted && call.evidence.contains("elsewhere"), "\(call)")
    world.run(5)
    #expect(world.status.calls.isEmpty)
    #expect(world.settles())
  }

  @Test func aTrunkWithoutRoomIsNotTried() throws {
    let world = Self.healthy {
      $0.link = { $0.trunks[0].maxCalls = 1 }
    }
    #expect(world.runUntilRegistered())
    let call = try Self.finding(try Self.examine(world, calls: true, atMost: 40), .call)
    #expect(call.result == .unprovable && call.evidence.contains("maxCalls"))
  }
}
