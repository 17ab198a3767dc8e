/// What is wrong with a message as a whole.
public struct SIPProblem: Hashable, Sendable {
  /// What a request is refused with; a response with any problem is dropped.
  public let status: Int
  /// A reason phrase, nothing of it from the wire.
  public let reason: String

  public init(status: Int, reason: String) {
    self.status = status
    self.reason = reason
  }
}

extension SIPMessage {
  /// Reads every header field that handling a message depends on (RFC 3261 §8.1.1, §8.2.2.1, §16.3); `nil` when they are
  /// all there and right. Fields that carry no decision, such as Date, are not judged.
  public func problem() -> SIPProblem? {
    let bytes = storage.span
    guard Grammar.packed(bytes, index.version.range) == 0x73_6970_2F32_2E30 else {
      return SIPProblem(status: 505, reason: "Version Not Supported")
    }
    if let problem = missingOrRepeated() ?? wrongFields() { return problem }
    return isRequest ? wrongRequest() : nil
  }

  private func missingOrRepeated() -> SIPProblem? {
    var counts: (via: Int, from: Int, to: Int, callID: Int, cSeq: Int, maxForwards: Int) = (0, 0, 0, 0, 0, 0)
    for field in index.fields {
      switch HeaderKind(rawValue: field.kind) {
      case .via: counts.via += 1
      case .from: counts.from += 1
      case .to: counts.to += 1
      case .callID: counts.callID += 1
      case .cSeq: counts.cSeq += 1
      case .maxForwards: counts.maxForwards += 1
      default: break
      }
    }
    if counts.via == 0 { return .bad("Missing Via") }
    if counts.from == 0 { return .bad("Missing From") }
    if counts.to == 0 { return .bad("Missing To") }
    if counts.callID == 0 { return .bad("Missing Call-ID") }
    if counts.cSeq == 0 { return .bad("Missing CSeq") }
    if max(counts.from, counts.to, counts.callID, counts.cSeq, counts.maxForwards) > 1 {
      return .bad("Repeated Header Field")
    }
    return index.isFramingDoubtful ? .bad("Wrong Content-Length") : nil
  }

  private func wrongFields() -> SIPProblem? {
    let bytes = storage.span
    var contacts = 0
    for field in index.fields {
      let value = field.value.range
      switch HeaderKind(rawValue: field.kind) {
      case .cSeq:
        guard let view = try? CSeqView(bytes, value) else { return .bad("Wrong CSeq") }
        if isRequest, !isSame(view.method, index.method.range) { return .bad("CSeq Of Another Method") }
      case .callID:
        if value.isEmpty || value.contains(where: { Grammar.isSpace(bytes[$0]) }) { return .bad("Wrong Call-ID") }
      case .from: if !isAddress(value) { return .bad("Wrong From") }
      case .to: if !isAddress(value) { return .bad("Wrong To") }
      case .via:
        if !everyElement(value, { (try? ViaView(bytes, $0)) != nil }) { return .bad("Wrong Via") }
      case .contact:
        contacts += 1
        if value.count == 1, bytes[value.lowerBound] == 0x2A {
          guard isRequest, method == .register else { return .bad("Wrong Contact") }
        } else if !everyElement(value, isAddress) {
          return .bad("Wrong Contact")
        }
      case .route: if !everyElement(value, isAddress) { return .bad("Wrong Route") }
      case .recordRoute: if !everyElement(value, isAddress) { return .bad("Wrong Record-Route") }
      default: break
      }
    }
    return isContactStar && contacts > 1 ? .bad("Wrong Contact") : nil
  }

  private func wrongRequest() -> SIPProblem? {
    let bytes = storage.span
    // White space in the request line, RFC 4475 §3.1.2.8 to §3.1.2.10.
    if index.version.upper != index.startLine.upper { return .bad("Wrong Request Line") }
    guard let uri = try? SIPURIView(bytes, index.requestURI.range) else { return .bad("Wrong Request-URI") }
    switch uri.kind {
    case .other: return SIPProblem(status: 416, reason: "Unsupported URI Scheme")
    // RFC 3261 §19.1.1, table 1: no headers in a Request-URI.
    case .sip, .sips, .tel: if uri.headers != nil { return .bad("Headers In Request-URI") }
    }
    if let field = first(.maxForwards), Grammar.number(bytes, field.value.range, limit: 255) == nil {
      return .bad("Wrong Max-Forwards")
    }
    // RFC 3261 §10.3: the address of record in To is a SIP or SIPS URI.
    if method == .register, let to = try? toView(), let uri = try? SIPURIView(bytes, to.uri),
      uri.kind == .tel || uri.kind == .other
    {
      return .bad("To Is No SIP URI")
    }
    return nil
  }

  private func isSame(_ left: Range<Int>, _ right: Range<Int>) -> Bool {
    left.count == right.count && zip(left, right).allSatisfy { storage[$0] == storage[$1] }
  }

  private func isAddress(_ range: Range<Int>) -> Bool {
    let bytes = storage.span
    guard let view = try? NameAddressView(bytes, range) else { return false }
    return (try? SIPURIView(bytes, view.uri)) != nil
  }

  /// Whether the list in `range` has an element and each satisfies `isRight`; an empty element does not.
  private func everyElement(_ range: Range<Int>, _ isRight: (Range<Int>) -> Bool) -> Bool {
    var start = range.lowerBound
    while true {
      let end = Grammar.elementEnd(storage.span, start, range.upperBound)
      if !isRight(start..<end) { return false }
      if end == range.upperBound { return true }
      start = end + 1
    }
  }
}

extension SIPProblem {
  fileprivate static func bad(_ reason: String) -> SIPProblem { SIPProblem(status: 400, reason: reason) }
}
