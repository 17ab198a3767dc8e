import CallControl
import EmbeddedProvider
import NetworkSimulator
import NetworkTypes

/// A provider on the internet and a telephone in an office behind a router.
final class ProviderWorld {
  static let provider = endpoint("203.0.113.10:5060")
  static let number = "+49211123450"

  var net: SimulatedNetwork
  let provider: NodeID
  let phone: NodeID
  let router: NATID

  init(
    nat: NATBehavior = .portRestrictedCone, seed: UInt64 = 1, password: String = "secret",
    line: LinkQuality = .dsl, office: String = "192.168.1",
    phone changePhone: (inout PhoneProfile) -> Void = { _ in },
    provider changeProvider: (inout ProviderConfiguration) -> Void = { _ in }
  ) {
    var net = SimulatedNetwork(seed: seed)
    var configuration = ProviderConfiguration(
      bind: Self.provider, domain: "provider.example",
      accounts: [
        ProviderAccount(username: "1000", password: Redacted("secret"), numbers: [.init(Self.number)]),
        ProviderAccount(username: "2000", password: Redacted("other")),
      ])
    configuration.farEnds += [
      FarEnd(
        .init("+49301111"),
        AnswerPlan(
          .answer(after: .seconds(2)), script: CallScript(sound: .tone(hertz: 1000), records: true))),
      FarEnd(.init("+49302222"), .busy),
      FarEnd(.init("+49303333"), AnswerPlan(.never)),
      FarEnd(.init("+49304444"), AnswerPlan(.ignore)),
    ]
    changeProvider(&configuration)
    provider = net.addNode(
      "provider", on: .internet, addresses: [Self.provider.address],
      host: ProviderHost(
        ProviderCore(configuration: configuration, random: RandomSource(seed: seed &+ 1)),
        random: RandomSource(seed: seed &+ 2)))
    let subnet = net.addSubnet("office", [network("\(office).0/24")])
    router = net.addGateway(
      "router", from: subnet, behavior: nat, outsideAddress: address("198.51.100.1"), line: line)
    var profile = PhoneProfile(
      bind: endpoint("\(office).20:5060"), registrar: Self.provider, domain: "provider.example", username: "1000",
      password: Redacted(password))
    profile.incoming = AnswerPlan(
      .answer(after: .seconds(2)), script: CallScript(sound: .tone(hertz: 440), records: true))
    changePhone(&profile)
    phone = net.addNode(
      "phone", on: subnet, addresses: [address("\(office).20")],
      host: PhoneHost(
        PhoneCore(profile: profile, random: RandomSource(seed: seed &+ 3)), random: RandomSource(seed: seed &+ 4)))
    self.net = net
  }

  func run(_ seconds: Double) { net.run(for: .nanoseconds(Int64(seconds * 1e9))) }

  var phoneHost: PhoneHost { net.host(phone) ?? PhoneHost(PhoneCore.none, random: RandomSource(seed: 0)) }
  var providerHost: ProviderHost {
    net.host(provider) ?? ProviderHost(ProviderCore.none, random: RandomSource(seed: 0))
  }
  var phoneEvents: [PhoneEvent] { phoneHost.events.map(\.event) }
  var providerEvents: [ProviderEvent] { providerHost.events.map(\.event) }
  var contacts: [String] { providerHost.agent.contacts(of: "1000", now: net.now) }

  func dial(_ number: String, _ script: CallScript) -> AgentCallID? {
    net.withHost(phone, as: PhoneHost.self) { host, now, actions in
      host.withAgent(now: now, into: &actions) { $0.dial(number, script: script, now: $1, into: &$2) }
    } ?? nil
  }

  func hangUpPhone(_ id: AgentCallID) {
    net.withHost(phone, as: PhoneHost.self) { host, now, actions in
      host.withAgent(now: now, into: &actions) { $0.hangUp(id, now: $1, into: &$2) }
    }
  }

  func setHold(_ id: AgentCallID, _ isHeld: Bool) {
    net.withHost(phone, as: PhoneHost.self) { host, now, actions in
      host.withAgent(now: now, into: &actions) { $0.setHold(id, isHeld, now: $1, into: &$2) }
    }
  }

  func placeCall(_ script: CallScript) -> AgentCallID? {
    net.withHost(provider, as: ProviderHost.self) { host, now, actions in
      host.withAgent(now: now, into: &actions) {
        $0.placeCall(to: Self.number, from: "+49301111", script: script, now: $1, into: &$2)
      }
    } ?? nil
  }

  /// What the phone heard in its last call.
  var phoneHeard: [Int16] {
    phoneEvents.reversed().lazy.compactMap { if case .recorded(_, let samples) = $0 { samples } else { nil } }.first
      ?? []
  }

  /// What a far end heard in its last call.
  var providerHeard: [Int16] {
    providerEvents.reversed().lazy
      .compactMap { if case .recorded(_, let samples) = $0 { samples } else { nil } }.first ?? []
  }

  var phoneEnding: CallEnding? {
    phoneEvents.reversed().lazy.compactMap { if case .ended(_, let ending) = $0 { ending } else { nil } }.first
  }

  var providerEnding: CallEnding? {
    providerEvents.reversed().lazy.compactMap { if case .ended(_, let ending) = $0 { ending } else { nil } }.first
  }

  /// Nothing of any call is left anywhere.
  var isQuiet: Bool {
    phoneHost.agent.mediaPortsInUse == 0 && providerHost.agent.mediaPortsInUse == 0
      && phoneHost.media.openSockets.isEmpty && providerHost.media.openSockets.isEmpty
      && phoneHost.agent.transactionCount == 0 && providerHost.agent.transactionCount == 0
      && phoneHost.agent.callIDs.isEmpty && providerHost.agent.callIDs.isEmpty
  }
}

extension PhoneCore {
  static let none = PhoneCore(
    profile: PhoneProfile(
      bind: endpoint("0.0.0.0:1"), registrar: endpoint("0.0.0.0:1"), domain: "none", username: "none"),
    random: RandomSource(seed: 0))
}

extension ProviderCore {
  static let none = ProviderCore(
    configuration: ProviderConfiguration(bind: endpoint("0.0.0.0:1"), domain: "none", accounts: []),
    random: RandomSource(seed: 0))
}

/// The share of the samples' power that lies at `hertz`, 0 to 1.
func share(of hertz: Double, in samples: some Collection<Int16>) -> Double {
  ToneMeter(hertz: hertz).share(in: samples)
}
