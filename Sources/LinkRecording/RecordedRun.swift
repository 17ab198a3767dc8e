public import LinkManager
public import NetworkTypes

/// A recording that was read: how the link began, or what it was, and what it was told.
public struct RecordedRun: Sendable {
  public struct Entry: Sendable {
    public var at: MonotonicInstant
    public var input: LinkInput
    /// What the link's decisions looked like, by ``DecisionShape``.
    public var shape: UInt32
  }

  public var configuration: LinkConfiguration
  /// What the link was where the recording begins; `nil` for one that begins with the link.
  public var handover: LinkHandover?
  public var seed: LinkSeed
  public var beginning: MonotonicInstant
  public var wallTime: WallTime
  public var entries: [Entry] = []
  /// Remarks, with the number of entries before each.
  public var notes: [(place: Int, text: String)] = []
  /// Why reading ended before the end, where it did: a torn line, or one that this version does not know.
  public var ending: String?

  public enum Failure: Error, Sendable, Equatable, CustomStringConvertible {
    case noRecording
    case newerVersion

    public var description: String {
      switch self {
      case .noRecording: "this is no recording of Trunkline, or its beginning is damaged"
      case .newerVersion: "this recording was made by a newer version of Trunkline"
      }
    }
  }

  /// Reads what is sound; a tail that was torn by a crash is cut off.
  public init(parsing bytes: [UInt8]) throws(Failure) {
    var lines = bytes.split(separator: 10, omittingEmptySubsequences: true).makeIterator()
    guard let first = lines.next(), let signature = Self.sound(first) else { throw .noRecording }
    guard LinkRecorder.signatures.contains(signature) else {
      throw signature.hasPrefix("trunkline-recording ") ? .newerVersion : .noRecording
    }
    guard let second = lines.next(), let start = Self.sound(second) else { throw .noRecording }
    let fields = start.split(separator: " ", maxSplits: 4)
    guard fields.count == 5, let now = Int64(fields[1]), let wall = Int64(fields[2]),
      let seed = RecordedLine.seed(fields[3])
    else { throw .noRecording }
    switch fields[0] {
    case "start":
      guard let read = RecordedLine.decoded(fields[4], as: LinkConfiguration.self) else { throw .noRecording }
      configuration = read
    case "handover":
      guard HandoverText.isBounded(fields[4]), let read = RecordedLine.decoded(fields[4], as: LinkHandover.self),
        read.isSound
      else { throw .noRecording }
      handover = read
      configuration = read.configuration
    default: throw .noRecording
    }
    self.seed = seed
    beginning = MonotonicInstant(nanoseconds: now)
    wallTime = WallTime(nanoseconds: wall)
    var at = beginning
    while let line = lines.next() {
      guard let text = Self.sound(line) else {
        ending = "a line is damaged; what follows was left out"
        break
      }
      if text.hasPrefix("# ") {
        notes.append((entries.count, String(text.dropFirst(2))))
        continue
      }
      let parts = text.split(separator: " ", maxSplits: 2)
      guard parts.count == 3, parts[0].first == "+", let since = Int64(parts[0].dropFirst()),
        let shape = UInt32(parts[1], radix: 16), let input = RecordedLine.input(parts[2])
      else {
        ending = "a line says what this version does not know; what follows was left out"
        break
      }
      at = at + .nanoseconds(since)
      entries.append(Entry(at: at, input: input, shape: shape))
    }
  }

  private static func sound(_ line: ArraySlice<UInt8>) -> Substring? {
    guard line.count > 9, let sum = UInt32(String(decoding: line.prefix(8), as: UTF8.self), radix: 16),
      LinkRecorder.checksum(line.dropFirst(9)) == sum
    else { return nil }
    return Substring(String(decoding: line.dropFirst(9), as: UTF8.self))
  }
}
