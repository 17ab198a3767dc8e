import Hummingbird
import LinkManager
import NIOCore
import ServiceLifecycle
import Synchronization

/// Bounds how many event streams are open: each holds a connection and a task.
final class StreamLimit: Sendable {
  private let open = Mutex(0)
  private let limit: Int

  init(_ limit: Int) { self.limit = limit }

  /// A place, given back when the ticket goes; `nil` where all are taken.
  func enter() -> Ticket? {
    open.withLock { count in
      guard count < limit else { return nil }
      count += 1
      return Ticket(limit: self)
    }
  }

  /// Held by the body of a response, which a HEAD request throws away without ever running it.
  final class Ticket: Sendable {
    private let limit: StreamLimit

    fileprivate init(limit: StreamLimit) { self.limit = limit }

    deinit { limit.open.withLock { $0 -= 1 } }
  }
}

/// `GET /api/v1/events`: server-sent events. The first is the present status, so that a client that reconnects has
/// missed nothing that still matters.
enum EventStream {
  /// A comment in every silence of this length: a connection whose client is gone is noticed by it.
  private static let heartbeat = Duration.seconds(15)

  private enum Input: Sendable {
    case event(ControlEvent)
    case silence
  }

  static func response(_ control: any LinkControl, _ limit: StreamLimit) async throws -> Response {
    guard let ticket = limit.enter() else {
      throw Problem(.serviceUnavailable, "Too many event streams are open; poll /api/v1/status instead")
    }
    let events = await control.events()
    let status = await control.status()
    let body = ResponseBody { writer in
      defer { withExtendedLifetime(ticket) {} }
      try await writer.write(ByteBuffer(bytes: try encode(.status(status))))
      let (inputs, continuation) = AsyncStream.makeStream(of: Input.self, bufferingPolicy: .bufferingNewest(64))
      let pump = Task {
        for await event in events { continuation.yield(.event(event)) }
        continuation.finish()
      }
      let clock = Task {
        while (try? await Task.sleep(for: heartbeat)) != nil { continuation.yield(.silence) }
      }
      defer {
        pump.cancel()
        clock.cancel()
      }
      for await input in inputs.cancelOnGracefulShutdown() {
        switch input {
        case .event(let event): try await writer.write(ByteBuffer(bytes: try encode(event)))
        case .silence: try await writer.write(ByteBuffer(string: ":\n\n"))
        }
      }
      try await writer.finish(nil)
    }
    return Response(
      status: .ok, headers: [.contentType: "text/event-stream", .cacheControl: "no-store"], body: body)
  }

  /// One event; JSON without line ends, so one `data` line is enough.
  static func encode(_ event: ControlEvent) throws -> [UInt8] {
    let (name, data) =
      switch event {
      case .status(let status): ("status", try Response.jsonBytes(status))
      case .callEnded(let record): ("history", try Response.jsonBytes(record))
      case .verdict(let verdict): ("verdict", try Response.jsonBytes(verdict))
      }
    return Array("event: \(name)\ndata: ".utf8) + data + Array("\n\n".utf8)
  }
}
