import EmbeddedProvider
import NATDiscovery
import NetworkTypes
import SIPSyntax
import SIPTransaction
import STUN

/// What the answers mean: one sentence for each need, and what a person does next.
extension DoctorRun {
  func findings() -> [DoctorFinding] {
    var found = ports.map(judged)
    found += lookups.map(judged)
    for place in uplinks.indices { found += servers(of: place) }
    for place in trunks.indices { found.append(signalling(of: place)) }
    for place in trunks.indices where trunks[place].registers { found.append(registration(of: place)) }
    for place in uplinks.indices where !uplinks[place].sockets.isEmpty {
      found.append(forward(of: place))
      found.append(media(of: place))
    }
    for place in trunks.indices { found.append(fragments(of: place)) }
    if !trunks.isEmpty { found.append(clock()) }
    return found + calls.map(judged)
  }

  // MARK: Ports and names

  private func judged(_ port: DoctorRequest.PortCheck) -> DoctorFinding {
    guard let refusal = port.refusal else {
      let how = request.isStandalone ? "could be opened" : "is open, held by the running daemon"
      return DoctorFinding(
        need: .ports, subject: port.subject, result: .proven, evidence: "UDP \(port.endpoint) \(how).")
    }
    return DoctorFinding(
      need: .ports, subject: port.subject, result: .refuted,
      evidence: "UDP \(port.endpoint) cannot be opened: \(refusal.escapedForLog(limit: 100)).",
      nextStep:
        "See who has it (ss -lunp) and end that program, or set another port; everything else here was asked from "
        + "other ports.")
  }

  private func judged(_ lookup: DoctorLookup) -> DoctorFinding {
    var finding = DoctorFinding(need: .name, subject: lookup.host, result: .proven, evidence: "")
    if let answer = lookup.answer, let took = lookup.took, !answer.isEmpty {
      let shown = answer.prefix(4).map(\.description).joined(separator: ", ")
      finding.evidence = "The name server gave \(shown) within \(took.milliseconds) ms."
    } else if lookup.isServed {
      finding.evidence = "The name server names the machines that serve this domain."
    } else {
      finding.result = .refuted
      finding.evidence =
        lookup.answer == nil
        ? "No name server answered within \(Self.namePatience.milliseconds / 1000) s."
        : "The name server gave no address for it."
      finding.nextStep =
        lookup.answer == nil
        ? "Check the line, then the name servers of this machine (/etc/resolv.conf)."
        : "Check the name in the configuration (\(lookup.subject)) for a misspelling, then the name servers of this machine."
    }
    return finding
  }

  // MARK: STUN

  private func bindings(of uplink: Int) -> [DoctorProbe] {
    probes.filter { probe in
      if case .stun = probe.purpose { return probe.owner == uplink }
      return false
    }
  }

  /// Whether a provider answered on a socket of this uplink.
  private func isProviderHeard(on uplink: Int) -> Bool {
    probes.contains { probe in probe.response != nil && uplinks[uplink].sockets.contains { $0.socket == probe.socket } }
  }

  private func servers(of place: Int) -> [DoctorFinding] {
    let uplink = uplinks[place]
    if uplink.servers.isEmpty {
      return [
        DoctorFinding(
          need: .stun, subject: uplink.subject, result: .unprovable, evidence: "No STUN server is configured.",
          nextStep: "Name one in stunServers of the uplink, unless publicAddress is fixed.")
      ]
    }
    return uplink.servers.flatMap { server -> [DoctorFinding] in
      let own = bindings(of: place).filter { $0.purpose == .stun(server: server) }
      if own.isEmpty {
        let why = uplink.sockets.isEmpty ? "The port of the uplink is not open." : "No address of it is known."
        return [
          DoctorFinding(
            need: .stun, subject: server.description, result: .unprovable, evidence: why,
            nextStep: "First what is refuted above.")
        ]
      }
      return own.map { judged(server: server, $0, place) }
    }
  }

