import ControlAPI
import DatagramSockets
import EmbeddedProvider
import Foundation
public import LinkManager
import Logging
import NetworkTypes
import ServiceLifecycle
import Store
import Synchronization
import UnixSignals

/// Why the daemon cannot run, with the exit code of the contract.
public enum DaemonFailure: Error, Sendable, CustomStringConvertible {
  /// 78: the configuration has mistakes; a line each.
  case configuration([String])
  /// 71: a port cannot be opened.
  case port(String)

  public var exitCode: Int32 {
    switch self {
    case .configuration: 78
    case .port: 71
    }
  }

  public var description: String {
    switch self {
    case .configuration(let lines): lines.joined(separator: "\n")
    case .port(let sentence): sentence
    }
  }
}

/// `trunkline run`: the link, its HTTP side and its store, until a signal ends it.
public struct Daemon: Sendable {
  let configuration: TrunklineConfiguration
  /// Where the configuration was read; `nil` with the embedded default.
  let configurationPath: String?
  let embedded: EmbeddedDefault?
  let logger: Logger
  private let threshold: LogThreshold

  /// The daemon of a configuration file.
  public init(configuration: TrunklineConfiguration, path: String) {
    self.configuration = configuration
    configurationPath = path
    embedded = nil
    (logger, threshold) = Self.logger(configuration.log)
  }

  /// The embedded default.
  public init(embedded: EmbeddedDefault) {
    configuration = TrunklineConfiguration()
    configurationPath = nil
    self.embedded = embedded
    (logger, threshold) = Self.logger(configuration.log)
  }

  private static func logger(_ log: LogConfiguration) -> (Logger, LogThreshold) {
    let threshold = LogThreshold(log.threshold)
    let logger = Logger(label: "link") { label in
      LineLogHandler(label: label, threshold: threshold, isJSON: log.format == .json)
    }
    return (logger, threshold)
  }

  /// This host's addresses, for ``LANConfiguration/interfaces``.
  public static func interfaces() -> [InterfaceAddress] {
    HostInterfaces.addresses().filter(\.isUp).map { InterfaceAddress($0.address, prefixLength: $0.prefixLength) }
  }

  /// Runs until SIGTERM or SIGINT; SIGHUP reads the configuration again. Throws ``DaemonFailure``.
  ///
  /// - Parameter ready: is called once everything is open, with the address of the API, the token and the one-time link of
  ///   the dashboard.
  public func run(ready: @escaping @Sendable (_ url: String, _ token: String, _ link: String) -> Void) async throws {
    let bind = configuration.http.bind
    let token = configuration.http.token?.value ?? AccessGate.randomSecret()
    let notify = Notifier()
    let store = CallStore(path: embedded == nil ? configuration.storePath : nil) { [logger] in
      notify.storeTold($0, logger)
    }
    notify.store.withLock { $0 = store }
    await store.open()
    var random = SystemRandom.source()
    let machine = await store.machine(or: random.hexDigits(32))
    let link = embedded == nil ? linkConfiguration(configuration.link, machine: machine) : configuration.link
    let host: SignallingHost
    do throws(DatagramSocketError) {
      host = try SignallingHost(configuration: link, embedded: embedded, listeners: notify.listeners(store, logger))
    } catch { throw DaemonFailure.port(error.sentence) }
    let recorder = FlightRecorder(folder: recordingFolder) { [logger] in
      logger.warning("\($0)")
    } closed: {
      host.reseed()
    }
    host.record(with: recorder)
    // Beside the store, since what a router holds for us is kept as carefully as what was called.
    if embedded == nil, !configuration.storePath.isEmpty { host.leaseFile = configuration.storePath + ".leases" }
    let control = DaemonControl(host: host, store: store, isEmbedded: embedded != nil, recorder: recorder) {
      () async throws(ControlFailure) in try await reload(host, machine: machine)
    }
    notify.control.withLock { $0 = control }
    let failure = StartFailure()

    let gate = AccessGate(token: token, bindAddress: bind.address.description)
    let file = ControlFile(
      url: "http://\(Endpoint(bind.address.isUnspecified ? .loopbackV4 : bind.address, port: bind.port))", token: token,
      processID: ProcessInfo.processInfo.processIdentifier)
    let server = ControlServer(
      control: control, gate: gate, address: bind.address.description, port: Int(bind.port), logger: httpLogger
    ) { _ in
      // The link begins once the HTTP port is ours: a second daemon does not register anything.
      do { try await host.start() } catch {
        failure.set("\(error)")
        return notify.stopped.continuation.finish()
      }
      do { try file.write() } catch {
        logger.warning("the file that trunkline status reads cannot be written: \(error)")
      }
      // Its ports are ours, too: nobody who still lives has calls in this store.
      let torn = await store.endTornCalls()
      if torn > 0 { logger.notice("\(torn) calls were up when the last run ended without a word") }
      await Self.recall(store, of: link, for: host)
      ready(file.url, token, file.url + gate.makeLink())
    }
    defer {
      file.remove()
      host.stop()
      recorder.flush()
      LogWriter.standardError.flush()
    }
    let services = ServiceGroup(
      configuration: ServiceGroupConfiguration(
        services: [
          .init(
            service: LinkService(host: host, stopped: notify.stopped, control: control),
            successTerminationBehavior: .gracefullyShutdownGroup),
          .init(
            service: ReloadService(logger: logger) { () async throws(ControlFailure) in
              try await reload(host, machine: machine)
            }),
          .init(service: SystemWatch(host: host, store: store, interfaces: Self.interfaces)),
          .init(service: server),
        ], gracefulShutdownSignals: [.sigterm, .sigint], logger: httpLogger))
    do {
      try await services.run()
    } catch let failure as ControlServerFailure {
      throw DaemonFailure.port(failure.description)
    }
    if let sentence = failure.sentence { throw DaemonFailure.port(sentence) }
  }

