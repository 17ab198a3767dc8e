import LinkManager
import MediaRelay
import NetworkTypes
import SDP
import SIPSyntax
import SIPTransaction
import Testing

/// SIP over TCP on the office side, driven by hand: each connection is a list of the messages that left over it.
@Suite struct StreamTests {
  static let sipPort = Endpoint(.v4(0xc0a8_0101), port: 5060)

  final class Bench {
    var core: LinkCore
    var now = MonotonicInstant(nanoseconds: 1)
    var random = RandomSource(seed: 4)
    var sent: [Int: [SIPMessage]] = [:]
    var datagrams = 0
    var listening: [LinkSocket: Endpoint] = [:]
    var closed: [Int] = []
    var records: [CallRecord] = []

    init() {
      var configuration = LinkConfiguration()
      configuration.uplinks = [
        UplinkConfiguration(name: "dsl", bind: [Endpoint(.anyV4, port: 65002)], stunServers: [])
      ]
      configuration.lan.bind = [Endpoint(.anyV4, port: 5060)]
      configuration.lan.interfaces = [InterfaceAddress(sipPort.address, prefixLength: 24)]
      configuration.phones = ["10", "20"].map {
        PhoneConfiguration(extensionNumber: $0, name: "Phone \($0)", password: Redacted("secret\($0)"))
      }
      core = LinkCore(
        configuration: configuration, random: RandomSource(seed: 3), now: now, wallTime: WallTime(nanoseconds: 0))
      step { $0.start(now: $1, into: &$2) }
    }

    func step(_ body: (inout LinkCore, MonotonicInstant, inout [LinkAction]) -> Void) {
      var actions: [LinkAction] = []
      body(&core, now, &actions)
      for action in actions {
        switch action {
        case .openSocket(let socket, let endpoint):
          step { $0.socketOpened(socket, local: endpoint, now: $1, into: &$2) }
        case .listen(let socket, let endpoint): listening[socket] = endpoint
        case .sendStream(let bytes, let connection):
          if let message = try? SIPMessage(parsing: bytes.span) { sent[connection, default: []].append(message) }
        case .closeStream(let connection): closed.append(connection)
        case .send: datagrams += 1
        case .media(.open(let port, _, _)): step { $0.mediaEventReceived(.opened(port), now: $1, into: &$2) }
        case .record(let record): records.append(record)
        default: break
        }
      }
    }

    /// Virtual time goes on, with every deadline on the way.
    func wait(_ duration: Duration) {
      let end = now + duration
      while let deadline = core.nextDeadline, deadline <= end {
        now = max(now, deadline)
        step { $0.timerFired(now: $1, into: &$2) }
      }
      now = end
    }

    func open(_ connection: Int, from remote: Endpoint) {
      let socket = listening.first { $0.value.port == 5060 }?.key ?? LinkSocket(99)
      step { $0.streamOpened(connection, on: socket, remote: remote, now: $1, into: &$2) }
    }

    func close(_ connection: Int) { step { $0.streamClosed(connection, now: $1, into: &$2) } }

    func receive(_ message: SIPMessage, on connection: Int) {
      let bytes = message.serialized()
      step { $0.streamMessageReceived(bytes.span, on: connection, now: $1, into: &$2) }
    }

    /// The oldest message that left over the connection and was not looked at.
    func next(_ connection: Int) -> SIPMessage? {
      guard sent[connection]?.isEmpty == false else { return nil }
      return sent[connection]?.removeFirst()
    }

    func request(_ method: SIPMethod, _ uri: String, from user: String, callID: String, sequence: Int = 1)
      throws -> SIPMessage
    {
      var request = SIPMessage(method: method, requestURI: try SIPURI(parsing: uri))
      request.set(.via, "SIP/2.0/TCP 192.168.1.9:5060;branch=z9hG4bK\(random.hexDigits(12))")
      request.set(.from, "<sip:\(user)@trunkline>;tag=\(callID)")
      request.set(.to, method == .register ? "<sip:\(user)@trunkline>" : "<\(uri)>")
      request.set(.callID, callID)
      request.set(.cSeq, "\(sequence) \(method)")
      request.set(.maxForwards, "70")
      request.set(.contact, "<sip:\(user)@192.168.1.9:5060;transport=tcp>")
      return request
    }

