public import NetworkTypes
public import PortMapping

/// The side of a router that gives port mappings: PCP, NAT-PMP and UPnP, with each fault that such routers have. It holds a
/// table and moves no packets.
public struct MappingRouter: Sendable {
  public struct Entry: Sendable, Hashable {
    public var `protocol`: MappingProtocol
    public var transport: MappedTransport
    public var client: IPAddress
    public var internalPort: UInt16
    public var externalPort: UInt16
    /// The only one that it is for: PCP's PEER.
    public var remote: Endpoint?
    public var nonce: UInt128
    /// `nil` for one that does not end.
    public var expiresAt: MonotonicInstant?
  }

  /// A flow of somebody inside, and where it leaves.
  public struct Flow: Sendable, Hashable {
    public var inside: Endpoint
    public var remote: Endpoint
    public var outside: Endpoint

    public init(inside: Endpoint, remote: Endpoint, outside: Endpoint) {
      self.inside = inside
      self.remote = remote
      self.outside = outside
    }
  }

  // MARK: What it is like

  public var protocols: [MappingProtocol] = MappingProtocol.allCases
  /// What it says its external address is.
  public var externalAddress: IPAddress
  /// External ports that somebody else has.
  public var takenPorts: [UInt16] = []
  /// It says yes and maps nothing.
  public var lies = false
  /// It refuses mappings, by the words of each protocol.
  public var refuses = false
  /// PCP: MAP alone, or PEER alone, is refused so.
  public var mapRefusal: PCPResultCode?
  public var peerRefusal: PCPResultCode?
  /// Flows that it translates for others than PEER: they have a port already, which PEER is told (RFC 6887 §12.3).
  public var flows: [Flow] = []
  /// No lease is longer, in seconds.
  public var longestLease: UInt32 = 86_400
  /// UPnP: only leases without an end (error 725).
  public var onlyPermanent = false
  /// UPnP: only external ports that are the internal ones (error 724).
  public var onlySamePort = false
  /// The version of its InternetGatewayDevice.
  public var gatewayVersion = 2
  /// UPnP: for how many seconds it tells changes to who subscribes; 0 has no events.
  public var subscriptionSeconds: UInt32 = 1800
  /// It answers nothing.
  public var isSilent = false

  // MARK: What it holds

  public private(set) var entries: [Entry] = []
  /// Requests for mappings that came, repetitions and deletions too.
  public private(set) var requests = 0
  /// Flows that were asked for by PEER. They let nobody else in.
  public private(set) var peers: [Entry] = []
  /// Whatever came to it, be it answered or not.
  public private(set) var heard = 0
  private var beganAt: MonotonicInstant
  private var subscribedUntil: MonotonicInstant?
  private static let most = 1024

  public init(externalAddress: IPAddress, now: MonotonicInstant) {
    self.externalAddress = externalAddress
    beganAt = now
  }

  /// Seconds since the table began.
  public func epoch(_ now: MonotonicInstant) -> UInt32 { UInt32(clamping: Int64((now - beganAt).inSeconds)) }

  /// Everything is forgotten, and the epoch begins anew.
  public mutating func reboot(now: MonotonicInstant, externalAddress: IPAddress? = nil) {
    entries = []
    peers = []
    subscribedUntil = nil
    beganAt = now
    if let externalAddress { self.externalAddress = externalAddress }
  }

  /// What it says to 224.0.0.1:5350 when it begins, or its address changes (RFC 6886 §3.2.1, RFC 6887 §14.1).
  public func announcements(now: MonotonicInstant) -> [[UInt8]] {
    var all: [[UInt8]] = []
    if protocols.contains(.natPMP) {
      all.append(NATPMPResponse(epoch: epoch(now), .externalAddress(externalAddress)).encoded())
    }
    if protocols.contains(.pcp) {
      all.append(PCPResponse(opcode: .announce, result: .success, lifetime: 0, epoch: epoch(now)).encoded())
    }
    return all
  }

  /// Where a packet to an external port goes.
  public mutating func target(_ transport: MappedTransport, port: UInt16, now: MonotonicInstant) -> Endpoint? {
    expire(now: now)
    guard let entry = entries.first(where: { $0.transport == transport && $0.externalPort == port }) else { return nil }
    return Endpoint(entry.client, port: entry.internalPort)
  }

  private mutating func expire(now: MonotonicInstant) {
    entries.removeAll { entry in entry.expiresAt.map { $0 <= now } ?? false }
    peers.removeAll { entry in entry.expiresAt.map { $0 <= now } ?? false }
  }

  // MARK: PCP and NAT-PMP

