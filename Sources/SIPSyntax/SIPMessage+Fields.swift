extension SIPMessage {
  // MARK: Reading

  /// The value of the first field of that name, trimmed, folds made spaces; `nil` where there is none.
  public func value(_ name: HeaderName) -> String? {
    firstIndex(name).map { unfolded(index.fields[$0].value.range) }
  }

  /// The values of all fields of that name, in order; comma lists are split where the field is a list.
  public func values(_ name: HeaderName) -> [String] {
    var values: [String] = []
    for field in index.fields where matches(field, name) {
      if name.isList {
        for element in Grammar.listElements(storage.span, field.value.range) { values.append(unfolded(element)) }
      } else {
        values.append(unfolded(field.value.range))
      }
    }
    return values
  }

  public func contains(_ name: HeaderName) -> Bool { firstIndex(name) != nil }

  /// Whether one of the comma-separated tokens in fields of that name is `token`, without regard to case or to
  /// parameters behind a semicolon.
  public func hasToken(_ token: String, in name: HeaderName) -> Bool {
    for field in index.fields where matches(field, name) {
      let bytes = storage.span
      for element in Grammar.listElements(bytes, field.value.range) {
        let end = Grammar.tokenEnd(bytes, element.lowerBound, element.upperBound)
        guard end == element.upperBound || bytes[end] == 0x3B || Grammar.isSpace(bytes[end]) else { continue }
        let found = element.lowerBound..<end
        if found.count == token.utf8.count, zip(found, token.utf8).allSatisfy({ Grammar.sameLetter(bytes[$0], $1) }) {
          return true
        }
      }
    }
    return false
  }

  /// All fields in order, names in their long form where they are known, values trimmed and unfolded.
  public var fields: [(name: HeaderName, value: String)] {
    index.fields.map { field in
      let kind = HeaderKind(rawValue: field.kind) ?? .other
      return (kind == .other ? HeaderName(text(field.name)) : HeaderName(kind), unfolded(field.value.range))
    }
  }

  // MARK: Changing

  /// Replaces all fields of that name by one, at the place of the first; appends it where there is none.
  public mutating func set(_ name: HeaderName, _ value: String) {
    let line = appendLine(name, value)
    guard let first = firstIndex(name) else {
      index.fields.append(line)
      return
    }
    remove(name, from: first + 1)
    index.fields[first] = line
  }

  /// A new field behind the last one of that name, or at the end.
  public mutating func add(_ name: HeaderName, _ value: String) {
    let line = appendLine(name, value)
    let last = index.fields.lastIndex { matches($0, name) }
    index.fields.insert(line, at: last.map { $0 + 1 } ?? index.fields.count)
  }

  /// A new field in front of the first one of that name, or at the top.
  public mutating func prepend(_ name: HeaderName, _ value: String) {
    let line = appendLine(name, value)
    index.fields.insert(line, at: firstIndex(name) ?? 0)
  }

  /// Removes all fields of that name.
  public mutating func remove(_ name: HeaderName) {
    isPristine = false
    remove(name, from: 0)
  }

  /// Removes the first value of the first field of that name, and the field with its last value: the topmost Via or Route.
  public mutating func removeFirstValue(_ name: HeaderName) {
    guard let first = firstIndex(name) else { return }
    isPristine = false
    if let rest = restOfList(name, first) {
      index.fields[first] = appendLine(name: text(index.fields[first].name), value: Array(storage[rest]))
    } else {
      index.fields.remove(at: first)
    }
  }

  /// Replaces the first value of the first field of that name; without one this is ``prepend(_:_:)``.
  public mutating func replaceFirstValue(_ name: HeaderName, _ value: String) {
    guard let first = firstIndex(name) else { return prepend(name, value) }
    isPristine = false
    var bytes = Self.sanitized(value)
    if let rest = restOfList(name, first) { bytes += [0x2C, 0x20] + storage[rest] }
    index.fields[first] = appendLine(name: text(index.fields[first].name), value: bytes)
  }

  // MARK: Within

  func firstIndex(_ name: HeaderName) -> Int? {
    if name.kind != .other {
      let kind = name.kind.rawValue
      for place in index.fields.indices where index.fields[place].kind == kind { return place }
      return nil
    }
    return index.fields.firstIndex { matches($0, name) }
  }

  func first(_ kind: HeaderKind) -> MessageIndex.Field? {
    for field in index.fields where field.kind == kind.rawValue { return field }
    return nil
  }

  func matches(_ field: MessageIndex.Field, _ name: HeaderName) -> Bool {
    guard field.kind == name.kind.rawValue else { return false }
    return name.kind != .other
      || storage[field.name].elementsEqual(name.description.utf8) { Grammar.sameLetter($0, $1) }
  }

  func unfolded(_ range: Range<Int>) -> String {
    storage[range].contains(0x0A) ? Grammar.unfolded(storage.span, range) : text(range)
  }

  private mutating func remove(_ name: HeaderName, from start: Int) {
    var kept = start
    for place in index.fields.indices.dropFirst(start) where !matches(index.fields[place], name) {
      index.fields[kept] = index.fields[place]
      kept += 1
    }
    index.fields.removeSubrange(kept...)
  }

  /// What follows the first value of the field's list; `nil` where that is the last.
  private func restOfList(_ name: HeaderName, _ place: Int) -> Range<Int>? {
    guard name.isList else { return nil }
    let value = index.fields[place].value.range
    let elements = Grammar.listElements(storage.span, value)
    return elements.count > 1 ? elements[1].lowerBound..<value.upperBound : nil
  }

  private mutating func appendLine(_ name: HeaderName, _ value: String) -> MessageIndex.Field {
    appendLine(name: Self.token(name.description), value: Self.sanitized(value))
  }

  /// Appends a line to the storage; the caller puts it into the index. `value` holds no line end but folds.
  mutating func appendLine(name: String, value: [UInt8]) -> MessageIndex.Field {
    isPristine = false
    let start = storage.count
    storage += name.utf8
    let nameEnd = storage.count
    storage += [0x3A, 0x20]
    let valueStart = storage.count
    storage += value
    let valueEnd = storage.count
    storage += [0x0D, 0x0A]
    let bytes = storage.span
    let trimmedStart = Grammar.skipSpace(bytes, valueStart, valueEnd)
    return .init(
      line: .init(start, valueEnd + 2),
      value: .init(trimmedStart, Grammar.trimEnd(bytes, trimmedStart, valueEnd)),
      nameEnd: UInt32(truncatingIfNeeded: nameEnd), kind: HeaderTable.shared.kind(bytes, start, nameEnd))
  }

  /// A value that stays one line: CR, LF and NUL become spaces, so that no value brings a field of its own.
  static func sanitized(_ value: String) -> [UInt8] {
    value.utf8.map { $0 == 0x0D || $0 == 0x0A || $0 == 0 ? 0x20 : $0 }
  }
}
