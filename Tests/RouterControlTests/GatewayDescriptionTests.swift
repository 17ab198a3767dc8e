import Foundation
import NetworkTypes
import PortMapping
import RouterControl
import Testing

@Suite struct GatewayDescriptionTests {
  private let router = IPAddress("192.168.1.1")!
  private var location: GatewayURL { GatewayURL("http://192.168.1.1:5000/rootDesc.xml", on: router)! }

  private func description(_ services: [(type: String, url: String)], base: String = "") -> [UInt8] {
    let list = services.map {
      "<service><serviceType>\($0.type)</serviceType><serviceId>i</serviceId><controlURL>\($0.url)</controlURL>"
        + "<eventSubURL>/evt</eventSubURL><SCPDURL>/scpd</SCPDURL></service>"
    }.joined()
    let text =
      "<?xml version=\"1.0\"?>\n<root xmlns=\"urn:schemas-upnp-org:device-1-0\"><specVersion><major>1</major></specVersion>"
      + base
      + "<device><deviceType>urn:schemas-upnp-org:device:InternetGatewayDevice:1</deviceType><deviceList><device>"
      + "<deviceType>urn:schemas-upnp-org:device:WANDevice:1</deviceType><deviceList><device>"
      + "<deviceType>urn:schemas-upnp-org:device:WANConnectionDevice:1</deviceType><serviceList>\(list)</serviceList>"
      + "</device></deviceList></device></deviceList></device></root>"
    return Array(text.utf8)
  }

  @Test func theBestServiceIsTakenFirst() {
    let found = GatewayDescription.services(
      description([
        ("urn:schemas-upnp-org:service:WANPPPConnection:1", "/ppp"),
        ("urn:schemas-upnp-org:service:WANIPConnection:1", "ctl/one"),
        ("urn:schemas-upnp-org:service:WANIPConnection:2", "http://192.168.1.1:5001/two"),
        ("urn:schemas-upnp-org:service:Layer3Forwarding:1", "/l3f"),
      ]), location: location)
    #expect(
      found.map(\.controlURL) == [
        "http://192.168.1.1:5001/two", "http://192.168.1.1:5000/ctl/one", "http://192.168.1.1:5000/ppp",
      ])
    #expect(found.map(\.version) == [2, 1, 1])
    #expect(found.map(\.eventURL) == Array(repeating: "http://192.168.1.1:5000/evt", count: 3))
  }

  @Test func ordersGoToTheGatewayAlone() {
    let type = "urn:schemas-upnp-org:service:WANIPConnection:1"
    for url in [
      "http://192.168.1.2/ctl", "https://192.168.1.1/ctl", "http://example.net/ctl", "http://192.168.1.1@evil/",
    ] {
      #expect(GatewayDescription.services(description([(type, url)]), location: location).isEmpty, "\(url)")
    }
    let base = "<URLBase>http://10.0.0.1:80/</URLBase>"
    let found = GatewayDescription.services(description([(type, "/ctl")], base: base), location: location)
    #expect(found.map(\.controlURL) == ["http://192.168.1.1:5000/ctl"], "a base elsewhere is passed over")
  }

  @Test(arguments: [
    ("http://192.168.1.1:5000/a", true), ("http://192.168.1.1", true), ("HTTP://192.168.1.1/x?y=1", true),
    ("http://192.168.1.9:5000/a", false), ("http://router/a", false), ("http://192.168.1.1:0/", false),
    ("http://192.168.1.1:99999/", false), ("ftp://192.168.1.1/", false), ("http://192.168.1.1/a b", false),
    ("http://[fe80::1]/", false), ("", false), ("http://", false),
  ])
  func aLocationIsBelievedOnTheRouterItself(_ text: String, _ isGood: Bool) {
    #expect((GatewayURL(text, on: router) != nil) == isGood)
  }

  @Test func theLocationOfASearchsAnswer() {
    let answer = "HTTP/1.1 200 OK\r\nST: urn:x\r\nlocation:  http://192.168.1.1:5000/rootDesc.xml \r\nUSN: u\r\n\r\n"
    #expect(UPnPGateway.location(in: Array(answer.utf8).span, router) == location)
    let notify = answer.replacingOccurrences(of: "HTTP/1.1 200 OK", with: "NOTIFY * HTTP/1.1")
    #expect(UPnPGateway.location(in: Array(notify.utf8).span, router) == nil)
    #expect(UPnPGateway.location(in: Array(answer.utf8).span, IPAddress("192.168.1.2")!) == nil)
    #expect(UPnPGateway.location(in: [0xff, 0, 10, 13].span, router) == nil)
  }

  private func envelope(_ body: String) -> [UInt8] {
    Array(
      ("<?xml version=\"1.0\"?><s:Envelope xmlns:s=\"http://schemas.xmlsoap.org/soap/envelope/\" "
        + "s:encodingStyle=\"http://schemas.xmlsoap.org/soap/encoding/\"><s:Body>\(body)</s:Body></s:Envelope>").utf8)
  }

  @Test func answersToOrders() throws {
    let space = "xmlns:u=\"urn:schemas-upnp-org:service:WANIPConnection:1\""
    let address = GatewayDescription.answer(
      envelope(
        "<u:GetExternalIPAddressResponse \(space)><NewExternalIPAddress>198.51.100.7</NewExternalIPAddress>"
          + "</u:GetExternalIPAddressResponse>"))
    #expect(address?.externalAddress == IPAddress("198.51.100.7")!)
    let added = GatewayDescription.answer(envelope("<u:AddPortMappingResponse \(space)/>"))
    #expect(added == SOAPAnswer())
    let reserved = GatewayDescription.answer(
      envelope(
        "<m:AddAnyPortMappingResponse xmlns:m=\"urn:schemas-upnp-org:service:WANIPConnection:2\">"
          + "<NewReservedPort>5062</NewReservedPort></m:AddAnyPortMappingResponse>"))
    #expect(reserved?.reservedPort == 5062)
    let entry = GatewayDescription.answer(
      envelope(
        "<u:GetSpecificPortMappingEntryResponse \(space)><NewInternalPort>65002</NewInternalPort>"
          + "<NewInternalClient>192.168.1.10</NewInternalClient><NewEnabled>1</NewEnabled>"
          + "<NewPortMappingDescription>Trunkline</NewPortMappingDescription><NewLeaseDuration>3600</NewLeaseDuration>"
          + "</u:GetSpecificPortMappingEntryResponse>"))
    #expect(entry?.internalPort == 65_002)
    #expect(entry?.internalClient == IPAddress("192.168.1.10")!)
    let fault = GatewayDescription.answer(
      envelope(
        "<s:Fault><faultcode>s:Client</faultcode><faultstring>UPnPError</faultstring><detail>"
          + "<UPnPError xmlns=\"urn:schemas-upnp-org:control-1-0\"><errorCode>718</errorCode>"
          + "<errorDescription>ConflictInMappingEntry</errorDescription></UPnPError></detail></s:Fault>"))
    #expect(fault?.errorCode == UPnPErrorCode.conflict)
  }

  @Test func whatIsNoHarmlessXMLIsNotRead() {
    let good = envelope("<u:AddPortMappingResponse xmlns:u=\"urn:x\"/>")
    #expect(GatewayDescription.answer(good) != nil)
    let bomb =
      "<?xml version=\"1.0\"?><!DOCTYPE lolz [<!ENTITY a \"aaaa\"><!ENTITY b \"&a;&a;\">]><s:Envelope "
      + "xmlns:s=\"http://schemas.xmlsoap.org/soap/envelope/\"><s:Body>&b;</s:Body></s:Envelope>"
    #expect(GatewayDescription.answer(Array(bomb.utf8)) == nil)
    let deep = String(repeating: "<a>", count: 20_000) + String(repeating: "</a>", count: 20_000)
    #expect(GatewayDescription.answer(Array(deep.utf8)) == nil)
    #expect(GatewayDescription.answer([UInt8](repeating: 0x20, count: GatewayDescription.longest + 1)) == nil)
    for count in stride(from: 0, to: good.count, by: 3) { _ = GatewayDescription.answer(Array(good[..<count])) }
    for position in good.indices {
      var bytes = good
      bytes[position] = position % 2 == 0 ? UInt8(ascii: "<") : 0
      _ = GatewayDescription.answer(bytes)
    }
  }
}

