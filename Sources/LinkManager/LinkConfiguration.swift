public import CallControl
public import NetworkTypes
public import PortMapping
import SIPTransaction

/// Everything a link needs to know, as typed values: what `trunkline.yaml` says after it was read and checked.
public struct LinkConfiguration: Sendable, Equatable, Codable {
  public var uplinks: [UplinkConfiguration] = []
  public var lan = LANConfiguration()
  public var phones: [PhoneConfiguration] = []
  public var pbxs: [PBXConfiguration] = []
  public var trunks: [TrunkConfiguration] = []
  public var routing = RoutingPlan()
  public var media = MediaConfiguration()
  public var limits = LimitsConfiguration()

  public init() {}
}

extension LinkConfiguration {
  /// Gives each trunk the instance that it has for as long as the machine is the same, and the account.
  ///
  /// - Parameter machine: made at random once, and kept. Nobody who sees an instance can tell it, or which instances belong
  ///   to one machine.
  public mutating func nameInstances(ofMachine machine: String) {
    for index in trunks.indices {
      let trunk = trunks[index]
      trunks[index].instance = InstanceName.uuid(
        of: ["trunkline", machine, trunk.name, "\(trunk.username)@\(trunk.domain)"])
    }
  }
}

/// One way to the internet.
public struct UplinkConfiguration: Sendable, Equatable, Codable {
  public var name: String
  /// Where STUN and SIP towards the providers leave from; one per address family.
  public var bind: [Endpoint]
  public var stunServers: [HostPort]
  /// Used instead of the port of `bind` while a router holds dead state for that one; `nil` for none.
  public var sparePort: UInt16?
  /// The longest silence on a port before a keepalive leaves it, 1 s to 10 s.
  public var keepalive: Duration = .seconds(10)
  /// A fixed public address: nothing is discovered then, keepalives still leave.
  public var publicAddress: IPAddress?
  /// What is done so that the world reaches the uplink's ports.
  public var incoming = IncomingWay.auto
  /// Whether it is found out which NAT stands in the way, from spare ports beside `bind`.
  public var discoversNAT = true
  /// Whether the lifetime of a binding is measured too, some minutes after the start.
  public var measuresLifetime = true

  public init(name: String, bind: [Endpoint], stunServers: [HostPort]) {
    self.name = name
    self.bind = bind
    self.stunServers = stunServers
  }
}

/// How the world reaches the ports of an uplink, beside what keepalives keep open.
public enum IncomingWay: Sendable, Equatable, Codable {
  /// The router is asked for mappings only where the NAT leaves no other way.
  case auto
  /// Nobody is asked.
  case off
  /// The router is asked for mappings, by this protocol alone.
  case mapped(MappingProtocol)
  /// Somebody set up a port forward to the SIP port: this external port.
  case forwarded(UInt16)
}

/// A host as written, a name or an address, and a port where one was given.
public struct HostPort: Sendable, Hashable, Codable, CustomStringConvertible {
  public var host: String
  public var port: UInt16?

  public init(host: String, port: UInt16? = nil) {
    self.host = host
    self.port = port
  }

  /// The address, where the host is written as one.
  public var address: IPAddress? { IPAddress(host) }

  public var description: String {
    let shown = address?.isV6 == true ? "[\(host)]" : host
    return port.map { "\(shown):\($0)" } ?? shown
  }
}

/// The office side.
public struct LANConfiguration: Sendable, Equatable, Codable {
  public var bind: [Endpoint] = [Endpoint(.anyV4, port: 5060)]
  /// Networks that are served; empty stands for private and on-link ones.
  public var allow: [IPNetwork] = []
  /// The realm of our challenges and the host of our phones' addresses.
  public var domain = "trunkline"
  /// The addresses of this host, as the shell found them: what phones are told in Contact and SDP, and which networks are
  /// on-link.
  public var interfaces: [InterfaceAddress] = []

  public init() {}
}

/// An address of this host and the length of its network's prefix.
public struct InterfaceAddress: Sendable, Hashable, Codable {
  public var address: IPAddress
  public var prefixLength: Int

  public init(_ address: IPAddress, prefixLength: Int) {
    self.address = address
    self.prefixLength = prefixLength
  }

  /// The network that is reached through it without a router.
  public var network: IPNetwork? { IPNetwork(address, prefixLength: prefixLength) }
}

/// A telephone that registers with us, or is known by its address.
public struct PhoneConfiguration: Sendable, Equatable, Codable {
  public var extensionNumber: String
  public var name: String
  public var password: Redacted<String>?
  /// A phone that does not register: trusted by this address.
  public var address: Endpoint?
  public var callerNumber: String?

  public init(
    extensionNumber: String, name: String, password: Redacted<String>? = nil, address: Endpoint? = nil,
    callerNumber: String? = nil
  ) {
    self.extensionNumber = extensionNumber
    self.name = name
    self.password = password
    self.address = address
    self.callerNumber = callerNumber
  }
}

/// A PBX, known by address or by registration.
public struct PBXConfiguration: Sendable, Equatable, Codable {
  public var name: String
  public var address: Endpoint?
  public var username: String?
  public var password: Redacted<String>?

  public init(name: String, address: Endpoint? = nil, username: String? = nil, password: Redacted<String>? = nil) {
    self.name = name
    self.address = address
    self.username = username
    self.password = password
  }
}

/// An account at a provider.
public struct TrunkConfiguration: Sendable, Equatable, Codable {
  public var name: String
  /// Names of uplinks, the first usable one is taken; empty stands for all of them in order; `lan` for the office side.
  public var uplinks: [String] = []
  /// The host of our address of record.
  public var domain: String
  /// Where REGISTER and INVITE go; `outboundProxy` goes before it.
  public var registrar: HostPort
  public var outboundProxy: HostPort?
  /// The only realm that our password is used for, where one is given.
  public var realm: String?
  public var username: String
  public var authUsername: String?
  public var password: Redacted<String>?
  /// Whether we register; without it the provider knows us by address.
  public var register = true
  public var expires: Duration = .seconds(300)
  public var numbers: [String] = []
  public var maxCalls: Int?
  public var enabled = true
  /// The UUID by which the registrar knows this machine again after a restart (RFC 5626 §4.1); `nil` for one that is made at
  /// random. No file says it: ``LinkConfiguration/nameInstances(ofMachine:)`` does.
  public var instance: String?

  public init(name: String, domain: String, registrar: HostPort, username: String, password: Redacted<String>? = nil) {
    self.name = name
    self.domain = domain
    self.registrar = registrar
    self.username = username
    self.password = password
  }
}

/// Where media ports are taken from.
public struct MediaConfiguration: Sendable, Equatable, Codable {
  public var ports: ClosedRange<UInt16> = 55000...55999

  public init() {}
}

public struct LimitsConfiguration: Sendable, Equatable, Codable {
  /// New calls a second; further ones get 503 with Retry-After.
  public var callsPerSecond = 20
  public var maxCalls = 200

  public init() {}
}
