import Foundation
package import Hummingbird
import LinkManager
import NIOCore

/// Every path that is served.
package struct ControlRoutes: Sendable {
  let control: any LinkControl
  let gate: AccessGate
  let page = DashboardPage()
  let streams = StreamLimit(32)

  package init(control: any LinkControl, gate: AccessGate) {
    self.control = control
    self.gate = gate
  }

  package func router() -> Router<BasicRequestContext> {
    let router = Router(context: BasicRequestContext.self, options: .autoGenerateHeadEndpoints)
    router.add(middleware: GateMiddleware(gate: gate))
    addOpenPaths(to: router)
    addReadPaths(to: router.group("api/v1"))
    addCommands(to: router.group("api/v1"))
    addDemo(to: router.group("api/v1/demo"))
    return router
  }

  private func addOpenPaths(to router: Router<BasicRequestContext>) {
    router.get("/") { request, _ in try showPage(request) }
    router.get("/healthz") { _, _ in Response.text("alive\n") }
    router.get("/readyz") { _, _ in
      let missing = await control.status().trunksNotReady
      if missing.isEmpty { return Response.text("ready\n") }
      return Response.text("not registered: \(missing.joined(separator: ", "))\n", status: .serviceUnavailable)
    }
    router.get("/metrics") { _, _ in
      Response.text(await control.metrics().prometheusText(), type: "text/plain; version=0.0.4; charset=utf-8")
    }
    router.get("/openapi.json") { _, _ in Response.text(OpenAPIDocument.text, type: "application/json") }
  }

  /// The dashboard; with a one-time link in the query the cookie first, and then the page without it.
  private func showPage(_ request: Request) throws -> Response {
    guard let link = request.uri.queryParameters["link"] else { return page.response() }
    guard let cookie = gate.redeem(link: String(link)) else {
      throw Problem(.forbidden, "This link was used already or is too old; trunkline status prints a new one")
    }
    return Response(
      status: .seeOther, headers: [.location: "/", .setCookie: cookie, .cacheControl: "no-store"])
  }

  private func addReadPaths(to api: RouterGroup<BasicRequestContext>) {
    api.get("status") { _, _ in Response.json(await control.status()) }
    api.get("uplinks") { _, _ in Response.json(await control.status().uplinks) }
    api.get("uplinks/{name}") { _, context in
      let name = try Self.parameter("name", context)
      return try Self.one(await control.status().uplinks.first { $0.name == name }, "There is no uplink of this name")
    }
    api.get("trunks") { _, _ in Response.json(await control.status().trunks) }
    api.get("trunks/{name}") { _, context in
      let name = try Self.parameter("name", context)
      return try Self.one(await control.status().trunks.first { $0.name == name }, "There is no trunk of this name")
    }
    api.get("phones") { _, _ in Response.json(await control.status().phones) }
    api.get("calls") { _, _ in Response.json(await control.status().calls) }
    api.get("calls/{id}") { _, context in
      let id = try Self.parameter("id", context)
      return try Self.one(await control.status().calls.first { $0.id == id }, "There is no such call now")
    }
    api.get("history") { request, _ in
      let before = request.uri.queryParameters["before"].map(String.init)
      return Response.json(await control.history(limit: try Self.limit(request), before: before))
    }
    api.get("verdicts") { request, _ in Response.json(await control.verdicts(limit: try Self.limit(request))) }
    api.get("doctor") { _, _ in Response.json(await control.doctorProgress()) }
    api.get("incidents") { _, _ in Response.json(await control.incidents()) }
    api.get("incidents/{id}") { _, context -> Response in
      guard let document = await control.incident(try Self.parameter("id", context)) else {
        throw Problem(.notFound, "There is no such incident")
      }
      return Self.recording(document)
    }
    api.get("events") { _, _ in try await EventStream.response(control, streams) }
  }

  private func addCommands(to api: RouterGroup<BasicRequestContext>) {
    api.delete("calls/{id}") { _, context in
      let id = try Self.parameter("id", context)
      return try await Self.done { () throws(ControlFailure) in try await control.hangUp(callID: id) }
    }
    api.post("reload") { _, _ in
      try await Self.done { () throws(ControlFailure) in try await control.reload() }
    }
    api.post("trunks/{name}/enable") { _, context in
      let name = try Self.parameter("name", context)
      return try await Self.done { () throws(ControlFailure) in try await control.setTrunk(name, enabled: true) }
    }
    api.post("trunks/{name}/disable") { _, context in
      let name = try Self.parameter("name", context)
      return try await Self.done { () throws(ControlFailure) in try await control.setTrunk(name, enabled: false) }
    }
    api.post("trunks/{name}/register") { _, context in
      let name = try Self.parameter("name", context)
      return try await Self.done { () throws(ControlFailure) in try await control.registerTrunk(name) }
    }
    api.post("doctor") { request, _ in
      let calls = request.uri.queryParameters["call"].map { ["", "1", "true"].contains($0) } ?? false
      do throws(ControlFailure) { return Response.json(try await control.doctor(calls: calls)) } catch {
        throw Problem(error)
      }
    }
    // A new link to the dashboard, for `trunkline status`; and a cookie for a page into which the token was typed.
    api.post("links") { _, _ in Response.json(["path": gate.makeLink()], status: .created) }
    api.post("session") { request, _ in
      guard let authorization = request.headers[.authorization], gate.isBearer(authorization) else {
        throw Problem(.unauthorized, "A session begins with the token")
      }
      return Response(status: .noContent, headers: [.setCookie: gate.startSession()])
    }
  }

  /// The file that `trunkline replay` reads; it may be long.
  private static func recording(_ document: IncidentDocument) -> Response {
    let body = ResponseBody(contentLength: document.length) { writer in
      var rest = document.length
      while let piece = document.next(&rest) { try await writer.write(ByteBuffer(bytes: piece)) }
      try await writer.finish(nil)
    }
    return Response(
      status: .ok,
      headers: [
        .contentType: "text/plain; charset=utf-8", .cacheControl: "no-store",
        .contentDisposition: "attachment; filename=\"incident.recording\"",
      ], body: body)
  }

  private func addDemo(to api: RouterGroup<BasicRequestContext>) {
    api.post("call") { _, _ in
      do throws(ControlFailure) {
        let id = try await control.startDemoCall()
        return Response.json(["recording": id], status: .accepted)
      } catch {
        throw Problem(error)
      }
    }
    api.post("cut") { _, _ in
      try await Self.done { () throws(ControlFailure) in try await control.cutDemoLine() }
    }
    api.get("recording.wav") { request, _ in
      guard let id = request.uri.queryParameters["id"] else { throw Problem(.badRequest, "The query needs id") }
      switch await control.demoRecording(String(id)) {
      case .unknown: throw Problem(.notFound, "There is no such recording")
      case .failed(let sentence): throw Problem(.badGateway, sentence)
      case .running:
        var response = Response.json(["state": "running"], status: .accepted)
        response.headers[.retryAfter] = "1"
        return response
      case .finished(let bytes):
        return Response(
          status: .ok, headers: [.contentType: "audio/wav", .cacheControl: "no-store"],
          body: ResponseBody(byteBuffer: ByteBuffer(bytes: bytes)))
      }
    }
  }

  private static func done(_ command: () async throws(ControlFailure) -> Void) async throws -> Response {
    do throws(ControlFailure) {
      try await command()
      return Response(status: .noContent)
    } catch {
      throw Problem(error)
    }
  }

  private static func one(_ value: (some Encodable)?, _ missing: String) throws -> Response {
    guard let value else { throw Problem(.notFound, missing) }
    return Response.json(value)
  }

  private static func parameter(_ name: String, _ context: BasicRequestContext) throws -> String {
    let text = try context.parameters.require(name)
    return text.removingPercentEncoding ?? text
  }

  private static func limit(_ request: Request) throws -> Int {
    guard let text = request.uri.queryParameters["limit"] else { return 100 }
    guard let limit = Int(text), (1...1000).contains(limit) else { throw Problem(.badRequest, "limit is 1 to 1000") }
    return limit
  }
}
