// Addresses are written down as text, as everywhere else where they are written.

extension IPAddress: Codable {
  public init(from decoder: any Decoder) throws {
    self = try decoder.text { IPAddress($0) }
  }

  public func encode(to encoder: any Encoder) throws {
    var container = encoder.singleValueContainer()
    try container.encode(description)
  }
}

extension Endpoint: Codable {
  public init(from decoder: any Decoder) throws {
    self = try decoder.text { Endpoint($0) }
  }

  public func encode(to encoder: any Encoder) throws {
    var container = encoder.singleValueContainer()
    try container.encode(description)
  }
}

extension IPNetwork: Codable {
  public init(from decoder: any Decoder) throws {
    self = try decoder.text { IPNetwork($0) }
  }

  public func encode(to encoder: any Encoder) throws {
    var container = encoder.singleValueContainer()
    try container.encode(description)
  }
}

extension Decoder {
  fileprivate func text<Value>(_ read: (String) -> Value?) throws -> Value {
    let container = try singleValueContainer()
    let text = try container.decode(String.self)
    guard let value = read(text) else {
      throw DecodingError.dataCorruptedError(in: container, debugDescription: "no \(Value.self): \(text)")
    }
    return value
  }
}

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