    /// Sends a request, and once more with credentials when it was challenged; answers what came back at last.
    func ask(_ request: SIPMessage, as user: String, on connection: Int) throws -> SIPMessage? {
      receive(request, on: connection)
      guard let challenge = next(connection), challenge.status == 401 else { return nil }
      var digest = DigestSession(username: user, password: Redacted("secret\(user)"))
      #expect(digest.challenged(by: challenge) == .answerable)
      if request.method == .invite {
        var ack = try self.request(.ack, request.requestURIText, from: user, callID: request.callID ?? "")
        ack.set(.via, request.value(.via) ?? "")
        ack.set(.to, challenge.value(.to) ?? "")
        receive(ack, on: connection)
      }
      var again = request
      digest.authorize(&again, random: &random)
      again.set(.cSeq, "2 \(request.method)")
      again.set(.via, "SIP/2.0/TCP 192.168.1.9:5060;branch=z9hG4bK\(random.hexDigits(12))")
      receive(again, on: connection)
      return next(connection)
    }

    func register(_ user: String, on connection: Int) throws {
      var request = try self.request(.register, "sip:trunkline", from: user, callID: "register\(user)-\(connection)")
      request.set(.expires, "3600")
      #expect(try ask(request, as: user, on: connection)?.status == 200)
    }

    func invite(_ number: String, from user: String, on connection: Int) throws -> SIPMessage? {
      var request = try self.request(.invite, "sip:\(number)@trunkline", from: user, callID: "call\(user)")
      request.setBody(Self.description.serialized(), contentType: "application/sdp")
      return try ask(request, as: user, on: connection)
    }

    static let description = SessionDescription.audioOffer(
      address: .v4(0xc0a8_0109), port: 4000, sessionID: 1, version: 1)

    /// The statuses and methods of everything that left over the connection and was not looked at.
    func left(_ connection: Int) -> [String] {
      (sent[connection] ?? []).map { $0.isRequest ? $0.method.name : String($0.status) }
    }

    /// Two phones, each registered over a connection of its own: 10 over 1, 20 over 2.
    static func office() throws -> Bench {
      let bench = Bench()
      bench.open(1, from: Endpoint(.v4(0xc0a8_010a), port: 40001))
      bench.open(2, from: Endpoint(.v4(0xc0a8_010b), port: 40002))
      try bench.register("10", on: 1)
      try bench.register("20", on: 2)
      return bench
    }

    /// Phone 10 calls phone 20, which answers; what 20 got first, and the 200 of 10.
    func call() throws -> (invite: SIPMessage, answer: SIPMessage) {
      #expect(try invite("20", from: "10", on: 1)?.status == 100)
      let invite = try #require(next(2))
      var answer = SIPMessage(responding: invite, status: 200, toTag: "callee")
      answer.set(.contact, "<sip:20@192.168.1.9:5060;transport=tcp>")
      answer.setBody(Self.description.serialized(), contentType: "application/sdp")
      receive(answer, on: 2)
      let answered = try #require(next(1))
      var ack = try request(.ack, "sip:20@192.168.1.1:5060;transport=tcp", from: "10", callID: "call10", sequence: 2)
      ack.set(.to, answered.value(.to) ?? "")
      receive(ack, on: 1)
      return (invite, answered)
    }
  }

  @Test("TCP is taken on the office side only, at the endpoint of the socket")
  func listening() {
    #expect(Bench().listening == [LinkSocket(1): Endpoint(.anyV4, port: 5060)])
  }

  @Test("A phone registers over its connection and is shown with it; the end of the connection ends that")
  func registration() throws {
    let bench = try Bench.office()
    #expect(bench.core.status(now: bench.now).phones[0].contacts.map(\.address) == ["192.168.1.10:40001"])
    bench.close(1)
    let phones = bench.core.status(now: bench.now).phones
    #expect(phones[0].contacts.isEmpty && phones[1].contacts.count == 1)
    #expect(try bench.invite("10", from: "20", on: 2)?.status == 100)
    #expect(bench.next(2)?.status == 480)
    #expect(bench.datagrams == 0)
  }

