import Foundation
import Hummingbird
import NIOCore

/// An error as RFC 9457 writes it.
struct Problem: Error, HTTPResponseError {
  var status: HTTPResponse.Status
  /// One sentence for a person.
  var detail: String
  /// Single mistakes, where there are several.
  var errors: [String] = []

  init(_ status: HTTPResponse.Status, _ detail: String, errors: [String] = []) {
    self.status = status
    self.detail = detail
    self.errors = errors
  }

  init(_ failure: ControlFailure) {
    switch failure {
    case .notFound(let sentence): self.init(.notFound, sentence)
    case .conflict(let sentence): self.init(.conflict, sentence)
    case .unavailable(let sentence): self.init(.serviceUnavailable, sentence)
    case .invalid(let mistakes):
      self.init(
        .unprocessableContent, "The configuration has mistakes; nothing was changed", errors: mistakes)
    }
  }

  private struct Document: Encodable {
    var type = "about:blank"
    var title: String
    var status: Int
    var detail: String
    var errors: [String]?
  }

  func response() -> Response {
    let document = Document(
      title: status.reasonPhrase, status: status.code, detail: detail, errors: errors.isEmpty ? nil : errors)
    var response = Response.json(document, status: status)
    response.headers[.contentType] = "application/problem+json"
    if status == .unauthorized { response.headers[.wwwAuthenticate] = "Bearer realm=\"trunkline\"" }
    return response
  }

  func response(from request: Request, context: some RequestContext) throws -> Response { response() }
}

extension Response {
  /// A JSON document with its keys in order.
  static func json(_ value: some Encodable, status: HTTPResponse.Status = .ok) -> Response {
    guard let bytes = try? jsonBytes(value) else {
      return Response(status: .internalServerError)
    }
    return Response(
      status: status, headers: [.contentType: "application/json", .cacheControl: "no-store"],
      body: ResponseBody(byteBuffer: ByteBuffer(bytes: bytes)))
  }

  static func jsonBytes(_ value: some Encodable) throws -> [UInt8] {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
    return [UInt8](try encoder.encode(value))
  }

  static func text(_ text: String, type: String = "text/plain; charset=utf-8", status: HTTPResponse.Status = .ok)
    -> Response
  {
    Response(
      status: status, headers: [.contentType: type, .cacheControl: "no-store"],
      body: ResponseBody(byteBuffer: ByteBuffer(string: text)))
  }
}
