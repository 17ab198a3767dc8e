import AsyncHTTPClient
import NIOCore
import NIOHTTP1
import NetworkTypes
import RouterControl
import Synchronization
import Testing

/// The port for a gateway's events, over loopback.
@Suite struct GatewayEventsTests {
  private static let loopback = IPAddress("127.0.0.1")!

  private final class Count: Sendable {
    let value = Atomic(0)
  }

  /// What comes of one request to the port; `nil` where the connection is closed without an answer.
  private func ask(
    _ place: Endpoint, method: HTTPMethod = .NOTIFY, sid: String?, sequence: String = "1", body: Int = 10
  ) async -> UInt? {
    var request = HTTPClientRequest(url: "http://\(place)/")
    request.method = method
    if let sid { request.headers.add(name: "SID", value: sid) }
    request.headers.add(name: "SEQ", value: sequence)
    request.body = .bytes(ByteBuffer(repeating: 0x20, count: body))
    return (try? await HTTPClient.shared.execute(request, timeout: .seconds(10))).map { $0.status.code }
  }

  @Test func anEventOfOursCountsAndNothingElse() async throws {
    let count = Count()
    let events = GatewayEvents(router: Self.loopback) { count.value.add(1, ordering: .relaxed) }
    let place = try #require(await events.listen(on: Self.loopback))
    #expect(await events.listen(on: Self.loopback) == place, "one port is enough")
    #expect(await ask(place, sid: "uuid:1") == 412, "nothing is subscribed to")
    events.subscription = "uuid:1"
    #expect(await ask(place, sid: "uuid:2") == 412)
    #expect(await ask(place, sid: nil) == 412)
    #expect(await ask(place, method: .GET, sid: "uuid:1") == 405)
    #expect(await ask(place, sid: "uuid:1", sequence: "0") == 200, "the first one tells how things were")
    #expect(await ask(place, sid: "uuid:1", body: 40_000) == nil, "none is so long")
    #expect(count.value.load(ordering: .relaxed) == 0)
    #expect(await ask(place, sid: "uuid:1") == 200)
    #expect(count.value.load(ordering: .relaxed) == 1)
    await events.close()
  }

  @Test func othersThanTheRouterAreNotHeard() async throws {
    let count = Count()
    let events = GatewayEvents(router: IPAddress("127.0.0.9")!) { count.value.add(1, ordering: .relaxed) }
    events.subscription = "uuid:1"
    let place = try #require(await events.listen(on: Self.loopback))
    #expect(await ask(place, sid: "uuid:1") == nil)
    #expect(count.value.load(ordering: .relaxed) == 0)
    await events.close()
  }

  @Test(arguments: [
    ("Second-1800", 1800), ("second-60", 60), ("Second-infinite", 1800), ("", 1800), ("Second--1", 1800),
    ("Second-999999999", 86_400), ("Second-99999999999999999999", 1800),
  ])
  func timeoutsAreRead(_ text: String, _ seconds: UInt32) {
    #expect(UPnPGateway.seconds(text) == seconds)
  }
}
