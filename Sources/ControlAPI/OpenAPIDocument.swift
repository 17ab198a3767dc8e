/// The description of the API, OpenAPI 3.1: one row for each operation, and the schemas of the contract.
enum OpenAPIDocument {
  struct Operation: Sendable {
    var method: String
    var path: String
    var summary: String
    /// What a success answers: a schema's name, with `[]` for a list of it, or a media type; `nil` for 204.
    var answer: String?
    var success = 200
    var query: [String] = []
    var errors: [Int] = []
    var isOpen = false
  }

  static let operations: [Operation] = [
    .init(
      method: "get", path: "/healthz", summary: "Whether the process is alive.", answer: "text/plain", isOpen: true),
    .init(
      method: "get", path: "/readyz", summary: "Whether every trunk that should be registered is; 503 with the names.",
      answer: "text/plain", errors: [503], isOpen: true),
    .init(method: "get", path: "/metrics", summary: "Prometheus text.", answer: "text/plain", isOpen: true),
    .init(method: "get", path: "/api/v1/status", summary: "Everything that runs now.", answer: "Status"),
    .init(method: "get", path: "/api/v1/uplinks", summary: "Ways to the internet.", answer: "Uplink[]"),
    .init(method: "get", path: "/api/v1/uplinks/{name}", summary: "One uplink.", answer: "Uplink", errors: [404]),
    .init(method: "get", path: "/api/v1/trunks", summary: "Accounts at providers.", answer: "Trunk[]"),
    .init(method: "get", path: "/api/v1/trunks/{name}", summary: "One trunk.", answer: "Trunk", errors: [404]),
    .init(
      method: "post", path: "/api/v1/trunks/{name}/enable", summary: "Uses the trunk again.", success: 204,
      errors: [404, 409]),
    .init(
      method: "post", path: "/api/v1/trunks/{name}/disable",
      summary: "Unregisters the trunk and places no calls over it.",
      success: 204, errors: [404, 409]),
    .init(
      method: "post", path: "/api/v1/trunks/{name}/register", summary: "Registers now.", success: 204,
      errors: [404, 409]),
    .init(method: "get", path: "/api/v1/phones", summary: "Telephones and where they are.", answer: "Phone[]"),
    .init(method: "get", path: "/api/v1/calls", summary: "Live calls.", answer: "Call[]"),
    .init(method: "get", path: "/api/v1/calls/{id}", summary: "One live call.", answer: "Call", errors: [404]),
    .init(method: "delete", path: "/api/v1/calls/{id}", summary: "Hangs up.", success: 204, errors: [404]),
    .init(
      method: "get", path: "/api/v1/history", summary: "Finished calls, newest first.", answer: "CallRecord[]",
      query: ["limit", "before"], errors: [400]),
    .init(
      method: "get", path: "/api/v1/verdicts", summary: "What went wrong, newest first.", answer: "Verdict[]",
      query: ["limit"], errors: [400]),
    .init(
      method: "get", path: "/api/v1/incidents", summary: "Moments whose recordings are kept for replay, newest first.",
      answer: "Incident[]"),
    .init(
      method: "get", path: "/api/v1/incidents/{id}",
      summary: "The recording, for trunkline replay; names are pseudonyms.",
      answer: "text/plain", errors: [404]),
    .init(
      method: "get", path: "/api/v1/events",
      summary: "Server-sent events: status at once and after each change, history when a call ends, verdict.",
      answer: "text/event-stream", errors: [503]),
    .init(
      method: "post", path: "/api/v1/doctor",
      summary:
        "Asks from the daemon's own ports whether the link has what it needs; call=true lets each trunk call itself.",
      answer: "DoctorReport", query: ["call"], errors: [409]),
    .init(
      method: "get", path: "/api/v1/doctor", summary: "How far that is, or how it ended last.",
      answer: "DoctorProgress"),
    .init(
      method: "post", path: "/api/v1/reload", summary: "Reads the configuration again; mistakes change nothing.",
      success: 204, errors: [409, 422]),
    .init(
      method: "post", path: "/api/v1/links", summary: "A link to the dashboard that works once.", answer: "Link",
      success: 201),
    .init(
      method: "post", path: "/api/v1/session", summary: "Sets the cookie of the dashboard; needs the token.",
      success: 204),
    .init(
      method: "post", path: "/api/v1/demo/call",
      summary: "Embedded default only: the built-in phone dials *43 and records what comes back.", answer: "DemoCall",
      success: 202, errors: [409, 503]),
    .init(
      method: "post", path: "/api/v1/demo/cut",
      summary: "Embedded default only: cuts the line for 3 s; it comes back with another public address.", success: 204,
      errors: [409]),
    .init(
      method: "get", path: "/api/v1/demo/recording.wav",
      summary: "What came back; 202 while the call lasts.", answer: "audio/wav", query: ["id"],
      errors: [400, 404, 502]),
  ]

  static let text = document()

  private static func document() -> String {
    var paths: [(path: String, operations: [String])] = []
    for operation in operations {
      let entry = "\"\(operation.method)\":\(json(operation))"
      if let index = paths.firstIndex(where: { $0.path == operation.path }) {
        paths[index].operations.append(entry)
      } else {
        paths.append((operation.path, [entry]))
      }
    }
    let listed = paths.map { "\"\($0.path)\":{\($0.operations.joined(separator: ","))}" }.joined(separator: ",\n")
    return """
      {"openapi":"3.1.0",
      "info":{"title":"Trunkline","version":"1","description":"Every path under /api needs the token or the cookie."},
      "paths":{
      \(listed)},
      "components":{"securitySchemes":{
      "token":{"type":"http","scheme":"bearer"},
      "cookie":{"type":"apiKey","in":"cookie","name":"\(AccessGate.cookieName)"}},
      "schemas":{
      \(schemas)}}}

      """
  }

