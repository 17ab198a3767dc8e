public import NetworkTypes

/// One mapping at a router: asked for, held, renewed at half its life, given back. It knows no protocol: what a request looks
/// like and how often it is repeated is ``MappingClient``'s.
public struct PortLease: Sendable, Codable {
  public enum State: Sendable, Hashable, Codable {
    /// Nobody was asked yet.
    case wanted
    /// Asked, and not answered yet; what was held before (`external`) may be gone.
    case requested
    case held
    /// Held, and asked for again.
    case renewing
    /// The router does not give it; asked for again later.
    case refused
    /// Given back, and not confirmed yet.
    case removing
    case gone
  }

  /// What the lease wants done.
  public enum Action: Sendable, Hashable {
    /// Ask, or ask again; the first time at once, repeated as the protocol has it.
    case request
    case delete
  }

  public let id: Int
  public let wish: MappingWish
  public private(set) var state = State.wanted
  /// The one that asked, or holds, it.
  public internal(set) var `protocol`: MappingProtocol?
  @Limbs public internal(set) var nonce: UInt128
  /// The external port that UPnP mapped to this one for a process that was killed.
  var inherited: UInt16?
  /// The external port that is suggested next.
  public internal(set) var suggested: UInt16
  /// The port that the router gave.
  public private(set) var externalPort: UInt16?
  /// The address that the router gave with it (PCP); others tell it once for all.
  public private(set) var externalAddress: IPAddress?
  /// Where the router only gives mappings that do not end.
  public private(set) var isPermanent = false
  /// It was asked for without an end, since the router knows no other (UPnP's error 725).
  public private(set) var isAskedForEver = false
  /// The router's own table showed it since it was given.
  public internal(set) var isVerified = false
  /// Requests of the present attempt that were sent.
  public private(set) var sent = 0
  /// Ports that were tried and are taken.
  private var conflicts = 0
  /// Times that it was to be given back, and nobody answered.
  private var vainDeletions = 0
  private var expiresAt: MonotonicInstant?
  public private(set) var nextDeadline: MonotonicInstant?

  /// RFC 6887 §11.2.1: no two renewals closer than this.
  private static let shortestWait = Duration.seconds(4)
  /// What a router that grants less than this is taken to have meant; a lease of a second would be asked for all day.
  static let shortestLifetime: UInt32 = 2
  /// RFC 6887 §15: longer ones are not believed.
  static let longestLifetime: UInt32 = 86_400
  /// How often a permanent mapping is looked at.
  private static let permanentCheck = Duration.seconds(1200)
  private static let mostConflicts = 16
  private static let mostDeletions = 3
  private static let mostVainDeletions = 12

  public init(id: Int, wish: MappingWish, nonce: UInt128) {
    self.id = id
    self.wish = wish
    self.nonce = nonce
    suggested = wish.preferredPort
  }

  /// A mapping that an earlier process left; it is to be removed.
  init(id: Int, leftover kept: KeptLease, transport: MappedTransport) {
    self.init(
      id: id,
      wish: MappingWish(
        transport: transport, internalPort: kept.internalPort, preferredPort: kept.externalPort), nonce: kept.nonce)
    `protocol` = kept.protocol
    externalPort = kept.externalPort
    state = .removing
  }

  /// Whether the router is to hold it, as far as we know.
  public var isHeld: Bool { state == .held || state == .renewing || (state == .requested && externalPort != nil) }

  /// Whether an answer is awaited.
  public var isPending: Bool { state == .requested || state == .renewing || state == .removing }

  // MARK: Inputs

  /// The router can be asked, or has lost what it held.
  public mutating func asked(_ now: MonotonicInstant, into actions: inout [Action]) {
    let next: State
    let action: Action?
    switch state {
    case .wanted, .refused: (next, action) = (.requested, .request)
    case .held, .renewing, .requested: (next, action) = (.requested, .request)
    case .removing: (next, action) = (.removing, .delete)
    case .gone: (next, action) = (.gone, nil)
    }
    begin(next)
    if let action { actions.append(action) }
  }

  /// A request of the present attempt left; the answer is waited for until `deadline`.
  public mutating func requestSent(until deadline: MonotonicInstant?) {
    sent += 1
    nextDeadline = deadline
    // What is held ends when it ends, whether the answer is still waited for or not.
    if let expiresAt, let deadline, isHeld, !isPermanent { nextDeadline = min(deadline, expiresAt) }
  }

  /// Nobody could be asked; it is tried again then.
  public mutating func postponed(until deadline: MonotonicInstant) { nextDeadline = deadline }

