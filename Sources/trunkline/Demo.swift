import ArgumentParser
import EmbeddedProvider
import Foundation
import LinkManager
import LinkScenario
import NetworkSimulator
import NetworkTypes
import TrunklineDaemon

struct Demo: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Shows a call through a NAT router, on one machine and with no other software.",
    discussion: """
      A provider, a NAT router, a telephone and a far end live in a simulated internet, around the very link that
      `trunkline run` runs. Time there passes as fast as this machine can. Writes what the far end heard.

      Exit code 0 if every promise held, 1 with the one that broke.

      Example: trunkline demo --seconds 30
      """)

  @Option(help: "How long the call is, 2 to 600 seconds.") var seconds = 10
  @Option(help: "Where to write what the far end heard.") var output = "demo.wav"
  @Option(help: "The seed of the simulated internet: the same seed, the same story.") var seed: UInt64 = 1

  func validate() throws {
    guard (2...600).contains(seconds) else { throw ValidationError("--seconds takes 2 to 600.") }
  }

  func run() throws {
    var story = DemoStory(scene: Scene { $0.seed = seed }, seconds: seconds)
    let broken = story.play()
    try Data(WaveFile.encode(story.farHeard)).write(to: URL(fileURLWithPath: output))
    let trace = story.scene.net.trace
    Console.print("\nSeed \(seed): \(trace.count) events, trace \(String(trace.digest, radix: 16)).")
    Console.print("What the far end heard is in \(output).")
    guard let broken else {
      Console.print("Every promise held.")
      return
    }
    Console.print("Broken: \(broken)")
    throw ExitCode(1)
  }
}

/// The demo, promise by promise.
struct DemoStory {
  let scene: Scene
  let seconds: Int
  private(set) var farHeard: [Int16] = []

  init(scene: Scene, seconds: Int) {
    self.scene = scene
    self.seconds = seconds
  }

  /// Plays to the end or to the first broken promise, which it returns in words.
  mutating func play() -> String? {
    tell("an office with telephones, behind a NAT router that lets in only what it was asked for (port-restricted)")
    guard scene.runUntilRegistered() else { return "the trunk registers within 30 s" }
    let contact = scene.contacts.first ?? "nothing"
    tell("the trunk is registered; the provider will call \(contact)")
    guard contact.contains("198.51.100.1:65002") else { return "the contact is the public address that STUN found" }

    scene.run(1)
    guard let call = scene.dial(Scene.farNumber) else { return "the telephone can dial" }
    tell("extension 10 dials \(Scene.farNumber), by way of the trunk")
    guard scene.waitForCall(state: "answered", atMost: 10) else { return "the call is answered" }
    tell("answered; both sides play a tone: the telephone \(Scene.phoneTone) Hz, the far end \(Scene.farTone) Hz")
    for elapsed in stride(from: 0, to: seconds, by: 5) {
      scene.run(Double(min(5, seconds - elapsed)))
      if let legs = scene.status.calls.first?.legs {
        let counts = legs.map { "\($0.packetsIn) in, \($0.packetsOut) out" }.joined(separator: "; ")
        tell("RTP packets: \(counts)")
      }
    }
    scene.hangUpPhone(call)
    scene.run(1)
    tell("extension 10 hangs up\(scene.farEnding == .byThem ? "; the far end got its BYE" : "")")
    farHeard = scene.farHeard
    guard scene.farEnding == .byThem else { return "the far end is hung up too" }
    let heard = scene.secondsHeard
    tell("heard of each other: the far end \(text(heard.far)) s, the telephone \(text(heard.phone)) s")
    let least = Double(seconds) - 0.5
    guard heard.far >= least else { return "the far end hears the telephone all the time" }
    guard heard.phone >= least else { return "the telephone hears the far end all the time" }
    scene.run(40)
    tell("40 s later; what is left of the call: \(scene.leftovers.isEmpty ? "nothing" : "\(scene.leftovers)")")
    guard scene.settles() else { return "nothing of the call is left afterwards" }
    guard scene.trunk?.state == .registered else { return "the trunk stays registered" }
    guard scene.callFromOutside(for: .seconds(3)) != nil else { return "the provider knows where to call" }
    tell("someone calls \(Scene.number) from outside")
    guard scene.waitForCall(state: "answered", atMost: 10) else { return "a call from outside comes through" }
    scene.run(5)
    tell("extension 10 answered, the caller hung up after 3 s")
    guard scene.phoneEnding() == .byThem else { return "the telephone is hung up too" }
    return nil
  }

  private func tell(_ sentence: String) {
    let seconds = scene.elapsed
    let tenths = Int((seconds * 10).rounded())
    let shown = "\(tenths / 10).\(tenths % 10)"
    Console.print("\(String(repeating: " ", count: max(0, 6 - shown.count)))\(shown) s  \(sentence)")
  }

  private func text(_ seconds: Double) -> String { String(format: "%.1f", seconds) }
}
