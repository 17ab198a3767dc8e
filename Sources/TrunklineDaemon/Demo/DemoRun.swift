import CallControl
import DatagramSockets
import EmbeddedProvider
import LinkManager
import NetworkTypes

/// `trunkline demo`: the embedded default at addresses of its own, in which a call is up while the line is cut and comes back
/// with another public address. Real sockets on loopback, the real clock, and the very link that `trunkline run` runs.
public final class DemoRun: Sendable {
  public struct Plan: Sendable {
    /// How long the call is, and after how long the line is cut, each time.
    public var seconds: Double
    public var cutEvery: Double
    /// Whether the far end sends where the SDP says and nowhere else: then only a re-INVITE brings the audio back.
    public var isStrict = true

    public init(seconds: Double, cutEvery: Double) {
      self.seconds = seconds
      self.cutEvery = cutEvery
    }

    /// How long the line is down.
    public var outage: Double { min(max(cutEvery / 4, 0.5), 3) }
    /// When it is cut, in seconds of the call; a cut that nobody would hear the end of is left out.
    public var cuts: [Double] {
      var result: [Double] = []
      var at = cutEvery
      while at + outage + 2 <= seconds, result.count < 200 {
        result.append(at)
        at += cutEvery
      }
      return result
    }
  }

  /// What came of it.
  public struct Outcome: Sendable {
    /// The promise that did not hold; `nil` where all did.
    public var broken: String?
    /// What the far end heard, 16 bits at 8 kHz.
    public var farHeard: [Int16]
    public var picture: TimelinePicture?
  }

  /// What the trunk's registration may take after the line's return, and the audio, both ways.
  public static let registrationLimit = 2.0
  public static let audioLimit = 1.0
  private static let number = "+49211123450"
  private static let farNumber = "+49301111"

  private let plan: Plan
  private let print: @Sendable (String) -> Void
  private let stage = DemoStage()

  /// - Parameter print: takes the account, a line at a time.
  public init(_ plan: Plan, print: @escaping @Sendable (String) -> Void) {
    self.plan = plan
    self.print = print
  }

  public func run() async throws -> Outcome {
    let host = try open()
    defer { host.stop() }
    // Its thread has not begun yet.
    host.embeddedObserver = { [stage] in stage.observe($0, now: $1) }
    try await host.start()
    let broken = await play(host)
    flush()
    let state = stage.current
    return Outcome(broken: broken, farHeard: state.farHeard, picture: picture(state))
  }

  /// At the first addresses of loopback that nobody uses.
  private func open() throws -> SignallingHost {
    for number in UInt8(10)..<30 {
      // Where other programs have the usual ports on every address, ours are others.
      let ports: (lan: UInt16, uplink: UInt16) = number < 20 ? (5060, 65002) : (15060, 65022)
      if let host = open(at: LoopbackSite(number), ports) { return host }
    }
    throw DaemonFailure.port("no address of loopback has the ports free that the demo needs")
  }

  private func open(at site: LoopbackSite, _ ports: (lan: UInt16, uplink: UInt16)) -> SignallingHost? {
    for port in [ports.lan, ports.uplink] {
      guard let socket = try? DatagramSocket.open(local: Endpoint(site.link, port: port)) else { return nil }
      socket.close()
    }
    var random = SystemRandom.source()
    var embedded = EmbeddedDefault(
      interfaces: [InterfaceAddress(site.link, prefixLength: 24)], random: &random, lanPort: ports.lan,
      uplinkPort: ports.uplink, site: site)
    embedded.discoversNAT = false
    embedded.ringsBuiltInPhone = true
    embedded.provider = Self.provider(isStrict: plan.isStrict)
    return try? SignallingHost(configuration: LinkConfiguration(), embedded: embedded, listeners: listeners())
  }

  private static func provider(isStrict: Bool) -> @Sendable (inout ProviderConfiguration) -> Void {
    { provider in
      provider.quirks.latching = !isStrict
      let script = CallScript(sound: .melody(hertz: 330), records: true)
      provider.farEnds.append(
        FarEnd(NumberPattern(farNumber), AnswerPlan(.answer(after: .seconds(1)), script: script)))
    }
  }

