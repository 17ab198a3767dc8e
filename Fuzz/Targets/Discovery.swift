import NATDiscovery
import NetworkTypes
import STUN

/// A discovery by a script: servers of every kind, sockets that fail, forged and damaged answers. It ends, once, and every finding
/// that it did not check has its reason.
func examine(_ bytes: [UInt8]) {
  var script = Script(bytes)
  let local = Endpoint(.v4(0xc0a8_0102), port: 5000)
  let servers = (0..<(1 + script.below(3))).map { Endpoint(.v4(0xc633_6401 + UInt32($0) * 8), port: 3478) }
  let measures = script.below(4) == 0
  var core = DiscoveryCore(
    settings: DiscoverySettings(servers: servers, local: local, measuresLifetime: measures),
    random: RandomSource(seed: 9))
  var now = MonotonicInstant(nanoseconds: 1_000_000_000)
  var actions: [DiscoveryAction] = []
  core.start(now: now, into: &actions)
  var done = 0
  var total = 0
  var steps = 0
  var reports: [NATReport] = []
  while steps < 30_000, reports.isEmpty {
    steps += 1
    while done < actions.count {
      let action = actions[done]
      done += 1
      switch action {
      case .openSocket(let socket, let place):
        if script.below(16) == 15, socket != 0 {
          core.socketFailed(socket, reason: "no", now: now, into: &actions)
        } else {
          let port = place.port == 0 ? UInt16(truncatingIfNeeded: 20_000 + socket) : place.port
          core.socketOpened(socket, local: Endpoint(place.address, port: port), now: now, into: &actions)
        }
      case .send(let request, let socket, let destination):
        reply(to: request, socket, destination, local, &core, now, &script, &actions)
      case .traceHops:
        switch script.below(3) {
        case 0: core.hopsRefused("no", now: now, into: &actions)
        case 1: core.hopsTraced([.v4(0xc0a8_0101), nil, .v4(0x6440_0001)], now: now, into: &actions)
        default: break
        }
      case .closeSocket, .progress: break
      case .finished(let report): reports.append(report)
      }
      require(actions.count - done < 4000, "What is asked for at once is bounded.")
    }
    total += actions.count
    actions = []
    done = 0
    guard reports.isEmpty else { break }
    guard let deadline = core.nextDeadline else { fatalError("Whoever waits has a deadline.") }
    require(deadline <= now + .seconds(700), "Nobody waits for ever.")
    now = max(now, deadline)
    core.timerFired(now: now, into: &actions)
  }
  require(reports.count == 1 && core.isFinished, "It ends.")
  require(total < 200_000, "It does not flood.")
  judge(reports[0])
  // Nothing comes after the end.
  core.timerFired(now: now + .seconds(60), into: &actions)
  core.datagramReceived(script.raw(40).span, from: servers[0], on: 0, now: now, into: &actions)
  core.hopsTraced([], now: now, into: &actions)
  require(actions.isEmpty && core.nextDeadline == nil, "After its report it is quiet.")
}

/// What comes of one request.
func reply(
  to request: [UInt8], _ socket: Int, _ destination: Endpoint, _ local: Endpoint, _ core: inout DiscoveryCore,
  _ now: MonotonicInstant, _ script: inout Script, _ actions: inout [DiscoveryAction]
) {
  let mapped = Endpoint(.v4(0xcb00_7101), port: UInt16(30_000 + script.below(4)))
  let other = Endpoint(.v4(0xc633_6402), port: 3479)
  switch script.below(8) {
  case 0, 1:
    // An honest server of two addresses, as the router lets it.
    var answer: [UInt8] = []
    guard
      let way = BindingResponder().reply(
        to: request.span, from: mapped, local: destination, other: other, into: &answer)
    else { return }
    let from = Endpoint(
      way.change.changeIP ? other.address : destination.address,
      port: way.change.changePort ? other.port : destination.port)
    core.datagramReceived(answer.span, from: from, on: socket, now: now, into: &actions)
  case 2:
    guard let message = try? STUNMessage(decoding: request.span) else { return }
    let bytes = answer(to: message, saying: mapped, &script, key: nil)
    core.datagramReceived(bytes.span, from: destination, on: socket, now: now, into: &actions)
  case 3:
    // The request itself comes back, to any port.
    core.datagramReceived(request.span, from: mapped, on: script.below(12), now: now, into: &actions)
  case 4:
    core.datagramReceived(script.raw(60).span, from: destination, on: socket, now: now, into: &actions)
  case 5:
    core.datagramReceived(request.span, from: forgedAddress, on: socket, now: now, into: &actions)
  default: break
  }
}

/// Every finding is yes, no, or not checked for a reason.
func judge(_ report: NATReport) {
  let findings: [(String, Bool)] = [
    ("mapping", report.mapping == .notChecked), ("filtering", report.filtering == .notChecked),
    ("hairpin", report.hairpin == .notChecked), ("portPreserved", report.portPreserved == .notChecked),
    ("portParityPreserved", report.portParityPreserved == .notChecked),
    ("portsPredictable", report.portsPredictable == .notChecked), ("addressPool", report.addressPool == .notChecked),
    ("fragments", report.fragments == .notChecked), ("carrierGradeNAT", report.carrierGradeNAT == .notChecked),
    ("doubleNAT", report.doubleNAT == .notChecked), ("bindingLifetimeSeconds", report.bindingLifetimeSeconds == nil),
  ]
  for (name, isOpen) in findings {
    require((report.whyNotChecked(name) != nil) == isOpen, "\(name) is checked, or says why not.")
  }
  require(!report.text.isEmpty && !report.summary.isEmpty && !report.meaning.isEmpty, "There is something to read.")
  require(report.publicAddress != forgedAddress, "Nobody else's word counts.")
}
