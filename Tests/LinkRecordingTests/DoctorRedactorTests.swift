import LinkManager
import LinkRecording
import NetworkTypes
import Testing

/// The doctor's report for other people.
@Suite struct DoctorRedactorTests {
  static let report = DoctorReport(
    findings: [
      DoctorFinding(
        need: .sip, subject: "sip.provider.example", result: .refuted,
        evidence: "203.0.113.10:5060 and 203.0.113.1:5060 answered +49211123450 of 1000t0 after 1000 ms.",
        nextStep: "Ask sip.provider.example; not sip.provider.example.org.")
    ], at: "2026-01-01T10:00:00.000Z", seconds: 2, isFromDaemon: true,
    exchanges: ["12 ms: REGISTER to 203.0.113.10:5060, 412 bytes"],
    names: ["203.0.113.1", "203.0.113.10", "sip.provider.example", "+49211123450", "1000t0", ""])

  @Test func namesBecomePseudonymsEachTheSameEverywhere() throws {
    var random = RandomSource(seed: 5)
    let redacted = Self.report.redacted(random: &random)
    let finding = try #require(redacted.findings.first)
    let text = "\(finding) \(redacted.exchanges)"
    for name in ["203.0.113.10", "203.0.113.1:", "sip.provider.example", "49211123450", "1000t0"] {
      #expect(!text.contains(name), "\(name) is in \(text)")
    }
    #expect(finding.nextStep?.contains("Ask \(finding.subject);") == true)
    // The same words beside it stay.
    #expect(finding.evidence.hasSuffix("after 1000 ms."))
    #expect(finding.result == .refuted && redacted.result == .refuted && finding.need == .sip)
    #expect(redacted.names == [])
    let address = try #require(redacted.exchanges.first?.split(separator: " ").dropFirst(4).first?.dropLast())
    #expect(finding.evidence.hasPrefix(String(address)))
    #expect(finding.subject.utf8.count == "sip.provider.example".utf8.count)
  }

  @Test func anotherRunHasOtherPseudonyms() {
    var random = RandomSource(seed: 5)
    let first = Self.report.redacted(random: &random)
    #expect(Self.report.redacted(random: &random).findings != first.findings)
  }
}
