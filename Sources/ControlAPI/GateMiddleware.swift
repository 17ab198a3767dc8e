import Hummingbird
import Logging

/// Lets nobody through who may not, and turns every error into a problem document.
///
/// What is open is listed; a path that is not on a list needs a token or a cookie, however it is written.
struct GateMiddleware<Context: RequestContext>: RouterMiddleware {
  let gate: AccessGate

  /// For probes and scrapers, by whatever name they reach us: these tell nothing about anyone.
  private static var openPaths: [String] { ["/healthz", "/readyz", "/metrics"] }
  /// The page and the description hold no data of their own.
  private static var publicPaths: [String] { ["/", "/openapi.json"] }

  func handle(
    _ input: Request, context: Context, next: (Request, Context) async throws -> Response
  ) async throws -> Response {
    var response: Response
    do {
      try check(input)
      response = try await next(input, context)
    } catch let problem as Problem {
      response = problem.response()
    } catch let error as any HTTPResponseError {
      response = Problem(error.status, Self.sentence(error.status)).response()
    } catch {
      response = Problem(.internalServerError, "Something went wrong here; the log says what").response()
      context.logger.error("HTTP request failed", metadata: ["error": "\(error)"])
    }
    response.headers[.xContentTypeOptions] = "nosniff"
    return response
  }

  private func check(_ request: Request) throws(Problem) {
    let path = request.uri.path
    if Self.openPaths.contains(path) { return }
    let authority = request.head.authority
    guard gate.isKnownHost(authority) else {
      throw Problem(.forbidden, "This host name is not one of this machine's; use its address or localhost")
    }
    guard gate.isOwnOrigin(request.headers[.origin], authority: authority) else {
      throw Problem(.forbidden, "Requests from other sites are not answered")
    }
    if Self.publicPaths.contains(path) { return }
    let isAdmitted = gate.admits(
      authorization: request.headers[.authorization], cookies: request.headers[values: .cookie])
    guard isAdmitted else {
      throw Problem(.unauthorized, "Send the token as Authorization: Bearer, or open the link that trunkline printed")
    }
  }

  private static func sentence(_ status: HTTPResponse.Status) -> String {
    switch status {
    case .notFound: "There is nothing at this path"
    case .methodNotAllowed: "This path does not take this method"
    default: "The request cannot be answered: \(status.reasonPhrase)"
    }
  }
}
