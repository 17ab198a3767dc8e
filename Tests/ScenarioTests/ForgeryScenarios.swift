import LinkManager
import LinkScenario
import NetworkSimulator
import NetworkTypes
import STUN
import Testing

/// Somebody outside answers in the STUN servers' place, through a router that lets everybody in: the address stays what it is.
@Suite struct ForgeryScenarios {
  static let forged = endpoint("203.0.113.66:666")

  @Test(arguments: [1, 2, 3] as [UInt64]) func forgedAnswersMoveNothing(seed: UInt64) throws {
    let scene = Scene {
      $0.seed = seed
      $0.nat = .fullCone
    }
    #expect(scene.runUntilRegistered())
    scene.run(10)
    let contacts = scene.contacts
    let registered = scene.registerTimes.count
    var random = RandomSource(seed: seed)
    let recorded = scene.net.capture(scene.lineCapture).packets.filter {
      !$0.isOutward && $0.datagram.content == .stun && $0.datagram.destination.port == 65002
    }
    #expect(!recorded.isEmpty)
    for _ in 0..<50 {
      var packets: [[UInt8]] = []
      // Guessed IDs.
      for _ in 0..<20 {
        packets.append(
          STUNMessage(
            messageClass: .success, transactionID: STUNMessage.randomTransactionID(&random),
            attributes: [.xorMappedAddress(Self.forged)]
          ).encoded())
      }
      // Real answers, played back by another machine: whole, and with another address in them.
      for packet in recorded.suffix(2) {
        packets.append(packet.datagram.bytes)
        guard let message = try? STUNMessage(decoding: packet.datagram.bytes.span) else { continue }
        packets.append(
          STUNMessage(
            messageClass: .success, transactionID: message.transactionID, attributes: [.xorMappedAddress(Self.forged)]
          ).encoded())
      }
      scene.net.withHost(scene.stranger, as: Stranger.self) { [packets] _, _, actions in
        for bytes in packets { actions.append(.send(bytes, socket: 0, to: endpoint("198.51.100.1:65002"))) }
      }
      scene.run(0.4)
    }
    #expect(scene.status.uplinks.first?.publicAddress?.ip == "198.51.100.1")
    #expect(scene.status.uplinks.first?.previousAddresses.isEmpty == true)
    #expect(scene.contacts == contacts)
    #expect(scene.registerTimes.count == registered)
    #expect(scene.metrics.addressChanges.rows.isEmpty)
    let dropped = scene.metrics.discarded.rows.reduce(0) { $0 + $1.value }
    #expect(dropped >= 1000)
  }

  /// A server that lies once is not believed, and neither is one whose answers come too late to tell the present.
  @Test func oneOddAnswerMovesNothing() {
    let scene = Scene()
    #expect(scene.runUntilRegistered())
    scene.run(10)
    let contacts = scene.contacts
    // Its answer to one keepalive, every half minute, is wrong.
    for _ in 0..<5 {
      scene.net.withHost(scene.stun[0], as: STUNServerHost.self) { host, _, _ in host.lie = Self.forged }
      let before = scene.net.host(scene.stun[0], as: STUNServerHost.self)?.requestCount ?? 0
      _ = scene.net.run(atMost: .seconds(12)) { net in
        (net.host(scene.stun[0], as: STUNServerHost.self)?.requestCount ?? 0) > before
      }
      scene.net.withHost(scene.stun[0], as: STUNServerHost.self) { host, _, _ in host.lie = nil }
      scene.run(30)
    }
    #expect(scene.contacts == contacts)
    #expect(scene.metrics.addressChanges.rows.isEmpty)
  }
}
