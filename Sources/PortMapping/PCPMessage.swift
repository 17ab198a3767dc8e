public import NetworkTypes

/// What a PCP message is about (RFC 6887 §19.1).
public enum PCPOpcode: UInt8, Sendable, Hashable {
  case announce = 0
  case map = 1
  case peer = 2
}

/// What a PCP server makes of a request (RFC 6887 §7.4).
public enum PCPResultCode: UInt8, Sendable, Hashable, CaseIterable {
  case success = 0
  case unsupportedVersion = 1
  case notAuthorized = 2
  case malformedRequest = 3
  case unsupportedOpcode = 4
  case unsupportedOption = 5
  case malformedOption = 6
  case networkFailure = 7
  case noResources = 8
  case unsupportedProtocol = 9
  case userExceededQuota = 10
  case cannotProvideExternal = 11
  case addressMismatch = 12
  case excessiveRemotePeers = 13
}

/// The transport of a mapping, by its IANA protocol number.
public enum MappedTransport: UInt8, Sendable, Hashable, CaseIterable, Codable {
  case tcp = 6
  case udp = 17
}

/// Why bytes are no message of a router's. The offset is that of the first byte that is wrong, or missing.
public struct RouterMessageError: Error, Sendable, Equatable {
  public enum Code: Sendable, Hashable {
    /// Fewer bytes than its kind of message has, or more than any may have.
    case length
    /// Another version of the protocol.
    case version
    /// A request where a response should be, or the other way round.
    case direction
    case opcode
    case transport
    /// An option that goes beyond the end.
    case option
  }

  public let code: Code
  public let offset: Int

  public init(_ code: Code, at offset: Int) {
    self.code = code
    self.offset = offset
  }

  public static func == (left: RouterMessageError, right: RouterMessageError) -> Bool { left.code == right.code }
}

/// The fields that MAP (RFC 6887 §11.1) and PEER (§12.1) share, with those that PEER adds.
public struct PCPMapping: Sendable, Hashable {
  /// 96 bits that only the client and the server know: whoever names them may change the mapping.
  public var nonce: UInt128
  public var transport: MappedTransport
  public var internalPort: UInt16
  /// Suggested in a request, assigned in a response. A port 0 stands for any; an address of zeros for any of that family.
  public var external: Endpoint
  /// The one that PEER is for; `nil` in a MAP.
  public var remote: Endpoint?

  public init(
    nonce: UInt128, transport: MappedTransport, internalPort: UInt16, external: Endpoint, remote: Endpoint? = nil
  ) {
    self.nonce = nonce
    self.transport = transport
    self.internalPort = internalPort
    self.external = external
    self.remote = remote
  }
}

/// An option as it is on the wire (RFC 6887 §7.3).
public struct PCPOption: Sendable, Hashable {
  /// RFC 6887 §13: THIRD_PARTY 1, PREFER_FAILURE 2, FILTER 3. From 128 on a server may pass over it.
  public var code: UInt8
  public var data: [UInt8]

  public init(code: UInt8, data: [UInt8] = []) {
    self.code = code
    self.data = data
  }

  /// RFC 6887 §13.2: rather no mapping than another external port.
  public static let preferFailure = PCPOption(code: 2)
}

/// A request of the Port Control Protocol, version 2 (RFC 6887 §7.1).
public struct PCPRequest: Sendable, Hashable {
  /// Seconds; 0 deletes.
  public var lifetime: UInt32
  /// The client's own address, which the server compares with the one that the packet came from.
  public var client: IPAddress
  /// `nil` for an ANNOUNCE.
  public var mapping: PCPMapping?
  public var options: [PCPOption]

  public init(lifetime: UInt32, client: IPAddress, mapping: PCPMapping? = nil, options: [PCPOption] = []) {
    self.lifetime = lifetime
    self.client = client
    self.mapping = mapping
    self.options = options
  }
}

