import DatagramSockets
import NameResolver
import NetworkTypes
import Synchronization
import Testing

/// A name server on loopback that answers every question by one rule.
private final class LoopbackNameServer: DatagramLoopHandler, Sendable {
  enum Rule: Sendable {
    case records([ServiceRecord])
    /// RCODE, without rows.
    case code(UInt8)
    /// So many bytes of a good answer.
    case cut(Int)
    case silent
  }

  let loop: DatagramLoop
  let local: Endpoint
  private let rule: Rule
  private let socket: Int
  private let asked = Mutex<[String]>([])

  init(_ rule: Rule) throws {
    self.rule = rule
    loop = try DatagramLoop(name: "names")
    socket = try loop.open(local: Endpoint(.loopbackV4, port: 0))
    local = loop.localEndpoint(socket) ?? Endpoint(.loopbackV4, port: 0)
    try loop.start(handler: self)
  }

  var questions: [String] { asked.withLock { $0 } }

  func wakeUp(now: MonotonicInstant) {}

  func datagramReceived(
    _ bytes: Span<UInt8>, from source: Endpoint, to local: Endpoint, on socket: Int, now: MonotonicInstant
  ) {
    var question: [UInt8] = []
    for index in bytes.indices { question.append(bytes[index]) }
    guard question.count > 16 else { return }
    var end = 12
    var labels: [String] = []
    while end < question.count, question[end] != 0 {
      let next = end + 1 + Int(question[end])
      labels.append(String(decoding: question[end + 1..<min(next, question.count)], as: UTF8.self))
      end = next
    }
    asked.withLock { $0.append(labels.joined(separator: ".")) }
    let section = Array(question[12..<min(end + 5, question.count)])
    var records: [ServiceRecord] = []
    var code: UInt8 = 0
    switch rule {
    case .records(let rows): records = rows
    case .code(let number): code = number
    case .cut: records = [ServiceRecord(port: 3478, target: "stun.example.org")]
    case .silent: return
    }
    var answer = Array(question[0..<2]) + [0x81, 0x80 | code, 0, 1, 0, UInt8(records.count), 0, 0, 0, 0] + section
    for record in records { answer += [0xc0, 12, 0, 33, 0, 1, 0, 0, 0, 60] + Self.data(record) }
    if case .cut(let count) = rule { answer = Array(answer.prefix(count)) }
    loop.send(answer, on: socket, to: source)
  }

  private static func data(_ record: ServiceRecord) -> [UInt8] {
    var data: [UInt8] = []
    for number in [record.priority, record.weight, record.port] {
      data += [UInt8(number >> 8), UInt8(number & 255)]
    }
    for label in record.target.split(separator: ".") { data += [UInt8(label.utf8.count)] + Array(label.utf8) }
    data.append(0)
    return [UInt8(data.count >> 8), UInt8(data.count & 255)] + data
  }
}

private func look(up service: String, at server: LoopbackNameServer) async -> [ServiceRecord]? {
  let resolver = ServiceResolver(nameServers: [server.local], patience: .milliseconds(80))
  return await withCheckedContinuation { continuation in
    resolver.resolve(service) { continuation.resume(returning: $0) }
  }
}

@Suite(.timeLimit(.minutes(1))) struct ServiceResolverTests {
  @Test func rowsAreReadAsTheyStand() async throws {
    let rows = [
      ServiceRecord(priority: 10, weight: 60, port: 3478, target: "stun1.example.org"),
      ServiceRecord(priority: 20, weight: 0, port: 65_535, target: "stun-2.example.org"),
      ServiceRecord(priority: 0, weight: 5, port: 1, target: "."),
    ]
    let server = try LoopbackNameServer(.records(rows))
    let found = try #require(await look(up: "_stun._udp.example.org", at: server))
    #expect(found.count == 3)
    for row in rows { #expect(found.contains(row)) }
    #expect(server.questions == ["_stun._udp.example.org"])
    server.loop.stop()
  }

  @Test func aServiceThatIsNotThereHasNoRows() async throws {
    for rule in [LoopbackNameServer.Rule.records([]), .code(3)] {
      let server = try LoopbackNameServer(rule)
      #expect(await look(up: "_stun._udp.example.org", at: server) == [])
      server.loop.stop()
    }
  }

  @Test func nobodyCouldTell() async throws {
    for rule in [LoopbackNameServer.Rule.code(2), .code(5), .silent] {
      let server = try LoopbackNameServer(rule)
      #expect(await look(up: "_stun._udp.example.org", at: server) == nil)
      server.loop.stop()
    }
  }

  @Test func anAnswerThatIsCutAnywhereIsNone() async throws {
    for count in [0, 11, 12, 41, 60] {
      let server = try LoopbackNameServer(.cut(count))
      let found = await look(up: "_stun._udp.example.org", at: server)
      #expect(found == nil || found == [], "\(count) bytes")
      server.loop.stop()
    }
  }

  @Test func targetsThatAreNoNamesAreNotTaken() async throws {
    let odd = ["a b.example.org", "a%n.example.org"].map { ServiceRecord(port: 3478, target: $0) }
    let good = (0..<10).map { ServiceRecord(port: UInt16(1000 + $0), target: "h\($0).x") }
    let server = try LoopbackNameServer(.records(odd + good))
    let found = try #require(await look(up: "_stun._udp.example.org", at: server))
    #expect(found.count == 10)
    server.loop.stop()
  }
}
