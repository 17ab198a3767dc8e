import ControlAPI
import DatagramSockets
import Foundation
import FoundationNetworking
import LinkManager
import NetworkTypes
import TrunklineDaemon

/// Asks the running daemon over its HTTP interface.
struct ControlClient {
  enum Failure: Error, CustomStringConvertible {
    case noDaemon(String)
    case refused(status: Int, String)

    var description: String {
      switch self {
      case .noDaemon(let sentence), .refused(_, let sentence): sentence
      }
    }
  }

  /// What the API answers where it refuses (RFC 9457).
  private struct Problem: Decodable {
    var detail: String
    var errors: [String]?

    var text: String { ([detail] + (errors ?? [])).map { $0.escapedForLog(limit: 1000) }.joined(separator: "\n") }
  }

  let url: URL
  let token: String

  /// Finds the daemon: the file that it wrote for its user, else what the configuration says.
  init(configurationPath: String?) throws {
    if let configurationPath, let http = ConfigurationFile.load(configurationPath).configuration?.http,
      let token = http.token, let url = URL(string: "http://\(Self.reachable(http.bind))")
    {
      self.url = url
      self.token = token.value
    } else if let file = ControlFile.read(), let url = URL(string: file.url) {
      self.url = url
      token = file.token
    } else {
      throw Failure.noDaemon("No daemon of this user runs here: there is no \(ControlFile.path()).")
    }
  }

  private static func reachable(_ bind: Endpoint) -> Endpoint {
    bind.address.isUnspecified ? Endpoint(bind.address.isV4 ? .loopbackV4 : .loopbackV6, port: bind.port) : bind
  }

  /// The body of the answer to `method` on `path`, such as `api/v1/status`.
  func send(
    _ method: String, _ path: String, query: [URLQueryItem] = [], timeout: TimeInterval = 10
  ) async throws -> Data {
    ProcessSetup.bypassProxies()
    let place = url.appendingPathComponent(path)
    var request = URLRequest(url: query.isEmpty ? place : place.appending(queryItems: query))
    request.httpMethod = method
    request.setValue("Bearer \(token)", forHTTPHeaderField: "Authorization")
    request.timeoutInterval = timeout
    let data: Data
    let response: URLResponse
    do { (data, response) = try await URLSession.shared.data(for: request) } catch {
      throw Failure.noDaemon("No daemon answers at \(url).")
    }
    let status = (response as? HTTPURLResponse)?.statusCode ?? 0
    guard (200..<300).contains(status) else {
      let problem = try? JSONDecoder().decode(Problem.self, from: data)
      throw Failure.refused(
        status: status,
        problem?.text ?? String(decoding: data.prefix(2000), as: UTF8.self).escapedForLog(limit: 2000))
    }
    return data
  }

  /// A new one-time link to the dashboard.
  func dashboardLink() async throws -> String {
    let data = try await send("POST", "api/v1/links")
    let answer = try JSONDecoder().decode([String: String].self, from: data)
    guard let path = answer["path"] else { throw Failure.noDaemon("The daemon gave no link.") }
    return "http://\(url.host() ?? ""):\(url.port ?? 80)\(path)"
  }

  func doctorProgress() async throws -> DoctorProgress {
    try JSONDecoder().decode(DoctorProgress.self, from: try await send("GET", "api/v1/doctor"))
  }

  func status() async throws -> ControlStatus {
    try JSONDecoder().decode(ControlStatus.self, from: try await send("GET", "api/v1/status"))
  }
}
