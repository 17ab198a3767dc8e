/// One row of the table of keys.
struct ConfigurationKey: Sendable {
  /// Whether the key does something in this version.
  enum Effect: Sendable {
    case now
    /// Read and checked, without effect yet; the words listed ask for what happens anyway and need no remark.
    case later(except: [String] = [])
  }

  var name: String
  var shape: Shape
  /// The value in force where the key is left out, as it would be written in the file; `nil` where there is none.
  var standard: String?
  var effect: Effect
  /// What the key means, one line of Markdown.
  var meaning: String

  init(_ name: String, _ shape: Shape, standard: String? = nil, effect: Effect = .now, _ meaning: String) {
    self.name = name
    self.shape = shape
    self.standard = standard
    self.effect = effect
    self.meaning = meaning
  }

  /// What a key holds.
  indirect enum Shape: Sendable {
    case value(ValueKind)
    /// A list of values; a single value may stand for a list of one.
    case list(ValueKind)
    /// A mapping of these keys.
    case section([ConfigurationKey])
    /// A list of mappings of these keys.
    case sections([ConfigurationKey])
    /// A word, or a mapping of these keys.
    case either(ValueKind, [ConfigurationKey])
  }
}
