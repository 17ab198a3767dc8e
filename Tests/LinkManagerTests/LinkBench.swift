import CallControl
import LinkManager
import MediaRelay
import NATDiscovery
import NetworkTypes
import SDP
import SIPSyntax
import SIPTransaction
import STUN
import Testing

func endpoint(_ text: String) -> Endpoint { Endpoint(text) ?? Endpoint(.anyV4, port: 0) }

/// A link with one static trunk and three telephones known by their addresses, driven by hand: what it sends is kept for
/// each far endpoint, media ports are a table, time is virtual.
final class LinkBench {
  static let provider = endpoint("203.0.113.10:5060")
  static let own = endpoint("198.51.100.1:65002")
  static let phones = ["192.168.1.10:5060", "192.168.1.20:5060", "192.168.1.30:5060"].map(endpoint)
  static let uplinkSocket = LinkSocket(0)
  static let officeSocket = LinkSocket(1)

  var core: LinkCore
  var now = MonotonicInstant(nanoseconds: 1)
  var random = RandomSource(seed: 7)
  private var inboxes: [Endpoint: [SIPMessage]] = [:]
  var records: [CallRecord] = []
  var verdicts: [Verdict] = []
  var reports: [DoctorReport] = []
  var lastProgress = DoctorProgress()
  var lookups: [String] = []
  /// What DNS has of services; nothing of any other.
  var services: [String: [ServiceRecord]] = [:]
  var answersServices = true
  var serviceLookups: [String] = []
  /// How the NAT was to be examined, each time.
  var examinations: [DiscoverySettings] = []
  /// Where STUN requests went.
  var stunRequests: [Endpoint] = []
  var isStopped = false
  /// Whether media ports open as soon as they are asked for.
  var opensMedia = true
  var refusesMedia = false
  var mediaPorts: [MediaPortID: Endpoint] = [:]
  var partners: [MediaPortID: MediaPortID] = [:]
  var peers: [MediaPortID: MediaPeer] = [:]

  init(
    _ change: (inout LinkConfiguration) -> Void = { _ in }, prepare: (LinkBench) -> Void = { _ in }
  ) {
    var configuration = LinkConfiguration()
    var uplink = UplinkConfiguration(name: "dsl", bind: [endpoint("0.0.0.0:65002")], stunServers: [])
    uplink.publicAddress = Self.own.address
    configuration.uplinks = [uplink]
    configuration.lan.interfaces = [InterfaceAddress(endpoint("192.168.1.2:0").address, prefixLength: 24)]
    configuration.phones = Self.phones.enumerated().map { index, address in
      PhoneConfiguration(extensionNumber: "\(index + 1)0", name: "Phone \(index + 1)0", address: address)
    }
    configuration.trunks = [Self.trunk("main", username: "1000")]
    configuration.routing.inbound = [InboundRule(to: [.phone("10"), .phone("20"), .phone("30")])]
    configuration.routing.outbound = [OutboundRule(to: NumberPattern("*"), trunks: ["main"])]
    change(&configuration)
    core = LinkCore(
      configuration: configuration, random: RandomSource(seed: 3), now: now, wallTime: WallTime(nanoseconds: 0))
    prepare(self)
    step { $0.start(now: $1, into: &$2) }
  }

  static func trunk(_ name: String, username: String, at host: String = "203.0.113.10") -> TrunkConfiguration {
    var trunk = TrunkConfiguration(
      name: name, domain: "provider.example", registrar: HostPort(host: host), username: username,
      password: Redacted("secret"))
    trunk.register = false
    trunk.numbers = ["+49211\(username)"]
    return trunk
  }

  // MARK: Driving

  func step(_ body: (inout LinkCore, MonotonicInstant, inout [LinkAction]) -> Void) {
    var actions: [LinkAction] = []
    body(&core, now, &actions)
    for action in actions { perform(action) }
  }

