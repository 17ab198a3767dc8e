/// ITU-T G.711: 8 bits a sample at 8 kHz, as A-law (PCMA) or µ-law (PCMU), to and from 16-bit linear samples.
public enum G711 {
  /// A-law of silence.
  public static let silenceALaw: UInt8 = 0xd5
  /// µ-law of silence.
  public static let silenceMuLaw: UInt8 = 0xff

  public static func encodeALaw(_ sample: Int16) -> UInt8 {
    let isNegative = sample < 0
    let magnitude = UInt16(isNegative ? -1 - Int32(sample) : Int32(sample))
    // Segment 0 is linear; each further one is twice as coarse as the one before.
    let segment = magnitude < 256 ? 0 : 8 - UInt16(magnitude.leadingZeroBitCount)
    let step = segment == 0 ? magnitude >> 4 : magnitude >> (segment + 3) & 15
    return UInt8((isNegative ? 0 : 0x80) | segment << 4 | step) ^ 0x55
  }

  public static func decodeALaw(_ code: UInt8) -> Int16 {
    let bits = code ^ 0x55
    let segment = Int16(bits >> 4 & 7)
    let step = Int16(bits & 15) << 4
    let magnitude = segment == 0 ? step + 8 : (step + 0x108) << (segment - 1)
    return bits & 0x80 != 0 ? magnitude : -magnitude
  }

  public static func encodeMuLaw(_ sample: Int16) -> UInt8 {
    let isNegative = sample < 0
    let magnitude = UInt16(min(isNegative ? -Int32(sample) : Int32(sample), 32_635) + 0x84)
    let segment = 8 - UInt16(magnitude.leadingZeroBitCount)
    let step = magnitude >> (segment + 3) & 15
    return ~UInt8((isNegative ? 0x80 : 0) | segment << 4 | step)
  }

  public static func decodeMuLaw(_ code: UInt8) -> Int16 {
    let bits = ~code
    let segment = Int16(bits >> 4 & 7)
    let magnitude = (Int16(bits & 15) << 3 + 0x84) << segment - 0x84
    return bits & 0x80 != 0 ? -magnitude : magnitude
  }
}
