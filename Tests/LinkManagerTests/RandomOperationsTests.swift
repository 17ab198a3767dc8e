import CallControl
import LinkManager
import MediaRelay
import NetworkTypes
import SDP
import SIPSyntax
import SIPTransaction
import Testing

/// Telephones and a provider that do anything at any time, rightly or wrongly. Whatever happens, nothing crashes, and when
/// all calls were ended and every timer had its time, nothing is held any more.
@Suite struct RandomOperationsTests {
  struct Crowd {
    let bench: LinkBench
    var random: RandomSource
    let parties = LinkBench.phones + [LinkBench.provider, endpoint("203.0.113.99:5060")]
    /// What the link sent to each, and the INVITEs that each sent.
    var heard: [[SIPMessage]]
    var invites: [[SIPMessage]]
    var sequence = 10
    /// Whether somebody has the link examined now and then.
    var examines = false

    init(seed: UInt64) {
      bench = LinkBench { configuration in
        configuration.media.ports = 55000...55019
        configuration.limits.maxCalls = 12
        configuration.trunks[0].maxCalls = 5
        var rule = InboundRule(to: [.phone("10"), .phone("20"), .number("+4917")])
        rule.timeout = .seconds(7)
        rule.otherwise = .phone("30")
        configuration.routing.inbound = [rule]
      }
      random = RandomSource(seed: seed)
      heard = parties.map { _ in [] }
      invites = heard
    }

    mutating func below(_ count: Int) -> Int { Int(truncatingIfNeeded: random.next() % UInt64(max(1, count))) }
    mutating func chance(_ percent: Int) -> Bool { below(100) < percent }
    mutating func one<Element>(of list: [Element]) -> Element? { list.isEmpty ? nil : list[below(list.count)] }
    /// More often a late one than an early one.
    mutating func recent<Element>(of list: [Element]) -> Element? { one(of: chance(80) ? list.suffix(4) : list) }

    mutating func description(_ party: Endpoint) -> SessionDescription? {
      if chance(15) { return nil }
      var result = LinkBench.description(party, port: UInt16(4000 + below(20) * 2), version: UInt64(below(9)))
      if chance(20) { result.media.append(MediaDescription(kind: "video", port: 6000, formats: ["96"])) }
      if chance(10) { result.media[0].port = 0 }
      return result
    }

    mutating func listen() {
      for index in parties.indices { while let message = bench.next(parties[index]) { heard[index].append(message) } }
    }

    mutating func send(_ message: SIPMessage, _ party: Int) {
      var bytes = message.serialized()
      if chance(2) { bytes = Array(bytes.prefix(below(bytes.count))) }
      if chance(2), !bytes.isEmpty { bytes[below(bytes.count)] = UInt8(truncatingIfNeeded: random.next()) }
      let socket = party < LinkBench.phones.count ? LinkBench.officeSocket : LinkBench.uplinkSocket
      let remote = parties[party]
      for _ in 0..<(chance(5) ? 2 : 1) {
        bench.step { $0.datagramReceived(bytes.span, from: remote, on: socket, now: $1, into: &$2) }
      }
    }

    mutating func invite(_ party: Int) throws {
      let number = one(of: ["+4930", "20", "10", "1000", "+492111000", "*43", "nobody"]) ?? ""
      var request = try bench.request(
        .invite, "sip:\(number)@link", from: parties[party], callID: random.hexDigits(8), sequence: below(5) + 1)
      if let description = description(parties[party]) {
        request.setBody(description.serialized(), contentType: chance(5) ? "text/plain" : "application/sdp")
      }
      if chance(3) { request.set(.maxForwards, "0") }
      if chance(3) { request.remove(.contact) }
      invites[party].append(request)
      send(request, party)
    }

