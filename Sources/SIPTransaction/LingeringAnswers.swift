import NetworkTypes
import SIPSyntax

/// Answered requests that are kept so that their repetitions are answered alike (RFC 3261 §17.2.2): what remains of a layer in
/// which nothing is under way, and needs to survive where another one takes its place.
public struct LingeringAnswers: Sendable, Codable {
  struct Row: Sendable, Codable {
    let id: UInt64
    @LatinText var request: [UInt8]
    @LatinText var response: [UInt8]
    let localTag: String?
    let path: SIPPath
    let endsAt: MonotonicInstant
  }

  var rows: [Row] = []
  var lastID: UInt64

  /// Whether the numbers of all sockets are such.
  public func usesSockets(_ isSocket: (Int) -> Bool) -> Bool { rows.allSatisfy { isSocket($0.path.socket) } }
}

extension TransactionLayer {
  /// So many answers are handed over at most: making them anew takes time, and more are a flood.
  private static let mostLingering = 1000

  /// What lingers; `nil` while anything else is going on.
  public var lingering: LingeringAnswers? {
    guard clients.isEmpty, acceptedIDs.isEmpty, servers.count <= Self.mostLingering else { return nil }
    var result = LingeringAnswers(lastID: lastID)
    // Ordered by their numbers, so that one seed gives one text.
    for id in servers.keys.sorted() {
      // The key of an RFC 2543 client's request is made of its Via as it came, which is not kept.
      guard case .nonInvite(let server) = servers[id], server.machine.state == .completed,
        case .branch = server.taken.key,
        let response = server.taken.response,
        let endsAt = timers.deadline(of: TimerName(owner: .server(id), timer: .j))
      else { return nil }
      result.rows.append(
        LingeringAnswers.Row(
          id: id.rawValue, request: server.taken.message.serialized(), response: response,
          localTag: server.taken.localTag, path: server.taken.path, endsAt: endsAt))
    }
    return result
  }

  /// A layer that goes on from there; what cannot be read is left out.
  public init(_ lingering: LingeringAnswers, timers: SIPTimers = .init(), serverLimit: Int = 20_000) {
    self.init(timers: timers, serverLimit: serverLimit)
    lastID = lingering.lastID
    for row in lingering.rows {
      guard let request = try? SIPMessage(taking: row.request), let via = try? request.topVia(),
        let key = ServerKey(request, via: via, as: request.method), request.method != .invite
      else { continue }
      let id = ServerTransactionID(rawValue: row.id)
      var taken = TakenRequest(request, key: key, path: row.path)
      taken.response = row.response
      taken.localTag = row.localTag
      var server = ServerTransaction(taken, timers: times)
      _ = server.responded(status: 200)
      servers[id] = server
      serverIDs[key] = id
      self.timers.set(TimerName(owner: .server(id), timer: .j), at: row.endsAt)
    }
  }
}
