import CDatagramSockets
public import NetworkTypes

/// The clocks of this machine. Shells read them; cores are told.
public enum SystemClock {
  /// Never steps, and goes on while the machine sleeps (CLOCK_BOOTTIME): a NAT binding does not wait either.
  public static func now() -> MonotonicInstant { MonotonicInstant(nanoseconds: tl_clock_boot()) }

  /// Civil time (CLOCK_REALTIME), which steps when it is set.
  public static func wallTime() -> WallTime { WallTime(nanoseconds: tl_clock_wall()) }
}

/// The randomness of this machine.
public enum SystemRandom {
  /// A stream that nobody can guess, seeded by getrandom(2).
  public static func source() -> RandomSource {
    let seed = words()
    return RandomSource(seed: (seed[0], seed[1], seed[2], seed[3]))
  }

  /// 256 bits that nobody can guess.
  public static func words() -> [UInt64] {
    var seed: [UInt64] = [0, 0, 0, 0]
    // The shim writes exactly four words during the call.
    let result = unsafe seed.withUnsafeMutableBufferPointer { unsafe tl_random_seed($0.baseAddress) }
    // Without it every transaction ID could be guessed: there is nothing sound to go on with.
    guard result == 0 else { fatalError(DatagramSocketError(result, to: "give random bytes").sentence) }
    return seed
  }
}

/// One address of this machine.
public struct HostInterfaceAddress: Sendable, Hashable {
  /// The interface, `eth0`.
  public var name: String
  public var address: IPAddress
  /// The bits that the addresses of its network share.
  public var prefixLength: Int
  public var isUp: Bool

  /// The network that is reached without a router.
  public var network: IPNetwork? { IPNetwork(address, prefixLength: prefixLength) }
}

/// The network interfaces of this machine.
public enum HostInterfaces {
  /// All addresses of all interfaces, in the system's order; empty where the system does not tell.
  public static func addresses() -> [HostInterfaceAddress] {
    var list = [tl_interface](repeating: tl_interface(), count: 64)
    for _ in 0..<4 {
      // The shim writes no more entries than the count that it is given.
      let found = unsafe list.withUnsafeMutableBufferPointer {
        Int(unsafe tl_interfaces($0.baseAddress, Int32(clamping: $0.count)))
      }
      if found <= list.count { return list.prefix(max(0, found)).compactMap(Self.address) }
      list = [tl_interface](repeating: tl_interface(), count: found + 16)
    }
    return []
  }

  /// The address that this machine would send from towards `remote`; `nil` where there is no route. Nothing is sent.
  public static func sourceAddress(towards remote: IPAddress) -> IPAddress? {
    guard
      var socket = try? DatagramSocket.open(local: Endpoint(remote.isV4 ? .anyV4 : .anyV6, port: 0)),
      (try? socket.connect(to: Endpoint(remote, port: 9))) != nil
    else { return nil }
    defer { socket.close() }
    return socket.localEndpoint.address
  }

  private static func address(_ entry: tl_interface) -> HostInterfaceAddress? {
    guard let endpoint = entry.address.endpoint else { return nil }
    var bytes: [UInt8] = []
    // A C array of 16 characters is a tuple here; its bytes are read in place.
    unsafe withUnsafeBytes(of: entry.name) { unsafe bytes.append(contentsOf: $0.prefix { $0 != 0 }) }
    return HostInterfaceAddress(
      name: String(decoding: bytes, as: UTF8.self), address: endpoint.address,
      prefixLength: Int(entry.prefix_length), isUp: entry.is_up != 0)
  }
}
