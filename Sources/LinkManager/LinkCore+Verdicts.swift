import NetworkTypes
import OrderedCollections

/// Whom or what a verdict is about, as ``Verdict/subject`` names it.
enum VerdictSubject: Hashable, Sendable {
  case trunk(Int)
  case uplink(Int)
  case call(UInt64)
  /// A phone or a PBX, as routing rules name it: `phone:10`.
  case station(String)
  case machine
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
    case .station(let target): target.split(separator: ":", maxSplits: 1).joined(separator: " ")
    case .machine: "this machine"
    }
  }

  /// Tells a person what went wrong, in the log and as a verdict: once, until ``over(_:of:)`` says that it is not so any
  /// more. The log gets the sentence alone: evidence may have addresses and numbers, which are nobody's business there.
  ///
  /// - Parameters:
  ///   - sentence: `nil` stands for what the code means in general.
  ///   - again: for what has no end that could be noticed: how long after it was told it may be told again.
  mutating func tell(
    _ code: VerdictCode, of subject: VerdictSubject, _ sentence: String? = nil, evidence: String,
    again: Duration? = nil, now: MonotonicInstant, into actions: inout [LinkAction]
  ) {
    if let before = told[subject]?[code], again.map({ now - before < $0 }) ?? true { return }
    told[subject, default: [:]][code] = now
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

  /// It is not so any more: when it is again, it is told again.
  mutating func over(_ code: VerdictCode, of subject: VerdictSubject) {
    // Next to always there is nothing.
    guard !told.isEmpty, told[subject]?[code] != nil else { return }
    told[subject]?[code] = nil
    if told[subject]?.isEmpty == true { told[subject] = nil }
  }

  func isTold(_ code: VerdictCode, of subject: VerdictSubject) -> Bool { told[subject]?[code] != nil }

  /// A trunk is usable again: what kept it from that is over.
  mutating func trunkWell(_ index: Int) {
    guard !told.isEmpty, let codes = told[.trunk(index)]?.keys.filter({ $0 != .clockOff && $0 != .numberNotOurs })
    else { return }
    for code in codes { over(code, of: .trunk(index)) }
  }
}
