import CallControl
import EmbeddedProvider
import MediaRelay
import NetworkTypes
import SIPSyntax
import SIPTransaction

/// A provider to which a test writes packets by hand.
final class ProviderBench {
  static let client = Endpoint(.v4(0xC633_6401), port: 5060)  // 198.51.100.1
  var core: ProviderCore
  var now = MonotonicInstant(nanoseconds: 1_000_000_000_000)
  private(set) var sent: [SIPMessage] = []
  private(set) var media: [MediaCommand] = []
  private(set) var events: [ProviderEvent] = []
  private var branch = 0

  init(_ change: (inout ProviderConfiguration) -> Void = { _ in }) {
    var configuration = ProviderConfiguration(
      bind: Endpoint(.v4(0xCB00_710A), port: 5060), domain: "provider.example",
      accounts: [ProviderAccount(username: "1000", password: Redacted("secret"), numbers: [NumberPattern("+4930")])])
    configuration.quirks.challengesInvites = false
    change(&configuration)
    core = ProviderCore(configuration: configuration, random: RandomSource(seed: 9))
    perform { $0.start(now: $1, into: &$2) }
  }

  /// Does something to the provider, and opens the media ports that it asks for.
  func perform(_ body: (inout ProviderCore, MonotonicInstant, inout [ProviderAction]) -> Void) {
    var actions: [ProviderAction] = []
    body(&core, now, &actions)
    for action in actions {
      switch action {
      case .send(let bytes, _, _): if let message = try? SIPMessage(parsing: bytes.span) { sent.append(message) }
      case .media(let command):
        media.append(command)
        if case .open(let port, _, _) = command {
          perform { $0.mediaEventReceived(.opened(port), now: $1, into: &$2) }
        }
      case .event(let event): events.append(event)
      case .openSocket, .log: break
      }
    }
  }

  func receive(_ bytes: [UInt8]) {
    perform { $0.datagramReceived(bytes.span, from: Self.client, on: 0, now: $1, into: &$2) }
  }

  /// Lets time pass, waking the provider whenever it wants.
  func advance(_ duration: Duration) {
    let end = now + duration
    while let deadline = core.nextDeadline, deadline <= end {
      now = max(now, deadline)
      perform { $0.timerFired(now: $1, into: &$2) }
    }
    now = end
  }

  /// Sends a request and returns what was sent back at once. `fields` come after the usual ones.
  @discardableResult func request(
    _ method: SIPMethod, _ user: String = "1000", toTag: String? = nil, callID: String = "call-1",
    sequence: Int = 1, fields: [(HeaderName, String)] = [], body: String? = nil
  ) -> [SIPMessage] {
    branch += 1
    var message = SIPMessage(method: method, requestURI: SIPURI(user: user, host: "provider.example"))
    message.add(.via, "SIP/2.0/UDP 198.51.100.1:5060;branch=z9hG4bK\(branch)x;rport")
    message.add(.maxForwards, "70")
    message.add(.from, "<sip:1000@provider.example>;tag=mine")
    message.add(.to, "<sip:\(user)@provider.example>" + (toTag.map { ";tag=\($0)" } ?? ""))
    message.add(.callID, callID)
    message.add(.cSeq, "\(sequence) \(method.name)")
    message.add(.contact, "<sip:1000@198.51.100.1:5060>")
    for (name, value) in fields { message.set(name, value) }
    if let body { message.setBody(Array(body.utf8), contentType: "application/sdp") }
    let before = sent.count
    receive(message.serialized())
    return Array(sent[before...])
  }

  /// Registers account 1000 and returns the final answer.
  func register(
    password: String = "secret", sequence: Int = 1, contact: String = "<sip:1000@198.51.100.1:5060>",
    expires: String = "300", callID: String = "register"
  ) -> SIPMessage? {
    let fields: [(HeaderName, String)] = [(.contact, contact), (.expires, expires)]
    guard let challenged = request(.register, callID: callID, sequence: sequence, fields: fields).last,
      challenged.status == 401
    else { return nil }
    var session = DigestSession(username: "1000", password: Redacted(password))
    guard session.challenged(by: challenged) == .answerable else { return nil }
    var random = RandomSource(seed: UInt64(sequence))
    var probe = SIPMessage(method: .register, requestURI: SIPURI(user: "1000", host: "provider.example"))
    session.authorize(&probe, random: &random)
    let credentials = probe.value(.authorization) ?? ""
    return request(
      .register, callID: callID, sequence: sequence + 1, fields: fields + [(.authorization, credentials)]
    ).last
  }

  static func sdp(port: Int = 30000, formats: String = "8 0 101", direction: String = "sendrecv") -> String {
    """
    v=0\r\no=- 1 1 IN IP4 198.51.100.1\r\ns=-\r\nc=IN IP4 198.51.100.1\r\nt=0 0\r\nm=audio \(port) RTP/AVP \(formats)\r\n\
    a=\(direction)\r\n
    """
  }

  /// Sends INVITE and ACK to the echo service, and returns the tag of the call.
  func echoCall() -> String? {
    _ = register()
    request(.invite, "*43", sequence: 10, body: Self.sdp())
    advance(.milliseconds(300))
    guard let answer = sent.last, answer.status == 200, let tag = answer.toTag else { return nil }
    request(.ack, "*43", toTag: tag, sequence: 10)
    return tag
  }
}