/// A response of a PCP server (RFC 6887 §7.2), or its announcement (§14.1).
public struct PCPResponse: Sendable, Hashable {
  public var opcode: PCPOpcode
  /// The number, for those that RFC 6887 does not know.
  public var result: UInt8
  /// Seconds: of the mapping, or of the refusal.
  public var lifetime: UInt32
  /// Seconds since the server lost, or may have lost, its mappings.
  public var epoch: UInt32
  /// `nil` in an ANNOUNCE, and where a refusal left it out.
  public var mapping: PCPMapping?
  public var options: [PCPOption]

  public init(
    opcode: PCPOpcode, result: PCPResultCode, lifetime: UInt32, epoch: UInt32, mapping: PCPMapping? = nil,
    options: [PCPOption] = []
  ) {
    self.opcode = opcode
    self.result = result.rawValue
    self.lifetime = lifetime
    self.epoch = epoch
    self.mapping = mapping
    self.options = options
  }

  /// `nil` for a number that RFC 6887 does not know.
  public var resultCode: PCPResultCode? { PCPResultCode(rawValue: result) }
}

/// What both messages are made of.
enum PCPWire {
  static let version: UInt8 = 2
  /// RFC 6887 §7: no message is longer.
  static let longest = 1100
  static let header = 24

  static func append(_ mapping: PCPMapping, to bytes: inout [UInt8]) {
    bytes.append(bigEndian: UInt32(truncatingIfNeeded: mapping.nonce >> 64))
    bytes.append(bigEndian: UInt64(truncatingIfNeeded: mapping.nonce))
    bytes.append(mapping.transport.rawValue)
    bytes += [0, 0, 0]
    bytes.append(bigEndian: mapping.internalPort)
    bytes.append(bigEndian: mapping.external.port)
    append(mapping.external.address, to: &bytes)
    if let remote = mapping.remote {
      bytes.append(bigEndian: remote.port)
      bytes += [0, 0]
      append(remote.address, to: &bytes)
    }
  }

  /// RFC 6887 §5: IPv4 addresses are IPv4-mapped IPv6 addresses.
  static func append(_ address: IPAddress, to bytes: inout [UInt8]) {
    switch address {
    case .v4(let value):
      bytes.append(bigEndian: UInt64(0))
      bytes.append(bigEndian: UInt64(0xffff_0000_0000) | UInt64(value))
    case .v6(let value): bytes.append(bigEndian: value)
    }
  }

  static func append(_ options: [PCPOption], to bytes: inout [UInt8]) {
    for option in options {
      bytes += [option.code, 0]
      let data = option.data.prefix(Int(UInt16.max))
      bytes.append(bigEndian: UInt16(truncatingIfNeeded: data.count))
      bytes += data
      while bytes.count % 4 != 0 { bytes.append(0) }
    }
  }

  static func readAddress(_ bytes: Span<UInt8>, _ cursor: inout ByteCursor) -> IPAddress? {
    guard let high = cursor.readUInt64(bytes), let low = cursor.readUInt64(bytes) else { return nil }
    return IPAddress.v6(UInt128(high) << 64 | UInt128(low)).unmapped
  }

  static func readMapping(
    _ opcode: PCPOpcode, _ bytes: Span<UInt8>, _ cursor: inout ByteCursor
  ) throws(RouterMessageError) -> PCPMapping {
    let start = cursor.offset
    guard let high = cursor.readUInt32(bytes), let low = cursor.readUInt64(bytes),
      let number = cursor.readUInt8(bytes), cursor.readRange(3) != nil, let inside = cursor.readUInt16(bytes),
      let outside = cursor.readUInt16(bytes), let address = readAddress(bytes, &cursor)
    else { throw RouterMessageError(.length, at: bytes.count) }
    guard let transport = MappedTransport(rawValue: number) else {
      throw RouterMessageError(.transport, at: start + 12)
    }
    var mapping = PCPMapping(
      nonce: UInt128(high) << 64 | UInt128(low), transport: transport, internalPort: inside,
      external: Endpoint(address, port: outside))
    if opcode == .peer {
      guard let port = cursor.readUInt16(bytes), cursor.readRange(2) != nil, let peer = readAddress(bytes, &cursor)
      else { throw RouterMessageError(.length, at: bytes.count) }
      mapping.remote = Endpoint(peer, port: port)
    }
    return mapping
  }

