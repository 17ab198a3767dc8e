/// A value and where it stands.
struct Located<Value: Sendable>: Sendable {
  var value: Value
  var position: TextPosition
}

extension Located: Equatable where Value: Equatable {}

/// A mapping of the file after its keys and scalars were read: typed values under names of the table, and the standard
/// value where a key with one is absent or unusable.
struct ReadSection: Sendable {
  enum Entry: Sendable {
    case value(Located<ConfigurationValue>)
    case list([Located<ConfigurationValue>])
    case section(ReadSection)
    case sections([ReadSection])
  }

  var position: TextPosition
  /// Looked up by name and never iterated: the table gives the order.
  var entries: [String: Entry] = [:]
  /// Where each key that the file has stands, whether its value was usable or not.
  var keyPositions: [String: TextPosition] = [:]

  /// Whether the file has this key.
  func isGiven(_ name: String) -> Bool { keyPositions[name] != nil }

  /// The place of a key's value, or of the key, or of the section that lacks it.
  func place(of name: String) -> TextPosition {
    switch entries[name] {
    case .value(let value) where isGiven(name): value.position
    case .list(let values) where isGiven(name): values.first?.position ?? keyPositions[name] ?? position
    default: keyPositions[name] ?? position
    }
  }

  func value(_ name: String) -> ConfigurationValue? {
    guard case .value(let value) = entries[name] else { return nil }
    return value.value
  }

  func list(_ name: String) -> [Located<ConfigurationValue>] {
    guard case .list(let values) = entries[name] else { return [] }
    return values
  }

  func section(_ name: String) -> ReadSection? {
    guard case .section(let section) = entries[name] else { return nil }
    return section
  }

  func sections(_ name: String) -> [ReadSection] {
    guard case .sections(let sections) = entries[name] else { return [] }
    return sections
  }

  /// Enters a value that follows from others, so that it is printed as the one in force.
  mutating func derive(_ name: String, _ value: ConfigurationValue?) {
    if let value { entries[name] = .value(Located(value: value, position: position)) }
  }

  mutating func derive(_ name: String, list values: [ConfigurationValue]) {
    entries[name] = .list(values.map { Located(value: $0, position: position) })
  }
}
