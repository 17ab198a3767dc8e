import CallControl
import LinkManager
import NetworkTypes

extension ConfigurationBuilder {
  /// Reads both lists of rules and checks that everyone they name exists. Without a list, calls from outside ring every
  /// phone (every PBX where there is none), and calls to the outside take the trunks in their order.
  mutating func buildRoutes(_ root: inout ReadSection, _ result: inout TrunklineConfiguration) {
    if !root.isGiven("inbound") { root.entries["inbound"] = .sections(standardInbound(root, result.link)) }
    if !root.isGiven("outbound") { root.entries["outbound"] = .sections(standardOutbound(root, result.link)) }
    for section in root.sections("inbound") {
      if let rule = inboundRule(section, result.link) { result.link.routing.inbound.append(rule) }
    }
    for section in root.sections("outbound") {
      if let rule = outboundRule(section, result.link) { result.link.routing.outbound.append(rule) }
    }
  }

  private func standardInbound(_ root: ReadSection, _ link: LinkConfiguration) -> [ReadSection] {
    let targets: [RouteTarget] =
      link.phones.isEmpty ? link.pbxs.map { .pbx($0.name) } : link.phones.map { .phone($0.extensionNumber) }
    guard !targets.isEmpty else { return [] }
    var rule = ReadSection(position: root.position)
    reader.fillStandards(&rule, ConfigurationTable.inbound)
    rule.derive("to", list: targets.map { .target($0) })
    return [rule]
  }

  private func standardOutbound(_ root: ReadSection, _ link: LinkConfiguration) -> [ReadSection] {
    guard !link.trunks.isEmpty else { return [] }
    var rule = ReadSection(position: root.position)
    reader.fillStandards(&rule, ConfigurationTable.outbound)
    rule.derive("trunks", list: link.trunks.map { .text($0.name) })
    return [rule]
  }

  private mutating func inboundRule(_ section: ReadSection, _ link: LinkConfiguration) -> InboundRule? {
    if let trunk = section.text("trunk") { checkTrunk(trunk, section.place(of: "trunk"), link) }
    var targets: [RouteTarget] = []
    for located in section.list("to") {
      guard let target = located.value.target else { continue }
      checkTarget(target, located.position, link)
      targets.append(target)
    }
    var rule = InboundRule(trunk: section.text("trunk"), number: section.pattern("number"), to: targets)
    if targets.isEmpty {
      if section.entries["to"] == nil, section.isGiven("to") { return nil }
      reader.error(section.place(of: "to"), "an entry of inbound needs to, one target or more")
    }
    if targets.count > 1, targets.contains(.reject) {
      reader.error(section.place(of: "to"), "reject stands alone; it cannot ring together with others")
    }
    rule.timeout = section.duration("timeout")
    rule.otherwise = section.value("otherwise")?.target
    if let otherwise = rule.otherwise { checkTarget(otherwise, section.place(of: "otherwise"), link) }
    return rule
  }

  private mutating func outboundRule(_ section: ReadSection, _ link: LinkConfiguration) -> OutboundRule? {
    let trunks = section.list("trunks")
    for located in trunks {
      if let name = located.value.text { checkTrunk(name, located.position, link) }
    }
    if trunks.isEmpty, !(section.isGiven("trunks") && section.entries["trunks"] == nil) {
      reader.error(section.place(of: "trunks"), "an entry of outbound needs trunks, one name or more")
    }
    var rule = OutboundRule(
      to: section.pattern("to") ?? NumberPattern("*"), trunks: trunks.compactMap(\.value.text))
    for located in section.list("from") {
      guard let caller = located.value.target else { continue }
      checkTarget(caller, located.position, link)
      rule.from.append(caller)
    }
    rule.callerID = section.text("callerID")
    return rule
  }

  private mutating func checkTrunk(_ name: String, _ position: TextPosition, _ link: LinkConfiguration) {
    let names = link.trunks.map(\.name)
    if !names.contains(name) { reader.error(position, "there is no trunk \(quoted(name))\(hint(name, names))") }
  }

  private mutating func checkTarget(_ target: RouteTarget, _ position: TextPosition, _ link: LinkConfiguration) {
    switch target {
    case .phone(let number):
      let numbers = link.phones.map(\.extensionNumber)
      if !numbers.contains(number) {
        reader.error(position, "there is no phone \(quoted(number))\(hint(number, numbers))")
      }
    case .pbx(let name):
      let names = link.pbxs.map(\.name)
      if !names.contains(name) { reader.error(position, "there is no pbx \(quoted(name))\(hint(name, names))") }
    case .number(let number):
      do throws(ValueMistake) {
        _ = try ValueKind.number.read(number)
      } catch {
        reader.error(position, error.sentence)
      }
    case .sip, .reject: return
    }
  }
}
