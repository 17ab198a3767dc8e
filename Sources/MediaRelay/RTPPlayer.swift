import NetworkTypes
import RTP

/// Makes the packets of a ``MediaSource``: 20 ms of G.711 each, with the sequence, timestamps and marker of one stream.
struct RTPPlayer: Sendable {
  private static let samplesPerPacket = 160
  /// The peak of a sine at −10 dBm0: full scale of G.711 is +3.14 dBm0.
  private static let amplitude = 7218.0

  let source: MediaSource
  let payloadType: UInt8
  /// Between packets: 20 ms, or more where a packet stands for a stretch of the stream.
  private let interval: Duration
  private let ssrc: UInt32
  private var sequence: UInt16
  private var timestamp: UInt32
  /// Samples played so far.
  private var position: UInt64 = 0
  private var isFirst = true
  private(set) var nextDeadline: MonotonicInstant

  init(
    _ source: MediaSource, payloadType: UInt8, ssrc: UInt32, interval: Duration, random: inout RandomSource,
    now: MonotonicInstant
  ) {
    self.source = source
    self.interval = interval
    self.payloadType = payloadType
    self.ssrc = ssrc
    // Below half, so that a receiver with a simple view of the wrap is not tried in the first minutes.
    sequence = UInt16(truncatingIfNeeded: random.next()) & 0x7fff
    timestamp = UInt32(truncatingIfNeeded: random.next())
    nextDeadline = now
  }

  /// The packet that is due. When the owner comes late by more than five packets, those are skipped, as lost ones would be.
  mutating func nextPacket(now: MonotonicInstant) -> [UInt8] {
    let late = (now - nextDeadline).nanoseconds / interval.nanoseconds
    if late > 5 { skip(late) }
    let header = RTPHeader(
      marker: isFirst, payloadType: payloadType, sequence: sequence, timestamp: timestamp, ssrc: ssrc)
    var packet = header.encoded()
    packet.reserveCapacity(12 + Self.samplesPerPacket)
    let count = interval == RelayPace.live.playing ? Self.samplesPerPacket : 1
    for index in 0..<count {
      let sample = sample(position &+ UInt64(index))
      // Payload type 0 is µ-law by RFC 3551; whatever else the call settled on is A-law.
      packet.append(payloadType == 0 ? G711.encodeMuLaw(sample) : G711.encodeALaw(sample))
    }
    isFirst = false
    skip(1)
    return packet
  }

  private mutating func skip(_ packets: Int64) {
    let samples = UInt64(packets) &* UInt64(interval.nanoseconds / 125_000)
    sequence = sequence &+ UInt16(truncatingIfNeeded: packets)
    timestamp = timestamp &+ UInt32(truncatingIfNeeded: samples)
    position = position &+ samples
    nextDeadline = nextDeadline + interval * Int(packets)
  }

  private func sample(_ index: UInt64) -> Int16 {
    switch source {
    case .silence: return 0
    case .tone(let hertz): return Int16((Self.amplitude * Self.sine(hertz, at: index)).rounded())
    case .melody(let hertz):
      let place = Double(index % Self.samplesPerNote) / Double(Self.samplesPerNote)
      let quarters = Self.chord[Int(index / Self.samplesPerNote % UInt64(Self.chord.count))]
      // Struck within 10 ms, then dying away, though never to nothing.
      let loudness = min(place * 24, 1) * (1 - place) * (1 - place) + 0.02
      let note = Self.sine(hertz * quarters / 4, at: index) + 0.3 * Self.sine(hertz * quarters / 2, at: index)
      return Int16((1.2 * Self.amplitude * loudness * note).rounded())
    }
  }

  private static let samplesPerNote: UInt64 = 1920
  /// A major chord over an octave, in quarters of its lowest note.
  private static let chord = [4, 5, 6, 8, 6, 5]

  /// Whole turns are dropped in integers, so that a tone of hours stays exact.
  private static func sine(_ hertz: Int, at index: UInt64) -> Double {
    let pitch = UInt64(min(max(hertz, 1), 3999))
    return Sine.ofTurns(Double(index % 8000 * pitch % 8000) / 8000)
  }
}

/// A sine without a mathematics library, which floors below the shells do not import.
enum Sine {
  /// The sine of `turns` × 2π, for 0 ≤ `turns` < 1, to eight digits.
  static func ofTurns(_ turns: Double) -> Double {
    // To the quarter around zero: sin(π − x) = sin x.
    var quarter = turns
    if quarter > 0.75 { quarter -= 1 } else if quarter > 0.25 { quarter = 0.5 - quarter }
    let x = quarter * 2 * Double.pi
    let square = x * x
    // The Taylor series to x¹³.
    var sum = 1.0
    for divisor in [156.0, 110, 72, 42, 20, 6] { sum = 1 - square / divisor * sum }
    return x * sum
  }
}
