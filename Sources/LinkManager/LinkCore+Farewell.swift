import NetworkTypes
import OrderedCollections
import SIPSyntax
import SIPTransaction

/// A BYE and what is needed to send it again: the leg is gone by then.
struct Farewell: Sendable {
  var request: SIPMessage
  var path: SIPPath
  /// What answers a challenge; `nil` where one was answered.
  var digest: DigestSession?
  /// How often it was sent because the line, or the trunk, was not well.
  var repetitions = 0
}

/// BYEs that the provider has not taken, because the line was gone or because it did not know our new address yet. Without
/// them the far side would keep a call with nobody.
extension LinkCore {
  private static let mostFarewells = 500
  private static let mostRepetitions = 3

  mutating func sendFarewell(_ farewell: Farewell, now: MonotonicInstant, into actions: inout [LinkAction]) {
    sendRequest(farewell.request, farewell.path, owner: .bye(farewell), now: now, into: &actions)
  }

  mutating func farewellAnswered(
    _ farewell: Farewell, _ response: SIPMessage, now: MonotonicInstant, into actions: inout [LinkAction]
  ) {
    var farewell = farewell
    var digest = farewell.digest
    if let again = authenticated(farewell.request, response, session: &digest) {
      farewell.request = again
      farewell.digest = nil
      sendFarewell(farewell, now: now, into: &actions)
    } else if response.status == 403 || response.status >= 500 {
      keep(farewell, now: now)
    }
  }

  /// It is kept until the line, or the trunk, is well again; where both are, nothing better can be hoped for.
  mutating func keep(_ farewell: Farewell, now: MonotonicInstant) {
    let socket = sockets[farewell.path.socket]
    let isLost = !socket.isInUse || socket.stun?.lostSince != nil
    guard isLost || trunk(at: farewell.path).map({ !isKnown($0, now: now) }) ?? false else { return }
    guard farewell.repetitions < Self.mostRepetitions, farewells.count < Self.mostFarewells else { return }
    var farewell = farewell
    farewell.repetitions += 1
    if let sequence = try? farewell.request.cSeq() {
      farewell.request.set(.cSeq, "\(sequence.number &+ 1) \(sequence.method)")
    }
    farewells.append(farewell)
  }

  /// What was kept for this uplink leaves, as far as its trunks are known again.
  mutating func sendFarewells(ofUplink uplink: Int, now: MonotonicInstant, into actions: inout [LinkAction]) {
    guard !farewells.isEmpty else { return }
    let waiting = farewells
    farewells = []
    for farewell in waiting {
      // A port that has just been given up carries nothing; its trunks go to the new one.
      let isHere = sockets[farewell.path.socket].side == .uplink(uplink) && sockets[farewell.path.socket].isInUse
      if isHere, trunk(at: farewell.path).map({ isKnown($0, now: now) }) ?? true {
        sendFarewell(farewell, now: now, into: &actions)
      } else {
        farewells.append(farewell)
      }
    }
  }

  func trunk(at path: SIPPath) -> Int? {
    trunks.firstIndex { trunk in
      trunk.socket?.rawValue == path.socket && trunk.targets.contains { $0.address == path.remote.address }
    }
  }
}
