/// Finds a ``HeaderKind`` from the bytes of a name: a hash of its first eight bytes, then one comparison of whole words.
///
/// All of it is one array, so that the index pass of a message holds one reference: 256 slots with the place of an entry,
/// then the entries, five words each. One-letter forms are entries of their own.
struct HeaderTable: Sendable {
  static let shared = HeaderTable()

  private let words: [UInt64]

  private init() {
    var words = [UInt64](repeating: 0, count: 256)
    for kind in HeaderKind.allCases where kind != .other {
      for name in [kind.row.name, kind.row.compact.map { String($0) }] {
        guard let name else { continue }
        let bytes = Array(name.utf8)
        let entry = (0..<3).map { part in
          bytes.dropFirst(part * 8).prefix(8).reversed().reduce(0 as UInt64) { $0 << 8 | UInt64($1 | 0x20) }
        }
        var slot = Self.slot(entry[0])
        while words[slot] != 0 { slot = (slot + 1) & 255 }
        words[slot] = UInt64(words.count)
        words += entry + [UInt64(bytes.count), UInt64(kind.rawValue)]
      }
    }
    self.words = words
  }

  @inline(__always)
  private static func slot(_ word: UInt64) -> Int { Int(truncatingIfNeeded: (word &* 0x9E37_79B9_7F4A_7C15) >> 56) }

  /// The raw kind of the name in `text[start..<end]`, a token that is not empty; 0 where it is not one of ours.
  @inline(__always)
  func kind(_ text: Span<UInt8>, _ start: Int, _ end: Int) -> UInt8 {
    let count = end - start
    let first = Self.folded(text, start, count)
    var slot = Self.slot(first)
    while true {
      let entry = Int(truncatingIfNeeded: words[slot])
      if entry == 0 { return 0 }
      if words[entry] == first, Int(truncatingIfNeeded: words[entry + 3]) == count,
        count <= 8 || words[entry + 1] == Self.folded(text, start + 8, count - 8),
        count <= 16 || words[entry + 2] == Self.folded(text, start + 16, count - 16)
      {
        return UInt8(truncatingIfNeeded: words[entry + 4])
      }
      slot = (slot + 1) & 255
    }
  }

  /// Up to eight bytes from `start`, of which `count` belong to the name, the first one lowest, with the bit of lower case
  /// set: for a token that is exact, since no other token character than a capital differs from a letter or hyphen by it.
  @inline(__always)
  private static func folded(_ text: Span<UInt8>, _ start: Int, _ count: Int) -> UInt64 {
    let lowerCase: UInt64 = 0x2020_2020_2020_2020
    if start + 8 <= text.count {
      let word = Grammar.word(text, start) | lowerCase
      return count >= 8 ? word : word & ~(~0 << UInt64(count * 8))
    }
    var word: UInt64 = 0
    for index in (start..<start + min(count, 8)).reversed() { word = word << 8 | UInt64(text[index] | 0x20) }
    return word
  }
}
