import CallControl
import LinkManager
import NetworkTypes

extension ConfigurationBuilder {
  mutating func buildTrunks(_ root: inout ReadSection, _ result: inout TrunklineConfiguration) {
    var sections = root.sections("trunks")
    checkNames(sections, "name", of: "trunks", required: true)
    let uplinks = result.link.uplinks.map(\.name)
    for index in sections.indices {
      guard let name = sections[index].text("name") else { continue }
      completeAddresses(&sections[index], name)
      completeAccount(&sections[index], name)
      let section = sections[index]
      checkMedia(section)
      if section.text("transport") == "tls" {
        reader.error(
          section.place(of: "transport"),
          "transport: tls is not possible in this version, and nothing is sent unencrypted instead")
      }
      for uplink in section.list("uplinks") {
        guard let word = uplink.value.text, word != "lan", !uplinks.contains(word) else { continue }
        reader.error(uplink.position, "there is no uplink \(quoted(word))\(hint(word, uplinks + ["lan"]))")
      }
      var trunk = TrunkConfiguration(
        name: name, domain: section.text("domain") ?? "",
        registrar: section.value("registrar")?.host ?? HostPort(host: ""),
        username: section.text("username") ?? name, password: section.secret("password"))
      trunk.uplinks = section.list("uplinks").compactMap(\.value.text)
      trunk.outboundProxy = section.value("outboundProxy")?.host
      trunk.realm = section.text("realm")
      trunk.authUsername = section.text("authUsername")
      trunk.register = section.flag("register") ?? true
      trunk.expires = section.duration("expires") ?? trunk.expires
      trunk.numbers = section.list("numbers").compactMap(\.value.text)
      trunk.maxCalls = section.integer("maxCalls")
      result.link.trunks.append(trunk)
      result.later.trunks.append(
        LaterConfiguration.Trunk(
          name: name, profile: section.text("profile"), transport: section.text("transport") ?? "udp"))
    }
    root.entries["trunks"] = .sections(sections)
  }

  /// The registrar is the domain's where only that is given, and the other way round.
  private mutating func completeAddresses(_ section: inout ReadSection, _ name: String) {
    switch (section.isGiven("domain"), section.isGiven("registrar")) {
    case (true, true): return
    case (true, false): section.derive("registrar", section.text("domain").map { .host(HostPort(host: $0)) })
    case (false, true): section.derive("domain", section.value("registrar")?.host.map { .text($0.host) })
    case (false, false):
      if section.isGiven("profile") {
        reader.error(
          section.place(of: "profile"),
          "provider profiles come in a later version: trunk \(name) needs domain or registrar here for now")
      } else {
        reader.error(section.position, "trunk \(name) needs domain or registrar, the provider's host")
      }
    }
  }

  /// A trunk that registers needs an account. Of several, only the first is used in this version.
  private mutating func completeAccount(_ section: inout ReadSection, _ name: String) {
    let accounts = section.sections("accounts")
    for account in accounts {
      for key in ["username", "password"] where !account.isGiven(key) {
        reader.error(account.position, "an entry of accounts needs \(key)")
      }
    }
    if let first = accounts.first {
      if section.isGiven("username") || section.isGiven("password") {
        reader.error(section.place(of: "accounts"), "trunk \(name) takes either accounts or username and password")
        return
      }
      for key in ["username", "authUsername", "password"] { section.derive(key, first.value(key)) }
      if !section.isGiven("numbers") { section.entries["numbers"] = first.entries["numbers"] }
      reader.note(section.place(of: "accounts"), "only the first account of trunk \(name) is used yet")
      return
    }
    guard section.flag("register") != false else { return }
    for key in ["username", "password"] where !section.isGiven(key) {
      reader.error(
        section.position, "trunk \(name) needs \(key), or register: false where the provider knows us by address")
    }
  }

  func hint(_ word: String, _ candidates: [String]) -> String {
    if let near = nearestWord(to: word, in: candidates) { return "; did you mean \(near)?" }
    return candidates.isEmpty ? "" : "; there is \(candidates.joined(separator: ", "))"
  }
}
