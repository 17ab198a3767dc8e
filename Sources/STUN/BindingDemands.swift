import NetworkTypes

/// What a Binding request asks for, gathered in one pass without allocating.
struct BindingDemands {
  /// Which of RFC 5780's and RFC 3489's attributes can be obeyed.
  enum Abilities {
    /// An answer can only go back the way that its request came.
    case none
    /// It can go to another port of the client.
    case oneAddress
    /// And leave from another of the server's endpoints.
    case twoAddresses
  }

  private(set) var hasFingerprint = false
  private var changeFlags: UInt32?
  private(set) var responsePort: UInt16?
  /// How long the request's PADDING is.
  private(set) var paddingCount: Int?
  private(set) var unknownCount = 0

  /// Both flags false where nothing is asked for.
  var change: STUNChangeRequest {
    let flags = changeFlags ?? 0
    return STUNChangeRequest(changeIP: flags & 4 != 0, changePort: flags & 2 != 0)
  }

  /// `nil` for a request that is not sound: it gets no answer.
  init?(_ bytes: Span<UInt8>, _ header: STUNHeader, _ abilities: Abilities) {
    var gate = STUNIntegrityGate()
    var reader = STUNAttributeReader(bytes)
    while let (type, range) = reader.next(bytes) {
      guard gate.admits(type) else { continue }
      if type == .fingerprint {
        guard range.count == 4, reader.position == bytes.count,
          bytes.uint32(at: range.lowerBound) == STUNFingerprint.expected(bytes, at: range.lowerBound - 4)
        else { return nil }
        hasFingerprint = true
        continue
      }
      if type == .changeRequest, range.count != 4 { return nil }
      if Self.isUnknown(type, bytes, range, header, abilities) {
        unknownCount += 1
        continue
      }
      // Of several of one type the first one counts. No `switch` with a `where`: Swift 6.3.1's optimiser forgot what one
      // assigned here, so that release builds never changed the address.
      if type == .changeRequest {
        if changeFlags == nil { changeFlags = bytes.uint32(at: range.lowerBound) }
      } else if type == .responsePort {
        guard range.count == 4 || range.count == 2 else { return nil }
        let port = bytes.uint16(at: range.lowerBound)
        // Nobody listens at port 0.
        guard port != 0 else { return nil }
        if responsePort == nil { responsePort = port }
      } else if type == .padding, paddingCount == nil {
        paddingCount = range.count
      }
    }
    if reader.isOverrun { return nil }
  }

  /// Whether the request may not be answered because of this attribute: types below 0x8000 that mean nothing here.
  ///
  /// CHANGE-REQUEST without a flag is what many clients of RFC 3489 always send, and asks for nothing; with a flag a server of
  /// one address refuses it (RFC 5780 §6.1). RESPONSE-ADDRESS of RFC 3489 would have answers sent to third parties: ignored.
  /// RFC 3489 knows neither PADDING nor RESPONSE-PORT.
  static func isUnknown(
    _ type: STUNAttributeType, _ bytes: Span<UInt8>, _ range: Range<Int>, _ header: STUNHeader, _ abilities: Abilities
  ) -> Bool {
    guard type.isComprehensionRequired else { return false }
    switch type {
    case .changeRequest:
      return abilities != .twoAddresses && range.count == 4 && bytes.uint32(at: range.lowerBound) & 6 != 0
    case .padding, .responsePort: return abilities == .none || !header.hasMagicCookie
    default: return !type.isKnown
    }
  }
}