  private func judged(server: HostPort, _ probe: DoctorProbe, _ uplink: Int) -> DoctorFinding {
    let port = uplinks[uplink].sockets.first { $0.socket == probe.socket }?.local.port ?? 0
    var finding = DoctorFinding(need: .stun, subject: server.description, result: .refuted, evidence: "")
    if let binding = probe.binding, let seen = binding.mappedAddress, binding.messageClass == .success {
      finding.result = .proven
      finding.evidence =
        "\(probe.remote) answered after \(probe.took?.milliseconds ?? 0) ms and sees port \(port) as \(seen)."
    } else if probe.binding != nil {
      finding.evidence = "\(probe.remote) answered with an error."
      finding.nextStep = "Take it out of stunServers: it is no server for us."
    } else {
      finding.evidence = silence(probe, "requests from port \(port)")
      let others = bindings(of: uplink).contains { $0.binding != nil }
      finding.nextStep =
        others
        ? "Take it out of stunServers, or correct its port: other servers do answer."
        : isProviderHeard(on: uplink)
          ? "The line is up and only STUN is not answered: let UDP from port \(port) to \(probe.remote) out and its answers in "
            + "(trunkline firewall), or name another server."
          : "Nothing answers over UDP: check the line, then whether a firewall drops UDP from port \(port) (trunkline firewall)."
    }
    return finding
  }

  private func silence(_ probe: DoctorProbe, _ what: String) -> String {
    "\(probe.repeated + 1) \(what) to \(probe.remote) got no answer within \(probe.patience.milliseconds / 1000) s."
  }

  // MARK: Providers

  private func asked(_ place: Int, _ purposes: [DoctorProbe.Purpose]) -> [DoctorProbe] {
    probes.filter { $0.owner == place && purposes.contains($0.purpose) }
  }

  /// The finding for a trunk of which nothing could be asked.
  private func untold(_ need: DoctorFinding.Need, _ trunk: DoctorTrunk) -> DoctorFinding {
    DoctorFinding(
      need: need, subject: trunk.subject, result: trunk.isUnreachable && need == .sip ? .refuted : .unprovable,
      evidence: trunk.isUnreachable
        ? "No uplink of the trunk has an address of the family of \(trunk.host)."
        : "No address of \(trunk.host) is known.",
      nextStep: trunk.isUnreachable
        ? "Add an address of that family to bind of an uplink." : "First the name, which is refuted above.")
  }

  private func signalling(of place: Int) -> DoctorFinding {
    let trunk = trunks[place]
    let all = asked(place, [.options, .query])
    guard !all.isEmpty else { return untold(.sip, trunk) }
    var finding = DoctorFinding(need: .sip, subject: trunk.subject, result: .proven, evidence: "")
    var heard: [String] = []
    var silent: [DoctorProbe] = []
    for remote in all.map(\.remote).uniqued {
      let own = all.filter { $0.remote == remote }
      if let answered = own.first(where: { $0.response != nil }), let response = answered.response {
        let method = answered.purpose == .options ? "OPTIONS" : "REGISTER"
        heard.append(
          "\(remote) answered \(method) with \(response.status) after \(answered.took?.milliseconds ?? 0) ms")
      } else if let first = own.first {
        silent.append(first)
      }
    }
    guard let first = silent.first else {
      finding.evidence = heard.joined(separator: "; ") + "."
      return finding
    }
    finding.result = .refuted
    finding.evidence = (heard + [silence(first, "requests")]).joined(separator: "; ")
    let isLineUp = probes.contains { $0.owner != place && $0.response != nil || $0.binding != nil }
    finding.nextStep =
      !heard.isEmpty
      ? "One address of the provider is silent and others are not: tell the provider; the link goes on with the others."
      : isLineUp
        ? "The line is up and the provider is silent: check registrar and its port, then whether a firewall drops UDP to it "
          + "(trunkline firewall), then ask the provider."
        : "Nothing answers: check the line, then whether a firewall drops UDP to the provider (trunkline firewall)."
    return finding
  }

