import CallControl
import MediaRelay
public import NetworkTypes
import OrderedCollections
import SIPTransaction

/// All that a link is while no call is up and nothing waits for an answer over SIP: a core that is made of it goes on as the
/// one that gave it would have.
///
/// With it a recording may begin in the middle. What is in it is written by the compiler, field by field; the lists of
/// ``LinkCore`` that are empty at such a moment are named in ``LinkCore/handover``.
public struct LinkHandover: Sendable, Codable {
  struct Connection: Sendable, Codable {
    let number: Int
    let path: SIPPath
  }

  struct KnownName: Sendable, Codable {
    let host: String
    let addresses: [IPAddress]
  }

  struct KnownService: Sendable, Codable {
    let service: String
    let records: [ServiceRecord]
  }

  /// A verdict that was told and is not over.
  struct ToldVerdict: Sendable, Codable {
    /// A number, since every text here is put into pseudonyms.
    enum Kind: Int, Sendable, Codable { case trunk, uplink, phone, pbx, machine }

    let kind: Kind
    let index: Int?
    let name: String?
    let code: VerdictCode
    let at: MonotonicInstant

    /// `nil` for calls, of which none is up.
    init?(_ subject: VerdictSubject, _ code: VerdictCode, _ at: MonotonicInstant) {
      self.code = code
      self.at = at
      switch subject {
      case .trunk(let index): (kind, self.index, name) = (.trunk, index, nil)
      case .uplink(let index): (kind, self.index, name) = (.uplink, index, nil)
      case .station(let target):
        let isPhone = target.hasPrefix("phone:")
        (kind, index) = (isPhone ? .phone : .pbx, nil)
        name = String(target.dropFirst(isPhone ? 6 : 4))
      case .machine: (kind, index, name) = (.machine, nil, nil)
      case .call: return nil
      }
    }

    var subject: VerdictSubject {
      switch kind {
      case .trunk: .trunk(index ?? 0)
      case .uplink: .uplink(index ?? 0)
      case .phone: .station("phone:\(name ?? "")")
      case .pbx: .station("pbx:\(name ?? "")")
      case .machine: .machine
      }
    }

    /// By which they are put in an order.
    var rank: (Int, Int, String, String) { (kind.rawValue, index ?? 0, name ?? "", code.rawValue) }
  }

  /// As it was given last.
  public internal(set) var configuration: LinkConfiguration
  var startedAt: MonotonicInstant
  var startedAtWallTime: WallTime
  var sockets: [SocketState]
  var streams: [Connection]
  var uplinks: [UplinkState]
  var trunks: [TrunkState]
  var transactions: LingeringAnswers
  var location: LocationService
  var verifier: DigestVerifier
  var nextCall: UInt64
  var portLedger: PortLedger
  var lastMediaPort: UInt32
  var timers: TimerTable<LinkTimer>
  var names: [KnownName]
  var services: [KnownService]
  var unresolved: [String]
  var counters: LinkCounters
  var callTokens: Double
  var callTokensAt: MonotonicInstant
  var doctorSocket: Int?
  var told: [ToldVerdict]

  /// The configurations that uplinks and trunks go by, which may be older than the one that was given last.
  public var configurationInUse: LinkConfiguration {
    get {
      var result = configuration
      result.uplinks = uplinks.map(\.configuration)
      result.trunks = trunks.map(\.configuration)
      return result
    }
    set {
      for (index, uplink) in newValue.uplinks.enumerated() { uplinks[index].configuration = uplink }
      for (index, trunk) in newValue.trunks.enumerated() { trunks[index].configuration = trunk }
    }
  }

  /// As it is written down: without what was counted, which decides nothing.
  ///
  /// - Parameter redact: puts a configuration into pseudonyms.
  public func recorded(_ redact: (LinkConfiguration) -> LinkConfiguration) -> LinkHandover {
    var result = self
    result.counters = LinkCounters()
    result.configurationInUse = redact(configurationInUse)
    // Last, since whoever redacts goes by the last one.
    result.configuration = redact(configuration)
    return result
  }

