import CallControl
import DatagramSockets
import EmbeddedProvider
public import LinkManager
import MediaRelay
public import NetworkTypes
import STUN

/// What `trunkline run` does without a configuration: a provider and a STUN server of its own on loopback, behind a NAT router
/// of its own, a trunk there, two phone accounts with random passwords, and a built-in phone for the dashboard. `trunkline
/// demo` is the same, at addresses of its own.
public struct EmbeddedDefault: Sendable {
  /// An account to enter in a phone.
  public struct Account: Sendable, Equatable {
    public let extensionNumber: String
    public let name: String
    public let password: Redacted<String>
  }

  public let accounts: [Account]
  /// Where phones may register: loopback and the private addresses of this machine, never a public one.
  public let phoneAddresses: [IPAddress]
  let builtIn: Account
  let providerPassword: Redacted<String>
  let interfaces: [InterfaceAddress]
  public let lanPort: UInt16
  public let uplinkPort: UInt16
  public let site: LoopbackSite
  /// What the provider is besides an account of ours.
  var provider: @Sendable (inout ProviderConfiguration) -> Void = { _ in }
  /// Whether it is found out which NAT the router is.
  var discoversNAT = true
  /// Whether calls from outside ring at the built-in phone too.
  var ringsBuiltInPhone = false

  public init(
    interfaces: [InterfaceAddress], random: inout RandomSource, lanPort: UInt16 = 5060, uplinkPort: UInt16 = 65002,
    site: LoopbackSite = LoopbackSite(0)
  ) {
    self.site = site
    self.interfaces = interfaces
    self.lanPort = lanPort
    self.uplinkPort = uplinkPort
    accounts = [("10", "Reception"), ("20", "Office")].map { number, name in
      Account(extensionNumber: number, name: name, password: Redacted(random.hexDigits(12)))
    }
    builtIn = Account(extensionNumber: "99", name: "Dashboard", password: Redacted(random.hexDigits(24)))
    providerPassword = Redacted(random.hexDigits(24))
    // Link-local IPv6 addresses need a zone, which no phone can be given.
    let usable = interfaces.map(\.address).filter { address in
      address.isLoopback || (address.isPrivate && !(address.isV6 && IPNetwork("fe80::/10")!.contains(address)))
    }
    phoneAddresses = usable.filter(\.isV4) + usable.filter(\.isV6)
  }

  func configuration(stun: Endpoint, provider: Endpoint) -> LinkConfiguration {
    var configuration = LinkConfiguration()
    configuration.uplinks = [
      UplinkConfiguration(
        name: "loopback", bind: [Endpoint(site.link, port: uplinkPort)],
        stunServers: [HostPort(host: stun.address.description, port: stun.port)])
    ]
    configuration.uplinks[0].discoversNAT = discoversNAT
    configuration.lan.bind = phoneAddresses.map { Endpoint($0, port: lanPort) }
    configuration.lan.interfaces = interfaces
    configuration.phones = (accounts + [builtIn]).map {
      PhoneConfiguration(extensionNumber: $0.extensionNumber, name: $0.name, password: $0.password)
    }
    var trunk = TrunkConfiguration(
      name: "embedded", domain: "provider.example",
      registrar: HostPort(host: provider.address.description, port: provider.port), username: "trunkline",
      password: providerPassword)
    trunk.numbers = ["+49211123450"]
    configuration.trunks = [trunk]
    configuration.routing.inbound = [
      InboundRule(to: (accounts + (ringsBuiltInPhone ? [builtIn] : [])).map { .phone($0.extensionNumber) })
    ]
    configuration.routing.outbound = [OutboundRule(to: NumberPattern("*"), trunks: ["embedded"])]
    return configuration
  }
}

/// The running parts of the embedded default, on the signalling thread.
struct EmbeddedParts {
  let configuration: LinkConfiguration
  /// The loop's sockets of the STUN server, the provider and the phone.
  let sockets: [Int]
  let responder: BindingResponder
  var provider: ProviderCore
  var phone: PhoneCore
  var router: LoopbackRouter
  /// The provider's media ports that are open, with the number of the RTP port.
  var mediaPorts: [(id: MediaPortID, port: UInt16)] = []

  /// Media port numbers below belong to the link, from here on to the provider, and from twice this on to the phone.
  static let mediaNumbers: UInt32 = 1_000_000

  /// - Parameters:
  ///   - stun: where the STUN server really is, and where the provider is; the link reaches the same ports at the router.
  ///   - sockets: the loop's, of the STUN server, the provider and the phone.
  init(
    _ embedded: EmbeddedDefault, router: LoopbackRouter, stun: Endpoint, provider: Endpoint, phone: Endpoint,
    sockets: [Int]
  ) {
    self.sockets = sockets
    self.router = router
    let site = embedded.site
    let seen = Endpoint(site.provider, port: provider.port)
    configuration = embedded.configuration(stun: Endpoint(site.provider, port: stun.port), provider: seen)
    responder = BindingResponder(software: nil)
    let account = ProviderAccount(
      username: "trunkline", password: embedded.providerPassword, numbers: [NumberPattern("+49211123450")])
    var providerConfiguration = ProviderConfiguration(bind: provider, domain: "provider.example", accounts: [account])
    providerConfiguration.advertised = seen
    providerConfiguration.mediaPorts = 56000...56499
    providerConfiguration.mediaBase = Self.mediaNumbers
    providerConfiguration.quirks.connectsCustomers = true
    let now = SystemClock.now()
    providerConfiguration.clock = WallTime(nanoseconds: SystemClock.wallTime().nanoseconds &- now.nanoseconds)
    embedded.provider(&providerConfiguration)
    self.provider = ProviderCore(configuration: providerConfiguration, random: SystemRandom.source())
    var profile = PhoneProfile(
      bind: phone, registrar: Endpoint(site.link, port: embedded.lanPort), domain: configuration.lan.domain,
      username: embedded.builtIn.extensionNumber, password: embedded.builtIn.password)
    profile.mediaPorts = 56500...56999
    profile.mediaBase = 2 * Self.mediaNumbers
    self.phone = PhoneCore(profile: profile, random: SystemRandom.source())
  }

  var nextDeadline: MonotonicInstant? { [provider.nextDeadline, phone.nextDeadline].compactMap { $0 }.min() }
}
