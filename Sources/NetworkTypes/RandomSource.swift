/// A seeded stream of random numbers that nobody can continue from what they saw of it: ChaCha with 8 rounds (RFC 8439
/// §2.3 gives the block function, with 20).
///
/// Cores take it `inout`. A shell seeds it from the system; a test or the simulator from a number that it prints.
public struct RandomSource: RandomNumberGenerator, Sendable {
  private var state: [UInt32]
  private var block: [UInt32] = []
  private var used = 0

  /// A stream for 256 bits of seed.
  public init(seed: (UInt64, UInt64, UInt64, UInt64)) {
    state = [0x6170_7865, 0x3320_646e, 0x7962_2d32, 0x6b20_6574]
    for word in [seed.0, seed.1, seed.2, seed.3] {
      state.append(UInt32(truncatingIfNeeded: word))
      state.append(UInt32(truncatingIfNeeded: word >> 32))
    }
    state += [0, 0, 0, 0]
  }

  /// A stream for tests and simulations, named by one number.
  public init(seed: UInt64) { self.init(seed: (seed, 0, 0, 0)) }

  public mutating func next() -> UInt64 {
    if used + 2 > block.count { refill() }
    defer { used += 2 }
    return UInt64(block[used]) | UInt64(block[used + 1]) << 32
  }

  /// `count` lower-case hexadecimal digits.
  public mutating func hexDigits(_ count: Int) -> String {
    var text: [UInt8] = []
    text.reserveCapacity(count)
    var bits: UInt64 = 0
    for index in 0..<count {
      if index % 16 == 0 { bits = next() }
      let digit = UInt8(truncatingIfNeeded: bits & 15)
      text.append(digit < 10 ? UInt8(ascii: "0") + digit : UInt8(ascii: "a") + digit - 10)
      bits >>= 4
    }
    return String(decoding: text, as: UTF8.self)
  }

  private mutating func refill() {
    block = state
    for _ in 0..<4 {
      quarterRound(0, 4, 8, 12)
      quarterRound(1, 5, 9, 13)
      quarterRound(2, 6, 10, 14)
      quarterRound(3, 7, 11, 15)
      quarterRound(0, 5, 10, 15)
      quarterRound(1, 6, 11, 12)
      quarterRound(2, 7, 8, 13)
      quarterRound(3, 4, 9, 14)
    }
    for index in block.indices { block[index] &+= state[index] }
    state[12] &+= 1
    if state[12] == 0 { state[13] &+= 1 }
    used = 0
  }

  private mutating func quarterRound(_ a: Int, _ b: Int, _ c: Int, _ d: Int) {
    block[a] &+= block[b]
    block[d] = rotate(block[d] ^ block[a], 16)
    block[c] &+= block[d]
    block[b] = rotate(block[b] ^ block[c], 12)
    block[a] &+= block[b]
    block[d] = rotate(block[d] ^ block[a], 8)
    block[c] &+= block[d]
    block[b] = rotate(block[b] ^ block[c], 7)
  }

  private func rotate(_ value: UInt32, _ bits: UInt32) -> UInt32 { value << bits | value >> (32 - bits) }
}

extension RandomSource: Codable {
  public init(from decoder: any Decoder) throws {
    let halves = try decoder.singleValueContainer().decode([UInt16].self)
    // 16 words of state, none or 16 of the block, and how many of the block were used.
    guard halves.count == 33 || halves.count == 65, let last = halves.last, last <= 16, last % 2 == 0 else {
      throw DecodingError.dataCorrupted(.init(codingPath: decoder.codingPath, debugDescription: "no random source"))
    }
    let words = stride(from: 0, to: halves.count - 1, by: 2).map { UInt32(halves[$0]) | UInt32(halves[$0 + 1]) << 16 }
    state = Array(words.prefix(16))
    block = Array(words.dropFirst(16))
    used = Int(last)
  }

  public func encode(to encoder: any Encoder) throws {
    var container = encoder.singleValueContainer()
    let halves = (state + block).flatMap { [UInt16(truncatingIfNeeded: $0), UInt16(truncatingIfNeeded: $0 >> 16)] }
    try container.encode(halves + [UInt16(used)])
  }
}