  /// The answer to a datagram that came to port 5351; `nil` where none is given.
  public mutating func answer(
    _ bytes: Span<UInt8>, from source: Endpoint, now: MonotonicInstant
  ) -> [UInt8]? {
    heard += 1
    guard !isSilent, bytes.count >= 2 else { return nil }
    expire(now: now)
    if bytes[0] == 2, protocols.contains(.pcp) {
      return (try? PCPRequest(decoding: bytes)).map { answer($0, from: source, now: now).encoded() }
    }
    guard protocols.contains(.natPMP) else { return nil }
    if bytes[0] != 0 {
      // RFC 6886 §3.5.
      return NATPMPResponse(
        result: .unsupportedVersion, epoch: epoch(now), .refused(opcode: bytes[1] & 0x7f)
      ).encoded()
    }
    return (try? NATPMPRequest(decoding: bytes)).map { answer($0, from: source, now: now).encoded() }
  }

  private mutating func answer(_ request: PCPRequest, from source: Endpoint, now: MonotonicInstant) -> PCPResponse {
    var response = PCPResponse(
      opcode: request.opcode, result: .success, lifetime: 0, epoch: epoch(now), mapping: request.mapping)
    guard request.client == source.address else {
      response.result = PCPResultCode.addressMismatch.rawValue
      return response
    }
    guard var mapping = request.mapping else { return response }
    if let remote = mapping.remote {
      (response.result, response.lifetime) = peer(&mapping, remote, request.lifetime, from: source, now: now)
      response.mapping = mapping
      return response
    }
    requests += 1
    guard !refuses, mapRefusal == nil else {
      response.result = (mapRefusal ?? .notAuthorized).rawValue
      return response
    }
    let position = entries.firstIndex {
      $0.transport == mapping.transport && $0.client == source.address && $0.internalPort == mapping.internalPort
    }
    if let position, entries[position].nonce != mapping.nonce {
      // RFC 6887 §11.3: only who knows the nonce may change it.
      response.result = PCPResultCode.notAuthorized.rawValue
      return response
    }
    if request.lifetime == 0 {
      if let position { entries.remove(at: position) }
      return response
    }
    let wanted = position.map { entries[$0].externalPort } ?? mapping.external.port
    let port = free(mapping.transport, near: wanted, unless: position)
    response.lifetime = min(request.lifetime, longestLease)
    mapping.external = Endpoint(externalAddress, port: port)
    response.mapping = mapping
    set(
      position,
      Entry(
        protocol: .pcp, transport: mapping.transport, client: source.address, internalPort: mapping.internalPort,
        externalPort: port, nonce: mapping.nonce, expiresAt: now + .seconds(Int64(response.lifetime))))
    return response
  }

  /// The result of a PEER, and the lifetime that is granted.
  private mutating func peer(
    _ mapping: inout PCPMapping, _ remote: Endpoint, _ lifetime: UInt32, from source: Endpoint, now: MonotonicInstant
  ) -> (UInt8, UInt32) {
    func refused(_ code: PCPResultCode) -> (UInt8, UInt32) { (code.rawValue, 1800) }
    if refuses || peerRefusal != nil { return refused(peerRefusal ?? .notAuthorized) }
    let inside = Endpoint(source.address, port: mapping.internalPort)
    let position = peers.firstIndex {
      $0.transport == mapping.transport && $0.client == inside.address && $0.internalPort == inside.port
        && $0.remote == remote
    }
    if let position, peers[position].nonce != mapping.nonce { return refused(.notAuthorized) }
    if lifetime == 0 {
      if let position { peers.remove(at: position) }
      return (0, 0)
    }
    let held = position.map { Endpoint(externalAddress, port: peers[$0].externalPort) }
    let present = flows.first { $0.inside == inside && $0.remote == remote }?.outside ?? held
    if let present, mapping.external.port > 0, mapping.external != present { return refused(.cannotProvideExternal) }
    let wanted = mapping.external.port > 0 ? mapping.external.port : inside.port
    mapping.external =
      present ?? Endpoint(externalAddress, port: free(mapping.transport, near: wanted, unless: nil))
    let granted = min(lifetime, longestLease)
    let entry = Entry(
      protocol: .pcp, transport: mapping.transport, client: inside.address, internalPort: inside.port,
      externalPort: mapping.external.port, remote: remote, nonce: mapping.nonce,
      expiresAt: now + .seconds(Int64(granted)))
    if let position {
      peers[position] = entry
    } else if peers.count < Self.most {
      peers.append(entry)
    }
    return (0, granted)
  }

