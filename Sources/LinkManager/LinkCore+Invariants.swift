import CallControl
package import NetworkTypes
import OrderedCollections
import SIPDialog

/// What has to hold after every input, whatever came before it. Simulations ask; nothing in a running link depends on it.
extension LinkCore {
  /// What does not hold, a sentence each; empty in a sound link.
  package func brokenInvariants(now: MonotonicInstant) -> [String] {
    var broken: [String] = []
    var open = 0
    for call in calls.values {
      if !call.isRecorded { open += 1 }
      let living = call.legs.count { !$0.isEnded }
      let number = call.number
      if case .answered = call.machine.phase, living < 2 {
        broken.append("call \(number) is answered and has \(living) legs")
      } else if call.machine.phase == .setUp, living < 1 {
        broken.append("call \(number) is being set up and has no leg")
      } else if call.machine.phase == .ended, !call.isRecorded {
        broken.append("call \(number) is over and has no record")
      }
    }
    let recorded = counters.calls.values.reduce(0, &+)
    if recorded &+ UInt64(open) != nextCall - 1 {
      broken.append("\(nextCall - 1) calls were begun, \(recorded) have a record and \(open) are open")
    }
    // Two ports and one dialog a leg, and a callee that forked may bring a few more dialogs.
    let legs = calls.values.reduce(0) { $0 + $1.legs.count }
    if mediaOwners.count > 8 * legs { broken.append("\(mediaOwners.count) media ports for \(legs) legs") }
    if dialogs.count > 8 * legs { broken.append("\(dialogs.count) dialogs for \(legs) legs") }
    let mostTimers =
      4 * calls.count + 4 * legs + 8 * trunks.count + 8 * (names.count + unresolved.count) + services.count + 64
    if timers.count > mostTimers { broken.append("\(timers.count) timers for \(calls.count) calls") }
    guard !isStopped else { return broken }
    if let deadline = nextDeadline {
      if deadline > now + .seconds(10) { broken.append("the next wake-up is \(deadline - now) away") }
    } else if sockets.contains(where: { $0.local != nil }) {
      broken.append("nothing will ever wake the link again")
    }
    return broken
  }

  /// How many calls were begun since the start.
  package var callsBegun: UInt64 { nextCall - 1 }
}