  private func registration(of place: Int) -> DoctorFinding {
    let trunk = trunks[place]
    guard let query = asked(place, [.query]).first else { return untold(.registration, trunk) }
    let last = asked(place, [.credentials]).last ?? query
    var finding = DoctorFinding(need: .registration, subject: trunk.subject, result: .refuted, evidence: "")
    guard let status = last.response?.status else {
      let wasHeard = last.purpose == .credentials
      finding.result = wasHeard ? .refuted : .unprovable
      finding.evidence = silence(last, wasHeard ? "REGISTERs with credentials" : "REGISTERs")
      finding.nextStep =
        wasHeard
        ? "Compare username and password: some providers do not answer wrong ones."
        : "First SIP to the provider, see above."
      return finding
    }
    switch status {
    case 200..<300 where last.purpose == .credentials:
      let count = last.response?.values(.contact).count ?? 0
      finding.result = .proven
      let contacts = count == 1 ? "one contact" : "\(count) contacts"
      finding.evidence = "The registrar took the credentials and lists \(contacts); nothing was changed."
    case 200..<300:
      finding.result = .unprovable
      finding.evidence = "The registrar answered with \(status) and did not ask who we are."
      finding.nextStep = "Nothing, as long as the trunk is registered (trunkline status)."
    case 401, 407:
      finding.evidence = "The registrar answered with \(status)"
      switch trunk.verdict {
      case .wrongRealm(let realm):
        finding.evidence += " for the realm \(realm.escapedForLog(limit: 60)), which is not the trunk's."
        finding.nextStep = "Set realm of the trunk to the provider's, if that realm is indeed the provider's."
      case .unsupported:
        finding.evidence += ", and asks for something else than digest authentication."
        finding.nextStep = "Ask the provider for digest authentication with MD5 or SHA-256."
      case nil where !trunk.hasPassword:
        finding.evidence += ", and the trunk has no password."
        finding.nextStep = "Set password of the trunk."
      case .refused, .answerable, nil:
        finding.evidence += " to the right question with our credentials: they are wrong."
        finding.nextStep = "Compare username, authUsername and password of the trunk with what the provider shows."
      }
    case 403:
      finding.evidence = "The registrar answered with 403."
      finding.nextStep = "Compare username and password; ask the provider whether the account is active."
    case 404, 604:
      finding.evidence = "The registrar answered with \(status): it does not know the user."
      finding.nextStep = "Check username and domain of the trunk."
    case 405, 501:
      finding.evidence = "What answers there takes no registrations (\(status))."
      finding.nextStep = "Check registrar of the trunk."
    default:
      // Some registrars take no REGISTER without a contact.
      finding.result = .unprovable
      finding.evidence = "The registrar answered with \(status), which says nothing about the credentials."
      finding.nextStep = "See whether the trunk is registered (trunkline status); ask again later."
    }
    return finding
  }

  /// Whether a question to a provider is one that fragments may be lost of: a long one, or of a trunk that is not heard at
  /// all, unanswered when it leaves again.
  func isDoubtful(_ probe: DoctorProbe) -> Bool {
    guard probe.answer == nil, probe.repeated > 0 else { return false }
    switch probe.purpose {
    case .long: return true
    case .options, .query: return !probes.contains { $0.owner == probe.owner && $0.response != nil }
    case .stun, .forward, .credentials, .padded: return false
    }
  }

  /// The long question to a STUN server that left that socket.
  func padded(_ socket: Int) -> DoctorProbe? { probes.first { $0.purpose == .padded && $0.socket == socket } }