  private mutating func answer(
    _ request: NATPMPRequest, from source: Endpoint, now: MonotonicInstant
  ) -> NATPMPResponse {
    switch request {
    case .externalAddress: return NATPMPResponse(epoch: epoch(now), .externalAddress(externalAddress))
    case .map(let transport, let inside, let suggested, let lifetime):
      requests += 1
      guard !refuses else {
        return NATPMPResponse(
          result: .notAuthorized, epoch: epoch(now), .refused(opcode: transport == .udp ? 1 : 2))
      }
      let position = entries.firstIndex {
        $0.transport == transport && $0.client == source.address && $0.internalPort == inside
      }
      if lifetime == 0 {
        if let position { entries.remove(at: position) }
        return NATPMPResponse(
          epoch: epoch(now), .mapped(transport, internalPort: inside, externalPort: 0, lifetime: 0))
      }
      let port = free(transport, near: position.map { entries[$0].externalPort } ?? suggested, unless: position)
      let granted = min(lifetime, longestLease)
      set(
        position,
        Entry(
          protocol: .natPMP, transport: transport, client: source.address, internalPort: inside, externalPort: port,
          nonce: 0, expiresAt: now + .seconds(Int64(granted))))
      return NATPMPResponse(
        epoch: epoch(now), .mapped(transport, internalPort: inside, externalPort: port, lifetime: granted))
    }
  }

  private func isTaken(_ transport: MappedTransport, _ port: UInt16, unless position: Int? = nil) -> Bool {
    takenPorts.contains(port)
      || entries.indices.contains {
        $0 != position && entries[$0].transport == transport && entries[$0].externalPort == port
      }
  }

  private func free(_ transport: MappedTransport, near wanted: UInt16, unless position: Int?) -> UInt16 {
    var port = max(wanted, 1024)
    for _ in 0..<Self.most where isTaken(transport, port, unless: position) { port = port == 65_535 ? 1024 : port + 1 }
    return port
  }

  private mutating func set(_ position: Int?, _ entry: Entry) {
    if lies { return }
    if let position {
      entries[position] = entry
    } else if entries.count < Self.most {
      entries.append(entry)
    }
  }

  // MARK: UPnP

  /// The answer to what a client at `client` asks by UPnP.
  public mutating func answer(_ request: UPnPRequest, from client: IPAddress, now: MonotonicInstant) -> UPnPResult {
    heard += 1
    expire(now: now)
    guard !isSilent, protocols.contains(.upnp) else {
      if case .discover = request { return .notFound }
      return .failed
    }
    switch request {
    case .discover: return .found(version: gatewayVersion)
    case .externalAddress: return .externalAddress(externalAddress)
    case .add(let transport, let outside, let inside, let target, let lease):
      return add(transport, outside, inside, target, lease, isAny: false, now: now)
    case .addAny(let transport, let outside, let inside, let target, let lease):
      guard gatewayVersion >= 2 else { return .refused(code: 401) }
      return add(transport, outside, inside, target, lease, isAny: true, now: now)
    case .delete(let transport, let outside):
      guard let position = position(transport, outside) else { return .refused(code: UPnPErrorCode.noSuchEntry) }
      entries.remove(at: position)
      return .deleted
    case .entry(let transport, let outside):
      guard let position = position(transport, outside) else { return .refused(code: UPnPErrorCode.noSuchEntry) }
      return .entry(client: entries[position].client, internalPort: entries[position].internalPort)
    case .subscribe:
      guard subscriptionSeconds > 0 else { return .failed }
      subscribedUntil = now + .seconds(Int64(subscriptionSeconds))
      return .subscribed(seconds: subscriptionSeconds)
    }
  }

  /// Whether somebody is told now that the external address has changed.
  public func notifies(now: MonotonicInstant) -> Bool { subscribedUntil.map { $0 > now } ?? false }

  private func position(_ transport: MappedTransport, _ port: UInt16) -> Int? {
    entries.firstIndex { $0.transport == transport && $0.externalPort == port }
  }

  private mutating func add(
    _ transport: MappedTransport, _ wanted: UInt16, _ inside: UInt16, _ client: IPAddress, _ lease: UInt32,
    isAny: Bool, now: MonotonicInstant
  ) -> UPnPResult {
    requests += 1
    if refuses { return .refused(code: UPnPErrorCode.notAuthorized) }
    if onlyPermanent, lease > 0 { return .refused(code: UPnPErrorCode.onlyPermanentLeases) }
    if onlySamePort, wanted != inside { return .refused(code: UPnPErrorCode.samePortRequired) }
    var port = wanted
    let own = position(transport, port)
    let isOurs = own.map { entries[$0].client == client && entries[$0].internalPort == inside } ?? false
    if !isOurs, isTaken(transport, port) {
      guard isAny else { return .refused(code: UPnPErrorCode.conflict) }
      port = free(transport, near: wanted, unless: nil)
    }
    let expiresAt = lease == 0 ? nil : now + .seconds(Int64(min(lease, longestLease)))
    set(
      isOurs ? own : nil,
      Entry(
        protocol: .upnp, transport: transport, client: client, internalPort: inside, externalPort: port, nonce: 0,
        expiresAt: expiresAt))
    return .added(externalPort: port)
  }
}