  private func listeners() -> SignallingHost.Listeners {
    SignallingHost.Listeners(
      verdict: { [stage] in stage.tell("! \($0.sentence)") },
      logged: { _, _ in },
      measured: { _ in }, statusChanged: {}, stopped: {})
  }

  // MARK: The story

  /// Plays to the end or to the first broken promise, which it returns in words.
  private func play(_ host: SignallingHost) async -> String? {
    stage.tell("an office behind a NAT router that lets in only what it was asked for (port-restricted)")
    guard await wait(10, until: { $0.contact != nil }) else { return "the trunk registers within 10 s" }
    let contact = stage.current.contact ?? ""
    let publicAddress = await host.run { $0.embedded?.router.publicAddress }
    stage.tell("the trunk is registered; the provider will call \(contact)")
    guard let publicAddress, contact.contains("@\(publicAddress):") else {
      return "the contact is the public address that STUN found"
    }
    guard await isPhoneRegistered(host) else { return "the telephone registers within 5 s" }
    guard let call = await host.run({ $0.dial(Self.farNumber, for: nil, sound: .melody(hertz: 440)) }) else {
      return "the telephone can dial"
    }
    stage.tell("the telephone dials \(Self.farNumber), by way of the trunk")
    guard await wait(5, until: { $0.answeredAt != nil }) else { return "the call is answered" }
    stage.tell(
      "answered; both sides play. The far end sends \(plan.isStrict ? "where the SDP says and nowhere else" : "to where our packets come from")"
    )
    if let broken = await cuts(host) { return broken }
    await host.run { $0.hangUpPhone(call) }
    stage.tell("the telephone hangs up")
    guard await wait(3, until: { $0.farEnding != nil && !$0.farHeard.isEmpty }) else {
      return "the far end is hung up too"
    }
    guard stage.current.farEnding == .byThem else { return "the call lives until the telephone hangs up" }
    return await epilogue(host)
  }

  private func cuts(_ host: SignallingHost) async -> String? {
    let answered = stage.current.answeredAt ?? stage.elapsed
    for (index, cut) in plan.cuts.enumerated() {
      await pause(until: answered + cut)
      if stage.current.phoneEnding != nil { return "the call goes on" }
      await host.run { $0.cutLine() }
      await pause(until: answered + cut + plan.outage)
      await host.run { $0.restoreLine() }
      _ = await wait(min(6, plan.cutEvery - plan.outage), until: { $0.cuts[index].isOver || $0.phoneEnding != nil })
      let state = stage.current
      guard state.phoneEnding == nil, state.farEnding == nil else { return "the call goes on after cut \(index + 1)" }
      let made = state.cuts[index]
      let back = made.backAt ?? made.at
      guard let registered = made.registeredAt, registered - back <= Self.registrationLimit else {
        return "the trunk registers its new address within \(Self.registrationLimit) s of the line's return"
      }
      for (who, heard) in [("far end", made.farHeardAt), ("telephone", made.phoneHeardAt)] {
        guard let heard, heard - back <= Self.audioLimit else {
          return "the \(who) hears the other again within \(Self.audioLimit) s of the line's return"
        }
      }
    }
    await pause(until: answered + plan.seconds)
    return stage.current.phoneEnding == nil ? nil : "the call goes on to its end"
  }

  private func epilogue(_ host: SignallingHost) async -> String? {
    let isClean = await waitFor(3) {
      await host.run { host in
        host.link.status(now: SystemClock.now()).calls.isEmpty
          && host.link.metrics(now: SystemClock.now()).mediaPorts == 0
      }
    }
    guard isClean else { return "nothing of the call is left afterwards" }
    stage.tell("someone calls \(Self.number) from outside")
    let isPlaced = await host.run {
      $0.callFromOutside(to: Self.number, from: Self.farNumber, for: .seconds(1), sound: .melody(hertz: 330))
    }
    guard isPlaced, await wait(6, until: { $0.isInboundAnswered }) else { return "a call from outside comes through" }
    stage.tell("and the telephone answers: the provider knows the way to the new address")
    return nil
  }