  static func readOptions(
    _ bytes: Span<UInt8>, _ cursor: inout ByteCursor
  ) throws(RouterMessageError) -> [PCPOption] {
    var options: [PCPOption] = []
    while cursor.remaining > 0 {
      let start = cursor.offset
      guard let code = cursor.readUInt8(bytes), cursor.readUInt8(bytes) != nil,
        let length = cursor.readUInt16(bytes), let range = cursor.readRange(Int(length)),
        cursor.readRange((4 - Int(length) % 4) % 4) != nil
      else { throw RouterMessageError(.option, at: start) }
      options.append(PCPOption(code: code, data: range.map { bytes[$0] }))
    }
    return options
  }

  /// The version and the length, which come before anything else is looked at.
  static func check(_ bytes: Span<UInt8>) throws(RouterMessageError) {
    guard bytes.count >= 1 else { throw RouterMessageError(.length, at: 0) }
    guard bytes[0] == version else { throw RouterMessageError(.version, at: 0) }
    guard (header...longest).contains(bytes.count), bytes.count % 4 == 0 else {
      throw RouterMessageError(.length, at: bytes.count)
    }
  }
}

extension PCPRequest {
  public var opcode: PCPOpcode { mapping.map { $0.remote == nil ? .map : .peer } ?? .announce }

  public func encoded() -> [UInt8] {
    var bytes: [UInt8] = [PCPWire.version, opcode.rawValue, 0, 0]
    bytes.append(bigEndian: lifetime)
    PCPWire.append(client, to: &bytes)
    if let mapping { PCPWire.append(mapping, to: &bytes) }
    PCPWire.append(options, to: &bytes)
    return bytes
  }

  /// Reads a request, as a server does.
  public init(decoding bytes: Span<UInt8>) throws(RouterMessageError) {
    try PCPWire.check(bytes)
    guard bytes[1] & 0x80 == 0 else { throw RouterMessageError(.direction, at: 1) }
    guard let opcode = PCPOpcode(rawValue: bytes[1]) else { throw RouterMessageError(.opcode, at: 1) }
    var cursor = ByteCursor(offset: 4, end: bytes.count)
    guard let lifetime = cursor.readUInt32(bytes), let client = PCPWire.readAddress(bytes, &cursor) else {
      throw RouterMessageError(.length, at: bytes.count)
    }
    self.init(lifetime: lifetime, client: client)
    if opcode != .announce { mapping = try PCPWire.readMapping(opcode, bytes, &cursor) }
    options = try PCPWire.readOptions(bytes, &cursor)
  }
}

extension PCPResponse {
  public func encoded() -> [UInt8] {
    var bytes: [UInt8] = [PCPWire.version, 0x80 | opcode.rawValue, 0, result]
    bytes.append(bigEndian: lifetime)
    bytes.append(bigEndian: epoch)
    bytes += [UInt8](repeating: 0, count: 12)
    if let mapping { PCPWire.append(mapping, to: &bytes) }
    PCPWire.append(options, to: &bytes)
    return bytes
  }

  /// Reads a response. Of a refusal only the header counts, since a server that did not understand us repeats what it
  /// likes: what cannot be read behind it is left out.
  public init(decoding bytes: Span<UInt8>) throws(RouterMessageError) {
    try PCPWire.check(bytes)
    guard bytes[1] & 0x80 != 0 else { throw RouterMessageError(.direction, at: 1) }
    guard let opcode = PCPOpcode(rawValue: bytes[1] & 0x7f) else { throw RouterMessageError(.opcode, at: 1) }
    var cursor = ByteCursor(offset: 4, end: bytes.count)
    guard let lifetime = cursor.readUInt32(bytes), let epoch = cursor.readUInt32(bytes), cursor.readRange(12) != nil
    else { throw RouterMessageError(.length, at: bytes.count) }
    self.init(opcode: opcode, result: .success, lifetime: lifetime, epoch: epoch)
    result = bytes[3]
    do throws(RouterMessageError) {
      if opcode != .announce { mapping = try PCPWire.readMapping(opcode, bytes, &cursor) }
      options = try PCPWire.readOptions(bytes, &cursor)
    } catch {
      guard result != 0 else { throw error }
    }
  }
}
