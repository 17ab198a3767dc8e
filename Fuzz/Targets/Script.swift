import NetworkTypes
import STUN

/// The input as a script: each byte is a choice.
struct Script {
  private let bytes: [UInt8]
  private var position = 0

  init(_ bytes: [UInt8]) { self.bytes = bytes }

  /// The next choice; `nil` at the end.
  mutating func next() -> UInt8? {
    guard position < bytes.count else { return nil }
    defer { position += 1 }
    return bytes[position]
  }

  /// A choice below `count`; 0 at the end.
  mutating func below(_ count: Int) -> Int { Int(next() ?? 0) % count }

  /// The next bytes as they stand, up to `count`.
  mutating func raw(_ count: Int) -> [UInt8] {
    let end = min(bytes.count, position + count)
    defer { position = end }
    return Array(bytes[position..<end])
  }
}

let forgedAddress = Endpoint(.v4(0x0606_0606), port: 666)

/// An answer to a request, made of the script's choices: a good one, a refusal of some kind, or with attributes that nobody asked
/// for. What it says is `mapped` where it is a success.
func answer(to request: STUNMessage, saying mapped: Endpoint, _ script: inout Script, key: STUNKey?) -> [UInt8] {
  var attributes: [STUNAttribute] = [.xorMappedAddress(mapped)]
  var messageClass = STUNMessageClass.success
  let codes = [300, 400, 401, 403, 420, 438, 487, 500]
  switch script.below(8) {
  case 0...2: break
  case 3: attributes = []
  case 4: attributes.append(.unknown(STUNAttributeType(rawValue: 0x7000), [1, 2]))
  case 5: attributes.append(.otherAddress(Endpoint(.v4(0xc633_6402), port: 3479)))
  default:
    messageClass = .error
    let code = codes[script.below(codes.count)]
    attributes = [.errorCode(STUNErrorCode(code: code, reason: "x"))]
    if script.below(2) == 0 { attributes += [.realm(Array("r".utf8)), .nonce(script.raw(16))] }
    if code == 300 {
      attributes.append(.alternateServer(Endpoint(.v4(0xc000_0200 + UInt32(script.below(8))), port: 3478)))
    }
    if code == 420 { attributes.append(.unknownAttributes([STUNAttributeType(rawValue: 6)])) }
  }
  let message = STUNMessage(
    messageClass: messageClass, transactionID: request.transactionID, hasMagicCookie: request.hasMagicCookie,
    attributes: attributes)
  let integrity: STUNIntegrity? =
    key.map { key in
      switch script.below(4) {
      case 0: .sha1(key)
      case 1: .sha256(key)
      default: .both(key)
      }
    }
  var bytes = message.encoded(integrity: integrity, fingerprint: script.below(2) == 0)
  // Sometimes it is damaged on the way.
  if script.below(8) == 0, !bytes.isEmpty { bytes[script.below(bytes.count)] ^= script.next() ?? 1 }
  return bytes
}
