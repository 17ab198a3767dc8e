public import LinkManager
public import NetworkTypes

/// Writes down what one link is told, from its beginning or from a handover on, a line each, in pseudonyms.
///
/// Needs time for each line (some ten microseconds), so it belongs to a thread of its own: what it is given are values.
public struct LinkRecorder: Sendable {
  /// The first word of the first line of every recording; the number goes up when old readers cannot read it any more.
  public static let signature = "trunkline-recording 2"
  /// What this version can read.
  static let signatures: Set<Substring> = ["trunkline-recording 1", "trunkline-recording 2"]

  private var redactor: RecordingRedactor
  private var last: MonotonicInstant

  /// - Parameters:
  ///   - random: for the pseudonyms only.
  ///   - now: the instant that the core was made with, as `seed` and `configuration`.
  /// - Returns: through `lines` the first two lines.
  public init(
    configuration: LinkConfiguration, seed: LinkSeed, now: MonotonicInstant, wallTime: WallTime,
    random: inout RandomSource, lines: inout [String]
  ) {
    redactor = RecordingRedactor(random: &random)
    last = now
    lines += Self.beginning("start", seed, now, wallTime, RecordedLine.json(redactor.redact(configuration)))
  }

  /// Begins another recording with what the link is at this moment; the pseudonyms stay.
  ///
  /// - Parameter seed: where the random numbers of the link come from hereafter.
  /// - Returns: the first two lines.
  public mutating func begin(
    with handover: LinkHandover, seed: LinkSeed, now: MonotonicInstant, wallTime: WallTime
  ) -> [String] {
    last = now
    return Self.beginning("handover", seed, now, wallTime, redactor.redact(handover))
  }

  private static func beginning(
    _ kind: String, _ seed: LinkSeed, _ now: MonotonicInstant, _ wallTime: WallTime, _ state: String
  ) -> [String] {
    let words = seed.words.map { String($0, radix: 16) }.joined(separator: ".")
    return [
      checked(signature), checked("\(kind) \(now.nanoseconds) \(wallTime.nanoseconds) \(words) \(state)"),
    ]
  }

  /// - Parameter shape: that of what the link asked for, by ``DecisionShape``.
  public mutating func line(_ input: LinkInput, now: MonotonicInstant, shape: UInt32) -> String {
    let since = now.nanoseconds &- last.nanoseconds
    last = now
    let digits = String(shape, radix: 16)
    return Self.checked("+\(since) \(digits) \(RecordedLine.text(redactor.redact(input)))")
  }

  /// A remark for readers, which a replay passes over.
  public static func note(_ text: String) -> String { checked("# \(text)") }

  /// Each line begins with a checksum, so that a torn or altered one is known for what it is.
  package static func checked(_ text: String) -> String {
    let digits = String(checksum(text.utf8), radix: 16)
    return "\(String(repeating: "0", count: 8 - digits.utf8.count))\(digits) \(text)"
  }

  /// FNV-1a, 32 bits.
  static func checksum(_ bytes: some Sequence<UInt8>) -> UInt32 {
    var hash: UInt32 = 2_166_136_261
    for byte in bytes { hash = (hash ^ UInt32(byte)) &* 16_777_619 }
    return hash
  }
}

/// What a link decided, as a number that pseudonyms do not change: the kinds of its actions, their order, and how long the
/// messages are. By it a replay proves that it decides as the link did.
public enum DecisionShape {
  public static func of(_ actions: [LinkAction]) -> UInt32 {
    var hash: UInt32 = 2_166_136_261
    func add(_ value: Int) { hash = (hash ^ UInt32(truncatingIfNeeded: value)) &* 16_777_619 }
    for action in actions {
      switch action {
      case .openSocket(let socket, _):
        add(1)
        add(socket.rawValue)
      case .send(let bytes, let socket, let remote):
        add(2)
        add(bytes.count)
        add(socket.rawValue)
        add(Int(remote.port))
      case .listen: add(3)
      case .sendStream(let bytes, let connection):
        add(4)
        add(bytes.count)
        add(connection)
      case .closeStream(let connection):
        add(5)
        add(connection)
      case .media: add(6)
      case .closeSocket(let socket):
        add(33)
        add(socket.rawValue)
      case .resolveService: add(34)
      case .rememberCuts: add(35)
      // What others were told before them was the same without.
      case .rememberContacts, .answered: break
      case .router: add(36)
      case .examined: add(37)
      case .resolve(let host):
        add(7)
        add(host.utf8.count)
      case .discoverNAT: add(8)
      case .record: add(9)
      case .verdict(let verdict):
        add(10)
        for byte in verdict.code.utf8 { add(Int(byte)) }
      case .log(let level, _): add(11 + level.rawValue.utf8.count)
      case .measured: add(30)
      case .statusChanged: add(31)
      case .stopped: add(32)
      }
    }
    return hash
  }
}