  private static func json(_ operation: Operation) -> String {
    var parameters = operation.query.map { name in
      let type = name == "limit" ? "{\"type\":\"integer\",\"minimum\":1,\"maximum\":1000}" : "{\"type\":\"string\"}"
      return "{\"name\":\"\(name)\",\"in\":\"query\",\"required\":\(name == "id"),\"schema\":\(type)}"
    }
    for name in ["name", "id"] where operation.path.contains("{\(name)}") {
      parameters.append("{\"name\":\"\(name)\",\"in\":\"path\",\"required\":true,\"schema\":{\"type\":\"string\"}}")
    }
    var answers = ["\"\(operation.success)\":{\"description\":\"done\"\(content(operation.answer))}"]
    for status in operation.errors + (operation.isOpen ? [] : [401, 403]) {
      let isText = operation.isOpen
      answers.append("\"\(status)\":{\"description\":\"see detail\"\(content(isText ? "text/plain" : "Problem"))}")
    }
    let security = operation.isOpen ? "[]" : "[{\"token\":[]},{\"cookie\":[]}]"
    return "{\"summary\":\"\(operation.summary)\",\"security\":\(security),"
      + "\"parameters\":[\(parameters.joined(separator: ","))],\"responses\":{\(answers.joined(separator: ","))}}"
  }

  private static func content(_ answer: String?) -> String {
    guard let answer else { return "" }
    if answer.contains("/") { return ",\"content\":{\"\(answer)\":{}}" }
    let isList = answer.hasSuffix("[]")
    let reference = "{\"$ref\":\"#/components/schemas/\(isList ? String(answer.dropLast(2)) : answer)\"}"
    let schema = isList ? "{\"type\":\"array\",\"items\":\(reference)}" : reference
    let type = answer == "Problem" ? "application/problem+json" : "application/json"
    return ",\"content\":{\"\(type)\":{\"schema\":\(schema)}}"
  }

  /// Properties by name: `s` string, `n` number, `i` integer, `b` Boolean, `?` behind for those that may be missing, a
  /// schema's name, `[]` behind for lists.
  private static let shapes: [(name: String, properties: String)] = [
    (
      "Status",
      "version:s uptimeSeconds:n embeddedDefault:b uplinks:Uplink[] trunks:Trunk[] phones:Phone[] calls:Call[]"
    ),
    ("Endpoint", "ip:s port:i"),
    ("PreviousAddress", "ip:s port:i until:s"),
    ("PortMapping", "protocol:s externalPort:i? state:s"),
    ("ErrorSentence", "code:s sentence:s"),
    (
      "Uplink",
      "name:s publicAddress:Endpoint? previousAddresses:PreviousAddress[] natType:s mapping:s filtering:s hairpin:s "
        + "bindingLifetimeSeconds:n? portMapping:PortMapping? lastChangeAt:s? keepalives:i lastError:ErrorSentence?"
    ),
    (
      "Trunk",
      "name:s state:s uplink:s? contact:s? registrar:s expiresAt:s? calls:i lastError:ErrorSentence?"
    ),
    ("Contact", "address:s userAgent:s? expiresAt:s? lastSeenAt:s?"),
    ("Phone", "extension:s name:s contacts:Contact[]"),
    (
      "Leg",
      "callID:s remote:s codec:s? srtp:b packetsIn:i packetsOut:i lostIn:i jitterMs:n mos:n? lastAudioGapMs:n"
    ),
    ("Call", "id:s direction:s from:s to:s trunk:s? state:s startedAt:s answeredAt:s? legs:Leg[]"),
    (
      "CallRecord",
      "id:s direction:s from:s to:s trunk:s? startedAt:s answeredAt:s? endedAt:s result:s status:i? endedBy:s sentence:s?"
    ),
    ("Verdict", "at:s subject:s callID:s? code:s sentence:s evidence:s nextStep:s"),
    ("Incident", "id:s at:s subject:s callID:s? code:s sentence:s bytes:i"),
    ("DoctorFinding", "need:s subject:s result:s evidence:s nextStep:s?"),
    (
      "DoctorReport",
      "result:s findings:DoctorFinding[] at:s seconds:n isFromDaemon:b exchanges:s[] names:s[]"
    ),
    (
      "DoctorProgress",
      "isRunning:b elapsedSeconds:n asked:i answered:i waitingFor:s[] findings:DoctorFinding[]"
    ),
    ("Link", "path:s"),
    ("DemoCall", "recording:s"),
    ("Problem", "type:s title:s status:i detail:s errors:s[]?"),
  ]

  private static var schemas: String {
    shapes.map { shape in
      var required: [String] = []
      var properties: [String] = []
      for word in shape.properties.split(separator: " ") {
        let parts = word.split(separator: ":")
        guard parts.count == 2 else { continue }
        var type = parts[1]
        if type.last == "?" { type = type.dropLast() } else { required.append("\"\(parts[0])\"") }
        properties.append("\"\(parts[0])\":\(schema(type))")
      }
      return "\"\(shape.name)\":{\"type\":\"object\",\"required\":[\(required.joined(separator: ","))],"
        + "\"properties\":{\(properties.joined(separator: ","))}}"
    }.joined(separator: ",\n")
  }

  private static func schema(_ type: Substring) -> String {
    if type.hasSuffix("[]") { return "{\"type\":\"array\",\"items\":\(schema(type.dropLast(2)))}" }
    let simple = ["s": "string", "n": "number", "i": "integer", "b": "boolean"]
    return simple[String(type)].map { "{\"type\":\"\($0)\"}" } ?? "{\"$ref\":\"#/components/schemas/\(type)\"}"
  }
}