  /// Tells the link what its last run has left for it.
  private static func recall(_ store: CallStore, of link: LinkConfiguration, for host: SignallingHost) async {
    for uplink in link.uplinks.map(\.name) {
      guard let text = await store.note(Notifier.cutsKey(uplink)),
        let diary = try? JSONDecoder().decode(CutDiary.self, from: Data(text.utf8))
      else { continue }
      // What stands in the file is checked as if it were new.
      let checked = CutDiary(diary.cuts)
      _ = await host.run { $0.apply(.cutsRemembered(checked, uplink: uplink)) }
    }
    for user in link.phones.map(\.extensionNumber) + link.pbxs.compactMap(\.username) {
      guard let text = await store.note(Notifier.contactsKey(user)),
        let known = try? JSONDecoder().decode([KnownContact].self, from: Data(text.utf8))
      else { continue }
      _ = await host.run { $0.apply(.contactsRemembered(known, user: user)) }
    }
  }

  /// What the HTTP server and the services say of themselves interests nobody while it is not a warning.
  private var httpLogger: Logger {
    var logger = Logger(label: "http") { label in
      LineLogHandler(label: label, level: .warning, isJSON: configuration.log.format == .json)
    }
    logger.logLevel = .warning
    return logger
  }

  /// Beside the store; with the embedded default, which stores nothing, beside the file that `status` reads.
  private var recordingFolder: String {
    let file = embedded == nil ? configuration.storePath : ControlFile.path()
    return URL(fileURLWithPath: file).deletingLastPathComponent().path + "/recordings"
  }

  private func linkConfiguration(_ link: LinkConfiguration, machine: String) -> LinkConfiguration {
    var link = link
    link.lan.interfaces = Self.interfaces()
    link.nameInstances(ofMachine: machine)
    return link
  }

  /// Reads the file again; one with a mistake changes nothing.
  private func reload(_ host: SignallingHost, machine: String) async throws(ControlFailure) {
    guard let configurationPath else {
      throw .conflict("The embedded default has no configuration file to read again.")
    }
    let loaded = ConfigurationFile.load(configurationPath)
    guard let new = loaded.configuration else {
      for diagnostic in loaded.errors { logger.error("reload: \(diagnostic)") }
      throw .invalid(loaded.errors.map(\.description))
    }
    let link = linkConfiguration(new.link, machine: machine)
    await host.run { $0.reconfigure(link) }
    threshold.level = new.log.threshold
    let late = [
      (new.http != configuration.http, "http"), (new.storePath != configuration.storePath, "store"),
      (new.log.format != configuration.log.format, "log.format"),
    ]
    for (_, key) in late.filter(\.0) { logger.warning("changes of \(key) take effect with the next start") }
    logger.notice("the configuration was read again")
  }
}

/// Why the link could not start, kept until the other services have ended.
private final class StartFailure: Sendable {
  private let kept = Mutex<String?>(nil)

  var sentence: String? { kept.withLock { $0 } }

  func set(_ sentence: String) { kept.withLock { $0 = sentence } }
}

extension LogConfiguration {
  fileprivate var threshold: Logger.Level { Logger.Level(rawValue: level) ?? .info }
}
