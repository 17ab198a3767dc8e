extension SIPMessage {
  // MARK: Values

  /// The first Via value.
  public func topVia() throws(SIPParseError) -> Via { try Via(storage.span, firstElement(.via)) }

  public func vias() throws(SIPParseError) -> [Via] {
    var result: [Via] = []
    for element in elements(.via) { result.append(try Via(storage.span, element)) }
    return result
  }

  public func from() throws(SIPParseError) -> NameAddress { try NameAddress(storage.span, value(.from)) }
  public func to() throws(SIPParseError) -> NameAddress { try NameAddress(storage.span, value(.to)) }

  /// All Contact values; none where the one Contact is `*` (RFC 3261 §10.2.2).
  public func contacts() throws(SIPParseError) -> [NameAddress] { isContactStar ? [] : try addresses(.contact) }
  public func routes() throws(SIPParseError) -> [NameAddress] { try addresses(.route) }
  public func recordRoutes() throws(SIPParseError) -> [NameAddress] { try addresses(.recordRoute) }

  /// All values of a field that holds name-addresses: Path, P-Asserted-Identity, Diversion, Refer-To, …
  public func nameAddresses(_ name: HeaderName) throws(SIPParseError) -> [NameAddress] {
    var result: [NameAddress] = []
    for field in index.fields where matches(field, name) {
      let ranges = name.isList ? Grammar.listElements(storage.span, field.value.range) : [field.value.range]
      for range in ranges { result.append(try NameAddress(storage.span, range)) }
    }
    return result
  }

  public func cSeq() throws(SIPParseError) -> CSeq {
    let view = try cSeqView()
    return CSeq(number: view.number, method: SIPMethod(text(view.method)))
  }

  /// Whether the one Contact value is `*`.
  public var isContactStar: Bool {
    guard let field = first(.contact) else { return false }
    let value = field.value.range
    return value.count == 1 && storage[value.lowerBound] == 0x2A
  }

  public var callID: String? { first(.callID).map { text($0.value.range) } }
  public var fromTag: String? { tag(.from) }
  public var toTag: String? { tag(.to) }
  public var contentTypeText: String? { first(.contentType).map { unfolded($0.value.range) } }

  /// 0 to 2³²−1; `nil` where it is absent or no number. Beyond 255 ``problem()`` objects.
  public var maxForwards: Int? {
    first(.maxForwards).flatMap { Grammar.number(storage.span, $0.value.range, limit: 0xFFFF_FFFF) }.map { Int($0) }
  }

  /// Seconds, at most 2³²−1 (RFC 3261 §20.19); `nil` where it is absent or no number.
  public var expires: Int? { first(.expires).flatMap { Self.deltaSeconds(text($0.value.range)) } }

  /// `delta-seconds` of any length, held at 2³²−1; `nil` where the text is not digits.
  public static func deltaSeconds(_ text: String) -> Int? {
    let digits = text.utf8
    guard !digits.isEmpty, digits.allSatisfy(Grammar.isDigit) else { return nil }
    var value = 0
    for digit in digits { value = min(value * 10 + Int(digit - 0x30), 0xFFFF_FFFF) }
    return value
  }

  // MARK: Views, without any copy

  /// The first Via value by its ranges.
  public func topViaView() throws(SIPParseError) -> ViaView { try ViaView(storage.span, firstElement(.via)) }
  public func fromView() throws(SIPParseError) -> NameAddressView { try NameAddressView(storage.span, value(.from)) }
  public func toView() throws(SIPParseError) -> NameAddressView { try NameAddressView(storage.span, value(.to)) }
  /// The first Contact value by its ranges.
  public func contactView() throws(SIPParseError) -> NameAddressView {
    try NameAddressView(storage.span, firstElement(.contact))
  }
  public func cSeqView() throws(SIPParseError) -> CSeqView { try CSeqView(storage.span, value(.cSeq)) }
  /// The parts of a URI that another view found.
  public func uriView(_ range: Range<Int>) throws(SIPParseError) -> SIPURIView { try SIPURIView(storage.span, range) }
  /// The range of the Call-ID's value.
  public var callIDRange: Range<Int>? { first(.callID)?.value.range }
  /// The number in Content-Length; `nil` where it is absent or no number.
  public var contentLength: Int? {
    first(.contentLength).flatMap { Grammar.number(storage.span, $0.value.range, limit: 0xFFFF_FFFF) }.map { Int($0) }
  }

  // MARK: Within

  func elements(_ kind: HeaderKind) -> [Range<Int>] {
    var result: [Range<Int>] = []
    for field in index.fields where field.kind == kind.rawValue {
      result += Grammar.listElements(storage.span, field.value.range)
    }
    return result
  }

  private func value(_ kind: HeaderKind) throws(SIPParseError) -> Range<Int> {
    guard let field = first(kind) else {
      throw SIPParseError(.missingHeader, at: 0, "A header field that is needed is missing.")
    }
    return field.value.range
  }

  private func firstElement(_ kind: HeaderKind) throws(SIPParseError) -> Range<Int> {
    let range = try value(kind)
    return range.lowerBound..<Grammar.elementEnd(storage.span, range.lowerBound, range.upperBound)
  }

  private func addresses(_ kind: HeaderKind) throws(SIPParseError) -> [NameAddress] {
    var result: [NameAddress] = []
    for element in elements(kind) { result.append(try NameAddress(storage.span, element)) }
    return result
  }

  private func tag(_ kind: HeaderKind) -> String? {
    guard let range = try? value(kind), let view = try? NameAddressView(storage.span, range), let tag = view.tag else {
      return nil
    }
    return storage[tag.lowerBound] == 0x22 ? Grammar.unquoted(storage.span, tag) : text(tag)
  }
}

extension NameAddress {
  /// The `expires` parameter of a Contact in seconds, at most 2³²−1.
  public var expires: Int? { parameters["expires"].flatMap { SIPMessage.deltaSeconds($0) } }
}
