import ControlAPI
import DatagramSockets
import Foundation
import LinkManager
import Logging
import NetworkTypes
import ServiceLifecycle
import Store
import Synchronization
import UnixSignals

/// Carries what the signalling thread tells to the log, the store and the API.
final class Notifier: Sendable {
  let control = Mutex<DaemonControl?>(nil)
  let store = Mutex<CallStore?>(nil)
  let stopped = AsyncStream.makeStream(of: Void.self)

  /// The store cannot be written, which is a verdict of its own and is kept in memory with the others; or it can again.
  func storeTold(_ trouble: StoreTrouble, _ logger: Logger) {
    guard case .began(let reason, let isDiskFull) = trouble else { return logger.notice("the store works again") }
    let code = isDiskFull ? VerdictCode.diskFull : .storeUnusable
    logger.warning("this machine: \(code.meaning) (\(reason.escapedForLog()))")
    let verdict = Verdict(
      at: "\(SystemClock.wallTime())", subject: "this machine", code: code.rawValue, sentence: code.meaning,
      evidence: reason, nextStep: code.nextStep)
    Task {
      await store.withLock { $0 }?.append(verdict)
      control.withLock { $0 }?.tell(.verdict(verdict))
    }
  }

  static func cutsKey(_ uplink: String) -> String { "cuts \(uplink)" }
  static func contactsKey(_ user: String) -> String { "contacts \(user)" }

  private static func remember(_ value: some Encodable, as key: String, in store: CallStore) {
    guard let text = try? JSONEncoder().encode(value) else { return }
    store.put(.note(key: key, text: String(decoding: text, as: UTF8.self)))
    Task { await store.write() }
  }

  func listeners(_ store: CallStore, _ logger: Logger) -> SignallingHost.Listeners {
    SignallingHost.Listeners(
      answered: { record in
        store.put(.answered(record))
        Task { await store.write() }
      },
      recorded: { record in
        store.put(.call(record))
        Task {
          await store.write()
          self.control.withLock { $0 }?.tell(.callEnded(record))
        }
      },
      verdict: { verdict in
        store.put(.verdict(verdict))
        Task {
          await store.write()
          self.control.withLock { $0 }?.tell(.verdict(verdict))
        }
      },
      cutsLearned: { diary, uplink in Self.remember(diary, as: Self.cutsKey(uplink), in: store) },
      contactsLearned: { known, user in Self.remember(known, as: Self.contactsKey(user), in: store) },
      logged: { level, sentence in logger.log(level: Logger.Level(level), "\(sentence)") },
      measured: { self.control.withLock { $0 }?.measured($0) },
      statusChanged: { self.control.withLock { $0 }?.statusChanged() },
      stopped: {
        self.stopped.continuation.yield()
        self.stopped.continuation.finish()
      })
  }
}

extension Logger.Level {
  init(_ level: LinkLogLevel) {
    switch level {
    case .debug: self = .debug
    case .info: self = .info
    case .notice: self = .notice
    case .warning: self = .warning
    case .error: self = .error
    }
  }
}

/// The link as a service: on a graceful shutdown calls are ended and registrations removed before it returns.
struct LinkService: Service {
  let host: SignallingHost
  let stopped: (stream: AsyncStream<Void>, continuation: AsyncStream<Void>.Continuation)
  let control: DaemonControl

  func run() async throws {
    await withGracefulShutdownHandler {
      for await _ in stopped.stream {}
      control.finishEvents()
    } onGracefulShutdown: {
      host.shutDown()
    }
  }
}

/// Reads the configuration again on SIGHUP.
struct ReloadService: Service {
  let logger: Logger
  let reload: @Sendable () async throws(ControlFailure) -> Void

  func run() async throws {
    for await _ in await UnixSignalsSequence(trapping: .sighup).cancelOnGracefulShutdown() {
      do { try await reload() } catch { logger.error("reload: nothing was changed") }
    }
  }
}

/// What changes on this machine while the daemon runs, and nobody tells: its addresses (a line that comes up after us, a
/// new DHCP lease) and its clock (a machine without a battery learns the time from the network). And a sign of life, by which
/// the next run knows how long the calls lasted that this one could not bring to an end.
struct SystemWatch: Service {
  let host: SignallingHost
  let store: CallStore
  let interfaces: @Sendable () -> [InterfaceAddress]

  func run() async throws {
    await cancelWhenGracefulShutdown {
      while (try? await Task.sleep(for: .seconds(5))) != nil {
        let present = interfaces()
        host.loop.post { [host] in host.systemChecked(interfaces: present) }
        await store.noteAlive(at: "\(SystemClock.wallTime())")
      }
    }
  }
}

/// The configuration file, read with this process's environment and files.
public enum ConfigurationFile {
  /// Where `run` looks when no file is named.
  public static let standardPath = "/etc/trunkline/trunkline.yaml"

  public static func load(_ path: String) -> LoadedConfiguration {
    ConfigurationLoader.load(path: path, environment: ProcessInfo.processInfo.environment) {
      (name) throws(UnreadableFile) in
      do { return Array(try Data(contentsOf: URL(fileURLWithPath: name))) } catch {
        throw UnreadableFile(error.localizedDescription)
      }
    }
  }
}
