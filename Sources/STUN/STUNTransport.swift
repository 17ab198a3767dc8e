public import NetworkTypes

/// What carries STUN messages (RFC 8489 §6.2).
public enum STUNTransport: String, Sendable, Hashable, CaseIterable {
  case udp, tcp, tls

  /// As people write it.
  public var name: String { rawValue.uppercased() }
  /// Whether it repeats what was lost by itself, so that a request leaves once only.
  public var isStream: Bool { self != .udp }
  /// 3478, with TLS 5349 (RFC 8489 §18.6).
  public var defaultPort: UInt16 { self == .tls ? 5349 : 3478 }

  /// The name under which DNS has the servers of a domain (SRV, RFC 8489 §8.1): `_stun._udp.example.org`.
  public func serviceName(of domain: String) -> String {
    switch self {
    case .udp: "_stun._udp.\(domain)"
    case .tcp: "_stun._tcp.\(domain)"
    case .tls: "_stuns._tcp.\(domain)"
    }
  }
}

/// A server as a client asks it.
public struct STUNTarget: Sendable, Hashable {
  public var endpoint: Endpoint
  public var transport: STUNTransport
  /// The name that its certificate has to bear; `nil` where only its address is known, which the certificate then has to bear.
  public var domain: String?

  public init(_ endpoint: Endpoint, transport: STUNTransport = .udp, domain: String? = nil) {
    self.endpoint = endpoint
    self.transport = transport
    self.domain = domain
  }
}

extension STUNTarget: CustomStringConvertible {
  /// Name and address, for people.
  public var description: String { domain.map { "\($0.escapedForLog()) (\(endpoint))" } ?? "\(endpoint)" }
}
