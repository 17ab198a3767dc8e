import CallControl
import LinkManager
import NetworkTypes
import PortMapping

/// Makes the model out of a read file, fills in what follows from other keys, and checks what no single key can show:
/// names that are used twice or by nobody, ports that collide, accounts that lack half.
struct ConfigurationBuilder {
  var reader: ConfigurationReader

  init(reader: ConfigurationReader) { self.reader = reader }

  mutating func build(_ root: inout ReadSection) -> TrunklineConfiguration {
    var result = TrunklineConfiguration()
    buildUplinks(&root, &result)
    buildLAN(root, &result)
    buildPhones(&root, &result)
    buildPBXs(root, &result)
    buildTrunks(&root, &result)
    buildRoutes(&root, &result)
    buildOthers(root, &result)
    checkPorts(root, result)
    return result
  }

  private mutating func buildUplinks(_ root: inout ReadSection, _ result: inout TrunklineConfiguration) {
    var sections = root.sections("uplinks")
    if sections.isEmpty {
      var only = ReadSection(position: root.place(of: "uplinks"))
      reader.fillStandards(&only, ConfigurationTable.uplink)
      sections = [only]
      root.entries["uplinks"] = .sections(sections)
    }
    checkNames(sections, "name", of: "uplinks", required: sections.count > 1)
    for section in sections {
      let name = section.text("name") ?? "internet"
      if name == "lan" {
        reader.error(
          section.place(of: "name"), "an uplink cannot be named lan; trunks mean the office side by that word")
      }
      let bind = section.list("bind")
      if bind.isEmpty { reader.error(section.place(of: "bind"), "bind needs an address and a port") }
      if bind.count > 1, Set(bind.compactMap { $0.value.endpoint?.address.isV4 }).count < bind.count {
        reader.error(section.place(of: "bind"), "bind takes one address for each family, IPv4 and IPv6")
      }
      var uplink = UplinkConfiguration(
        name: name, bind: bind.compactMap(\.value.endpoint),
        stunServers: section.list("stunServers").compactMap(\.value.host))
      uplink.keepalive = section.duration("keepalive") ?? uplink.keepalive
      // One that is the port itself is none.
      let spare = section.integer("sparePort").map(UInt16.init(clamping:))
      uplink.sparePort = uplink.bind.contains { $0.port == spare } ? nil : spare
      if case .address(let address) = section.value("publicAddress") { uplink.publicAddress = address }
      let forwarded = section.section("incoming")
      uplink.incoming = incoming(section.text("incoming"), forwarded?.integer("forwarded"))
      result.link.uplinks.append(uplink)
      if let forwarded, !forwarded.isGiven("forwarded") {
        reader.error(
          forwarded.position, "incoming as a mapping needs forwarded, the port that the router forwards to us")
      }
    }
  }

  private func incoming(_ word: String?, _ forwarded: Int?) -> IncomingWay {
    if let forwarded { return .forwarded(UInt16(clamping: forwarded)) }
    if let word, let spoken = MappingProtocol(rawValue: word) { return .mapped(spoken) }
    return word == "off" ? .off : .auto
  }

  private func buildLAN(_ root: ReadSection, _ result: inout TrunklineConfiguration) {
    guard let section = root.section("lan") else { return }
    result.link.lan.bind = section.list("bind").compactMap(\.value.endpoint)
    result.link.lan.allow = section.list("allow").compactMap(\.value.network)
    result.link.lan.domain = section.text("domain") ?? result.link.lan.domain
    result.later.tlsBind = section.list("tlsBind").compactMap(\.value.endpoint)
    result.later.tlsCertificate = section.text("tlsCertificate")
  }

  private mutating func buildPhones(_ root: inout ReadSection, _ result: inout TrunklineConfiguration) {
    var sections = root.sections("phones")
    checkNames(sections, "extension", of: "phones", required: true)
    for index in sections.indices {
      guard let number = sections[index].text("extension") else { continue }
      if !sections[index].isGiven("name") { sections[index].derive("name", .text(number)) }
      let section = sections[index]
      checkMedia(section)
      var phone = PhoneConfiguration(extensionNumber: number, name: section.text("name") ?? number)
      phone.password = section.secret("password")
      phone.address = section.value("address")?.endpoint
      phone.callerNumber = section.text("callerNumber")
      if !section.isGiven("password"), !section.isGiven("address") {
        reader.error(section.position, "phone \(number) needs a password to register with, or a fixed address")
      }
      result.link.phones.append(phone)
    }
    root.entries["phones"] = .sections(sections)
  }

  private mutating func buildPBXs(_ root: ReadSection, _ result: inout TrunklineConfiguration) {
    let sections = root.sections("pbxs")
    checkNames(sections, "name", of: "pbxs", required: true)
    var usernames = result.link.phones.map(\.extensionNumber)
    for section in sections {
      guard let name = section.text("name") else { continue }
      checkMedia(section)
      let pbx = PBXConfiguration(
        name: name, address: section.value("address")?.endpoint, username: section.text("username"),
        password: section.secret("password"))
      if !section.isGiven("address"), !section.isGiven("username") {
        reader.error(section.position, "pbx \(name) needs an address, or a username and a password to register with")
      }
      if section.isGiven("username") != section.isGiven("password") {
        reader.error(section.position, "pbx \(name) needs both username and password, or neither")
      }
      if let username = pbx.username {
        if usernames.contains(username) {
          reader.error(
            section.place(of: "username"), "the username \(quoted(username)) is used twice; a phone or pbx has it")
        }
        usernames.append(username)
      }
      result.link.pbxs.append(pbx)
    }
  }

