import NetworkTypes
import STUN

/// Whether a port that a router says it maps does lead to us, by a STUN server of RFC 5780: it is asked to answer to that
/// port, and the answer comes or does not.
///
/// Routers that say yes and map nothing are not rare, and PCP and NAT-PMP have no way to look. A server that does not know
/// RESPONSE-PORT proves nothing: before an answer that stays away counts, the server has to answer to the port that we
/// asked from, when that is named.
struct PortProof: Sendable, Codable {
  enum Step: Sendable, Equatable, Codable {
    /// Whether the server is one of RFC 5780, and by which port it sees us.
    case asked
    /// An answer to that very port is asked for.
    case control(UInt16)
    /// An answer to the mapped port is asked for.
    case probed
  }

  let external: Endpoint
  let server: Endpoint
  var step = Step.asked
  @Limbs var transactionID: UInt128 = 0
  var sent = 0
  var deadline: MonotonicInstant

  /// The port that is named in RESPONSE-PORT.
  var responsePort: UInt16? {
    switch step {
    case .asked: nil
    case .control(let port): port
    case .probed: external.port
    }
  }
}

extension LinkCore {
  private static let proofTries = 4
  private static let proofPause = Duration.milliseconds(500)
  private static let proofDelay = Duration.seconds(1)
  /// How long a port that leads nowhere is left in peace before it is tried again.
  private static let proofAgain = Duration.seconds(600)

  /// A mapping of the SIP port is there: it is tried in a moment.
  mutating func beginProof(_ uplink: Int, _ external: Endpoint, now: MonotonicInstant) {
    guard let router = uplinks[uplink].router, let server = sockets[router.socket.rawValue].stun?.currentServer,
      server.address.isV4
    else { return }
    uplinks[uplink].router?.proof = PortProof(external: external, server: server, deadline: now + Self.proofDelay)
  }

  /// The public address is known, or is another one: where somebody set up a port forward, it is tried.
  mutating func forwardMoved(_ uplink: Int, _ seen: Endpoint, now: MonotonicInstant) {
    guard case .forwarded(let port) = uplinks[uplink].configuration.incoming, seen.address.isV4 else { return }
    // An answer to the port that STUN sees comes by our own mapping, whatever is forwarded.
    guard port != seen.port else { return }
    beginProof(uplink, Endpoint(seen.address, port: port), now: now)
  }

  mutating func proofDue(_ uplink: Int, now: MonotonicInstant, into actions: inout [LinkAction]) {
    guard let router = uplinks[uplink].router, var proof = router.proof, proof.deadline <= now else { return }
    let socket = router.socket
    // A line that is down shows nothing, and a server that is silent neither.
    if let stun = sockets[socket.rawValue].stun, stun.lostSince != nil || stun.isSilent {
      uplinks[uplink].router?.proof?.deadline = now + .seconds(5)
      uplinks[uplink].router?.proof?.step = .asked
      uplinks[uplink].router?.proof?.sent = 0
      return
    }
    guard proof.sent < Self.proofTries else {
      guard proof.step == .probed else {
        uplinks[uplink].router?.proof = nil
        return
      }
      proof.step = .asked
      proof.sent = 0
      proof.deadline = now + Self.proofAgain
      uplinks[uplink].router?.proof = proof
      return portProven(uplink, reached: false, now: now, into: &actions)
    }
    proof.transactionID = STUNMessage.randomTransactionID(&random)
    proof.sent += 1
    proof.deadline = now + Self.proofPause
    uplinks[uplink].router?.proof = proof
    let message = STUNMessage(
      messageClass: .request, method: .binding, transactionID: proof.transactionID,
      attributes: proof.responsePort.map { [.responsePort($0)] } ?? [])
    sockets[socket.rawValue].stun?.otherPacketSent(now: now)
    actions.append(.send(message.encoded(), socket, to: proof.server))
  }

  /// A STUN message that nobody else asked for: whether it is an answer to a proof.
  mutating func proofReceived(
    _ message: STUNMessage, from source: Endpoint, _ socket: LinkSocket, uplink: Int, now: MonotonicInstant,
    into actions: inout [LinkAction]
  ) -> Bool {
    guard let router = uplinks[uplink].router, router.socket == socket, let proof = router.proof, proof.sent > 0,
      message.transactionID == proof.transactionID, source.address == proof.server.address
    else { return false }
    let next: PortProof.Step?
    switch (proof.step, message.messageClass) {
    case (.asked, .success):
      // Without another address it is no server of RFC 5780.
      next = message.otherAddress == nil ? nil : message.mappedAddress.map { .control($0.port) }
    case (.control, .success): next = .probed
    case (.probed, .success):
      uplinks[uplink].router?.proof = nil
      portProven(uplink, reached: true, now: now, into: &actions)
      return true
    // It does not know RESPONSE-PORT (420), or will not.
    default: next = nil
    }
    guard let next else {
      uplinks[uplink].router?.proof = nil
      return true
    }
    uplinks[uplink].router?.proof?.step = next
    uplinks[uplink].router?.proof?.sent = 0
    uplinks[uplink].router?.proof?.deadline = now
    return true
  }
}
