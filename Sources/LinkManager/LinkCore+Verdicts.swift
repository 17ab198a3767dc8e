import NetworkTypes
import OrderedCollections

/// Whom or what a verdict is about, as ``Verdict/subject`` names it.
enum VerdictSubject: Hashable, Sendable {
  case trunk(Int)
  case uplink(Int)
  case call(UInt64)
}

extension ErrorStatus {
  /// - Parameter sentence: `nil` stands for what the code means in general.
  init(_ code: VerdictCode, _ sentence: String? = nil) {
    self.init(code: code.rawValue, sentence: sentence ?? code.meaning)
  }
}

extension LinkCore {
  private func name(of subject: VerdictSubject) -> String {
    switch subject {
    case .trunk(let index): "trunk \(trunks[index].name)"
    case .uplink(let index): "uplink \(uplinks[index].configuration.name)"
    case .call(let number): "call \(calls[number]?.identifier ?? "")"
    }
  }

  /// Tells a person what went wrong, in the log and as a verdict. The log gets the sentence alone: evidence may have
  /// addresses and numbers, which are nobody's business there.
  ///
  /// - Parameter sentence: `nil` stands for what the code means in general.
  mutating func tell(
    _ code: VerdictCode, of subject: VerdictSubject, _ sentence: String? = nil, evidence: String, now: MonotonicInstant,
    into actions: inout [LinkAction]
  ) {
    let sentence = sentence ?? code.meaning
    let name = name(of: subject)
    var callID: String?
    if case .call(let number) = subject { callID = calls[number]?.identifier }
    actions.append(.log(code.level, "\(name): \(sentence.escapedForLog(limit: 400))"))
    actions.append(
      .verdict(
        Verdict(
          at: wallTime(now).description, subject: name, callID: callID, code: code.rawValue, sentence: sentence,
          evidence: evidence, nextStep: code.nextStep)))
    actions.append(.statusChanged)
  }
}
