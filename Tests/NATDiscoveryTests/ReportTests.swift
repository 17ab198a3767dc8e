import Foundation
import NATDiscovery
import NetworkSimulator
import NetworkTypes
import STUN
import Testing

@Suite struct ReportTests {
  @Test func documentHasTheNamesOfTheContract() throws {
    var world = try DiscoveryWorld(.portRestrictedCone)
    let (report, _) = try world.discover()
    let data = try JSONEncoder().encode(report)
    let document = try #require(try JSONSerialization.jsonObject(with: data) as? [String: Any])
    #expect(document["natType"] as? String == "portRestrictedCone")
    #expect(document["mapping"] as? String == "endpointIndependent")
    #expect(document["filtering"] as? String == "addressAndPortDependent")
    #expect(document["hairpin"] as? String == "no")
    #expect((document["publicAddress"] as? [String: Any])?["ip"] as? String == "203.0.113.1")
    #expect((document["localAddress"] as? [String: Any])?["port"] as? Int == 5000)
    #expect(document["bindingLifetimeSeconds"] is NSNull)
    #expect(document["portPreserved"] as? String == "yes")
    #expect(document["carrierGradeNAT"] as? String == "no")
    #expect(document["doubleNAT"] as? String == "no")
    #expect(document["server"] as? String == "198.51.100.1:3478")
    #expect((document["notChecked"] as? [String: String])?["bindingLifetimeSeconds"]?.contains("--lifetime") == true)
    #expect((document["summary"] as? String)?.contains("port-restricted") == true)
  }

  @Test func everyScreenFitsAndSaysWhatItMeans() throws {
    for behavior in [NATBehavior.open, .blocked, .symmetricFirewall, .fullCone, .restrictedCone, .symmetric] {
      var world = try DiscoveryWorld(behavior)
      let (report, _) = try world.discover()
      let lines = report.text.split(separator: "\n", omittingEmptySubsequences: false)
      #expect(lines.count <= 24)
      #expect(lines.dropFirst().allSatisfy { $0.hasPrefix("  ") ? $0.count <= 110 : true })
      #expect(!report.meaning.isEmpty)
      #expect(lines.first.map(String.init) == report.summary)
    }
  }

  /// Answers from elsewhere, with a guessed ID, on another port, and twice.
  @Test func forgedAnswersMoveNothing() throws {
    let server = HostileDiscoveryTests.server
    let now = HostileDiscoveryTests.now
    var (core, request) = try HostileDiscoveryTests.asking()
    var actions: [DiscoveryAction] = []
    let id = request.transactionID
    func answer(_ id: UInt128, _ mapped: String) -> [UInt8] {
      STUNMessage(messageClass: .success, transactionID: id, attributes: [.xorMappedAddress(endpoint(mapped))])
        .encoded()
    }
    let count = actions.count
    core.datagramReceived(
      answer(id, "6.6.6.6:1").span, from: endpoint("198.51.100.1:3479"), on: 0, now: now, into: &actions)
    core.datagramReceived(
      answer(id, "6.6.6.6:1").span, from: endpoint("198.51.100.9:3478"), on: 0, now: now, into: &actions)
    core.datagramReceived(answer(id ^ 1, "6.6.6.6:1").span, from: server, on: 0, now: now, into: &actions)
    core.datagramReceived(answer(id, "6.6.6.6:1").span, from: server, on: 1, now: now, into: &actions)
    #expect(actions.count == count)
    core.datagramReceived(answer(id, "203.0.113.1:5000").span, from: server, on: 0, now: now, into: &actions)
    core.datagramReceived(answer(id, "6.6.6.6:1").span, from: server, on: 0, now: now, into: &actions)
    #expect(actions.contains { if case .traceHops = $0 { true } else { false } })
    var moment = now
    while let deadline = core.nextDeadline, !core.isFinished {
      moment = max(moment, deadline)
      core.timerFired(now: moment, into: &actions)
    }
    guard case .finished(let report)? = actions.last else {
      Issue.record("no report")
      return
    }
    #expect(report.publicAddress == endpoint("203.0.113.1:5000"))
  }

