public import NetworkTypes

/// What happened in a network, line by line, and one number for all of it: the same seed gives the same number in every
/// process.
public struct NetworkTrace: Sendable {
  /// A line: when, where, what.
  public struct Line: Sendable, CustomStringConvertible {
    public enum Kind: String, Sendable {
      case sent, arrived, dropped, translated, resolved, changed, logged, opened, closed, fault
    }

    public var at: MonotonicInstant
    public var kind: Kind
    /// The name of the node or router.
    public var place: String
    public var packet: PacketSummary?
    public var note: String

    /// `12.345678 office sent 192.168.1.2:65002>203.0.113.9:3478 stun 20 note`, times in seconds since the start.
    public var description: String {
      let microseconds = at.nanoseconds / 1000
      let fraction = String(microseconds % 1_000_000)
      var text = "\(microseconds / 1_000_000).\(String(repeating: "0", count: 6 - fraction.count))\(fraction)"
      text += " \(place) \(kind.rawValue)"
      if let packet { text += " \(packet.source)>\(packet.destination) \(packet.content.rawValue) \(packet.length)" }
      return note.isEmpty ? text : text + " \(note)"
    }
  }

  public struct PacketSummary: Sendable {
    public var source: Endpoint
    public var destination: Endpoint
    public var content: Datagram.Content
    public var length: Int
  }

  /// The lines that were kept, oldest first.
  public private(set) var lines: [Line] = []
  /// Stands for every line there was, kept or not, and for every byte sent (FNV-1a over 64-bit words).
  public private(set) var digest: UInt64 = 0xcbf2_9ce4_8422_2325
  /// How many lines there were.
  public private(set) var count = 0
  /// Lines beyond this are counted in ``digest`` but not kept.
  public var limit = 100_000
  /// Whether lines about RTP packets are kept.
  public var keepsMedia = false

  mutating func add(
    _ kind: Line.Kind, at: MonotonicInstant, place: String, packet: Datagram? = nil, note: String = ""
  ) {
    count += 1
    mix(UInt64(bitPattern: at.nanoseconds))
    mix(kind.rawValue)
    mix(place)
    mix(note)
    if let packet {
      mix(packet.source)
      mix(packet.destination)
      if kind == .sent { mix(packet.bytes) }
    }
    guard lines.count < limit, keepsMedia || packet?.content != .rtp else { return }
    let summary = packet.map {
      PacketSummary(source: $0.source, destination: $0.destination, content: $0.content, length: $0.bytes.count)
    }
    lines.append(Line(at: at, kind: kind, place: place, packet: summary, note: note))
  }

  private mutating func mix(_ word: UInt64) { digest = (digest ^ word) &* 0x100_0000_01b3 }

  private mutating func mix(_ endpoint: Endpoint) {
    switch endpoint.address {
    case .v4(let value): mix(UInt64(value))
    case .v6(let value):
      mix(UInt64(truncatingIfNeeded: value >> 64))
      mix(UInt64(truncatingIfNeeded: value))
    }
    mix(UInt64(endpoint.port))
  }

  private mutating func mix(_ text: String) {
    for byte in text.utf8 { mix(UInt64(byte)) }
    mix(0x100)
  }

  private mutating func mix(_ bytes: [UInt8]) {
    var hash = digest
    let span = bytes.span
    for index in span.indices { hash = (hash ^ UInt64(span[index])) &* 0x100_0000_01b3 }
    digest = hash
    mix(UInt64(bytes.count))
  }
}