  private func perform(_ action: LinkAction) {
    switch action {
    case .openSocket(let socket, let local): step { $0.socketOpened(socket, local: local, now: $1, into: &$2) }
    case .send(let bytes, _, let remote):
      if STUNMessage.isSTUN(bytes.span) {
        stunRequests.append(remote)
      } else if let message = try? SIPMessage(parsing: bytes.span) {
        inboxes[remote, default: []].append(message)
      }
    case .media(let command): perform(command)
    case .record(let record): records.append(record)
    case .verdict(let verdict): verdicts.append(verdict)
    case .examined(let report, let progress):
      reports.append(report)
      lastProgress = progress
    case .resolve(let name): lookups.append(name)
    case .resolveService(let service):
      serviceLookups.append(service)
      guard answersServices else { break }
      step { [services] in $0.serviceResolved(service, services[service] ?? [], now: $1, into: &$2) }
    case .discoverNAT(_, let settings): examinations.append(settings)
    case .stopped: isStopped = true
    default: break
    }
  }

  private func perform(_ command: MediaCommand) {
    switch command {
    case .open(let port, let local, _):
      mediaPorts[port] = local
      if opensMedia { openMedia(port) }
    case .couple(let left, let right):
      for port in [left, right] { partners.removeValue(forKey: port).map { _ = partners.removeValue(forKey: $0) } }
      partners[left] = right
      partners[right] = left
    case .setPeer(let port, let peer, _): peers[port] = peer
    case .close(let port):
      mediaPorts[port] = nil
      peers[port] = nil
      partners.removeValue(forKey: port).map { _ = partners.removeValue(forKey: $0) }
    default: break
    }
  }

