public import NetworkTypes

/// What the client asks of the shell.
public enum RouterAction: Sendable, Hashable {
  /// Look up the router by which this uplink reaches the internet, and our address towards it; answered by `found`. Whoever
  /// does so also listens to 224.0.0.1:5350 there (RFC 6886 §3.2.1, RFC 6887 §14.1).
  case findRouter
  /// To the router's port 5351.
  case send([UInt8], to: Endpoint)
  /// Answered by `answered` with the same number.
  case ask(UInt64, UPnPRequest)
  /// Write these down, in place of what was written before, so that the next process finds them.
  case keep([KeptLease])
}

/// What the shell tells the client.
public enum RouterEvent: Sendable, Hashable, Codable {
  /// The router, and our own address towards it; both `nil` where there is no way to the internet.
  case found(router: IPAddress?, local: IPAddress?)
  /// A datagram from port 5351 of anybody, sent to us or to the group.
  case received([UInt8], from: Endpoint)
  case answered(UInt64, UPnPResult)
  /// The UPnP gateway that was subscribed to says that something of its connection has changed.
  case notified
  /// What an earlier process wrote down.
  case kept([KeptLease])
}

/// What the client finds out.
public enum MappingNews: Sendable, Hashable {
  /// The lease with this number is at another external endpoint, or at none.
  case leaseChanged(Int)
  /// The public address may have changed, by what the router said of itself: look at once.
  case addressSuspected
  /// Something is wrong with the router; said once for each time that it begins.
  case finding(RouterFinding)
  /// Every lease is given back.
  case stopped
}

/// What is wrong with a router that was asked for mappings.
public enum RouterFinding: Sendable, Hashable, Codable {
  /// Neither PCP nor NAT-PMP nor UPnP.
  case speaksNothing
  /// It refuses; the code is that of the protocol.
  case refuses(MappingProtocol, code: Int)
  /// Its own external address is private or shared: another NAT stands behind it.
  case privateAddress(IPAddress)
  /// It tells another address than the one that the world sees.
  case otherAddress(told: IPAddress, seen: IPAddress)
  /// It said that the port is mapped, and it is not.
  case mapsNothing(MappingProtocol, port: UInt16)
  /// It does not take our address for ours (PCP's ADDRESS_MISMATCH): a NAT stands between us and it.
  case stranger
}

extension RouterFinding {
  /// Whether a port that the router maps is of no use, as long as this holds.
  func discredits(port: UInt16) -> Bool {
    switch self {
    case .privateAddress, .otherAddress: true
    // The table of UPnP shows each port; who lies by another protocol about one lies about all.
    case .mapsNothing(let spoken, let other): spoken != .upnp || other == port
    case .speaksNothing, .refuses, .stranger: false
    }
  }
}
