extension SIPMessage {
  /// A request without any header field.
  public init(method: SIPMethod, requestURI: SIPURI) {
    self.init(building: Self.token(method.name) + " " + Self.startLineWord(requestURI.description) + " SIP/2.0")
  }

  /// A response without any header field. `status` is held between 100 and 699; without `reason` the phrase is the RFC's.
  public init(status: Int, reason: String? = nil) {
    let status = min(max(status, 100), 699)
    self.init(building: "SIP/2.0 \(status) \(reason ?? ReasonPhrase.of(status))")
  }

  /// The answer to `request` (RFC 3261 §8.2.6.2): its Via fields, From, To, Call-ID and CSeq as they came, and the
  /// Timestamp in a 100. A 101–199 or 2xx to an INVITE takes its Record-Route too (§12.1.1). `toTag` is added to a To
  /// that has none, except in a 100.
  public init(responding request: SIPMessage, status: Int, reason: String? = nil, toTag: String? = nil) {
    self.init(status: status, reason: reason)
    let makesDialog = status > 100 && status < 300 && request.index.method.range.count == 6 && request.method == .invite
    var copied: Set<UInt8> = []
    for field in request.index.fields {
      guard let kind = HeaderKind(rawValue: field.kind) else { continue }
      switch kind {
      case .via: copy(field, of: request)
      case .recordRoute where makesDialog: copy(field, of: request)
      case .timestamp where status == 100: copy(field, of: request)
      case .from, .callID, .cSeq:
        if copied.insert(field.kind).inserted { copy(field, of: request) }
      case .to:
        guard copied.insert(field.kind).inserted else { continue }
        if status > 100, let toTag, request.toTag == nil {
          let value = Array(request.storage[field.value.range]) + Array(";tag=\(Self.token(toTag))".utf8)
          index.fields.append(appendLine(name: "To", value: value))
        } else {
          copy(field, of: request)
        }
      default: break
      }
    }
  }

  private mutating func copy(_ field: MessageIndex.Field, of other: SIPMessage) {
    let shift = storage.count - Int(field.line.lower)
    storage += other.storage[field.line.range]
    let value = field.value.range
    index.fields.append(
      .init(
        line: .init(Int(field.line.lower) + shift, storage.count),
        value: .init(value.lowerBound + shift, value.upperBound + shift),
        nameEnd: UInt32(truncatingIfNeeded: Int(field.nameEnd) + shift), kind: field.kind))
  }

  /// Replaces the body and sets Content-Length. With `contentType` that field is set too; an empty body without one
  /// loses the field.
  public mutating func setBody(_ body: [UInt8], contentType: String?) {
    let start = storage.count
    storage += body
    index.body = .init(start, storage.count)
    index.isFramingDoubtful = false
    if let contentType {
      set(.contentType, contentType)
    } else if body.isEmpty {
      remove(.contentType)
    }
    set(.contentLength, String(body.count))
  }

  /// Appends `text` as the start line, control characters made spaces, and points the index at it.
  mutating func setStartLine(_ text: String) {
    isPristine = false
    let start = storage.count
    for byte in text.utf8 { storage.append(byte < 0x20 || byte == 0x7F ? 0x20 : byte) }
    // What was just written is a start line by construction, so the second pass over it does not fail.
    var fresh = MessageIndex()
    try? fresh.readStartLine(storage.span, start, storage.count)
    index.startLine = .init(start, storage.count)
    index.isRequest = fresh.isRequest
    index.method = fresh.method
    index.requestURI = fresh.requestURI
    index.version = fresh.version
    index.status = fresh.status
    index.reason = fresh.reason
  }

  /// A URI of a start line: a space or control character in it would make another line of it, and is escaped.
  static func startLineWord(_ text: String) -> String { Grammar.escaped(text) { $0 > 0x20 && $0 < 0x7F } }

  /// A token, whatever is none being made a hyphen.
  static func token(_ text: String) -> String {
    if !text.isEmpty, text.utf8.allSatisfy(Grammar.isToken) { return text }
    let bytes = text.utf8.map { Grammar.isToken($0) ? $0 : 0x2D }
    return bytes.isEmpty ? "-" : String(decoding: bytes, as: UTF8.self)
  }
}

/// The reason phrases of RFC 3261 §21 and of the RFCs that added codes.
enum ReasonPhrase {
  static func of(_ status: Int) -> String {
    switch status {
    case 100: "Trying"
    case 180: "Ringing"
    case 181: "Call Is Being Forwarded"
    case 182: "Queued"
    case 183: "Session Progress"
    case 199: "Early Dialog Terminated"
    case 200: "OK"
    case 202: "Accepted"
    case 204: "No Notification"
    case 300: "Multiple Choices"
    case 301: "Moved Permanently"
    case 302: "Moved Temporarily"
    case 305: "Use Proxy"
    case 380: "Alternative Service"
    case 400: "Bad Request"
    case 401: "Unauthorized"
    case 402: "Payment Required"
    case 403: "Forbidden"
    case 404: "Not Found"
    case 405: "Method Not Allowed"
    case 406: "Not Acceptable"
    case 407: "Proxy Authentication Required"
    case 408: "Request Timeout"
    case 410: "Gone"
    case 412: "Conditional Request Failed"
    case 413: "Request Entity Too Large"
    case 414: "Request-URI Too Long"
    case 415: "Unsupported Media Type"
    case 416: "Unsupported URI Scheme"
    case 420: "Bad Extension"
    case 421: "Extension Required"
    case 422: "Session Interval Too Small"
    case 423: "Interval Too Brief"
    case 439: "First Hop Lacks Outbound Support"
    case 480: "Temporarily Unavailable"
    case 481: "Call/Transaction Does Not Exist"
    case 482: "Loop Detected"
    case 483: "Too Many Hops"
    case 484: "Address Incomplete"
    case 485: "Ambiguous"
    case 486: "Busy Here"
    case 487: "Request Terminated"
    case 488: "Not Acceptable Here"
    case 489: "Bad Event"
    case 491: "Request Pending"
    case 493: "Undecipherable"
    case 494: "Security Agreement Required"
    case 500: "Server Internal Error"
    case 501: "Not Implemented"
    case 502: "Bad Gateway"
    case 503: "Service Unavailable"
    case 504: "Server Time-out"
    case 505: "Version Not Supported"
    case 513: "Message Too Large"
    case 580: "Precondition Failure"
    case 600: "Busy Everywhere"
    case 603: "Decline"
    case 604: "Does Not Exist Anywhere"
    case 606: "Not Acceptable"
    default:
      switch status {
      case ..<200: "Progress"
      case ..<300: "OK"
      case ..<400: "Redirection"
      case ..<500: "Request Failure"
      case ..<600: "Server Failure"
      default: "Global Failure"
      }
    }
  }
}
