import ControlAPI
import Foundation
import FoundationNetworking
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
  func send(_ method: String, _ path: String) async throws -> Data {
    var request = URLRequest(url: url.appendingPathComponent(path))
    request.httpMethod = method
    request.setValue("Bearer \(token)", forHTTPHeaderField: "Authorization")
    request.timeoutInterval = 10
    let data: Data
    let response: URLResponse
    do { (data, response) = try await URLSession.shared.data(for: request) } catch {
      throw Failure.noDaemon("No daemon answers at \(url).")
    }
    let status = (response as? HTTPURLResponse)?.statusCode ?? 0
    guard (200..<300).contains(status) else {
      throw Failure.refused(
        status: status, String(decoding: data.prefix(2000), as: UTF8.self).escapedForLog(limit: 2000))
    }
    return data
  }

  func status() async throws -> ControlStatus {
    try JSONDecoder().decode(ControlStatus.self, from: try await send("GET", "api/v1/status"))
  }
}
