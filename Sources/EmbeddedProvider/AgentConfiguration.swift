import MediaRelay
import NetworkTypes

/// Where an agent lives and what it says about itself.
struct AgentConfiguration: Sendable {
  /// The number of its one UDP socket, as its driver knows it.
  var socket = 0
  /// Where the socket is bound.
  var bind: Endpoint
  /// What Via and Contact say.
  var advertised: Endpoint
  /// Where media sockets are bound, and what SDP says.
  var mediaBind: IPAddress
  var mediaAdvertised: IPAddress
  var mediaPorts: ClosedRange<UInt16>
  /// The first media port number that is ours.
  var mediaBase: UInt32
  /// Media goes to where media comes from, rather than to where the SDP says.
  var latchesMedia: Bool
  /// It does so once, and again only after a re-INVITE.
  var latchesOnce = false
  /// Requests within a dialog go to where the other side's packets come from, rather than to its Contact.
  var followsSource: Bool
  /// The owner sees re-INVITEs first, and hands back those that it lets in.
  var asksAboutOffers = false
  var userAgent: String
  /// What offers have, by payload type; `nil` stands for G.711 and telephone events.
  var codecs: [(UInt8, String)]?
  var mostCalls = 200

  var sentBy: String { "\(advertised)" }
}

/// Media port numbers of ours: a range of a million, taken in turn and not soon again.
struct MediaPortNumbers: Sendable {
  private let base: UInt32
  private var next: UInt32 = 0

  init(base: UInt32) { self.base = base }

  mutating func take() -> MediaPortID {
    defer { next = (next + 1) % 1_000_000 }
    return MediaPortID(base &+ next)
  }
}