    mutating func respond(_ party: Int) {
      guard let request = recent(of: heard[party].filter { $0.isRequest && $0.method != .ack }) else { return }
      let statuses = [100, 180, 183, 200, 200, 200, 302, 401, 404, 407, 408, 481, 486, 487, 491, 500, 503, 603]
      var response = SIPMessage(
        responding: request, status: one(of: statuses) ?? 200, toTag: chance(85) ? "tag\(party)" : random.hexDigits(4))
      if chance(95) { response.set(.contact, "<sip:x@\(parties[party])>") }
      if response.status == 401 || response.status == 407 {
        let header = response.status == 401 ? HeaderName.wwwAuthenticate : .proxyAuthenticate
        response.set(header, #"Digest realm="provider.example", nonce="\#(random.hexDigits(8))", qop="auth""#)
      }
      if response.status < 300, request.method == .invite, let description = description(parties[party]) {
        response.setBody(description.serialized(), contentType: "application/sdp")
      }
      send(response, party)
    }

    /// ACK, CANCEL, or a request within a dialog that the party began or was called in.
    mutating func follow(_ party: Int) throws {
      sequence += below(3)
      let method = one(of: [SIPMethod.ack, .ack, .ack, .cancel, .bye, .bye, .invite, .info, .update, .options]) ?? .ack
      var request = try bench.request(
        method, "sip:link", from: parties[party], callID: "x", sequence: chance(90) ? sequence : 1)
      let answers = heard[party].filter { !$0.isRequest && (try? $0.cSeq())?.method == .invite && $0.status > 100 }
      if chance(60), let answer = recent(of: answers) {
        for name in [HeaderName.from, .to, .callID] { request.set(name, answer.value(name) ?? "") }
        if method == .ack || method == .cancel {
          request.set(.cSeq, "\((try? answer.cSeq().number) ?? 1) \(method)")
          if answer.status >= 300 || method == .cancel { request.set(.via, answer.value(.via) ?? "") }
          if method == .cancel, let invite = invites[party].first(where: { $0.callID == answer.callID }) {
            request.set(.to, invite.value(.to) ?? "")
          }
        }
      } else if let invite = recent(of: heard[party].filter { $0.isRequest && $0.method == .invite }) {
        request.set(.from, (invite.value(.to) ?? "") + (invite.toTag == nil ? ";tag=tag\(party)" : ""))
        request.set(.to, invite.value(.from) ?? "")
        request.set(.callID, invite.callID ?? "")
      } else {
        return
      }
      if method == .invite || chance(10), let description = description(parties[party]) {
        request.setBody(description.serialized(), contentType: "application/sdp")
      }
      send(request, party)
    }

    mutating func media() {
      guard let port = one(of: bench.mediaPorts.keys.sorted()) else { return }
      let events: [MediaEvent] = [
        .opened(port), .opened(port), .opened(port), .openFailed(port, reason: "in use"), .silent(port),
        .mapped(port, rtp: endpoint("198.51.100.1:40000"), rtcp: nil),
      ]
      guard let event = one(of: events) else { return }
      if case .openFailed = event { bench.mediaPorts[port] = nil }
      bench.step { $0.mediaEventReceived(event, now: $1, into: &$2) }
    }

    mutating func act() throws {
      if examines, chance(4) {
        let request = DoctorRequest(calls: chance(70))
        bench.step { _ = $0.examine(request, now: $1, into: &$2) }
      }
      let party = below(parties.count)
      switch below(100) {
      case 0..<12: try invite(party)
      case 12..<55: respond(party)
      case 55..<80: try follow(party)
      case 80..<86: media()
      case 86..<97: bench.wait(.milliseconds(below(900)))
      case 97..<99: bench.wait(.seconds(below(40)))
      default: bench.opensMedia.toggle()
      }
      listen()
    }

    mutating func finish() -> [String] {
      bench.opensMedia = true
      for call in bench.core.status(now: bench.now).calls {
        bench.step { _ = $0.hangUp(call.id, now: $1, into: &$2) }
      }
      // Timer C, which a far side that rings and rings may start anew until the end, and the transactions after it.
      bench.wait(.seconds(420))
      return bench.leftovers()
    }
  }

  @Test(arguments: 1...30 as ClosedRange<UInt64>)
  func anything(seed: UInt64) throws {
    var crowd = Crowd(seed: seed)
    for _ in 0..<400 { try crowd.act() }
    #expect(crowd.finish() == [])
  }

  @Test(arguments: 200...229 as ClosedRange<UInt64>)
  func anythingBesideExaminations(seed: UInt64) throws {
    var crowd = Crowd(seed: seed)
    crowd.examines = true
    for _ in 0..<400 { try crowd.act() }
    #expect(crowd.finish() == [])
    #expect(crowd.bench.reports.count > 1)
  }

  @Test("The crowd does reach calls that are answered, or its silence would prove nothing")
  func crowdIsAlive() throws {
    var results: Set<String> = []
    for seed in 100..<110 as Range<UInt64> {
      var crowd = Crowd(seed: seed)
      for _ in 0..<400 { try crowd.act() }
      _ = crowd.finish()
      results.formUnion(crowd.bench.records.map(\.result))
    }
    #expect(results.isSuperset(of: ["answered", "cancelled", "failed"]))
  }
}
