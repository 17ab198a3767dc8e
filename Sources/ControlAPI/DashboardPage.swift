import CDashboard
import Hummingbird
import NIOCore

/// The dashboard: one file without anything from elsewhere, served under a policy that lets it run only its own script
/// and talk only to us.
struct DashboardPage: Sendable {
  private static let placeholder = "@NONCE@"
  private let parts: [String]

  init() {
    let bytes = (0..<trunkline_dashboard_size()).map { trunkline_dashboard_byte($0) }
    parts = String(decoding: bytes, as: UTF8.self).split(separator: Self.placeholder, omittingEmptySubsequences: false)
      .map(String.init)
  }

  func response() -> Response {
    let nonce = AccessGate.randomSecret()
    var response = Response.text(parts.joined(separator: nonce), type: "text/html; charset=utf-8")
    response.headers[.contentSecurityPolicy] =
      "default-src 'none'; script-src 'nonce-\(nonce)'; style-src 'nonce-\(nonce)'; connect-src 'self'; "
      + "media-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    return response
  }
}
