// Stands in for swift-crypto while fuzzing: the same names with a checksum behind them.
//
// The parsers only need that equal input gives equal codes. The real package would add minutes to the build of a smoke
// test that runs for seconds, and the fuzzer cannot see into it anyway.

public protocol HashFunction {
  static var byteCount: Int { get }
}

public struct Digest: Sequence, Sendable {
  let bytes: [UInt8]
  public func makeIterator() -> Array<UInt8>.Iterator { bytes.makeIterator() }

  /// FNV-1a of 64 bits, stretched to the length of the digest.
  init(_ data: [UInt8], count: Int) {
    var state: UInt64 = 0xCBF2_9CE4_8422_2325
    for byte in data { state = (state ^ UInt64(byte)) &* 0x100_0000_01B3 }
    var bytes: [UInt8] = []
    for index in 0..<count {
      state = (state ^ UInt64(index)) &* 0x100_0000_01B3
      bytes.append(UInt8(truncatingIfNeeded: state >> 32))
    }
    self.bytes = bytes
  }
}

extension HashFunction {
  public static func hash(data: [UInt8]) -> Digest { Digest(data, count: byteCount) }
}

public enum SHA256: HashFunction { public static let byteCount = 32 }

public enum Insecure {
  public enum SHA1: HashFunction { public static let byteCount = 20 }
  public enum MD5: HashFunction { public static let byteCount = 16 }
}

public struct SymmetricKey: Sendable {
  let bytes: [UInt8]
  public init(data: [UInt8]) { bytes = data }
}

public enum HMAC<H: HashFunction> {
  public static func authenticationCode(for data: [UInt8], using key: SymmetricKey) -> Digest {
    Digest(key.bytes + [0] + data, count: H.byteCount)
  }
}
