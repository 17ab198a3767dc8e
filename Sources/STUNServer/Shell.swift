import DatagramSockets
import NetworkTypes
import STUN
import Synchronization

/// Between the loop and the responder.
final class Shell: DatagramLoopHandler, @unchecked Sendable {
  // `answer` is touched by the loop's thread only; everything else is constant or atomic.
  private unowned let loop: DatagramLoop
  private let responder: BindingResponder
  /// Used for every answer, so that it is allocated once.
  private var answer: [UInt8] = []
  let answerCount = Atomic<UInt64>(0)

  /// - Parameter loop: outlives the shell's callbacks, since it makes them.
  init(loop: DatagramLoop, responder: BindingResponder) {
    self.loop = loop
    self.responder = responder
  }

  func datagramReceived(
    _ bytes: Span<UInt8>, from source: Endpoint, to local: Endpoint, on socket: Int, now: MonotonicInstant
  ) {
    // Nobody can be answered at port 0.
    guard source.port != 0, responder.respond(to: bytes, from: source, local: local, into: &answer) else { return }
    answerCount.add(1, ordering: .relaxed)
    loop.send(answer, on: socket, to: source, from: local)
  }

  func wakeUp(now: MonotonicInstant) {}
}