  @Test func whateverComesItEnds() throws {
    for seed in UInt64(1)...200 {
      var random = RandomSource(seed: seed)
      let server = endpoint("198.51.100.1:3478")
      var core = DiscoveryCore(
        settings: DiscoverySettings(
          servers: [server], local: endpoint("192.168.1.2:5000"), measuresLifetime: seed % 2 == 0),
        random: RandomSource(seed: seed))
      var now = MonotonicInstant(nanoseconds: 1_000_000_000_000)
      var actions: [DiscoveryAction] = []
      core.start(now: now, into: &actions)
      var done = 0
      for _ in 0..<20_000 where !core.isFinished {
        while done < actions.count {
          defer { done += 1 }
          switch actions[done] {
          case .openSocket(let socket, let local):
            if UInt8.random(in: 0..<10, using: &random) == 0, socket != 0 {
              core.socketFailed(socket, reason: "no", now: now, into: &actions)
            } else {
              core.socketOpened(socket, local: Endpoint(local.address, port: 5000), now: now, into: &actions)
            }
          case .send(let bytes, let socket, let destination):
            reply(bytes, socket, destination, &core, now, &random, &actions)
          default: break
          }
        }
        if let deadline = core.nextDeadline { now = max(now, deadline) }
        core.timerFired(now: now, into: &actions)
      }
      #expect(core.isFinished, "seed \(seed)")
      #expect(actions.count < 40_000)
    }
  }

  /// Something between an answer and noise.
  private func reply(
    _ bytes: [UInt8], _ socket: Int, _ destination: Endpoint, _ core: inout DiscoveryCore, _ now: MonotonicInstant,
    _ random: inout RandomSource, _ actions: inout [DiscoveryAction]
  ) {
    guard let request = try? STUNMessage(decoding: bytes.span) else { return }
    let choice = UInt8.random(in: 0..<8, using: &random)
    var attributes: [STUNAttribute] = [
      .xorMappedAddress(endpoint("203.0.113.1:\(UInt16.random(in: 0..<4, using: &random))"))
    ]
    let others = ["198.51.100.2:3479", "0.0.0.0:0", "198.51.100.1:3478", "127.0.0.1:1", "[2001:db8::1]:5"]
    attributes.append(.otherAddress(endpoint(others[Int.random(in: 0..<others.count, using: &random)])))
    if choice == 0 { return }
    if choice == 1 { attributes = [.errorCode(.unknownAttribute)] }
    var answer = STUNMessage(
      messageClass: choice == 1 ? .error : .success, transactionID: request.transactionID,
      hasMagicCookie: request.hasMagicCookie, attributes: attributes
    ).encoded()
    if choice == 2 { answer.removeLast(Int.random(in: 1...answer.count, using: &random)) }
    if choice == 3 { answer[Int.random(in: 0..<answer.count, using: &random)] ^= 0x55 }
    let from = choice == 4 ? endpoint("198.51.100.2:3479") : destination
    core.datagramReceived(answer.span, from: from, on: choice == 5 ? socket + 1 : socket, now: now, into: &actions)
  }

  /// Where no router on the way says who it is, the one next to us may still say what it has outside.
  @Test(arguments: [
    ("203.0.113.1", NATFinding.no, NATFinding.no), ("100.64.7.7", .yes, .yes), ("192.168.178.20", .yes, .notChecked),
  ])
  func theRoutersOwnWordCounts(told: String, doubleNAT: NATFinding, carrier: NATFinding) throws {
    var world = try DiscoveryWorld(.portRestrictedCone, hops: [nil, nil], routerAddress: address(told))
    let (report, _) = try world.discover()
    #expect(report.doubleNAT == doubleNAT)
    #expect(report.carrierGradeNAT == carrier)
  }
}
