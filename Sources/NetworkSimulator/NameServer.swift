public import NetworkTypes

/// The name server that every node asks.
public struct NameServer: Sendable {
  struct Row: Sendable {
    let name: String
    var addresses: [IPAddress]
  }

  /// From question to answer.
  public var delay: Duration = .milliseconds(20)
  /// How long a resolver waits for an answer that does not come; it then reports that there is none.
  public var patience: Duration = .seconds(5)
  /// The share of questions that nobody answers, 0 to 1.
  public var failures: Double = 0
  /// Answers nobody at all.
  public var isDead = false
  /// Where it stands; given that, a node must have a way there (lines up, routers on) to be answered.
  public var address: IPAddress?
  private var rows: [Row] = []
  private var services: [(name: String, records: [ServiceRecord])] = []

  public init() {}

  /// Adds or replaces a name; an empty list removes it. Names compare without regard to case.
  public mutating func set(_ name: String, _ addresses: [IPAddress]) {
    let name = name.lowercased()
    rows.removeAll { $0.name == name }
    if !addresses.isEmpty { rows.append(Row(name: name, addresses: addresses)) }
  }

  /// Adds or replaces the rows of a service (SRV), `_stun._udp.example.org`; an empty list removes it.
  public mutating func setService(_ name: String, _ records: [ServiceRecord]) {
    let name = name.lowercased()
    services.removeAll { $0.name == name }
    if !records.isEmpty { services.append((name, records)) }
  }

  func records(of service: String) -> [ServiceRecord] {
    let name = service.lowercased()
    return services.first { $0.name == name }?.records ?? []
  }

  /// The addresses of a name. One written as an address is its own answer.
  func addresses(of name: String) -> [IPAddress] {
    if let address = IPAddress(name) { return [address] }
    let name = name.lowercased()
    return rows.first { $0.name == name }?.addresses ?? []
  }
}