  private func isPhoneRegistered(_ host: SignallingHost) async -> Bool {
    await waitFor(5) { await host.run { $0.embedded?.phone.isRegistered == true } }
  }

  // MARK: Waiting

  private func wait(_ seconds: Double, until isTrue: (DemoStage.State) -> Bool) async -> Bool {
    await waitFor(seconds) { isTrue(stage.current) }
  }

  private func waitFor(_ seconds: Double, _ isTrue: () async -> Bool) async -> Bool {
    let end = stage.elapsed + seconds
    while true {
      flush()
      if await isTrue() { return true }
      if stage.elapsed >= end || Task.isCancelled { return false }
      try? await Task.sleep(for: .milliseconds(20))
    }
  }

  private func pause(until moment: Double) async {
    while stage.elapsed < moment, !Task.isCancelled {
      flush()
      try? await Task.sleep(for: .seconds(min(0.05, max(0.001, moment - stage.elapsed))))
    }
    flush()
  }

  private func flush() { for line in stage.takeLines() { print(line) } }

  // MARK: The picture

  private func picture(_ state: DemoStage.State) -> TimelinePicture? {
    guard let answered = state.answeredAt, let ended = state.endedAt else { return nil }
    // From just before the INVITE, a second before the answer, to half a second after the end.
    let from = max(answered - 1.2, 0)
    let hears = [
      ("office → far end", "what they hear", state.farHeard), ("far end → office", "what we hear", state.phoneHeard),
    ]
    let lanes = hears.map { title, subtitle, samples in
      // Both sides heard each other until the end, so that a recording ended when the call did.
      let start = ended - Double(samples.count) / 8000 - from
      let gaps = AudioGaps.find(in: samples).map { gap in
        TimelinePicture.Stretch(
          from: start + gap.from, to: start + gap.to, text: "\(DemoStage.hundredths(gap.to - gap.from)) s")
      }
      return TimelinePicture.Lane(
        title: title, subtitle: subtitle, start: start, peaks: AudioGaps.peaks(of: samples), gaps: gaps)
    }
    let outages = state.cuts.compactMap { cut in cut.backAt.map { $0 - cut.at } }
    let repairs = state.cuts.flatMap { cut in
      [cut.farHeardAt, cut.phoneHeardAt].compactMap { heard in heard.flatMap { at in cut.backAt.map { at - $0 } } }
    }
    var subtitle = "One call of \(Int(plan.seconds)) s over a line that was not cut"
    if let outage = outages.first, let slowest = repairs.max() {
      let times = outages.count == 1 ? "once" : outages.count == 2 ? "twice" : "\(outages.count) times"
      subtitle =
        "The line goes down \(times), for \(DemoStage.hundredths(outage)) s, and comes back with another public address."
        + " Both sides hear each other again within \(DemoStage.hundredths(max(slowest, 0.01))) s."
    }
    var picture = TimelinePicture(
      title: "One call, \(state.cuts.count + 1) public addresses", subtitle: subtitle, seconds: ended + 0.5 - from)
    var begin = 0.0
    for cut in state.cuts {
      picture.line.append(.init(from: begin, to: cut.at - from, text: cut.address))
      begin = (cut.backAt ?? cut.at) - from
    }
    let last =
      state.cuts.last?.newAddress
      ?? state.contact?.split(separator: "@").last?.split(separator: ":").first.map(String.init)
    picture.line.append(.init(from: begin, to: picture.seconds, text: last ?? ""))
    picture.messages = state.messages.filter { $0.at >= from && $0.at <= ended + 0.5 }.map { ($0.at - from, $0.text) }
    picture.lanes = lanes
    picture.footer =
      "trunkline demo: real sockets on loopback, "
      + (plan.isStrict ? "a far end that sends only where the SDP says" : "a far end that follows our packets")
      + ". Seconds of silence in red."
    return picture
  }
}
