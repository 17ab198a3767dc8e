import AsyncHTTPClient
import CRouterControl
import DatagramSockets
import Foundation
import NIOCore
import NIOHTTP1
public import NetworkTypes
public import PortMapping

/// A UPnP Internet Gateway Device, asked by SSDP and SOAP.
///
/// Only the router itself is listened to and asked: an answer to SSDP counts from its address, and a URL on its address.
/// Every answer is bounded in size and time, no redirection is followed.
public actor UPnPGateway {
  private let local: IPAddress
  private let client: HTTPClient
  private let onNotified: @Sendable () -> Void
  private var router: IPAddress?
  private var service: GatewayService?
  private var events: GatewayEvents?
  private var isClosed = false

  private static let patience = TimeAmount.seconds(5)
  private static let discoveryTime = Duration.milliseconds(2500)
  private static let longestAnswer = 32_768
  /// What the gateway's page shows of a mapping.
  private static let description = "Trunkline"

  /// - Parameters:
  ///   - local: our own address towards the router.
  ///   - onNotified: is told that something has changed at the gateway, after a ``UPnPRequest/subscribe``.
  public init(local: IPAddress, onNotified: @escaping @Sendable () -> Void) {
    self.local = local
    self.onNotified = onNotified
    var configuration = HTTPClient.Configuration(
      redirectConfiguration: .disallow,
      timeout: .init(connect: .seconds(2), read: .seconds(4)))
    // Small routers close what they answered, and serve few at a time.
    configuration.connectionPool.concurrentHTTP1ConnectionsPerHostSoftLimit = 2
    configuration.connectionPool.idleTimeout = .seconds(5)
    configuration.decompression = .disabled
    client = HTTPClient(eventLoopGroupProvider: .singleton, configuration: configuration)
  }

  /// Ends the client; nothing can be asked any more.
  public func close() async {
    guard !isClosed else { return }
    isClosed = true
    await unsubscribe()
    await events?.close()
    try? await client.shutdown()
  }

  /// Asks; always answers, within some seconds.
  public func perform(_ request: UPnPRequest) async -> UPnPResult {
    guard !isClosed else { return .failed }
    switch request {
    case .discover(let router):
      self.router = router
      return await discover(router)
    case .externalAddress:
      guard let answer = await order("GetExternalIPAddress", []) else { return .failed }
      if let code = answer.errorCode { return .refused(code: code) }
      // It is there, and its line has no address: that is no gateway that is gone.
      return .externalAddress(answer.externalAddress ?? .anyV4)
    case .add(let transport, let outside, let inside, let target, let lease):
      let words = Self.mapping(transport, outside, inside, target, lease)
      guard let answer = await order("AddPortMapping", words) else { return .failed }
      return answer.errorCode.map { .refused(code: $0) } ?? .added(externalPort: outside)
    case .addAny(let transport, let outside, let inside, let target, let lease):
      let words = Self.mapping(transport, outside, inside, target, lease)
      guard let answer = await order("AddAnyPortMapping", words) else { return .failed }
      if let code = answer.errorCode { return .refused(code: code) }
      return answer.reservedPort.map { .added(externalPort: $0) } ?? .failed
    case .delete(let transport, let outside):
      guard let answer = await order("DeletePortMapping", Self.place(transport, outside)) else { return .failed }
      return answer.errorCode.map { .refused(code: $0) } ?? .deleted
    case .entry(let transport, let outside):
      guard let answer = await order("GetSpecificPortMappingEntry", Self.place(transport, outside)) else {
        return .failed
      }
      if let code = answer.errorCode { return .refused(code: code) }
      guard let client = answer.internalClient, let port = answer.internalPort else { return .failed }
      return .entry(client: client, internalPort: port)
    case .subscribe: return await subscribe()
    }
  }

  // MARK: Events

  private static let subscriptionSeconds: UInt32 = 1800

  /// Subscribes to the service's events, or goes on with a subscription (UPnP Device Architecture 1.1 §4.1).
  private func subscribe() async -> UPnPResult {
    guard let url = service?.eventURL, let router else { return .failed }
    let events = self.events ?? GatewayEvents(router: router, onNotified: onNotified)
    self.events = events
    guard let place = await events.listen(on: local) else { return .failed }
    for isRenewal in [true, false] {
      let known = events.subscription
      guard !isRenewal || known != nil else { continue }
      var request = HTTPClientRequest(url: url)
      request.method = .SUBSCRIBE
      if isRenewal, let known {
        request.headers.add(name: "SID", value: known)
      } else {
        request.headers.add(name: "CALLBACK", value: "<http://\(place)/>")
        request.headers.add(name: "NT", value: "upnp:event")
      }
      request.headers.add(name: "TIMEOUT", value: "Second-\(Self.subscriptionSeconds)")
      guard let response = try? await client.execute(request, deadline: .now() + Self.patience) else { return .failed }
      _ = try? await response.body.collect(upTo: Self.longestAnswer)
      guard response.status == .ok, let name = response.headers.first(name: "SID"), name.utf8.count <= 256,
        name.utf8.allSatisfy({ (0x21...0x7e).contains($0) })
      else { continue }
      events.subscription = name
      return .subscribed(seconds: Self.seconds(response.headers.first(name: "TIMEOUT")))
    }
    events.subscription = nil
    return .failed
  }

  /// `Second-1800`; anything else counts as what was asked for.
  package static func seconds(_ timeout: String?) -> UInt32 {
    guard let timeout, timeout.lowercased().hasPrefix("second-"), let seconds = UInt32(timeout.dropFirst(7)),
      seconds > 0
    else { return subscriptionSeconds }
    return min(seconds, 86_400)
  }

  private func unsubscribe() async {
    guard let url = service?.eventURL, let name = events?.subscription else { return }
    var request = HTTPClientRequest(url: url)
    request.method = .UNSUBSCRIBE
    request.headers.add(name: "SID", value: name)
    _ = try? await client.execute(request, deadline: .now() + .seconds(1))
  }

  // MARK: Orders

  private static func place(_ transport: MappedTransport, _ port: UInt16) -> [(String, String)] {
    [("NewRemoteHost", ""), ("NewExternalPort", "\(port)"), ("NewProtocol", transport == .udp ? "UDP" : "TCP")]
  }

  private static func mapping(
    _ transport: MappedTransport, _ outside: UInt16, _ inside: UInt16, _ target: IPAddress, _ lease: UInt32
  ) -> [(String, String)] {
    place(transport, outside) + [
      ("NewInternalPort", "\(inside)"), ("NewInternalClient", target.description), ("NewEnabled", "1"),
      ("NewPortMappingDescription", description), ("NewLeaseDuration", "\(lease)"),
    ]
  }

  private func order(_ action: String, _ arguments: [(String, String)]) async -> SOAPAnswer? {
    guard let service else { return nil }
    // Numbers, addresses and our own name: nothing in it needs escaping.
    let inner = arguments.map { "<\($0.0)>\($0.1)</\($0.0)>" }.joined()
    let body =
      "<?xml version=\"1.0\"?>\r\n<s:Envelope xmlns:s=\"http://schemas.xmlsoap.org/soap/envelope/\" "
      + "s:encodingStyle=\"http://schemas.xmlsoap.org/soap/encoding/\"><s:Body>"
      + "<u:\(action) xmlns:u=\"\(service.type)\">\(inner)</u:\(action)></s:Body></s:Envelope>\r\n"
    var request = HTTPClientRequest(url: service.controlURL)
    request.method = .POST
    request.headers.add(name: "Content-Type", value: "text/xml; charset=\"utf-8\"")
    request.headers.add(name: "SOAPAction", value: "\"\(service.type)#\(action)\"")
    request.headers.add(name: "Connection", value: "close")
    request.body = .bytes(ByteBuffer(string: body))
    guard let (status, bytes) = await fetch(request, limit: Self.longestAnswer) else { return nil }
    // UDA 1.1 §3.2.2: an error comes with 500.
    guard status == 200 || status == 500 else { return nil }
    return GatewayDescription.answer(bytes)
  }

  private func fetch(_ request: HTTPClientRequest, limit: Int) async -> (Int, [UInt8])? {
    guard let response = try? await client.execute(request, deadline: .now() + Self.patience),
      let body = try? await response.body.collect(upTo: limit)
    else { return nil }
    return (Int(response.status.code), Array(body.readableBytesView))
  }

  // MARK: Finding it

  private func discover(_ router: IPAddress) async -> UPnPResult {
    service = nil
    for location in await Self.locations(of: router, from: local) {
      guard let (status, bytes) = await fetch(HTTPClientRequest(url: location.text), limit: GatewayDescription.longest),
        status == 200
      else { continue }
      let services = GatewayDescription.services(bytes, location: location)
      // A gateway with two lines has two: the one that has an address is up.
      for candidate in services.prefix(4) {
        service = candidate
        guard let answer = await order("GetExternalIPAddress", []), let address = answer.externalAddress,
          !address.isUnspecified
        else { continue }
        return .found(version: candidate.version)
      }
      if let first = services.first {
        service = first
        return .found(version: first.version)
      }
    }
    return .notFound
  }

  /// Asks by SSDP (UDA 1.1 §1.3), the group and the router itself, and gives back what it says of itself.
  private static func locations(of router: IPAddress, from local: IPAddress) async -> [GatewayURL] {
    await withCheckedContinuation { continuation in
      // It blocks for as long as answers are waited for.
      DispatchQueue.global().async { continuation.resume(returning: search(router, from: local)) }
    }
  }

  private static func search(_ router: IPAddress, from local: IPAddress) -> [GatewayURL] {
    guard case .v4(let own) = local,
      let socket = try? DatagramSocket.open(local: Endpoint(local, port: 0), receiveBuffer: nil)
    else { return [] }
    defer { socket.close() }
    _ = tl_multicast_from(socket.descriptor, own, 2)
    let group = Endpoint(.v4(0xefff_fffa), port: 1900)
    let receiver = DatagramReceiver()
    var found: [GatewayURL] = []
    let began = SystemClock.now()
    for round in 0..<2 where found.isEmpty {
      for target in [
        "urn:schemas-upnp-org:device:InternetGatewayDevice:2", "urn:schemas-upnp-org:device:InternetGatewayDevice:1",
      ] {
        for destination in [group, Endpoint(router, port: 1900)] {
          socket.send(searchMessage(target, destination).span, to: destination)
        }
      }
      let end = began + (round == 0 ? Duration.milliseconds(1200) : discoveryTime)
      while found.isEmpty, SystemClock.now() < end {
        guard socket.waitReadable(timeout: .milliseconds(100)) else { continue }
        _ = try? socket.receive(into: receiver) { bytes, source, _ in
          guard source.address == router, bytes.count <= 2048, found.count < 4 else { return }
          if let url = location(in: bytes, router), !found.contains(url) { found.append(url) }
        }
      }
    }
    return found
  }

  private static func searchMessage(_ target: String, _ destination: Endpoint) -> [UInt8] {
    let text =
      "M-SEARCH * HTTP/1.1\r\nHOST: \(destination)\r\nMAN: \"ssdp:discover\"\r\nMX: 1\r\nST: \(target)\r\n\r\n"
    return Array(text.utf8)
  }

  /// The LOCATION of an answer to a search, where it is on the router's own address.
  package static func location(in bytes: Span<UInt8>, _ router: IPAddress) -> GatewayURL? {
    var text: [UInt8] = []
    for index in bytes.indices { text.append(bytes[index]) }
    let lines = text.split(separator: UInt8(ascii: "\n")).map {
      String(decoding: $0, as: UTF8.self).trimmingCharacters(in: .whitespacesAndNewlines)
    }
    guard let first = lines.first, first.hasPrefix("HTTP/1.1 200") else { return nil }
    for line in lines.dropFirst() {
      guard let colon = line.firstIndex(of: ":"), line[..<colon].lowercased() == "location" else { continue }
      let value = line[line.index(after: colon)...].trimmingCharacters(in: .whitespaces)
      return GatewayURL(value, on: router)
    }
    return nil
  }
}
