import CallControl
import NetworkTypes
import OrderedCollections
import SIPSyntax
import SIPTransaction

/// Why a leg that was dialled did not come about.
struct LegFailure: Sendable {
  enum Kind: Sendable, Equatable {
    /// The far side's final response.
    case refused
    /// Nothing came back at all.
    case unanswered
    /// There was no way to it, or its trunk is full.
    case noWay
    /// The system refused every media port.
    case noMediaPort(reason: String)
  }

  let kind: Kind
  let side: LegSide
  /// What the call machine was told.
  let status: Int
  let reason: String
}

/// Calls that did not come about: each ends in one sentence that says why.
extension LinkCore {
  /// A message larger than this does not fit a packet everywhere (RFC 3261 §18.1.1).
  private static let largeMessage = 1300
  /// How long the other side may be without any answer until a caller who gives up has a reason to.
  private static let answerPatience = Duration.seconds(5)
  /// Callers whose calls are refused at once may try again every second: it is told so often.
  private static let refusalPause = Duration.seconds(60)

  /// One row a status: the first whose range contains it counts.
  private static let statuses: [(range: ClosedRange<Int>, code: VerdictCode)] = [
    (401...401, .callCredentialsRefused), (403...403, .callForbidden), (404...404, .numberUnknown),
    (406...406, .noCommonCodec), (407...407, .callCredentialsRefused), (408...408, .nobodyAnswered),
    (410...410, .numberUnknown), (415...415, .noCommonCodec), (480...480, .calleeUnavailable),
    (484...484, .numberIncomplete), (486...486, .calleeBusy), (487...487, .callTerminated),
    (488...488, .noCommonCodec), (503...503, .calleeCongested), (500...599, .calleeFailed), (600...600, .calleeBusy),
    (603...603, .calleeDeclined), (604...604, .numberUnknown), (606...606, .noCommonCodec),
  ]

  /// The far side refused, or nobody answered.
  mutating func noteFailure(_ id: LegID, _ kind: LegFailure.Kind, status: Int, reason: String) {
    guard let leg = leg(id), calls[id.call]?.machine.phase == .setUp, !leg.isCancelled else { return }
    calls[id.call]?.failures.append(LegFailure(kind: kind, side: leg.side, status: status, reason: reason))
  }

  /// A call is over that nobody answered: one sentence says why, unless the caller changed his mind.
  mutating func tellFailure(of number: UInt64, now: MonotonicInstant, into actions: inout [LinkAction]) {
    guard let call = calls[number], call.answeredAt == nil, !isStopping else { return }
    if let unheard = call.legs.dropFirst().first(where: { isUnheard($0, now: now) }) {
      return tell(gone: unheard.side, number, evidence: "nothing came back", now: now, into: &actions)
    }
    guard call.machine.endedBy != .caller, let refusal = call.machine.refusal else { return }
    let failure = call.failures.first { $0.status == refusal.status } ?? call.failures.last
    guard let failure else {
      guard call.machine.endedBy == .callee else { return }
      let code = call.legs.count > 1 ? VerdictCode.nobodyAnswered : .phoneAbsent
      return tell(
        code, of: .call(number), evidence: "\(call.legs.count - 1) were rung", now: now, into: &actions)
    }
    let who = name(of: failure.side)
    switch failure.kind {
    case .refused:
      let code = code(of: failure, in: call)
      let answer = "\(failure.status) \(failure.reason.escapedForLog(limit: 60))"
      tell(code, of: .call(number), evidence: "\(who) answered \(answer) to INVITE", now: now, into: &actions)
    case .unanswered:
      tell(gone: failure.side, number, evidence: failure.reason, now: now, into: &actions)
    case .noWay:
      tell(.noTrunk, of: .call(number), evidence: "\(who) takes no call now", now: now, into: &actions)
    case .noMediaPort(let reason):
      tell(.portTaken, of: .call(number), evidence: reason.escapedForLog(), now: now, into: &actions)
    }
  }

  private func isUnheard(_ leg: Leg, now: MonotonicInstant) -> Bool {
    !leg.isHeard && (leg.invitedAt.map { now - $0 >= Self.answerPatience } ?? false)
  }

  private func code(of failure: LegFailure, in call: CallState) -> VerdictCode {
    let code = Self.statuses.first { $0.range.contains(failure.status) }?.code ?? .callRefused
    guard code == .callForbidden, case .trunk(let index) = failure.side,
      let leg = call.legs.last(where: { $0.side == failure.side }),
      let number = (try? leg.invite?.from())?.uri.user, number != trunks[index].configuration.username
    else { return code }
    let own = trunks[index].configuration.numbers.map(NumberPattern.init)
    return !own.isEmpty && !own.contains { $0.matches(number) } ? .callerNumberRefused : code
  }

  private func name(of side: LegSide) -> String {
    switch side {
    case .trunk(let index): "trunk \(trunks[index].name)"
    case .station(let name): name
    }
  }

  /// Whoever was dialled does not answer at all.
  private mutating func tell(
    gone side: LegSide, _ number: UInt64, evidence: String, now: MonotonicInstant, into actions: inout [LinkAction]
  ) {
    switch side {
    case .station(let name):
      let code = name.hasPrefix("pbx:") ? VerdictCode.pbxGone : .phoneGone
      tell(
        code, of: .call(number), "\(code.meaning.dropLast()) (\(name)).", evidence: evidence, now: now, into: &actions)
    case .trunk(let index):
      // Where nothing passes at all, that is told of the line.
      guard !isLineSilent(ofTrunk: index), let leg = calls[number]?.legs.last(where: { $0.side == side }),
        let sentAt = leg.invitedAt
      else { return }
      let size = leg.invite?.serialized().count ?? 0
      let isHeard = trunks[index].heardAt.map { $0 > sentAt } ?? false
      tell(
        isHeard && size > Self.largeMessage ? .fragmentsLost : .callUnanswered, of: .call(number),
        evidence:
          "an INVITE of \(size) bytes was not answered, \(isHeard ? "other requests were" : "nor anything else")",
        now: now, into: &actions)
    }
  }

  /// A call was refused before it became one.
  mutating func tellRefusal(
    _ code: VerdictCode, of subject: VerdictSubject, evidence: String, now: MonotonicInstant,
    into actions: inout [LinkAction]
  ) {
    tell(code, of: subject, evidence: evidence.escapedForLog(), again: Self.refusalPause, now: now, into: &actions)
  }
}
