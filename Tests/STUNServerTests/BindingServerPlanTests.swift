import NetworkTypes
import STUN
import STUNServer
import Testing

@Suite("Addresses of a STUN server as a person names them")
struct BindingServerPlanTests {
  static func endpoints(_ texts: [String]) -> [Endpoint] { texts.compactMap { Endpoint($0) } }

  @Test("each alternate goes with the first address of its family; the rest says what it cannot do")
  func pairing() throws {
    let plan = try BindingServerPlan(
      listen: Self.endpoints(["203.0.113.1:3478", "[2001:db8::1]:3478", "203.0.113.9:3478"]),
      alternate: Self.endpoints(["[2001:db8::2]:3479", "203.0.113.2:3479"]))
    #expect(
      plan.pairs.map { "\($0.primary) \($0.alternate)" } == [
        "[2001:db8::1]:3478 [2001:db8::2]:3479", "203.0.113.1:3478 203.0.113.2:3479",
      ])
    #expect(plan.endpoints == Self.endpoints(["203.0.113.9:3478"]))
    #expect(plan.limitations.count == 1)
    #expect(plan.limitations[0].contains("203.0.113.9:3478") && plan.limitations[0].contains("filtering"))
    let one = try BindingServerPlan(listen: Self.endpoints(["0.0.0.0:3478"]), alternate: [])
    #expect(one.limitations.count == 1)
  }

  @Test(
    "mistakes are told with the address that is wrong",
    arguments: [
      (["203.0.113.1:3478"], ["203.0.113.1:3479"], "a second address"),
      (["203.0.113.1:3478"], ["203.0.113.2:3478"], "a second port"),
      (["0.0.0.0:3478"], ["203.0.113.2:3479"], "wildcard"),
      (["203.0.113.1:3478"], ["203.0.113.2:0"], "wildcard"),
      (["203.0.113.1:3478"], ["[2001:db8::2]:3479"], "no IPv6 address"),
      ([], ["203.0.113.2:3479"], "no IPv4 address"),
      (["203.0.113.1:3478", "203.0.113.2:3478"], ["203.0.113.2:3479"], "named twice"),
      (["203.0.113.1:3478", "203.0.113.1:3478"], [], "named twice"),
    ])
  func mistakes(_ listen: [String], _ alternate: [String], _ words: String) throws {
    let mistake = try #require(throws: BindingServerPlan.Mistake.self) {
      try BindingServerPlan(listen: Self.endpoints(listen), alternate: Self.endpoints(alternate))
    }
    #expect(mistake.sentence.contains(words), "\(mistake.sentence)")
  }
}
