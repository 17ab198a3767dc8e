import CallControl
import Foundation
import LinkManager
import NetworkTypes
import Testing
import TrunklineDaemon

@Suite struct LoadingTests {
  @Test func contractExampleIsRead() throws {
    let loaded = ConfigurationFiles.load(try ConfigurationFiles.text("Examples/contract.yaml"))
    let configuration = try #require(loaded.configuration, "\(loaded.diagnostics)")
    let link = configuration.link
    #expect(link.uplinks.map(\.name) == ["dsl"])
    #expect(link.uplinks[0].bind == [Endpoint(.anyV4, port: 65002)])
    #expect(
      link.uplinks[0].stunServers == [
        HostPort(host: "stun.sipgate.net", port: 10000), HostPort(host: "stun.t-online.de"),
      ])
    #expect(link.lan.domain == "office.example")
    #expect(link.phones.map(\.extensionNumber) == ["10", "20", "30", "40"])
    #expect(link.phones[0].password == Redacted("secret-a"))
    #expect(link.phones[0].callerNumber == "+49211123450")
    #expect(link.phones[1].password == Redacted("secret-f"))
    #expect(link.phones[2].address == Endpoint("192.168.1.30:5060"))
    #expect(link.pbxs.map(\.username) == [nil, "pbx1"])
    let trunk = try #require(link.trunks.first)
    #expect(trunk.username == "1234567t0")
    #expect(trunk.password == Redacted("secret-d"))
    #expect(trunk.outboundProxy == HostPort(host: "sip.sipgate.de"))
    #expect(trunk.expires == .seconds(300))
    #expect(trunk.numbers == ["+49211123450", "+4921112345xx"])
    #expect(trunk.maxCalls == 10)
    #expect(trunk.uplinks == ["dsl"])
    #expect(link.routing.inbound.count == 2)
    #expect(link.routing.inbound[0].to == [.phone("10"), .phone("20")])
    #expect(link.routing.inbound[0].timeout == .seconds(20))
    #expect(link.routing.inbound[0].otherwise == .number("+491701234567"))
    #expect(link.routing.outbound[0].from == [.phone("20")])
    #expect(link.routing.outbound[0].callerID == "+49211123459")
    #expect(link.routing.outbound[1].trunks == ["sipgate", "backup"])
    #expect(configuration.http.token == Redacted("secret-e"))
    #expect(configuration.storePath == "/var/lib/trunkline/trunkline.sqlite")
    #expect(configuration.later.numbering?.areaCode == "211")
    #expect(configuration.later.notify?.after == .seconds(120))
    #expect(configuration.link.uplinks[0].sparePort == 65003)
    let noted = loaded.diagnostics.map { $0.sentence.prefix { $0 != " " && $0 != ":" } }
    #expect(
      noted == [
        "tlsBind", "tlsCertificate", "numbering", "calls", "profile", "dtmf", "outside", "numberFormat",
        "profile", "codecs", "when", "notify",
      ])
  }

  @Test func aMarkOfTheByteOrderIsNoMistake() throws {
    let text = try ConfigurationFiles.text("Examples/contract.yaml")
    let loaded = ConfigurationFiles.load("\u{FEFF}" + text)
    #expect(loaded.configuration != nil, "\(loaded.diagnostics)")
  }

  @Test func leastThatWorksIsFilledIn() throws {
    let loaded = ConfigurationFiles.load(try ConfigurationFiles.text("Examples/least.yaml"))
    let configuration = try #require(loaded.configuration, "\(loaded.diagnostics)")
    let link = configuration.link
    #expect(loaded.diagnostics.isEmpty)
    #expect(link.uplinks.map(\.name) == ["internet"])
    #expect(link.uplinks[0].bind == [Endpoint(.anyV4, port: 65002)])
    #expect(link.uplinks[0].keepalive == .seconds(10))
    #expect(link.trunks[0].domain == "sip.example.net")
    #expect(link.trunks[0].registrar == HostPort(host: "sip.example.net", port: 5080))
    // Scalars keep their text: neither an octal number nor a Boolean.
    #expect(link.trunks[0].username == "0211")
    #expect(link.trunks[0].password == Redacted("off"))
    #expect(link.phones[0].name == "10")
    #expect(link.routing.inbound == [InboundRule(to: [.phone("10")])])
    #expect(link.routing.outbound == [OutboundRule(to: NumberPattern("*"), trunks: ["provider"])])
    #expect(link.media.ports == 55000...55999)
    #expect(configuration.http.bind == Endpoint("127.0.0.1:8065"))
  }

  @Test func tableAndModelAgreeOnStandardValues() throws {
    let text =
      "trunks: [{name: t, domain: a.example, username: u, password: p}]\nphones: [{extension: 1, password: a}]\n"
    let link = try #require(ConfigurationFiles.load(text).configuration).link
    let bare = LinkConfiguration()
    #expect(link.media == bare.media)
    #expect(link.limits == bare.limits)
    #expect(link.lan == bare.lan)
    #expect(
      link.trunks[0].expires
        == TrunkConfiguration(name: "", domain: "", registrar: HostPort(host: ""), username: "").expires)
  }

  @Test func explicitlyEmptyRulesStayEmpty() throws {
    let text = """
      trunks: [{name: t, domain: a.example, username: u, password: p}]
      phones: [{extension: 10, password: a}]
      inbound: []
      outbound:
      """
    let link = try #require(ConfigurationFiles.load(text).configuration).link
    #expect(link.routing == RoutingPlan())
  }

  @Test func relativeSecretIsBesideTheConfiguration() throws {
    let text = "phones: [{extension: 10, password: {file: secrets/fax}}]\n"
    let configuration = try #require(ConfigurationFiles.load(text).configuration)
    #expect(configuration.link.phones[0].password == Redacted("secret-f"))
  }

  @Test(arguments: ["250ms", "1s", "10s"]) func timesAreRead(_ text: String) throws {
    let yaml = "phones: [{extension: 10, password: a}]\ninbound: [{to: phone:10, timeout: \(text)}]\n"
    let loaded = ConfigurationFiles.load(yaml)
    if text == "250ms" {
      #expect(loaded.errors.map(\.sentence) == ["timeout: 250ms is not within 1s to 1h"])
    } else {
      let seconds = try #require(Int(text.dropLast()))
      #expect(loaded.configuration?.link.routing.inbound.first?.timeout == .seconds(seconds))
    }
  }

  @Test(arguments: ["least", "contract"]) func printedIsReadBackAlike(_ name: String) throws {
    let loaded = ConfigurationFiles.load(try ConfigurationFiles.text("Examples/\(name).yaml"))
    let printed = loaded.printed()
    for secret in "abcdef" { #expect(!printed.contains("secret-\(secret)")) }
    #expect(!printed.contains("password: off"))
    #expect(printed.contains("keepalive: 10s"))
    #expect(printed.contains("level: info"))
    let again = ConfigurationFiles.load(printed)
    var first = try #require(loaded.configuration)
    var second = try #require(again.configuration, "\(again.diagnostics)\n\(printed)")
    withoutSecrets(&first)
    withoutSecrets(&second)
    #expect(first == second)
    #expect(again.printed() == printed)
  }

  private func withoutSecrets(_ configuration: inout TrunklineConfiguration) {
    configuration.http.token = nil
    for index in configuration.link.phones.indices { configuration.link.phones[index].password = nil }
    for index in configuration.link.pbxs.indices { configuration.link.pbxs[index].password = nil }
    for index in configuration.link.trunks.indices { configuration.link.trunks[index].password = nil }
  }

  /// Every file of this folder with bytes changed, dropped, doubled and swapped: each is read or refused with a place
  /// within the file, none ends the process.
  @Test(arguments: 0..<8) func mutationsAreReadOrRefused(_ shard: Int) throws {
    var random = RandomSource(seed: UInt64(shard))
    let alphabet = Array("{}[]:,-\"'*&!|>%@#\n\t \\\u{0}09azé".utf8)
    let names =
      ConfigurationFiles.names(in: "Mistakes").map { "Mistakes/\($0)" }
      + ConfigurationFiles.names(in: "Examples").map { "Examples/\($0)" }
    for (index, name) in names.enumerated() where index % 8 == shard {
      let original = Array(try ConfigurationFiles.text(name).utf8)
      for _ in 0..<60 {
        var bytes = original
        for _ in 0...Int.random(in: 0..<4, using: &random) where !bytes.isEmpty {
          let place = Int.random(in: 0..<bytes.count, using: &random)
          switch Int.random(in: 0..<4, using: &random) {
          case 0: bytes[place] = alphabet[Int.random(in: 0..<alphabet.count, using: &random)]
          case 1: bytes.remove(at: place)
          case 2: bytes.insert(alphabet[Int.random(in: 0..<alphabet.count, using: &random)], at: place)
          default: bytes.swapAt(place, Int.random(in: 0..<bytes.count, using: &random))
          }
        }
        let loaded = ConfigurationFiles.load(bytes)
        let lines = bytes.count(where: { $0 == 10 || $0 == 13 }) + bytes.count / 2 + 2
        #expect((loaded.configuration == nil) == !loaded.errors.isEmpty)
        for diagnostic in loaded.diagnostics {
          #expect(diagnostic.position.line >= 1 && diagnostic.position.line <= lines)
          #expect(diagnostic.position.column >= 1)
        }
      }
    }
  }

  /// docs/configuration.md is this text. To renew it: `TRUNKLINE_WRITE_REFERENCE=1 swift test --filter reference`.
  @Test func referenceIsUpToDate() throws {
    let file = ConfigurationFiles.folder.appending(path: "../../docs/configuration.md").standardized
    let text = ConfigurationReference.markdown()
    if ProcessInfo.processInfo.environment["TRUNKLINE_WRITE_REFERENCE"] != nil {
      try text.write(to: file, atomically: true, encoding: .utf8)
    }
    #expect(try String(contentsOf: file, encoding: .utf8) == text)
  }
}
