/// The name of a header field: compared without case, the one-letter forms of RFC 3261 §7.3.3 being the long ones.
public struct HeaderName: Hashable, Sendable, CustomStringConvertible {
  let kind: HeaderKind
  /// The spelling, where the name is not one that is known.
  private let spelling: String

  /// A name as written, long or compact.
  public init(_ name: String) {
    let bytes = Array(name.utf8)
    let raw = bytes.isEmpty ? 0 : HeaderTable.shared.kind(bytes.span, 0, bytes.count)
    kind = HeaderKind(rawValue: raw) ?? .other
    spelling = kind == .other ? name : ""
  }

  init(_ kind: HeaderKind) {
    self.kind = kind
    spelling = ""
  }

  /// The long form as the RFCs write it; an unknown name as it was given.
  public var description: String { kind == .other ? spelling : kind.row.name }

  /// Whether the field's value is a comma-separated list, so that several fields are one list (RFC 3261 §7.3.1).
  public var isList: Bool { kind.row.isList }

  public static func == (left: HeaderName, right: HeaderName) -> Bool {
    left.kind == right.kind
      && (left.kind != .other || left.spelling.utf8.elementsEqual(right.spelling.utf8) { Grammar.sameLetter($0, $1) })
  }

  public func hash(into hasher: inout Hasher) {
    hasher.combine(kind)
    if kind == .other { for byte in spelling.utf8 { hasher.combine(Grammar.folded(byte)) } }
  }
}

extension HeaderName {
  public static var accept: HeaderName { HeaderName(.accept) }
  public static var acceptEncoding: HeaderName { HeaderName(.acceptEncoding) }
  public static var acceptLanguage: HeaderName { HeaderName(.acceptLanguage) }
  public static var alertInfo: HeaderName { HeaderName(.alertInfo) }
  public static var allow: HeaderName { HeaderName(.allow) }
  public static var allowEvents: HeaderName { HeaderName(.allowEvents) }
  public static var authenticationInfo: HeaderName { HeaderName(.authenticationInfo) }
  public static var authorization: HeaderName { HeaderName(.authorization) }
  public static var callID: HeaderName { HeaderName(.callID) }
  public static var callInfo: HeaderName { HeaderName(.callInfo) }
  public static var contact: HeaderName { HeaderName(.contact) }
  public static var contentDisposition: HeaderName { HeaderName(.contentDisposition) }
  public static var contentEncoding: HeaderName { HeaderName(.contentEncoding) }
  public static var contentLanguage: HeaderName { HeaderName(.contentLanguage) }
  public static var contentLength: HeaderName { HeaderName(.contentLength) }
  public static var contentType: HeaderName { HeaderName(.contentType) }
  public static var cSeq: HeaderName { HeaderName(.cSeq) }
  public static var date: HeaderName { HeaderName(.date) }
  public static var diversion: HeaderName { HeaderName(.diversion) }
  public static var errorInfo: HeaderName { HeaderName(.errorInfo) }
  public static var event: HeaderName { HeaderName(.event) }
  public static var expires: HeaderName { HeaderName(.expires) }
  public static var from: HeaderName { HeaderName(.from) }
  public static var historyInfo: HeaderName { HeaderName(.historyInfo) }
  public static var inReplyTo: HeaderName { HeaderName(.inReplyTo) }
  public static var maxForwards: HeaderName { HeaderName(.maxForwards) }
  public static var mimeVersion: HeaderName { HeaderName(.mimeVersion) }
  public static var minExpires: HeaderName { HeaderName(.minExpires) }
  public static var minSE: HeaderName { HeaderName(.minSE) }
  public static var organization: HeaderName { HeaderName(.organization) }
  public static var pAssertedIdentity: HeaderName { HeaderName(.pAssertedIdentity) }
  public static var path: HeaderName { HeaderName(.path) }
  public static var pPreferredIdentity: HeaderName { HeaderName(.pPreferredIdentity) }
  public static var priority: HeaderName { HeaderName(.priority) }
  public static var privacy: HeaderName { HeaderName(.privacy) }
  public static var proxyAuthenticate: HeaderName { HeaderName(.proxyAuthenticate) }
  public static var proxyAuthorization: HeaderName { HeaderName(.proxyAuthorization) }
  public static var proxyRequire: HeaderName { HeaderName(.proxyRequire) }
  public static var rack: HeaderName { HeaderName(.rack) }
  public static var reason: HeaderName { HeaderName(.reason) }
  public static var recordRoute: HeaderName { HeaderName(.recordRoute) }
  public static var referredBy: HeaderName { HeaderName(.referredBy) }
  public static var referTo: HeaderName { HeaderName(.referTo) }
  public static var replaces: HeaderName { HeaderName(.replaces) }
  public static var replyTo: HeaderName { HeaderName(.replyTo) }
  public static var require: HeaderName { HeaderName(.require) }
  public static var retryAfter: HeaderName { HeaderName(.retryAfter) }
  public static var route: HeaderName { HeaderName(.route) }
  public static var rseq: HeaderName { HeaderName(.rseq) }
  public static var server: HeaderName { HeaderName(.server) }
  public static var serviceRoute: HeaderName { HeaderName(.serviceRoute) }
  public static var sessionExpires: HeaderName { HeaderName(.sessionExpires) }
  public static var subject: HeaderName { HeaderName(.subject) }
  public static var subscriptionState: HeaderName { HeaderName(.subscriptionState) }
  public static var supported: HeaderName { HeaderName(.supported) }
  public static var timestamp: HeaderName { HeaderName(.timestamp) }
  public static var to: HeaderName { HeaderName(.to) }
  public static var unsupported: HeaderName { HeaderName(.unsupported) }
  public static var userAgent: HeaderName { HeaderName(.userAgent) }
  public static var via: HeaderName { HeaderName(.via) }
  public static var warning: HeaderName { HeaderName(.warning) }
  public static var wwwAuthenticate: HeaderName { HeaderName(.wwwAuthenticate) }
}
