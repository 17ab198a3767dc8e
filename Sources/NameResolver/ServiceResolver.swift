import CAres
import Dispatch
import Glibc
public import NetworkTypes

/// Looks up which servers a service has (SRV, RFC 2782) with c-ares, by the name servers of this machine.
///
/// getaddrinfo, which ``SystemResolver`` asks for addresses, knows no SRV. Each look-up is a channel of its own on a thread of
/// its own, a bounded number at a time, and ends after some seconds.
public final class ServiceResolver: Sendable {
  /// More rows of one answer are not looked at.
  private static let mostRecords = 32
  /// So many times each name server is asked.
  private static let tries: Int32 = 2
  /// However the name servers behave.
  private static let limit = Duration.seconds(8)

  private let queue = DispatchQueue(label: "trunkline.services", attributes: .concurrent)
  private let places = DispatchSemaphore(value: 8)
  private let nameServers: [Endpoint]
  /// How long the first try waits, in milliseconds; the next one waits twice as long.
  private let patience: Int32

  /// - Parameters:
  ///   - nameServers: whom to ask; empty stands for those of resolv.conf.
  ///   - patience: how long a name server may take before it is asked again.
  public init(nameServers: [Endpoint] = [], patience: Duration = .milliseconds(1500)) {
    self.nameServers = nameServers
    self.patience = Int32(clamping: patience.nanoseconds / 1_000_000)
    _ = Self.initialized
  }

  /// Looks `service` up, `_stun._udp.example.org`, and calls `completion` from a thread of the resolver's, once: the rows as they
  /// came, none where the service has none, `nil` where nobody could tell.
  public func resolve(_ service: String, completion: @escaping @Sendable ([ServiceRecord]?) -> Void) {
    queue.async { [places, nameServers, patience] in
      places.wait()
      defer { places.signal() }
      completion(Self.records(of: service, nameServers, patience))
    }
  }

  private static let initialized: Int32 = ares_library_init(ARES_LIB_INIT_ALL)

  /// What a callback of C leaves for who waits. Both run on one thread.
  private final class Answer {
    var isThere = false
    var records: [ServiceRecord]?
  }

  private static func records(
    of service: String, _ nameServers: [Endpoint], _ patience: Int32
  ) -> [ServiceRecord]? {
    // All of c-ares is pointers: the channel is made, used and destroyed within this function, by this thread alone.
    var options = unsafe ares_options()
    unsafe options.timeout = patience
    unsafe options.tries = tries
    var made: ares_channel?
    let flags = ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES
    guard unsafe ares_init_options(&made, &options, flags) == ARES_SUCCESS,
      let channel = unsafe made
    else { return nil }
    defer { unsafe ares_destroy(channel) }
    if !nameServers.isEmpty {
      let list = nameServers.map(\.description).joined(separator: ",")
      guard unsafe ares_set_servers_ports_csv(channel, list) == ARES_SUCCESS else { return nil }
    }
    let answer = Answer()
    // The box outlives the channel, and with it every callback: ares_destroy calls what is still pending.
    return withExtendedLifetime(answer) {
      unsafe ares_query(
        channel, service, 1, 33,
        { box, status, _, bytes, count in
          guard let box = unsafe box else { return }
          let answer = unsafe Unmanaged<Answer>.fromOpaque(box).takeUnretainedValue()
          answer.isThere = true
          answer.records = unsafe ServiceResolver.read(status, bytes, count)
        }, Unmanaged.passUnretained(answer).toOpaque())
      let end = ContinuousClock.now + limit
      while !answer.isThere, ContinuousClock.now < end { unsafe turn(channel) }
      if !answer.isThere { unsafe ares_cancel(channel) }
      return answer.records
    }
  }

  /// Waits for the sockets of a channel, for as long as it wants to be waited for, and lets it work.
  private static func turn(_ channel: ares_channel) {
    var sockets = [ares_socket_t](repeating: -1, count: Int(ARES_GETSOCK_MAXNUM))
    let bits = unsafe UInt32(bitPattern: ares_getsock(channel, &sockets, Int32(sockets.count)))
    var waiting: [pollfd] = []
    for (index, socket) in sockets.enumerated() {
      var events: Int16 = 0
      if bits & (1 << UInt32(index)) != 0 { events |= Int16(POLLIN) }
      if bits & (1 << UInt32(index + Int(ARES_GETSOCK_MAXNUM))) != 0 { events |= Int16(POLLOUT) }
      if events != 0 { waiting.append(pollfd(fd: socket, events: events, revents: 0)) }
    }
    var longest = timeval(tv_sec: 0, tv_usec: 500_000)
    var own = timeval()
    // It returns one of the two.
    let pause = unsafe ares_timeout(channel, &longest, &own)
    let milliseconds = unsafe pause.map { unsafe $0.pointee.tv_sec * 1000 + $0.pointee.tv_usec / 1000 + 1 } ?? 500
    _ = unsafe poll(&waiting, nfds_t(waiting.count), Int32(clamping: milliseconds))
    var hasWorked = false
    for entry in waiting where entry.revents != 0 {
      hasWorked = true
      let isReadable = entry.revents & Int16(POLLIN | POLLERR | POLLHUP) != 0
      let isWritable = entry.revents & Int16(POLLOUT) != 0
      unsafe ares_process_fd(channel, isReadable ? entry.fd : -1, isWritable ? entry.fd : -1)
    }
    // For what has waited long enough.
    if !hasWorked { unsafe ares_process_fd(channel, -1, -1) }
  }

  private static func read(
    _ status: Int32, _ bytes: UnsafeMutablePointer<UInt8>?, _ count: Int32
  ) -> [ServiceRecord]? {
    // The name is not there, or has no such rows: that is an answer.
    if status == ARES_ENOTFOUND || status == ARES_ENODATA { return [] }
    guard status == ARES_SUCCESS, let bytes = unsafe bytes, count > 0 else { return nil }
    var list: UnsafeMutablePointer<ares_srv_reply>?
    let parsed = unsafe ares_parse_srv_reply(bytes, count, &list)
    defer { if let list = unsafe list { unsafe ares_free_data(list) } }
    if parsed == ARES_ENODATA { return [] }
    guard parsed == ARES_SUCCESS else { return nil }
    var records: [ServiceRecord] = []
    var entry = unsafe list
    while let current = unsafe entry, records.count < mostRecords {
      unsafe entry = current.pointee.next
      guard let host = unsafe current.pointee.host, let target = name(unsafe String(cString: host)) else { continue }
      records.append(
        ServiceRecord(
          priority: unsafe current.pointee.priority, weight: unsafe current.pointee.weight,
          port: unsafe current.pointee.port, target: target))
    }
    return records
  }

  /// A target as a host name; `nil` for what is none. c-ares gives the root as an empty text.
  private static func name(_ text: String) -> String? {
    if text.isEmpty || text == "." { return "." }
    let name = text.last == "." ? String(text.dropLast()) : text
    let isPlain = name.utf8.allSatisfy { byte in
      byte >= UInt8(ascii: "0") && byte <= UInt8(ascii: "9")
        || byte | 0x20 >= UInt8(ascii: "a") && byte | 0x20 <= UInt8(ascii: "z")
        || byte == UInt8(ascii: "-") || byte == UInt8(ascii: "_") || byte == UInt8(ascii: ".")
    }
    return isPlain && name.utf8.count <= 253 ? name : nil
  }
}
