public import MediaRelay
public import NATDiscovery
public import NetworkTypes
public import PortMapping

/// One UDP socket of the link: the uplinks' in the order of the configuration, then the office side's.
public struct LinkSocket: Hashable, Sendable, Comparable, Codable {
  public let rawValue: Int

  public init(_ rawValue: Int) { self.rawValue = rawValue }

  public static func < (left: LinkSocket, right: LinkSocket) -> Bool { left.rawValue < right.rawValue }
}

/// What the link asks of the shell that drives it. Results come back as inputs of ``LinkCore``.
public enum LinkAction: Sendable, Equatable {
  /// Bind a UDP socket; answered by `socketOpened` or `socketFailed`. Only a spare port's may fail.
  case openSocket(LinkSocket, Endpoint)
  case closeSocket(LinkSocket)
  case send([UInt8], LinkSocket, to: Endpoint)
  /// Take TCP connections at this endpoint, that of the socket; each that comes is told by `streamOpened`.
  case listen(LinkSocket, Endpoint)
  /// Send over a TCP connection, which may have ended.
  case sendStream([UInt8], connection: Int)
  case closeStream(connection: Int)
  case media(MediaCommand)
  /// Look up the IPv4 and IPv6 addresses of a host; answered by `nameResolved`.
  case resolve(String)
  /// Look up which servers a service has (SRV), `_stun._udp.example.org`; answered by `serviceResolved`.
  case resolveService(String)
  /// Find out which NAT stands in the way of that uplink, from spare ports of the address in the settings; a wildcard
  /// stands for this machine's address towards the servers. Answered by `natDiscovered`.
  case discoverNAT(uplink: Int, DiscoverySettings)
  /// Write down when an uplink's line is cut, for the next run; told to it by `cutsRemembered`.
  case rememberCuts(CutDiary, uplink: String)
  /// Write down where a telephone or a PBX is, for the next run; told to it by `contactsRemembered`.
  case rememberContacts([KnownContact], user: String)
  /// Something for the router of that uplink; what it says comes back by `routerTold`.
  case router(RouterAction, uplink: Int)
  /// A call was answered; `record` follows when it is over. Until then its record is one of a call that ends now, so that
  /// it is not lost with this process.
  case answered(CallRecord)
  /// A call is over.
  case record(CallRecord)
  /// Something went wrong that a person can mend.
  case verdict(Verdict)
  case log(LinkLogLevel, String)
  case measured(LinkMeasurement)
  /// ``LinkCore/status(now:)`` differs from before.
  case statusChanged
  /// An examination is over.
  case examined(DoctorReport, DoctorProgress)
  /// Every trunk is unregistered and every call ended, after `shutDown`.
  case stopped
}

public enum LinkLogLevel: String, Sendable, CaseIterable { case debug, info, notice, warning, error }

/// Which way audio goes in a call with a provider.
public enum AudioDirection: String, Sendable, CaseIterable {
  /// What we hear of the far end.
  case incoming = "in"
  /// What the far end hears of us.
  case outgoing = "out"
}

/// Something that took time, for the histograms.
public enum LinkMeasurement: Sendable, Equatable {
  /// From the first REGISTER to the 200.
  case registration(trunk: String, Duration)
  /// From the line's return with another address to the registration of every trunk.
  case recovery(uplink: String, Duration)
  /// Silence in a call at a change of address.
  case audioGap(AudioDirection, Duration)
}
