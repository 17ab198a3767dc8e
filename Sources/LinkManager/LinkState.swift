import CallControl
import MediaRelay
import NetworkTypes
import SDP
import SIPDialog
import SIPSyntax
import SIPTransaction

/// Which side of the link a socket is on.
enum LinkSide: Sendable, Equatable, Codable {
  /// The index of the uplink in the configuration.
  case uplink(Int)
  case lan
}

/// One UDP socket of the link.
struct SocketState: Sendable, Codable {
  let id: LinkSocket
  let side: LinkSide
  let configured: Endpoint
  /// Where it was bound in fact; `nil` until then.
  var local: Endpoint?
  /// The STUN side, on uplinks.
  var stun: UplinkPort?
  /// The port that this one stands in for, or that has others to stand in for it: its own number then.
  var first: LinkSocket?
  /// It is used only while the router holds dead state for the first.
  var isSpare = false
  /// It has another port each time that it is opened.
  var isEphemeral = false
  /// Whether SIP leaves by it: one of those with the same `first`.
  var isInUse = true
  /// When a provider was heard on it last.
  var heardAt: MonotonicInstant?
  /// Since when nothing leaves it, where it was used before.
  var restsSince: MonotonicInstant?
  /// It only asks whether a fresh port is answered.
  var isProber = false
  /// When fresh ports asked the providers that this one does not reach.
  var providersAskedAt: MonotonicInstant?
  /// The look at whether the router holds dead state for this port.
  var comparison: PortComparison?
}

/// What is remembered of one uplink.
struct UplinkState: Sendable, Codable {
  var configuration: UplinkConfiguration
  var previousAddresses: [UplinkStatus.PreviousAddress] = []
  var lastChangeAt: WallTime?
  var lastError: ErrorStatus?
  /// When the line was back, for a change of address from which not every trunk has recovered.
  var recoveringSince: MonotonicInstant?
  /// When the line was back last.
  var backAt: MonotonicInstant?
  var nat = NATState()
  /// When the line was lost, or its address changed, the last time.
  var troubleAt: MonotonicInstant?
  /// Nothing passes, and the trunks that may have gone to another uplink.
  var isDown = false
  /// How often that happened of late, for how long the line has to be well before the trunks come back.
  var failOvers = 0
  var failedOverAt: MonotonicInstant?
  /// When the trunks come back, if it stays well until then.
  var failBackAt: MonotonicInstant?
  /// When this host's network changed last, and the servers were asked because of it.
  var hostChangedAt: MonotonicInstant?
  /// When its line is usually cut.
  var diary = CutDiary()
  /// About now.
  var isCutExpected = false
  /// `nil` where no router is listened to.
  var router: UplinkRouter?
  /// Who says what of its address.
  var tribunal = AddressTribunal()
  /// The next question to STUN servers beside the keepalive; `nil` before the first has answered.
  var round: WitnessRound?
}

/// One account at a provider.
struct TrunkState: Sendable, Codable {
  var configuration: TrunkConfiguration
  /// Where its requests go, by preference; empty until the name was resolved.
  var targets: [Endpoint] = []
  var currentTarget = 0
  var registration: Registration?
  var registerTransaction: ClientTransactionID?
  var status = TrunkStatus.State.starting
  var lastError: ErrorStatus?
  var contact: SIPURI?
  /// Where the provider sees our packets come from, by its last answer (`received`, `rport`): behind a NAT whose mapping
  /// depends on the destination it is this, not what a STUN server saw, that leads back to us.
  var flow: Endpoint?
  /// A registrar was told this host's own address as our contact: it may list that.
  var hasToldInside = false
  /// Something on the way alters what its provider says of where it saw us.
  var isFlowHidden = false
  /// Since when it has not been registered although it should be.
  var unregisteredSince: MonotonicInstant?
  /// How long that was before, in all.
  var unregisteredSeconds = 0.0
  /// When the REGISTER was sent that waits for its final answer.
  var registeringSince: MonotonicInstant?
  /// Since when no REGISTER has had a final answer; `nil` while none is waited for.
  var unansweredSince: MonotonicInstant?
  /// It is in the configuration no more; calls and transactions may still name it.
  var isRemoved = false
  /// The socket on which it last sent.
  var socket: LinkSocket?
  var watch = ProviderWatch()
  /// When a datagram of one of its targets came last.
  var heardAt: MonotonicInstant?

