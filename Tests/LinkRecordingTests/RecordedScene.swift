import LinkManager
import LinkRecording
import LinkScenario
import NetworkSimulator
import NetworkTypes

/// A scene whose link is recorded as the daemon records it.
struct RecordedScene {
  let scene: Scene

  init(_ change: (inout Scene.Plan) -> Void = { _ in }) { self.init(Scene(change)) }

  /// From now on; nothing may have happened in it yet.
  init(_ scene: Scene) {
    self.scene = scene
    scene.net.withHost(scene.link, as: LinkHost.self) { host, _, _ in host.isRecorded = true }
  }

  var taken: [LinkHost.Taken] { scene.net.host(scene.link, as: LinkHost.self)?.taken ?? [] }

  /// What the file holds, and the random numbers that the simulated link began with.
  func recording(key: UInt64) throws -> (text: String, random: RandomSource) {
    guard let host = scene.net.host(scene.link, as: LinkHost.self) else { throw RecordedRun.Failure.noRecording }
    var random = RandomSource(seed: key)
    var lines: [String] = []
    var recorder = LinkRecorder(
      configuration: host.beginning.configuration, seed: LinkSeed([1]), now: host.beginning.now,
      wallTime: host.beginning.wallTime, random: &random, lines: &lines)
    for taken in host.taken {
      lines.append(recorder.line(taken.input, now: taken.at, shape: DecisionShape.of(taken.actions)))
    }
    return (lines.joined(separator: "\n") + "\n", host.beginning.random)
  }
}

/// The verdicts, records and measurements of a link, without names.
func outcome(_ actions: [LinkAction]) -> [String] {
  actions.compactMap { action in
    switch action {
    case .verdict(let verdict): "verdict \(verdict.code)"
    case .record(let record): "record \(record.id) \(record.result) \(record.endedBy) \(record.status ?? 0)"
    case .measured(let measurement): "\(measurement)"
    case .stopped: "stopped"
    default: nil
    }
  }
}