  @Test("A call goes over the connections of both phones, says so in Via and Contact, and nothing is repeated")
  func call() throws {
    let bench = try Bench.office()
    #expect(try bench.invite("20", from: "10", on: 1)?.status == 100)
    let invite = try #require(bench.next(2))
    #expect(invite.method == .invite && invite.requestURIText == "sip:20@192.168.1.9:5060;transport=tcp")
    #expect(invite.value(.via)?.hasPrefix("SIP/2.0/TCP \(Self.sipPort);branch=z9hG4bK") == true)
    #expect(invite.value(.contact) == "<sip:\(Self.sipPort);transport=tcp>")
    bench.wait(.seconds(10))
    #expect(bench.left(2) == [])

    var answer = SIPMessage(responding: invite, status: 200, toTag: "callee")
    answer.set(.contact, "<sip:20@192.168.1.9:5060;transport=tcp>")
    answer.setBody(Bench.description.serialized(), contentType: "application/sdp")
    bench.receive(answer, on: 2)
    let answered = try #require(bench.next(1))
    #expect(answered.status == 200 && answered.value(.contact) == "<sip:\(Self.sipPort);transport=tcp>")
    var ack = try bench.request(.ack, "sip:\(Self.sipPort)", from: "10", callID: "call10", sequence: 2)
    ack.set(.to, answered.value(.to) ?? "")
    bench.receive(ack, on: 1)
    #expect(bench.left(2) == ["ACK"])

    var bye = try bench.request(.bye, "sip:\(Self.sipPort)", from: "10", callID: "call10", sequence: 3)
    bye.set(.to, answered.value(.to) ?? "")
    bench.receive(bye, on: 1)
    #expect(bench.left(1) == ["200"] && bench.left(2) == ["ACK", "BYE"])
    let last = try #require(bench.sent[2]?.last)
    bench.receive(SIPMessage(responding: last, status: 200), on: 2)
    bench.wait(.seconds(40))
    #expect(bench.left(1) == ["200"] && bench.left(2) == ["ACK", "BYE"] && bench.datagrams == 0)
    #expect(bench.records.map(\.result) == ["answered"])
    let metrics = bench.core.metrics(now: bench.now)
    #expect(metrics.transactions == 0 && metrics.dialogs == 0 && metrics.mediaPorts == 0)
  }

  @Test("The caller is told at once when the connection of the phone that rings ends")
  func endedWhileRinging() throws {
    let bench = try Bench.office()
    #expect(try bench.invite("20", from: "10", on: 1)?.status == 100)
    bench.close(2)
    #expect(bench.left(1) == ["408"])
  }

  @Test("A call outlives the connection of its phone and follows it to the next one")
  func movedCall() throws {
    let bench = try Bench.office()
    let (_, answered) = try bench.call()
    bench.close(2)
    bench.open(3, from: Endpoint(.v4(0xc0a8_010b), port: 40003))
    try bench.register("20", on: 3)
    #expect(bench.core.status(now: bench.now).calls.map(\.state) == ["answered"])
    var bye = try bench.request(.bye, "sip:\(Self.sipPort)", from: "10", callID: "call10", sequence: 3)
    bye.set(.to, answered.value(.to) ?? "")
    bench.receive(bye, on: 1)
    #expect(bench.left(3) == ["BYE"])
  }

  @Test("Who is not served is turned away, and what he says is not heard")
  func notServed() throws {
    let bench = Bench()
    bench.open(1, from: Endpoint(.v4(0xcb00_7105), port: 40001))
    #expect(bench.closed == [1])
    bench.receive(try bench.request(.options, "sip:trunkline", from: "x", callID: "1"), on: 1)
    bench.close(1)
    bench.step { $0.streamOpened(2, on: LinkSocket(0), remote: Self.sipPort, now: $1, into: &$2) }
    bench.step { $0.streamOpened(3, on: LinkSocket(-1), remote: Self.sipPort, now: $1, into: &$2) }
    #expect(bench.closed == [1, 2, 3])
    #expect(bench.sent.isEmpty && bench.datagrams == 0)
  }
}