  var name: String { configuration.name }
  /// Whether calls may be made over it.
  var isUsable: Bool { status == .registered || status == .static }
  /// The host that is looked up: the outbound proxy's, or the registrar's.
  var host: HostPort { configuration.outboundProxy ?? configuration.registrar }
  /// RFC 3261 §19.1.2: 5060 where no port is given.
  var port: UInt16 { host.port ?? 5060 }
}

/// Who is at the far side of a leg.
enum LegSide: Sendable, Equatable {
  case trunk(Int)
  case station(String)
}

/// A media port of a leg.
struct LegStream: Sendable {
  let id: MediaPortID
  let port: UInt16
  var isOpen = false
  var rtp: Endpoint?
  var rtcp: Endpoint?
  /// Its mapping was told while the far side could not be told of it: the leg was being moved, or just had been.
  var isMoveDue = false
  /// Audio was heard on it, and is heard no more.
  var isSilent = false
  var counters = MediaCounters()
}

/// One side of a call: its dialog, its pending transactions and its media ports.
struct Leg: Sendable {
  let id: LegID
  let side: LegSide
  var path: SIPPath
  let localTag: String
  var dialog: Dialog?
  /// The INVITE that set the leg up, as received or as last sent.
  var invite: SIPMessage?
  /// The INVITE or re-INVITE that we sent last.
  var lastInvite: SIPMessage?
  /// A re-INVITE of the far side that is not over yet.
  var pendingInvite: SIPMessage?
  /// An INVITE or re-INVITE of the far side that waits for our final response, or our 2xx for its ACK.
  var serverTransaction: ServerTransactionID?
  var isAnswerSent = false
  /// Our INVITE or re-INVITE, until it is acknowledged or refused.
  var clientTransaction: ClientTransactionID?
  /// The INVITE that was acknowledged: a further 2xx to it is another callee's.
  var ackedTransaction: ClientTransactionID?
  var clientSequence: UInt32 = 0
  var isConfirmed = false
  /// Our INVITE was taken back: no challenge to it is answered any more.
  var isCancelled = false
  var isEnded = false
  /// BYE goes as soon as the ACK to our 2xx came (RFC 3261 §15).
  var hangsUpWhenAcknowledged = false

  var streams: [LegStream?] = []
  /// Ports were tried in vain so many times.
  var portFailures = 0
  var isMappingAwaited = false
  /// What waits for the media ports.
  var deferred: [LegCommand] = []
  /// The last description that came from the far side.
  var remoteDescription: SessionDescription?
  /// What it was before the far side's re-INVITE that is pending.
  var descriptionBefore: SessionDescription?
  var sentDescription: SessionDescription?
  let sessionID: UInt64
  var sessionVersion: UInt64 = 0
  var codec: String?
  /// Our credentials on this leg.
  var digest: DigestSession?

  /// What is being done because our address changed.
  var repair: CallRepair?
  /// Our INVITE was taken back because our address changed, and the number is to be dialled once more.
  var isRedialing = false
  /// The re-INVITE that was out when our address changed carried the other leg's offer.
  var isOfferWithdrawn = false
  /// Numbers of re-INVITEs with an offer that were withdrawn, and that the far side may have accepted all the same.
  var openSequences: [UInt32] = []
  /// When our 2xx left.
  var answerSentAt: MonotonicInstant?
  /// An offer of the other leg that came while this one is being moved; `.some(nil)` asks for one.
  var heldOffer: SessionDescription??
  /// When our 2xx was sent again with the new addresses.
  var answerRenewedAt: MonotonicInstant?
  /// Where the far side saw our INVITE come from, by its responses.
  var seenFrom: Endpoint?
  /// The last provisional response that we sent, for its repetition.
  var lastProgress: (status: Int, reason: String, description: SessionDescription?)?
  /// When audio was heard again last, and after how long.
  var lastGap: (at: MonotonicInstant, gap: Duration)?
  /// When a port's mapping alone was found to be another one.
  var portMovedAt: MonotonicInstant?
  /// A change of address whose silence has not ended yet.
  var awaitsAudioSince: MonotonicInstant?
  /// Its media ports got no answer after a change, and others took their place.
  var arePortsReplaced = false