  private func fragments(of place: Int) -> DoctorFinding {
    let trunk = trunks[place]
    let long = asked(place, [.long]).first
    guard let socket = (long ?? asked(place, [.options, .query]).first)?.socket else {
      return untold(.fragments, trunk)
    }
    if let long, let response = long.response {
      return DoctorFinding(
        need: .fragments, subject: trunk.subject, result: .proven,
        evidence: "A message of \(long.bytes.count) bytes was answered with \(response.status) after "
          + "\(long.took?.milliseconds ?? 0) ms.")
    }
    let effect = "until then calls with long headers or many codecs fail."
    var finding = DoctorFinding(
      need: .fragments, subject: trunk.subject, result: .refuted,
      evidence: long.map {
        "A message of \($0.bytes.count) bytes, which goes in pieces, was sent \($0.repeated + 1) times and not answered; a "
          + "short one was"
      } ?? "Not even a short message is answered",
      nextStep: "Let fragments of UDP through router and firewall, and set the router's MTU to the line's; \(effect)")
    let padded = padded(socket)
    let isPassed = padded?.answer != nil
    if let padded {
      let request = "a STUN request of \(padded.bytes.count) bytes to \(padded.remote)"
      finding.evidence +=
        isPassed
        ? "; \(request) was answered, so that the line lets fragments through"
        : "; nor was \(request), where short ones are, so that the line or the router loses fragments"
    }
    finding.evidence += "."
    if long == nil, padded == nil || isPassed {
      finding.result = .unprovable
      finding.nextStep = "First SIP to the provider, see above."
    } else if isPassed {
      finding.nextStep = "Tell the provider that fragments of UDP do not arrive there; \(effect)"
    }
    return finding
  }

  // MARK: The way in

  private func forward(of place: Int) -> DoctorFinding {
    let uplink = uplinks[place]
    let isWanted = uplink.external != nil
    var finding = DoctorFinding(need: .forward, subject: uplink.subject, result: .unprovable, evidence: "")
    let probe = probes.first { probe in
      if case .forward = probe.purpose { return probe.owner == place }
      return false
    }
    guard let probe else {
      let others = bindings(of: place).compactMap { $0.binding?.otherAddress }
      finding.evidence =
        others.isEmpty
        ? "No STUN server that answers has a second address to send from (RFC 5780)."
        : "The second address of the STUN server is one that we have sent to."
      finding.nextStep =
        "Name a server with two addresses in stunServers, `trunkline stun-server --alternate` for one; or see "
        + "with --call whether calls come in."
      return finding
    }
    let goal = uplink.external.map { "port \($0)" } ?? "the port of SIP"
    if case .stun(let message, let source)? = probe.answer {
      if message.messageClass == .success, source.address != probe.remote.address {
        finding.result = .proven
        finding.evidence = "A packet from \(source), to which nothing was ever sent, came in by \(goal)."
      } else {
        finding.evidence = "\(probe.remote) does not send from its other address when asked to."
        finding.nextStep = "Name another server of RFC 5780 in stunServers."
      }
      return finding
    }
    finding.evidence =
      "\(probe.repeated + 1) times \(probe.remote) was asked to send from its other address to \(goal), and "
      + "nothing came in."
    if isWanted {
      finding.result = .refuted
      let port = uplink.sockets.first { $0.socket == probe.socket }?.local.port ?? 0
      finding.nextStep =
        "Forward UDP \(goal) in the router to port \(port) of this machine, and let it through its firewall; or "
        + "set incoming to auto."
    } else {
      finding.nextStep =
        "Nothing, where calls come in: no forward is configured, and keepalives hold the provider's way in "
        + "open. --call proves that they do."
    }
    return finding
  }

  // MARK: Clock

  private func clock() -> DoctorFinding {
    var finding = DoctorFinding(need: .clock, subject: "this machine", result: .unprovable, evidence: "")
    let seen = probes.compactMap { probe -> (seconds: Int64, remote: Endpoint)? in
      guard let told = probe.response?.value(.date).flatMap({ WallTime(sipDate: $0) }), let took = probe.took else {
        return nil
      }
      let own = wallTime.nanoseconds &+ (probe.sentAt + took - startedAt).nanoseconds
      return ((own - told.nanoseconds) / 1_000_000_000, probe.remote)
    }
    guard let nearest = seen.min(by: { abs($0.seconds) < abs($1.seconds) }) else {
      finding.evidence = "No provider's answer says what time it is (Date)."
      finding.nextStep = "Nothing, where the clock of this machine is set by the network (timedatectl)."
      return finding
    }
    let isRight = abs(nearest.seconds) <= 60
    finding.result = isRight ? .proven : .refuted
    let off = nearest.seconds == 0 ? "agree" : "are \(abs(nearest.seconds)) s apart"
    finding.evidence = "The clocks of this machine and of \(nearest.remote) \(off)."
    if !isRight {
      finding.nextStep =
        "Let this machine set its clock by the network (timedatectl set-ntp true): times of calls are wrong, and "
        + "certificates and nonces may be refused."
    }
    return finding
  }

