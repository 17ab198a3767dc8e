/// The sample messages of RFC 5769 §2, and the one of RFC 8489 appendix B.1, written down from the documents: a line an
/// attribute, so that they can be compared by eye.
enum RFC5769Vectors {
  /// One sample: its bytes, who vouches for it, and what fills its values to four bytes.
  struct Sample: Sendable {
    let name: String
    let hex: String
    let paddingByte: UInt8

    var bytes: [UInt8] { hexBytes(hex) }
  }

  static let shortTermPassword = "VOkJxbRl1RmTxUk/WvJxBt"
  /// マトリックス, in katakana.
  static let longTermUsername = "\u{30de}\u{30c8}\u{30ea}\u{30c3}\u{30af}\u{30b9}"
  /// "The<U+00AD>M<U+00AA>tr<U+2168>" after SASLprep.
  static let longTermPassword = "TheMatrIX"
  static let realm = "example.org"

  static let all = [request, ipv4Response, ipv6Response, longTermRequest, longTermSHA256Request]

  static let request = Sample(
    name: "sample_request",
    hex: """
      0001 0058 2112a442 b7e7a701 bc34d686 fa87dfae
      8022 0010 5354554e 20746573 7420636c 69656e74
      0024 0004 6e0001ff
      8029 0008 932ff9b1 51263b36
      0006 0009 6576746a 3a683676 59202020
      0008 0014 9aeaa70c bfd8cb56 781ef2b5 b2d3f249 c1b571a2
      8028 0004 e57a3bcf
      """,
    paddingByte: 0x20)

  static let ipv4Response = Sample(
    name: "sample_ipv4_response",
    hex: """
      0101 003c 2112a442 b7e7a701 bc34d686 fa87dfae
      8022 000b 74657374 20766563 746f7220
      0020 0008 0001a147 e112a643
      0008 0014 2b91f599 fd9e90c3 8c7489f9 2af9ba53 f06be7d7
      8028 0004 c07d4c96
      """,
    paddingByte: 0x20)

  static let ipv6Response = Sample(
    name: "sample_ipv6_response",
    hex: """
      0101 0048 2112a442 b7e7a701 bc34d686 fa87dfae
      8022 000b 74657374 20766563 746f7220
      0020 0014 0002a147 0113a9fa a5d3f179 bc25f4b5 bed2b9d9
      0008 0014 a382954e 4be67bf1 1784c97c 8292c275 bfe3ed41
      8028 0004 c8fb0b4c
      """,
    paddingByte: 0x20)

  static let longTermRequest = Sample(
    name: "sample_request_long_term_auth",
    hex: """
      0001 0060 2112a442 78ad3433 c6ad72c0 29da412e
      0006 0012 e3839ee3 8388e383 aae38383 e382afe3 82b90000
      0015 001c 662f2f34 39396b39 35346436 4f4c3334 6f4c3946 53547679 36347341
      0014 000b 6578616d 706c652e 6f726700
      0008 0014 f6702465 6dd64a3e 02b8e071 2e85c9a2 8ca89666
      """,
    paddingByte: 0)

  static let longTermSHA256Request = Sample(
    name: "sample_request_long_term_auth_sha256",
    hex: """
      0001 0088 2112a442 78ad3433 c6ad72c0 29da412e
      001e 0020 4a3cf38f ef6992bd a952c678 0417da0f 24819415 569e60b2 05c46e41 407f1704
      0015 0029 6f624d61 744a6f73 32414141 43662f2f 3439396b 39353464 364f4c33 346f4c39 46535476 79363473 41000000
      0014 000b 6578616d 706c652e 6f726700
      001c 0020 fd8c2738 60d2e18e bca4c89b 6973befa 7ee8ecc6 9e9642db 326fab65 a0b955ba
      """,
    paddingByte: 0)
}

/// The bytes that hexadecimal digits stand for; blanks and line ends are passed over.
func hexBytes(_ hex: String) -> [UInt8] {
  let digits = hex.compactMap(\.hexDigitValue)
  return stride(from: 0, to: digits.count - 1, by: 2).map { UInt8(digits[$0] << 4 | digits[$0 + 1]) }
}
