import CallControl
public import LinkManager
import MediaRelay
public import NetworkTypes
import PortMapping
import SIPSyntax
import SIPTransaction
import STUN

/// Puts everything that a link is told into pseudonyms, so that a link that is told these decides the same.
///
/// Credentials cannot be carried over, since the passwords are not: where those of a message are right, they are made again
/// with the pseudonyms' own password, and where they are wrong they stay wrong. So the verdict is what is recorded.
public struct RecordingRedactor: Sendable {
  private var messages: MessagePseudonyms
  /// What our telephones' and PBXs' passwords are, by user name, in truth and in the recording.
  private var passwords: [(user: String, password: Redacted<String>, pseudonym: Redacted<String>)] = []

  public init(random: inout RandomSource) { messages = MessagePseudonyms(pseudonyms: Pseudonyms(random: &random)) }

  // MARK: Configuration

  /// Trunks, uplinks and PBXs keep the labels that the configuration gives them.
  public mutating func redact(_ configuration: LinkConfiguration) -> LinkConfiguration {
    var new = configuration
    for network in configuration.lan.allow + configuration.lan.interfaces.compactMap(\.network) {
      messages.pseudonyms.keep(network)
    }
    passwords = []
    for index in new.uplinks.indices {
      new.uplinks[index].bind = new.uplinks[index].bind.map { messages.pseudonyms.endpoint($0) }
      new.uplinks[index].stunServers = new.uplinks[index].stunServers.map { redact($0) }
      new.uplinks[index].publicAddress = new.uplinks[index].publicAddress.map { messages.pseudonyms.address($0) }
    }
    new.lan.bind = new.lan.bind.map { messages.pseudonyms.endpoint($0) }
    new.lan.allow = new.lan.allow.map { messages.pseudonyms.network($0) }
    new.lan.domain = messages.plain(new.lan.domain)
    new.lan.interfaces = new.lan.interfaces.map {
      InterfaceAddress(messages.pseudonyms.address($0.address), prefixLength: $0.prefixLength)
    }
    for index in new.phones.indices {
      let phone = new.phones[index]
      new.phones[index].extensionNumber = messages.plain(phone.extensionNumber)
      new.phones[index].name = messages.name(phone.name)
      new.phones[index].password = secret(phone.password, of: phone.extensionNumber)
      new.phones[index].address = phone.address.map { messages.pseudonyms.endpoint($0) }
      new.phones[index].callerNumber = phone.callerNumber.map { messages.plain($0) }
    }
    for index in new.pbxs.indices {
      let pbx = new.pbxs[index]
      new.pbxs[index].address = pbx.address.map { messages.pseudonyms.endpoint($0) }
      new.pbxs[index].username = pbx.username.map { messages.plain($0) }
      new.pbxs[index].password = secret(pbx.password, of: pbx.username ?? "")
    }
    for index in new.trunks.indices {
      let trunk = new.trunks[index]
      new.trunks[index].domain = messages.plain(trunk.domain)
      new.trunks[index].registrar = redact(trunk.registrar)
      new.trunks[index].outboundProxy = trunk.outboundProxy.map { redact($0) }
      new.trunks[index].realm = trunk.realm.map { messages.plain($0) }
      new.trunks[index].username = messages.plain(trunk.username)
      new.trunks[index].authUsername = trunk.authUsername.map { messages.plain($0) }
      new.trunks[index].password = trunk.password.map { Redacted(messages.plainSecret($0.value)) }
      new.trunks[index].numbers = trunk.numbers.map { pattern($0) }
      new.trunks[index].instance = trunk.instance.map { messages.ownInstance($0) }
    }
    for index in new.routing.inbound.indices {
      let rule = new.routing.inbound[index]
      new.routing.inbound[index].number = rule.number.map { NumberPattern(pattern($0.text)) }
      new.routing.inbound[index].to = rule.to.map { redact($0) }
      new.routing.inbound[index].otherwise = rule.otherwise.map { redact($0) }
    }
    for index in new.routing.outbound.indices {
      let rule = new.routing.outbound[index]
      new.routing.outbound[index].from = rule.from.map { redact($0) }
      new.routing.outbound[index].to = NumberPattern(pattern(rule.to.text))
      new.routing.outbound[index].callerID = rule.callerID.map { messages.plain($0) }
    }
    return new
  }

