import NetworkTypes
import STUN

/// What a port has beside its two lanes: nothing of it is touched when a packet is relayed.
struct RelayPort: Sendable {
  /// One STUN conversation for each socket.
  struct Probe: Sendable {
    var transaction: BindingTransaction?
    var mapped: Endpoint?
    /// When a keepalive of ours left last.
    var lastKeepalive = Int64.min
    /// When anything left for the STUN server last.
    var lastToServer = Int64.min
  }

  let id: MediaPortID
  let local: Endpoint
  /// Our own source, for opening packets, reports and what is played.
  let ssrc: UInt32
  /// Whether each socket is bound, in the order of ``MediaComponent``.
  var isBound = [false, false]
  var plan: MediaSTUNPlan?
  var probes = [Probe(), Probe()]
  /// The mapping that signalling was told.
  var toldRTP: Endpoint?
  var toldRTCP: Endpoint?
  /// Until when the mapping of RTP waits for that of RTCP, to be told together.
  var tellAt: MonotonicInstant?
  var openingPayloadType: UInt8 = 0
  var openingSequence: UInt16
  var player: RTPPlayer?
  var recorder: RTPRecorder?
  var countAt: MonotonicInstant
  var lastGapMilliseconds = 0.0

  init(id: MediaPortID, local: Endpoint, plan: MediaSTUNPlan?, random: inout RandomSource, now: MonotonicInstant) {
    self.id = id
    self.local = local
    self.plan = plan
    ssrc = UInt32(truncatingIfNeeded: random.next())
    openingSequence = UInt16(truncatingIfNeeded: random.next())
    countAt = now + .seconds(1)
  }

  /// What stands in a slot that no port has.
  static let vacant = RelayPort()

  private init() {
    id = MediaPortID(.max)
    local = Endpoint(.anyV4, port: 0)
    ssrc = 0
    openingSequence = 0
    countAt = MonotonicInstant(nanoseconds: 0)
  }

  var isOpen: Bool { isBound[0] && isBound[1] }
}
