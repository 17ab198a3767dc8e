package import SIPSyntax

/// How a response finds its request (RFC 3261 §17.1.3). The branch has 128 random bits, so that who guesses it has seen
/// the request; `sent-by` is not compared, since routers rewrite it in one direction only.
struct ClientKey: Hashable, Sendable {
  let branch: String
  let method: SIPMethod
}

/// How a request finds its transaction (RFC 3261 §17.2.3).
package enum ServerKey: Hashable, Sendable {
  /// Call-ID and sequence number stand beside what the RFC names: phones are met that keep one branch for every request,
  /// and a conforming one changes nothing by it.
  case branch(String, sentBy: String, callID: String, sequence: UInt32, method: SIPMethod)
  /// Without the magic cookie: the request of an RFC 2543 client. The To tag is left out, since an ACK has another one
  /// than its INVITE; the layer compares it there.
  case legacy(via: String, requestURI: String, fromTag: String, callID: String, sequence: UInt32, method: SIPMethod)

  static let magicCookie = "z9hG4bK"

  /// The key of the transaction to which `request` belongs, seen as a request of `method`; `nil` where it lacks what a
  /// request must have.
  init?(_ request: SIPMessage, via: Via, as method: SIPMethod) {
    guard let callID = request.callID, let cSeq = try? request.cSeq() else { return nil }
    if let branch = via.branch, branch.hasPrefix(Self.magicCookie), branch.utf8.count > Self.magicCookie.utf8.count {
      let sentBy = "\(via.host.lowercased()):\(via.port ?? 5060)"
      self = .branch(branch, sentBy: sentBy, callID: callID, sequence: cSeq.number, method: method)
    } else {
      self = .legacy(
        via: via.description, requestURI: request.requestURIText, fromTag: request.fromTag ?? "", callID: callID,
        sequence: cSeq.number, method: method)
    }
  }
}

/// How the ACK to a 2xx, which has a branch of its own, finds the INVITE that we accepted (RFC 6026 §7.1).
struct AcceptedKey: Hashable, Sendable {
  let callID: String
  let localTag: String
  let remoteTag: String
  let sequence: UInt32

  init?(_ request: SIPMessage, localTag: String?) {
    guard let callID = request.callID, let localTag, let cSeq = try? request.cSeq() else { return nil }
    self.callID = callID
    self.localTag = localTag
    remoteTag = request.fromTag ?? ""
    sequence = cSeq.number
  }
}
