import Crypto

/// The secret that MESSAGE-INTEGRITY is made with (RFC 8489 §9.1.1, §9.2.2). Printing it gives a mask.
///
/// Names and passwords are used as the bytes they are. The RFC prepares them by the OpaqueString profile (RFC 8265), which
/// leaves ASCII as it is; whoever has others prepares them before.
public struct STUNKey: Sendable, Hashable {
  let bytes: [UInt8]

  init(_ bytes: [UInt8]) { self.bytes = bytes }

  /// Short-term: the password itself.
  public static func shortTerm(password: String) -> STUNKey { STUNKey(Array(password.utf8)) }

  /// Long-term: a hash of `username:realm:password`, MD5 unless SHA-256 was negotiated; `nil` for any other algorithm.
  public static func longTerm(
    username: String, realm: String, password: String, algorithm: STUNPasswordAlgorithm = .md5
  ) -> STUNKey? {
    let text = Array("\(username):\(realm):\(password)".utf8)
    return switch algorithm.number {
    case STUNPasswordAlgorithm.md5.number: STUNKey(Array(Insecure.MD5.hash(data: text)))
    case STUNPasswordAlgorithm.sha256.number: STUNKey(Array(SHA256.hash(data: text)))
    default: nil
    }
  }

  /// The value of USERHASH: SHA-256 of `username:realm` (RFC 8489 §14.4).
  public static func userhash(username: String, realm: String) -> [UInt8] {
    Array(SHA256.hash(data: Array("\(username):\(realm)".utf8)))
  }
}

extension STUNKey: CustomStringConvertible, CustomDebugStringConvertible, CustomReflectable {
  public var description: String { "‹redacted›" }
  public var debugDescription: String { description }
  public var customMirror: Mirror { Mirror(self, children: EmptyCollection()) }
}
