import NetworkTypes

/// WAV files of one channel, 16 bits, 8 kHz: what a telephone hears.
public enum WaveFile {
  public static func encode(_ samples: [Int16]) -> [UInt8] {
    let size = UInt32(clamping: samples.count * 2)
    var bytes = Array("RIFF".utf8)
    bytes.append(littleEndian: 36 &+ size)
    bytes += Array("WAVEfmt ".utf8)
    bytes.append(littleEndian: UInt32(16))
    bytes.append(littleEndian: UInt16(1))  // PCM
    bytes.append(littleEndian: UInt16(1))  // channels
    bytes.append(littleEndian: UInt32(8000))
    bytes.append(littleEndian: UInt32(16000))
    bytes.append(littleEndian: UInt16(2))
    bytes.append(littleEndian: UInt16(16))
    bytes += Array("data".utf8)
    bytes.append(littleEndian: size)
    for sample in samples { bytes.append(littleEndian: UInt16(bitPattern: sample)) }
    return bytes
  }
}

extension [UInt8] {
  fileprivate mutating func append(littleEndian value: some FixedWidthInteger) {
    append(contentsOf: [UInt8](bigEndianBytesOf: value).reversed())
  }

  private init(bigEndianBytesOf value: some FixedWidthInteger) {
    self = []
    append(bigEndian: value)
  }
}
