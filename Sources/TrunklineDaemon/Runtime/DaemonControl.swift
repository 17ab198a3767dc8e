public import ControlAPI
import DatagramSockets
import EmbeddedProvider
public import LinkManager
import NetworkTypes
import OrderedCollections
import RTP
import Store
import Synchronization

/// The API's view of the running daemon: it asks the signalling thread and the store.
public final class DaemonControl: LinkControl {
  public static let version = "0.1.0"

  let host: SignallingHost
  let store: CallStore
  let isEmbedded: Bool
  private let recorder: FlightRecorder?
  private let startedAt = SystemClock.now()
  private let reloading: @Sendable () async throws(ControlFailure) -> Void
  private let listeners = Mutex<[(id: Int, continuation: AsyncStream<ControlEvent>.Continuation)]>([])
  private let nextListener = Atomic<Int>(0)
  private let isStatusPending = Atomic<Bool>(false)
  private let observed = Mutex(MetricsTable())
  /// Recordings that were begun and have not come back.
  private let running = Mutex<[String]>([])
  /// When the built-in phone hangs up.
  private let demoEnd = Mutex(MonotonicInstant(nanoseconds: 0))

  init(
    host: SignallingHost, store: CallStore, isEmbedded: Bool, recorder: FlightRecorder? = nil,
    reloading: @escaping @Sendable () async throws(ControlFailure) -> Void
  ) {
    self.host = host
    self.store = store
    self.isEmbedded = isEmbedded
    self.recorder = recorder
    self.reloading = reloading
  }

  public func status() async -> ControlStatus {
    let link = await host.run { $0.link.status(now: SystemClock.now()) }
    return ControlStatus(
      version: Self.version, uptimeSeconds: (SystemClock.now() - startedAt).inSeconds, embeddedDefault: isEmbedded,
      link: link)
  }

  public func history(limit: Int, before: String?) async -> [CallRecord] {
    await store.history(limit: limit, before: before)
  }

  public func verdicts(limit: Int) async -> [Verdict] { await store.verdicts(limit: limit) }

  public func hangUp(callID: String) async throws(ControlFailure) {
    let isKnown = await host.run { $0.apply(.hangUpAsked(call: callID)) }
    guard isKnown else { throw .notFound("There is no call \(callID).") }
  }

  public func setTrunk(_ name: String, enabled: Bool) async throws(ControlFailure) {
    let isKnown = await host.run { $0.apply(.trunkSwitched(name, enabled: enabled)) }
    guard isKnown else { throw .notFound("There is no trunk \(name).") }
  }

  public func registerTrunk(_ name: String) async throws(ControlFailure) {
    let isKnown = await host.run { $0.apply(.registrationAsked(trunk: name)) }
    guard isKnown else { throw .notFound("There is no trunk \(name).") }
  }

  public func reload() async throws(ControlFailure) { try await reloading() }

  public func doctor(calls: Bool) async throws(ControlFailure) -> DoctorReport {
    guard let report = await host.examine(DoctorRequest(calls: calls)) else {
      throw .conflict("An examination runs already, or the daemon is about to end.")
    }
    return report
  }

  public func doctorProgress() async -> DoctorProgress { await host.examinationProgress() }

  // MARK: The built-in phone

  public func startDemoCall() async throws(ControlFailure) -> String {
    guard isEmbedded else { throw .conflict("The built-in phone comes with the embedded default only.") }
    guard let call = await host.run({ $0.dial("*43", for: nil, sound: .melody(hertz: 440)) }) else {
      throw .unavailable("The built-in phone has no line left.")
    }
    demoEnd.withLock { $0 = SystemClock.now() + Self.demoCall }
    Task {
      while demoEnd.withLock({ $0 }) > SystemClock.now() { try? await Task.sleep(for: .milliseconds(200)) }
      await host.run { $0.hangUpPhone(call) }
    }
    let id = "call-\(call.rawValue)"
    running.withLock { names in
      names.append(id)
      if names.count > 8 { names.removeFirst() }
    }
    return id
  }

  public func demoRecording(_ id: String) async -> DemoRecording {
    let samples = await host.run { $0.recordings[id] }
    guard let samples else { return running.withLock { $0.contains(id) } ? .running : .unknown }
    return samples.isEmpty
      ? .failed("The call was not answered, so nothing was heard.") : .finished(WaveFile.encode(samples))
  }

