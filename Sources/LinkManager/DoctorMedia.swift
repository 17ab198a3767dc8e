import NetworkTypes

/// A media port that is tried.
struct DoctorMedia: Sendable {
  enum Stage: Sendable, Equatable {
    /// It is being opened, and asks STUN.
    case asking
    /// It is answered, and stays open until it is known whether a stranger's packet can be asked for.
    case waiting
    /// The server is asked to answer from its other address.
    case askingElsewhere
    case over
  }

  let uplink: Int
  /// The port that it stands for: the nearest one that nobody has is tried.
  let wanted: UInt16
  let server: Endpoint?
  var deadline: MonotonicInstant
  var stage = Stage.asking
  var id: UInt32 = 0
  var port: UInt16 = 0
  var isOpen = false
  var mapped: Endpoint?
  var isControlMapped = false
  /// Whether a packet from an address that nothing was sent to came in; `nil` where none was asked for.
  var hearsStrangers: Bool?
  /// Ports that the system refused, and its word.
  var refusals: [(port: UInt16, reason: String)] = []

  /// Whether all that it asked is answered.
  var isAnswered: Bool { isOpen && (server == nil || mapped != nil && isControlMapped) }
}

extension DoctorRun {
  /// Whether all media ports were tried that were to be.
  var isMediaOver: Bool {
    media.allSatisfy { $0.stage == .over } && uplinks.allSatisfy { $0.isMediaBegun || $0.sockets.isEmpty }
  }

  func media(of place: Int) -> DoctorFinding {
    let own = media.filter { $0.uplink == place }.sorted { $0.port < $1.port }
    let tried = own.filter(\.isOpen)
    let refusals = own.flatMap(\.refusals).map { "port \($0.port): \($0.reason)" }.joined(separator: "; ")
    var finding = DoctorFinding(need: .media, subject: uplinks[place].subject, result: .refuted, evidence: "")
    guard let first = tried.first, let last = tried.last else {
      finding.result = refusals.isEmpty ? .unprovable : .refuted
      finding.evidence =
        refusals.isEmpty ? "No media port was free to be tried." : "No media port can be opened: \(refusals)."
      finding.nextStep =
        refusals.isEmpty
        ? "Ask again when fewer calls are up, or make media.ports wider."
        : "Give media.ports a range that nobody else uses."
      return finding
    }
    let silent = tried.filter { $0.mapped == nil }
    let answered = tried.filter { $0.mapped != nil }
    let all = "\(tried.count) ports tried between \(first.port) and \(last.port)"
    if let server = first.server {
      if silent.isEmpty {
        finding.result = .proven
        finding.evidence = "\(answered.count) of \(all) got answers from \(server)"
      } else if answered.isEmpty {
        finding.evidence = "None of \(all) got an answer from \(server), which answers the port of SIP"
      } else {
        finding.evidence =
          "Port\(silent.count == 1 ? "" : "s") \(Self.list(silent)) got no answer from \(server); "
          + "\(Self.list(answered)) did"
      }
      if !silent.isEmpty {
        let within = answered.isEmpty ? "" : "; what is closed lies within \(closed(of: tried))"
        finding.nextStep =
          "Let UDP from all of media.ports, \(mediaPorts.lowerBound)-\(mediaPorts.upperBound), out and its answers in "
          + "(trunkline firewall)\(within)."
      }
    } else {
      finding.result = .unprovable
      finding.evidence = "\(all) can be opened, and no STUN server answers that could show more"
      finding.nextStep = "First STUN, see above."
    }
    let uncontrolled = answered.filter { !$0.isControlMapped }
    if !uncontrolled.isEmpty { finding.evidence += "; RTCP, one port above, got none at \(Self.list(uncontrolled))" }
    if let witness = tried.first(where: { $0.hearsStrangers != nil }), let other = uplinks[place].stranger?.other {
      finding.evidence +=
        witness.hearsStrangers == true
        ? "; a packet from \(other), to which nothing was sent, came in at \(witness.port)"
        : "; a packet from \(other), to which nothing was sent, stayed away from \(witness.port), as behind most routers"
    }
    if !refusals.isEmpty { finding.evidence += "; others cannot be opened, \(refusals)" }
    finding.evidence += "."
    return finding
  }

  /// The parts of `media.ports` that a port without an answer lies in, each up to the next one that has one.
  private func closed(of tried: [DoctorMedia]) -> String {
    var parts: [String] = []
    for (index, media) in tried.enumerated() where media.mapped == nil {
      let below = tried[..<index].last { $0.mapped != nil }
      let above = tried[index...].first { $0.mapped != nil }
      let first = below.map { $0.port + 2 } ?? mediaPorts.lowerBound
      let part = "\(first)-\(above.map { $0.port - 1 } ?? mediaPorts.upperBound)"
      if parts.last != part { parts.append(part) }
    }
    return parts.joined(separator: " and ")
  }

  /// `55000, 55002 and 55004`.
  private static func list(_ media: [DoctorMedia]) -> String {
    let ports = media.map { "\($0.port)" }
    return ports.count < 2
      ? ports.joined() : ports.dropLast().joined(separator: ", ") + " and " + (ports.last ?? "")
  }
}