  private mutating func secret(_ password: Redacted<String>?, of user: String) -> Redacted<String>? {
    guard let password else { return nil }
    let pseudonym = Redacted(messages.plainSecret(password.value))
    passwords.append((user, password, pseudonym))
    return pseudonym
  }

  private mutating func redact(_ host: HostPort) -> HostPort {
    HostPort(host: messages.plain(host.host), port: host.port)
  }

  private mutating func redact(_ target: RouteTarget) -> RouteTarget {
    switch target {
    case .phone(let number): .phone(messages.plain(number))
    case .pbx, .reject: target
    case .number(let number): .number(messages.plain(number))
    case .sip(let uri): .sip(messages.plain(uri))
    }
  }

  /// A number, with the `x`s for any digit at its end as they are.
  private mutating func pattern(_ text: String) -> String {
    let open = text.reversed().prefix { $0 == "x" }.count
    return messages.plain(String(text.dropLast(open))) + String(repeating: "x", count: open)
  }

  // MARK: Handover

  /// What a text of a link's state is.
  enum TextKind: Sendable {
    /// A name, a number, a host or an address; and whatever is not known to be something else.
    case name
    /// Made at random, or a word of the protocol.
    case random
    case callID
    case secret
    case product
    /// A UUID by which a registrar knows us.
    case instance
  }

  mutating func redact(_ text: String, of kind: TextKind) -> String {
    switch kind {
    case .name:
      if let endpoint = Endpoint(text) { return messages.pseudonyms.endpoint(endpoint).description }
      if let address = IPAddress(text) { return messages.pseudonyms.address(address).description }
      return service(text)
    case .random: return messages.field(text, "content-type")
    case .callID: return messages.field(text, "call-id")
    case .secret: return messages.plainSecret(text)
    case .product: return messages.field(text, "user-agent")
    case .instance: return messages.instance(text)
    }
  }

  /// A link's state as text, in pseudonyms.
  mutating func redact(_ handover: LinkHandover) -> String {
    let recorded = handover.recorded { redact($0) }
    return HandoverText.redacted(RecordedLine.json(recorded), &self)
  }

  /// The names of service and transport (RFC 2782) are nobody's.
  private mutating func service(_ name: String) -> String {
    let labels = name.split(separator: ".").prefix { $0.hasPrefix("_") }
    let service = labels.map { $0 + "." }.joined()
    guard !service.isEmpty, service.utf8.count <= name.utf8.count else { return messages.plain(name) }
    return service + messages.plain(String(name.dropFirst(service.count)))
  }

  // MARK: Inputs

  public mutating func redact(_ input: LinkInput) -> LinkInput {
    switch input {
    case .started, .streamClosed, .timerFired, .wallTimeChanged, .trunkSwitched, .registrationAsked,
      .hangUpAsked, .examinationAsked, .shutDownAsked, .reseeded, .changeAnnounced, .cutsRemembered:
      return input
    case .contactsRemembered(let known, let user):
      return .contactsRemembered(known.map { redact($0) }, user: messages.plain(user))
    case .natDiscovered(var findings, let uplink):
      let told = findings?.routerAddress
      findings?.routerAddress = told.map { messages.pseudonyms.address($0) }
      return .natDiscovered(findings, uplink: uplink)
    case .routerTold(let event, let uplink): return .routerTold(redact(event), uplink: uplink)
    case .socketFailed(let socket, _): return .socketFailed(socket, reason: "the system refused it")
    case .serviceResolved(let name, let records):
      let told = records?.map { record in
        ServiceRecord(
          priority: record.priority, weight: record.weight, port: record.port, target: messages.plain(record.target))
      }
      return .serviceResolved(service(name), told)
    case .hostChanged(let interfaces):
      return .hostChanged(
        interfaces.map {
          InterfaceAddress(messages.pseudonyms.address($0.address), prefixLength: $0.prefixLength)
        })
    case .socketOpened(let socket, let local): return .socketOpened(socket, local: messages.pseudonyms.endpoint(local))
    case .datagramReceived(let bytes, let source, let socket):
      return .datagramReceived(redact(bytes), from: messages.pseudonyms.endpoint(source), on: socket)
    case .streamOpened(let connection, let socket, let remote):
      return .streamOpened(connection, on: socket, remote: messages.pseudonyms.endpoint(remote))
    case .streamMessageReceived(let bytes, let connection):
      return .streamMessageReceived(redact(bytes), on: connection)
    case .nameResolved(let host, let addresses):
      return .nameResolved(messages.plain(host), addresses.map { messages.pseudonyms.address($0) })
    case .mediaEventReceived(let event): return .mediaEventReceived(redact(event))
    case .reconfigured(let configuration): return .reconfigured(redact(configuration))
    }
  }

