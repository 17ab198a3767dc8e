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
