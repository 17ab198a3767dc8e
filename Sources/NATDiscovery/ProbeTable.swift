import NetworkTypes
import STUN

/// The requests of a discovery. Each is out at most once at a time.
enum ProbeName: Hashable, Sendable {
  /// The plain question to a server, from the port that is examined.
  case server(Int)
  /// The same question to the server's second address, with its first port and with its second.
  case secondAddress, secondAddressAndPort
  /// An answer from the second address to a port that has talked to it: it has to arrive where ports are mapped alike.
  case control
  /// A fresh port talks to the server, and then asks for answers from where it never sent to.
  case filterOpening, filterBoth, filterPort
  /// Two fresh ports learn what the world sees of them, and then write to each other by those names.
  case hairpinOpening(Int)
  case hairpin(Int)
  /// More fresh ports, for how ports and addresses are chosen.
  case sample(Int)
  /// A request and an answer too long for one packet.
  case padded
  /// One fresh port asks one destination after another.
  case prediction(Int)
  /// A port whose binding is left to age, and the question whether it still lives.
  case ageing(Int)
  case alive(Int)
}

/// How a request ended.
enum ProbeResult: Sendable {
  case answered(Endpoint, STUNMessage)
  case refused(Int)
  /// The server answered from the endpoint that was asked, or to the port that asked, although another one was wanted.
  case elsewhere
  case silent
}

/// A request that leaves again and again until it is answered or given up.
struct Probe: Sendable {
  let name: ProbeName
  let socket: Int
  let destination: Endpoint
  /// Where its answer is awaited, and from whom.
  let listener: Int
  let answerFrom: Endpoint
  let wireID: UInt128
  let request: [UInt8]
  let began: MonotonicInstant
  /// When it leaves again, counted from its beginning; the last one is when it is given up.
  let schedule: [Duration]
  var repeats = 0

  var deadline: MonotonicInstant { began + schedule[min(repeats, schedule.count - 1)] }
}

/// The requests that are out, in the order of asking.
struct ProbeTable: Sendable {
  private(set) var probes: [Probe] = []

  var isEmpty: Bool { probes.isEmpty }
  var nextDeadline: MonotonicInstant? { probes.map(\.deadline).min() }

  func contains(_ name: ProbeName) -> Bool { probes.contains { $0.name == name } }

  mutating func insert(_ probe: Probe) {
    remove(probe.name)
    probes.append(probe)
  }

  mutating func remove(_ name: ProbeName) { probes.removeAll { $0.name == name } }

  mutating func removeAll() { probes = [] }

  /// Repeats what is due and returns what is given up.
  mutating func fire(now: MonotonicInstant, into actions: inout [DiscoveryAction]) -> [ProbeName] {
    var ended: [ProbeName] = []
    for index in probes.indices {
      while probes[index].deadline <= now {
        probes[index].repeats += 1
        if probes[index].repeats >= probes[index].schedule.count {
          ended.append(probes[index].name)
          break
        }
        actions.append(.send(probes[index].request, socket: probes[index].socket, to: probes[index].destination))
      }
    }
    probes.removeAll { ended.contains($0.name) }
    return ended
  }

  /// Which request a message ends, and how; `nil` where it ends none. An answer counts only with the ID that was sent,
  /// on the port that waits for it, and from exactly the endpoint that was asked, or that CHANGE-REQUEST selected.
  mutating func receive(_ message: STUNMessage, from source: Endpoint, on socket: Int) -> (Probe, ProbeResult)? {
    guard message.method == .binding, let probe = probes.first(where: { $0.wireID == message.wireID }),
      let result = Self.result(of: message, source, socket, probe)
    else { return nil }
    remove(probe.name)
    return (probe, result)
  }

  private static func result(
    of message: STUNMessage, _ source: Endpoint, _ socket: Int, _ probe: Probe
  ) -> ProbeResult? {
    let isFromAsked = source == probe.destination && socket == probe.socket
    switch message.messageClass {
    case .request:
      // Our own packet, which the router turned round: nobody else knows its ID.
      guard case .hairpin = probe.name, socket == probe.listener else { return nil }
      return .answered(source, message)
    case .indication: return nil
    case .error:
      return isFromAsked ? .refused(message.errorCode?.code ?? 0) : nil
    case .success:
      if source == probe.answerFrom, socket == probe.listener {
        guard message.notUnderstood.isEmpty, let mapped = message.mappedAddress, mapped.port != 0,
          !mapped.address.isUnspecified, !mapped.address.isMulticast
        else { return .refused(0) }
        return .answered(mapped, message)
      }
      return isFromAsked ? .elsewhere : nil
    }
  }
}
