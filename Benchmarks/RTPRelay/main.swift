// RTPRelayBenchmark engine|floor PACKETS CALLS: relays PACKETS RTP packets of 172 bytes through CALLS calls on loopback, and
// prints the CPU microseconds that the relaying thread took for each. `engine` is the media engine, `floor` a loop that
// waits, receives and sends and does nothing else: what is above it is ours.
//
// Both peers of all calls are driven by the main thread: a packet each way on every call, then they are taken in, and so
// on. Nothing is allocated for a packet here either, so that a count over the whole process says what relaying costs.
import CRelayFloor
import DatagramSockets
import Glibc
import MediaEngine
import MediaRelay
import NetworkTypes
import Synchronization

let arguments = CommandLine.arguments
guard arguments.count == 4, let packets = Int(arguments[2]), let calls = Int(arguments[3]), packets > 0,
  (1...200).contains(calls), ["engine", "floor"].contains(arguments[1])
else {
  print("usage: RTPRelayBenchmark engine|floor PACKETS CALLS")
  exit(64)
}

func fail(_ sentence: String) -> Never {
  print(sentence)
  exit(1)
}

func open(_ local: Endpoint) -> DatagramSocket {
  do throws(DatagramSocketError) {
    return try DatagramSocket.open(local: local, receiveBuffer: 1 << 20)
  } catch {
    fail(error.sentence)
  }
}

let anyPort = Endpoint(.loopbackV4, port: 0)
/// Two for each call.
var peers = (0..<2 * calls).map { _ in open(anyPort) }
/// Where each peer sends to.
var relayEnds: [Endpoint] = []

// The relay, either of the two.
let opened = Mutex<Set<MediaPortID>>([])
let failure = Mutex<String?>(nil)
var engine: RelayEngine?
if arguments[1] == "engine" {
  let started: RelayEngine
  do throws(RelayEngineError) {
    started = try RelayEngine { event in
      switch event {
      case .opened(let id): opened.withLock { _ = $0.insert(id) }
      case .openFailed(_, let reason): failure.withLock { $0 = reason }
      default: break
      }
    }
  } catch {
    fail(error.sentence)
  }
  engine = started
  for index in 0..<2 * calls {
    relayEnds.append(Endpoint(.loopbackV4, port: UInt16(30_000 + 2 * index)))
    started.send(.open(MediaPortID(UInt32(index)), local: relayEnds[index], stun: nil))
  }
  for index in 0..<2 * calls {
    let peer = MediaPeer(rtp: peers[index].localEndpoint)
    started.send(.setPeer(MediaPortID(UInt32(index)), peer, openingPayloadType: 20))
    if index % 2 == 1 { started.send(.couple(MediaPortID(UInt32(index)), MediaPortID(UInt32(index - 1)))) }
  }
  for peer in peers {
    // Its opening packet says that a port is ready.
    guard peer.waitReadable(timeout: .seconds(10)) else { fail(failure.withLock { $0 } ?? "a port did not open") }
  }
} else {
  var ends: [DatagramSocket] = []
  for peer in peers {
    var end = open(anyPort)
    do throws(DatagramSocketError) { try end.connect(to: peer.localEndpoint) } catch { fail(error.sentence) }
    ends.append(end)
    relayEnds.append(end.localEndpoint)
  }
  // Copied during the call.
  guard unsafe relay_floor_start(ends.map(\.descriptor), Int32(ends.count)) == 0 else {
    fail("the system refused the bare loop")
  }
}

for index in peers.indices {
  do throws(DatagramSocketError) { try peers[index].connect(to: relayEnds[index]) } catch { fail(error.sentence) }
}

let driver = Driver(peers)
// Latching, connecting and the first growth of everything; then the count begins.
driver.drain()
driver.relay(rounds: 50)
let before = Driver.otherThreadsCPU()
let rounds = (packets + 2 * calls - 1) / (2 * calls)
driver.relay(rounds: rounds)
let microseconds = (Driver.otherThreadsCPU() - before) / Double(rounds * 2 * calls) / 1000
print("\((microseconds * 1000).rounded() / 1000) \(rounds * 2 * calls)")
engine?.stop()
