import Crypto

/// The hash functions of digest authentication (RFC 7616 §3.4) and of the nonces made here.
enum DigestHash {
  /// Lower-case hexadecimal MD5 of the text's UTF-8 (RFC 1321). Old phones understand nothing else.
  static func md5(_ text: String) -> String { hexadecimal(Insecure.MD5.hash(data: Array(text.utf8))) }

  /// Lower-case hexadecimal SHA-256 of the text's UTF-8 (RFC 6234).
  static func sha256(_ text: String) -> String { hexadecimal(SHA256.hash(data: Array(text.utf8))) }

  static func hexadecimal(_ bytes: some Sequence<UInt8>) -> String {
    let digits = Array("0123456789abcdef".utf8)
    var text: [UInt8] = []
    for byte in bytes {
      text.append(digits[Int(byte >> 4)])
      text.append(digits[Int(byte & 15)])
    }
    return String(decoding: text, as: UTF8.self)
  }

  /// Whether the texts are equal, in a time that depends on their lengths only.
  static func constantTimeEqual(_ left: String, _ right: String) -> Bool {
    let left = Array(left.utf8)
    let right = Array(right.utf8)
    guard left.count == right.count else { return false }
    var difference: UInt8 = 0
    for index in left.indices { difference |= left[index] ^ right[index] }
    return difference == 0
  }
}
