public import SIPSyntax

/// What a request within a dialog is, by its sequence number.
public enum SequenceVerdict: Sendable, Equatable {
  case inOrder
  /// Not above the number of an earlier request: answered with 500 (RFC 3261 §12.2.2).
  case outOfOrder
}

/// What two user agents know of each other while a call is up (RFC 3261 §12).
public struct Dialog: Sendable, Equatable {
  public private(set) var callID: String
  public private(set) var localTag: String
  /// Empty where the peer is an RFC 2543 client without tags.
  public private(set) var remoteTag: String
  /// What our requests have in From, tag and all.
  public private(set) var localURI: NameAddress
  /// What our requests have in To, tag and all.
  public private(set) var remoteURI: NameAddress
  /// The peer's Contact.
  public private(set) var remoteTarget: SIPURI
  /// The proxies on the way to the peer, the nearest first.
  public private(set) var routeSet: [NameAddress]
  /// The number of our last request.
  public private(set) var localSequence: UInt32
  /// The number of the peer's last request; `nil` before the first.
  public private(set) var remoteSequence: UInt32?
  /// We are the caller, and no 2xx has come yet.
  public private(set) var isEarly: Bool

  /// The dialog of an INVITE that we answer with a To of tag `localTag` (RFC 3261 §12.1.1). Throws where a header field
  /// that a dialog is made of is missing or unreadable.
  public init(answering request: SIPMessage, localTag: String) throws(SIPParseError) {
    let from = try request.from()
    var to = try request.to()
    to.tag = localTag
    guard let contact = try request.contacts().first else {
      throw SIPParseError(.missingHeader, at: 0, "A request that opens a dialog has a Contact.")
    }
    callID = try Self.callID(request)
    self.localTag = localTag
    remoteTag = from.tag ?? ""
    localURI = to
    remoteURI = from
    remoteTarget = contact.uri
    routeSet = try request.recordRoutes()
    localSequence = 0
    remoteSequence = try request.cSeq().number
    isEarly = false
  }

  /// The dialog that a 101–199 or 2xx to our INVITE opens (RFC 3261 §12.1.2). A provisional response may lack a Contact;
  /// the request URI then stands for it.
  public init(request: SIPMessage, response: SIPMessage) throws(SIPParseError) {
    let from = try request.from()
    let to = try response.to()
    callID = try Self.callID(request)
    localTag = from.tag ?? ""
    remoteTag = to.tag ?? ""
    localURI = from
    remoteURI = to
    if let contact = try response.contacts().first {
      remoteTarget = contact.uri
    } else {
      remoteTarget = try request.requestURI()
    }
    routeSet = try response.recordRoutes().reversed()
    localSequence = try request.cSeq().number
    isEarly = response.status < 200
  }

  private static func callID(_ message: SIPMessage) throws(SIPParseError) -> String {
    guard let callID = message.callID else { throw SIPParseError(.missingHeader, at: 0, "A dialog has a Call-ID.") }
    return callID
  }

  /// Where requests go: the nearest proxy, or the peer.
  public var nextHop: SIPURI { routeSet.first?.uri ?? remoteTarget }

  /// Whether `request`, which has come in, belongs to this dialog (RFC 3261 §12.2.2).
  public func matches(_ request: SIPMessage) -> Bool {
    request.callID == callID && request.toTag ?? "" == localTag && request.fromTag ?? "" == remoteTag
  }

  /// A request within the dialog, with the next sequence number (RFC 3261 §12.2.1.1); no Via, no Contact.
  public mutating func makeRequest(_ method: SIPMethod) -> SIPMessage {
    localSequence = localSequence >= 0x7FFF_FFFF ? 1 : localSequence + 1
    return request(method, sequence: localSequence)
  }

  /// The ACK to a 2xx; `cSeq` is the number of the INVITE (RFC 3261 §13.2.2.4).
  public func makeACK(for cSeq: UInt32) -> SIPMessage { request(.ack, sequence: cSeq) }

  /// Takes note of a request of the peer's. INVITE and UPDATE may bring a new Contact.
  public mutating func requestReceived(_ request: SIPMessage) -> SequenceVerdict {
    // ACK and CANCEL have the number of their INVITE.
    if request.method == .ack || request.method == .cancel { return .inOrder }
    guard let number = try? request.cSeq().number else { return .outOfOrder }
    if let remoteSequence, number <= remoteSequence { return .outOfOrder }
    remoteSequence = number
    refreshTarget(from: request)
    return .inOrder
  }

  /// Takes note of a response to a request of ours. A 2xx to INVITE or UPDATE may bring a new Contact; the one that
  /// confirms an early dialog brings the route set that counts (RFC 3261 §13.2.2.4).
  public mutating func responseReceived(_ response: SIPMessage) {
    guard (200..<300).contains(response.status) else { return }
    refreshTarget(from: response)
    guard isEarly, response.method == .invite else { return }
    isEarly = false
    if let routes = try? response.recordRoutes() { routeSet = routes.reversed() }
  }

  private mutating func refreshTarget(from message: SIPMessage) {
    guard message.method == .invite || message.method == .update, let contact = try? message.contacts().first else {
      return
    }
    remoteTarget = contact.uri
  }

  private func request(_ method: SIPMethod, sequence: UInt32) -> SIPMessage {
    var target = remoteTarget
    target.headers = nil
    var routes = routeSet
    if let first = routes.first, !first.uri.parameters.contains("lr") {
      // A strict router of RFC 2543: its URI is the request's, and the target comes last.
      routes.removeFirst()
      routes.append(NameAddress(uri: target))
      target = first.uri
      target.headers = nil
    }
    var request = SIPMessage(method: method, requestURI: target)
    request.set(.maxForwards, "70")
    for route in routes { request.add(.route, route.description) }
    request.set(.from, localURI.description)
    request.set(.to, remoteURI.description)
    request.set(.callID, callID)
    request.set(.cSeq, "\(sequence) \(method.name)")
    return request
  }
}
