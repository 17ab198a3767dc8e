/// A value that is written down as its text, as everywhere else where it is written.
public protocol TextCodable: Codable, LosslessStringConvertible {}

extension TextCodable {
  public init(from decoder: any Decoder) throws {
    let container = try decoder.singleValueContainer()
    let text = try container.decode(String.self)
    guard let value = Self(text) else {
      throw DecodingError.dataCorruptedError(in: container, debugDescription: "no \(Self.self): \(text)")
    }
    self = value
  }

  public func encode(to encoder: any Encoder) throws {
    var container = encoder.singleValueContainer()
    try container.encode(description)
  }
}

extension IPAddress: TextCodable {}
extension Endpoint: TextCodable {}
extension IPNetwork: TextCodable {}

/// What is redacted is written as a mask, unless the encoder was told that it holds pseudonyms only.
extension Redacted: Codable where Value: Codable {
  /// The key of `userInfo` that says so; any value.
  public static var holdsPseudonyms: CodingUserInfoKey? { CodingUserInfoKey(rawValue: "holdsPseudonyms") }

  public init(from decoder: any Decoder) throws {
    self.init(try decoder.singleValueContainer().decode(Value.self))
  }

  public func encode(to encoder: any Encoder) throws {
    var container = encoder.singleValueContainer()
    if let key = Self.holdsPseudonyms, encoder.userInfo[key] != nil {
      try container.encode(value)
    } else {
      try container.encode(description)
    }
  }
}
