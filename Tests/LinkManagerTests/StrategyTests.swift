import Foundation
import LinkManager
import NATDiscovery
import Testing

@Suite struct StrategyTests {
  static func findings(_ mapping: NATDependence, _ filtering: NATDependence, _ type: NATType = .unknown) -> NATFindings
  {
    var findings = NATFindings()
    findings.natType = type
    findings.mapping = mapping
    findings.filtering = filtering
    return findings
  }

  /// docs/nat-strategy.md holds the table of the code, and its sentences. To renew it:
  /// `TRUNKLINE_WRITE_REFERENCE=1 swift test --filter StrategyTests`.
  @Test func theDocumentIsTheCode() throws {
    let file = URL(filePath: #filePath).appending(path: "../../../docs/nat-strategy.md").standardized
    var text = try String(contentsOf: file, encoding: .utf8)
    for (name, lines) in [("table", LinkStrategy.documentation), ("sentences", LinkStrategy.sentences)] {
      let parts = text.components(separatedBy: "<!-- \(name) -->\n")
      let (head, rest) = (try #require(parts.first), try #require(parts.last))
      let end = try #require(rest.range(of: "<!-- end of \(name) -->"))
      #expect(parts.count == 2)
      text = head + "<!-- \(name) -->\n" + lines.joined(separator: "\n") + "\n" + rest[end.lowerBound...]
    }
    if ProcessInfo.processInfo.environment["TRUNKLINE_WRITE_REFERENCE"] != nil {
      try text.write(to: file, atomically: true, encoding: .utf8)
    }
    #expect(try String(contentsOf: file, encoding: .utf8) == text)
  }

  @Test func everyRowIsReachedAndEveryBehaviourHasOne() {
    var reached: [String] = []
    for isFixed in [true, false] {
      for type in NATType.allCases {
        for mapping in NATDependence.allCases {
          for filtering in NATDependence.allCases {
            let row = LinkStrategy.row(for: Self.findings(mapping, filtering, type), isFixed: isFixed)
            if !reached.contains(row.behaviour) { reached.append(row.behaviour) }
            #expect(!row.sentence.isEmpty)
            // Whoever is not let in by everybody's filter needs the provider's way kept open.
            if !isFixed, filtering != .endpointIndependent, type != .open { #expect(row.keepsProvider) }
          }
        }
      }
    }
    #expect(reached.count == LinkStrategy.sentences.count)
    #expect(LinkStrategy.documentation.count == reached.count + 2)
  }

  @Test func behindADestinationDependentMappingTheFlowIsAdvertised() {
    for mapping in [NATDependence.addressDependent, .addressAndPortDependent] {
      for filtering in NATDependence.allCases {
        let row = LinkStrategy.row(for: Self.findings(mapping, filtering, .symmetric))
        #expect(row.contact == .flow)
        #expect(row.keepsProvider && row.keepsMediaPeers)
        #expect(row.reach == (filtering == .endpointIndependent ? .everyone : .latching))
      }
    }
  }

  @Test(arguments: [(19, 9500), (15, 7500), (8, 4000), (3, 1500), (1, 1000), (20, 10_000), (180, 10_000)])
  func aShortLifetimeHalvesTheKeepalive(lifetime: Int, milliseconds: Int) {
    var findings = NATFindings()
    findings.bindingLifetime = lifetime
    #expect(LinkStrategy.keepalive(configured: .seconds(10), for: findings) == .milliseconds(milliseconds))
    #expect(
      LinkStrategy.keepalive(configured: .seconds(1), for: findings) == .seconds(1), "never longer than configured")
    findings.bindingLifetimeIsAtLeast = true
    #expect(LinkStrategy.keepalive(configured: .seconds(10), for: findings) == .seconds(10))
  }
}