  /// When its first INVITE left, and whether anything came back to it.
  var invitedAt: MonotonicInstant?
  var isHeard = false
  /// Whether it is still there.
  var pulse = LegPulse()
  /// What its ports had heard when the call was answered.
  var packetsBeforeAnswer: UInt64 = 0

  /// What its ports have heard.
  var packetsIn: UInt64 { streams.reduce(0) { $0 &+ ($1?.counters.packetsIn ?? 0) } }

  init(id: LegID, side: LegSide, path: SIPPath, random: inout RandomSource) {
    self.id = id
    self.side = side
    self.path = path
    localTag = random.hexDigits(16)
    sessionID = random.next() >> 2
  }
}

/// One call and its bookkeeping.
struct CallState: Sendable {
  enum Direction: String, Sendable { case inbound, outbound, `internal` }

  let number: UInt64
  /// The identifier that history, verdicts, traces and incidents share.
  let identifier: String
  let direction: Direction
  var machine: CallMachine
  var legs: [Leg]
  /// The caller as it is shown to the callee.
  let callerNumber: String
  let callerName: String?
  let calledNumber: String
  var trunk: String?
  let startedAt: WallTime
  var answeredAt: WallTime?
  var isRinging = false
  var isRecorded = false
  /// Why legs of it did not come about.
  var failures: [LegFailure] = []
  /// The two legs whose media belong together.
  var coupled: [LegID] = []
  /// The pairs of ports for which that was said.
  var coupledPorts: [[MediaPortID]] = []
}

/// What a client transaction was for.
enum ClientOwner: Sendable {
  case registration(trunk: Int)
  /// The INVITE that sets a leg up.
  case invite(LegID)
  case reinvite(LegID)
  /// A re-INVITE that tells the far side our new addresses.
  case move(LegID)
  /// An UPDATE that does so while the far side's call rings.
  case update(LegID)
  /// BYE; the leg may be gone already, so what a challenge needs is kept here.
  case bye(Farewell)
  /// A request of one leg that was passed to the other; the response goes back.
  case relayed(ServerTransactionID, LegID, SIPMessage)
  /// OPTIONS that asks whether the far side is still there.
  case pulse(LegID)
}

enum LinkTimer: Hashable, Sendable, Codable {
  case stage(call: UInt64)
  case media(LegID)
  case repair(LegID)
  /// A trunk's turn to go on, where several do at once.
  case advance(trunk: Int)
  case resolve(host: String)
  case service(String)
  case targetKeepalive(trunk: Int)
  /// OPTIONS of ours is sent again, or was in vain.
  case targetSilence(trunk: Int)
  case discovery(uplink: Int)
  case blocked(uplink: Int)
  /// Whether the router holds dead state for a port is looked at.
  case deadState(socket: Int)
  /// A port that rested is tried again.
  case portAgain(socket: Int)
  /// An uplink has been lost for so long that its trunks take another one; or has been well for so long that they come back.
  case failOver(uplink: Int)
  case failBack(uplink: Int)
  /// The host's network changed again shortly after it had.
  case hostChange(uplink: Int)
  /// A cut is expected, or is not any more.
  case expectedCut(uplink: Int)
  /// Servers are asked beside the keepalive, or a disagreement has lasted long enough.
  case tribunal(uplink: Int)
  /// Media ports that did not learn their mapping.
  case deafPorts(LegID)
  /// An answered call's audio is looked at.
  case audio(call: UInt64)
  /// An answered call's legs are asked whether they are there, if nothing comes from them.
  case pulse(call: UInt64)
  /// Names that cannot be resolved are looked at together.
  case names
  case bindings
  /// The examination goes on.
  case doctor
  case stopping
}

/// Names a dialog from our side.
struct DialogKey: Hashable, Sendable {
  let callID: String
  let localTag: String
}
