import NetworkTypes
import STUN

func examine(_ bytes: [UInt8]) {
  let local = Endpoint(.loopbackV4, port: 3478)
  let source = Endpoint(.v6(1 << 100), port: 40_000)
  _ = STUNMessage.isSTUN(bytes.span)
  let key = STUNKey.shortTerm(password: "secret")
  _ = STUNIntegrity.verdict(on: bytes.span, key: key)
  if let answer = BindingResponder(software: "fuzz").respond(to: bytes.span, from: source, local: local) {
    require((try? STUNMessage(decoding: answer.span)) != nil, "Our own answer can be read.")
  }
  serve(bytes)
  guard let message = try? STUNMessage(decoding: bytes.span) else { return }
  _ = (message.mappedAddress, message.xorMappedAddress, message.otherAddress, message.responseOrigin)
  _ = (message.alternateServer, message.alternateDomain, message.errorCode, message.software, message.username)
  _ = (message.userhash, message.realm, message.nonce, message.passwordAlgorithms, message.passwordAlgorithm)
  _ = (message.unknownAttributes, message.changeRequest, message.responsePort, message.notUnderstood)
  for hasFingerprint in [false, true] {
    let written = message.encoded(integrity: .both(key), fingerprint: hasFingerprint)
    guard let again = try? STUNMessage(decoding: written.span) else { fatalError("What is encoded can be read.") }
    require(again.wireID == message.wireID && again.method == message.method, "It is the same message.")
    require(again.messageClass == message.messageClass, "It is of the same class.")
    // RFC 3489 §11.2.9 and §11.2.10: texts and lists are filled up to four bytes, so only what was written stays as it is.
    let first = message.hasMagicCookie ? message : again
    let second = message.hasMagicCookie ? again : reread(again)
    require(stable(second) == stable(first), "It has the same attributes.")
    require(again.hasFingerprint == hasFingerprint, "It has a fingerprint where it was asked for.")
    let verdict = STUNIntegrity.verdict(on: written.span, key: key)
    require(verdict == (message.hasMagicCookie ? .right : .absent), "Its integrity is right.")
    let other = STUNIntegrity.verdict(on: written.span, key: .shortTerm(password: "another"))
    require(other == (message.hasMagicCookie ? .wrong : .absent), "It is wrong by another key.")
  }
}

/// A server of one and of two addresses never amplifies, and answers nobody but the sender's address.
func serve(_ bytes: [UInt8]) {
  var answer: [UInt8] = []
  for isV4 in [true, false] {
    let addresses: [IPAddress] = isV4 ? [.v4(1 << 24), .v4(2 << 24), .v4(3 << 24)] : [.v6(1), .v6(2), .v6(3)]
    let client = Endpoint(addresses[0], port: 40_000)
    let local = Endpoint(addresses[1], port: 3478)
    for other in [nil, Endpoint(addresses[2], port: 3479)] {
      guard
        let reply = BindingResponder(software: "fuzz").reply(
          to: bytes.span, from: client, local: local, other: other, into: &answer)
      else { continue }
      require(reply.destination.address == client.address, "An answer goes to the sender's address.")
      require(other != nil || !(reply.change.changeIP || reply.change.changePort), "One address answers from itself.")
      guard let message = try? STUNMessage(decoding: answer.span) else { fatalError("Our own answer can be read.") }
      let isPlain = message.messageClass == .error || other == nil && message.hasMagicCookie
      let tenths = isPlain ? (isV4 ? 16 : 22) : isV4 ? 34 : 58
      require(answer.count * 10 <= bytes.count * tenths, "It is within its bound.")
    }
  }
}

/// The attributes that are not computed anew.
func stable(_ message: STUNMessage) -> [STUNAttribute] {
  message.attributes.filter {
    switch $0 {
    case .messageIntegrity, .messageIntegritySHA256, .fingerprint: false
    default: true
    }
  }
}

func reread(_ message: STUNMessage) -> STUNMessage {
  let written = message.encoded()
  guard let again = try? STUNMessage(decoding: written.span) else { fatalError("What is encoded can be read.") }
  return again
}
