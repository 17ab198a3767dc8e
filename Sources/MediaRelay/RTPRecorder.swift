import NetworkTypes
import RTP

/// Puts what is heard in its place in time: samples go where their timestamp says, gaps stay silent, packets out of order
/// find their place, and comfort noise and dialled digits are left out.
struct RTPRecorder: Sendable {
  /// Ten minutes at 8 kHz; what comes later is not kept.
  static let sampleLimit = 10 * 60 * 8000
  /// How far a timestamp may run from the clock before it counts as a new beginning, in samples.
  private static let driftLimit: Int64 = 4 * 8000

  private(set) var samples: [Int16] = []
  private var ssrc: UInt32?
  /// The timestamp that stands at the sample `baseSample`.
  private var baseTimestamp: UInt32 = 0
  private var baseSample: Int64 = 0
  private var firstArrival: MonotonicInstant?

  init() {}

  mutating func packetReceived(_ header: RTPHeader, _ bytes: Span<UInt8>, now: MonotonicInstant) {
    guard header.payloadType == 8 || header.payloadType == 0, header.payloadLength > 0 else { return }
    let first = firstArrival ?? now
    firstArrival = first
    let byClock = (now - first).nanoseconds / 125_000
    var position = baseSample + Int64(Int32(bitPattern: header.timestamp &- baseTimestamp))
    if ssrc != header.ssrc || abs(position - byClock) > Self.driftLimit {
      // A new stream goes on where the clock stands, but never over what is already there.
      ssrc = header.ssrc
      baseTimestamp = header.timestamp
      baseSample = max(byClock, Int64(samples.count))
      position = baseSample
    }
    guard position >= 0, position < Self.sampleLimit else { return }
    let begin = Int(position)
    let end = min(begin + header.payloadLength, Self.sampleLimit)
    if samples.count < end { samples.append(contentsOf: repeatElement(0, count: end - samples.count)) }
    for index in begin..<end {
      let code = bytes[header.payloadOffset + index - begin]
      samples[index] = header.payloadType == 8 ? G711.decodeALaw(code) : G711.decodeMuLaw(code)
    }
    // Long streams would carry the difference of timestamps beyond 31 bits.
    if position - baseSample > 1 << 30 {
      baseTimestamp = header.timestamp
      baseSample = position
    }
  }
}
