import EmbeddedProvider
import LinkManager
import NetworkSimulator
import NetworkTypes

/// What must be true whatever the line does.
extension Scene {
  /// Calls that one side has and another has not, by name; empty when each call has its two live legs, or its record.
  ///
  /// It is true at rest only: while a BYE is on its way, one side has a call more than the other.
  package var ghosts: [String] {
    var result: [String] = []
    let calls = status.calls
    for call in calls where call.state == "answered" && call.legs.count != 2 {
      result.append("link: call \(call.id) has \(call.legs.count) legs")
    }
    let outside = calls.count { $0.direction != "internal" }
    let provider = net.host(provider, as: ProviderHost.self)?.agent.callIDs.count ?? 0
    if provider != outside { result.append("provider: \(provider) calls, link: \(outside)") }
    let stations = phones.reduce(0) { $0 + (net.host($1, as: PhoneHost.self)?.agent.callIDs.count ?? 0) }
    let inside = calls.reduce(0) { $0 + ($1.direction == "internal" ? 2 : 1) }
    if stations != inside { result.append("phones: \(stations) calls, link: \(inside)") }
    return result
  }

  /// Where the contact that the provider has is not the public address; empty when it is.
  package var strayContacts: [String] {
    let address = status.uplinks.first?.publicAddress
    let wanted = address.map { "sip:1000@\($0.ip):\($0.port)" }
    return contacts.filter { $0 != wanted }
      + (contacts.contains { $0 == wanted } ? [] : ["none is \(wanted ?? "known")"])
  }

  /// Whether audio passes the link both ways in every call that is answered: the ports of each leg hear in this second.
  package func hasAudio() -> Bool {
    let before = status.calls.flatMap(\.legs).map(\.packetsIn)
    run(2.1)
    let after = status.calls.flatMap(\.legs).map(\.packetsIn)
    return before.count == after.count && zip(before, after).allSatisfy { $1 > $0 + 40 }
  }
}
