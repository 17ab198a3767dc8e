import CallControl
public import NetworkTypes
public import SIPSyntax
import SIPTransaction

/// Where a telephone or a PBX can be reached, as it is written down for the next run.
public struct KnownContact: Sendable, Equatable, Codable {
  public var uri: SIPURI
  /// Where its REGISTER came from, over UDP.
  public var remote: Endpoint
  public var callID: String
  public var sequence: UInt32
  public var userAgent: String?
  public var expiresAt: WallTime

  public init(
    uri: SIPURI, remote: Endpoint, callID: String, sequence: UInt32, userAgent: String?, expiresAt: WallTime
  ) {
    self.uri = uri
    self.remote = remote
    self.callID = callID
    self.sequence = sequence
    self.userAgent = userAgent
    self.expiresAt = expiresAt
  }
}

/// The office's telephones do not notice that Trunkline was restarted, and register again only when their time has come, which
/// may be an hour. So where they are outlives the process.
extension LinkCore {
  /// The bindings of a user are others than before. What was registered over a connection ends with that.
  func rememberContacts(of user: String, now: MonotonicInstant, into actions: inout [LinkAction]) {
    let known = location.bindings(of: user, now: now).filter { !$0.path.isReliable }.map { binding in
      KnownContact(
        uri: binding.uri, remote: binding.path.remote, callID: binding.callID, sequence: binding.sequence,
        userAgent: binding.userAgent, expiresAt: wallTime(binding.expiresAt))
    }
    actions.append(.rememberContacts(known, user: user))
  }

  /// What the last run wrote down of a user. What has been registered since counts more, and what a clock that was set in
  /// between makes of the rest lasts no longer than a registration that is made now.
  mutating func contactsRemembered(
    _ known: [KnownContact], user: String, now: MonotonicInstant, into actions: inout [LinkAction]
  ) {
    guard station(user: user) != nil else { return }
    let wall = wallTime(now)
    let bindings = known.prefix(LocationService.mostContacts).compactMap { contact -> ContactBinding? in
      guard contact.expiresAt > wall, isServed(contact.remote.address),
        let socket = lanSocket(towards: contact.remote.address)
      else { return nil }
      let left = min(
        Duration.nanoseconds(contact.expiresAt.nanoseconds &- wall.nanoseconds),
        .seconds(LocationService.expires.upperBound))
      return ContactBinding(
        uri: contact.uri, path: SIPPath(socket: socket.rawValue, remote: contact.remote), callID: contact.callID,
        sequence: contact.sequence, userAgent: contact.userAgent, expiresAt: now + left, lastSeenAt: now)
    }
    guard !bindings.isEmpty else { return }
    location.restore(bindings, of: user)
    actions.append(.log(.info, "phone \(user) is where it was before the restart"))
    actions.append(.statusChanged)
  }
}
