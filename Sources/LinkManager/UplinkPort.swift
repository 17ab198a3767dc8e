package import NetworkTypes
package import STUN

/// The STUN side of one uplink socket: it keeps the NAT's binding for the SIP port alive and watches the public address.
///
/// A Binding request leaves the port when nothing but keepalives left it for `keepalive`. When one goes unanswered, or SIP
/// does, the port is *suspect*: it probes every 250 ms for a minute and every second after that, server after server,
/// until an answer comes. The first address found is believed; a different one is believed when a second answer agrees.
package struct UplinkPort: Sendable {
  package enum Action: Sendable, Equatable {
    case send([UInt8], to: Endpoint)
    /// The public endpoint is now this; `before` is `nil` for the first one.
    case mapped(Endpoint, before: Endpoint?)
    /// No server answered for ``patience``; said once until one answers again.
    case serversSilent
    /// A server answered after they were silent.
    case serversBack
    /// Something went unanswered since `lost`; the first answer came at `back`, and the address is confirmed. Where it is
    /// another one, ``mapped(_:before:)`` was said before.
    case lineReturned(lost: MonotonicInstant, back: MonotonicInstant)
  }

  private enum Timer: Hashable, Sendable { case keepalive, probe, firstServer }

  private struct Outstanding: Sendable {
    let transactionID: UInt128
    let server: Endpoint
    let sentAt: MonotonicInstant
  }

  /// How long a server may be silent before the next one is asked.
  package static let patience = Duration.seconds(3)
  private static let answerTime = Duration.milliseconds(500)
  private static let fastProbe = Duration.milliseconds(250)
  private static let slowProbe = Duration.seconds(1)
  private static let fastProbing = Duration.seconds(60)
  private static let firstServerRetry = Duration.seconds(30)
  /// How long an answer of a provider shows that the line is up.
  private static let proofLasts = Duration.seconds(60)

  /// The longest silence; ``setKeepalive(_:now:)`` changes it.
  package private(set) var keepalive: Duration
  package private(set) var mapping: Endpoint?
  package private(set) var sent: UInt64 = 0
  package private(set) var answered: UInt64 = 0
  /// Whether no server has answered for so long that the link goes on without.
  package private(set) var isSilent = false
  private var servers: [Endpoint] = []
  private var current = 0
  private var candidate: Endpoint?
  private var outstanding: [Outstanding] = []
  private var suspectSince: MonotonicInstant?
  private var serverSince: MonotonicInstant?
  private var provenAt: MonotonicInstant?
  /// Since when nothing has been answered; `nil` while the line is up, as far as is known.
  package private(set) var lostSince: MonotonicInstant?
  /// When the first answer after that came, whose address is not confirmed yet.
  private var backAt: MonotonicInstant?
  private var timers = TimerTable<Timer>()

  package init(keepalive: Duration) { self.keepalive = keepalive }

  package var nextDeadline: MonotonicInstant? { timers.nextDeadline }

  /// The server that is asked now.
  package var currentServer: Endpoint? { servers.isEmpty || isSilent ? nil : servers[current] }

  /// The servers, in the order of preference; the first request leaves at once.
  package mutating func serversChanged(
    _ new: [Endpoint], now: MonotonicInstant, random: inout RandomSource, into actions: inout [Action]
  ) {
    guard new != servers else { return }
    servers = new
    current = 0
    serverSince = now
    guard !new.isEmpty else {
      timers.cancel(.keepalive)
      timers.cancel(.probe)
      return
    }
    request(now: now, random: &random, into: &actions)
  }

  /// The NAT forgets sooner than was thought, or later.
  package mutating func setKeepalive(_ new: Duration, now: MonotonicInstant) {
    guard new != keepalive else { return }
    keepalive = new
    guard let next = timers.deadline(of: .keepalive) else { return }
    // What left last left at the old pace: the port shall not be silent for both.
    timers.set(.keepalive, at: min(next, now + interval))
  }

  /// A packet that is no keepalive left the port: the NAT has been reminded.
  package mutating func otherPacketSent(now: MonotonicInstant) {
    guard !servers.isEmpty else { return }
    timers.set(.keepalive, at: now + interval)
  }

  /// SIP or RTP of this uplink went unanswered: look at once.
  package mutating func suspected(now: MonotonicInstant, random: inout RandomSource, into actions: inout [Action]) {
    guard suspectSince == nil, !servers.isEmpty else { return }
    suspectSince = now
    // What proved the line is older than what puts it in doubt.
    provenAt = nil
    serverSince = now
    request(now: now, random: &random, into: &actions)
  }

  /// A provider answered: the line is up, whatever the STUN servers do.
  package mutating func lineProven(now: MonotonicInstant, into actions: inout [Action]) {
    provenAt = now
    lineSettled(now: now, into: &actions)
  }

  private mutating func lineSettled(now: MonotonicInstant, into actions: inout [Action]) {
    if let lostSince { actions.append(.lineReturned(lost: lostSince, back: backAt ?? now)) }
    lostSince = nil
    backAt = nil
  }

  /// The address that a provider saw our packets come from (`received`, `rport`), for when no STUN server tells.
  package mutating func observed(_ endpoint: Endpoint, into actions: inout [Action]) {
    guard isSilent || servers.isEmpty, endpoint != mapping else { return }
    let before = mapping
    mapping = endpoint
    actions.append(.mapped(endpoint, before: before))
  }

  /// A STUN answer came in on this port. It counts from the server that was asked and with the ID that was sent, once.
  package mutating func answerReceived(
    _ message: STUNMessage, from: Endpoint, now: MonotonicInstant, random: inout RandomSource,
    into actions: inout [Action]
  ) -> Bool {
    guard
      let index = outstanding.firstIndex(where: { $0.transactionID == message.transactionID && $0.server == from })
    else { return false }
    outstanding.remove(at: index)
    guard message.messageClass == .success, let seen = message.mappedAddress else { return true }
    // Older requests were answered later than this one, or never: their answers tell the past.
    outstanding.removeSubrange(..<index)
    answered += 1
    if isSilent { actions.append(.serversBack) }
    isSilent = false
    suspectSince = nil
    serverSince = now
    timers.cancel(.probe)
    timers.set(.keepalive, at: now + interval)
    if lostSince != nil { backAt = backAt ?? now }
    if seen == mapping {
      candidate = nil
      lineSettled(now: now, into: &actions)
    } else if mapping == nil || candidate == seen {
      let before = mapping
      mapping = seen
      candidate = nil
      actions.append(.mapped(seen, before: before))
      lineSettled(now: now, into: &actions)
    } else {
      candidate = seen
      request(now: now, random: &random, into: &actions)
    }
    return true
  }

  package mutating func timerFired(now: MonotonicInstant, random: inout RandomSource, into actions: inout [Action]) {
    while let timer = timers.popDue(now: now) {
      switch timer {
      case .keepalive: request(now: now, random: &random, into: &actions)
      case .probe: unanswered(now: now, random: &random, into: &actions)
      case .firstServer:
        guard current != 0 else { continue }
        // The first server is asked beside the current one; its answer makes it current again.
        if suspectSince == nil, !servers.isEmpty { send(to: servers[0], now: now, random: &random, into: &actions) }
        current = 0
        serverSince = now
        timers.set(.probe, at: now + Self.answerTime)
      }
    }
  }

  /// Keepalives leave a little early, so that a late wake-up does not make the silence longer than was promised.
  private var interval: Duration { keepalive - min(keepalive / 20, .milliseconds(500)) }

  private mutating func unanswered(now: MonotonicInstant, random: inout RandomSource, into actions: inout [Action]) {
    if isSilent, let provenAt, now - provenAt < Self.proofLasts {
      // The line is up and only the servers are dead: the next one is asked with the next keepalive.
      suspectSince = nil
      current = (current + 1) % servers.count
      return
    }
    if suspectSince == nil { suspectSince = now }
    if lostSince == nil { lostSince = suspectSince }
    backAt = nil
    if let serverSince, now - serverSince >= Self.patience {
      current += 1
      self.serverSince = now
      if current == servers.count {
        current = 0
        if !isSilent {
          isSilent = true
          actions.append(.serversSilent)
        }
      } else if !timers.isSet(.firstServer) {
        timers.set(.firstServer, at: now + Self.firstServerRetry)
      }
    }
    request(now: now, random: &random, into: &actions)
  }

  private mutating func request(now: MonotonicInstant, random: inout RandomSource, into actions: inout [Action]) {
    guard !servers.isEmpty else { return }
    if suspectSince == nil { serverSince = now }
    send(to: servers[current], now: now, random: &random, into: &actions)
    timers.set(.keepalive, at: now + interval)
    let wait =
      suspectSince.map { now - $0 < Self.fastProbing ? Self.fastProbe : Self.slowProbe } ?? Self.answerTime
    timers.set(.probe, at: now + wait)
  }

  private mutating func send(
    to server: Endpoint, now: MonotonicInstant, random: inout RandomSource, into actions: inout [Action]
  ) {
    let message = STUNMessage(
      messageClass: .request, method: .binding, transactionID: STUNMessage.randomTransactionID(&random))
    outstanding.append(Outstanding(transactionID: message.transactionID, server: server, sentAt: now))
    if outstanding.count > 32 { outstanding.removeFirst() }
    sent += 1
    actions.append(.send(message.encoded(), to: server))
  }
}
