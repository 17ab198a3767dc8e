public import NetworkTypes

/// Names one media port: an RTP socket on an even UDP port and its RTCP socket on the next one.
public struct MediaPortID: Hashable, Sendable, Comparable {
  public let rawValue: UInt32

  public init(_ rawValue: UInt32) { self.rawValue = rawValue }

  public static func < (left: MediaPortID, right: MediaPortID) -> Bool { left.rawValue < right.rawValue }
}

/// How a media port learns its public mapping and keeps it: a STUN Binding request to `server` at once, and again whenever
/// nothing but keepalives left the port for `keepalive`.
public struct MediaSTUNPlan: Hashable, Sendable {
  public var server: Endpoint
  public var keepalive: Duration
  /// Whether a packet goes to the media peer with each keepalive (RFC 6263); not needed where a router lets everybody in.
  public var keepsPeer: Bool
  /// Whether the mapping towards the server is kept alive beside whatever else leaves the port, by empty datagrams: where a
  /// router has another mapping for each destination, traffic elsewhere does not keep this one.
  public var keepsMapping: Bool
  /// Whether the server is asked to answer from its other address and port (CHANGE-REQUEST, RFC 5780 §7.2). Only what comes
  /// from another address is then an answer: it shows that packets of strangers come in.
  public var isFromElsewhere: Bool

  public init(
    server: Endpoint, keepalive: Duration, keepsPeer: Bool = true, keepsMapping: Bool = false,
    isFromElsewhere: Bool = false
  ) {
    self.server = server
    self.keepalive = keepalive
    self.keepsPeer = keepsPeer
    self.keepsMapping = keepsMapping
    self.isFromElsewhere = isFromElsewhere
  }
}

/// What the SDP of the far side of a media port allows and expects.
public struct MediaPeer: Hashable, Sendable {
  /// Where the SDP says that RTP is to be sent; `nil` while the stream is on hold or refused.
  public var rtp: Endpoint?
  /// Where RTCP goes: `rtp`'s port + 1 unless `a=rtcp` (RFC 3605) says otherwise.
  public var rtcp: Endpoint?
  /// Whether packets may be latched onto another source than `rtp` (the peer is behind a NAT, or may be). Without it only
  /// the address that the SDP named is heard, from any port.
  public var latching: Bool
  /// Whether the first source stays until signalling sets the peer again, however long it is silent.
  public var latchesOnce = false

  public init(rtp: Endpoint?, rtcp: Endpoint? = nil, latching: Bool = true) {
    self.rtp = rtp
    self.rtcp = rtcp ?? rtp.map { Endpoint($0.address, port: $0.port &+ 1) }
    self.latching = latching
  }
}

/// Where the packets of a port come from when they are not relayed: the built-in phone, the echo service's tone.
public enum MediaSource: Hashable, Sendable {
  /// Silence, as G.711 A-law.
  case silence
  /// A sine of `hertz` at −10 dBm0, as G.711 A-law in packets of 20 ms.
  case tone(hertz: Int)
  /// A chord, note by note up and down from `hertz`, each struck and dying away within 240 ms: pleasant to hear for longer,
  /// and a gap in it is heard and seen.
  case melody(hertz: Int)
}

/// What signalling asks of media. A port is opened, coupled, given a peer, and closed; all other commands to a port that
/// is not open do nothing.
public enum MediaCommand: Hashable, Sendable {
  /// Binds RTP to `local` and RTCP to the next port. Answered by ``MediaEvent/opened`` or ``MediaEvent/openFailed``.
  case open(MediaPortID, local: Endpoint, stun: MediaSTUNPlan?)
  /// Everything heard on one is sent to the peer of the other, both ways. A port coupled with itself is an echo.
  case couple(MediaPortID, MediaPortID)
  /// Sets or replaces the peer. An opening packet leaves for it at once (an empty RTP packet, RFC 6263 §4.1 with the
  /// payload type `openingPayloadType`), so that a NAT or firewall on the way lets the peer's packets in.
  case setPeer(MediaPortID, MediaPeer, openingPayloadType: UInt8)
  /// Sets or removes the STUN plan; setting it probes at once.
  case setSTUN(MediaPortID, MediaSTUNPlan?)
  /// Sends from `source` in `payloadType`, until another source or `nil` is set.
  case play(MediaPortID, MediaSource?, payloadType: UInt8)
  /// Begins or ends keeping what is heard (G.711 A-law or µ-law, 8 kHz); ending it gives ``MediaEvent/recorded``.
  case record(MediaPortID, Bool)
  case close(MediaPortID)
}

/// What media tells signalling.
public enum MediaEvent: Sendable, Equatable {
  case opened(MediaPortID)
  /// The system refused the port; `reason` is for people.
  case openFailed(MediaPortID, reason: String)
  /// STUN found, or found changed, the public mapping of the RTP socket, and of the RTCP socket where that answered too.
  case mapped(MediaPortID, rtp: Endpoint, rtcp: Endpoint?)
  /// The first packet of a new source was accepted: packets now go there.
  case latched(MediaPortID, Endpoint)
  /// Nothing was heard for 300 ms on a port on which audio had been heard.
  case silent(MediaPortID)
  /// Audio is heard again after `silent`; `gap` is how long nothing was.
  case heard(MediaPortID, gap: Duration)
  /// Counters, every second while a port is open and once when it closes.
  case counted(MediaPortID, MediaCounters)
  /// What was heard, 16-bit samples at 8 kHz, gaps filled with silence.
  case recorded(MediaPortID, samples: [Int16])
}

extension MediaEvent {
  /// The port that the event is about.
  public var port: MediaPortID {
    switch self {
    case .opened(let port), .openFailed(let port, _), .mapped(let port, _, _), .latched(let port, _), .silent(let port),
      .heard(let port, _), .counted(let port, _), .recorded(let port, _):
      port
    }
  }
}

/// What passed one media port since it opened.
public struct MediaCounters: Hashable, Sendable {
  public var packetsIn: UInt64 = 0
  public var packetsOut: UInt64 = 0
  public var octetsIn: UInt64 = 0
  public var octetsOut: UInt64 = 0
  /// RTP packets that never came, by sequence number (RFC 3550 §A.3).
  public var lostIn: UInt64 = 0
  /// Interarrival jitter in milliseconds (RFC 3550 §A.8).
  public var jitterMilliseconds: Double = 0
  /// The longest silence of the current or last audio gap, milliseconds.
  public var lastAudioGapMilliseconds: Double = 0
  /// Packets thrown away: no peer, a source that the SDP does not allow, no RTP.
  public var discarded: UInt64 = 0

  public init() {}
}