  private mutating func redact(_ contact: KnownContact) -> KnownContact {
    KnownContact(
      uri: (try? SIPURI(parsing: messages.field("\(contact.uri)", "contact"))) ?? contact.uri,
      remote: messages.pseudonyms.endpoint(contact.remote), callID: messages.field(contact.callID, "call-id"),
      sequence: contact.sequence, userAgent: contact.userAgent.map { messages.field($0, "user-agent") },
      expiresAt: contact.expiresAt)
  }

  private func redact(_ event: RouterEvent) -> RouterEvent {
    let pseudonyms = messages.pseudonyms
    return switch event {
    case .found(let router, let local):
      .found(router: router.map { pseudonyms.address($0) }, local: local.map { pseudonyms.address($0) })
    case .received(let bytes, let source): .received(mapping(bytes), from: pseudonyms.endpoint(source))
    case .answered(let id, .externalAddress(let address)):
      .answered(id, .externalAddress(pseudonyms.address(address)))
    case .answered(let id, .entry(let client, let port)):
      .answered(id, .entry(client: pseudonyms.address(client), internalPort: port))
    case .answered, .notified: event
    case .kept(let leases):
      .kept(
        leases.map { lease in
          var lease = lease
          lease.router = IPAddress(lease.router).map { pseudonyms.address($0).description } ?? "router"
          return lease
        })
    }
  }

  /// A router's answer with its addresses in pseudonyms: the external one of NAT-PMP (RFC 6886 §3.2) at byte 8, of PCP
  /// (RFC 6887 §11.1, §12.1) at byte 44; the other end's of PEER at byte 64.
  private func mapping(_ bytes: [UInt8]) -> [UInt8] {
    guard bytes.count >= 12 else { return bytes }
    var places: [Range<Int>] = []
    if bytes[0] == 0, bytes[1] == 128 { places = [8..<12] }
    if bytes[0] == 2, bytes[1] & 0x7f != 0 { places = [44..<60] + (bytes[1] & 0x7f == 2 ? [64..<80] : []) }
    var out = bytes
    for place in places where place.upperBound <= bytes.count {
      let written = Array(bytes[place])
      guard let address = IPAddress(bytes: written.span) else { continue }
      var new = messages.pseudonyms.address(address.unmapped).bytes
      if place.count == 16, new.count == 4 { new = written.prefix(12) + new }
      if new.count == place.count { out.replaceSubrange(place, with: new) }
    }
    return out
  }

  private func redact(_ event: MediaEvent) -> MediaEvent {
    let pseudonyms = messages.pseudonyms
    return switch event {
    case .mapped(let port, let rtp, let rtcp):
      .mapped(port, rtp: pseudonyms.endpoint(rtp), rtcp: rtcp.map { pseudonyms.endpoint($0) })
    case .latched(let port, let source): .latched(port, pseudonyms.endpoint(source))
    case .recorded(let port, _): .recorded(port, samples: [])
    case .openFailed(let port, _): .openFailed(port, reason: "the system refused it")
    case .opened, .silent, .heard, .counted: event
    }
  }

  /// What came as a datagram, or as a message of a stream.
  public mutating func redact(_ bytes: [UInt8]) -> [UInt8] {
    if STUNMessage.isSTUN(bytes.span) { return stun(bytes) }
    guard let first = bytes.first, Pseudonyms.isWord(first) else {
      // Keepalives, and what nobody can read.
      return bytes.allSatisfy { $0 == 13 || $0 == 10 || $0 == 0 } ? bytes : messages.unknown(bytes)
    }
    var new = messages.message(bytes)
    if let response = credentials(of: bytes, as: new), let place = place(of: response.old, in: bytes) {
      new.replaceSubrange(place..<place + response.new.count, with: response.new)
    }
    return new
  }

  // MARK: STUN