@Suite struct RouteTableTests {
  /// As /proc/net/route has it, on a host whose bytes go low first.
  @Test func theDefaultRouteWithTheLowestMetricComesFirst() {
    let text = """
      Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT
      wlan0\t00000000\t0102A8C0\t0003\t0\t0\t600\t00000000\t0\t0\t0
      eth0\t00000000\t0101A8C0\t0003\t0\t0\t100\t00000000\t0\t0\t0
      ppp0\t00000000\t00000000\t0001\t0\t0\t0\t00000000\t0\t0\t0
      eth0\t0001A8C0\t00000000\t0001\t0\t0\t100\t00FFFFFF\t0\t0\t0
      broken
      """
    let routes = RouteTable.defaultRoutes(Array(text.utf8))
    #expect(routes.map(\.interface) == ["eth0", "wlan0"])
    #expect(routes.first?.router == IPAddress("192.168.1.1")!)
    #expect(RouteTable.defaultRoutes([]).isEmpty)
    #expect(RouteTable.defaultRoutes([UInt8](repeating: 9, count: 5000)).isEmpty)
  }

  @Test func leasesAreWrittenDownAndReadAgain() throws {
    let path = NSTemporaryDirectory() + "leases-\(ProcessInfo.processInfo.processIdentifier)"
    defer { try? FileManager.default.removeItem(atPath: path) }
    let lease = KeptLease(
      protocol: .pcp, router: "192.168.1.1", transport: .udp, internalPort: 65_002, externalPort: 5060,
      nonce: 0x0102_0304_0506_0708_090a_0b0c)
    LeaseFile.write([lease], path) { _ in }
    #expect(LeaseFile.read(path) == [lease])
    #expect(LeaseFile.read(path).first?.nonce == lease.nonce)
    LeaseFile.write([], path) { _ in }
    #expect(!FileManager.default.fileExists(atPath: path))
    try Data("nonsense".utf8).write(to: URL(fileURLWithPath: path))
    #expect(LeaseFile.read(path) == [])
    #expect(LeaseFile.read(nil) == [])
  }
}
