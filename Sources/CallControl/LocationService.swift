public import NetworkTypes
public import SIPSyntax
public import SIPTransaction

/// Where a registered user can be reached.
public struct ContactBinding: Sendable, Equatable, Codable {
  /// The Contact as the user agent wrote it: the request URI of calls to it.
  public var uri: SIPURI
  /// Where its REGISTER came from: calls go back the same way, whatever a NAT in between made of the address.
  public var path: SIPPath
  public var callID: String
  public var sequence: UInt32
  public var userAgent: String?
  public var expiresAt: MonotonicInstant
  public var lastSeenAt: MonotonicInstant

  public init(
    uri: SIPURI, path: SIPPath, callID: String, sequence: UInt32, userAgent: String?, expiresAt: MonotonicInstant,
    lastSeenAt: MonotonicInstant
  ) {
    self.uri = uri
    self.path = path
    self.callID = callID
    self.sequence = sequence
    self.userAgent = userAgent
    self.expiresAt = expiresAt
    self.lastSeenAt = lastSeenAt
  }
}

/// The bindings of the users who register with us (RFC 3261 §10.3). Who may register is decided before.
public struct LocationService: Sendable, Codable {
  /// More contacts than this a user has not got; the oldest makes room.
  public static let mostContacts = 8
  /// Registration lifetimes that are granted, and the one given where none is asked for.
  public static let expires: ClosedRange<Int> = 30...3600
  public static let defaultExpires = 300

  private struct User: Sendable, Codable {
    let name: String
    var bindings: [ContactBinding]
  }

  private var users: [User] = []

  public init() {}

  /// Whether the numbers of all sockets are such.
  public func usesSockets(_ isSocket: (Int) -> Bool) -> Bool {
    users.allSatisfy { $0.bindings.allSatisfy { isSocket($0.path.socket) } }
  }

  /// The live bindings of a user, the newest first.
  public func bindings(of user: String, now: MonotonicInstant) -> [ContactBinding] {
    users.first { $0.name == user }?.bindings.filter { $0.expiresAt > now } ?? []
  }

  /// Whether this user registered from here: the same socket, address and port.
  public func isRegistered(_ user: String, path: SIPPath, now: MonotonicInstant) -> Bool {
    bindings(of: user, now: now).contains { $0.path == path }
  }

  /// The first user with a live binding at this path.
  public func user(at path: SIPPath, now: MonotonicInstant) -> String? {
    users.first { $0.bindings.contains { $0.path == path && $0.expiresAt > now } }?.name
  }

  /// Bindings that the last run had, each older than what has been registered since.
  public mutating func restore(_ known: [ContactBinding], of user: String) {
    let index = index(of: user)
    for binding in known where !users[index].bindings.contains(where: { $0.uri == binding.uri }) {
      guard users[index].bindings.count < Self.mostContacts else { return }
      users[index].bindings.append(binding)
    }
  }

  private mutating func index(of user: String) -> Int {
    if let index = users.firstIndex(where: { $0.name == user }) { return index }
    users.append(User(name: user, bindings: []))
    return users.count - 1
  }

  /// When the next binding ends.
  public var nextExpiry: MonotonicInstant? { users.flatMap { $0.bindings.map(\.expiresAt) }.min() }

  /// Forgets what has ended; tells whether anything had.
  public mutating func removeExpired(now: MonotonicInstant) -> Bool {
    let before = users.reduce(0) { $0 + $1.bindings.count }
    for index in users.indices { users[index].bindings.removeAll { $0.expiresAt <= now } }
    return users.reduce(0) { $0 + $1.bindings.count } != before
  }

  /// Forgets what was registered over a connection that has ended; answers the users who had bindings there.
  public mutating func remove(path: SIPPath) -> [String] {
    var names: [String] = []
    for index in users.indices where users[index].bindings.contains(where: { $0.path == path }) {
      users[index].bindings.removeAll { $0.path == path }
      names.append(users[index].name)
    }
    return names
  }

  /// Keeps only these users' bindings: the configuration was read again.
  public mutating func retain(_ names: [String]) { users.removeAll { !names.contains($0.name) } }

  /// Carries out a REGISTER and answers it: 200 with the contacts now bound, 400 for one that cannot be read, 423 for a
  /// lifetime that is too short (RFC 3261 §10.3 steps 6–8).
  public mutating func register(
    _ request: SIPMessage, user: String, path: SIPPath, now: MonotonicInstant
  ) -> SIPMessage {
    let contacts: [NameAddress]
    let sequence: UInt32
    do {
      contacts = try request.contacts()
      sequence = try request.cSeq().number
    } catch {
      return SIPMessage(responding: request, status: 400, reason: error.reason)
    }
    let callID = request.callID ?? ""
    let index = index(of: user)
    var bindings = users[index].bindings.filter { $0.expiresAt > now }
    let header = request.expires
    if request.isContactStar {
      guard header == 0 else {
        return SIPMessage(responding: request, status: 400, reason: "Contact * needs Expires: 0")
      }
      bindings.removeAll()
    }
    for contact in contacts {
      let asked = contact.parameters["expires"].flatMap(Int.init) ?? header ?? Self.defaultExpires
      if asked > 0 && asked < Self.expires.lowerBound {
        var response = SIPMessage(responding: request, status: 423)
        response.set(.minExpires, String(Self.expires.lowerBound))
        return response
      }
      if let known = bindings.firstIndex(where: { $0.uri == contact.uri }) {
        // An older request of the same user agent that was overtaken changes nothing.
        if bindings[known].callID == callID && sequence < bindings[known].sequence { continue }
        bindings.remove(at: known)
      }
      guard asked > 0 else { continue }
      let granted = min(asked, Self.expires.upperBound)
      bindings.insert(
        ContactBinding(
          uri: contact.uri, path: path, callID: callID, sequence: sequence, userAgent: request.value(.userAgent),
          expiresAt: now + .seconds(granted), lastSeenAt: now), at: 0)
    }
    if bindings.count > Self.mostContacts { bindings.removeLast(bindings.count - Self.mostContacts) }
    users[index].bindings = bindings
    var response = SIPMessage(responding: request, status: 200)
    for binding in bindings {
      let left = (binding.expiresAt - now).nanoseconds / 1_000_000_000
      response.add(.contact, "<\(binding.uri)>;expires=\(left)")
    }
    return response
  }
}
