public import LinkManager
package import NetworkTypes

/// The very cores that met an incident meet it again.
public struct LinkReplay: Sendable {
  /// What came of one input.
  public struct Step: Sendable {
    public var entry: RecordedRun.Entry
    public var actions: [LinkAction]
    /// Whether the link that was recorded decided the same, as far as its shape tells.
    public var isSame: Bool
  }

  public private(set) var link: LinkCore
  private var rest: ArraySlice<RecordedRun.Entry>

  public init(_ recording: RecordedRun) {
    self.init(recording, random: recording.seed.source)
  }

  /// As above, with random numbers that begin where no seed does.
  package init(_ recording: RecordedRun, random: RandomSource) {
    link =
      recording.handover.map { LinkCore($0, random: random) }
      ?? LinkCore(
        configuration: recording.configuration, random: random, now: recording.beginning, wallTime: recording.wallTime)
    rest = recording.entries[...]
  }

  /// The next input and what the link decides; `nil` at the end.
  public mutating func step() -> Step? {
    guard let entry = rest.popFirst() else { return nil }
    var actions: [LinkAction] = []
    link.apply(entry.input, now: entry.at, into: &actions)
    return Step(entry: entry, actions: actions, isSame: DecisionShape.of(actions) == entry.shape)
  }
}
