public import LinkManager
public import NetworkTypes

extension DoctorReport {
  /// The report for other people's eyes: hosts, addresses, users and numbers are pseudonyms, the same for the same.
  /// Passwords and credentials are in no report.
  public func redacted(random: inout RandomSource) -> DoctorReport {
    var messages = MessagePseudonyms(pseudonyms: Pseudonyms(random: &random))
    // The longest first, so that no name is taken for the beginning of another one.
    var known: [(name: [UInt8], pseudonym: [UInt8])] = []
    for name in names.sorted(by: { $0.utf8.count > $1.utf8.count }) where !name.isEmpty {
      let pseudonym: String
      if let address = IPAddress(name) {
        pseudonym = messages.pseudonyms.address(address).description
      } else {
        pseudonym = messages.plain(name)
      }
      known.append((Array(name.utf8), Array(pseudonym.utf8)))
    }
    var report = self
    report.names = []
    report.exchanges = exchanges.map { Self.replaced($0, known) }
    for index in findings.indices {
      report.findings[index].subject = Self.replaced(findings[index].subject, known)
      report.findings[index].evidence = Self.replaced(findings[index].evidence, known)
      report.findings[index].nextStep = findings[index].nextStep.map { Self.replaced($0, known) }
    }
    return report
  }

  private static func replaced(_ text: String, _ known: [(name: [UInt8], pseudonym: [UInt8])]) -> String {
    let bytes = Array(text.utf8)
    var out: [UInt8] = []
    var place = 0
    while place < bytes.count {
      let isStart = place == 0 || !Pseudonyms.isWord(bytes[place - 1])
      let found = known.first { name, _ in
        isStart && bytes[place...].starts(with: name)
          && (place + name.count == bytes.count || !Pseudonyms.isWord(bytes[place + name.count]))
      }
      if let found {
        out += found.pseudonym
        place += found.name.count
      } else {
        out.append(bytes[place])
        place += 1
      }
    }
    return String(decoding: out, as: UTF8.self)
  }
}
