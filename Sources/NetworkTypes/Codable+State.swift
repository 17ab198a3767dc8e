// How the state of a machine is written down where a recording goes on from it. No number is greater than 32 bits, so that
// whoever reads a stranger's file can refuse greater ones, with which arithmetic would overflow.

/// Seconds and nanoseconds.
extension MonotonicInstant: Codable {
  public init(from decoder: any Decoder) throws { self.init(nanoseconds: try readNanoseconds(decoder)) }
  public func encode(to encoder: any Encoder) throws { try write(nanoseconds, to: encoder) }
}

/// Seconds and nanoseconds.
extension WallTime: Codable {
  public init(from decoder: any Decoder) throws { self.init(nanoseconds: try readNanoseconds(decoder)) }
  public func encode(to encoder: any Encoder) throws { try write(nanoseconds, to: encoder) }
}

private func readNanoseconds(_ decoder: any Decoder) throws -> Int64 {
  var container = try decoder.unkeyedContainer()
  let seconds = try container.decode(Int64.self)
  return seconds &* 1_000_000_000 &+ (try container.decode(Int64.self))
}

private func write(_ nanoseconds: Int64, to encoder: any Encoder) throws {
  var container = encoder.unkeyedContainer()
  let (seconds, rest) = nanoseconds.quotientAndRemainder(dividingBy: 1_000_000_000)
  try container.encode(seconds)
  try container.encode(rest)
}

/// The names and deadlines, in the order in which they come.
extension TimerTable: Codable where Name: Codable {
  public init(from decoder: any Decoder) throws {
    self.init()
    var container = try decoder.unkeyedContainer()
    while !container.isAtEnd {
      let name = try container.decode(Name.self)
      set(name, at: try container.decode(MonotonicInstant.self))
    }
  }

  public func encode(to encoder: any Encoder) throws {
    var container = encoder.unkeyedContainer()
    let rows = heap.filter { current[$0.name] == $0.order }
    for row in rows.sorted(by: { ($0.deadline, $0.order) < ($1.deadline, $1.order) }) {
      try container.encode(row.name)
      try container.encode(row.deadline)
    }
  }
}

/// A long number, 16 bits at a time, the lowest first.
@propertyWrapper public struct Limbs: Hashable, Sendable, Codable {
  public var wrappedValue: UInt128

  public init(wrappedValue: UInt128) { self.wrappedValue = wrappedValue }

  public init(from decoder: any Decoder) throws {
    wrappedValue = 0
    for limb in try decoder.singleValueContainer().decode([UInt16].self).prefix(8).reversed() {
      wrappedValue = wrappedValue << 16 | UInt128(limb)
    }
  }

  public func encode(to encoder: any Encoder) throws {
    var container = encoder.singleValueContainer()
    try container.encode((0..<8).map { UInt16(truncatingIfNeeded: wrappedValue >> UInt128(16 * $0)) })
  }
}

/// Bytes that are a message: a text with a character for each byte, so that what is secret in it can be found.
@propertyWrapper public struct LatinText: Hashable, Sendable, Codable {
  public var wrappedValue: [UInt8]

  public init(wrappedValue: [UInt8]) { self.wrappedValue = wrappedValue }

  public init(from decoder: any Decoder) throws {
    let container = try decoder.singleValueContainer()
    let text = try container.decode(String.self)
    guard let bytes = Self.bytes(text) else {
      throw DecodingError.dataCorruptedError(in: container, debugDescription: "a character that is no byte")
    }
    wrappedValue = bytes
  }

  public func encode(to encoder: any Encoder) throws {
    var container = encoder.singleValueContainer()
    try container.encode(Self.text(wrappedValue))
  }

  /// A character for each byte.
  public static func text(_ bytes: [UInt8]) -> String {
    var text = String.UnicodeScalarView()
    for byte in bytes { text.append(Unicode.Scalar(byte)) }
    return String(text)
  }

  /// The bytes of such a text; `nil` for another one.
  public static func bytes(_ text: String) -> [UInt8]? {
    var bytes: [UInt8] = []
    for scalar in text.unicodeScalars {
      guard scalar.value < 256 else { return nil }
      bytes.append(UInt8(scalar.value))
    }
    return bytes
  }
}