  func openMedia(_ port: MediaPortID) {
    let event = refusesMedia ? MediaEvent.openFailed(port, reason: "in use") : .opened(port)
    step { $0.mediaEventReceived(event, now: $1, into: &$2) }
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

  func receive(_ message: SIPMessage, from remote: Endpoint, on socket: LinkSocket? = nil) {
    let bytes = message.serialized()
    let socket = socket ?? (remote.address.isPrivate ? Self.officeSocket : Self.uplinkSocket)
    step { $0.datagramReceived(bytes.span, from: remote, on: socket, now: $1, into: &$2) }
  }

  /// The oldest message that went to `remote` and was not looked at.
  func next(_ remote: Endpoint) -> SIPMessage? {
    guard inboxes[remote]?.isEmpty == false else { return nil }
    return inboxes[remote]?.removeFirst()
  }

  /// The oldest message to `remote` that is such a request, or a response of such a status; what came before is passed over.
  func next(_ remote: Endpoint, _ label: String) -> SIPMessage? {
    while let message = next(remote) { if Self.label(message) == label { return message } }
    return nil
  }

  func left(_ remote: Endpoint) -> [String] { (inboxes[remote] ?? []).map(Self.label) }

  static func label(_ message: SIPMessage) -> String {
    message.isRequest ? message.method.name : String(message.status)
  }

  // MARK: Messages

  static func description(_ remote: Endpoint, port: UInt16 = 4000, version: UInt64 = 1) -> SessionDescription {
    .audioOffer(address: remote.address, port: port, sessionID: 1, version: version)
  }

  func request(
    _ method: SIPMethod, _ uri: String, from remote: Endpoint, user: String = "caller", callID: String,
    sequence: Int = 1, toTag: String? = nil
  ) throws -> SIPMessage {
    var request = SIPMessage(method: method, requestURI: try SIPURI(parsing: uri))
    request.set(.via, "SIP/2.0/UDP \(remote);branch=z9hG4bK\(random.hexDigits(12));rport")
    request.set(.from, "<sip:\(user)@\(HostPort(host: remote.address.description))>;tag=\(callID)")
    request.set(.to, "<\(uri)>" + (toTag.map { ";tag=\($0)" } ?? ""))
    request.set(.callID, callID)
    request.set(.cSeq, "\(sequence) \(method)")
    request.set(.maxForwards, "70")
    request.set(.contact, "<sip:\(user)@\(remote)>")
    return request
  }

  func invite(
    _ number: String, from remote: Endpoint, callID: String, description: Bool = true,
    _ change: (inout SIPMessage) -> Void = { _ in }
  ) throws -> SIPMessage {
    let host = remote.address.isPrivate ? "192.168.1.2" : "\(Self.own)"
    var request = try self.request(.invite, "sip:\(number)@\(host)", from: remote, callID: callID)
    if description { request.setBody(Self.description(remote).serialized(), contentType: "application/sdp") }
    change(&request)
    receive(request, from: remote)
    return request
  }

  /// Answers a request of the link's from where it went.
  func answer(
    _ request: SIPMessage, _ status: Int, from remote: Endpoint, tag: String = "callee",
    description: SessionDescription? = nil, _ change: (inout SIPMessage) -> Void = { _ in }
  ) {
    var response = SIPMessage(responding: request, status: status, toTag: tag)
    response.set(.contact, "<sip:callee@\(remote)>")
    if let description { response.setBody(description.serialized(), contentType: "application/sdp") }
    change(&response)
    receive(response, from: remote)
  }

  /// A request of the caller's within the dialog that `response` made of `invite`.
  func within(
    _ method: SIPMethod, _ invite: SIPMessage, _ response: SIPMessage, from remote: Endpoint, sequence: Int,
    description: SessionDescription? = nil
  ) throws -> SIPMessage {
    var request = try self.request(
      method, "sip:\(remote.address.isPrivate ? "192.168.1.2" : "\(Self.own)")", from: remote,
      callID: invite.callID ?? "", sequence: sequence)
    request.set(.from, invite.value(.from) ?? "")
    request.set(.to, response.value(.to) ?? "")
    if let description { request.setBody(description.serialized(), contentType: "application/sdp") }
    receive(request, from: remote)
    return request
  }

  /// A request of the callee's within the dialog that the link's `invite` made.
  @discardableResult func back(
    _ method: SIPMethod, _ invite: SIPMessage, from remote: Endpoint, tag: String = "callee", sequence: Int,
    description: SessionDescription? = nil
  ) throws -> SIPMessage {
    var request = try self.request(
      method, "sip:\(remote.address.isPrivate ? "192.168.1.2" : "\(Self.own)")", from: remote,
      callID: invite.callID ?? "", sequence: sequence)
    request.set(.from, (invite.value(.to) ?? "") + ";tag=\(tag)")
    request.set(.to, invite.value(.from) ?? "")
    if let description { request.setBody(description.serialized(), contentType: "application/sdp") }
    receive(request, from: remote)
    return request
  }

  /// A call from `caller` that `callee` answers, with its ACK.
  struct Talk {
    /// The caller's INVITE and the link's 200 to it.
    let invite: SIPMessage
    let answer: SIPMessage
    /// The link's INVITE to the callee.
    let dialled: SIPMessage
    let caller: Endpoint
    let callee: Endpoint
  }

  func talk(
    _ number: String, from caller: Endpoint, to callee: Endpoint, callID: String = "talk"
  ) throws -> Talk {
    let invite = try self.invite(number, from: caller, callID: callID)
    let dialled = try #require(next(callee, "INVITE"))
    answer(dialled, 200, from: callee, description: Self.description(callee, port: 5000))
    let answered = try #require(next(caller, "200"))
    _ = try within(.ack, invite, answered, from: caller, sequence: 1)
    #expect(next(callee, "ACK") != nil)
    return Talk(invite: invite, answer: answered, dialled: dialled, caller: caller, callee: callee)
  }

  /// Ends what is up: every BYE that waits is answered, the telephones' cancelled calls too.
  func hangUp(_ talk: Talk) throws {
    _ = try within(.bye, talk.invite, talk.answer, from: talk.caller, sequence: 100)
    #expect(next(talk.caller, "200") != nil)
    let bye = try #require(next(talk.callee, "BYE"))
    answer(bye, 200, from: talk.callee)
  }

  /// What is left after every timer of RFC 3261 had its time.
  func leftovers() -> [String] {
    wait(.seconds(40))
    return core.leftovers + (mediaPorts.isEmpty ? [] : ["media ports: \(mediaPorts.count)"])
  }
}
