import NetworkTypes
import STUN

extension NATReport {
  /// One sentence.
  public var summary: String {
    switch natType {
    case .blocked where server != nil:
      "No server answers over UDP, but one does by \(transport.name): most likely UDP is blocked."
    case .unknown where server == nil: "No server gave an answer."
    case .unknown where transport != .udp:
      "By \(transport.name) this machine is seen as \(publicAddress.map { "\($0)" } ?? "nobody"); UDP was not examined."
    case .blocked: "No server answered: UDP is blocked, or none of the servers that were asked is alive."
    case .open: "Nothing stands in the way: this machine has its own public address, and everybody reaches it."
    case .symmetricFirewall:
      "No address is translated; a firewall lets in only what was asked for."
    case .unknown where publicAddress == localAddress:
      "No address is translated; whether a firewall stands in the way was not checked."
    case .unknown: "A NAT stands in the way; of which type could not be checked with the servers that answered."
    case .fullCone: "A full-cone NAT: one public port for all destinations, open for everybody."
    case .restrictedCone:
      "A restricted-cone NAT: one public port for all destinations, open for the addresses that were written to."
    case .portRestrictedCone:
      "A port-restricted-cone NAT: one public port for all destinations, open only for the ports that were written to."
    case .symmetric:
      "A symmetric NAT: another public port for each destination"
        + (mapping == .addressDependent
          ? " address." : portIncrement.map { ", each \(Self.step($0)) the last." } ?? ".")
    }
  }

  private static func step(_ increment: Int) -> String {
    increment < 0x8000 ? "\(increment) above" : "\(0x1_0000 - increment) below"
  }

  /// What it means for telephony, a sentence each.
  public var meaning: [String] {
    var lines: [String] = []
    switch natType {
    case .blocked where server != nil:
      lines.append("Calls will not work by this line: the network is there, and lets no UDP pass. Allow UDP to leave.")
    case .blocked:
      lines.append("Calls will not work by this line: allow UDP to leave, or name a STUN server that lives.")
    case .open:
      lines.append(
        "Calls will work. Whatever listens on this machine is reached from the internet: it needs a firewall.")
    case .symmetricFirewall:
      lines.append("Calls will work. Calls from outside arrive as long as keepalives leave towards the provider.")
    case .fullCone:
      lines.append("Calls will work. The address that STUN shows can be advertised, and anybody may send to it.")
    case .restrictedCone, .portRestrictedCone:
      lines.append(
        "Calls will work. The address that STUN shows can be advertised; keepalives have to go to the provider itself, "
          + "and a first packet opens the way for each new peer's audio.")
    case .symmetric:
      lines.append(
        "Calls through a provider will work where it answers to where packets come from. What STUN shows is not what "
          + "the provider sees, so it is not advertised; keepalives have to go to the provider itself.")
      lines.append("Audio straight from phones outside needs a forwarded port.")
      if portIncrement != nil { lines.append("The next port can be foreseen, but any other traffic makes that wrong.") }
    case .unknown where server == nil:
      lines.append("Nothing is known of this line.")
    case .unknown where transport != .udp:
      lines.append("Telephony needs UDP. Name a server that answers over it to see whether calls will work.")
    case .unknown:
      lines.append(
        "Calls will probably work. A STUN server with two addresses (RFC 5780) would show what is missing here.")
    }
    if let seconds = bindingLifetimeSeconds, !bindingLifetimeIsAtLeast, seconds < 20 {
      lines.append("The router forgets after \(seconds) s: keepalives have to leave every \(max(1, seconds / 2)) s.")
    }
    if carrierGradeNAT == .yes {
      lines.append("The provider has a NAT of its own: forwarding a port in your router will not be enough.")
    } else if doubleNAT == .yes {
      lines.append("Two routers translate one after the other: a port has to be forwarded in both.")
    }
    if fragments == .no { lines.append("Long packets are lost: keep SIP messages below 1,300 bytes.") }
    if addressPool == .yes {
      lines.append(
        "More than one public address was seen: signalling and audio may seem to come from different machines.")
    }
    return lines
  }

  /// One screen for a person.
  public var text: String {
    var lines = [summary, ""]
    for (name, value) in rows {
      lines.append("  " + name + String(repeating: " ", count: max(1, 19 - name.count)) + value)
    }
    lines.append("")
    lines.append("What it means for SIP:")
    for line in meaning { lines += Self.wrapped(line).map { "  " + $0 } }
    return lines.joined(separator: "\n")
  }

  /// The lines of a sentence on a screen of 80 columns.
  private static func wrapped(_ sentence: String) -> [String] {
    var lines: [String] = []
    for word in sentence.split(separator: " ") {
      if let last = lines.last, last.count + 1 + word.count <= 76 {
        lines[lines.count - 1] = last + " " + word
      } else {
        lines.append(String(word))
      }
    }
    return lines
  }

  private var rows: [(String, String)] {
    let translated = publicAddress.map { "\($0)" } ?? "not known"
    var rows = [
      ("type (RFC 3489)", Self.words(natType)),
      ("public address", translated),
      ("local address", "\(localAddress)"),
      ("server", server.map { "\($0)" + (transport == .udp ? "" : " by \(transport.name)") } ?? "none"),
    ]
    if natType == .blocked || server == nil { return rows }
    if transport != .udp {
      rows.append(("everything else", unchecked("mapping")))
      return rows
    }
    rows.append(("mapping", words(mapping, "mapping")))
    rows.append(("filtering", words(filtering, "filtering")))
    rows.append(("hairpin", words(hairpin, "hairpin")))
    rows.append(("port preserved", words(portPreserved, "portPreserved")))
    if portPreserved != .yes { rows.append(("port parity", words(portParityPreserved, "portParityPreserved"))) }
    if mapping == .addressDependent || mapping == .addressAndPortDependent {
      let step = portIncrement.map { ", each \(Self.step($0)) the last" } ?? ""
      rows.append(("ports predictable", words(portsPredictable, "portsPredictable") + step))
    }
    rows.append(("several addresses", words(addressPool, "addressPool")))
    rows.append(("fragments pass", words(fragments, "fragments")))
    rows.append(("carrier-grade NAT", words(carrierGradeNAT, "carrierGradeNAT")))
    rows.append(("double NAT", words(doubleNAT, "doubleNAT")))
    let lifetime = bindingLifetimeSeconds.map { (bindingLifetimeIsAtLeast ? "at least " : "") + "\($0) s" }
    rows.append(("binding lifetime", lifetime ?? unchecked("bindingLifetimeSeconds")))
    return rows
  }

  private func unchecked(_ finding: String) -> String {
    "not checked" + (whyNotChecked(finding).map { ": \($0)" } ?? "")
  }

  private func words(_ value: NATFinding, _ finding: String) -> String {
    value == .notChecked ? unchecked(finding) : value.rawValue
  }

  private func words(_ value: NATDependence, _ finding: String) -> String {
    switch value {
    case .endpointIndependent: "endpoint-independent"
    case .addressDependent: "address-dependent"
    case .addressAndPortDependent: "address- and port-dependent"
    case .notChecked: unchecked(finding)
    }
  }

  private static func words(_ type: NATType) -> String {
    switch type {
    case .open: "open"
    case .fullCone: "full cone"
    case .restrictedCone: "restricted cone"
    case .portRestrictedCone: "port-restricted cone"
    case .symmetric: "symmetric"
    case .symmetricFirewall: "symmetric UDP firewall"
    case .blocked: "blocked"
    case .unknown: "unknown"
    }
  }
}
