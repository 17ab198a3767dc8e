import CallControl
import LinkManager
import NetworkTypes
import SDP
import SIPSyntax
import Testing

/// Calls that did not come about, or that nobody hears, message by message; the scenarios have the others.
@Suite struct FailedCallTests {
  static let provider = LinkBench.provider
  static let phone = LinkBench.phones[0]

  @Test("A caller who never acknowledges the answer is told of")
  func unacknowledged() throws {
    let bench = LinkBench()
    _ = try bench.invite("+4930", from: Self.phone, callID: "deaf")
    let dialled = try #require(bench.next(Self.provider, "INVITE"))
    bench.answer(dialled, 200, from: Self.provider, description: LinkBench.description(Self.provider, port: 5000))
    _ = try #require(bench.next(Self.phone, "200"))
    bench.wait(.seconds(40))
    #expect(bench.verdicts.count { $0.code == "callUnacknowledged" } == 1)
  }

  @Test("A call that is answered and hung up is no failure")
  func noFailures() throws {
    let bench = LinkBench()
    let talk = try bench.talk("+4930", from: Self.phone, to: Self.provider)
    try bench.hangUp(talk)
    #expect(bench.verdicts.isEmpty)
  }

  @Test("The sentence of a refused call has the id of its record, and none of the numbers")
  func refused() throws {
    let bench = LinkBench()
    _ = try bench.invite("+4930", from: Self.phone, callID: "busy")
    let dialled = try #require(bench.next(Self.provider, "INVITE"))
    bench.answer(dialled, 486, from: Self.provider)
    _ = try #require(bench.next(Self.phone, "486"))
    let verdict = try #require(bench.verdicts.first)
    #expect(bench.verdicts.count == 1)
    #expect(verdict.code == "calleeBusy" && verdict.callID == bench.records.first?.id)
    #expect(!verdict.sentence.contains("4930"))
    #expect(verdict.evidence.contains("486"))
  }
}