  /// The router holds the mapping for `lifetime` seconds from now on; 0: for ever. Answers whether another port or address
  /// than before came of it.
  public mutating func granted(
    port: UInt16, address: IPAddress?, lifetime: UInt32, now: MonotonicInstant, random: inout RandomSource
  ) -> Bool {
    guard state == .requested || state == .renewing else { return false }
    let isNew = port != externalPort || address != externalAddress || state == .requested
    (externalPort, externalAddress, suggested) = (port, address, port)
    conflicts = 0
    isPermanent = lifetime == 0
    begin(.held)
    if isPermanent {
      expiresAt = nil
      nextDeadline = now + Self.permanentCheck
    } else {
      let seconds = min(max(lifetime, Self.shortestLifetime), Self.longestLifetime)
      expiresAt = now + .seconds(Int64(seconds))
      // RFC 6887 §11.2.1: between a half and five eighths, so that many leases are not renewed at once.
      let milliseconds = Int64(seconds) * 1000
      let spread = Int64.random(in: 0...milliseconds / 8, using: &random)
      nextDeadline = now + .milliseconds(milliseconds / 2 + spread)
    }
    return isNew
  }

  /// The router refused; it may be asked again after a while. What was held is not any more.
  public mutating func refused(for time: Duration, now: MonotonicInstant) {
    guard state != .removing, state != .gone else { return }
    begin(.refused)
    forget()
    nextDeadline = now + min(max(time, .seconds(30)), .seconds(1800))
  }

  /// The router gives no other than permanent mappings.
  public mutating func becomesPermanent() { isAskedForEver = true }

  /// Somebody else has the external port: another one is asked for.
  public mutating func conflicted(random: inout RandomSource, now: MonotonicInstant, into actions: inout [Action]) {
    guard state == .requested || state == .renewing else { return }
    if wish.remote != nil {
      // The flow has an address and port already (RFC 6887 §12.3), which the router says when none is suggested.
      let isSuggested = suggested > 0 || externalAddress != nil
      forget()
      suggested = 0
      guard isSuggested else { return refused(for: .seconds(300), now: now) }
      begin(.requested)
      return actions.append(.request)
    }
    conflicts += 1
    guard conflicts <= Self.mostConflicts else {
      conflicts = 0
      suggested = wish.preferredPort
      return refused(for: .seconds(300), now: now)
    }
    forget()
    // The neighbours first, which a person recognises; then anything that nobody else is likely to have.
    suggested =
      conflicts <= 4
      ? wish.preferredPort &+ UInt16(conflicts * 2) : UInt16.random(in: 49_152...65_534, using: &random) & ~1
    if suggested < 1024 { suggested = 49_152 }
    begin(.requested)
    actions.append(.request)
  }

  /// The lease is not wanted any more.
  public mutating func released(into actions: inout [Action]) {
    switch state {
    case .wanted, .refused, .gone:
      begin(.gone)
      forget()
    case .removing: return
    case .requested, .held, .renewing:
      // One that was asked for may have been given, by an answer that is still on its way.
      begin(.removing)
      actions.append(.delete)
    }
  }

  /// The router confirmed that the mapping is gone, or does not know it.
  public mutating func deleted() {
    guard state == .removing else { return }
    begin(.gone)
    forget()
  }

  /// The deadline has come.
  public mutating func timerFired(now: MonotonicInstant, into actions: inout [Action]) {
    guard let deadline = nextDeadline, deadline <= now else { return }
    self.nextDeadline = nil
    if let expiresAt, expiresAt <= now, isHeld, !isPermanent {
      forget()
      begin(.requested)
      actions.append(.request)
      return
    }
    switch state {
    case .wanted, .gone: return
    case .held:
      begin(.renewing)
      actions.append(.request)
    case .refused:
      begin(.requested)
      actions.append(.request)
    case .requested, .renewing: actions.append(.request)
    case .removing:
      guard sent >= Self.mostDeletions else { return actions.append(.delete) }
      // The router does not answer; what it holds is a hole in it until its time is over.
      vainDeletions += 1
      if vainDeletions >= Self.mostVainDeletions { return deleted() }
      sent = 0
      nextDeadline = now + .seconds(300)
    }
  }

  /// The present attempt is over without an answer; the next one begins after a while.
  public mutating func unanswered(retry: Duration, now: MonotonicInstant) {
    sent = 0
    nextDeadline = now + retry
    if let expiresAt, isHeld, !isPermanent { nextDeadline = min(now + max(retry, Self.shortestWait), expiresAt) }
  }

  /// It has to be asked for by another protocol, or at another router: what was held there is left to end there.
  public mutating func moved() {
    guard state != .removing, state != .gone else { return }
    forget()
    suggested = wish.preferredPort
    isAskedForEver = false
    conflicts = 0
    begin(.wanted)
  }

  private mutating func begin(_ next: State) {
    if next != state || next == .requested { sent = 0 }
    state = next
    nextDeadline = nil
  }

  private mutating func forget() {
    externalPort = nil
    externalAddress = nil
    isPermanent = false
    isVerified = false
    expiresAt = nil
  }
}
