package import EmbeddedProvider
package import NetworkSimulator
import NetworkTypes

/// What one seed makes of an office, its router and its provider.
package struct YearOffice: Sendable, CustomStringConvertible {
  package let seed: UInt64
  package let nat: NATBehavior
  package let provider: String
  package let quirks: ProviderQuirks

  /// The ways in which providers differ, each of which some office of a year has.
  static let providers: [(name: String, change: @Sendable (inout ProviderQuirks) -> Void)] = [
    ("plain", { _ in }),
    ("follows SDP and Contact to the letter", { $0.latching = false }),
    ("grants a minute", { $0.grantedExpires = 60 }),
    ("takes nothing below two minutes", { $0.minExpires = 120 }),
    ("rewrites contacts", { $0.rewritesContacts = true }),
    ("one binding", { $0.singleBinding = true }),
    ("stale nonces", { $0.staleNonceEvery = 2 }),
    (
      "strict, one binding",
      {
        $0.latching = false; $0.singleBinding = true
      }
    ),
    ("no challenge to INVITE", { $0.challengesInvites = false }),
    ("the number in the request URI", { $0.numberInRequestURI = true }),
    ("deaf to OPTIONS", { $0.ignoresOptions = true }),
  ]

  static let routers: [(name: String, behavior: NATBehavior)] = [
    ("port-restricted", .portRestrictedCone), ("restricted", .restrictedCone), ("full cone", .fullCone),
    ("symmetric", .symmetric), ("port-restricted, random ports", randomPorts),
  ]

  private static var randomPorts: NATBehavior {
    var behavior = NATBehavior.portRestrictedCone
    behavior.ports = .random
    return behavior
  }

  private let router: String

  package init(seed: UInt64) {
    self.seed = seed
    // Every pair of a router and a provider comes round, since 5 and 11 have no common divisor.
    let router = Self.routers[Int(seed % UInt64(Self.routers.count))]
    let provider = Self.providers[Int(seed % UInt64(Self.providers.count))]
    self.router = router.name
    self.provider = provider.name
    var nat = router.behavior
    nat.lifetime = .seconds(seed % 3 == 0 ? 30 : 120)
    nat.keepsStaleState = seed % 7 == 3
    self.nat = nat
    var quirks = ProviderQuirks()
    provider.change(&quirks)
    self.quirks = quirks
  }

  package var description: String {
    "seed \(seed): router \(router)\(nat.keepsStaleState ? ", keeps stale state" : ""), provider: \(provider)"
  }
}
