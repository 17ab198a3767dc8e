import DatagramSockets
import Foundation
public import Logging
import NetworkTypes

/// Writes log lines to standard error: `2026-11-22T10:00:00.000Z info link: …`, or one JSON object a line.
///
/// Messages are escaped here, whatever they come from: a line of the log is one line.
public struct LineLogHandler: LogHandler {
  public var logLevel: Logger.Level {
    get { threshold.level }
    set { threshold = LogThreshold(newValue) }
  }
  public var metadata: Logger.Metadata = [:]
  private let label: String
  private let isJSON: Bool
  private var threshold: LogThreshold

  public init(label: String, level: Logger.Level, isJSON: Bool) {
    self.init(label: label, threshold: LogThreshold(level), isJSON: isJSON)
  }

  init(label: String, threshold: LogThreshold, isJSON: Bool) {
    self.label = label
    self.threshold = threshold
    self.isJSON = isJSON
  }

  public subscript(metadataKey key: String) -> Logger.Metadata.Value? {
    get { metadata[key] }
    set { metadata[key] = newValue }
  }

  public func log(event: LogEvent) {
    var fields = metadata.merging(event.metadata ?? [:]) { $1 }.map { ($0.key, "\($0.value)") }.sorted { $0.0 < $1.0 }
    if let error = event.error { fields.append(("error", "\(error)")) }
    let at = SystemClock.wallTime().description
    let message = "\(event.message)".escapedForLog(limit: 2000)
    let line: String
    if isJSON {
      var parts = [("at", at), ("level", "\(event.level)"), ("source", label), ("message", message)]
      parts += fields
      line = "{\(parts.map { "\(Self.quoted($0.0)):\(Self.quoted($0.1))" }.joined(separator: ","))}\n"
    } else {
      let rest = fields.map { " \($0.0)=\($0.1.escapedForLog())" }.joined()
      line = "\(at) \(event.level) \(label): \(message)\(rest)\n"
    }
    LogWriter.standardError.write(line)
  }

  private static func quoted(_ text: String) -> String {
    var result = "\""
    for scalar in text.unicodeScalars {
      switch scalar {
      case "\"": result += "\\\""
      case "\\": result += "\\\\"
      case _ where scalar.value < 0x20:
        let digits = String(scalar.value, radix: 16)
        result += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
      default: result.unicodeScalars.append(scalar)
      }
    }
    return result + "\""
  }
}
