import DatagramSockets
import NetworkTypes
import STUN
import Synchronization

/// One thread's sockets, and what it does with what comes to them.
final class Worker: @unchecked Sendable {
  // The thread that runs has everything to itself; before and after, the server's owner has. Only the atomics and the poller's
  // wake-up are used across.
  private struct Place {
    let socket: DatagramSocket
    /// The endpoint of the server that differs from this one in address and port; `nil` where it has one address.
    let other: Endpoint?
  }

  private let poller: DatagramPoller
  private let responder: BindingResponder
  private var limit: SourceRateLimit
  private var places: [Place] = []
  private let isStopping = Atomic<Bool>(false)
  let answerCount = Atomic<UInt64>(0)
  let limitedCount = Atomic<UInt64>(0)

  /// A busy socket gives way to the others after so many batches.
  private static let batchesPerTurn = 4
  /// The longest request that is read: one with PADDING for the longest that is answered, and then some.
  private static let longestRequest = 4096

  init(responder: BindingResponder, limit: SourceRateLimit) throws(DatagramSocketError) {
    poller = try DatagramPoller()
    self.responder = responder
    self.limit = limit
  }

  /// Takes a socket over. The four of a pair come one after another, in the order of ``STUNServerAddresses/all``.
  func add(_ socket: DatagramSocket, other: Endpoint?) throws(DatagramSocketError) {
    places.append(Place(socket: socket, other: other))
    try poller.add(socket, token: UInt32(places.count - 1))
  }

  /// Ends ``run()``. For any thread.
  func stop() {
    isStopping.store(true, ordering: .releasing)
    poller.wake()
  }

  /// Once it does not run any more.
  func closeSockets() {
    for place in places { place.socket.close() }
    places = []
  }

  /// Answers until ``stop()``.
  func run() {
    let receiver = DatagramReceiver(longest: Self.longestRequest)
    let sender = DatagramSender()
    var answer: [UInt8] = []
    answer.reserveCapacity(Self.longestRequest)
    while !isStopping.load(ordering: .acquiring) {
      do throws(DatagramSocketError) {
        try poller.wait(until: nil) { serve(Int($0), receiver, sender, &answer) }
      } catch {
        fatalError("stun-server: \(error.sentence)")
      }
    }
  }

  private func serve(_ index: Int, _ receiver: DatagramReceiver, _ sender: DatagramSender, _ answer: inout [UInt8]) {
    let place = places[index]
    let isWildcard = place.socket.localEndpoint.address.isUnspecified
    for _ in 0..<Self.batchesPerTurn {
      let now = SystemClock.now()
      var answers: UInt64 = 0
      var limited: UInt64 = 0
      let count = try? place.socket.receive(into: receiver) { bytes, source, local in
        // Nobody can be answered at port 0.
        guard source.port != 0, bytes.count <= Self.longestRequest else { return }
        guard limit.admits(source.address, now: now) else {
          limited += 1
          return
        }
        guard let reply = responder.reply(to: bytes, from: source, local: local, other: place.other, into: &answer)
        else { return }
        answers += 1
        // A bound address is the source anyway, and naming it again would cost the kernel a look-up.
        let origin = isWildcard ? local : nil
        if reply.change.changeIP || reply.change.changePort {
          let sibling = index ^ (reply.change.changeIP ? 2 : 0) ^ (reply.change.changePort ? 1 : 0)
          places[sibling].socket.send(answer.span, to: reply.destination)
        } else if !sender.add(answer.span, to: reply.destination, from: origin) {
          sender.flush(through: place.socket) { _, _ in }
          _ = sender.add(answer.span, to: reply.destination, from: origin)
        }
      }
      answerCount.add(answers, ordering: .relaxed)
      limitedCount.add(limited, ordering: .relaxed)
      // What cannot leave is lost like any datagram: its client asks again.
      sender.flush(through: place.socket) { _, _ in }
      guard count == DatagramReceiver.capacity else { return }
    }
  }
}