  private func buildOthers(_ root: ReadSection, _ result: inout TrunklineConfiguration) {
    if let media = root.section("media") {
      if case .portRange(let ports) = media.value("ports") { result.link.media.ports = ports }
      result.later.mediaEngine = media.text("engine") ?? result.later.mediaEngine
    }
    if let limits = root.section("limits") {
      result.link.limits.callsPerSecond = limits.integer("callsPerSecond") ?? result.link.limits.callsPerSecond
      result.link.limits.maxCalls = limits.integer("maxCalls") ?? result.link.limits.maxCalls
    }
    if let http = root.section("http") {
      result.http.bind = http.value("bind")?.endpoint ?? result.http.bind
      result.http.token = http.secret("token")
    }
    result.storePath = root.section("store")?.text("path") ?? ""
    if let log = root.section("log") {
      result.log.level = log.text("level") ?? result.log.level
      result.log.format = log.text("format").flatMap(LogConfiguration.Format.init) ?? .text
    }
    if let section = root.section("numbering"), let country = section.text("country") {
      result.later.numbering = LaterConfiguration.Numbering(
        country: country, areaCode: section.text("areaCode"), abroad: section.list("abroad").compactMap(\.value.text))
    }
    if let section = root.section("notify") {
      result.later.notify = LaterConfiguration.Notify(
        after: section.duration("after") ?? .seconds(120), webhook: section.text("webhook"),
        command: section.list("command").compactMap(\.value.text))
    }
  }

  /// Encryption that was demanded is never left out silently.
  mutating func checkMedia(_ section: ReadSection) {
    guard let media = section.section("media"), media.text("srtp") == "required" else { return }
    reader.error(
      media.place(of: "srtp"),
      "srtp: required is not possible in this version, and voice is not sent unencrypted instead")
  }

  /// Every name once, and everyone a name.
  mutating func checkNames(_ sections: [ReadSection], _ key: String, of list: String, required: Bool) {
    var seen: [(name: String, position: TextPosition)] = []
    for section in sections {
      if required, !section.isGiven(key) { reader.error(section.position, "an entry of \(list) needs \(key)") }
      guard section.isGiven(key), let name = section.text(key) else { continue }
      if let first = seen.first(where: { $0.name == name }) {
        reader.error(
          section.place(of: key),
          "the \(key) \(quoted(name)) is used twice in \(list); the first is at \(first.position.line):\(first.position.column)"
        )
      } else {
        seen.append((name, section.place(of: key)))
      }
    }
  }

  /// No port twice, and the dashboard not on the internet without a token.
  private mutating func checkPorts(_ root: ReadSection, _ result: TrunklineConfiguration) {
    var taken: [(endpoint: Endpoint, owner: String)] = []
    var claims: [(Located<ConfigurationValue>, String)] = []
    for uplink in root.sections("uplinks") {
      claims += uplink.list("bind").map { ($0, "uplink \(uplink.text("name") ?? "internet")") }
    }
    claims += (root.section("lan")?.list("bind") ?? []).map { ($0, "lan") }
    for (claim, owner) in claims {
      guard let endpoint = claim.value.endpoint else { continue }
      let clash = taken.first { other in
        other.endpoint.port == endpoint.port
          && (other.endpoint.address == endpoint.address
            || other.endpoint.address.isV4 == endpoint.address.isV4
              && (other.endpoint.address.isUnspecified || endpoint.address.isUnspecified))
      }
      if let clash {
        reader.error(claim.position, "port \(endpoint.port) of \(owner) is already taken by \(clash.owner)")
      }
      if result.link.media.ports.contains(endpoint.port) {
        reader.error(claim.position, "port \(endpoint.port) of \(owner) is one of media.ports")
      }
      taken.append((endpoint, owner))
    }
    if !result.http.bind.address.isLoopback, root.section("http")?.isGiven("token") != true {
      reader.error(
        root.section("http")?.place(of: "bind") ?? root.position,
        "http.bind beyond loopback needs http.token, or anyone who reaches the port could place and end calls")
    }
  }
}

extension ConfigurationValue {
  var text: String? {
    switch self {
    case .text(let text): text
    case .pattern(let pattern): pattern.text
    default: nil
    }
  }

  var endpoint: Endpoint? { if case .endpoint(let endpoint) = self { endpoint } else { nil } }
  var host: HostPort? { if case .host(let host) = self { host } else { nil } }
  var network: IPNetwork? { if case .network(let network) = self { network } else { nil } }
  var target: RouteTarget? { if case .target(let target) = self { target } else { nil } }
}

extension ReadSection {
  func text(_ name: String) -> String? { value(name)?.text }
  func integer(_ name: String) -> Int? { if case .integer(let number) = value(name) { number } else { nil } }
  func duration(_ name: String) -> Duration? { if case .duration(let time) = value(name) { time } else { nil } }
  func flag(_ name: String) -> Bool? { if case .flag(let flag) = value(name) { flag } else { nil } }
  func secret(_ name: String) -> Redacted<String>? { if case .secret(let text) = value(name) { text } else { nil } }
  func pattern(_ name: String) -> NumberPattern? {
    if case .pattern(let pattern) = value(name) { pattern } else { nil }
  }
}
