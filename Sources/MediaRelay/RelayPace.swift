/// How often a relay does what it does by the clock.
public struct RelayPace: Sendable, Equatable {
  /// Between two packets of what is played; less than ``RelayCore/silenceLimit``.
  public let playing: Duration
  /// Between two counts of a port.
  public let counting: Duration

  /// Packets of 20 ms, counts of a second.
  public static let live = RelayPace(playing: .milliseconds(20), counting: .seconds(1))
  /// A stream as a flow: a packet every 250 ms stands for all that would have passed, which is just often enough that
  /// nobody takes it for silence, and ports are counted often enough for who looks 6 s after the answer whether anything is
  /// heard. For simulations of days and years.
  public static let flow = RelayPace(playing: .milliseconds(250), counting: .seconds(5))
}
