/// The header fields that are known by number: recognised from bytes, without a string. The raw value is the row in
/// ``HeaderTable``.
enum HeaderKind: UInt8, CaseIterable {
  case other
  case accept, acceptEncoding, acceptLanguage, alertInfo, allow, allowEvents, authenticationInfo, authorization
  case callID, callInfo, contact, contentDisposition, contentEncoding, contentLanguage, contentLength, contentType
  case cSeq, date, diversion, errorInfo, event, expires, from, historyInfo, inReplyTo, maxForwards, mimeVersion
  case minExpires, minSE, organization, pAssertedIdentity, path, pPreferredIdentity, priority, privacy
  case proxyAuthenticate, proxyAuthorization, proxyRequire, rack, reason, recordRoute, referredBy, referTo, replaces
  case replyTo, require, retryAfter, route, rseq, server, serviceRoute, sessionExpires, subject, subscriptionState
  case supported, timestamp, to, unsupported, userAgent, via, warning, wwwAuthenticate

  /// The name as the RFCs write it, the one-letter form where there is one, and whether the value is a comma list.
  var row: (name: String, compact: Character?, isList: Bool) {
    switch self {
    case .other: ("", nil, false)
    case .accept: ("Accept", nil, true)
    case .acceptEncoding: ("Accept-Encoding", nil, true)
    case .acceptLanguage: ("Accept-Language", nil, true)
    case .alertInfo: ("Alert-Info", nil, true)
    case .allow: ("Allow", nil, true)
    case .allowEvents: ("Allow-Events", "u", true)
    case .authenticationInfo: ("Authentication-Info", nil, false)
    case .authorization: ("Authorization", nil, false)
    case .callID: ("Call-ID", "i", false)
    case .callInfo: ("Call-Info", nil, true)
    case .contact: ("Contact", "m", true)
    case .contentDisposition: ("Content-Disposition", nil, false)
    case .contentEncoding: ("Content-Encoding", "e", true)
    case .contentLanguage: ("Content-Language", nil, true)
    case .contentLength: ("Content-Length", "l", false)
    case .contentType: ("Content-Type", "c", false)
    case .cSeq: ("CSeq", nil, false)
    case .date: ("Date", nil, false)
    case .diversion: ("Diversion", nil, true)
    case .errorInfo: ("Error-Info", nil, true)
    case .event: ("Event", "o", false)
    case .expires: ("Expires", nil, false)
    case .from: ("From", "f", false)
    case .historyInfo: ("History-Info", nil, true)
    case .inReplyTo: ("In-Reply-To", nil, true)
    case .maxForwards: ("Max-Forwards", nil, false)
    case .mimeVersion: ("MIME-Version", nil, false)
    case .minExpires: ("Min-Expires", nil, false)
    case .minSE: ("Min-SE", nil, false)
    case .organization: ("Organization", nil, false)
    case .pAssertedIdentity: ("P-Asserted-Identity", nil, true)
    case .path: ("Path", nil, true)
    case .pPreferredIdentity: ("P-Preferred-Identity", nil, true)
    case .priority: ("Priority", nil, false)
    case .privacy: ("Privacy", nil, false)
    case .proxyAuthenticate: ("Proxy-Authenticate", nil, false)
    case .proxyAuthorization: ("Proxy-Authorization", nil, false)
    case .proxyRequire: ("Proxy-Require", nil, true)
    case .rack: ("RAck", nil, false)
    case .reason: ("Reason", nil, true)
    case .recordRoute: ("Record-Route", nil, true)
    case .referredBy: ("Referred-By", "b", false)
    case .referTo: ("Refer-To", "r", false)
    case .replaces: ("Replaces", nil, false)
    case .replyTo: ("Reply-To", nil, false)
    case .require: ("Require", nil, true)
    case .retryAfter: ("Retry-After", nil, false)
    case .route: ("Route", nil, true)
    case .rseq: ("RSeq", nil, false)
    case .server: ("Server", nil, false)
    case .serviceRoute: ("Service-Route", nil, true)
    case .sessionExpires: ("Session-Expires", "x", false)
    case .subject: ("Subject", "s", false)
    case .subscriptionState: ("Subscription-State", nil, false)
    case .supported: ("Supported", "k", true)
    case .timestamp: ("Timestamp", nil, false)
    case .to: ("To", "t", false)
    case .unsupported: ("Unsupported", nil, true)
    case .userAgent: ("User-Agent", nil, false)
    case .via: ("Via", "v", true)
    case .warning: ("Warning", nil, true)
    case .wwwAuthenticate: ("WWW-Authenticate", nil, false)
    }
  }
}
