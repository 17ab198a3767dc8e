public import SDP
public import SIPSyntax
public import SIPTransaction

/// Names one leg: a call of the link and the place of the leg in it. The caller's leg is number 0.
public struct LegID: Hashable, Sendable, Comparable, Codable {
  public let call: UInt64
  public let index: Int

  public init(call: UInt64, index: Int) {
    self.call = call
    self.index = index
  }

  public static func < (left: LegID, right: LegID) -> Bool { (left.call, left.index) < (right.call, right.index) }
}

/// Where a leg may be dialled to.
public enum DialTarget: Sendable, Equatable {
  /// A telephone's contact, or a PBX, on the office side: its request URI, and the way to it.
  case station(name: String, uri: SIPURI, path: SIPPath)
  /// A trunk by name, the number to call, and the caller's number where a rule gives one.
  case trunk(String, number: String, callerID: String?)
}

/// Targets that ring together, and for how long; the next stage follows when none of them answers.
public struct DialStage: Sendable, Equatable {
  public var targets: [DialTarget]
  public var timeout: Duration?

  public init(targets: [DialTarget], timeout: Duration? = nil) {
    self.targets = targets
    self.timeout = timeout
  }
}

/// Why a call was not answered or an offer not taken, as the far side put it.
public struct Refusal: Sendable, Equatable {
  /// 300–699.
  public var status: Int
  public var reason: String
  /// The Contact values of a 3xx, passed on as they are.
  public var contacts: [String] = []

  public init(status: Int, reason: String, contacts: [String] = []) {
    self.status = status
    self.reason = reason
    self.contacts = contacts
  }
}

/// What happened on one leg.
public enum LegEvent: Sendable, Equatable {
  /// A provisional response other than 100.
  case progressed(status: Int, reason: String, SessionDescription?)
  /// A 2xx to the INVITE that set the leg up.
  case answered(SessionDescription?)
  /// A final failure of that INVITE, or none within its time (408).
  case refused(Refusal)
  /// The ACK to our 2xx, with the answer where our 2xx had the offer.
  case acknowledged(SessionDescription?)
  /// A re-INVITE; without a description it asks for an offer.
  case offered(SessionDescription?)
  /// A 2xx to our re-INVITE.
  case offerAnswered(SessionDescription?)
  case offerRefused(Refusal)
  /// The caller gave up before the answer.
  case cancelled
  /// BYE.
  case hungUp
  /// The dialog is dead: no ACK came, or the far side does not know it.
  case lost
}

/// What is asked of one leg.
public enum LegCommand: Sendable, Equatable {
  case dial(LegID, DialTarget, SessionDescription?)
  /// A provisional response to the caller.
  case progress(LegID, status: Int, reason: String, SessionDescription?)
  /// 2xx to the caller.
  case answer(LegID, SessionDescription?)
  /// 3xx–6xx to the caller.
  case refuse(LegID, Refusal)
  case acknowledge(LegID, SessionDescription?)
  case cancel(LegID)
  /// BYE.
  case hangUp(LegID)
  /// A re-INVITE.
  case offer(LegID, SessionDescription?)
  /// 2xx to the re-INVITE that is pending on this leg.
  case answerOffer(LegID, SessionDescription?)
  case refuseOffer(LegID, Refusal)
  /// From now on the media of these two legs belong together.
  case couple(LegID, LegID)
  /// Wake the machine with `stageTimedOut` after this time; `nil` stops the timer.
  case setStageTimer(Duration?)
  /// Nothing will happen any more on any leg.
  case finished
}
