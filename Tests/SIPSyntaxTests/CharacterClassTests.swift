import SIPSyntax
import Testing

/// The character classes are bit masks; here they are spelled out.
@Suite struct CharacterClassTests {
  static let alphanumeric = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
  static let unreserved = alphanumeric + "-_.!~*'()"
  static let classes: [(String, @Sendable (UInt8) -> Bool, String)] = [
    ("token", { Grammar.isToken($0) }, alphanumeric + "-.!%*_+`'~"),
    ("unreserved", { Grammar.isUnreserved($0) }, unreserved),
    ("user", { Grammar.isUser($0) }, unreserved + "&=+$,;?/" + "#"),
    ("paramchar", { Grammar.isURIParameter($0) }, unreserved + "[]/:&+$"),
    ("URI", { Grammar.isURICharacter($0) }, unreserved + ";/?:@&=+$,%#[]"),
    ("host name", { Grammar.isHostName($0) }, alphanumeric + "-._"),
    ("parameter value", { Grammar.isParameterValue($0) }, alphanumeric + "-.!%*_+`'~[]:=/@?&#$(){}|^"),
  ]

  @Test("Each class holds what its spelling holds and nothing else", arguments: 0..<classes.count)
  func masks(row: Int) {
    let (name, contains, spelling) = Self.classes[row]
    for byte in UInt8.min...UInt8.max {
      #expect(contains(byte) == spelling.utf8.contains(byte), "\(name): byte \(byte)")
    }
  }
}