  /// Addresses of a STUN message in pseudonyms, its fingerprint made anew (RFC 8489 §14).
  private func stun(_ bytes: [UInt8]) -> [UInt8] {
    var out = bytes
    var offset = 20
    while offset + 4 <= bytes.count {
      let type = UInt16(bytes[offset]) << 8 | UInt16(bytes[offset + 1])
      let length = Int(bytes[offset + 2]) << 8 | Int(bytes[offset + 3])
      guard offset + 4 + length <= bytes.count else { break }
      switch type {
      case 0x0001, 0x0002, 0x0004, 0x0005, 0x000b, 0x8023, 0x802b, 0x802c:
        stunAddress(&out, offset + 4, length, isXor: false)
      case 0x0020, 0x0012, 0x0016, 0x8020: stunAddress(&out, offset + 4, length, isXor: true)
      case 0x0006, 0x0014:
        // USERNAME and REALM are names; nobody asks a link's STUN for credentials.
        for index in offset + 4..<offset + 4 + length where Pseudonyms.isWord(out[index]) {
          out[index] = UInt8(ascii: "x")
        }
      case 0x8028
      where length == 4 && bytes[offset + 4..<offset + 8].elementsEqual(Self.fingerprint(bytes, at: offset)):
        out.replaceSubrange(offset + 4..<offset + 8, with: Self.fingerprint(out, at: offset))
      default: break
      }
      offset += 4 + (length + 3) & ~3
    }
    return out
  }

  /// The CRC of what stands before a FINGERPRINT, as it is written there.
  private static func fingerprint(_ bytes: [UInt8], at offset: Int) -> [UInt8] {
    var crc = UInt32.max
    for byte in bytes[..<offset] {
      crc ^= UInt32(byte)
      for _ in 0..<8 { crc = crc >> 1 ^ (crc & 1 == 1 ? 0xedb8_8320 : 0) }
    }
    let value = ~crc ^ 0x5354_554e
    return (0..<4).map { UInt8(truncatingIfNeeded: value >> (24 - 8 * UInt32($0))) }
  }

  private func stunAddress(_ out: inout [UInt8], _ start: Int, _ length: Int, isXor: Bool) {
    let size = length - 4
    guard size == 4 || size == 16 else { return }
    // The magic cookie and the transaction ID.
    let mask = isXor ? Array(out[4..<4 + size]) : [UInt8](repeating: 0, count: size)
    let plain = (0..<size).map { out[start + 4 + $0] ^ mask[$0] }
    guard let address = IPAddress(bytes: plain.span) else { return }
    for (index, byte) in messages.pseudonyms.address(address).bytes.enumerated() {
      out[start + 4 + index] = byte ^ mask[index]
    }
  }

  // MARK: Credentials

  /// The `response` of a message's right credentials, and the one that is right in pseudonyms.
  private func credentials(of bytes: [UInt8], as new: [UInt8]) -> (old: String, new: [UInt8])? {
    guard let message = try? SIPMessage(taking: bytes), message.isRequest,
      let redacted = try? SIPMessage(taking: new)
    else { return nil }
    for (value, other) in zip(message.values(.authorization), redacted.values(.authorization)) {
      guard let given = try? AuthParameters(parsing: value), let pseudonym = try? AuthParameters(parsing: other),
        let response = given["response"],
        let known = passwords.first(where: { $0.user == given["username"] }),
        Self.response(given, message, known.password) == response.lowercased(),
        let right = Self.response(pseudonym, redacted, known.pseudonym), right.utf8.count == response.utf8.count
      else { continue }
      return (response, Array(right.utf8))
    }
    return nil
  }

  private static func response(
    _ given: AuthParameters, _ message: SIPMessage, _ password: Redacted<String>
  ) -> String? {
    guard let challenge = DigestChallenge(given), let uri = given["uri"], let username = given["username"] else {
      return nil
    }
    let count = given["nc"].flatMap { UInt32($0, radix: 16) } ?? 1
    let value = digestAuthorization(
      challenge: challenge, username: username, password: password, method: message.method, uri: uri, nonceCount: count,
      cnonce: given["cnonce"] ?? "")
    return (try? AuthParameters(parsing: value))?["response"]
  }

  private func place(of text: String, in bytes: [UInt8]) -> Int? {
    let wanted = Array("response=\"\(text)".utf8)
    guard bytes.count >= wanted.count else { return nil }
    for start in 0...(bytes.count - wanted.count) where bytes[start] == wanted[0] {
      if bytes[start..<start + wanted.count].elementsEqual(wanted) { return start + 10 }
    }
    return nil
  }
}

extension MessagePseudonyms {
  /// A password: nothing of it stays.
  mutating func plainSecret(_ secret: String) -> String {
    String(decoding: unknown(Array(secret.utf8)), as: UTF8.self)
  }
}
