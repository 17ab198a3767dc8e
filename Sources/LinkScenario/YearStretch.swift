import CallControl
import EmbeddedProvider
import LinkManager
import NetworkSimulator
import NetworkTypes
import SDP
import SIPSyntax

/// Some nights in a row of one office, all of it decided by a seed: days with calls, and a cut each night. State goes on
/// from night to night, so that an address may come back that the line had before.
///
/// Hours in which nothing but keepalives happens are left out: a day lasts as long as its calls, a night ten minutes.
package final class YearStretch {
  package struct Plan: Sendable {
    package var nights = 5
    package var callsPerDay = 40
    /// Whether servers die, lie and are late; without, only the line is cut.
    package var hasTroubles = true

    package init() {}
  }

  /// Something that should have held and did not.
  package struct Failure: Sendable, CustomStringConvertible {
    package enum Kind: String, Sendable, CaseIterable {
      /// What ``LinkCore/brokenInvariants(now:)`` says, and credentials that left for somebody else.
      case invariant
      /// The network found a host doing what no host may do.
      case fault
      case unregistered
      /// The contact that the provider has does not lead to us.
      case contact
      /// A call that one side has and another has not, or that is never over.
      case ghost
      case silence
      case leftover
      case call
      /// A call was said to be without sound on a day on which nothing was wrong.
      case falseAlarm
    }

    package let kind: Kind
    package let night: Int
    package let sentence: String

    package var description: String { "night \(night): \(kind.rawValue): \(sentence)" }
  }

  package let office: YearOffice
  package let plan: Plan
  package let scene: Scene
  package private(set) var failures: [Failure] = []
  /// What happened, a line each, for people.
  package private(set) var account: [String] = []
  /// When each of these was told, seconds since the beginning.
  private var toldAt: [Double] = []
  package private(set) var night = 0
  private var random: RandomSource
  private var addresses = ["198.51.100.1"]
  private static let maximumFailures = 50

  /// The same, with what the link logged at its place, and with the SIP messages on the line where they were kept.
  package var accountWithLog: [String] {
    let logs = scene.net.host(scene.link, as: LinkHost.self)?.logs ?? []
    var lines = toldAt.indices.map { (toldAt[$0], account[$0]) }
    for log in logs {
      let seconds = (log.at - scene.net.beginning).inSeconds
      lines.append((seconds, "    \(Self.time(Int(seconds))) \(log.sentence)"))
    }
    var heardAt: [[Endpoint]: MonotonicInstant] = [:]
    for packet in scene.net.capture(scene.lineCapture).packets {
      switch packet.datagram.content {
      case .sip: break
      case .rtp:
        // A stream is told when it begins, and when it goes on after a pause.
        let ends = [packet.datagram.source, packet.datagram.destination]
        let before = heardAt.updateValue(packet.at, forKey: ends)
        if let before, packet.at - before < .seconds(2) { continue }
      case .stun, .other: continue
      }
      let seconds = (packet.at - scene.net.beginning).inSeconds
      lines.append((seconds, "      \(Self.time(Int(seconds))) \(Self.summary(of: packet))"))
    }
    // Stable: what happened at the same moment stays in its order.
    return lines.enumerated().sorted { ($0.element.0, $0.offset) < ($1.element.0, $1.offset) }.map(\.element.1)
  }

  private static func summary(of packet: PacketCapture.Packet) -> String {
    let ways = "\(packet.datagram.source) \(packet.isOutward ? ">" : "<") \(packet.datagram.destination)"
    if packet.datagram.content == .rtp { return "\(ways) audio" }
    guard let message = try? SIPMessage(taking: packet.datagram.bytes) else { return ways }
    let start = message.isRequest ? message.method.name : "\(message.status)"
    if message.method == .register, message.isRequest, let contact = message.value(.contact) {
      return "\(ways) REGISTER (\(message.value(.cSeq) ?? "")) \(contact.prefix(60))"
    }
    let audio = (try? SessionDescription(parsing: message.body.span))?.rtpEndpoint(0).map { ", audio to \($0)" } ?? ""
    return "\(ways) \(start) (\(message.value(.cSeq) ?? "")) \(message.callID?.prefix(8) ?? "")\(audio)"
  }

  /// - Parameter capturesLine: whether the SIP messages on the line are kept, for ``accountWithLog``.
  package init(seed: UInt64, plan: Plan = Plan(), capturesLine: Bool = false) {
    let office = YearOffice(seed: seed)
    self.office = office
    self.plan = plan
    random = RandomSource(seed: seed ^ 0x7965_6172)
    scene = Scene { scene in
      scene.seed = seed
      scene.isLong = true
      scene.nat = office.nat
      scene.line.loss = 0.01
      if capturesLine { scene.lineCaptureLimit = 1_000_000 }
      scene.link = {
        $0.trunks[0].realm = "provider.example"
        $0.uplinks[0].sparePort = 65003
      }
      scene.provider = {
        $0.quirks = office.quirks
        $0.farEnds.append(
          FarEnd(NumberPattern("+49304444"), AnswerPlan(.answer(after: .seconds(1)), script: CallScript(sound: .echo))))
        $0.farEnds.append(FarEnd(NumberPattern("+49305555"), AnswerPlan(.answer(after: .seconds(20)))))
      }
    }
    scene.net.withHost(scene.link, as: LinkHost.self) { host, _, _ in
      host.isWatched = true
      host.trustedProvider = address("203.0.113.10")
    }
    scene.net.withHost(scene.provider, as: ProviderHost.self) { host, _, _ in host.limit = 0 }
    for phone in scene.phones { scene.net.withHost(phone, as: PhoneHost.self) { host, _, _ in host.limit = 0 } }
  }

  /// One number for everything that happened.
  package var digest: UInt64 { scene.net.trace.digest }
  package var calls: Int { scene.records.count }

  package func run() {
    tell("\(office)")
    if !scene.runUntilRegistered(atMost: 60) { fail(.unregistered, "not within a minute of the start") }
    while night < plan.nights {
      night += 1
      day()
      cut()
      lookBack()
    }
  }

  private func tell(_ sentence: String) {
    toldAt.append(scene.elapsed)
    account.append("\(Self.time(Int(scene.elapsed))) \(sentence)")
  }

  private static func time(_ at: Int) -> String { "\(at / 3600):\(two(at / 60 % 60)):\(two(at % 60))" }

  private static func two(_ number: Int) -> String { number < 10 ? "0\(number)" : "\(number)" }

  private func fail(_ kind: Failure.Kind, _ sentence: String) {
    tell("FAILED: \(kind.rawValue): \(sentence)")
    if failures.count < Self.maximumFailures { failures.append(Failure(kind: kind, night: night, sentence: sentence)) }
  }

  private func draw(_ range: ClosedRange<Int>) -> Int { Int.random(in: range, using: &random) }

  // MARK: The day

  /// Calls in and out, answered, busy, given up. Nobody speaks: a stream that nothing disturbs has nothing to tell, and the
  /// calls are over before their silence would be told.
  private func day() {
    let echo = CallScript(sound: .echo)
    let before = scene.records.count
    let told = scene.verdicts.count
    for number in 0..<plan.callsPerDay {
      var script = echo
      script.hangUpAfter = .seconds(draw(1...5))
      switch (number + draw(0...1)) % 8 {
      case 0, 1, 2:
        _ = scene.withProvider { $0.placeCall(to: Scene.number, from: "+49301111", script: script, now: $1, into: &$2) }
      case 3, 4, 5: _ = scene.withPhone { $0.dial("+49304444", script: script, now: $1, into: &$2) }
      case 6: _ = scene.withPhone(1) { $0.dial("+49302222", script: script, now: $1, into: &$2) }
      default:
        let id = scene.withPhone(1) { $0.dial("+49303333", script: script, now: $1, into: &$2) } ?? nil
        scene.run(1.5)
        if let id { scene.hangUpPhone(id, 1) }
      }
      scene.run(Double(draw(10...50)) / 10)
    }
    // The last call, and a BYE whose answer was lost.
    scene.run(45)
    let made = scene.records.count - before
    if made != plan.callsPerDay { fail(.call, "\(plan.callsPerDay) calls were made by day, \(made) have a record") }
    let ofSound: [VerdictCode] = [.noAudio, .oneWayAudioIn, .oneWayAudioOut, .audioUnreachable]
    // There what the verdict says is true of each call, however short.
    let isMute = !office.quirks.latching && office.nat.mapping != .endpointIndependent
    for verdict in scene.verdicts[told...]
    where !isMute && ofSound.contains(where: { $0.rawValue == verdict.code }) {
      fail(.falseAlarm, "\(verdict.sentence) (\(verdict.evidence))")
    }
    lookAround()
  }

  // MARK: The night

  /// What is up when the line goes: something of everything.
  private func placeNightCalls() {
    let far = CallScript(sound: .tone(hertz: Scene.farTone))
    let near = CallScript(sound: .tone(hertz: Scene.phoneTone))
    _ = scene.withProvider { $0.placeCall(to: Scene.number, from: "+49301111", script: far, now: $1, into: &$2) }
    _ = scene.withPhone { $0.dial(Scene.farNumber, script: near, now: $1, into: &$2) }
    scene.run(4)
    // Ringing at the far end, ringing here, being set up, being hung up.
    _ = scene.withPhone(1) { $0.dial(draw(0...1) == 0 ? "+49303333" : "+49305555", script: near, now: $1, into: &$2) }
    scene.run(Double(draw(0...12)) / 10)
    _ = scene.withPhone(1) { $0.dial("+49304444", script: near, now: $1, into: &$2) }
    _ = scene.withProvider { $0.placeCall(to: Scene.number, from: "+49309999", script: far, now: $1, into: &$2) }
    scene.run(Double(draw(0...25)) / 10)
    if draw(0...2) == 0, let id = scene.phoneCall(draw(0...1)) { scene.hangUpPhone(id) }
    scene.run(Double(draw(0...2)) / 100)
  }

  private func nextAddress() -> String {
    switch draw(0...9) {
    case 0: addresses[addresses.count - 1]
    case 1, 2: addresses[draw(0...(addresses.count - 1))]
    default: "198.51.\(draw(100...103)).\(draw(2...250))"
    }
  }

  private func cut() {
    scene.run(Double(draw(0...100)) / 10)
    placeNightCalls()
    let seconds = [0, 1, 3, 5, 5, 8, 20, 61][draw(0...7)]
    let new = nextAddress()
    var told =
      "cut of \(seconds) s, then \(new == addresses.last ? "the same address" : addresses.contains(new) ? "an earlier address" : "a new address")"
    let trouble = plan.hasTroubles ? draw(0...9) : 9
    switch trouble {
    case 0:
      told += ", DNS down"
      scene.net.apply(.nameServerDied)
    case 1:
      told += ", the first STUN server dead"
      setServer(0) { $0.isDead = true }
    case 2:
      told += ", no STUN server answers"
      for index in scene.stun.indices { setServer(index) { $0.isDead = true } }
    case 3:
      told += ", STUN answers late"
      for index in scene.stun.indices { setServer(index) { $0.lateness = .milliseconds(700) } }
    case 4:
      told += ", the second STUN server lies"
      setServer(1) { $0.lie = endpoint("192.0.2.99:1234") }
    case 5:
      told += ", the first STUN server lies"
      setServer(0) { $0.lie = endpoint("192.0.2.99:1234") }
    case 6:
      told += ", the provider deaf for another 5 s"
      scene.net.apply(.nodeDeafened(scene.provider))
      scene.net.plan(.nodeHears(scene.provider), after: .seconds(seconds + 5))
    case 7: told += ", which comes for a moment in between"
    default: break
    }
    tell(told)
    scene.net.apply(.lineCut(scene.router))
    if trouble == 7 {
      for _ in 0..<draw(1...3) {
        scene.run(Double(draw(0...30)) / 10)
        scene.net.apply(.addressChanged(scene.router, address("198.51.105.\(draw(2...250))")))
        scene.net.apply(.lineRestored(scene.router))
        scene.run(Double(draw(0...20)) / 10)
        scene.net.apply(.lineCut(scene.router))
      }
    }
    scene.run(Double(seconds))
    scene.net.apply(.addressChanged(scene.router, address(new)))
    // A line that comes back with the same address comes back with a router that has forgotten or not.
    if new == addresses.last, draw(0...1) == 0 { scene.net.apply(.rebooted(scene.router)) }
    addresses.append(new)
    scene.net.apply(.lineRestored(scene.router))
    // Who always says the same of it hides a second change.
    if draw(0...7) == 0, trouble != 5 {
      scene.run(Double(draw(0...20)) / 10)
      let second = "198.51.104.\(draw(2...250))"
      tell("a second change during the repair of the first")
      scene.net.apply(.addressChanged(scene.router, address(second)))
      addresses.append(second)
    }
    scene.run(20)
    if trouble == 0 { scene.net.apply(.nameServerRevived) }
    // Who was always believed is found out when he has said it twice.
    if trouble == 5 { scene.run(12) }
    if trouble != 2 { listen() }
    for index in scene.stun.indices {
      setServer(index) {
        $0.isDead = false
        $0.lie = nil
        $0.lateness = .zero
      }
    }
    scene.run(30)
    if trouble == 2 { listen() }
    lookAround()
  }

  private func setServer(_ index: Int, _ body: (inout STUNServerHost) -> Void) {
    scene.net.withHost(scene.stun[index], as: STUNServerHost.self) { host, _, _ in body(&host) }
  }

  // MARK: Judging

  /// Whether those who talk hear each other.
  private func listen() {
    let far = scene.net.host(scene.provider, as: ProviderHost.self)?.silentPorts.count ?? 0
    let near = scene.phones.reduce(0) { $0 + (scene.net.host($1, as: PhoneHost.self)?.silentPorts.count ?? 0) }
    if far + near > 0 { fail(.silence, "\(far) far ends and \(near) telephones hear nothing") }
  }

  private var phoneCalls: Int {
    scene.phones.reduce(0) { $0 + (scene.net.host($1, as: PhoneHost.self)?.agent.callIDs.count ?? 0) }
  }
  private var farCalls: Int { scene.net.host(scene.provider, as: ProviderHost.self)?.agent.callIDs.count ?? 0 }

  private func lookAround() {
    if scene.trunk?.state != .registered {
      fail(.unregistered, "the trunk is \(scene.trunk?.state.rawValue ?? "gone")")
    }
    let host = scene.net.host(scene.link, as: LinkHost.self)
    for sentence in host?.broken ?? [] { fail(.invariant, sentence) }
    scene.net.withHost(scene.link, as: LinkHost.self) { host, _, _ in host.forgetBroken() }
    for fault in scene.net.faults { fail(.fault, fault) }
    scene.net.faults.removeAll()
    let current = addresses.last ?? ""
    let contacts = scene.contacts
    // Where a registrar rewrites contacts, an old one cannot be taken back: the request for it would name the new one.
    let isOurs = { (contact: String) in contact.contains("@\(current):") }
    if office.quirks.rewritesContacts
      ? !contacts.contains(where: isOurs) : !contacts.allSatisfy(isOurs) || contacts.isEmpty
    {
      fail(.contact, "the provider has \(contacts), the line has \(current)")
    }
  }

  /// Everybody hangs up, half of them here and half of them there; then nothing may be left anywhere.
  private func lookBack() {
    for index in scene.phones.indices {
      for id in scene.net.host(scene.phones[index], as: PhoneHost.self)?.agent.callIDs ?? [] where draw(0...1) == 0 {
        scene.hangUpPhone(id, index)
      }
    }
    scene.run(3)
    for id in scene.net.host(scene.provider, as: ProviderHost.self)?.agent.callIDs ?? [] { scene.hangUpOutside(id) }
    scene.run(40)
    let open = scene.status.calls.count
    if open > 0 || phoneCalls > 0 || farCalls > 0 {
      fail(
        .ghost, "all have hung up; the link has \(open) calls, the telephones \(phoneCalls), the provider \(farCalls)")
      for call in scene.status.calls { scene.apply(.hangUpAsked(call: call.id)) }
      for index in scene.phones.indices {
        for id in scene.net.host(scene.phones[index], as: PhoneHost.self)?.agent.callIDs ?? [] {
          scene.hangUpPhone(id, index)
        }
      }
    }
    if !scene.settles() { fail(.leftover, scene.leftovers.joined(separator: ", ")) }
    // Someone calls in: the contact leads here.
    let before = scene.records.count { $0.result == "answered" }
    let script = CallScript(sound: .echo, hangUpAfter: .seconds(2))
    _ = scene.withProvider { $0.placeCall(to: Scene.number, from: "+49301111", script: script, now: $1, into: &$2) }
    scene.run(12)
    if scene.records.count(where: { $0.result == "answered" }) == before {
      fail(.contact, "a call from outside does not come in")
    }
  }
}