  /// How long the line of the embedded default stays down, how long a call of the built-in phone lasts, and how long at least
  /// after the line has come back.
  static let outage = Duration.seconds(3)
  static let demoCall = Duration.seconds(8)
  private static let afterCut = Duration.seconds(4)

  public func cutDemoLine() async throws(ControlFailure) {
    guard isEmbedded else { throw .conflict("There is a line to cut with the embedded default only.") }
    let isCut = await host.run { host in
      guard host.embedded?.router.isUp == true else { return false }
      host.cutLine()
      return true
    }
    guard isCut else { throw .conflict("The line is down already.") }
    demoEnd.withLock { $0 = max($0, SystemClock.now() + Self.outage + Self.afterCut) }
    Task {
      try? await Task.sleep(for: Self.outage)
      await host.run { $0.restoreLine() }
    }
  }

  // MARK: Incidents

  public func incidents() async -> [IncidentStatus] { recorder?.incidents() ?? [] }

  public func incident(_ id: String) async -> IncidentDocument? { recorder?.incident(id) }

  // MARK: Events

  public func events() async -> AsyncStream<ControlEvent> {
    let id = nextListener.wrappingAdd(1, ordering: .relaxed).newValue
    let (stream, continuation) = AsyncStream.makeStream(of: ControlEvent.self, bufferingPolicy: .bufferingNewest(64))
    listeners.withLock { $0.append((id, continuation)) }
    continuation.onTermination = { [weak self] _ in
      self?.listeners.withLock { $0.removeAll { $0.id == id } }
    }
    return stream
  }

  func tell(_ event: ControlEvent) {
    for listener in listeners.withLock({ $0 }) { listener.continuation.yield(event) }
  }

  /// Something of the status changed: those who watch are told, at most four times a second.
  func statusChanged() {
    guard listeners.withLock({ !$0.isEmpty }),
      isStatusPending.compareExchange(expected: false, desired: true, ordering: .relaxed).exchanged
    else { return }
    Task {
      try? await Task.sleep(for: .milliseconds(250))
      isStatusPending.store(false, ordering: .relaxed)
      tell(.status(await status()))
    }
  }

  func finishEvents() {
    for listener in listeners.withLock({ $0 }) { listener.continuation.finish() }
  }

  // MARK: Metrics

  func measured(_ measurement: LinkMeasurement) {
    observed.withLock { table in
      switch measurement {
      case .registration(let trunk, let took): table.observe(.registrationSeconds, [trunk], took.inSeconds)
      case .recovery(let uplink, let took):
        table.observe(.addressChangeRecoverySeconds, [uplink], took.inSeconds)
      case .audioGap(let direction, let gap):
        table.observe(.callAudioGapSeconds, [direction.rawValue], gap.inSeconds)
      }
    }
  }

  public func metrics() async -> MetricsTable {
    let (counters, status) = await host.run { host in
      (host.link.metrics(now: SystemClock.now()), host.link.status(now: SystemClock.now()))
    }
    var table = observed.withLock { $0 }
    let counted: [(LinkMetric, [(labels: [String], value: UInt64)])] = [
      (.publicAddressChanges, counters.addressChanges.rows), (.stunKeepalives, counters.keepalives.rows),
      (.calls, counters.calls.rows), (.rtpPackets, counters.rtpPackets.rows), (.sipRequests, counters.requests.rows),
      (.sipResponses, counters.responses.rows), (.sipDiscarded, counters.discarded.rows),
    ]
    for (metric, rows) in counted {
      for row in rows { table.set(metric, row.labels, to: Double(row.value)) }
    }
    table.set(.rtpLost, to: Double(counters.rtpLost))
    table.set(.transactions, to: Double(counters.transactions))
    table.set(.dialogs, to: Double(counters.dialogs))
    table.set(.mediaPorts, to: Double(counters.mediaPorts))
    table.set(.callTimers, to: Double(counters.callTimers))
    for trunk in status.trunks {
      let isUp = trunk.state == .registered || trunk.state == .static
      table.set(.trunkRegistered, [trunk.name], to: isUp ? 1 : 0)
      table.set(.callsActive, [trunk.name], to: Double(trunk.calls))
      table.set(.trunkUnreachableSeconds, [trunk.name], to: counters.unreachableSeconds[trunk.name] ?? 0)
    }
    return table
  }
}
