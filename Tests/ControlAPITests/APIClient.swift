import ControlAPI
import Foundation
import HTTPTypes
import Hummingbird
import HummingbirdCore
import Logging
import NIOCore
import NIOEmbedded
import Synchronization

/// Asks the routes directly, without a socket, with any Host and header.
struct APIClient: Sendable {
  struct Answer: Sendable {
    var status: Int
    var headers: HTTPFields
    var body: [UInt8]

    var text: String { String(decoding: body, as: UTF8.self) }

    func json() throws -> [String: Any] {
      try JSONSerialization.jsonObject(with: Data(body)) as? [String: Any] ?? [:]
    }
  }

  static let token = "the-token-of-the-test"

  let gate: AccessGate
  private let responder: RouterResponder<BasicRequestContext>

  init(_ control: StandInControl = StandInControl(), gate: AccessGate? = nil) {
    self.gate = gate ?? AccessGate(token: Self.token, bindAddress: "127.0.0.1")
    responder = ControlRoutes(control: control, gate: self.gate).router().buildResponder()
  }

  func ask(
    _ method: HTTPRequest.Method, _ path: String, host: String? = "127.0.0.1:8065",
    bearer: String? = APIClient.token, headers: HTTPFields = [:]
  ) async throws -> Answer {
    let response = try await respond(method, path, host: host, bearer: bearer, headers: headers)
    let sink = Sink()
    try await response.body.write(SinkWriter(sink: sink))
    return Answer(status: response.status.code, headers: response.headers, body: sink.bytes.withLock { $0 })
  }

  func respond(
    _ method: HTTPRequest.Method, _ path: String, host: String? = "127.0.0.1:8065",
    bearer: String? = APIClient.token, headers: HTTPFields = [:]
  ) async throws -> Response {
    var headers = headers
    if let bearer { headers[.authorization] = "Bearer \(bearer)" }
    let request = Request(
      head: HTTPRequest(method: method, scheme: "http", authority: host, path: path, headerFields: headers),
      body: RequestBody(buffer: ByteBuffer()))
    let source = ApplicationRequestContextSource(channel: EmbeddedChannel(), logger: Logger(label: "test"))
    return try await responder.respond(to: request, context: BasicRequestContext(source: source))
  }
}

final class Sink: Sendable {
  let bytes = Mutex<[UInt8]>([])
}

struct SinkWriter: ResponseBodyWriter {
  let sink: Sink
  var whenWritten: @Sendable ([UInt8]) -> Void = { _ in }

  func write(_ buffer: ByteBuffer) async throws {
    let all = sink.bytes.withLock { bytes in
      bytes += Array(buffer.readableBytesView)
      return bytes
    }
    whenWritten(all)
  }

  func finish(_ trailingHeaders: HTTPFields?) async throws {}
}
