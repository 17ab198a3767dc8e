import Foundation
import SIPSyntax
import Testing

/// The published vectors, which lie beside the project and need not be there.
enum VectorFiles {
  /// `<package root>/../shared/vectors/<set>`, symbolic links on the way resolved.
  static func folder(_ set: String) -> URL {
    var root = URL(fileURLWithPath: #filePath).resolvingSymlinksInPath()
    for _ in 0..<3 { root.deleteLastPathComponent() }
    return root.deletingLastPathComponent().appendingPathComponent("shared/vectors/\(set)")
  }

  static func exists(_ set: String) -> Bool { FileManager.default.fileExists(atPath: folder(set).path) }

  static func bytes(_ set: String, _ name: String) throws -> [UInt8] {
    try Array(Data(contentsOf: folder(set).appendingPathComponent(name)))
  }

  static func names(_ set: String) throws -> [String] {
    try FileManager.default.contentsOfDirectory(atPath: folder(set).path).sorted()
  }
}

/// What becomes of a message that is read.
enum Outcome: Equatable, CustomStringConvertible {
  /// Read, and nothing is wrong with it.
  case accepted
  /// Read; a request to be refused with this status.
  case refused(Int)
  /// Read; a response to be dropped.
  case dropped
  /// Not read.
  case unreadable(SIPParseError.Code)

  var description: String {
    switch self {
    case .accepted: "accepted"
    case .refused(let status): "refused with \(status)"
    case .dropped: "dropped"
    case .unreadable(let code): "unreadable: \(code)"
    }
  }

  init(_ bytes: [UInt8]) {
    do throws(SIPParseError) {
      let message = try read(bytes)
      self =
        switch message.problem() {
        case nil: .accepted
        case let problem?: message.isRequest ? .refused(problem.status) : .dropped
        }
    } catch {
      self = .unreadable(error.code)
    }
  }
}

/// One published message: the RFC's word, and what becomes of it here.
struct Verdict: CustomTestStringConvertible, Sendable {
  let file: String
  let word: String
  let outcome: Outcome

  init(_ file: String, _ word: String, _ outcome: Outcome) {
    self.file = file
    self.word = word
    self.outcome = outcome
  }

  var testDescription: String { file }
}

/// A message written with bare line feeds, as it goes over the wire. `@` in Content-Length stands for the body's length.
func wire(_ text: String) -> [UInt8] {
  let parts = text.split(separator: "\n\n", maxSplits: 1, omittingEmptySubsequences: false).map {
    $0.replacingOccurrences(of: "\n", with: "\r\n")
  }
  let body = parts.count > 1 ? parts[1] : ""
  let head = parts[0].replacingOccurrences(of: "Content-Length: @", with: "Content-Length: \(body.utf8.count)")
  return Array((head + (parts[0].hasSuffix("\n") ? "\r\n" : "\r\n\r\n") + body).utf8)
}

func parsed(_ text: String) throws -> SIPMessage { try read(wire(text)) }

/// Swift 6.3.1 crashes on the span of an array that has no name, so the array gets one.
func read(_ bytes: [UInt8]) throws(SIPParseError) -> SIPMessage { try SIPMessage(parsing: bytes.span) }
