import FirewallRules
import Foundation
import NetworkTypes
import Testing

/// Each format as a file, word for word: what a person would load. The lab loads those of nftables and iptables.
@Suite struct GoldenTests {
  private static let folder = URL(fileURLWithPath: #filePath).deletingLastPathComponent().appendingPathComponent(
    "Golden")

  @Test(arguments: SamplePlans.renderings.map(\.name)) func renderingIsAsKept(_ name: String) throws {
    let rendering = try #require(SamplePlans.renderings.first { $0.name == name })
    let kept = try String(contentsOf: Self.folder.appendingPathComponent("\(name).txt"), encoding: .utf8)
    let made = SamplePlans.office.rendered(rendering.format, rendering.options)
    let lines = (kept.split(separator: "\n"), made.split(separator: "\n"))
    for (old, new) in zip(lines.0, lines.1) where old != new {
      Issue.record("\(name): kept is\n\(old)\nmade was\n\(new)")
      return
    }
    #expect(kept == made)
  }

  @Test func everyKeptFileHasItsRendering() throws {
    let kept = try FileManager.default.contentsOfDirectory(atPath: Self.folder.path).sorted()
    #expect(kept == SamplePlans.renderings.map { "\($0.name).txt" }.sorted())
  }

  /// The issue's demand: what nobody here has read says so at once.
  @Test(arguments: FirewallFormat.allCases) func firstLineTellsWhoHasReadTheFormat(_ format: FirewallFormat) {
    let text = SamplePlans.office.rendered(format, RenderingOptions(stand: format.stands[0]))
    let first = text.prefix { $0 != "\n" }
    let isChecked = format == .nftables || format == .iptables
    #expect(first.contains("UNCHECKED") != isChecked)
    #expect(first.contains("Checked") == isChecked)
  }
}
