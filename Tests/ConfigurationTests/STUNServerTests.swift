import LinkManager
import Testing
import TrunklineDaemon

@Suite struct STUNServerTests {
  @Test func serversMayBeWrittenAsURIs() throws {
    let text = """
      version: 1
      uplinks:
        - name: dsl
          stunServers: ["stun:stun.example.org", "STUN:192.0.2.1:3479", "stun:[2001:db8::1]:3480", stun.example.net:10000, stun]
      phones:
        - {extension: 10, password: a}
      trunks:
        - {name: t, registrar: sip.example.org, username: u, password: p}
      """
    let loaded = ConfigurationFiles.load(text)
    let uplink = try #require(loaded.configuration?.link.uplinks.first, "\(loaded.diagnostics)")
    #expect(
      uplink.stunServers == [
        HostPort(host: "stun.example.org"), HostPort(host: "192.0.2.1", port: 3479),
        HostPort(host: "2001:db8::1", port: 3480), HostPort(host: "stun.example.net", port: 10000),
        HostPort(host: "stun"),
      ])
  }
}
