public import MediaRelay
public import NetworkTypes

/// What a ``ProviderCore`` or a ``PhoneCore`` asks of whoever drives it, in order.
public enum AgentAction<Event: Sendable>: Sendable {
  /// Bind UDP socket `socket` to the endpoint. Nothing waits for the answer.
  case openSocket(Int, Endpoint)
  case send([UInt8], socket: Int, to: Endpoint)
  case media(MediaCommand)
  case event(Event)
  /// A line for people.
  case log(String)
}

/// One call of one agent, counted from 1.
public struct AgentCallID: Hashable, Sendable, Comparable, CustomStringConvertible {
  public let rawValue: Int

  init(_ rawValue: Int) { self.rawValue = rawValue }

  public var description: String { "call \(rawValue)" }
  public static func < (left: Self, right: Self) -> Bool { left.rawValue < right.rawValue }
}

/// What is heard at our end of a call.
public enum CallSound: Sendable, Hashable {
  case silence
  case tone(hertz: Int)
  /// A chord from `hertz` on, note by note.
  case melody(hertz: Int)
  /// What the other side says comes back to it.
  case echo
}

/// What an agent does in a call that is up.
public struct CallScript: Sendable, Hashable {
  public var sound: CallSound
  /// Whether what is heard is kept, and told when the call ends (16-bit samples at 8 kHz).
  public var records: Bool
  /// Hangs up this long after the answer; `nil` leaves that to the other side.
  public var hangUpAfter: Duration?

  public init(sound: CallSound = .silence, records: Bool = false, hangUpAfter: Duration? = nil) {
    self.sound = sound
    self.records = records
    self.hangUpAfter = hangUpAfter
  }
}

/// What an agent does with a call that comes in.
public struct AnswerPlan: Sendable, Hashable {
  public enum Outcome: Sendable, Hashable {
    /// 200 this long after the INVITE.
    case answer(after: Duration)
    /// A final refusal, 300 to 699, this long after the INVITE.
    case refuse(Int, after: Duration)
    /// Rings until the caller gives up.
    case never
    /// Not even a provisional response: what a dead host looks like.
    case ignore
  }

  public var outcome: Outcome
  /// 180 is sent this long after the INVITE; `nil` sends none.
  public var ringAfter: Duration?
  public var script: CallScript

  public init(_ outcome: Outcome, ringAfter: Duration? = .milliseconds(100), script: CallScript = CallScript()) {
    self.outcome = outcome
    self.ringAfter = ringAfter
    self.script = script
  }

  public static let busy = AnswerPlan(.refuse(486, after: .milliseconds(50)), ringAfter: nil)
}

/// How a call ended.
public enum CallEnding: Sendable, Hashable {
  /// We hung up, or took back a call that was not answered yet.
  case byUs
  case byThem
  /// The call was not set up: the final status, or 408 where nobody answered at all.
  case refused(Int)
  /// It was up, or nearly, and broke: no ACK, no media port, an SDP that says nothing usable.
  case failed(String)
}
