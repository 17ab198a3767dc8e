import LinkPart
import NetworkTypes
import STUN

/// The STUN side of an uplink by a script: servers that answer, stay away or answer late, strangers that forge. The mapping moves
/// only by answers that were asked for, the port is never silent for longer than its keepalive, and never floods.
func examine(_ bytes: [UInt8]) {
  var script = Script(bytes)
  var random = RandomSource(seed: 4)
  var now = MonotonicInstant(nanoseconds: 1_000_000_000)
  var port = UplinkPort(keepalive: .seconds(10))
  let servers = (0..<3).map { Endpoint(.v4(0xc000_0201 + UInt32($0)), port: 3478) }
  var open: [(id: UInt128, server: Endpoint, at: MonotonicInstant)] = []
  var told: [Endpoint] = []
  var lastSent = now
  var keepalive = Duration.seconds(10)
  var hasServers = false
  var steps = 0

  func take(_ actions: [UplinkPort.Action], isHonest: Bool) {
    require(actions.count <= 6, "One event asks for little.")
    for action in actions {
      switch action {
      case .send(let bytes, let server):
        require(servers.contains(server), "Only servers are asked.")
        guard let message = try? STUNMessage(decoding: bytes.span) else { fatalError("Our own request can be read.") }
        open.append((message.transactionID, server, now))
        if open.count > 40 { open.removeFirst() }
        lastSent = now
      case .mapped(let seen, let before):
        require(isHonest && told.contains(seen), "An address is believed only of those that were asked.")
        require(before != seen && port.mapping == seen, "A change is one.")
      case .disagreed(let found): require(found.sees.address != found.otherSees.address, "They disagree.")
      case .serversSilent, .firstServerSilent, .serversBack, .lineLost, .lineReturned: break
      }
    }
  }

  while steps < 600, let choice = script.next() {
    steps += 1
    var actions: [UplinkPort.Action] = []
    let before = port.mapping
    var isHonest = false
    switch choice % 11 {
    case 0:
      let list = Array(servers.prefix(script.below(4)))
      port.serversChanged(list, now: now, random: &random, into: &actions)
      if !list.isEmpty, !hasServers { lastSent = now }
      hasServers = !list.isEmpty
    case 1, 2, 3:
      // Time passes, with every wake-up on the way.
      let end = now + .milliseconds(script.below(256) * 20)
      var turns = 0
      while let deadline = port.nextDeadline, deadline <= end {
        turns += 1
        require(turns < 200, "It does not spin.")
        now = max(now, deadline)
        actions = []
        port.timerFired(now: now, random: &random, into: &actions)
        // A second answer may have been waited for.
        take(actions, isHonest: true)
      }
      now = end
      actions = []
      isHonest = true
      if hasServers, !port.isResting { require(now - lastSent <= keepalive, "The port is never silent for long.") }
    case 4, 5:
      guard !open.isEmpty else { continue }
      let question = open.remove(at: script.below(open.count))
      let seen = Endpoint(.v4(0xcb00_7101 + UInt32(script.below(3))), port: 65_002)
      told.append(seen)
      if told.count > 64 { told.removeFirst() }
      isHonest = true
      _ = port.answerReceived(
        STUNMessage(messageClass: .success, transactionID: question.id, attributes: [.xorMappedAddress(seen)]),
        from: question.server, now: now, random: &random, into: &actions)
    case 6:
      // From elsewhere, or with an ID that was never sent.
      let id = open.isEmpty ? 1 : open[script.below(open.count)].id
      let isElsewhere = script.below(2) == 0
      let isOurs = port.answerReceived(
        STUNMessage(
          messageClass: .success, transactionID: isElsewhere ? id : id ^ 1,
          attributes: [.xorMappedAddress(forgedAddress)]),
        from: isElsewhere ? Endpoint(servers[0].address, port: 3479) : servers[script.below(3)], now: now,
        random: &random,
        into: &actions)
      require(!isOurs && actions.isEmpty, "A forged answer is none.")
    case 7:
      port.suspected(now: now, random: &random, into: &actions)
      if script.below(2) == 0 { port.lineProven(now: now, into: &actions) }
    case 9:
      if port.isResting {
        port.wake(patiently: script.below(2) == 0, now: now, random: &random, into: &actions)
        lastSent = now
      } else {
        port.rest()
      }
      isHonest = true
    case 8:
      port.otherPacketSent(now: now)
      lastSent = now
    default:
      keepalive = .seconds(1 + script.below(10))
      port.setKeepalive(keepalive, now: now)
      // What left before left at the old pace.
      lastSent = now
    }
    take(actions, isHonest: isHonest)
    require(isHonest || port.mapping == before, "Nobody else moves the mapping.")
    require(port.mapping != forgedAddress, "A forged address is not believed.")
    require(!port.isResting || port.nextDeadline == nil, "Whoever rests waits for nothing.")
    require(!hasServers || port.isResting || port.nextDeadline != nil, "Whoever asks has a deadline.")
  }
}
