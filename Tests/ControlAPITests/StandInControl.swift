import ControlAPI
import LinkManager
import Synchronization

/// A daemon of fixed answers that remembers what it was asked to do.
final class StandInControl: LinkControl {
  struct State {
    var status: ControlStatus
    var asked: [String] = []
    var recording = DemoRecording.unknown
    var reloadMistakes: [String] = []
    var events: AsyncStream<ControlEvent>.Continuation?
  }

  let state: Mutex<State>

  init(_ trunkStates: [TrunkStatus.State] = [.registered, .static]) {
    var link = LinkStatus()
    var uplink = UplinkStatus(name: "dsl")
    uplink.publicAddress = EndpointStatus(ip: "203.0.113.5", port: 65002)
    uplink.natType = "portRestrictedCone"
    uplink.keepalives = 17
    link.uplinks = [uplink]
    link.trunks = trunkStates.enumerated().map { index, state in
      TrunkStatus(name: "trunk\(index)", state: state, registrar: "sip.example.net")
    }
    var phone = PhoneStatus(extension: "10", name: "<script>alert(1)</script>")
    phone.contacts = [PhoneStatus.ContactStatus(address: "192.168.1.10:5060", userAgent: "Desk phone")]
    link.phones = [phone]
    var call = CallStatus(
      id: "c1", direction: "outbound", from: "10", to: "*43", state: "answered", startedAt: "2026-01-01T10:00:00.000Z")
    call.legs = [CallStatus.LegStatus(callID: "a@b", remote: "192.168.1.10:7000")]
    link.calls = [call]
    state = Mutex(
      State(status: ControlStatus(version: "0.1", uptimeSeconds: 5, embeddedDefault: true, link: link)))
  }

  var asked: [String] { state.withLock { $0.asked } }
  private func ask(_ what: String) { state.withLock { $0.asked.append(what) } }

  func status() async -> ControlStatus { state.withLock { $0.status } }

  func history(limit: Int, before: String?) async -> [CallRecord] {
    ask("history \(limit) \(before ?? "-")")
    return []
  }

  func verdicts(limit: Int) async -> [Verdict] { [] }

  func metrics() async -> MetricsTable {
    var table = MetricsTable()
    table.set(.trunkRegistered, ["trunk0"], to: 1)
    return table
  }

  func hangUp(callID: String) async throws(ControlFailure) {
    guard callID == "c1" else { throw .notFound("There is no such call now") }
    ask("hang up c1")
  }

  func setTrunk(_ name: String, enabled: Bool) async throws(ControlFailure) {
    guard name == "trunk0" else { throw .notFound("There is no trunk of this name") }
    ask("\(enabled ? "enable" : "disable") \(name)")
  }

  func registerTrunk(_ name: String) async throws(ControlFailure) { ask("register \(name)") }

  func reload() async throws(ControlFailure) {
    let mistakes = state.withLock { $0.reloadMistakes }
    if !mistakes.isEmpty { throw .invalid(mistakes) }
    ask("reload")
  }

  func doctor(calls: Bool) async throws(ControlFailure) -> DoctorReport {
    ask("doctor\(calls ? " with a call" : "")")
    let finding = DoctorFinding(
      need: .sip, subject: "trunk trunk0", result: .refuted, evidence: "Silence.", nextStep: "Ask the provider.")
    return DoctorReport(findings: [finding], at: "2026-01-01T10:00:00.000Z", seconds: 1, isFromDaemon: true)
  }

  func doctorProgress() async -> DoctorProgress {
    var progress = DoctorProgress()
    progress.isRunning = true
    progress.elapsedSeconds = 1.5
    progress.asked = 12
    progress.answered = 9
    progress.waitingFor = [.media, .fragments]
    progress.findings = [DoctorFinding(need: .sip, subject: "trunk trunk0", result: .proven, evidence: "Heard.")]
    return progress
  }

  func startDemoCall() async throws(ControlFailure) -> String {
    ask("demo call")
    return "r1"
  }

  func demoRecording(_ id: String) async -> DemoRecording { id == "r1" ? state.withLock { $0.recording } : .unknown }

  func cutDemoLine() async throws(ControlFailure) { ask("cut") }

  func incidents() async -> [IncidentStatus] {
    [
      IncidentStatus(
        id: "c9", at: "2026-01-01T10:00:00.000Z", subject: "call c9", callID: "c9", code: "x", sentence: "y")
    ]
  }

  func incident(_ id: String) async -> IncidentDocument? {
    guard id == "c9" else { return nil }
    return IncidentDocument(length: 70_000) { [UInt8](repeating: 65, count: $0) }
  }

  func events() async -> AsyncStream<ControlEvent> {
    let (stream, continuation) = AsyncStream.makeStream(of: ControlEvent.self)
    state.withLock { $0.events = continuation }
    return stream
  }
}
