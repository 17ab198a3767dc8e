import NetworkTypes
import RTP

/// One socket of one port: all that is read and written for each packet. It holds no reference, so that relaying neither
/// allocates nor counts references.
struct RelayLane: Sendable {
  enum Audio: UInt8, Sendable {
    /// None was heard yet.
    case never
    case flowing
    /// None for ``RelayCore/silenceLimit`` after there was some.
    case silent
  }

  let component: MediaComponent
  var isOpen = false
  /// Whether signalling set a peer, be it one on hold.
  var hasPeer = false
  /// Where the SDP says packets go.
  var signalled: Endpoint?
  /// The last place that it named: hold by address in between is no move.
  var lastSignalled: Endpoint?
  var allowsLatching = false
  /// Whether the latched source stays until a peer is set again.
  var latchesOnce = false
  /// The source whose packets are accepted.
  var latched: Endpoint?
  var latchedSSRC: UInt32 = 0
  /// The lane that packets go out on; −1 for none.
  var coupled = -1
  var isPlaying = false
  var isRecording = false
  var audio = Audio.never

  /// When an accepted packet came last, monotonic nanoseconds.
  var lastHeard = Int64.min
  /// When one with a payload came.
  var lastAudio = Int64.min
  /// When a packet left that was not a keepalive of ours.
  var lastSent = Int64.min
  var packetsIn: UInt64 = 0
  var packetsOut: UInt64 = 0
  var octetsIn: UInt64 = 0
  var octetsOut: UInt64 = 0
  var discarded: UInt64 = 0
  var statistics = ReceptionStatistics()

  init(_ component: MediaComponent) { self.component = component }

  /// Where packets for the peer go; `nil` while it is on hold or unknown.
  var target: Endpoint? { isOpen && signalled != nil ? latched ?? signalled : nil }

  mutating func packetSent(_ count: Int, at now: MonotonicInstant) {
    lastSent = now.nanoseconds
    packetsOut &+= 1
    octetsOut &+= UInt64(count)
  }

  /// Counts an accepted packet.
  mutating func packetAccepted(_ bytes: Span<UInt8>, at now: MonotonicInstant) {
    lastHeard = now.nanoseconds
    packetsIn &+= 1
    octetsIn &+= UInt64(bytes.count)
    guard component == .rtp else { return }
    statistics.packetReceived(
      payloadType: bytes[1] & 0x7f, sequence: UInt16(bytes[2]) << 8 | UInt16(bytes[3]),
      timestamp: Self.word(bytes, 4), ssrc: Self.word(bytes, 8), arrival: now)
  }

  /// The SSRC of an RTP packet, or of the sender of an RTCP packet, whose minimum lengths the caller has checked.
  static func ssrc(_ bytes: Span<UInt8>, _ component: MediaComponent) -> UInt32 {
    word(bytes, component == .rtp ? 8 : 4)
  }

  private static func word(_ bytes: Span<UInt8>, _ offset: Int) -> UInt32 {
    UInt32(bytes[offset]) << 24 | UInt32(bytes[offset + 1]) << 16 | UInt32(bytes[offset + 2]) << 8
      | UInt32(bytes[offset + 3])
  }
}

extension RelayLane {
  /// How long the latched source must have been silent before another one with the same SSRC takes its place.
  static let sameSourcePatience: Int64 = 100_000_000
  /// The same for a stranger, on the RTP socket.
  static let strangerPatience: Int64 = 500_000_000
  /// The same on the RTCP socket, where packets come every few seconds.
  static let controlPatience: Int64 = 15_000_000_000

  enum SourceVerdict: Sendable { case accept, latch, discard }

  /// The table of ``PacketHandling``. `trusted` is the address that RTP is latched to, for RTCP.
  func judge(_ source: Endpoint, ssrc: UInt32, trusted: IPAddress?, now: MonotonicInstant) -> SourceVerdict {
    guard isOpen, hasPeer else { return .discard }
    if source == latched { return .accept }
    let isSignalledAddress = source.address == signalled?.address
    guard allowsLatching || isSignalledAddress else { return .discard }
    let isTrusted = source.address == trusted
    guard trusted == nil || isTrusted || isSignalledAddress else { return .discard }
    guard let latched else { return .latch }
    if latchesOnce { return .discard }
    if isSignalledAddress && latched.address != source.address || source == signalled { return .latch }
    if isTrusted && latched.address != source.address { return .latch }
    let silence = now.nanoseconds &- lastHeard
    if ssrc == latchedSSRC { return silence >= Self.sameSourcePatience ? .latch : .discard }
    return silence >= (component == .rtp ? Self.strangerPatience : Self.controlPatience) ? .latch : .discard
  }
}