  /// Whether it can be what a core gave, as far as the core's own soundness depends on it: numbers of sockets, uplinks and
  /// trunks are such.
  public var isSound: Bool {
    let isUplink = { (index: Int) in uplinks.indices.contains(index) }
    let isSocket = { (number: Int) in sockets.indices.contains(number) }
    for (index, socket) in sockets.enumerated() {
      guard socket.id.rawValue == index, isSocket(socket.first?.rawValue ?? index), socket.stun?.isSound ?? true else {
        return false
      }
      switch socket.side {
      case .uplink(let uplink): guard isUplink(uplink) else { return false }
      case .lan: break
      }
    }
    guard uplinks.count == configuration.uplinks.count,
      uplinks.allSatisfy({ $0.router.map { isSocket($0.socket.rawValue) } ?? true }),
      isSocket(doctorSocket ?? 0),
      told.allSatisfy({
        ($0.kind != .trunk || trunks.indices.contains($0.index ?? 0))
          && ($0.kind != .uplink || isUplink($0.index ?? 0))
      }),
      trunks.allSatisfy({ isSocket($0.socket?.rawValue ?? 0) && $0.currentTarget >= 0 && $0.watch.sequence < 1 << 31 }),
      streams.allSatisfy({ isSocket($0.path.socket) }), location.usesSockets(isSocket),
      transactions.usesSockets(isSocket)
    else { return false }
    return timers.count { timer in
      switch timer {
      case .advance(let trunk), .targetKeepalive(let trunk), .targetSilence(let trunk):
        !trunks.indices.contains(trunk)
      case .discovery(let uplink), .blocked(let uplink), .failOver(let uplink), .failBack(let uplink),
        .hostChange(let uplink), .expectedCut(let uplink), .tribunal(let uplink):
        !isUplink(uplink)
      case .deadState(let socket), .portAgain(let socket): !isSocket(socket)
      case .stage, .media, .repair, .deafPorts, .audio, .pulse, .resolve, .service, .names, .bindings, .doctor,
        .stopping:
        false
      }
    } == 0
  }
}

extension LinkCore {
  /// What a core that takes the place of this one has to know; `nil` while a call is up or on its way, while a request of ours
  /// has no answer yet or lingers, and at the end. The random numbers are not in it.
  public var handover: LinkHandover? {
    guard calls.isEmpty, dialogs.isEmpty, mediaOwners.isEmpty, clientOwners.isEmpty, serverOwners.isEmpty,
      farewells.isEmpty, !isStopping, !isStopped, doctor == nil, transactions.clientCount == 0,
      let lingering = transactions.lingering
    else { return nil }
    // Dictionaries have no order that two processes share.
    return LinkHandover(
      configuration: configuration, startedAt: startedAt, startedAtWallTime: startedAtWallTime, sockets: sockets,
      streams: streams.keys.sorted().compactMap { number in
        streams[number].map { LinkHandover.Connection(number: number, path: $0) }
      }, uplinks: uplinks, trunks: trunks, transactions: lingering, location: location, verifier: verifier,
      nextCall: nextCall, portLedger: portLedger, lastMediaPort: lastMediaPort, timers: timers,
      names: names.keys.sorted().map { LinkHandover.KnownName(host: $0, addresses: names[$0] ?? []) },
      services: services.keys.sorted().map { LinkHandover.KnownService(service: $0, records: services[$0] ?? []) },
      unresolved: unresolved.sorted(), counters: counters, callTokens: callTokens, callTokensAt: callTokensAt,
      doctorSocket: doctorSocket,
      told: told.flatMap { subject, codes in codes.compactMap { LinkHandover.ToldVerdict(subject, $0.key, $0.value) } }
        .sorted { $0.rank < $1.rank })
  }

  /// Whether no line is lost, and none is being recovered from a loss.
  package var isAtEase: Bool {
    sockets.allSatisfy { $0.stun?.lostSince == nil } && uplinks.allSatisfy { $0.recoveringSince == nil }
  }

  /// Takes the place of the core that gave `handover`. Who reads one from a file asks first whether it ``LinkHandover/isSound``.
  public init(_ handover: LinkHandover, random: RandomSource) {
    configuration = handover.configuration
    self.random = random
    startedAt = handover.startedAt
    startedAtWallTime = handover.startedAtWallTime
    sockets = handover.sockets
    for connection in handover.streams {
      streams[connection.number] = connection.path
      connections[connection.path] = connection.number
    }
    uplinks = handover.uplinks
    trunks = handover.trunks
    transactions = TransactionLayer(handover.transactions)
    location = handover.location
    verifier = handover.verifier
    nextCall = handover.nextCall
    portLedger = handover.portLedger
    lastMediaPort = handover.lastMediaPort
    timers = handover.timers
    for name in handover.names { names[name.host] = name.addresses }
    for service in handover.services { services[service.service] = service.records }
    unresolved = Set(handover.unresolved)
    counters = handover.counters
    callTokens = handover.callTokens
    callTokensAt = handover.callTokensAt
    doctorSocket = handover.doctorSocket
    for verdict in handover.told { told[verdict.subject, default: [:]][verdict.code] = verdict.at }
  }

  /// Where the moment allows it, this core is replaced by the one that its handover makes, so that the core that goes on and
  /// the one that a replay makes of the recorded handover are the same; answers the handover then.
  ///
  /// - Parameter random: where random numbers come from hereafter; `nil` goes on with what is left of the former ones.
  @discardableResult public mutating func handOver(random: RandomSource? = nil) -> LinkHandover? {
    guard let handover else { return nil }
    replace(with: handover, random: random)
    return handover
  }

  /// The core that `handover` makes takes the place of this one.
  package mutating func replace(with handover: LinkHandover, random: RandomSource? = nil) {
    self = LinkCore(handover, random: random ?? self.random)
  }
}