  // MARK: The call

  private func judged(_ call: DoctorCall) -> DoctorFinding {
    var finding = DoctorFinding(need: .call, subject: trunks[call.trunk].subject, result: .refuted, evidence: "")
    let packets =
      "\(call.packetsOfOutgoing) RTP packets came from the provider on the call out, \(call.packetsOfIncoming) on "
      + "the call in"
    if let obstacle = call.obstacle {
      finding.result = .unprovable
      finding.evidence = obstacle
      finding.nextStep = "Mend that, and ask again."
    } else if let refusal = call.refusal {
      finding.evidence =
        if case .refused(let status) = refusal {
          "The call to the own number was refused with \(status)."
        } else { "The call to the own number ended before it was answered." }
      finding.nextStep =
        "Ask the provider whether the account may call its own number."
    } else if !call.isAnswered && call.incoming == nil {
      finding.evidence =
        "The call to the own number left, and no call came in within \(DoctorCall.setUp.milliseconds / 1000) s."
      finding.nextStep =
        "Check numbers of the trunk; then whether the provider's calls get in at all (the forward, above)."
    } else if call.incoming == nil {
      finding.evidence = "The call to the own number was answered elsewhere: no call came in here."
      finding.nextStep = "Check numbers of the trunk, and forwardings and voicemail at the provider."
    } else if !call.isAnswered {
      finding.evidence = "The call came in again and was answered here, and the answer did not reach the call out."
      finding.nextStep = "Ask the provider why it did not take our answer to the call that came in."
    } else {
      let there = call.heardThere ?? 0
      let here = call.heardHere ?? 0
      let isHeardThere = there >= 1
      let isHeardHere = here >= 1
      let heard =
        "\(Self.tenths(there)) s of tone went from the call out to the call in, \(Self.tenths(here)) s back; \(packets)."
      finding.evidence = heard
      if isHeardThere && isHeardHere {
        finding.result = .proven
      } else if let hairpin = call.hairpin, hairpin != .yes, !isHeardThere, !isHeardHere {
        finding.result = .unprovable
        finding.evidence =
          "No audio either way. The provider has both ends of the call send to each other directly, and "
          + (hairpin == .no
            ? "the router does not turn packets round" : "whether the router turns packets round is not known")
          + " (hairpin). " + heard
        finding.nextStep = "Call the own number from outside, by a mobile phone: calls with others do not go that way."
      } else {
        let way =
          isHeardThere
          ? "One-way audio: what the called end says is not heard. "
          : isHeardHere ? "One-way audio: what the calling end says is not heard. " : "No audio either way. "
        finding.evidence = way + heard
        let deaf = [
          call.packetsOfOutgoing == 0 ? "the call out" : nil, call.packetsOfIncoming == 0 ? "the call in" : nil,
        ].compactMap { $0 }
        finding.nextStep =
          deaf.isEmpty
          ? "Packets arrive with something else than the tone: ask the provider."
          : "Nothing comes in on \(deaf.joined(separator: " and on ")): let UDP to the ports of media.ports in "
            + "(trunkline firewall), and switch off SIP ALG in the router."
      }
    }
    return finding
  }

  private static func tenths(_ seconds: Double) -> String {
    let tenths = Int((seconds * 10).rounded())
    return "\(tenths / 10).\(tenths % 10)"
  }
}

extension [Endpoint] {
  /// Each once, in the order of the first.
  fileprivate var uniqued: [Endpoint] {
    var found: [Endpoint] = []
    for endpoint in self where !found.contains(endpoint) { found.append(endpoint) }
    return found
  }
}
