public import NetworkTypes

/// What a NAT-PMP gateway makes of a request (RFC 6886 §3.5).
public enum NATPMPResultCode: UInt16, Sendable, Hashable, CaseIterable {
  case success = 0
  case unsupportedVersion = 1
  case notAuthorized = 2
  /// The gateway has no public address itself.
  case networkFailure = 3
  case outOfResources = 4
  case unsupportedOpcode = 5
}

/// A request of the NAT Port Mapping Protocol (RFC 6886).
public enum NATPMPRequest: Sendable, Hashable {
  /// §3.2.
  case externalAddress
  /// §3.3; a lifetime of 0 seconds deletes (§3.4).
  case map(MappedTransport, internalPort: UInt16, suggested: UInt16, lifetime: UInt32)

  public func encoded() -> [UInt8] {
    switch self {
    case .externalAddress: return [0, 0]
    case .map(let transport, let internalPort, let suggested, let lifetime):
      var bytes: [UInt8] = [0, transport == .udp ? 1 : 2, 0, 0]
      bytes.append(bigEndian: internalPort)
      bytes.append(bigEndian: suggested)
      bytes.append(bigEndian: lifetime)
      return bytes
    }
  }

  /// Reads a request, as a gateway does.
  public init(decoding bytes: Span<UInt8>) throws(RouterMessageError) {
    guard bytes.count >= 2 else { throw RouterMessageError(.length, at: bytes.count) }
    guard bytes[0] == 0 else { throw RouterMessageError(.version, at: 0) }
    switch bytes[1] {
    case 0: self = .externalAddress
    case 1, 2:
      var cursor = ByteCursor(offset: 4, end: bytes.count)
      guard let inside = cursor.readUInt16(bytes), let outside = cursor.readUInt16(bytes),
        let lifetime = cursor.readUInt32(bytes)
      else { throw RouterMessageError(.length, at: bytes.count) }
      self = .map(bytes[1] == 1 ? .udp : .tcp, internalPort: inside, suggested: outside, lifetime: lifetime)
    case 0x80...: throw RouterMessageError(.direction, at: 1)
    default: throw RouterMessageError(.opcode, at: 1)
    }
  }
}

/// A response of a NAT-PMP gateway, or its announcement (RFC 6886 §3.2.1).
public struct NATPMPResponse: Sendable, Hashable {
  public enum Content: Sendable, Hashable {
    case externalAddress(IPAddress)
    case mapped(MappedTransport, internalPort: UInt16, externalPort: UInt16, lifetime: UInt32)
    /// A refusal that says no more than its code, and to which request.
    case refused(opcode: UInt8)
  }

  /// The number, for those that RFC 6886 does not know.
  public var result: UInt16
  /// Seconds since the gateway's table of mappings began; 0 where a refusal left it out.
  public var epoch: UInt32
  public var content: Content

  public init(result: NATPMPResultCode = .success, epoch: UInt32, _ content: Content) {
    self.result = result.rawValue
    self.epoch = epoch
    self.content = content
  }

  /// `nil` for a number that RFC 6886 does not know.
  public var resultCode: NATPMPResultCode? { NATPMPResultCode(rawValue: result) }

  public func encoded() -> [UInt8] {
    let opcode: UInt8 =
      switch content {
      case .externalAddress: 0
      case .mapped(let transport, _, _, _): transport == .udp ? 1 : 2
      case .refused(let opcode): opcode & 0x7f
      }
    var bytes: [UInt8] = [0, 0x80 | opcode]
    bytes.append(bigEndian: result)
    bytes.append(bigEndian: epoch)
    switch content {
    case .externalAddress(let address): bytes += address.isV4 ? address.bytes : [0, 0, 0, 0]
    case .mapped(_, let inside, let outside, let lifetime):
      bytes.append(bigEndian: inside)
      bytes.append(bigEndian: outside)
      bytes.append(bigEndian: lifetime)
    case .refused: break
    }
    return bytes
  }

  /// Reads a response or an announcement. A refusal may be as short as the four bytes up to its code.
  public init(decoding bytes: Span<UInt8>) throws(RouterMessageError) {
    guard bytes.count >= 4 else { throw RouterMessageError(.length, at: bytes.count) }
    guard bytes[0] == 0 else { throw RouterMessageError(.version, at: 0) }
    guard bytes[1] & 0x80 != 0 else { throw RouterMessageError(.direction, at: 1) }
    var cursor = ByteCursor(offset: 2, end: bytes.count)
    let result = cursor.readUInt16(bytes) ?? 0
    let opcode = bytes[1] & 0x7f
    guard result == 0 else {
      self.init(epoch: cursor.readUInt32(bytes) ?? 0, .refused(opcode: opcode))
      self.result = result
      return
    }
    guard let epoch = cursor.readUInt32(bytes) else { throw RouterMessageError(.length, at: bytes.count) }
    switch opcode {
    case 0:
      guard let address = cursor.readUInt32(bytes) else { throw RouterMessageError(.length, at: bytes.count) }
      self.init(epoch: epoch, .externalAddress(.v4(address)))
    case 1, 2:
      guard let inside = cursor.readUInt16(bytes), let outside = cursor.readUInt16(bytes),
        let lifetime = cursor.readUInt32(bytes)
      else { throw RouterMessageError(.length, at: bytes.count) }
      self.init(
        epoch: epoch,
        .mapped(opcode == 1 ? .udp : .tcp, internalPort: inside, externalPort: outside, lifetime: lifetime))
    default: throw RouterMessageError(.opcode, at: 1)
    }
  }
}
