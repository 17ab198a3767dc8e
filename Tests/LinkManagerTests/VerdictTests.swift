import Foundation
import LinkManager
import SIPDialog
import Testing

@Suite struct VerdictTests {
  /// docs/verdicts.md holds the table of the code. To renew it:
  /// `TRUNKLINE_WRITE_REFERENCE=1 swift test --filter VerdictTests`.
  @Test func theDocumentIsTheCode() throws {
    let file = URL(filePath: #filePath).appending(path: "../../../docs/verdicts.md").standardized
    var text = try String(contentsOf: file, encoding: .utf8)
    for group in VerdictCode.Group.allCases {
      let parts = text.components(separatedBy: "<!-- \(group.rawValue) -->\n")
      let (head, rest) = (try #require(parts.first), try #require(parts.last))
      let end = try #require(rest.range(of: "<!-- end of \(group.rawValue) -->"))
      #expect(parts.count == 2)
      let lines = VerdictCode.documentation(group)
      text = head + "<!-- \(group.rawValue) -->\n" + lines.joined(separator: "\n") + "\n" + rest[end.lowerBound...]
    }
    if ProcessInfo.processInfo.environment["TRUNKLINE_WRITE_REFERENCE"] != nil {
      try text.write(to: file, atomically: true, encoding: .utf8)
    }
    #expect(try String(contentsOf: file, encoding: .utf8) == text)
  }

  @Test(arguments: VerdictCode.allCases) func everyCodeHasASentenceAndAStep(_ code: VerdictCode) {
    for text in [code.meaning, code.nextStep] {
      #expect(text.hasSuffix(".") && text.first?.isUppercase == true)
      #expect((8...300).contains(text.count), "\(text)")
      #expect(!text.contains("|") && !text.contains("\n"))
    }
    // What is ordinary needs nobody to do anything.
    if code.isOrdinary { #expect(code.level == .info) }
  }

  @Test func whateverARegistrationFailsByHasACode() {
    for code in Registration.failureCodes { #expect(VerdictCode(rawValue: code) != nil, "\(code)") }
  }
}
