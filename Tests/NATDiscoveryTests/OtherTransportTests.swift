import Foundation
import NATDiscovery
import NetworkTypes
import STUN
import Testing

/// What is said where a server was not asked over UDP, or does not answer over it.
@Suite struct OtherTransportTests {
  static func report(_ transport: STUNTransport, isUDPSilent: Bool = false) -> NATReport {
    NATReport(
      publicAddress: endpoint("203.0.113.1:40000"), localAddress: endpoint("192.168.1.2:5000"),
      server: endpoint("198.51.100.1:5349"), transport: transport, isUDPSilent: isUDPSilent)
  }

  @Test(arguments: [STUNTransport.tcp, .tls]) func onlyThePublicAddressIsChecked(transport: STUNTransport) throws {
    let report = Self.report(transport)
    #expect(report.natType == .unknown)
    #expect(report.publicAddress == endpoint("203.0.113.1:40000"))
    for finding in ["mapping", "filtering", "hairpin", "fragments", "doubleNAT", "bindingLifetimeSeconds"] {
      #expect(report.whyNotChecked(finding)?.contains("by \(transport.name)") == true)
    }
    #expect(report.summary.contains("203.0.113.1:40000"))
    #expect(report.text.contains("by \(transport.name)"))
    #expect(report.text.split(separator: "\n").count <= 12)
    let data = try JSONEncoder().encode(report)
    let document = try #require(try JSONSerialization.jsonObject(with: data) as? [String: Any])
    #expect(document["transport"] as? String == transport.rawValue)
    #expect((document["notChecked"] as? [String: String])?.count == 11)
  }

  @Test func aServerThatAnswersByTCPOnlyShowsThatUDPIsBlocked() {
    let report = Self.report(.tcp, isUDPSilent: true)
    #expect(report.natType == .blocked)
    #expect(report.whyNotChecked("mapping") == "no server answered over UDP")
    #expect(report.summary.contains("UDP is blocked"))
    #expect(report.meaning.first?.contains("UDP") == true)
  }

  @Test func aServerThatWantsCredentialsShowsTheAddressOnly() {
    let report = Self.report(.udp)
    #expect(report.whyNotChecked("filtering")?.contains("name and a password") == true)
  }

  @Test func silenceByTLSIsNoBlockedLine() {
    let report = NATReport(localAddress: endpoint("192.168.1.2:0"), silentTransports: [.tls])
    #expect(report.natType == .unknown)
    #expect(report.server == nil)
    #expect(report.whyNotChecked("mapping") == "no server answered")
    #expect(report.summary == "No server gave an answer.")
    #expect(report.text.contains("none"))
  }
}
